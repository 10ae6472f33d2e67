"""What a folder of shards remembers: its options, its plan, what is done and what failed. All of it survives a kill at any moment."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ... import __version__
from ...codes.shards import read_places, read_record
from ...errors import ArgumentError, FileFormatError, GeospecError, problem
from ...writing import written_aside
from .task import Source, digest, sizes

_VERSION = 1
_HEADER, _PLAN, MANIFEST, FAILURES = "collection.json", "plan.jsonl", "manifest.jsonl", "failures.jsonl"

Line = dict[str, Any]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within the block this is the only run that writes to the folder. What is half-written, by this run or a killed one, is removed.

    Raises
    ------
    GeospecError : another run is at it.
    """
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GeospecError(problem("out", "a folder that no other run writes to", str(folder), "wait for it to end")) from None
        _sweep(folder)
        try:
            yield
        finally:
            _sweep(folder)


def _sweep(folder: Path) -> None:
    for pattern in (".*.partial", ".*.at"):
        for left in folder.glob(pattern):
            left.unlink(missing_ok=True)


def failure_of(source: str, cause: Exception) -> Line:
    """The line of a file or folder that is in no shard."""
    return {"key": None, "source": source, "shard": None, "error": type(cause).__name__, "message": str(cause)}


class CollectionFolder:
    """The state of a folder of shards.

    ``collection.json`` holds the version and the options, ``plan.jsonl`` which shapes belong to which shard; both are written aside.
    ``manifest.jsonl`` and ``failures.jsonl`` grow by the lines of each shard that is finished. The shards themselves have the last word:
    a shape is done when its shard is there.

    Parameters
    ----------
    path : an existing folder, empty or begun earlier with the same ``options``.

    Raises
    ------
    ArgumentError : it was begun with other options or by another version, or holds other files. FileFormatError : its lists are damaged.
    """

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        self.path = path
        self._begin(json.loads(json.dumps(options)))
        self.plan: dict[str, list[Source]] = {}
        for line in _read_lines(path / _PLAN, "shard", "shapes"):
            self.plan[line["shard"]] = [Source(*shape) for shape in line["shapes"]]
        there = set(os.listdir(path))
        self.entries = {line["key"]: line for line in _read_lines(path / MANIFEST, "key", "shard", "bytes") if line["shard"] in there}
        self.failures = {line["key"]: line for line in _read_lines(path / FAILURES, "key", "source") if line["key"] is not None}
        self._take_in_unlisted()

    def add(self, sources: Mapping[str, str], shard_size: int) -> None:
        """Plan new shards for those files ``{name: path}`` that are in none yet; the others' paths may have changed."""
        known = {shape.name for shapes in self.plan.values() for shape in shapes}
        self.plan = {
            shard: [Source(shape.key, shape.name, sources.get(shape.name, shape.path)) for shape in shapes]
            for shard, shapes in self.plan.items()
        }
        keys = {shape.key for shapes in self.plan.values() for shape in shapes}
        new = [Source(_new_key(name, keys), name, path) for name, path in sources.items() if name not in known]
        first = len(self.plan)
        for i in range(0, len(new), shard_size):
            self.plan[f"{first + i // shard_size:06d}.tar"] = new[i : i + shard_size]
        lines = ({"shard": shard, "shapes": [[s.key, s.name, s.path] for s in shapes]} for shard, shapes in self.plan.items())
        _write_lines(self.path / _PLAN, lines)

    def todo(self, shard: str, retry: bool) -> frozenset[str]:
        """Keys of a shard's shapes that are to be encoded: not done, changed since, or, on ``retry``, failed."""
        return frozenset(shape.key for shape in self.plan[shard] if self._wanted(shape, retry))

    def forget(self, keys: Iterable[str]) -> None:
        """Take shapes out of the lists because they are done again: until then, only their shard knows of them."""
        for key in keys:
            self.entries.pop(key, None)
            self.failures.pop(key, None)

    def note(self, entries: Sequence[Line], failures: Sequence[Line]) -> None:
        """Append what became of a shard to the lists."""
        for lines, known, name in ((entries, self.entries, MANIFEST), (failures, self.failures, FAILURES)):
            known.update((line["key"], line) for line in lines)
            with open(self.path / name, "a") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)

    def write_lists(self, unreadable: Iterable[Line]) -> None:
        """Write the lists again, in the order of the plan, without lines that others have replaced; and those of files never planned."""
        order = [shape.key for shapes in self.plan.values() for shape in shapes]
        _write_lines(self.path / MANIFEST, (self.entries[key] for key in order if key in self.entries))
        failed = [self.failures[key] for key in order if key in self.failures]
        _write_lines(self.path / FAILURES, [*failed, *unreadable])

    def _begin(self, options: dict[str, Any]) -> None:
        header = self.path / _HEADER
        if not header.exists():
            strange = next((name for name in sorted(os.listdir(self.path)) if not name.startswith(".")), None)
            if strange is not None:
                raise ArgumentError(problem("out", "an empty folder, or one of shards", f"{self.path}, which holds {strange}"))
            with written_aside(header) as aside:
                what = {"geospec": "collection", "version": _VERSION, "begun_by": __version__}
                aside.write_text(json.dumps({**what, **options}, indent=2) + "\n")
            return
        try:
            begun = json.loads(header.read_text())
            kind = (begun.pop("geospec", None), begun.pop("version", None))
        except (ValueError, AttributeError) as cause:
            raise FileFormatError(problem(str(header), "the options of a collection", f"no JSON object ({cause})")) from cause
        if kind != ("collection", _VERSION):
            raise FileFormatError(problem(str(header), f"a collection, version {_VERSION}", kind))
        by = begun.pop("begun_by", "an unknown version")
        if by != __version__:
            hint = "go on with that version, or encode into another folder: one of two versions would mix their codes"
            raise ArgumentError(problem("out", f"a folder begun by geospec {__version__}, as this is", f"{self.path}, begun by {by}", hint))
        for name in begun | options:
            if begun.get(name) != options.get(name):
                hint = "give the same again, or another folder"
                raise ArgumentError(problem(name, f"{begun.get(name)!r}, as {self.path} was begun", repr(options.get(name)), hint))

    def _take_in_unlisted(self) -> None:
        """Entries of shapes in shards that were finished as a run was killed, before their lines were written. Their seconds are lost."""
        for shard, shapes in self.plan.items():
            path = self.path / shard
            if all(shape.key in self.entries or shape.key in self.failures for shape in shapes) or not path.exists():
                continue
            for place in read_places(path):
                if place.key not in self.entries:
                    self.entries[place.key] = {**read_record(path, place), "shard": shard, "bytes": place.code[1], "seconds": None}

    def _wanted(self, shape: Source, retry: bool) -> bool:
        line = self.entries.get(shape.key) or self.failures.get(shape.key)
        if line is None or (retry and shape.key in self.failures):
            return True
        return _changed(shape.path, line)


def _changed(path: str, line: Line) -> bool:
    """Whether a file is another than the one that a line tells of. One that has gone is not; nor is one that was only touched. One that
    cannot be read is, so that it is listed as failed, and is not once it has been."""
    try:
        now = sizes(path)
        if all(line.get(name) == value for name, value in now.items()):
            return False
        return "sha256" not in line or digest(path) != line["sha256"]
    except FileNotFoundError:
        return False
    except OSError:
        return "sha256" in line


def _new_key(name: str, keys: set[str]) -> str:
    """A key that no other shape has. WebDataset takes what follows the first dot of a name for its kind, so a key has none."""
    folder, _, last = name.rpartition("/")
    stem, _, suffix = last.rpartition(".")
    stem = "/".join(filter(None, [folder, stem.replace(".", "_")]))
    tries = iter([stem, f"{stem}_{suffix}"])
    number = 1
    while (key := next(tries, f"{stem}_{suffix}_{number}")) in keys:
        number += 1
    keys.add(key)
    return key


def _read_lines(path: Path, *names: str) -> list[Line]:
    """The lines of a list, which have these names. The last one may have been cut short by a kill: it is left out."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text().rpartition("\n")
    try:
        lines = [json.loads(line) for line in whole.splitlines()]
        damaged = next((line for line in lines if not isinstance(line, dict) or not line.keys() >= set(names)), None)
    except ValueError as cause:
        damaged = cause
    if damaged is not None:
        raise FileFormatError(problem(str(path), f"JSON objects with {', '.join(names)}, one a line", damaged))
    return lines


def _write_lines(path: Path, lines: Iterable[Line]) -> None:
    with written_aside(path) as aside, open(aside, "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
