"""XYZ: a point a line, as text."""

from __future__ import annotations

import numpy as np

from ...errors import FileFormatError, problem
from .contents import Contents
from .text import normal_lines, read_numbers, without_comments, write_rows


def read_xyz(name: str, data: bytes) -> Contents:
    """Three coordinates a line, and normals where six columns hold unit vectors; other columns are passed over.

    ``#`` and ``//`` begin comments.
    """
    table = read_numbers(name, without_comments(normal_lines(data), b"#|//"))
    if len(table) == 0:
        raise FileFormatError(problem(name, "a point a line", "no number"))
    width = int(table.width[0])
    if (other := table.width != width).any():
        row = int(other.argmax())
        raise FileFormatError(problem(name, f"{width} numbers a line", f"{table.width[row]} in point {row}", "the file may be truncated"))
    rows = table.columns(name, "point", slice(None), max(width, 3))
    normals = rows[:, 3:] if width == 6 and np.allclose(np.linalg.norm(rows[:, 3:], axis=1), 1, atol=1e-2) else None
    return Contents(rows[:, :3], normals=normals)


def write_xyz(contents: Contents) -> bytes:
    """Text with every digit that the coordinates' type holds; normals in columns four to six."""
    rows = contents.points if contents.normals is None else np.concatenate([contents.points, contents.normals], axis=1)
    return write_rows(rows)
