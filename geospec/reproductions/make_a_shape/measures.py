"""What is measured of one distance field under one wavelet tree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...bases.wavelet import WaveletCoefficients, WaveletTree
from ...codes import inside_iou
from ...shapes.grid import DistanceField

#: A detail is small below this share of the largest of its band.
SMALL = 1 / 32


@dataclass(frozen=True, eq=False)
class Trial:
    """A distance field, in halves of its box, with its coefficients."""

    field: DistanceField
    tree: WaveletTree

    @cached_property
    def coefficients(self) -> WaveletCoefficients:
        return self.tree.analysis(self.field.values)

    def iou(self, coefficients: WaveletCoefficients) -> float:
        """Of the cells inside, against those that the coefficients put inside; NaN where neither has any."""
        found: float | None = inside_iou(self.field.values, self.tree.synthesis(coefficients).reshape(self.field.values.shape))
        return math.nan if found is None else found

    def up_to(self, details: int) -> float:
        """The IoU of the coarse grid and the ``details`` coarsest levels of details."""
        kept = [d if i < details else None for i, d in enumerate(self.coefficients.details)]
        return self.iou(WaveletCoefficients(self.coefficients.coarse, tuple(kept)))

    def filtered(self, **criterion: float) -> tuple[float, int]:
        """The IoU of the trees that ``k``, ``threshold`` or ``energy`` keeps, and the count of their numbers with the coarse grid's."""
        code = self.tree.filter(self.coefficients, **criterion)  # type: ignore[arg-type]
        return self.iou(self.tree.unfilter(code)), code.coarse.numel() + code.values.numel()

    def statistics(self) -> Mapping[str, float]:
        """What the paper observes of coefficients.

        ``coarse``, the mean of ``|C0|``; ``important``, the share of cells one of whose details is at least 1/32 of the largest of its
        band; ``obedient``, the share of the other cells whose children are all below 1/32 of theirs; ``siblings``, the mean correlation
        of the sizes of two bands.
        """
        cells = self.coefficients.coarse.numel()
        packed = self.tree.pack(self.tree.filter(self.coefficients, k=cells))[0].flatten(1).abs()
        children, siblings = packed[-63:-7].unflatten(0, (7, 8)), packed[-7:]
        large = self._large(siblings)
        grown = self._large(children.amax(dim=1))
        correlation = torch.corrcoef(siblings)
        return {
            "coarse": float(packed[0].mean()),
            "important": float(large.double().mean()),
            "obedient": float((~grown[~large]).double().mean()),
            "siblings": float((correlation.sum() - 7) / 42),
        }

    @staticmethod
    def _large(bands: Tensor) -> Tensor:
        """Cells where some band ``(7, n)`` is large."""
        return (bands > SMALL * bands.amax(dim=1, keepdim=True)).any(dim=0)
