"""A shape's code: kept wavelet trees with the box they belong to."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import torch
from torch import Tensor

from ..bases.wavelet import TreeCode, WaveletTree
from ..errors import ArgumentError, problem
from ..ops.isosurface import isosurface
from ..shapes.grid import DistanceField, Grid
from ..shapes.mesh import Mesh

if TYPE_CHECKING:
    from .files import Loss

#: Samples nearer to a side of the box, in cells, count as outside of it.
_ON_SIDE = 1e-3


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

    @property
    def saturation(self) -> float:
        """Size of a coarse coefficient far from the surface, where all distances are cut: 2.263 at the paper's geometry."""
        return self.truncation / self.scale * 2 ** (1.5 * self.tree.levels)

    def field(self, level: int = 0) -> DistanceField:
        """The distance field, or one with cells ``2^level`` times as wide, which costs less. Values are not cut again at the truncation."""
        values = self.tree.synthesis(self.tree.unfilter(self.code), level)[0] * self.scale
        return DistanceField(values, self.tree.level_grid(self.grid, level), self.truncation)

    def decode(self, level: int = 0) -> Mesh:
        """The surface, in the shape's own units and float type; of a coarser grid where ``level`` is above 0.

        It is closed: what reaches the box ends at the box's faces, since all beyond counts as outside. Where that happens, the grid is
        copied once.
        """
        field = self.field(level)
        values, first = _closed(field, self.grid)
        vertices, faces = isosurface(values)
        return Mesh(field.grid.from_index(vertices.double() + vertices.new_tensor(first, dtype=torch.float64)).to(self.grid.dtype), faces)

    def pack(self) -> Tensor:
        """All coefficients as channels of the coarse grid ``(c, m0, m1, m2)``, zero where a tree is not kept; (64, 46, 46, 46) at 256."""
        return self.tree.pack(self.code)[0]

    @classmethod
    def unpack(cls, channels: Tensor, like: ShapeCode) -> ShapeCode:
        """A code of channels as :meth:`pack` gives them, with transform and box of another; trees of zeros are left out.

        Raises
        ------
        ArgumentError : channels of another shape than ``like.pack()``.
        """
        wanted = (1 + sum(like.tree.widths), *like.tree.cells)
        if tuple(channels.shape) != wanted:
            raise ArgumentError(problem("channels", f"shape {wanted}", tuple(channels.shape)))
        rows = channels[1:].flatten(1).mT
        index = rows.ne(0).any(dim=1).nonzero()[:, 0]
        values = torch.cat(rows[index].split(like.tree.widths[::-1], dim=1)[::-1], dim=1)
        return replace(like, code=TreeCode(channels[:1], index, values, torch.tensor([0, len(index)], device=index.device)))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ShapeCode:
        """The same code on another device, or with coefficients and decoded vertices of another float type."""
        trees = self.code
        coarse, values = (part.to(device=device, dtype=dtype) for part in (trees.coarse, trees.values))
        moved = TreeCode(coarse, trees.index.to(device=device), values, trees.offsets.to(device=device))
        return replace(self, code=moved, grid=self.grid.to(device, dtype))

    def save(self, target: str | os.PathLike[str] | BinaryIO, preset: str = "near-lossless") -> Loss:
        """Write the code to a .gsc file, which appears whole or not at all, or to a binary stream.

        Parameters
        ----------
        target : a path, or what has ``write``.
        preset : ``"lossless"`` keeps every bit. The others round coefficients to whole steps, wider ones for trees away from the surface,
            and leave out trees that round to nothing: ``"near-lossless"``, which changes the IoU of ordinary shapes with their exact field
            by less than 1e-4, ``"compact"`` and ``"tiny"``.

        Returns
        -------
        What it changes of the decoded field, measured; the file's header says it too.

        Raises
        ------
        ArgumentError : no such preset; coefficients too large or not finite for a lossy one. OSError : what the system refuses.
        """
        from .files import write

        return write(self, target, preset)

    @classmethod
    def load(cls, source: str | os.PathLike[str] | BinaryIO, level: int = 0) -> ShapeCode:
        """Read a code from a .gsc file or a binary stream.

        Parameters
        ----------
        source : a path, or what has ``read``.
        level : the finest level that will be decoded; what only finer ones need is not read.

        Raises
        ------
        FileFormatError : another kind of file, a later version, one that ends early or is damaged. FileNotFoundError : no such file.
        ArgumentError : a level that the code does not have.
        """
        from .files import read

        return read(source, level)


def half_side(grid: Grid) -> float:
    """Half the longest side of a grid's box: the unit of length of a code's coefficients."""
    return max(high - low for low, high in zip(grid.lower, grid.upper, strict=True)) / 2


def _closed(field: DistanceField, box: Grid) -> tuple[Tensor, tuple[int, ...]]:
    """Values of the cells within a box, and past each side that some of its cells are inside at, one layer that is outside.

    The layer's values let the surface go no farther than the side of the box. Also the place (x, y, z) of the first value in the field.
    """
    spans = [_span(field.grid, box, axis) for axis in range(3)]
    inner = field.values[tuple(slice(begin, end) for begin, end, _ in spans)]
    reached = [tuple(int(inner.numel() > 0 and bool((inner.select(axis, side) < 0).any())) for side in (0, -1)) for axis in range(3)]
    first = [begin - before for (begin, _, _), (before, _) in zip(spans, reached, strict=True)]
    if not any(map(any, reached)):
        return inner, tuple(first[::-1])
    last = [end + behind for (_, end, _), (_, behind) in zip(spans, reached, strict=True)]
    missing = [(max(-low, 0), max(high - n, 0)) for low, high, n in zip(first, last, field.grid.shape, strict=True)]
    held = field.values[tuple(slice(max(low, 0), high) for low, high in zip(first, last, strict=True))]
    values = torch.nn.functional.pad(held[None, None], [n for pair in missing[::-1] for n in pair], mode="replicate")[0, 0]
    for axis, (_, _, gaps) in enumerate(spans):
        for side, within, gap, there in zip((0, -1), (1, -2), gaps, reached[axis], strict=True):
            if there:
                least = values.select(axis, within).abs() * max(1 / gap - 1, 0)
                values.select(axis, side).copy_(torch.maximum(values.select(axis, side), least))
    return values, tuple(first[::-1])


def _span(grid: Grid, box: Grid, axis: int) -> tuple[int, int, tuple[float, float]]:
    """The samples of a grid along an axis that lie within a box, as a slice, and how far its sides are from their ends, in cells."""
    x = 2 - axis
    low, high = ((side[x] - grid.lower[x]) / grid.spacing[x] - 0.5 for side in (box.lower, box.upper))
    begin, end = max(0, math.ceil(low + _ON_SIDE)), min(grid.shape[axis], math.floor(high - _ON_SIDE) + 1)
    return begin, max(end, begin), (begin - low, high - end + 1)
