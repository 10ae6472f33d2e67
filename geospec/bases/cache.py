"""Fitted bases on disk, so that a shape's modes are computed once.

A file's name is a hash of all that the result depends on: positions, faces and float type of the
shape (or the entries of a Laplacian), every option with its default, and the version of the format. The
number of modes is left out: a request for fewer is served from more, and a larger result replaces a
smaller one. Files are written aside and renamed, so processes may share a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Protocol, Self, TypeVar

from torch import Tensor

from ..errors import ArgumentError, FileFormatError, problem
from ..laplacians import Laplacian
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh

#: Goes up whenever the same input may give another result: solver, sign rule, Laplacian.
CACHE_VERSION = 4


class _Loadable(Protocol):
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self: ...


_Stored = TypeVar("_Stored", bound=_Loadable)


def folder(cache: bool | str | os.PathLike[str]) -> Path:
    """The folder that ``cache=`` means, made where it is absent; ``True`` is ``$XDG_CACHE_HOME/geospec`` or ``~/.cache/geospec``."""
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "geospec" if isinstance(cache, bool) else Path(cache)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise ArgumentError(problem("cache", "a folder that can be made", str(path), str(cause))) from cause
    return path


def key(shape: Mesh | PointCloud | Laplacian, **options: str) -> str:
    """A hexadecimal sha256 of the shape's content and of how its basis is computed."""
    if isinstance(shape, Laplacian):
        matrix = shape.stiffness
        tensors = {"crow": matrix.crow_indices(), "col": matrix.col_indices(), "values": matrix.values(), "mass": shape.mass}
        options = {**options, "kind": shape.kind}
    else:
        tensors = {"points": shape.points} | ({"faces": shape.faces} if isinstance(shape, Mesh) else {})
    digest = hashlib.sha256(json.dumps([CACHE_VERSION, type(shape).__name__, options], sort_keys=True).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def read(path: Path, cls: type[_Stored]) -> _Stored | None:
    """What is stored, a basis or operators, or ``None``. A file that does not read is reported by a warning, and computed again."""
    if not path.is_file():
        return None
    try:
        return cls.load(path)
    except FileFormatError as problem_found:
        warnings.warn(f"damaged cache file, what it held is computed again: {problem_found}", RuntimeWarning, stacklevel=3)
        return None


def _bytes(tensor: Tensor) -> bytes:
    wide = tensor.double() if tensor.is_floating_point() else tensor
    return wide.detach().cpu().contiguous().numpy().tobytes()
