"""The order of the steps: find the files, plan the shards, make those that are missing, list what became of each file."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...codes import encode
from ...codes.shards import file_of
from ...errors import ArgumentError, problem
from ...shapes import Mesh
from ...shapes.files import SUFFIXES
from ...shapes.grid import Grid
from .engines import on_cluster, on_this_machine
from .folder import CollectionFolder, Line, locked
from .task import ShardTask

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CollectionResult:
    """What :func:`encode_collection` gives.

    Attributes
    ----------
    folder : of the shards. shapes, shards : in it now. bytes : of all shards' codes.
    encoded : shapes that this run encoded. seconds : it took.
    failures : a line for each file that has no code, as in ``failures.jsonl``: its ``source``, the ``error``'s name and ``message``.
    """

    folder: Path
    shapes: int
    shards: int
    bytes: int
    encoded: int
    seconds: float
    failures: tuple[Line, ...]


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
    changed. The code of a file that has gone is kept. A file that cannot be encoded is listed with the reason, and the others go on.

    Parameters
    ----------
    source : a folder, read with all below it but what is hidden, or files. out : the folder of shards, made where it is absent; its parent
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
    ArgumentError : nothing to encode, options that cannot encode a tetrahedron, other options or another source than the folder was begun
        with. GeospecError : another run writes to it; workers that die again and again. MissingDependencyError : a ``cluster`` without
        ``distributed``. OSError : what cannot be written, as on a full disk. Whole shards are left in any case, and the same call goes on.

    Cost: that of :func:`geospec.encode` and :func:`geospec.load` for each file, and about 3 s for each worker to start.
    """
    start = time.perf_counter()
    _check_numbers(workers=workers, shard_size=shard_size)
    folder = Path(out).absolute()
    sources, unreadable = _found(source, folder)
    encoding = _tried(options, preset)
    reading = {"triangulate": triangulate, "repair": list(repair)}
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(problem("out", "a folder", f"the file {folder}"))
    folder.mkdir(exist_ok=True)
    root = str(Path(source).absolute()) if isinstance(source, (str, os.PathLike)) else None
    with locked(folder):
        state = CollectionFolder(folder, {"source": root, **reading, "preset": preset, **encoding})
        state.add(sources, shard_size)
        tasks = _tasks(state, retry, reading, encoding, preset)
        state.write_lists(unreadable)
        done = _Count(sum(map(len, state.plan.values())), tasks, progress)
        before = len(state.entries)
        results = on_this_machine(tasks, workers, done.watch) if cluster is None else on_cluster(tasks, cluster, done.watch)
        with closing(results):
            for result in results:
                state.note(result.entries, result.failures)
        state.write_lists(unreadable)
    shards = {line["shard"] for line in state.entries.values()}
    return CollectionResult(
        folder,
        len(state.entries),
        len(shards),
        sum(line["bytes"] for line in state.entries.values()),
        len(state.entries) - before,
        time.perf_counter() - start,
        (*state.failures.values(), *unreadable),
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


def _found(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], out: Path) -> tuple[dict[str, str], list[Line]]:
    """Files by name, in order: below a folder the path from there, else the whole path. And lines for those whose suffix says no shape."""
    if isinstance(source, (str, os.PathLike)):
        root = Path(source).absolute()
        if not root.is_dir():
            raise ArgumentError(problem("source", "a folder, or a list of files", str(source), "geospec.encode takes one shape"))
        files = {path.relative_to(root).as_posix(): str(path) for path in _below(root, out)}
    else:
        files = {path.as_posix(): str(path) for path in (Path(name).absolute() for name in source)}
    files = dict(sorted(files.items()))
    shapes = {name: path for name, path in files.items() if Path(name).suffix.lower() in SUFFIXES}
    if not shapes:
        raise ArgumentError(problem("source", "shapes: " + ", ".join(SUFFIXES), f"none among {len(files)} files"))
    wanted = "a file that ends in " + ", ".join(SUFFIXES)
    others = [
        {"key": None, "source": name, "shard": None, "error": "FileFormatError", "message": problem(name, wanted, repr(Path(name).suffix))}
        for name in files
        if name not in shapes
    ]
    return shapes, others


def _below(root: Path, out: Path) -> Iterator[Path]:
    """Files of a folder and of those in it, and links that lead nowhere; without hidden ones, pipes and devices, and without ``out``."""
    for here, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and Path(here, name) != out]
        paths = [Path(here, name) for name in files if not name.startswith(".")]
        yield from (path for path in paths if path.is_file() or not path.exists())


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
