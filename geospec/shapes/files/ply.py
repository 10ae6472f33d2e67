"""PLY, the Stanford triangle format: text and binary of both byte orders, polygon lists and triangle strips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import FileFormatError, problem
from .contents import Contents, Polygons
from .text import as_integers, normal_lines, read_numbers

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"},
}
_NUMBERS, _LISTS = {"x", "y", "z", "nx", "ny", "nz"}, {"vertex_indices", "vertex_index"}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class _Property:
    name: str
    value: str
    count: str | None  # the type of a list's length; None for a single value


@dataclass(frozen=True)
class _Element:
    name: str
    rows: int
    properties: list[_Property]


def read_ply(name: str, data: bytes) -> Contents:
    """Vertices in file order, polygons (``vertex_indices``) and triangle strips (``tristrips``).

    A cloud keeps ``nx ny nz``. Colours, qualities and other elements are passed over.
    """
    order, elements, body = _read_header(name, data)
    stream = _Text(name, body) if order == "ascii" else _Binary(body, _ORDERS[order])
    columns, at = {}, 0
    for element in elements:
        columns[element.name], at = _locate(name, stream, element, at)
    vertex = columns.get("vertex", {})
    if not {"x", "y", "z"} <= vertex.keys():
        raise FileFormatError(problem(name, "an element vertex with x, y and z", ", ".join(columns) or "no element"))
    points = np.stack([stream.take(*vertex[axis]) for axis in "xyz"], axis=1)
    parts = [_polygons(name, stream, columns.get("face", {})), _strips(name, stream, columns.get("tristrips", {}))]
    faces = Polygons(np.concatenate([part.sizes for part in parts]), np.concatenate([part.corners for part in parts]))
    normals = None
    if len(faces.sizes) == 0 and {"nx", "ny", "nz"} <= vertex.keys():
        normals = np.stack([stream.take(*vertex[axis]) for axis in ("nx", "ny", "nz")], axis=1)
    return Contents(points, faces, normals)


def _read_header(name: str, data: bytes) -> tuple[str, list[_Element], bytes]:
    end = data.find(b"end_header")
    if data[:3] != b"ply" or end < 0:
        got = "no line end_header" if data[:3] == b"ply" else repr(data[:20].decode(errors="replace"))
        raise FileFormatError(problem(name, "a header from ply to end_header", got, "the file may be truncated"))
    order, elements = "", []
    for line in data[:end].decode(errors="replace").splitlines():
        match line.split():
            case ["format", word, _]:
                order = word
            case ["element", word, rows] if rows.isdigit():
                elements.append(_Element(word, int(rows), []))
            case ["property", "list", count, value, word] if elements and count in _TYPES and value in _TYPES:
                elements[-1].properties.append(_Property(word, _TYPES[value], _TYPES[count]))
            case ["property", value, word] if elements and value in _TYPES:
                elements[-1].properties.append(_Property(word, _TYPES[value], None))
            case ["format" | "element" | "property", *_]:
                raise FileFormatError(problem(name, "a PLY header", repr(line)))
    for part in (part for element in elements for part in element.properties):
        if part.name in _LISTS | _NUMBERS and (part.count is not None) != (part.name in _LISTS):
            raise FileFormatError(
                problem(name, f"property {part.name} as a {'list' if part.name in _LISTS else 'number'}", "the other kind")
            )
    if order not in _ORDERS:
        raise FileFormatError(problem(name, "a format line with one of " + ", ".join(_ORDERS), repr(order)))
    line_end = data.find(b"\n", end)  # \r\n ends with it; a lone \r is not found in binary files
    return order, elements, data[line_end + 1 :] if line_end >= 0 else b""


class _Text:
    """The body as numbers; every value takes one place."""

    def __init__(self, name: str, body: bytes) -> None:
        self.numbers = read_numbers(name, normal_lines(body)).values

    def __len__(self) -> int:
        return len(self.numbers)

    def size(self, kind: str) -> int:
        return 1

    def take(self, places: np.ndarray, kind: str) -> np.ndarray:
        return self.numbers[places]


class _Binary:
    """The body as bytes; a value takes as many places as its type has bytes."""

    def __init__(self, body: bytes, order: str) -> None:
        self.bytes, self.order = np.frombuffer(body, np.uint8), order

    def __len__(self) -> int:
        return len(self.bytes)

    def size(self, kind: str) -> int:
        return int(kind[1])

    def take(self, places: np.ndarray, kind: str) -> np.ndarray:
        gathered = self.bytes[places[..., None] + np.arange(self.size(kind))]
        values = gathered.view(self.order + kind)[..., 0]
        return values.astype(kind if kind[0] == "f" else np.int64)


def _locate(name: str, stream: _Text | _Binary, element: _Element, at: int) -> tuple[dict[str, tuple], int]:
    """Where each property's values stand, and where the element ends.

    A column is ``(places, type)``; a list's is ``(places of the lengths, type of lengths, type of values)``.
    """
    if element.rows == 0:
        return {}, at
    places, lengths, end = _starts_of_rows(name, stream, element, at)
    columns: dict[str, tuple] = {}
    for part in element.properties:
        if part.count is None:
            columns[part.name] = (places.copy(), part.value)
            places = places + stream.size(part.value)
        else:
            columns[part.name] = (places.copy(), part.count, part.value)
            places = places + stream.size(part.count) + lengths[part.name] * stream.size(part.value)
    return columns, end


def _starts_of_rows(name: str, stream: _Text | _Binary, element: _Element, at: int) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Where each row starts and how long its lists are: all at once where every row is like the first, else row by row."""

    def walk(place: int) -> tuple[int, list[int]]:
        found = []
        for part in element.properties:
            if part.count is not None:
                if place + stream.size(part.count) > len(stream):
                    raise _truncated(name, element)
                length = int(as_integers(name, "lengths of lists", stream.take(np.array([place]), part.count))[0])
                if length < 0:
                    raise _truncated(name, element)
                found.append(length)
                place += stream.size(part.count) + length * stream.size(part.value)
            else:
                place += stream.size(part.value)
        if place > len(stream):
            raise _truncated(name, element)
        return place, found

    lists = [part for part in element.properties if part.count is not None]
    second, first_lengths = walk(at)
    stride = second - at
    if element.rows > len(stream):  # a header gone wrong must not ask for memory
        raise _truncated(name, element)
    starts = at + stride * np.arange(element.rows)
    if starts[-1] + stride <= len(stream) and _all_alike(stream, element, starts, first_lengths):
        return (
            starts,
            {part.name: np.full(element.rows, length) for part, length in zip(lists, first_lengths, strict=True)},
            int(starts[-1] + stride),
        )
    if not lists:
        raise _truncated(name, element)
    rows, place = [], at
    for row in range(element.rows):
        starts[row] = place
        place, found = walk(place)
        rows.append(found)
    return starts, {part.name: np.array(column) for part, column in zip(lists, zip(*rows, strict=True), strict=True)}, place


def _all_alike(stream: _Text | _Binary, element: _Element, starts: np.ndarray, first_lengths: list[int]) -> bool:
    remaining, offset = iter(first_lengths), 0
    for part in element.properties:
        if part.count is not None:
            length = next(remaining)
            if (stream.take(starts + offset, part.count) != length).any():
                return False
            offset += stream.size(part.count) + length * stream.size(part.value)
        else:
            offset += stream.size(part.value)
    return True


def _truncated(name: str, element: _Element) -> FileFormatError:
    return FileFormatError(
        problem(name, f"{element.rows} rows of element {element.name}", "the end of the file before", "the file may be truncated")
    )


def _list_values(name: str, stream: _Text | _Binary, places: np.ndarray, count: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    sizes = stream.take(places, count).astype(np.int64)  # whole numbers: the walk over the rows has seen them
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    corners = stream.take(np.repeat(places + stream.size(count), sizes) + within * stream.size(value), value)
    return sizes, as_integers(name, "corners", corners)


def _polygons(name: str, stream: _Text | _Binary, face: dict[str, tuple]) -> Polygons:
    column = face.get("vertex_indices", face.get("vertex_index"))
    if column is None:
        return Polygons(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Polygons(*_list_values(name, stream, *column))


def _strips(name: str, stream: _Text | _Binary, tristrips: dict[str, tuple]) -> Polygons:
    """Triangles of strips that -1 separates: each corner after a strip's second closes a triangle, every
    other one turned round. Triangles that name a vertex twice only stitch a strip together and are left out."""
    if "vertex_indices" not in tristrips:
        return Polygons(np.zeros(0, np.int64), np.zeros(0, np.int64))
    sizes, corners = _list_values(name, stream, *tristrips["vertex_indices"])
    joined = np.insert(corners, np.cumsum(sizes), -1)  # rows of the element end a strip too
    place = np.arange(len(joined))
    odd = (place - np.maximum.accumulate(np.where(joined < 0, place, -1))) % 2 == 0
    triangles = np.stack([joined[:-2], joined[1:-1], joined[2:]], axis=1)
    triangles[odd[:-2]] = triangles[odd[:-2]][:, [1, 0, 2]]
    a, b, c = triangles.T
    return Polygons.uniform(triangles[(triangles >= 0).all(axis=1) & (a != b) & (b != c) & (c != a)])


def write_ply(contents: Contents) -> bytes:
    """Binary, little-endian: coordinates as float or double, as they come; corners as int."""
    columns = [contents.points] if contents.normals is None else [contents.points, contents.normals]
    rows = np.concatenate(columns, axis=1)
    kind, word = ("<f4", "float") if rows.dtype == np.float32 else ("<f8", "double")
    names = ["x", "y", "z", "nx", "ny", "nz"][: rows.shape[1]]
    header = ["ply", "format binary_little_endian 1.0", "comment geospec", f"element vertex {len(rows)}"]
    header += [f"property {word} {column}" for column in names]
    body = rows.astype(kind).tobytes()
    if contents.faces is not None:
        faces = contents.faces.corners.reshape(-1, 3)
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        records = np.empty(len(faces), [("size", "u1"), ("corners", "<i4", 3)])
        records["size"], records["corners"] = 3, faces
        body += records.tobytes()
    return "\n".join([*header, "end_header\n"]).encode() + body
