"""How alike two solids are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from ..errors import ArgumentError, problem

_SLAB = 8


def inside_iou(one: Tensor, other: Tensor) -> float:
    """Cells that are inside (below zero) in both fields over those inside in either; 1 where there are none."""
    if one.shape != other.shape:
        raise ArgumentError(problem("other", f"a field of shape {tuple(one.shape)}", tuple(other.shape)))
    both = either = 0
    for a, b in slabs(one, other):
        first, second = a < 0, b < 0
        both, either = both + int((first & second).sum()), either + int((first | second).sum())
    return both / either if either else 1.0


def slabs(one: Tensor, other: Tensor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two grids in slices that fit a cache, as arrays: many short steps, for which threads would only wait on each other."""
    first, second = one.detach().cpu().numpy(), other.detach().cpu().numpy()
    return ((first[i : i + _SLAB], second[i : i + _SLAB]) for i in range(0, len(first), _SLAB))
