"""How alike two solids are."""

from __future__ import annotations

from torch import Tensor

from ..errors import ArgumentError, problem


def inside_iou(one: Tensor, other: Tensor) -> float:
    """Cells that are inside (below zero) in both fields over those inside in either; 1 where there are none."""
    if one.shape != other.shape:
        raise ArgumentError(problem("other", f"a field of shape {tuple(one.shape)}", tuple(other.shape)))
    first, second = one < 0, other < 0
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 1.0
