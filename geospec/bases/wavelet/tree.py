"""The wavelet tree: a grid's coefficients, coarse to fine, and the few trees of them that tell most of a shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...ops.wavelet3d import level_shapes, wavelet3d_analysis, wavelet3d_synthesis
from ...ops.wavelet_tree import gather_children, scatter_children


@dataclass(frozen=True, eq=False)
class WaveletCoefficients:
    """``coarse (..., m0, m1, m2)`` and ``details``, coarse to fine, each ``(..., 7, q0, q1, q2)`` or ``None`` where it is zero."""

    coarse: Tensor
    details: tuple[Tensor | None, ...]


@dataclass(frozen=True, eq=False)
class TreeCode:
    """A shape's kept trees. A batch is packed with offsets.

    Parameters
    ----------
    coarse : (b, m0, m1, m2) all of the coarse grid.
    index : (K,) int64 flat cells that are kept, ascending within each shape of the batch.
    values : (K, c) their details: those of the last level (7), then of their children (56), then of theirs (448) unless the finest level is
        dropped.
    offsets : (b + 1,) int64 where each shape's rows begin.
    """

    coarse: Tensor
    index: Tensor
    values: Tensor
    offsets: Tensor


class WaveletTree:
    """Placeholder that holds the interface until the basis lands."""

    def __init__(
        self,
        shape: int | Sequence[int] = 256,
        levels: int = 3,
        wavelet: str = "bior6.8",
        mode: str = "constant",
        *,
        drop_finest: int = 1,
    ) -> None:
        self.shape = (shape,) * 3 if isinstance(shape, int) else tuple(shape)
        self.levels, self.wavelet, self.mode, self.drop_finest = levels, wavelet, mode, drop_finest
        #: Sizes of the grid and of the coefficients of each level, finest first.
        self.shapes = level_shapes(self.shape, wavelet, levels, mode)

    def analysis(self, grid: Tensor) -> WaveletCoefficients:
        coarse, *details = wavelet3d_analysis(grid, self.wavelet, self.levels, self.mode)
        return WaveletCoefficients(coarse, tuple(details))

    def synthesis(self, coefficients: WaveletCoefficients) -> Tensor:
        return wavelet3d_synthesis([coefficients.coarse, *coefficients.details], self.shape, self.wavelet, self.mode)

    def filter(self, coefficients: WaveletCoefficients, k: int = 16384) -> TreeCode:
        """Keep the ``k`` trees of largest ``max_b |D0_b|`` of each shape."""
        cells = self.shapes[-1]
        parts = [coefficients.details[0]] + [
            gather_children(detail, cells, 2 ** (i + 1))
            for i, detail in enumerate(self._kept(coefficients.details)[1:])
            if detail is not None
        ]
        channels = torch.cat([p for p in parts if p is not None], dim=-4).reshape(
            -1, sum(p.shape[-4] for p in parts if p is not None), *cells
        )
        info = channels[:, :7].abs().amax(dim=1).flatten(1)
        k = min(k, info.shape[1])
        index = info.sort(dim=1, descending=True, stable=True).indices[:, :k].sort(dim=1).values
        values = channels.flatten(2).mT.gather(1, index[..., None].expand(-1, -1, channels.shape[1]))
        offsets = torch.arange(len(index) + 1) * k
        return TreeCode(coefficients.coarse.reshape(-1, *cells), index.flatten(), values.flatten(0, 1), offsets)

    def unfilter(self, code: TreeCode) -> WaveletCoefficients:
        """Coefficients ``(b, ...)`` with zeros for what was not kept."""
        return self.unpack(self.pack(code))

    def pack(self, code: TreeCode) -> Tensor:
        """The dense grid ``(b, c, m0, m1, m2)``: channel 0 the coarse grid, then children finest first, last the 7 details of the cell."""
        b, cells = len(code.coarse), self.shapes[-1]
        count = code.values.shape[1]
        shape_of = torch.repeat_interleave(torch.arange(b), code.offsets.diff())
        dense = code.values.new_zeros(b, cells[0] * cells[1] * cells[2], count)
        dense[shape_of, code.index] = code.values
        parts, begin = [], 0
        for size in self._group_sizes():
            parts.append(dense[..., begin : begin + size])
            begin += size
        return torch.cat([code.coarse.flatten(1)[:, None], *(p.mT for p in reversed(parts))], dim=1).unflatten(2, cells)

    def unpack(self, channels: Tensor) -> WaveletCoefficients:
        sizes, details, end = self._group_sizes(), [], channels.shape[-4]
        for i, size in enumerate(sizes):
            part = channels[..., end - size : end, :, :, :]
            details.append(part if i == 0 else scatter_children(part, self.shapes[-1 - i], 2**i))
            end -= size
        missing = [None] * (self.levels - len(details))
        return WaveletCoefficients(channels[..., 0, :, :, :], (*details, *missing))

    def _kept(self, details: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return details[: self.levels - self.drop_finest]

    def _group_sizes(self) -> list[int]:
        return [7 * 8**i for i in range(self.levels - self.drop_finest)]
