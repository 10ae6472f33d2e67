"""From a cloud with normals to a mesh, by open3d."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError, one_of, problem
from .adapters import from_open3d, require_open3d, to_open3d
from .cloud import PointCloud
from .mesh import Mesh


def reconstruct_surface(
    cloud: PointCloud, *, method: str = "poisson", depth: int = 8, trim: float = 0.0, radii: Sequence[float] | None = None
) -> Mesh:
    """A triangle mesh through or near the points, by open3d; in the cloud's float type, on its device.

    Parameters
    ----------
    cloud : points ``(n, 3)`` with normals that point outward; :func:`estimate_normals` makes them.
    method : ``"poisson"`` gives a closed surface near the points, on an octree of ``depth`` levels; vertices supported by fewer
        points than the quantile ``trim`` of all vertices are cut away, which opens holes where the scan has
        them. ``"ball-pivoting"`` joins the points themselves, each a vertex in its order, by triangles that a
        ball of one of ``radii`` touches without holding another point; default 1.5, 2 and 3 times the mean spacing.

    Raises
    ------
    MissingDependencyError : open3d is not installed or does not import.

    Source: M. Kazhdan and H. Hoppe, Screened Poisson Surface Reconstruction, 2013; F. Bernardini et al., The Ball-Pivoting
    Algorithm, 1999.
    """
    one_of("method", method, ("poisson", "ball-pivoting"))
    if cloud.normals is None:
        raise ArgumentError(problem("cloud", "points with normals", "no normals", "estimate_normals(cloud) makes them"))
    if not 0 <= trim < 1:
        raise ArgumentError(problem("trim", "a fraction in [0, 1)", trim))
    o3d = require_open3d("reconstruct_surface")
    points = to_open3d(cloud)
    if method == "poisson":
        # One thread: the solver's sums depend on how they are split, and so would the mesh.
        made, support = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(points, depth=depth, n_threads=1)
        if trim > 0:
            made.remove_vertices_by_mask(np.asarray(support) < np.quantile(np.asarray(support), trim))
    else:
        if radii is None:
            spacing = float(np.mean(points.compute_nearest_neighbor_distance()))
            radii = [1.5 * spacing, 2 * spacing, 3 * spacing]
        made = o3d.geometry.TriangleMesh.create_from_point_cloud_ball_pivoting(points, o3d.utility.DoubleVector(list(radii)))
    mesh = from_open3d(made)
    if not isinstance(mesh, Mesh):
        raise ArgumentError(problem("cloud", "points dense enough to join", "no triangle made", "raise the radii or the depth"))
    return mesh.to(cloud.points.device, cloud.points.dtype)
