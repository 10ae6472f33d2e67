"""Speed and error beside peers: ``python -m benchmarks.ops``, ``.matching``, ``.spectral``."""
