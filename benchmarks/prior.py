"""Errors of matching on real pairs with ground truth, method by method, kept line by line so that a table can be taken up again.

    python -m benchmarks.prior DATA --keep results.jsonl --methods pyfm,fast,best   # measure what is missing, then print the table
    python -m benchmarks.prior DATA --keep results.jsonl --methods pyfm,fast,best --table   # print the table of what is there

DATA holds the folders of :data:`COLLECTIONS`. A pair that a method gives up on is kept with the message and counted in the table.
Needs the extra ``bench`` (pyFM is ``pyfmaps`` on PyPI).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import track

from geospec.datasets import ShapePair, load_pairs
from geospec.errors import GeospecError
from geospec.reproductions.diffumatch.shapes import turned

from .machine import describe
from .matching import Run, Truth, ours_default, pyfm_classic


@dataclass(frozen=True)
class Collection:
    """A folder with ground truth: every how many of its pairs are taken, whether both ways, and whether its shapes are isometric."""

    name: str
    folder: str
    every: int = 1
    both_ways: bool = False
    isometric: bool = True

    def pairs(self, data: Path) -> Iterator[ShapePair]:
        for pair in list(load_pairs(data / self.folder))[:: self.every]:
            yield pair
            if self.both_ways:
                yield turned(pair)


COLLECTIONS = (
    Collection("TOSCA", "tosca_animals", every=3),
    Collection("cat and lion", "pairs/cat_lion", both_ways=True, isometric=False),
    Collection("camel", "pairs/camel_gallop", every=3),
)
METHODS: dict[str, Callable[..., Run]] = {
    "pyfm": pyfm_classic,
    "no-prior": partial(ours_default, prior=None),
    "fast": partial(ours_default, quality="fast"),
    "best": partial(ours_default, quality="best"),
}
POINTS = 500
#: What stands in for the error where a method gave up: half the circumference of a round shape of unit area, x 100.
GIVEN_UP = 100 * math.sqrt(math.pi) / 2

Results = dict[tuple[str, str, str], dict]


def read(path: Path) -> Results:
    """What was measured before; the last line of a pair counts."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(row["method"], row["collection"], row["pair"]): row for row in map(json.loads, lines)}


def measure(data: Path, keep: Path, methods: list[str], collections: list[Collection]) -> None:
    """Run each method on each pair that the file does not have yet, and append a line at once."""
    done = read(keep)
    for collection in collections:
        for pair in track(list(collection.pairs(data)), collection.name):
            missing = [method for method in methods if (method, collection.name, pair.name) not in done]
            if not missing:
                continue
            source, target = pair.load()
            truth = Truth(source, pair, POINTS)
            for method in missing:
                row = {"method": method, "collection": collection.name, "pair": pair.name, **outcome(method, source, target, truth)}
                with keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


def outcome(method: str, source, target, truth: Truth) -> dict:
    """Errors, seconds and numbers of one run, or the message with which the method gave up."""
    start, cpu = time.perf_counter(), time.process_time()
    try:
        found = METHODS[method](source, target)
    except GeospecError as cause:
        return {"direct": GIVEN_UP, "symmetric": GIVEN_UP, **spent(start, cpu), "problem": str(cause)}
    seconds = spent(start, cpu)
    direct, symmetric = truth.errors(found.target_to_source)
    return {"direct": direct, "symmetric": symmetric, **seconds, "numbers": found.numbers}


def spent(start: float, cpu: float) -> dict[str, float]:
    """Wall and processor seconds since two readings of the clocks."""
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}


def table(results: Results, methods: list[str], collections: list[Collection]) -> Iterator[str]:
    """Lines of Markdown: mean, median and worst of each collection over the pairs that all methods have, and shares of pyFM's."""
    yield "| pairs | method | mean | median | 90 % | worst | mean, nearer of truth and mirror | mean / pyFM | CPU s a pair | gave up |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for collection in collections:
        groups: dict[str, set[str]] = {}
        for method, name, pair in results:
            if name == collection.name and method in methods:
                groups.setdefault(pair, set()).add(method)
        pairs = [pair for pair, found in groups.items() if found == set(methods)]
        if not pairs:
            continue
        for method in methods:
            rows = [results[method, collection.name, pair] for pair in pairs]
            direct = np.array([row["direct"] for row in rows])
            symmetric = np.mean([row["symmetric"] for row in rows])
            share = ""
            if "pyfm" in methods:
                share = f"{direct.mean() / np.mean([results['pyfm', collection.name, pair]['direct'] for pair in pairs]):.2f}"
            numbers = [direct.mean(), np.median(direct), np.quantile(direct, 0.9), direct.max(), symmetric]
            seconds = f"{np.median([row['cpu_seconds'] for row in rows]):.1f}"
            gave_up = str(sum("problem" in row for row in rows))
            cells = [f"{collection.name} ({len(pairs)})", method, *(f"{x:.2f}" for x in numbers), share, seconds, gave_up]
            yield "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds " + ", ".join(c.folder for c in COLLECTIONS))
    parser.add_argument("--keep", type=Path, required=True, help="file of results, one JSON object a line; made or added to")
    parser.add_argument("--methods", default="pyfm,fast", help="of " + ", ".join(METHODS))
    parser.add_argument("--only", help="collections, by name, separated by commas")
    parser.add_argument("--every", type=int, help="take every n-th pair of every collection instead of the usual share")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the table")
    options = parser.parse_args()
    methods = options.methods.split(",")
    if unknown := [name for name in methods if name not in METHODS]:
        parser.error(f"--methods: unknown {', '.join(unknown)}; there are {', '.join(METHODS)}")
    names = None if options.only is None else options.only.split(",")
    chosen = [collection for collection in COLLECTIONS if names is None or collection.name in names]
    if options.every is not None:
        chosen = [replace(collection, every=options.every) for collection in chosen]
    if not options.table:
        measure(options.data, options.keep, methods, chosen)
    print(describe(("pyfmaps", "scipy", "numpy")))
    for line in table(read(options.keep), methods, chosen):
        print(line)


if __name__ == "__main__":
    main()
