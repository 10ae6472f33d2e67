"""The surface that a cloud of points samples, locally: around each point, a Delaunay triangulation of its neighbours."""

from __future__ import annotations

from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ShapeError, problem
from ..shapes.cloud import PointCloud


def local_triangles(cloud: PointCloud, n_neighbors: int = 30) -> tuple[Tensor, Tensor]:
    """Triangles ``(f, 3)`` at each point of the Delaunay triangulation of its neighbours, and how many corners found each, ``(f,)``.

    Where corners disagree, triangles overlap; three times the area of the surface is about the sum over triangles of that
    number times area. See :func:`geospec.ops.local_triangles`.

    Raises
    ------
    ArgumentError : ``n_neighbors`` below 3. ShapeError : too few points, not in three dimensions.
    """
    if not isinstance(cloud, PointCloud):
        raise ArgumentError(problem("cloud", "a PointCloud", type(cloud).__name__))
    points, n = cloud.points.detach(), cloud.n_points
    if points.shape[1] != 3:
        raise ShapeError(problem("shape", "points in three dimensions", f"{points.shape[1]}"))
    if n_neighbors < 3:
        raise ArgumentError(problem("n_neighbors", "at least 3", n_neighbors))
    if n <= n_neighbors:
        raise ShapeError(problem("shape", f"more than n_neighbors = {n_neighbors} points", n, "lower n_neighbors"))
    return ops.local_triangles(points, ops.knn(points, points, n_neighbors, exclude_self=True)[1])
