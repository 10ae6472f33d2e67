"""The edges of a triangle list as tensors, on any device: one table for all that walks along sides."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class EdgeTable(NamedTuple):
    """Undirected edges, and where the sides of the faces are among them. All int64.

    ``ends (e, 2)`` smaller index first, sorted, each edge once; ``n_sides (e,)`` how many sides lie on it;
    ``of_side (f, 3)`` the edge of side ``s`` of each face, which runs from its corner ``s`` to the next one.
    A face that names a vertex twice has a side from that vertex to itself.
    """

    ends: Tensor
    n_sides: Tensor
    of_side: Tensor


def edge_table(faces: Tensor, n: int) -> EdgeTable:
    """The edges of ``faces (f, 3)`` over ``n`` vertices. Cost: one sort of ``3 f`` numbers."""
    following = faces.roll(-1, dims=1)
    key = torch.minimum(faces, following) * n + torch.maximum(faces, following)
    edges, of_side, count = torch.unique(key.reshape(-1), return_inverse=True, return_counts=True)
    return EdgeTable(torch.stack([edges // max(n, 1), edges % max(n, 1)], dim=1), count, of_side.reshape(-1, 3))
