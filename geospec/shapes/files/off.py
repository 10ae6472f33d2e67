"""OFF, the Object File Format: text, optionally with normals (NOFF) or colours (COFF)."""

from __future__ import annotations

import re

import numpy as np

from ...errors import FileFormatError, problem
from .contents import Contents, Polygons
from .text import NumberTable, as_integers, normal_lines, read_numbers, without_comments, write_rows

# Some collections glue the counts to the keyword ("OFF490 518 0"), so no blank is asked for after it.
_KEYWORD = re.compile(rb"\s*(?P<kind>(?:ST)?C?N?4?n?)OFF(?P<binary>[ \t]+BINARY)?")


def read_off(name: str, data: bytes) -> Contents:
    """Vertices, faces and, under NOFF, normals; colours and texture coordinates are passed over."""
    data = without_comments(normal_lines(data))
    keyword = _KEYWORD.match(data)
    if keyword is None:
        raise FileFormatError(problem(name, "the first word OFF", repr(data[:20].decode(errors="replace"))))
    kind = keyword["kind"].decode()
    if keyword["binary"] or "4" in kind or "n" in kind:
        raise FileFormatError(problem(name, "a text OFF file in three dimensions", keyword[0].decode().strip()))
    table = read_numbers(name, data[keyword.end() :])
    if len(table) == 0 or table.width[0] < 2:
        raise FileFormatError(problem(name, "the numbers of vertices and faces after OFF", "nothing", "the file may be truncated"))
    n, f = as_integers(name, "counts", table.values[:2]).tolist()
    if n < 0 or f < 0:
        raise FileFormatError(problem(name, "numbers of vertices and faces", f"{n} and {f}"))
    if len(table) < 1 + n + f:
        raise FileFormatError(problem(name, f"{n} vertices and {f} faces", f"{len(table) - 1} lines", "the file may be truncated"))
    vertices = table.columns(name, "vertex", slice(1, 1 + n), 6 if "N" in kind else 3)
    return Contents(vertices[:, :3], _faces(name, table, slice(1 + n, 1 + n + f)), vertices[:, 3:] if "N" in kind else None)


def _faces(name: str, table: NumberTable, rows: slice) -> Polygons:
    start, width = table.start[rows], table.width[rows]
    sizes = as_integers(name, "numbers of corners", table.values[start])
    if (short := width <= sizes).any() or (sizes < 0).any():
        row = int((short | (sizes < 0)).argmax())
        raise FileFormatError(problem(name, f"{sizes[row]} corners in face {row}", int(width[row]) - 1, "the file may be truncated"))
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Polygons(sizes, as_integers(name, "corners", table.values[np.repeat(start + 1, sizes) + within]))


def write_off(contents: Contents) -> bytes:
    """Text with every digit that the coordinates' type holds."""
    faces = np.zeros((0, 3), np.int64) if contents.faces is None else contents.faces.corners.reshape(-1, 3)
    keyword, rows = "OFF", contents.points
    if contents.normals is not None:
        keyword, rows = "NOFF", np.concatenate([rows, contents.normals], axis=1)
    return f"{keyword}\n{len(rows)} {len(faces)} 0\n".encode() + write_rows(rows) + write_rows(faces, "3 ")
