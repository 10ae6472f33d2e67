"""The surface that a cloud of points samples, locally: around each point, a Delaunay triangulation of its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, ShapeError, problem
from ..shapes.cloud import PointCloud

_CHUNK = 1 << 15


def local_triangles(cloud: PointCloud, n_neighbors: int = 30) -> tuple[Tensor, Tensor]:
    """Triangles ``(f, 3)`` at each point of the Delaunay triangulation of its neighbours, in the plane that fits them best.

    Returns the triangles, each once, with ascending indices, sorted, and ``count (f,)``, the number of their corners (1 to 3)
    that found them; on the CPU. Where corners disagree, triangles overlap; three times the area of the
    surface is about the sum over triangles of ``count`` times area. Points that coincide with their point in
    its plane take no part.

    A circle through the point becomes a line under inversion about it, so the triangles at the point are the
    edges of the convex hull of its inverted neighbours, which is walked around for all points at once.

    Raises
    ------
    ArgumentError : ``n_neighbors`` below 3. ShapeError : too few points, not in three dimensions.

    Cost: one neighbour search and about eight passes over ``(n, n_neighbors)`` numbers; 3 s of one core at 100k points.
    Source: Sharp and Crane 2020, "A Laplacian for Nonmanifold Triangle Meshes", section 5.7, for the construction.
    """
    if not isinstance(cloud, PointCloud):
        raise ArgumentError(problem("cloud", "a PointCloud", type(cloud).__name__))
    points = cloud.points.detach().cpu().double()
    if points.shape[1] != 3:
        raise ShapeError(problem("cloud", "points in three dimensions", f"{points.shape[1]}"))
    if n_neighbors < 3:
        raise ArgumentError(problem("n_neighbors", "at least 3", n_neighbors))
    if len(points) <= n_neighbors:
        raise ShapeError(problem("cloud", f"more than n_neighbors = {n_neighbors} points", len(points), "lower n_neighbors"))
    from scipy.spatial import cKDTree

    tree = cKDTree(points.numpy())
    found = []
    for start in range(0, len(points), _CHUNK):
        own = torch.arange(start, min(start + _CHUNK, len(points)))
        index = torch.from_numpy(tree.query(points[own].numpy(), k=n_neighbors + 1)[1])
        found.append(_stars(points, own, index))
    corners = torch.cat(found).sort(dim=1).values
    order = corners[:, 2].argsort(stable=True)
    order = order[(corners[:, 0] * len(points) + corners[:, 1])[order].argsort(stable=True)]
    corners = corners[order]
    fresh = torch.cat([torch.ones(min(len(corners), 1), dtype=torch.bool), (corners[1:] != corners[:-1]).any(dim=1)])
    return corners[fresh], torch.diff(fresh.nonzero()[:, 0], append=torch.tensor([len(corners)]))


def _stars(points: Tensor, own: Tensor, index: Tensor) -> Tensor:
    """Triangles ``(m, 3)`` at the points ``own (b,)`` with their neighbours ``index (b, k)``, which may hold the point itself."""
    spread = points[index] - points[own][:, None]
    frame = torch.linalg.eigh(spread.transpose(1, 2) @ spread).eigenvectors[:, :, 1:]
    flat = spread @ frame
    squared = flat.square().sum(dim=2)
    usable = squared > 1e-20 * squared.amax(dim=1, keepdim=True)
    inverted = torch.where(usable[:, :, None], flat / squared.clamp(min=torch.finfo(squared.dtype).tiny)[:, :, None], 0)
    # One more candidate stands for the point at infinity of the plane, zero after inversion: next to it lies a boundary.
    k = index.shape[1]
    inverted, usable = torch.cat([inverted, inverted.new_zeros(len(own), 1, 2)], dim=1), torch.nn.functional.pad(usable, (0, 1), value=True)
    # The nearest neighbour is on the hull, and all others lie to the left of the way that starts there at a right angle.
    first = inverted.square().sum(dim=2).argmax(dim=1)
    rows = torch.arange(len(own))
    here, x, y = first, *inverted[rows, first].unbind(1)
    way = torch.stack([-y, x], dim=1)
    found = []
    while len(rows):
        step = inverted[rows] - inverted[rows, here][:, None]
        x, y = way[:, None].unbind(2)
        ahead, left = x * step[:, :, 0] + y * step[:, :, 1], x * step[:, :, 1] - y * step[:, :, 0]
        turn = left / (ahead.abs() + left.abs())  # rises with the angle, from 0 to 1, and on to 2 for steps back
        turn = torch.where(ahead < 0, 2 - turn.abs(), turn)
        turn[~usable[rows] | turn.isnan()] = torch.inf  # no step at all is to the point itself or to its double
        least, there = turn.min(dim=1)
        reached = least < torch.inf
        triangle = (here < k) & (there < k) & reached
        found.append(torch.stack([own[rows], index[rows, here.clamp(max=k - 1)], index[rows, there.clamp(max=k - 1)]], dim=1)[triangle])
        way = step[torch.arange(len(rows)), there]
        usable[rows, there] = False  # each is met once; the first again closes the way
        going = (inverted[rows, there] != inverted[rows, first[rows]]).any(dim=1) & reached
        rows, here, way = rows[going], there[going], way[going]
    return torch.cat(found)
