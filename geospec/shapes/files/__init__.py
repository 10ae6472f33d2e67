"""Files to shapes and back: one table from suffix to reader and writer.

| suffix | meshes | clouds | normals of clouds | written as |
| --- | --- | --- | --- | --- |
| ``.ply`` | yes | yes | yes | binary, float32 or float64 as the shape |
| ``.obj`` ``.off`` | yes | yes | yes | text that gives float32 and float64 back exactly |
| ``.stl`` | yes | no | - | binary float32, vertices not shared |
| ``.glb`` | yes | yes | no | binary float32 |
| ``.pcd`` | no | yes | yes | binary float32 |
| ``.xyz`` | no | yes | yes | text that gives float32 and float64 back exactly |
| ``.npz`` | yes | yes | yes | float32 or float64 as the shape, with weights and vertex map |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import ArgumentError, FileFormatError, ShapeError, problem
from ...writing import written_aside
from ..cloud import PointCloud
from ..mesh import Mesh
from ..repairs import repair as repaired
from .contents import Contents, Polygons
from .glb import read_glb, write_glb
from .npz import read_npz, write_npz
from .obj import read_obj, write_obj
from .off import read_off, write_off
from .pcd import read_pcd, write_pcd
from .ply import read_ply, write_ply
from .stl import read_stl, write_stl
from .xyz import read_xyz, write_xyz


@dataclass(frozen=True)
class _Format:
    read: Callable[[str, bytes], Contents]
    write: Callable[[Contents], bytes]
    holds: tuple[type, ...] = (Mesh, PointCloud)
    normals: bool = True


_FORMATS = {
    ".ply": _Format(read_ply, write_ply),
    ".obj": _Format(read_obj, write_obj),
    ".off": _Format(read_off, write_off),
    ".stl": _Format(read_stl, write_stl, holds=(Mesh,)),
    ".glb": _Format(read_glb, write_glb, normals=False),
    ".pcd": _Format(read_pcd, write_pcd, holds=(PointCloud,)),
    ".xyz": _Format(read_xyz, write_xyz, holds=(PointCloud,)),
}
SUFFIXES = (*_FORMATS, ".npz")


def load(
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float64,
    triangulate: bool = False,
    repair: Sequence[str] = (),
) -> Mesh | PointCloud:
    """Read a mesh or a point cloud; the suffix tells the format.

    The file's vertices are kept as they stand: same order, same number, duplicates and isolated ones
    included (STL alone stores none, so exactly equal corners are joined). A file without faces is a
    :class:`PointCloud`. Colours, textures, materials and a mesh's normals are not read.

    Parameters
    ----------
    path : a ``.ply``, ``.obj``, ``.off``, ``.stl``, ``.glb``, ``.pcd``, ``.xyz`` or ``.npz`` file.
    dtype : torch.float32 or torch.float64, of the coordinates.
    triangulate : cut faces of more than three corners into fans; otherwise they are refused.
    repair : steps of :func:`geospec.shapes.repair` to apply, in order; ``vertex_map`` then leads back to the file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError : there is no such file to read.
    FileFormatError : unknown suffix, empty, truncated or malformed file, faces that name no vertex,
        polygons without ``triangulate``.
    ShapeError : NaN or infinite coordinates.

    Cost: reads about 20 MB of text a second, binary as fast as the disk; memory about ten times the file's size for text.
    """
    if dtype not in (torch.float32, torch.float64):
        raise ArgumentError(problem("dtype", "torch.float32 or torch.float64", dtype))
    path = Path(path)
    data = _bytes_of(path)
    suffix = _known_suffix(path, FileFormatError)
    try:
        if suffix == ".npz":
            shape = read_npz(str(path), data).to(dtype=dtype)
        else:
            shape = _shape(str(path), _FORMATS[suffix].read(str(path), data), dtype, triangulate)
    except ShapeError as cause:
        raise ShapeError(f"{path}: {cause}") from None
    if shape.n_points == 0:
        raise FileFormatError(problem(str(path), "at least one vertex", "none"))
    if not repair:
        return shape
    if isinstance(shape, PointCloud):
        raise ArgumentError(problem("repair", "no steps for a point cloud", tuple(repair), "see remove_outliers and voxel_downsample"))
    return repaired(shape, repair)


def save(shape: Mesh | PointCloud, path: str | os.PathLike[str]) -> None:
    """Write a shape; the suffix tells the format, the table above what it keeps.

    Vertices and faces keep their order. The file is written aside and renamed, so that no partial file is
    ever left. A mesh's ``vertex_map`` and a cloud's ``weights`` go to ``.npz`` only.

    Raises
    ------
    ArgumentError : unknown suffix, or a format that cannot hold the shape; nothing has been written.
    OSError : the folder is missing or cannot be written.
    """
    path = Path(path)
    suffix = _known_suffix(path, ArgumentError)
    if not isinstance(shape, (Mesh, PointCloud)):
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud", type(shape).__name__))
    data = write_npz(shape) if suffix == ".npz" else _written(shape, suffix)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    try:
        with written_aside(path) as aside:
            aside.write_bytes(data)
    except OSError as cause:
        raise type(cause)(f"cannot write {path}: {cause.strerror}") from cause


def _known_suffix(path: Path, error: type[Exception]) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise error(problem(str(path), "a file that ends in " + ", ".join(SUFFIXES), repr(suffix) if suffix else "no suffix"))
    return suffix


def _bytes_of(path: Path) -> bytes:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    data = path.read_bytes()
    if not data.strip():
        raise FileFormatError(problem(str(path), "a shape", "an empty file"))
    return data


def _shape(name: str, contents: Contents, dtype: torch.dtype, triangulate: bool) -> Mesh | PointCloud:
    def tensor(array):
        # Big-endian and read-only arrays become native, owned ones.
        return torch.from_numpy(array.astype({torch.float32: "f4", torch.float64: "f8"}[dtype]))

    if contents.faces is None or len(contents.faces.sizes) == 0:
        return PointCloud(tensor(contents.points), None if contents.normals is None else tensor(contents.normals))
    faces = contents.faces.triangles(name, triangulate)
    n = len(contents.points)
    if faces.min() < 0 or faces.max() >= n:
        got = f"{faces.min()}..{faces.max()}"
        raise FileFormatError(problem(name, f"faces of vertices in [0, {n})", got, "the file may be truncated"))
    return Mesh(tensor(contents.points), torch.from_numpy(faces))


def _written(shape: Mesh | PointCloud, suffix: str) -> bytes:
    kind = _FORMATS[suffix]
    if not isinstance(shape, kind.holds):
        hint = "PointCloud(mesh.vertices) drops the faces" if isinstance(shape, Mesh) else "reconstruct_surface makes a mesh"
        raise ArgumentError(problem("shape", f"a {kind.holds[0].__name__} for {suffix}", type(shape).__name__, hint))
    points = shape.points.detach().cpu().numpy()
    if points.shape[1] != 3:
        raise ArgumentError(problem("shape", f"points in three dimensions for {suffix}", f"{points.shape[1]} dimensions", "write .npz"))
    if isinstance(shape, Mesh):
        return kind.write(Contents(points, Polygons.uniform(shape.faces.cpu().numpy())))
    normals = shape.normals.detach().cpu().numpy() if shape.normals is not None and kind.normals else None
    return kind.write(Contents(points, normals=normals))
