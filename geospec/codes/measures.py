"""How alike two solids are."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from ..errors import ArgumentError, problem

_SLAB = 2


def inside_iou(one: Tensor, other: Tensor) -> float:
    """Cells that are inside (below zero) in both fields over those inside in either; NaN where there are none."""
    if one.shape != other.shape:
        raise ArgumentError(problem("other", f"a field of shape {tuple(one.shape)}", tuple(other.shape)))
    return _ratio(sum((_shared(a < 0, b < 0) for a, b in _slabs(one, other)), np.zeros(2, dtype=np.int64)))


def compared(one: Tensor, other: Tensor, reach: float) -> tuple[float, float, float]:
    """The largest difference of two fields anywhere, that where the first is within ``reach`` of zero, and the IoU of their insides."""
    most = near = 0.0
    shared = np.zeros(2, dtype=np.int64)
    for a, b in _slabs(one, other):
        shared += _shared(a < 0, b < 0)
        error = a - b
        np.abs(error, out=error)
        most, near = max(most, float(error.max())), max(near, float(error[np.abs(a) <= reach].max(initial=0)))
    return most, near, _ratio(shared)


def _shared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cells that are set in both, and in either."""
    both = np.count_nonzero(one & other)
    return np.array([both, np.count_nonzero(one) + np.count_nonzero(other) - both])


def _ratio(shared: np.ndarray) -> float:
    return float(shared[0] / shared[1]) if shared[1] else math.nan


def _slabs(one: Tensor, other: Tensor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two grids in slices that fit a cache, as arrays: many short steps, for which threads would only wait on each other."""
    first, second = one.detach().cpu().numpy(), other.detach().cpu().numpy()
    return ((first[i : i + _SLAB], second[i : i + _SLAB]) for i in range(0, len(first), _SLAB))
