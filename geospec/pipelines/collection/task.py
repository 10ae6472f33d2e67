"""The unit of work of a collection: one shard, made whole, whoever makes it and however often."""

from __future__ import annotations

import hashlib
import json
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ... import __version__
from ...codes import encode
from ...codes.inputs import load_shape_or_field
from ...codes.shards import Packed, file_of, read_bytes, read_places, read_record, write_shard
from ...errors import GeospecError, problem
from ...shapes import DistanceField, Mesh, PointCloud
from ...writing import written_aside

#: A file at which so many workers have died is given up.
MOST_DEATHS = 2
#: Told of the number of shapes of the shard that are behind.
Moved = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """A file to encode: the key of its code, the name it is known by, and where it is."""

    key: str
    name: str
    path: str


@dataclass(frozen=True)
class ShardTask:
    """A shard to make.

    Parameters
    ----------
    path : the shard, absolute: whoever makes it sees the same folder. shapes : all that belong to it, in order.
    todo : keys of those to encode; the codes of others are taken from the shard as it is, if they are in it.
    reading, encoding : options of :func:`geospec.codes.inputs.load_shape_or_field` and :func:`geospec.encode`. preset : of the code files.
    version : of the geospec that asks for it.
    """

    path: str
    shapes: tuple[Source, ...]
    todo: frozenset[str]
    reading: dict[str, Any]
    encoding: dict[str, Any]
    preset: str
    version: str = __version__


@dataclass(frozen=True)
class ShardResult:
    """What became of a task: a line of the manifest for each shape encoded, and a line for each that failed."""

    path: str
    entries: list[dict[str, Any]]
    failures: list[dict[str, Any]]


def encode_shard(task: ShardTask, moved: Moved | None = None) -> ShardResult:
    """Make a shard on one thread.

    What goes wrong with a file is told in the result. To make a shard again gives the same bytes; so a worker that dies costs time only.

    Raises
    ------
    OSError : the shard cannot be written. FileFormatError : the shard that is to be completed is damaged. GeospecError : the worker has
    another version of geospec.
    """
    if task.version != __version__:
        raise GeospecError(problem("workers", f"geospec {task.version}, as it is where the run was started", __version__))
    torch.set_num_threads(1)
    marker = DeathMarker(Path(task.path))
    result = ShardResult(task.path, [], [])
    write_shard(task.path, _shapes(task, marker, result, moved or (lambda done: None)))
    marker.remove()
    return result


def sizes(path: str | os.PathLike[str]) -> dict[str, int]:
    """What tells at a glance that a file is another: its size and its time of change."""
    status = os.stat(path)
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def digest(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DeathMarker:
    """A file beside a shard that says which source is at hand. A worker that dies leaves it; the next one to make the shard counts."""

    def __init__(self, shard: Path) -> None:
        self.path = shard.with_name(f".{shard.name}.at")
        self._deaths: Counter[str] = Counter()
        if self.path.exists():
            left = json.loads(self.path.read_text())
            self._deaths.update(left["deaths"])
            self._deaths[left["at"]] += 1

    def deaths(self, key: str) -> int:
        """How many workers died at a source."""
        return self._deaths[key]

    def at(self, key: str) -> None:
        """Say that a source is begun."""
        with written_aside(self.path) as aside:
            aside.write_text(json.dumps({"at": key, "deaths": self._deaths}))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _shapes(task: ShardTask, marker: DeathMarker, result: ShardResult, moved: Moved) -> Iterator[Packed]:
    """The shapes of a shard, encoded as they are asked for or taken from the shard as it was."""
    path = Path(task.path)
    older = {place.key: place for place in read_places(path)} if path.exists() else {}
    for done, source in enumerate(task.shapes):
        moved(done)
        if source.key in task.todo:
            marker.at(source.key)
            shape = _encoded(task, source, marker.deaths(source.key), result)
            if shape is not None:
                yield shape
        elif source.key in older:
            place = older[source.key]
            yield Packed(source.key, read_bytes(path, place.code), read_record(path, place))


def _encoded(task: ShardTask, source: Source, deaths: int, result: ShardResult) -> Packed | None:
    """A source's code; or ``None``, and why."""
    start = time.perf_counter()
    record: dict[str, Any] = {"key": source.key, "source": source.name}
    shard = os.path.basename(task.path)
    try:
        record |= sizes(source.path)
        if deaths >= MOST_DEATHS:
            raise GeospecError(
                problem(source.name, "a shape that can be encoded", f"the death of {deaths} workers, of a crash or of memory")
            )
        record["sha256"] = digest(source.path)
        shape = load_shape_or_field(source.path, **task.reading)
        code = encode(shape, **task.encoding)
        data = file_of(code, task.preset)
    except Exception as cause:  # whatever it is, the other files go on; the log has it
        failure = {**record, "shard": shard, "error": type(cause).__name__, "message": str(cause)}
        if not isinstance(cause, (GeospecError, OSError)):
            failure["traceback"] = traceback.format_exc()
        result.failures.append(failure)
        return None
    record |= {**_extent(shape), "trees": code.k}
    seconds = round(time.perf_counter() - start, 3)
    result.entries.append({**record, "shard": shard, "bytes": len(data), "seconds": seconds})
    return Packed(source.key, data, record)


def _extent(shape: Mesh | PointCloud | DistanceField) -> dict[str, Any]:
    """How large a shape is, for its record."""
    if isinstance(shape, DistanceField):
        return {"cells": list(shape.values.shape)}
    return {"points": shape.n_points, "faces": len(shape.faces) if isinstance(shape, Mesh) else 0}
