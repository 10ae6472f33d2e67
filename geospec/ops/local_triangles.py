"""Triangles of a point cloud: the planar Delaunay star of each point among its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_floats, check_same_device


def local_triangles(points: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """The triangles at each point in the Delaunay triangulation of its neighbours, projected to their best plane.

    On a well-sampled surface each triangle is found from all its three corners, so a third of the
    multiplicities counts the surface once. Where four corners lie nearly on a circle, all of them take the
    diagonal at the smallest index. Points at one place are parted by a millionth of their neighbourhood first;
    only the choice of triangles sees that.

    Parameters
    ----------
    points : (n, 3) float32 or float64, finite; computed in double. Not differentiable.
    neighbours : (n, k) int64, of each point in any order; a point in its own row is passed over.

    Returns
    -------
    triangles (t, 3) int64: distinct, corners ascending, rows in lexicographic order; multiplicity (t,) int64, 1 to 3:
    in how many of its corners' stars a triangle lies.

    Raises
    ------
    ArgumentError : wrong shape or type. RuntimeError : not finite, or indices out of range.

    Runs on the CPU; tensors of another device are copied there and back. The same for any number of threads.
    Cost: ``O(n k log k)``, about 2 us a point at k = 30. Source: Sharp and Crane 2020, section 5.7.
    """
    check_floats("points", points, columns=3)
    if not isinstance(neighbours, Tensor) or neighbours.dtype != torch.int64:
        raise ArgumentError(problem("neighbours", "an int64 tensor", getattr(neighbours, "dtype", type(neighbours).__name__)))
    if neighbours.dim() != 2 or len(neighbours) != len(points):
        raise ArgumentError(problem("neighbours", f"shape ({len(points)}, k), one row a point", tuple(neighbours.shape)))
    check_same_device("neighbours", neighbours, "points", points)
    return torch.ops.geospec.local_triangles(points.detach(), neighbours)


def reference(points: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`local_triangles` in plain PyTorch, by trying every pair of neighbours: an empty circle makes a triangle.

    It knows no coincident points.
    """
    found = []
    for i, row in enumerate(neighbours.tolist()):
        index = torch.tensor([j for j in row if j != i], dtype=torch.int64)
        offsets = (points[index] - points[i]).double()
        around = torch.cat([offsets, offsets.new_zeros(1, 3)])
        p = offsets @ torch.linalg.eigh(torch.cov(around.T, correction=0))[1][:, 1:]
        for a in range(len(p)):
            for b in range(len(p)):
                if _cross(p[a], p[b]) <= 1e-6 * p[a].norm() * p[b].norm():
                    continue
                left, right = _cross(p[a], p) > 0, _cross(p, p[b]) > 0  # of a, of b
                other = (torch.arange(len(p)) != a) & (torch.arange(len(p)) != b)
                between = _diagonal_from_centre(p[a], p, p[b], index[a], index, index[b], i)
                after = _diagonal_from_centre(p[a], p[b], p, index[a], index[b], index, i)
                before = _diagonal_from_centre(p, p[a], p[b], index, index[a], index[b], i)
                empty = torch.where(left & right, ~between, torch.where(left, after, torch.where(right, before, True)))
                if empty[other].all():
                    found.append(sorted((i, int(index[a]), int(index[b]))))
    if not found:
        return neighbours.new_empty(0, 3), neighbours.new_empty(0)
    return torch.unique(torch.tensor(found), dim=0, return_counts=True)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _diagonal_from_centre(a: Tensor, b: Tensor, c: Tensor, ia: Tensor, ib: Tensor, ic: Tensor, centre: int) -> Tensor:
    """Whether the corners 0, a, b, c in a cycle are cut from 0 to b: b lies in the circle of 0, a, c, or at it with the smallest index."""
    inside = _cross(a, b) * c.pow(2).sum(-1) + _cross(b, c) * a.pow(2).sum(-1) + _cross(c, a) * b.pow(2).sum(-1)
    sides = torch.stack(torch.broadcast_tensors(a.norm(dim=-1), c.norm(dim=-1), (b - a).norm(dim=-1), (c - b).norm(dim=-1)))
    shape = sides.amin(dim=0) / torch.maximum(b.norm(dim=-1), (c - a).norm(dim=-1))
    tie = inside.abs() <= 5e-3 * _cross(b, c - a) ** 2 * shape
    ia, ib, ic = torch.broadcast_tensors(ia, ib, ic)
    return torch.where(tie, ib.clamp(max=centre) < torch.minimum(ia, ic), inside > 0)


def _on_cpu(points: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    triangles, multiplicity = torch.ops.geospec.local_triangles(points.cpu(), neighbours.cpu())
    return triangles.to(points.device), multiplicity.to(points.device)


torch.library.impl("geospec::local_triangles", "CUDA")(_on_cpu)


@torch.library.register_fake("geospec::local_triangles")
def _fake(points: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    found = torch.library.get_ctx().new_dynamic_size()
    return neighbours.new_empty(found, 3), neighbours.new_empty(found)
