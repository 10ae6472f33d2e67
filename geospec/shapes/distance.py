"""Distance fields of shapes on grids."""

from __future__ import annotations

from ..errors import ArgumentError, ShapeError, problem
from ..ops.mesh_sdf import mesh_sdf
from .grid import DistanceField, Grid
from .mesh import Mesh


def distance_field(shape: Mesh, grid: Grid, truncation: float, *, sign: str = "auto") -> DistanceField:
    """Signed distances to a shape at the cells of a grid: negative inside, cut at ``truncation`` either way.

    Parameters
    ----------
    shape : a mesh with at least one face. It may reach beyond the grid, and may lie outside it: distances are right all the same.
    grid : where distances are wanted.
    truncation : positive, in the units of the shape; distances beyond it are not computed.
    sign : what is inside of a mesh, as :func:`geospec.ops.mesh_sdf` tells.

    Returns
    -------
    A :class:`DistanceField` of the shape's type and device, differentiable in a mesh's vertices.

    Raises
    ------
    ShapeError : no faces. ArgumentError : something that is no mesh, a truncation that is not positive, an unknown sign.
    """
    if not isinstance(shape, Mesh):
        raise ArgumentError(problem("shape", "a Mesh", type(shape).__name__))
    if len(shape.faces) == 0:
        raise ShapeError(problem("shape", "at least one face", "none"))
    values = mesh_sdf(shape.vertices, shape.faces, grid.shape, truncation, lower=grid.lower, upper=grid.upper, sign=sign)
    return DistanceField(values, grid.to(values.device, values.dtype), float(truncation))
