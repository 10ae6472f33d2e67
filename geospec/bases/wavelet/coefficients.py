"""What a wavelet tree gives: coefficients of all cells, or the few trees that are kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ArgumentError, problem

#: Detail bands of a level: every choice of low and high pass along three axes but the coarse one.
BANDS = 7


@dataclass(frozen=True, eq=False)
class WaveletCoefficients:
    """The coefficients of grids, coarse to fine.

    Parameters
    ----------
    coarse : (..., m0, m1, m2).
    details : coarse to fine, each (..., 7, q0, q1, q2), or ``None`` where all are zero. Band ``b - 1`` is high-pass along the first axis
        where bit 0 of ``b`` is set, along the second where bit 1 is, along the third where bit 2 is.
    """

    coarse: Tensor
    details: tuple[Tensor | None, ...]


@dataclass(frozen=True, eq=False)
class TreeCode:
    """The kept trees of a batch of shapes, packed with offsets: shapes may keep different numbers of them.

    Parameters
    ----------
    coarse : (b, m0, m1, m2) all of the coarse grids.
    index : (K,) int64 cells that are kept, flat in their own shape, ascending within it.
    values : (K, c) their details: the 7 bands of the cell, then of its 8 children (56), then of theirs (448) unless the finest level is
        dropped. Within a level by band, then by the child's offset along the first, the second and the third axis.
    offsets : (b + 1,) int64: rows ``offsets[s]`` to ``offsets[s + 1]`` are those of shape ``s``.

    Raises
    ------
    ArgumentError : shapes that do not fit together.
    """

    coarse: Tensor
    index: Tensor
    values: Tensor
    offsets: Tensor

    def __post_init__(self) -> None:
        if self.coarse.dim() != 4:
            raise ArgumentError(problem("coarse", "shape (b, m0, m1, m2)", tuple(self.coarse.shape)))
        if self.index.dim() != 1 or self.index.dtype != torch.int64:
            raise ArgumentError(problem("index", "shape (K,) of int64", f"{tuple(self.index.shape)} of {self.index.dtype}"))
        if self.values.dim() != 2 or len(self.values) != len(self.index):
            raise ArgumentError(problem("values", f"a row for each of the {len(self.index)} cells", tuple(self.values.shape)))
        if self.offsets.shape != (len(self.coarse) + 1,) or self.offsets.dtype != torch.int64:
            wanted = f"shape ({len(self.coarse) + 1},) of int64"
            raise ArgumentError(problem("offsets", wanted, f"{tuple(self.offsets.shape)} of {self.offsets.dtype}"))

    @property
    def counts(self) -> Tensor:
        """Trees of each shape ``(b,)``."""
        return self.offsets.diff()

    @property
    def rows(self) -> Tensor:
        """The kept cells ``(K,)``, counted through all shapes of the batch."""
        b, cells = len(self.coarse), self.coarse[:1].numel()
        shape_of = torch.repeat_interleave(torch.arange(b, device=self.index.device), self.counts, output_size=len(self.index))
        return self.index + shape_of * cells
