"""Clouds put in order: normals, outliers, density."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, problem
from .cloud import PointCloud
from .rows import unique_rows


def estimate_normals(cloud: PointCloud, k: int = 16, *, viewpoint: Tensor | None = None) -> PointCloud:
    """The cloud with normals from its neighbourhoods.

    Each normal is the direction in which the point and its ``k`` nearest neighbours vary least. Signs agree along a
    minimal spanning tree of the neighbour graph, weighted by ``1 - |n_i . n_j|``, and each connected part is turned so
    that its normals point away from its centroid on average; with ``viewpoint (3,)`` every normal faces it instead.

    Parameters
    ----------
    cloud : points ``(n, 3)``, more than ``k`` of them. Known normals are replaced.
    k : neighbours besides the point itself, at least 3.

    Cost: one neighbour search and one spanning tree, ``O(n k log n)``; a second or two for 100,000 points.

    Source: H. Hoppe et al., Surface Reconstruction from Unorganized Points, 1992, sections 3.1 to 3.3.
    """
    _check_neighbours(cloud, k, least=3)
    points = cloud.points.detach().cpu().double()
    index = _neighbours(points, k)[1]
    around = points[torch.cat([torch.arange(len(points))[:, None], index], dim=1)]
    spread = around - around.mean(dim=1, keepdim=True)
    normals = torch.linalg.eigh(spread.transpose(1, 2) @ spread).eigenvectors[:, :, 0]
    if viewpoint is None:
        normals = normals * _agreeing_signs(points, normals, index)[:, None]
    else:
        seen = ((torch.as_tensor(viewpoint).to(points) - points) * normals).sum(dim=1)
        normals = torch.where(seen[:, None] < 0, -normals, normals)
    return PointCloud(cloud.points, normals.to(cloud.points), cloud.weights)


def remove_outliers(cloud: PointCloud, k: int = 16, ratio: float = 2.0) -> tuple[PointCloud, Tensor]:
    """Drop points far from their neighbours: ``(cloud, kept (m,))``, ``kept`` the ascending indices of what stays.

    A point goes where the mean distance to its ``k`` nearest neighbours exceeds the mean of these means over
    the cloud by more than ``ratio`` standard deviations.

    Source: R. B. Rusu et al., Towards 3D Point Cloud Based Object Maps, 2008, section 4.
    """
    _check_neighbours(cloud, k, least=1)
    if not ratio > 0:
        raise ArgumentError(problem("ratio", "a positive number", ratio))
    mean = _neighbours(cloud.points.detach().cpu().double(), k)[0].mean(dim=1)
    kept = (mean <= mean.mean() + ratio * mean.std()).nonzero()[:, 0].to(cloud.points.device)
    normals, weights = (None if part is None else part[kept] for part in (cloud.normals, cloud.weights))
    return PointCloud(cloud.points[kept], normals, weights), kept


def voxel_downsample(cloud: PointCloud, size: float) -> PointCloud:
    """One point a cell of a cubic grid of edge ``size``: the mean of the cell's points, weighted by ``weights`` where known.

    The grid starts at the cloud's lowest corner. Cells are ordered by the first point that falls into them.
    Normals are averaged and made unit length again, weights are summed.
    """
    if not size > 0:
        raise ArgumentError(problem("size", "a positive length", size))
    points = cloud.points
    if cloud.n_points == 0:
        return cloud
    cell = torch.floor((points.detach() - points.detach().amin(dim=0)) / size)
    first, group = (torch.from_numpy(index).to(points.device) for index in unique_rows(cell.cpu().numpy()))
    weights = cloud.weights if cloud.weights is not None else points.new_ones(len(points))

    def total(values: Tensor) -> Tensor:
        return values.new_zeros((len(first), *values.shape[1:])).index_add(0, group, values)

    mass = total(weights)
    means = total(points * weights[:, None]) / mass[:, None]
    normals = None
    if cloud.normals is not None:
        normals = torch.nn.functional.normalize(total(cloud.normals * weights[:, None]), dim=1)
    return PointCloud(means, normals, mass if cloud.weights is not None else None)


def _check_neighbours(cloud: PointCloud, k: int, least: int) -> None:
    if not isinstance(cloud, PointCloud):
        raise ArgumentError(problem("cloud", "a PointCloud", type(cloud).__name__, "sample_surface makes one from a mesh"))
    if not least <= k < cloud.n_points:
        raise ArgumentError(problem("k", f"between {least} and the other {cloud.n_points - 1} points", k))
    if least == 3 and cloud.points.shape[1] != 3:
        raise ArgumentError(problem("cloud", "points in three dimensions", f"{cloud.points.shape[1]} dimensions"))


def _neighbours(points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distances and indices ``(n, k)`` of the nearest other points, nearest first."""
    squared, index = ops.knn(points, points, k, exclude_self=True)
    return squared.sqrt(), index


def _agreeing_signs(points: Tensor, normals: Tensor, index: Tensor) -> Tensor:
    """+1 or -1 for each normal, so that they agree along the spanning tree and point outward on average."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

    n, k = index.shape
    one, other = np.repeat(np.arange(n), k), index.reshape(-1).numpy()
    agreement = (normals[one] * normals[other]).sum(dim=1).numpy()
    # SciPy takes an entry of 0 for no edge at all: weights are kept away from it.
    low, high = np.minimum(one, other), np.maximum(one, other)
    _, first = np.unique(low * n + high, return_index=True)
    weight = 1 + 1e-9 - np.abs(agreement[first])
    tree = minimum_spanning_tree(coo_array((weight, (low[first], high[first])), shape=(n, n)).tocsr()).tocoo()
    # A sheet is a choice of sign: an edge links equal signs where its normals agree, opposite ones where they do not.
    opposite = (normals[tree.row] * normals[tree.col]).sum(dim=1).numpy() < 0
    shift = np.where(opposite, n, 0)
    rows = np.concatenate([tree.row, tree.row + n])
    columns = np.concatenate([tree.col + shift, tree.col + n - shift])
    sheets = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(2 * n, 2 * n)), directed=False)[1]
    part = torch.from_numpy(np.unique(np.minimum(sheets[:n], sheets[n:]), return_inverse=True)[1])
    signs = torch.from_numpy(np.where(sheets[:n] < sheets[n:], 1.0, -1.0)).to(points)
    count = torch.bincount(part).to(points)
    centroid = points.new_zeros(len(count), 3).index_add(0, part, points) / count[:, None]
    outward = points.new_zeros(len(count)).index_add(0, part, signs * (normals * (points - centroid[part])).sum(dim=1))
    return torch.where(outward[part] < 0, -signs, signs)
