"""Tables of places with something measured there: CSV and npz of a user's own."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ArgumentError, FileFormatError, problem
from ..ops import lonlat_to_xyz

#: What columns of longitude and latitude are called where the user does not say.
LONGITUDES, LATITUDES = ("lon", "longitude", "lng", "long"), ("lat", "latitude")

#: The first line with something on it, quoted ends of lines included; and a quoted cell, which begins where a cell does.
_QUOTED = r'(?<![^,;\t\r\n])"(?:[^"]|"")*"'
_HEADER = re.compile(rf"\s*((?:{_QUOTED}|[^\r\n])*)")

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class LocationTable:
    """Places with targets.

    ``lon (n,)`` and ``lat (n,)`` are float64, in degrees; ``targets`` is float32 ``(n, c)``, or int64 class numbers ``(n,)`` where
    ``classes`` holds the names of the classes, else ``None``; ``names`` are those of the targets.
    """

    lon: Tensor
    lat: Tensor
    targets: Tensor
    names: tuple[str, ...]
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.lon)

    @property
    def xyz(self) -> Tensor:
        """Unit vectors ``(n, 3)`` float32."""
        return lonlat_to_xyz(self.lon, self.lat).float()


def read_location_table(
    path: str | os.PathLike[str],
    *,
    lon: str | None = None,
    lat: str | None = None,
    targets: str | Sequence[str] | None = None,
    classes: bool = False,
) -> LocationTable:
    """Read longitudes, latitudes and targets from a table.

    A CSV file has a header; its cells are apart by commas, semicolons or tabs. An npz file has arrays ``(n,)`` by name.

    Parameters
    ----------
    lon, lat : names of the columns in degrees; by default ``lon``, ``longitude``, ``lng`` or ``long``, and ``lat`` or ``latitude``, in any
        case of letters. A longitude may be any number, by periodicity.
    targets : names of the columns to learn, or one name; by default all others.
    classes : the target's values are names of classes, even where all or some are numbers. A column of text alone always is. Classes are
        numbered in the order of their names, of numbers in that of the numbers. Numbers are told apart exactly, and a class has the name
        that the file gives the first of its rows.

    Raises
    ------
    FileNotFoundError : no such file. FileFormatError : neither CSV nor npz, a row of another width, a cell that is no finite number, a
        latitude out of range, a target beyond float32, each with its line. ArgumentError : no such column, one column for two things,
        classes in more than one target, a target that is everywhere the same, or is so once rounded to float32.
    """
    table = _Reader.of(Path(path))
    columns = table.columns
    east, north = table.places(lon, lat)
    given = (targets,) if isinstance(targets, str) else tuple(targets or ())
    chosen = given or tuple(name for name in columns if name not in (east, north))
    for name in chosen:
        if table.column("targets", name, ()) in (east, north):
            raise ArgumentError(problem("targets", "columns beside longitude and latitude", repr(name), "a copy of it may be learned"))
    if not chosen:
        raise ArgumentError(problem("targets", "a column beside longitude and latitude", "none", f"{path} has {', '.join(columns)}"))
    if len(set(chosen)) < len(chosen):
        raise ArgumentError(problem("targets", "each column once", ", ".join(chosen)))
    places = torch.from_numpy(table.numbers(east)), torch.from_numpy(table.numbers(north, 90.0))
    text = [name for name in chosen if table.is_text(name, classes)]
    if classes or text:
        if len(chosen) > 1:
            got = f"{len(chosen)} targets" + (f", of which {text[0]!r} is text" if text else "")
            raise ArgumentError(problem("targets", "one target where it is of classes", got, "name the one to learn"))
        found, names = table.classes(chosen[0])
        return LocationTable(*places, torch.from_numpy(found), chosen, names)
    values = np.stack([table.varying(name) for name in chosen], axis=1)
    return LocationTable(*places, torch.from_numpy(values), chosen)


def read_places(path: str | os.PathLike[str], *, lon: str | None = None, lat: str | None = None) -> tuple[Tensor, Tensor]:
    """Longitudes and latitudes ``(n,)`` of a table, float64 in degrees; other columns are passed over. See :func:`read_location_table`."""
    table = _Reader.of(Path(path))
    east, north = table.places(lon, lat)
    return torch.from_numpy(table.numbers(east)), torch.from_numpy(table.numbers(north, 90.0))


@dataclass(frozen=True)
class _Reader:
    """Columns of a file, and what its rows are called in messages."""

    path: Path
    columns: Columns
    lines: NDArray[np.int64] | None

    @classmethod
    def of(cls, path: Path) -> _Reader:
        """Of a file, by its suffix."""
        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path}")
        suffix = path.suffix.lower()
        if suffix not in (".csv", ".tsv", ".txt", ".npz"):
            raise FileFormatError(problem(str(path), "a table .csv, .tsv, .txt or .npz", path.suffix or "no suffix"))
        return cls(path, *(_npz_columns(path) if suffix == ".npz" else _csv_columns(path)))

    def places(self, lon: str | None, lat: str | None) -> tuple[str, str]:
        """The names of the columns of longitude and latitude."""
        east, north = self.column("lon", lon, LONGITUDES), self.column("lat", lat, LATITUDES)
        if east == north:
            raise ArgumentError(problem("lon and lat", "two columns", f"{east!r} for both"))
        return east, north

    def column(self, argument: str, name: str | None, usual: tuple[str, ...]) -> str:
        """The name of a column: as given, or one of the usual names."""
        if name is not None:
            if name in self.columns:
                return name
            raise ArgumentError(problem(argument, f"a column of {self.path}: {', '.join(self.columns)}", repr(name)))
        found = [column for column in self.columns if column.lower() in usual]
        if len(found) != 1:
            got = "none" if not found else " and ".join(found)
            hint = f"the file has {', '.join(self.columns)}; name the column"
            raise ArgumentError(problem(argument, f"one column called {' or '.join(usual)} in {self.path}", got, hint))
        return found[0]

    def is_text(self, name: str, mixed: bool) -> bool:
        """Whether a column holds words. Words among numbers are refused where they may not be ``mixed``: one of the two is a slip."""
        column = self.columns[name]
        if column.dtype.kind in "fiub":
            return False
        words = np.array([bool(cell) and _number(cell) is None for cell in column])
        numbers = int((~words).sum() - (column == "").sum())
        if words.any() and numbers and not mixed:
            row = int(words.argmax())
            hint = "of classes the caller has to say that they are classes"
            raise FileFormatError(problem(self._cell(name, row), f"a number, as in {numbers} other rows", repr(column[row]), hint))
        return bool(words.any())

    def numbers(self, name: str, bound: float = math.inf) -> NDArray[np.float64]:
        """A column as finite float64 of size at most ``bound``."""
        column = self.columns[name]
        if column.dtype.kind in "fiub":
            values = column.astype(np.float64)
        else:
            values = np.array([math.nan if (read := _number(cell)) is None else read for cell in column], dtype=np.float64)
        off = np.flatnonzero(~(np.isfinite(values) & (np.abs(values) <= bound)))
        if len(off):
            wanted = "a finite number" if bound == math.inf else f"a number from {-bound:g} to {bound:g}"
            cell = column[off[0]]
            raise FileFormatError(problem(self._cell(name, int(off[0])), wanted, repr(cell) if isinstance(cell, str) else f"{cell:g}"))
        return values

    def varying(self, name: str) -> NDArray[np.float32]:
        """A target as finite float32, not everywhere the same."""
        values = self.numbers(name)
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float32)
        off = np.flatnonzero(~np.isfinite(rounded))
        if len(off):
            hint = "targets are float32; scale the column down"
            raise FileFormatError(problem(self._cell(name, int(off[0])), "a number of float32, up to 3.4e38", f"{values[off[0]]:g}", hint))
        if (values == values[0]).all():
            raise ArgumentError(problem(name, "a target that varies", f"{values[0]:g} in all {len(values)} rows"))
        if (rounded == rounded[0]).all():
            got = f"numbers from {values.min()!s} to {values.max()!s}, all of which are {rounded[0]!s} there"
            raise ArgumentError(problem(name, "a target that varies as float32", got, "subtract an offset from the column, or scale it up"))
        return rounded

    def classes(self, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Class numbers, and the names in their order."""
        column = self.columns[name]
        if self.is_text(name, mixed=True):
            empty = np.flatnonzero(column == "")
            if len(empty):
                raise FileFormatError(problem(self._cell(name, int(empty[0])), "the name of a class", "nothing"))
            names, found = np.unique(column, return_inverse=True)
            labels = tuple(str(label) for label in names)
        else:
            self.numbers(name)
            if column.dtype.kind in "fiub":
                values, found = np.unique(column, return_inverse=True)
                labels = tuple(_plain(value) for value in values)
            else:
                texts = list(dict.fromkeys(column))
                _, first, numbers = np.unique(
                    np.array([_exact(text) for text in texts], dtype=object), return_index=True, return_inverse=True
                )
                number = dict(zip(texts, numbers.tolist(), strict=True))
                found, labels = np.array([number[cell] for cell in column]), tuple(texts[i] for i in first)
        if len(labels) < 2:
            raise ArgumentError(problem(name, "a target of two classes at least", f"{labels[0]!r} in all {len(column)} rows"))
        return found.astype(np.int64), labels

    def _cell(self, name: str, row: int) -> str:
        where = f"row {row}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.path}, {where}, {name}"


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)  # Python reads 1_0 as 10
    except ValueError:
        return None


def _exact(cell: str) -> Decimal:
    try:
        return Decimal(cell)
    except InvalidOperation:  # an exponent of nineteen digits, where the number itself was found finite: 0
        return Decimal(float(cell))


def _plain(value: np.generic) -> str:
    """A number in as many digits as tell it from its neighbours, a whole one without a point."""
    return str(int(value)) if float(value).is_integer() else str(value)


def _csv_columns(path: Path) -> tuple[Columns, NDArray[np.int64]]:
    """Columns of text, stripped, and the line of each row."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
        header = _HEADER.match(text)
        marks = re.sub(_QUOTED, "", header[1]) if header else ""
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=marks.count), strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as cause:
        raise FileFormatError(problem(str(path), "a table as UTF-8 text with a header", f"something else ({cause})")) from cause
    if len(rows) < 2:
        raise FileFormatError(problem(str(path), "a header and rows below it", f"{len(rows)} lines"))
    names = rows[0][1]
    if len(set(names)) < len(names) or "" in names:
        raise FileFormatError(problem(str(path), "a header of distinct names", ", ".join(map(repr, names))))
    for line, row in rows[1:]:
        if len(row) != len(names):
            raise FileFormatError(problem(f"{path}, line {line}", f"{len(names)} cells, as in the header", len(row)))
    cells = list(zip(*(row for _, row in rows[1:]), strict=True))
    return {name: np.array(column, dtype=object) for name, column in zip(names, cells, strict=True)}, np.array(
        [line for line, _ in rows[1:]]
    )


def _npz_columns(path: Path) -> tuple[Columns, None]:
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            columns = {} if isinstance(file, np.ndarray) else {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as cause:  # RuntimeError: a cipher or packing
        raise FileFormatError(problem(str(path), "an npz of plain arrays", f"an unreadable file ({cause})")) from cause
    if isinstance(file, np.ndarray):
        raise FileFormatError(problem(str(path), "an npz of plain arrays", "one array without a name, an npy", "write it with np.savez"))
    for name, array in columns.items():
        if not isinstance(array, np.ndarray):  # numpy hands out the bytes of what is no array
            raise FileFormatError(problem(f"{path}, {name}", "an array", "another file"))
    lengths = {name: array.shape for name, array in columns.items()}
    if len(set(lengths.values())) != 1 or any(len(shape) != 1 or not shape[0] for shape in lengths.values()):
        got = ", ".join(f"{name} {shape}" for name, shape in lengths.items()) or "none"
        raise FileFormatError(problem(str(path), "arrays (n,) of one length, not empty", got))
    for name, array in columns.items():
        if array.dtype.kind not in "fiubU":
            raise FileFormatError(problem(f"{path}, {name}", "numbers or text", array.dtype))
    return {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in columns.items()}, None
