"""Wavefront OBJ: positions and faces; materials, texture coordinates, groups, lines and curves are passed over."""

from __future__ import annotations

import re

import numpy as np

from ...errors import FileFormatError, problem
from .contents import Contents, Polygons
from .text import as_integers, normal_lines, read_numbers, without_comments, write_rows

_LINES = {key: re.compile(rb"^[ \t]*%s[ \t]+(.*)$" % key.encode(), re.MULTILINE) for key in ("v", "vn", "f")}


def read_obj(name: str, data: bytes) -> Contents:
    """Vertices are the ``v`` lines, each once and in order, however many texture or normal seams cut them.

    ``vn`` lines become a cloud's normals where the file has no faces and one normal a vertex.
    """
    data = without_comments(normal_lines(data).replace(b"\\\n", b"  "))
    table = read_numbers(name, b"\n".join(_LINES["v"].findall(data)))
    vertices = table.columns(name, "vertex", slice(None), 3)
    faces = _faces(name, data, len(vertices))
    if len(vertices) == 0:
        raise FileFormatError(problem(name, "lines that start with v", "none", "is this an OBJ file?"))
    normals = None
    if len(faces.sizes) == 0 and len(lines := _LINES["vn"].findall(data)) == len(vertices):
        normals = read_numbers(name, b"\n".join(lines)).columns(name, "normal", slice(None), 3)
    return Contents(vertices, faces, normals)


def _faces(name: str, data: bytes, n: int) -> Polygons:
    # Of "corner/texture/normal" the corner is kept.
    table = read_numbers(name, re.sub(rb"/\S*", b"", b"\n".join(_LINES["f"].findall(data))))
    corners = as_integers(name, "corners", table.values)
    if (corners == 0).any():
        raise FileFormatError(problem(name, "corners counted from 1", "corner 0"))
    if (corners < 0).any():
        # A negative corner counts back from the last vertex that stands above the face.
        vertex_at, face_at = (np.array([line.start() for line in _LINES[key].finditer(data)], np.int64) for key in ("v", "f"))
        above = np.repeat(np.searchsorted(vertex_at, face_at), table.width)
        corners = np.where(corners < 0, above + corners + 1, corners)
    if len(corners) and (corners.min() < 1 or corners.max() > n):
        raise FileFormatError(problem(name, f"corners in [1, {n}]", f"{corners.min()}..{corners.max()}", "the file may be truncated"))
    return Polygons(table.width, corners - 1)


def write_obj(contents: Contents) -> bytes:
    """Text with every digit that the coordinates' type holds."""
    text = write_rows(contents.points, "v ")
    if contents.normals is not None:
        text += write_rows(contents.normals, "vn ")
    return text if contents.faces is None else text + write_rows(contents.faces.corners.reshape(-1, 3) + 1, "f ")
