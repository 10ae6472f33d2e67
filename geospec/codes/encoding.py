"""From a shape to its code: place a box, measure distances, transform, keep the trees that matter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..bases.wavelet import WaveletTree
from ..errors import ArgumentError, ShapeError, problem
from ..ops.wavelet_filters import filters
from ..shapes.cloud import PointCloud
from ..shapes.distance import distance_field
from ..shapes.grid import DistanceField, Grid
from ..shapes.mesh import Mesh
from .shape_code import ShapeCode, half_side


def encode(
    shape: Mesh | PointCloud | DistanceField,
    resolution: int | Grid = 256,
    *,
    k: int | None = None,
    threshold: float | None = None,
    energy: float | None = None,
    wavelet: str = "bior6.8",
    levels: int | None = None,
    mode: str = "constant",
    truncation: float = 0.1,
    fill: float = 0.9,
    sign: str = "auto",
) -> ShapeCode:
    """The wavelet-tree code of a shape: its truncated distance field, transformed, of which the largest trees are kept.

    Parameters
    ----------
    shape : what is encoded. A cloud needs normals.
    resolution, truncation, fill, sign : of the distance field, see :func:`geospec.codes.field_in_box`; a ``DistanceField`` brings its own.
    k, threshold, energy : which trees are kept, one of the three, see :meth:`geospec.WaveletTree.filter`; by default the 16384 largest. At
        256 cells these are the 1,129,528 numbers of Make-A-Shape.
    wavelet, mode : of the transform, see :func:`geospec.ops.wavelet3d_analysis`.
    levels : of the transform; by default as many as fit the grid's shortest side, 3 at 256 cells, but two at least: the finest is dropped.

    Returns
    -------
    A :class:`ShapeCode` with coefficients in float32, or in the type of a ``DistanceField``.

    Raises
    ------
    ShapeError : a shape without extent or faces, or one that has no distances.
    ArgumentError : arguments out of range; a field that is not finite.

    Cost: at 256 cells 0.4 to 2 s on one thread for meshes of 10,000 to 120,000 faces, of which all but 0.15 s goes to distances.
    """
    field = shape if isinstance(shape, DistanceField) else field_in_box(shape, resolution, truncation=truncation, fill=fill, sign=sign)
    tree = WaveletTree(field.grid.shape, _levels_that_fit(field.grid.shape, wavelet) if levels is None else levels, wavelet, mode)
    trees = tree.filter(tree.analysis(field.values / half_side(field.grid)), k, threshold=threshold, energy=energy)
    return ShapeCode(tree, trees, field.grid, field.truncation)


def field_in_box(
    shape: Mesh | PointCloud, resolution: int | Grid = 256, *, truncation: float = 0.1, fill: float = 0.9, sign: str = "auto"
) -> DistanceField:
    """The distance field of a shape in a box around it, as codes want it.

    Parameters
    ----------
    shape : a mesh, or a cloud with normals.
    resolution : cells along each side of a cube around the middle of the shape's bounding box; or the grid itself, in the shape's units.
    truncation : where distances are cut, in halves of the box's longest side.
    fill : share of the cube's side that the shape's longest side takes.
    sign : how inside is told from outside, see :func:`geospec.distance_field`.

    Returns
    -------
    Distances in float32, in the shape's units, on a grid of the shape's float type. They are measured about the box's middle, so that a
    shape far from the origin loses no digits. Differentiable in a mesh's vertices, but for the place of the box.

    Raises
    ------
    ShapeError : no points, or all at one place. ArgumentError : ``truncation`` or ``fill`` out of range.
    """
    if not (truncation > 0 and math.isfinite(truncation)):
        raise ArgumentError(problem("truncation", "a positive share of half the box", truncation))
    grid = (resolution if isinstance(resolution, Grid) else _cube(shape, resolution, fill)).to(shape.points.device, shape.points.dtype)
    half, middle = half_side(grid), [(low + high) / 2 for low, high in zip(grid.lower, grid.upper, strict=True)]
    lower = tuple((low - m) / half for low, m in zip(grid.lower, middle, strict=True))
    unit = Grid(grid.shape, lower, tuple(s / half for s in grid.spacing))  # type: ignore[arg-type]
    points = ((shape.points.double() - shape.points.new_tensor(middle, dtype=torch.float64)) / half).float()
    values = distance_field(_at(shape, points), unit, truncation, sign=sign).values
    return DistanceField(values * half, grid, truncation * half)


def _levels_that_fit(shape: tuple[int, ...], wavelet: str) -> int:
    """Levels until the coarse grid is about as short as the filter is long."""
    length = len(filters(wavelet).analysis_low)
    return max(2, int(math.log2(max(min(shape) / (length - 1), 1))))


def _cube(shape: Mesh | PointCloud, resolution: int, fill: float) -> Grid:
    if not 0 < fill <= 1:
        raise ArgumentError(problem("fill", "a share in (0, 1]", fill))
    if shape.n_points == 0 or shape.points.shape[1] != 3:
        raise ShapeError(problem("shape", "points in three dimensions", shape))
    points = shape.points.detach().double()
    low, high = points.amin(dim=0), points.amax(dim=0)
    half = float((high - low).max()) / 2 / fill
    if not half > 0:
        raise ShapeError(problem("shape", "points that differ", "all of them at one place"))
    middle = ((low + high) / 2).tolist()
    return Grid.box([m - half for m in middle], [m + half for m in middle], resolution)


def _at(shape: Mesh | PointCloud, points: Tensor) -> Mesh | PointCloud:
    """The shape with its points elsewhere, scaled equally along all axes."""
    if isinstance(shape, Mesh):
        return Mesh(points, shape.faces)
    return PointCloud(points, None if shape.normals is None else shape.normals.float())
