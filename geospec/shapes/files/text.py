"""Numbers in text, read and written as whole arrays."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np

from ...errors import FileFormatError, problem


@dataclass(frozen=True)
class NumberTable:
    """Whitespace-separated numbers, one row a non-blank line: row ``i`` is ``values[start[i] : start[i] + width[i]]``."""

    values: np.ndarray
    start: np.ndarray
    width: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def columns(self, name: str, what: str, rows: slice, count: int) -> np.ndarray:
        """The first ``count`` numbers of each of ``rows`` as ``(rows, count)``; shorter rows are refused."""
        start, width = self.start[rows], self.width[rows]
        if len(width) and width.min() < count:
            short = int((width < count).argmax())
            raise FileFormatError(
                problem(name, f"at least {count} numbers a {what}", f"{width[short]} in {what} {short}", "the file may be truncated")
            )
        return self.values[start[:, None] + np.arange(count)]


def normal_lines(data: bytes) -> bytes:
    r"""The text with ``\n`` for every line end."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def without_comments(data: bytes, mark: bytes = b"#") -> bytes:
    """The text without what stands from ``mark`` (a regular expression) to the end of a line."""
    return re.sub(b"(?:" + mark + rb")[^\n]*", b"", data)


def read_numbers(name: str, data: bytes) -> NumberTable:
    """Parse text that holds numbers only, at about ten million a second."""
    text = np.frombuffer(data, np.uint8)
    blank = text <= 32
    begins = ~blank
    begins[1:] &= blank[:-1]
    line = np.cumsum(text == 10, dtype=np.int32)[begins]
    with warnings.catch_warnings():
        # NumPy stops at the first word that is no number and only warns, on its way to an error.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(data, sep=" ") if len(line) else np.zeros(0)
        except (DeprecationWarning, ValueError):
            raise FileFormatError(problem(name, "numbers only", _first_bad_word(data))) from None
    if len(values) != len(line):
        raise FileFormatError(problem(name, f"{len(line)} numbers", len(values)))
    start = np.flatnonzero(np.diff(line, prepend=-1))
    return NumberTable(values, start, np.diff(start, append=len(line)))


def _first_bad_word(data: bytes) -> str:
    for number, line in enumerate(data.splitlines(), start=1):
        for word in line.split():
            try:
                float(word)
            except ValueError:
                return f"{word[:40].decode(errors='replace')!r} in line {number} of the data"
    return "text that is no number"


def as_integers(name: str, what: str, values: np.ndarray) -> np.ndarray:
    """Parsed numbers as int64; fractions, NaN and what an index cannot hold are refused."""
    whole = (values == np.rint(values)) & (np.abs(values) < 2**53)
    if not whole.all():
        raise FileFormatError(problem(name, f"whole numbers as {what}", f"{values[~whole][0]:g}"))
    return values.astype(np.int64)


def write_rows(values: np.ndarray, prefix: str = "") -> bytes:
    """Rows of numbers, one a line, each after ``prefix``; floats with the digits that give them back exactly."""
    one = "%d" if values.dtype.kind in "iu" else "%.9g" if values.dtype == np.float32 else "%.17g"
    row = prefix + " ".join([one] * values.shape[1]) + "\n"
    return (row * len(values) % tuple(values.reshape(-1).tolist())).encode()
