"""A few points spread over many: each the farthest from those before it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_floats


def farthest_points(points: Tensor, m: int, start: int = 0) -> Tensor:
    """``m`` different point indices ``(m,)`` int64: ``start``, then each time the point farthest from all chosen so far.

    Exactly the greedy choice: distances are those of :func:`knn`, in double for either type, and of equally far points
    the smaller index wins. Where all that is left lies on chosen points, the rest follow by index.

    Parameters
    ----------
    points : (n, d) float32 or float64, finite, ``d >= 1``; 2 and 3 dimensions are quick, any is right.
    m : between 0 and ``n``; ``start`` : index of the first.

    Raises
    ------
    ArgumentError : wrong shape, type, ``m`` or ``start``. RuntimeError : a value is not finite (CPU).

    Cost: ``O(n log n)`` for the tree, then about ``n log m`` distances where points fill space or a surface, at most
    ``n m``; one thread, since every choice waits for the last. Source: Gonzalez 1985; trees of buckets as Han et al. 2023,
    QuickFPS.
    """
    check_floats("points", points)
    if points.shape[1] == 0:
        raise ArgumentError(problem("points", "at least one column", "none"))
    if not 0 <= m <= points.shape[0]:
        raise ArgumentError(problem("m", f"between 0 and the {points.shape[0]} points", m))
    if m > 0 and not 0 <= start < points.shape[0]:
        raise ArgumentError(problem("start", f"an index in [0, {points.shape[0]})", start))
    return torch.ops.geospec.farthest_points(points, m, start)


def reference(points: Tensor, m: int, start: int = 0) -> Tensor:
    """:func:`farthest_points` as a plain loop."""
    chosen = torch.empty(m, dtype=torch.int64, device=points.device)
    columns = points.detach().double().T
    nearest = torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.device)
    everyone = torch.arange(len(points), device=points.device)
    last = start
    for i in range(m):
        chosen[i] = last
        squared = torch.zeros_like(nearest)
        for x in columns:
            squared = squared + (x - x[last]).square()
        nearest = torch.minimum(nearest, squared)
        nearest[last] = -torch.inf
        last = int(torch.where(nearest == nearest.max(), everyone, len(points)).min())
    return chosen


@torch.library.register_fake("geospec::farthest_points")
def _fake(points: Tensor, m: int, start: int = 0) -> Tensor:
    return points.new_empty(m, dtype=torch.int64)
