"""NPZ: geospec's own arrays, everything a shape holds, in its own types; never pickled objects."""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np
import torch
from torch import Tensor

from ...errors import FileFormatError, problem
from ..cloud import PointCloud
from ..mesh import Mesh
from ..vertex_map import VertexMap


def read_npz(name: str, data: bytes) -> Mesh | PointCloud:
    """Arrays ``vertices, faces[, to_file, from_file]`` make a mesh, ``points[, normals, weights]`` a cloud."""
    if not data.startswith(b"PK"):  # NumPy would take it for a bare array, or for a pickle
        raise FileFormatError(problem(name, "a NumPy archive (a zip file)", repr(data[:20].decode(errors="replace"))))
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, KeyError, NotImplementedError, MemoryError, zipfile.BadZipFile, zlib.error) as cause:
        got = f"{type(cause).__name__}: {cause}".splitlines()[0]
        raise FileFormatError(problem(name, "a NumPy archive of plain arrays", got, "the file may be truncated")) from cause
    if {"vertices", "faces"} <= arrays.keys():
        vertex_map = None
        if {"to_file", "from_file"} <= arrays.keys():
            vertex_map = VertexMap(torch.from_numpy(arrays["to_file"]), torch.from_numpy(arrays["from_file"]))
        return Mesh(arrays["vertices"], arrays["faces"], vertex_map)
    if "points" in arrays:
        return PointCloud(arrays["points"], arrays.get("normals"), arrays.get("weights"))
    raise FileFormatError(problem(name, "the arrays vertices and faces, or points", ", ".join(arrays) or "none"))


def write_npz(shape: Mesh | PointCloud) -> bytes:
    """All arrays of the shape, in its own float type."""
    if isinstance(shape, Mesh):
        arrays: dict[str, Tensor | None] = {"vertices": shape.vertices, "faces": shape.faces}
        if shape.vertex_map is not None:
            arrays |= {"to_file": shape.vertex_map.to_file, "from_file": shape.vertex_map.from_file}
    else:
        arrays = {"points": shape.points, "normals": shape.normals, "weights": shape.weights}
    file = io.BytesIO()
    held = {key: value.detach().cpu().numpy() for key, value in arrays.items() if value is not None}
    np.savez(file, **held)  # type: ignore[arg-type]
    return file.getvalue()
