"""The matching pipeline beside pyFM, stage by stage, in one run; and errors on real pairs.

    python -m benchmarks.matching                             # speed and errors on the shipped pairs
    python -m benchmarks.matching speed  SOURCE TARGET        # two meshes of about 5k vertices
    python -m benchmarks.matching errors FOLDER [--every N]   # a collection with ground truth

Both sides get the same meshes, the same number of modes and descriptors, and the same schedule of ZoomOut.
Needs the extra ``bench`` (pyFM is ``pyfmaps`` on PyPI).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

import geospec
from geospec import maps
from geospec.datasets import ShapePair, load_pairs
from geospec.descriptors import paired_signatures
from geospec.reproductions.diffumatch.peer import K_FIT, N_DESCRIPTORS, K, wks_zoomout

from .machine import describe

SHIPPED = Path(__file__).resolve().parents[1] / "data"


@dataclass
class Run:
    """Seconds a stage, the point map that came out, and what the method itself says of it."""

    seconds: dict[str, float] = field(default_factory=dict)
    target_to_source: torch.Tensor | None = None
    numbers: dict[str, float] = field(default_factory=dict)

    def stage(self, name: str, work: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = work()
        self.seconds[name] = time.perf_counter() - start
        return result

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def pyfm_classic(source: geospec.Mesh, target: geospec.Mesh) -> Run:
    """pyFM as its documentation uses it: spectra, WKS, fit, ZoomOut with one mode a step."""
    run = Run()
    run.target_to_source = wks_zoomout(source, target, run.stage)
    return run


def ours_classic(source: geospec.Mesh, target: geospec.Mesh) -> Run:
    """The same steps by geospec: cotangent Laplacian, WKS, Laplacian mask with commuting descriptors, ZoomOut one mode a step."""
    run = Run()
    shapes = [geospec.Mesh(s.vertices / s.area.sqrt(), s.faces) for s in (source, target)]
    bases = run.stage("eigenbases", lambda: [geospec.LaplaceBasis.fit(shape, K, kind="cotangent") for shape in shapes])
    functions = run.stage("descriptors", lambda: paired_signatures(*bases, "wks", n=N_DESCRIPTORS))

    def fit() -> torch.Tensor:
        small = [basis.truncate(K_FIT) for basis in bases]
        spectra = {"source_eigenvalues": small[0].eigenvalues, "target_eigenvalues": small[1].eigenvalues}
        operators = tuple(maps.multiplication_operators(b, f) for b, f in zip(small, functions, strict=True))
        a, b = (basis.analyze(f) for basis, f in zip(small, functions, strict=True))
        return maps.solve_functional_map(a, b, commuting=operators, **spectra)

    first = run.stage("first map", fit)
    refined = run.stage("ZoomOut", lambda: maps.zoomout(first, *bases, k_final=K, step=1))
    run.seconds["point map"] = 0.0  # part of ZoomOut here
    run.target_to_source = refined.target_to_source
    return run


def ours_default(source: geospec.Mesh, target: geospec.Mesh, **options: str | None) -> Run:
    """``geospec.match`` with its defaults, or with these options."""
    start = time.perf_counter()
    match = geospec.match(source, target, **options)
    seconds = {name: value for name, value in match.record["seconds"].items() if name != "total"}
    seconds["other"] = time.perf_counter() - start - sum(seconds.values())
    return Run(seconds, match.target_to_source, {"mean_confidence": float(match.confidence.mean()), **match.record["numbers"]})


METHODS = {"pyFM classic": pyfm_classic, "geospec classic": ours_classic, "geospec.match": ours_default}


class Truth:
    """Geodesic error against the truth and its mirror, at up to ``n`` points of known correspondence."""

    def __init__(self, source: geospec.Mesh, pair: ShapePair, n: int) -> None:
        chosen = torch.randperm(len(pair.correspondence[0]), generator=torch.Generator().manual_seed(0))[:n]
        self.scale = 100 / source.area.sqrt()
        known = [pair.correspondence] if pair.symmetric is None else [pair.correspondence, pair.symmetric]
        # Distances from the true images on the source, and the target points that belong there.
        self.truths = [(geospec.geodesic_distances(source, s[chosen]), t[chosen]) for s, t in known]

    def errors(self, target_to_source: torch.Tensor) -> tuple[float, float]:
        """Mean x 100 over sqrt(area): direct, and the smaller of direct and mirrored."""
        means = [float((d.gather(1, target_to_source[points][:, None]) * self.scale).mean()) for d, points in self.truths]
        return means[0], min(means)


def speed(source_path: Path, target_path: Path, repeats: int) -> None:
    source, target = (geospec.load(path) for path in (source_path, target_path))
    names = f"{source_path.name} ({source.n_points} vertices) -> {target_path.name} ({target.n_points})"
    print(f"{names}, k = {K}, medians of {repeats} alternating runs in seconds")
    runs: dict[str, list[Run]] = {name: [] for name in METHODS}
    for method in METHODS.values():  # warm-up: imports, thread pools
        method(source, target)
    for _ in range(repeats):
        for name, method in METHODS.items():
            runs[name].append(method(source, target))
    for name, done in runs.items():
        stages = ", ".join(f"{stage} {statistics.median(r.seconds[stage] for r in done):.3g}" for stage in done[0].seconds)
        ratios = [a.total / b.total for a, b in zip(runs["pyFM classic"], done, strict=True)]
        total = statistics.median(r.total for r in done)
        ratio = f"pyFM is {statistics.median(ratios):.1f} x as long ({min(ratios):.1f} to {max(ratios):.1f})"
        print(f"  {name:16s} total {total:7.2f}  {ratio}  [{stages}]")


def errors(folder: Path, every: int, points: int, skip: set[str]) -> None:
    methods = {name: method for name, method in METHODS.items() if name not in skip}
    print("| pair | " + " | ".join(f"{name}: direct / symmetric" for name in methods) + " |\n| --- |" + " --- |" * len(methods))
    table: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for pair in list(load_pairs(folder))[::every]:
        source, target = pair.load()
        truth = Truth(source, pair, points)
        cells = []
        for name, method in methods.items():
            found = method(source, target).target_to_source
            assert found is not None
            table[name].append(truth.errors(found))
            cells.append("{:.1f} / {:.1f}".format(*table[name][-1]))
        print(f"| {pair.name} | " + " | ".join(cells) + " |", flush=True)
    for label, summary in (("mean", np.mean), ("median", np.median)):
        cells = ["{:.2f} / {:.2f}".format(*summary(np.array(rows), axis=0)) for rows in table.values()]
        print(f"| **{label}** | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb")
    fast = verbs.add_parser("speed", help="seconds a stage, medians and ratios")
    fast.add_argument("source", type=Path)
    fast.add_argument("target", type=Path)
    fast.add_argument("--repeats", type=int, default=3)
    right = verbs.add_parser("errors", help="geodesic errors over a collection")
    right.add_argument("folder", type=Path)
    right.add_argument("--every", type=int, default=1, help="take every n-th pair")
    right.add_argument("--points", type=int, default=500, help="points of known correspondence to measure at")
    right.add_argument("--skip", action="append", default=[], choices=sorted(METHODS), help="leave a method out")
    options = parser.parse_args()
    print(describe(("pyfmaps", "scipy", "numpy")))
    if options.verb is None:
        speed(SHIPPED / "quadruped-a.ply", SHIPPED / "quadruped-b.ply", repeats=3)
        errors(SHIPPED, every=1, points=500, skip=set())
    elif options.verb == "speed":
        speed(options.source, options.target, options.repeats)
    else:
        errors(options.folder, options.every, options.points, set(options.skip))


if __name__ == "__main__":
    main()
