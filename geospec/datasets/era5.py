"""Fields on a grid of longitude and latitude out of a file of the user's own, such as ERA5's, as a task to learn."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ArgumentError, FileFormatError, problem, require_package
from ..ops import lonlat_to_xyz
from .globe import GlobeTask, Places, draw_cells
from .location_table import LATITUDES, LONGITUDES

Values = NDArray[np.float64]


def read_era5(
    path: str | os.PathLike[str],
    variables: Sequence[str] | None = None,
    *,
    train: float = 0.01,
    validation: float = 0.05,
    seed: int = 0,
) -> GlobeTask:
    """Read fields of one time; each is scaled to [0, 1], and a random share of the cells is to train on.

    Classic NetCDF is read by SciPy, NetCDF-4 by xarray (``pip install 'geospec[netcdf]'``); an npz has arrays by name. Longitude and
    latitude are ``(n_lon,)`` and ``(n_lat,)``, called ``lon`` or ``longitude``, ``lat`` or ``latitude``. A variable is
    ``(n_lat, n_lon)``, up to dimensions of length 1 before these. Packed values are unpacked. Cells where a variable is missing
    are left out. Test cells are all others.

    Parameters
    ----------
    variables : their names; by default all that have the shape of the grid, by name. train, validation : shares of the cells.

    Raises
    ------
    FileNotFoundError : no such file. FileFormatError : another format, no grid, a latitude out of range. ArgumentError : a variable that
        is not there, has another shape, or is everywhere the same; shares that do not do. MissingDependencyError : NetCDF-4 without xarray.
    """
    path = Path(path)
    grid = _Grid.of(path, _arrays(path))
    names = tuple(variables) if variables is not None else grid.fields()
    if not names:
        raise ArgumentError(problem("variables", f"at least one of {path}", "none"))
    fields = np.stack([grid.field(name).ravel() for name in names], axis=1)
    lat, lon = (angle.ravel() for angle in np.meshgrid(grid.lat, grid.lon, indexing="ij"))
    known = np.isfinite(fields).all(axis=1)
    if not known.any():
        raise ArgumentError(problem("variables", "a cell that has them all", "none"))
    fields, lat, lon = fields[known], lat[known], lon[known]
    low, reach = fields.min(axis=0), np.ptp(fields, axis=0)
    if not reach.all():
        flat = int(np.flatnonzero(reach == 0)[0])
        raise ArgumentError(problem("variables", "fields that vary", f"{names[flat]!r}, {low[flat]:g} in all {len(fields)} cells"))
    targets = torch.from_numpy((fields - low) / reach).float()
    xyz = lonlat_to_xyz(torch.from_numpy(lon), torch.from_numpy(lat)).float()
    first, second = draw_cells(len(targets), train, validation, torch.Generator().manual_seed(seed))
    others = torch.ones(len(targets), dtype=torch.bool)
    others[first] = others[second] = False
    learned, stopped_by, scored = (Places(xyz[cells], targets[cells]) for cells in (first, second, others))
    return GlobeTask(path.name, learned, stopped_by, scored, names, False)


@dataclass(frozen=True)
class _Grid:
    """Arrays of a file and the axes of its grid, float64 in degrees."""

    path: Path
    arrays: dict[str, Values]
    lon: Values
    lat: Values

    @classmethod
    def of(cls, path: Path, arrays: dict[str, Values]) -> _Grid:
        axes = []
        for usual in (LONGITUDES, LATITUDES):
            found = [name for name in arrays if name.lower() in usual]
            if len(found) != 1 or arrays[found[0]].ndim != 1:
                got = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "no arrays"
                raise FileFormatError(problem(str(path), f"one array of one dimension called {' or '.join(usual)}", got))
            axes.append(arrays[found[0]])
        lon, lat = axes
        if not (np.isfinite(lon).all() and (np.abs(lat) <= 90).all()):
            raise FileFormatError(problem(f"{path}, axes", "finite longitudes, latitudes from -90 to 90", "others"))
        return cls(path, arrays, lon, lat)

    def fields(self) -> tuple[str, ...]:
        """Names of all that have the shape of the grid, in their own order: files of other formats keep another."""
        return tuple(sorted(name for name in self.arrays if self._on_grid(name)))

    def field(self, name: str) -> Values:
        """``(n_lat, n_lon)``."""
        if name not in self.arrays or not self._on_grid(name):
            got = f"{name!r} {self.arrays[name].shape}" if name in self.arrays else repr(name)
            wanted = f"a field ({len(self.lat)}, {len(self.lon)}) of {self.path}: {', '.join(self.fields()) or 'it has none'}"
            raise ArgumentError(problem("variables", wanted, got, "of several times choose one first"))
        return self.arrays[name].reshape(len(self.lat), len(self.lon))

    def _on_grid(self, name: str) -> bool:
        shape = self.arrays[name].shape
        return shape[-2:] == (len(self.lat), len(self.lon)) and all(length == 1 for length in shape[:-2])


def _arrays(path: Path) -> dict[str, Values]:
    """All arrays of numbers as float64, NaN where a value is missing."""
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    with open(path, "rb") as file:
        magic = file.read(4)
    try:
        if magic in (b"CDF\x01", b"CDF\x02"):
            return _classic(path)
        if magic == b"\x89HDF":
            return _netcdf4(path)
        if magic == b"PK\x03\x04":
            with np.load(path, allow_pickle=False) as file:
                return _numbers({name: file[name] for name in file.files})
    except (ValueError, TypeError, IndexError, OSError, EOFError, zipfile.BadZipFile) as cause:
        raise FileFormatError(problem(str(path), "a file that can be read to its end", f"{type(cause).__name__}: {cause}")) from cause
    raise FileFormatError(problem(str(path), "NetCDF or npz", f"something that begins with {magic!r}"))


def _classic(path: Path) -> dict[str, Values]:
    from scipy.io import netcdf_file

    with netcdf_file(path, mmap=False, maskandscale=True) as file:
        return _numbers({name: variable[...] for name, variable in file.variables.items()})


def _netcdf4(path: Path) -> dict[str, Values]:
    xarray = require_package("xarray", "read_era5 on a NetCDF-4 file", "geospec[netcdf]")
    for needed in ("h5netcdf", "h5py"):
        require_package(needed, "read_era5 on a NetCDF-4 file", "geospec[netcdf]")
    with xarray.open_dataset(path, engine="h5netcdf", decode_times=False) as file:
        return _numbers({name: variable.to_numpy() for name, variable in file.variables.items()})


def _numbers(arrays: dict[str, NDArray]) -> dict[str, Values]:
    return {
        name: np.ma.filled(np.ma.asarray(array).astype(np.float64), np.nan) for name, array in arrays.items() if array.dtype.kind in "fiu"
    }
