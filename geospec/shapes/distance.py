"""Distance fields of shapes on grids."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, ShapeError, one_of, problem
from ..ops.mesh_sdf import SIGNS, check_truncation, mesh_sdf
from ..ops.neighbours import knn
from .cloud import PointCloud
from .fields import unit_rows
from .grid import DistanceField, Grid
from .mesh import Mesh

#: Points of a cloud that a cell's distance is taken from.
NEAREST = 12
#: Cells whose neighbours are held together.
PART = 1 << 18


def distance_field(shape: Mesh | PointCloud, grid: Grid, truncation: float, *, sign: str = "auto") -> DistanceField:
    """Signed distances to a shape at the cells of a grid: negative inside, cut at ``truncation`` either way.

    A mesh's distances are exact. A cloud's are those of implicit moving least squares: the mean of ``n_i . (x - p_i)`` over the
    twelve nearest points, weighted by a Gaussian as wide as the points stand apart there; of second order in that spacing on a
    smooth surface. Beyond the truncation, a cloud's sign is that of the winding number of its points, each a small triangle of
    the area that it stands for, which closes gaps.

    Parameters
    ----------
    shape : a mesh with at least one face, or a cloud of at least 13 points with unit normals that point out. It may reach
        beyond the grid, and may lie outside it: distances are right all the same.
    grid : where distances are wanted.
    truncation : positive, in the units of the shape; distances beyond it are not computed.
    sign : what is inside of a mesh, as :func:`geospec.ops.mesh_sdf` tells. For a cloud ``"auto"`` alone.

    Returns
    -------
    A :class:`DistanceField` of the shape's type and device; of a mesh, differentiable in its vertices.

    Raises
    ------
    ShapeError : no faces, too few points, no normals, not in three dimensions. ArgumentError : neither mesh nor cloud, a
        truncation that is not positive, an unknown sign.

    Source: for clouds Kolluri 2008 (distances), Barill, Dickson, Schmidt, Levin and Jacobson 2018 (signs).
    """
    one_of("sign", sign, SIGNS)
    check_truncation(truncation)
    if isinstance(shape, Mesh):
        if len(shape.faces) == 0:
            raise ShapeError(problem("shape", "a mesh with at least one face", "none"))
        values = mesh_sdf(shape.vertices, shape.faces, grid.shape, truncation, lower=grid.lower, upper=grid.upper, sign=sign)
    elif isinstance(shape, PointCloud):
        if sign != "auto":
            raise ArgumentError(problem("sign", "'auto' for a cloud, whose normals tell the inside", repr(sign)))
        values = _cloud_distances(shape, grid, truncation)
    else:
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud", type(shape).__name__))
    return DistanceField(values, grid.to(values.device, values.dtype), float(truncation))


@torch.no_grad()
def _cloud_distances(cloud: PointCloud, grid: Grid, truncation: float) -> Tensor:
    points, normals = cloud.points, cloud.normals
    if points.shape[1] != 3:
        raise ShapeError(problem("shape", "points in three dimensions", tuple(points.shape)))
    if normals is None:
        raise ShapeError(problem("shape", "a cloud with normals", "none", "estimate them with geospec.shapes.estimate_normals"))
    if len(points) <= NEAREST:
        raise ShapeError(problem("shape", f"more than {NEAREST} points", len(points)))
    spacing = knn(points, points, NEAREST, exclude_self=True)[0][:, -1]  # squared radius of the disc of so many points
    triangles = _triangles(points, normals, torch.pi * spacing / NEAREST)
    faces = torch.arange(3 * len(points), device=points.device).reshape(-1, 3)
    values, face = mesh_sdf(
        triangles.reshape(-1, 3), faces, grid.shape, truncation, lower=grid.lower, upper=grid.upper, sign="winding", nearest=True
    )
    values, centres = values.reshape(-1), grid.to(points.device, points.dtype).points
    for cells in torch.nonzero(face.reshape(-1) >= 0).squeeze(1).split(PART):
        x = centres[cells]
        squared, near = knn(x, points, NEAREST)
        weights = torch.softmax(-squared / (spacing[near[:, :1]] / 2).clamp_min(torch.finfo(x.dtype).tiny), dim=1)
        heights = ((x[:, None] - points[near]) * normals[near]).sum(dim=-1)
        values[cells] = (weights * heights).sum(dim=1).clamp(-truncation, truncation)
    return values.reshape(grid.shape)


def _triangles(points: Tensor, normals: Tensor, areas: Tensor) -> Tensor:
    """An equilateral triangle ``(n, 3, 3)`` of the given area about each point, counter-clockwise about its normal."""
    least = torch.nn.functional.one_hot(normals.abs().argmin(dim=1), 3).to(normals)
    u = unit_rows(torch.linalg.cross(normals, least))
    v = torch.linalg.cross(unit_rows(normals), u)
    radius = (areas * 4 / math.sqrt(27)).sqrt()[:, None, None]
    angle = torch.arange(3, dtype=points.dtype, device=points.device)[:, None] * (2 * torch.pi / 3)
    return points[:, None] + radius * (angle.cos() * u[:, None] + angle.sin() * v[:, None])
