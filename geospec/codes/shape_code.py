"""A shape's code: kept wavelet trees with the box they belong to."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..bases.wavelet import TreeCode, WaveletTree
from ..errors import ArgumentError, problem
from ..ops.isosurface import isosurface
from ..ops.wavelet3d import wavelet3d_synthesis
from ..ops.wavelet_filters import filters
from ..shapes.grid import DistanceField, Grid
from ..shapes.mesh import Mesh


@dataclass(frozen=True, eq=False)
class ShapeCode:
    """The wavelet trees that tell a shape, and where it stands.

    The coefficients are those of a truncated distance field in units of half the longest side of its box, so that codes of shapes of
    any size look alike: far inside and outside a coarse cell is ``-+ truncation / scale * 2^(3 levels / 2)``.

    Parameters
    ----------
    tree : the transform.
    code : its kept trees, a batch of one.
    grid : the box and its cells, in the shape's units. Its float type is the shape's, which the decoded vertices take; the coefficients
        of a mesh or cloud are float32.
    truncation : where distances are cut, in the shape's units.
    """

    tree: WaveletTree
    code: TreeCode
    grid: Grid
    truncation: float

    def __repr__(self) -> str:
        cells = " x ".join(map(str, self.grid.shape))
        return f"ShapeCode({cells} cells, {self.tree.wavelet}, {self.tree.levels} levels, {self.k} trees, {self.n_numbers} numbers)"

    @property
    def k(self) -> int:
        """Number of kept trees."""
        return len(self.code.index)

    @property
    def n_numbers(self) -> int:
        """Coefficients that are stored: the coarse grid's and the trees'."""
        return self.code.coarse.numel() + self.code.values.numel()

    @property
    def scale(self) -> float:
        """Length of the coefficients' unit: half the longest side of the box."""
        return half_side(self.grid)

    def field(self, level: int = 0) -> DistanceField:
        """The distance field, or one ``level`` times halved in resolution, which costs an eighth each time."""
        if not 0 <= level <= self.tree.levels:
            raise ArgumentError(problem("level", f"0 to {self.tree.levels}", level))
        coefficients = self.tree.unfilter(self.code)
        details = coefficients.details[: self.tree.levels - level]
        values = wavelet3d_synthesis([coefficients.coarse, *details], self.tree.shapes[level], self.tree.wavelet, self.tree.mode)
        return DistanceField(values[0] * (self.scale * 8 ** (-level / 2)), self._grid(level), self.truncation)

    def decode(self, level: int = 0) -> Mesh:
        """The surface, in the shape's own units and float type; of a coarser grid where ``level`` is above 0."""
        field = self.field(level)
        vertices, faces = isosurface(field.values)
        return Mesh(field.grid.from_index(vertices.double()).to(self.grid.dtype), faces)

    def pack(self) -> Tensor:
        """All coefficients as channels of the coarse grid ``(c, m0, m1, m2)``, zero where a tree is not kept; (64, 46, 46, 46) at 256."""
        return self.tree.pack(self.code)[0]

    @classmethod
    def unpack(cls, channels: Tensor, like: ShapeCode) -> ShapeCode:
        """A code of channels as :meth:`pack` gives them, with the transform and box of another; trees all zero are left out."""
        flat = channels[1:].flatten(1)
        index = flat.ne(0).any(dim=0).nonzero()[:, 0]
        sizes = [7 * 8**i for i in range(like.tree.levels - like.tree.drop_finest)]
        values = torch.cat(list(reversed(flat[:, index].mT.split(sizes[::-1], dim=1))), dim=1)
        offsets = torch.tensor([0, len(index)], device=index.device)
        return replace(like, code=TreeCode(channels[:1], index, values, offsets))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ShapeCode:
        """The same code on another device or in another float type."""
        c = self.code
        moved = TreeCode(c.coarse.to(device, dtype), c.index.to(device), c.values.to(device, dtype), c.offsets.to(device))
        return replace(self, code=moved, grid=self.grid.to(device, dtype))

    def save(self, path: str | os.PathLike[str], preset: str = "near-lossless") -> None:
        """Write a .gsc file, aside and renamed."""
        from .files import write

        write(self, path, preset)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ShapeCode:
        """Read a .gsc file."""
        from .files import read

        return read(path)

    def _grid(self, level: int) -> Grid:
        """Where the low-pass coefficients stand: at the centroids of their filters."""
        taps = filters(self.tree.wavelet).analysis_low
        length = len(taps)
        centre = float((torch.arange(length) * taps).sum() / taps.sum())
        first = 1 - centre + (length // 2 - 1 if self.tree.mode == "periodization" else 0)
        start = (2**level - 1) * first + 0.5 - 2**level / 2  # the lower corner of the first coarse cell, in fine cells
        lower = tuple(low + start * s for low, s in zip(self.grid.lower, self.grid.spacing, strict=True))
        spacing = tuple(s * 2**level for s in self.grid.spacing)
        return replace(self.grid, shape=self.tree.shapes[level], lower=lower, spacing=spacing)


def half_side(grid: Grid) -> float:
    """Half the longest side of a grid's box: the unit of length of a code's coefficients."""
    return max(high - low for low, high in zip(grid.lower, grid.upper, strict=True)) / 2
