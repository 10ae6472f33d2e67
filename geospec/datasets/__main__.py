"""Write data to files.

``python -m geospec.datasets FOLDER`` writes the shipped pairs of creatures to FOLDER.
``python -m geospec.datasets maps FILE --count 48000 --workers 2`` writes true functional maps to FILE (safetensors).
"""

import argparse
import sys

from .samples import write_shipped
from .training_shapes import SPLITS
from .true_maps import MAP_FAMILIES, functional_maps


def _write_maps(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m geospec.datasets maps", description="Write true functional maps to a file.")
    parser.add_argument("file", help="to write, safetensors")
    parser.add_argument("--count", type=int, default=48_000, help="number of maps")
    parser.add_argument("--modes", type=int, default=50, help="rows and columns of each")
    parser.add_argument("--families", nargs="+", choices=MAP_FAMILIES, default=MAP_FAMILIES, metavar="NAME", help=", ".join(MAP_FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--workers", type=int, default=0, help="processes")
    given = parser.parse_args(arguments)

    def report(stage: str, done: int, total: int) -> None:
        print(f"\r{stage}: {done} of {total} ", end="" if done < total else "\n", file=sys.stderr, flush=True)

    made = functional_maps(
        given.count,
        k=given.modes,
        families=given.families,
        seed=given.seed,
        split=given.split,
        workers=given.workers,
        progress=report,
    )
    made.save(given.file)
    print(given.file)


def main(arguments: list[str]) -> None:
    """Run one of the two commands."""
    if arguments[:1] == ["maps"]:
        _write_maps(arguments[1:])
        return
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.exit("usage: python -m geospec.datasets FOLDER\n       python -m geospec.datasets maps FILE [--help]")
    for path in write_shipped(arguments[0]):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
