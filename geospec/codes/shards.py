"""Shards: tar files that hold many shape codes each, laid out as WebDataset wants them.

A shape of key ``k`` is two members in a row: ``k.gsc``, the bytes of its code file, and ``k.json``, its record: where it came from. All
else in a header is fixed, so equal shapes in equal order make equal files. A shard is written aside and renamed: it is whole or not there.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, problem
from ..writing import written_aside
from .shape_code import ShapeCode

#: What the code files' names end in, inside a shard and outside.
CODE, RECORD = ".gsc", ".json"
_BLOCK = tarfile.BLOCKSIZE
_WANTED = "a shard of shape codes (.gsc and .json by turns, in a tar)"


@dataclass(frozen=True)
class Packed:
    """A shape on its way into a shard: its key, the bytes of its code, its record."""

    key: str
    code: bytes
    record: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a shape lies in a shard: first byte and number of bytes of its code and of its record."""

    key: str
    code: tuple[int, int]
    record: tuple[int, int]


def write_shard(path: str | os.PathLike[str], shapes: Iterable[Packed]) -> None:
    """Write a shard, in the order of ``shapes``, as they come. With no shape there is no file, and an older one is removed.

    Raises
    ------
    OSError : no space, no folder; an older shard is as it was.
    """
    shapes = iter(shapes)
    first = next(shapes, None)
    if first is None:
        Path(path).unlink(missing_ok=True)
        return
    with written_aside(path) as aside, open(aside, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for shape in chain([first], shapes):
                for suffix, data in ((CODE, shape.code), (RECORD, json.dumps(shape.record).encode())):
                    head = tarfile.TarInfo(shape.key + suffix)
                    head.size = len(data)
                    tar.addfile(head, io.BytesIO(data))
        file.flush()
        os.fsync(file.fileno())


def read_places(path: str | os.PathLike[str]) -> list[Place]:
    """Where the shapes of a shard lie, in its order. Reads the headers only: about 0.05 ms a shape.

    Raises
    ------
    FileNotFoundError : no such file. FileFormatError : not a tar, cut short or damaged between its members, or one that holds other things.
    """
    try:
        with open(path, "rb") as file:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                members = tar.getmembers()
            end = members[-1].offset_data + -(-members[-1].size // _BLOCK) * _BLOCK if members else 0
            file.seek(end)
            rest = file.read()
    except tarfile.TarError as cause:
        raise FileFormatError(problem(str(path), _WANTED, f"no tar, or one that is damaged ({cause})")) from cause
    if len(rest) < 2 * _BLOCK or any(rest):  # tarfile takes a missing end, and whatever follows a bad header, for the end
        raise FileFormatError(problem(str(path), _WANTED, f"one that is cut short or damaged after {end:,} bytes"))
    return _paired(path, members)


def read_bytes(path: str | os.PathLike[str], place: tuple[int, int]) -> bytes:
    """The bytes of a member.

    Raises
    ------
    FileFormatError : the shard has become shorter since its places were read.
    """
    begin, count = place
    with open(path, "rb") as file:
        file.seek(begin)
        data = file.read(count)
    if len(data) != count:
        raise FileFormatError(
            problem(str(path), f"{count:,} bytes at {begin:,}", f"{len(data):,}", "the shard changed after it was opened")
        )
    return data


def read_record(path: str | os.PathLike[str], place: Place) -> dict[str, Any]:
    """The record of a shape.

    Raises
    ------
    FileFormatError : it is not JSON, or not a record.
    """
    data = read_bytes(path, place.record)
    try:
        record = json.loads(data)
    except ValueError as cause:
        raise FileFormatError(problem(f"{path}: {place.key}{RECORD}", "a record in JSON", str(cause))) from cause
    if not isinstance(record, dict):
        raise FileFormatError(problem(f"{path}: {place.key}{RECORD}", "a record in JSON", type(record).__name__))
    return record


def file_of(code: ShapeCode, preset: str) -> bytes:
    """The bytes of a code's file."""
    stream = io.BytesIO()
    code.save(stream, preset)
    return stream.getvalue()


def code_of(data: bytes, name: str) -> ShapeCode:
    """The code in the bytes of a file.

    Raises
    ------
    FileFormatError : they are none, or damaged; ``name`` says where they stood.
    """
    stream = io.BytesIO(data)
    stream.name = name  # what an error calls it
    return ShapeCode.load(stream)


def _paired(path: str | os.PathLike[str], members: list[tarfile.TarInfo]) -> list[Place]:
    """Members two by two; anything else is another kind of tar."""
    places = []
    for code, record in zip(members[::2], members[1::2], strict=False):
        key = code.name.removesuffix(CODE)
        if code.name != key + CODE or record.name != key + RECORD or not (code.isfile() and record.isfile()):
            raise FileFormatError(problem(str(path), _WANTED, f"one with {code.name!r} and {record.name!r}"))
        places.append(Place(key, (code.offset_data, code.size), (record.offset_data, record.size)))
    if len(members) % 2:
        raise FileFormatError(problem(str(path), _WANTED, f"one that ends with {members[-1].name!r}"))
    return places
