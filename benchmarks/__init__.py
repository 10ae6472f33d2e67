"""Speed and error beside peers: ``python -m benchmarks.ops``, ``python -m benchmarks.matching``."""
