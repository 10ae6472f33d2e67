"""What may be encoded, from its file."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ..shapes import DistanceField, Mesh, PointCloud, load


def load_shape_or_field(
    path: str | os.PathLike[str], *, triangulate: bool = False, repair: Sequence[str] = ()
) -> Mesh | PointCloud | DistanceField:
    """What a file holds: of an ``.npz`` with the arrays of one, a distance field; else what :func:`geospec.load` says.

    ``triangulate`` and ``repair`` are for meshes, see there; a field is taken as it is.

    Raises
    ------
    As :func:`geospec.load` and :meth:`geospec.DistanceField.load`.
    """
    if Path(path).suffix.lower() == ".npz" and {"values.npy", "numbers.npy"} <= _names(path):
        return DistanceField.load(path)
    return load(path, triangulate=triangulate, repair=repair)


def _names(path: str | os.PathLike[str]) -> set[str]:
    """Of the arrays in an npz; none of a file that cannot be read, of which ``load`` says why."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return set()
