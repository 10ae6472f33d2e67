"""Tables of places with something measured there: CSV and npz of a user's own."""

from __future__ import annotations

import csv
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
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
    targets: Sequence[str] | None = None,
    classes: bool = False,
) -> LocationTable:
    """Read longitudes, latitudes and targets from a table.

    A CSV file has a header; its cells are apart by commas, semicolons or tabs. An npz file has arrays ``(n,)`` by name.

    Parameters
    ----------
    lon, lat : names of the columns in degrees; by default ``lon``, ``longitude``, ``lng`` or ``long``, and ``lat`` or ``latitude``, in any
        case of letters. A longitude may be any number, by periodicity.
    targets : names of the columns to learn; by default all others.
    classes : the target's values are names of classes, even where all or some are numbers. A column of text alone always is. Classes are
        numbered in the order of their names, of numbers in that of the numbers.

    Raises
    ------
    FileNotFoundError : no such file. FileFormatError : neither CSV nor npz, a row of another width, a cell that is no finite number, a
        latitude out of range, each with its line. ArgumentError : no such column, classes in more than one target, a target that is
        everywhere the same.
    """
    table = _Reader.of(Path(path))
    columns = table.columns
    east, north = table.column("lon", lon, LONGITUDES), table.column("lat", lat, LATITUDES)
    chosen = tuple(targets) if targets else tuple(name for name in columns if name not in (east, north))
    for name in chosen:
        table.column("targets", name, ())
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
    return LocationTable(*places, torch.from_numpy(values).float(), chosen)


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
        if path.suffix not in (".csv", ".tsv", ".txt", ".npz"):
            raise FileFormatError(problem(str(path), "a table .csv, .tsv, .txt or .npz", path.suffix or "no suffix"))
        return cls(path, *(_npz_columns(path) if path.suffix == ".npz" else _csv_columns(path)))

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

    def varying(self, name: str) -> NDArray[np.float64]:
        values = self.numbers(name)
        if np.ptp(values) == 0:
            raise ArgumentError(problem(name, "a target that varies", f"{values[0]:g} in all {len(values)} rows"))
        return values

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
            values, found = np.unique(self.numbers(name), return_inverse=True)
            labels = tuple(f"{value:g}" for value in values)
        if len(labels) < 2:
            raise ArgumentError(problem(name, "a target of two classes at least", f"{labels[0]!r} in all {len(column)} rows"))
        return found.astype(np.int64), labels

    def _cell(self, name: str, row: int) -> str:
        where = f"row {row}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.path}, {where}, {name}"


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _csv_columns(path: Path) -> tuple[Columns, NDArray[np.int64]]:
    """Columns of text, stripped, and the line of each row."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as cause:
        raise FileFormatError(problem(str(path), "a table as UTF-8 text with a header", f"something else ({cause})")) from cause
    if len(rows) < 2:
        raise FileFormatError(problem(str(path), "a header and rows below it", f"{len(rows)} lines"))
    header = rows[0][1]
    if len(set(header)) < len(header) or "" in header:
        raise FileFormatError(problem(str(path), "a header of distinct names", ", ".join(map(repr, header))))
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise FileFormatError(problem(f"{path}, line {line}", f"{len(header)} cells, as in the header", len(row)))
    cells = list(zip(*(row for _, row in rows[1:]), strict=True))
    return {name: np.array(column, dtype=object) for name, column in zip(header, cells, strict=True)}, np.array(
        [line for line, _ in rows[1:]]
    )


def _npz_columns(path: Path) -> tuple[Columns, None]:
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as cause:
        raise FileFormatError(problem(str(path), "an npz of plain arrays", f"an unreadable file ({cause})")) from cause
    lengths = {name: array.shape for name, array in columns.items()}
    if len(set(lengths.values())) != 1 or any(len(shape) != 1 or not shape[0] for shape in lengths.values()):
        got = ", ".join(f"{name} {shape}" for name, shape in lengths.items()) or "none"
        raise FileFormatError(problem(str(path), "arrays (n,) of one length, not empty", got))
    for name, array in columns.items():
        if array.dtype.kind not in "fiubU":
            raise FileFormatError(problem(f"{path}, {name}", "numbers or text", array.dtype))
    return {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in columns.items()}, None
