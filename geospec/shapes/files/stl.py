"""STL: triangles as triples of coordinates, in text or binary."""

from __future__ import annotations

import re

import numpy as np

from ...errors import FileFormatError, problem
from ..rows import unique_rows
from .contents import Contents, Polygons
from .text import normal_lines, read_numbers

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_VERTEX = re.compile(rb"^[ \t]*vertex[ \t]+(.*)$", re.MULTILINE)


def read_stl(name: str, data: bytes) -> Contents:
    """Corners with exactly equal coordinates become one vertex; vertices are numbered as they first appear.

    The format has no shared vertices, so this welding is part of reading it: a mesh saved as STL comes
    back with its faces in order, its vertices renumbered and its isolated vertices lost.
    """
    corners = _text_corners(name, data) if _is_text(data) else _binary_corners(name, data)
    if len(corners) == 0:
        raise FileFormatError(problem(name, "triangles", "none"))
    first, vertex_of = unique_rows(corners)
    return Contents(corners[first], Polygons.uniform(vertex_of.reshape(-1, 3)))


def _is_text(data: bytes) -> bool:
    # Binary headers may begin with "solid" too: only their length tells.
    count = int.from_bytes(data[80:84], "little")
    return data.lstrip()[:5] == b"solid" and len(data) != 84 + 50 * count


def _binary_corners(name: str, data: bytes) -> np.ndarray:
    count = int.from_bytes(data[80:84], "little")
    if len(data) < 84 + 50 * count or len(data) < 84:
        raise FileFormatError(problem(name, f"{84 + 50 * count} bytes for {count} triangles", len(data), "the file may be truncated"))
    return np.frombuffer(data, _RECORD, count, offset=84)["corners"].reshape(-1, 3)


def _text_corners(name: str, data: bytes) -> np.ndarray:
    text = normal_lines(data)
    if not re.search(rb"^[ \t]*endsolid", text, re.MULTILINE):
        raise FileFormatError(problem(name, "a last line endsolid", "none", "the file may be truncated"))
    corners = read_numbers(name, b"\n".join(_VERTEX.findall(text))).columns(name, "vertex", slice(None), 3)
    if len(corners) % 3:
        raise FileFormatError(problem(name, "three vertices a facet", f"{len(corners)} vertices"))
    return corners


def write_stl(contents: Contents) -> bytes:
    """Binary: coordinates as float32."""
    faces = contents.faces.corners.reshape(-1, 3) if contents.faces is not None else np.zeros((0, 3), np.int64)
    records = np.zeros(len(faces), _RECORD)
    corners = contents.points[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    records["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    records["corners"] = corners
    return b"geospec".ljust(80) + len(faces).to_bytes(4, "little") + records.tobytes()
