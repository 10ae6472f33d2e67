"""A collection by one worker, by two, by two of which one is killed in the middle, and by a Dask cluster of two.

    python -m benchmarks.collection ROOM                                # a thousand solids at 128^3
    python -m benchmarks.collection ROOM --shapes 60 --shard-size 4   # a quick look

ROOM keeps the meshes for the next time. All runs have to write the same bytes. Beside the wall time stands the sum of the shapes' own
seconds over cores and wall time: what is not lost to starting, waiting and writing. The last row needs the extra ``distributed``. A
solid costs 0.13 s of one core, and all runs together those of 2.5 workers alone: on two quiet cores about 6 minutes for a thousand.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

import geospec
from geospec.datasets.solids import solids
from geospec.pipelines import CollectionResult, encode_collection

from .machine import describe

#: What two workers have to reach over one.
WANTED = 1.8
HEADINGS = ("wall time", "first shape", "at work", "speed-up", "shapes", "failures")
_ROW = "{:<24}" + len(HEADINGS) * "{:>12}"


@dataclass(frozen=True)
class Measured:
    """A run: its wall time, the time until the first shape was begun, and its result."""

    seconds: float
    start: float
    result: CollectionResult

    def row(self, name: str, cores: int, one: float) -> str:
        """A line of the table."""
        lines = [json.loads(line) for line in (self.result.folder / "manifest.jsonl").read_text().splitlines()]
        busy = sum(line["seconds"] for line in lines) / cores / self.seconds
        times = (f"{self.seconds:.1f} s", f"{self.start:.1f} s", f"{100 * busy:.0f} %", f"{one / self.seconds:.2f}")
        return _ROW.format(name, *times, f"{self.result.shapes:,}", len(self.result.failures))


def made(room: Path, count: int) -> Path:
    """A folder of so many solids, as PLY files."""
    folder = room / f"meshes-{count}"
    if not folder.is_dir():
        aside = room / f"meshes-{count}.partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for i, mesh in enumerate(track(solids(count, resolution=48), "making meshes", count)):
            geospec.save(mesh, aside / f"{i:04d}.ply")
        aside.rename(folder)
    return folder


def measured(meshes: Path, out: Path, during: Callable[[int, int], None] | None = None, **options: Any) -> Measured:
    """Encode into an empty folder; ``during(done, total)`` is called along the way."""
    shutil.rmtree(out, ignore_errors=True)
    begun = time.perf_counter()
    first: list[float] = []

    def progress(_: str, done: int, total: int) -> None:
        if not first:
            first.append(time.perf_counter() - begun)
        if during is not None:
            during(done, total)

    result = encode_collection(meshes, out, progress=progress, **options)
    return Measured(time.perf_counter() - begun, first[0], result)


def killer() -> Callable[[int, int], None]:
    """Kills one worker of this process when half of the shapes are behind."""
    killed: list[int] = []

    def during(done: int, total: int) -> None:
        if not killed and 2 * done >= total:
            killed.append(multiprocessing.active_children()[0].pid or 0)
            os.kill(killed[0], signal.SIGKILL)

    return during


def local_cluster() -> Any:
    """Two Dask workers of one thread, or ``None`` without Dask."""
    try:
        from distributed import LocalCluster
    except ImportError:
        return None
    return LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)


def shards(result: CollectionResult) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(result.folder.glob("*.tar"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", type=Path)
    parser.add_argument("--shapes", type=int, default=1000)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--shard-size", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    meshes = made(options.room, options.shapes)
    print(f"{options.shapes:,} solids at {options.resolution}^3, {options.shard_size} in a shard; {describe(('distributed',))}\n")
    first = measured(made(options.room, 1), options.room / "first", resolution=options.resolution)
    print(f"The first worker of a process begins after {first.start:.1f} s, for imports; those below come later.\n")
    print(_ROW.format("", *HEADINGS), flush=True)
    runs: dict[str, Measured] = {}

    def run(name: str, cores: int, **rest: Any) -> None:
        rest |= {"resolution": options.resolution, "shard_size": options.shard_size}
        runs[name] = measured(meshes, options.room / name.replace(" ", "-"), **rest)
        print(runs[name].row(name, cores, next(iter(runs.values())).seconds), flush=True)

    run("one worker", 1)
    run("two workers", 2, workers=2)
    run("two workers, one killed", 2, workers=2, during=killer())
    with local_cluster() or nullcontext() as cluster:
        if cluster is not None:
            run("Dask, two workers", 2, cluster=cluster.scheduler_address)
    kept = shards(runs["one worker"].result)
    same = all(shards(each.result) == kept for each in runs.values())
    ratio = runs["one worker"].seconds / runs["two workers"].seconds
    print(f"\nThe bytes are {'the same' if same else 'NOT the same'}; two workers: {ratio:.2f} of {WANTED} asked.")


if __name__ == "__main__":
    main()
