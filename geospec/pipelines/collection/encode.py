"""The order of the steps: find the files, plan the shards, make those that are missing, list what became of each file."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...codes import encode
from ...codes.shards import file_of
from ...errors import ArgumentError, problem
from ...shapes import Mesh
from ...shapes.grid import Grid
from .engines import on_cluster, on_this_machine
from .folder import CollectionFolder, Line, locked
from .sources import find_sources
from .task import ShardTask

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CollectionResult:
    """What :func:`encode_collection` gives.

    Attributes
    ----------
    folder : of the shards. shapes, shards : in it now. bytes : of all shards' codes.
    encoded : shapes that this run encoded. seconds : it took.
    failures : a line for each shape that has no code and each folder that was not read, as in ``failures.jsonl``: its ``source``, the
        ``error``'s name and ``message``. others : names of files whose suffix says no shape; they are in ``failures.jsonl`` too.
    """

    folder: Path
    shapes: int
    shards: int
    bytes: int
    encoded: int
    seconds: float
    failures: tuple[Line, ...]
    others: tuple[str, ...]


def encode_collection(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    workers: int = 1,
    cluster: str | None = None,
    shard_size: int = 64,
    retry: bool = False,
    triangulate: bool = False,
    repair: Sequence[str] = (),
    preset: str = "near-lossless",
    progress: Progress | None = None,
    **options: Any,
) -> CollectionResult:
    """Encode all shapes of a folder into shards, tar files of many codes each. A run that was killed goes on where it stopped.

    A shape is done once: not again if its file is as it was (by size and time, else by sha256), and again, in its place, if the file has
    changed. The code of a file that has gone is kept. What cannot be encoded is listed with the reason, a linked folder too, and the others
    go on. A folder is gone on with by the version of geospec that began it, so that it never mixes two encoders.

    Parameters
    ----------
    source : a folder, read with all below it but what is hidden, or files: meshes, clouds with normals, distance fields (``.npz``, which
        bring their own grid and truncation). out : the folder of shards, made where it is absent; its parent
        has to be there.
    workers : processes on this machine, on one thread each. One that dies (of memory, of a crash) is replaced; a file at which two
        die is listed as failed.
    cluster : address of a Dask scheduler whose workers encode instead; they see ``source`` and ``out`` under the same paths.
    shard_size : shapes in a shard, the unit of work: what is lost with a worker is at most that.
    retry : try the files again that failed; changed ones are always tried.
    triangulate, repair : see :func:`geospec.load`. preset : see :meth:`geospec.ShapeCode.save`. options : of :func:`geospec.encode`.
    progress : told the stage, the shapes that are behind and all there are.

    Raises
    ------
    ArgumentError : nothing to encode, options that cannot encode a tetrahedron, other options, another source or another geospec than the
        folder was begun with. GeospecError : another run writes to it; workers that die again and again. MissingDependencyError : a
        ``cluster`` without ``distributed``. OSError : a source that cannot be read, or what cannot be written, as on a full disk. Whole
        shards are left in any case, and the same call goes on.

    Cost: that of :func:`geospec.encode` and :func:`geospec.load` for each file, and about 2 s until the first worker is there.
    """
    start = time.perf_counter()
    _check_numbers(workers=workers, shard_size=shard_size)
    folder = Path(out).absolute()
    found = find_sources(source, folder)
    encoding = _tried(options, preset)
    reading = {"triangulate": triangulate, "repair": list(repair)}
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(problem("out", "a folder", f"the file {folder}"))
    folder.mkdir(exist_ok=True)
    root = str(Path(source).absolute()) if isinstance(source, (str, os.PathLike)) else None
    with locked(folder):
        state = CollectionFolder(folder, {"source": root, **reading, "preset": preset, **encoding})
        state.add(found.shapes, shard_size)
        tasks = _tasks(state, retry, reading, encoding, preset)
        state.write_lists([*found.unread, *found.others])
        done = _Count(sum(map(len, state.plan.values())), tasks, progress)
        before = len(state.entries)
        results = on_this_machine(tasks, workers, done.watch) if cluster is None else on_cluster(tasks, cluster, done.watch)
        with closing(results):
            for result in results:
                state.note(result.entries, result.failures)
        state.write_lists([*found.unread, *found.others])
    shards = {line["shard"] for line in state.entries.values()}
    return CollectionResult(
        folder,
        len(state.entries),
        len(shards),
        sum(line["bytes"] for line in state.entries.values()),
        len(state.entries) - before,
        time.perf_counter() - start,
        (*state.failures.values(), *found.unread),
        tuple(line["source"] for line in found.others),
    )


class _Count:
    """Shapes that are behind, from what is told of each task: a task that is done again counts again from its begin."""

    def __init__(self, total: int, tasks: Sequence[ShardTask], progress: Progress | None) -> None:
        self.total, self.progress = total, progress
        self.done = total - sum(len(task.shapes) for task in tasks)
        self.at: dict[str, int] = {}

    def watch(self, task: ShardTask, behind: int) -> None:
        self.done += behind - self.at.get(task.path, 0)
        self.at[task.path] = behind
        if self.progress is not None:
            self.progress("encoding", self.done, self.total)


def _check_numbers(**numbers: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(problem(name, "a whole number, at least 1", repr(value)))


def _tried(options: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """All options of :func:`geospec.encode`, with its defaults, after a tetrahedron has been encoded and its code packed by them."""
    defaults = {name: p.default for name, p in inspect.signature(encode).parameters.items() if name != "shape"}
    unknown = [name for name in options if name not in defaults]
    if unknown:
        raise ArgumentError(problem("options", "those of geospec.encode: " + ", ".join(defaults), ", ".join(unknown)))
    every = {**defaults, **options}
    if isinstance(every["resolution"], Grid):
        raise ArgumentError(problem("resolution", "a number of cells", "a Grid", "each shape of a collection has a box of its own"))
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    file_of(encode(Mesh(corners, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])), **every), preset)
    return every


def _tasks(state: CollectionFolder, retry: bool, reading: dict[str, Any], encoding: dict[str, Any], preset: str) -> list[ShardTask]:
    """The shards that lack a shape, or hold one that changed."""
    tasks = []
    for shard, shapes in state.plan.items():
        todo = state.todo(shard, retry)
        if todo:
            state.forget(todo)
            tasks.append(ShardTask(str(state.path / shard), tuple(shapes), todo, reading, encoding, preset))
    return tasks
