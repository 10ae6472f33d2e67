"""PCD, the Point Cloud Library's format, version 0.7: text, binary and compressed binary."""

from __future__ import annotations

import numpy as np

from ...errors import FileFormatError, problem
from .contents import Contents
from .text import normal_lines, read_numbers

_KEYS = {"VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA"}
_NORMALS = ("normal_x", "normal_y", "normal_z")


def read_pcd(name: str, data: bytes) -> Contents:
    """Points and, where present, ``normal_x normal_y normal_z``; other fields are passed over."""
    header, body = _read_header(name, data)
    fields = header["FIELDS"]
    counts = [int(count) for count in header["COUNT"]]
    points = int(header["POINTS"][0])
    if not {"x", "y", "z"} <= set(fields):
        raise FileFormatError(problem(name, "the fields x, y and z", " ".join(fields)))
    encoding = header["DATA"][0]
    if encoding == "ascii":
        table = read_numbers(name, normal_lines(body))
        if len(table) < points:
            raise FileFormatError(problem(name, f"{points} points", len(table), "the file may be truncated"))
        rows = table.columns(name, "point", slice(0, points), sum(counts))
        starts = np.cumsum([0, *counts])
        columns = {field: rows[:, start] for field, start in zip(fields, starts, strict=False)}
    else:
        kinds = [f"<{kind.lower()}{int(size)}" for kind, size in zip(header["TYPE"], header["SIZE"], strict=True)]
        columns = _binary_columns(name, encoding, body, points, dict(zip(fields, zip(kinds, counts, strict=True), strict=True)))
    normals = np.stack([columns[field] for field in _NORMALS], axis=1) if set(_NORMALS) <= columns.keys() else None
    return Contents(np.stack([columns[axis] for axis in "xyz"], axis=1), normals=normals)


def _read_header(name: str, data: bytes) -> tuple[dict[str, list[str]], bytes]:
    header: dict[str, list[str]] = {}
    at = 0
    while "DATA" not in header:
        end = data.find(b"\n", at)
        words = data[at:end].decode(errors="replace").split()
        if end < 0 or (words and words[0] not in _KEYS and not words[0].startswith("#")):
            raise FileFormatError(
                problem(name, "a PCD header up to its DATA line", repr(" ".join(words))[:60], "the file may be truncated")
            )
        if words:
            header[words[0]] = words[1:]
        at = end + 1
    n = len(header.get("FIELDS", []))
    header.setdefault("COUNT", ["1"] * n)
    lengths = {"COUNT": n, "POINTS": 1, "DATA": 1} | ({} if header["DATA"] == ["ascii"] else {"SIZE": n, "TYPE": n})
    wrong = [key for key, length in lengths.items() if len(header.get(key, [])) != length]
    wrong += [key for key in ("COUNT", "POINTS", "SIZE") if not all(word.isdecimal() for word in header.get(key, []))]
    if n == 0 or wrong:
        raise FileFormatError(problem(name, "a PCD header with FIELDS, SIZE, TYPE, COUNT, POINTS and DATA that agree", " ".join(header)))
    return header, data[at:]


def _binary_columns(name: str, encoding: str, body: bytes, points: int, fields: dict[str, tuple[str, int]]) -> dict[str, np.ndarray]:
    try:
        record = np.dtype([(field, kind, (count,)) for field, (kind, count) in fields.items()])
    except (TypeError, ValueError) as cause:
        raise FileFormatError(problem(name, "fields of TYPE I, U or F with different names", f"{fields} ({cause})")) from cause
    if encoding == "binary_compressed":
        body = _decompress(name, body)
    elif encoding != "binary":
        raise FileFormatError(problem(name, "DATA ascii, binary or binary_compressed", encoding))
    if len(body) < points * record.itemsize:
        raise FileFormatError(
            problem(name, f"{points * record.itemsize} bytes for {points} points", len(body), "the file may be truncated")
        )
    if encoding == "binary":
        rows = np.frombuffer(body, record, points)
        return {field: rows[field][:, 0] for field in fields}
    columns, at = {}, 0  # compressed data stands field by field
    for field, (kind, count) in fields.items():
        columns[field] = np.frombuffer(body, kind, points * count, offset=at)[::count]
        at += points * count * np.dtype(kind).itemsize
    return columns


def _decompress(name: str, body: bytes) -> bytes:
    """LZF (Lehmann): a control byte below 32 leads that many + 1 literal bytes, else a copy from what was written."""
    packed, full = (int.from_bytes(body[at : at + 4], "little") for at in (0, 4))
    source, written = body[8 : 8 + packed], bytearray()
    at = 0
    try:
        while at < packed:
            control, at = source[at], at + 1
            if control < 32:
                written += source[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length, at = length + source[at], at + 1
            back = ((control & 31) << 8) + source[at] + 1
            at, length, begin = at + 1, length + 2, len(written) - back
            pattern = written[begin : begin + length]
            written += (pattern * (length // len(pattern) + 1))[:length]  # a copy may overlap its own end
    except (IndexError, ZeroDivisionError) as cause:
        raise FileFormatError(problem(name, f"{packed} compressed bytes", len(source), "the file may be truncated")) from cause
    if len(written) != full:
        raise FileFormatError(problem(name, f"{full} bytes after decompression", len(written), "the file may be truncated"))
    return bytes(written)


def write_pcd(contents: Contents) -> bytes:
    """Binary: coordinates as float32, the only width that all readers share (open3d takes wider ones for zeros)."""
    columns = [contents.points] if contents.normals is None else [contents.points, contents.normals]
    rows = np.concatenate(columns, axis=1)
    fields = ["x", "y", "z", *_NORMALS][: rows.shape[1]]
    header = ["# .PCD v0.7 - geospec", "VERSION 0.7", "FIELDS " + " ".join(fields), "SIZE" + " 4" * len(fields)]
    header += ["TYPE" + " F" * len(fields), "COUNT" + " 1" * len(fields), f"WIDTH {len(rows)}", "HEIGHT 1"]
    header += ["VIEWPOINT 0 0 0 1 0 0 0", f"POINTS {len(rows)}", "DATA binary\n"]
    return "\n".join(header).encode() + rows.astype("<f4").tobytes()
