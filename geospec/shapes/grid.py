"""Regular grids of cells in space, and distance fields on them."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, FileFormatError, ShapeError, problem
from ..ops.isosurface import isosurface
from ..ops.mesh_sdf import cell_counts, check_truncation, three_numbers
from ..writing import write_npz
from .mesh import Mesh

VERSION = 1


class Shape(Protocol):
    """Whatever has points in space: a mesh, a cloud."""

    @property
    def points(self) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of ``shape = (nz, ny, nx)`` equal cells. Values stand at the cells' centres.

    Arrays on a grid have the axes z, y, x, so that x runs fastest; points, corners and spacings are (x, y, z). The centre of cell
    ``(i, j, k)`` is ``lower + ((k, j, i) + 0.5) * spacing``. A signal is the cells flattened, ``(n, c)`` with ``n = nz ny nx``.

    Parameters
    ----------
    shape : (nz, ny, nx) cells.
    lower : (x, y, z) of the box's lowest corner.
    spacing : (x, y, z) sides of a cell, or one number.
    dtype, device : of :attr:`points` and :attr:`measure`.

    Raises
    ------
    ShapeError : a size that is not a positive integer, a corner or a spacing that is not finite, a spacing that is not positive.
    """

    shape: tuple[int, int, int]
    lower: tuple[float, float, float]
    spacing: tuple[float, float, float]
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        spacing = three_numbers("spacing", self.spacing, ShapeError)
        if min(spacing) <= 0:
            raise ShapeError(problem("spacing", "positive sides (x, y, z)", spacing))
        object.__setattr__(self, "shape", cell_counts("shape", self.shape, ShapeError))
        object.__setattr__(self, "lower", three_numbers("lower", self.lower, ShapeError))
        object.__setattr__(self, "spacing", spacing)

    @classmethod
    def box(cls, lower: Sequence[float] | float, upper: Sequence[float] | float, resolution: int | Sequence[int]) -> Grid:
        """The box between two corners (x, y, z), in ``resolution`` cells: one number for all axes, or (nz, ny, nx)."""
        low, high = three_numbers("lower", lower, ShapeError), three_numbers("upper", upper, ShapeError)
        shape = cell_counts("resolution", resolution, ShapeError)
        spacing = tuple((top - bottom) / n for bottom, top, n in zip(low, high, reversed(shape), strict=True))
        return cls(shape, low, spacing)  # type: ignore[arg-type]

    @classmethod
    def around(cls, shape: Shape, resolution: int | Sequence[int] = 256, fill: float = 0.9) -> Grid:
        """The cube around a shape's middle of which the shape's longest side takes the part ``fill``, in ``resolution`` cells.

        Raises
        ------
        ShapeError : a shape without points or without extent, a resolution as in :meth:`box`. ArgumentError : ``fill`` not in (0, 1].
        """
        if not 0 < fill <= 1:
            raise ArgumentError(problem("fill", "a part in (0, 1]", fill))
        points = shape.points.detach().double()
        if points.shape[1:] != (3,):
            raise ShapeError(problem("shape", "points in three dimensions", tuple(points.shape)))
        if len(points) == 0:
            raise ShapeError(problem("shape", "at least one point", "none"))
        low, high = points.amin(dim=0), points.amax(dim=0)
        half = float((high - low).max()) / (2 * fill)
        if half <= 0:
            raise ShapeError(problem("shape", "points that are not all one", f"{len(points)} at {low.tolist()}"))
        middle = (low + high) / 2
        box = cls.box((middle - half).tolist(), (middle + half).tolist(), resolution)
        return replace(box, dtype=shape.points.dtype, device=shape.points.device)

    @property
    def upper(self) -> tuple[float, float, float]:
        """(x, y, z) of the box's highest corner."""
        return tuple(low + n * s for low, n, s in zip(self.lower, reversed(self.shape), self.spacing, strict=True))  # type: ignore[return-value]

    @property
    def n_points(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @property
    def measure(self) -> Tensor:
        """Volume of each cell ``(n,)``."""
        return torch.full((self.n_points,), math.prod(self.spacing), dtype=self.dtype, device=self.device)

    @property
    def points(self) -> Tensor:
        """Centres of the cells ``(n, 3)``."""
        z, y, x = (torch.arange(n, dtype=torch.float64, device=self.device) for n in self.shape)
        index = torch.stack(torch.meshgrid(z, y, x, indexing="ij"), dim=-1).flip(-1).reshape(-1, 3)
        return self.from_index(index).to(self.dtype)

    def from_index(self, index: Tensor) -> Tensor:
        """Points ``(..., 3)`` in space of places (x, y, z) counted in cells, where the centre of the first cell is 0."""
        return (index + 0.5) * index.new_tensor(self.spacing) + index.new_tensor(self.lower)

    def to_index(self, points: Tensor) -> Tensor:
        """The inverse of :meth:`from_index`."""
        return (points - points.new_tensor(self.lower)) / points.new_tensor(self.spacing) - 0.5

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Grid:
        """The same grid, with points on another device or in another float type."""
        return replace(self, device=self.device if device is None else device, dtype=dtype or self.dtype)


@dataclass(frozen=True, eq=False)
class DistanceField:
    """Distances to a surface at the cells of a grid: negative inside, cut at ``truncation`` either way.

    Parameters
    ----------
    values : (nz, ny, nx) float32 or float64, in the units of the grid.
    grid : where they stand.
    truncation : the largest distance that is told.
    """

    values: Tensor
    grid: Grid
    truncation: float

    def __post_init__(self) -> None:
        if tuple(self.values.shape) != self.grid.shape:
            raise ShapeError(problem("values", f"the grid's shape {self.grid.shape}", tuple(self.values.shape)))
        check_truncation(self.truncation)

    def __repr__(self) -> str:
        return f"DistanceField({' x '.join(map(str, self.grid.shape))} cells, truncation {self.truncation:g})"

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> DistanceField:
        """The same field on another device or in another float type."""
        values = self.values.to(device=device, dtype=dtype)
        return replace(self, values=values, grid=self.grid.to(values.device, values.dtype))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the field as a compressed npz, aside and renamed; values keep their type."""
        numbers = torch.tensor([*self.grid.lower, *self.grid.spacing, self.truncation], dtype=torch.float64)
        write_npz(path, values=self.values, numbers=numbers, version=torch.tensor(VERSION))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DistanceField:
        """A field that :meth:`save` wrote, on the CPU. Runs no code.

        Raises
        ------
        FileNotFoundError : no such file. FileFormatError : truncated, or something else.
        """
        wanted = f"a distance field saved by geospec, version {VERSION}"
        try:
            with np.load(path, allow_pickle=False) as file:
                values, numbers, version = file["values"], file["numbers"], int(file["version"])
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as cause:
            raise FileFormatError(problem(str(path), wanted, f"another or a damaged file ({cause})")) from cause
        if version != VERSION or numbers.shape != (7,) or numbers.dtype != np.float64 or values.ndim != 3:
            raise FileFormatError(problem(str(path), wanted, f"version {version}, arrays {values.shape} and {numbers.shape}"))
        if values.dtype not in (np.float32, np.float64):
            raise FileFormatError(problem(str(path), wanted, f"values of type {values.dtype.str}"))
        tensor = torch.from_numpy(values)
        *places, truncation = (float(x) for x in numbers)
        try:
            grid = Grid(values.shape, tuple(places[:3]), tuple(places[3:]), tensor.dtype)  # type: ignore[arg-type]
            return cls(tensor, grid, truncation)
        except (ShapeError, ArgumentError) as cause:
            raise FileFormatError(problem(str(path), wanted, f"a field that cannot be ({cause})")) from cause

    def surface(self, level: float = 0.0) -> Mesh:
        """The surface at distance ``level``, faces counter-clockwise from outside; in the wider type of grid and values;
        differentiable in the values."""
        vertices, faces = isosurface(self.values, level)
        dtype = torch.promote_types(self.values.dtype, self.grid.dtype)
        return Mesh(self.grid.from_index(vertices.double()).to(dtype), faces)
