"""How far to trust each point of a map, from the two point maps alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh

#: A round trip that ends this far off, in units of the square root of the area, halves the confidence.
HALF = 0.05


def round_trip_confidence(target_to_source: Tensor, source_to_target: Tensor, target: Mesh | PointCloud, half: float = HALF) -> Tensor:
    """``2^(-d / half)`` for each target point ``(n_t,)``, in [0, 1]: where does the walk to the source and back end?

    ``d`` is the straight distance between a target point and ``source_to_target[target_to_source]`` of it, over the square root of the
    target's area. A point that the two maps send in a circle has confidence 1. A map that is wrong the same way in both
    directions, such as a mirrored one, is not found out. ``target_to_source (n_t,)``, ``source_to_target (n_s,)`` int64. O(n_t).
    """
    back = source_to_target[target_to_source]
    distance = (target.points[back] - target.points).norm(dim=1) / target.measure.sum().sqrt()
    return torch.exp2(-distance / half)
