"""What the figure draws of the rows, as plain tensors and numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bars:
    """Errors of denoising over those of the Wiener filter: ``shares[group][level]``."""

    shares: dict[str, dict[float, float]]


@dataclass(frozen=True, eq=False)
class Masks:
    """The magnitudes of a true map, and masks by their names, each ``(k, k)``."""

    true_map: Tensor
    masks: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Curves:
    """Errors at all points of all pairs, by method."""

    title: str
    errors: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence by bins: mean confidence, share of points within the limit, and share of all points, ``(bins,)`` each."""

    title: str
    confidence: Tensor
    within: Tensor
    share: Tensor

    @staticmethod
    def of(title: str, confidence: Tensor, right: Tensor, bins: int = 10) -> Reliability:
        """Bins of equal width over [0, 1] of ``confidence (n,)``; ``right (n,)`` says where the map is right. Empty bins are NaN."""
        index = (confidence.double() * bins).long().clamp(0, bins - 1)
        count = torch.zeros(bins, dtype=torch.float64).index_add(0, index, torch.ones(len(index), dtype=torch.float64))
        sums = [torch.zeros(bins, dtype=torch.float64).index_add(0, index, values.double()) for values in (confidence, right)]
        return Reliability(title, sums[0] / count, sums[1] / count, count / max(len(index), 1))

    @property
    def gap(self) -> float:
        """The expected calibration error: the mean distance of confidence and truth over all points."""
        return float(((self.confidence - self.within).abs() * self.share).nansum())
