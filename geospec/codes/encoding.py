"""From a shape to its code: place a box, measure distances, transform, keep the trees that matter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..bases.wavelet import WaveletTree
from ..errors import ArgumentError, ShapeError, problem
from ..ops.wavelet3d import max_level
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
    drop_finest: int | None = None,
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
        256 cells these are the 1,129,528 numbers of Make-A-Shape. Details are weighed by their nearness to the surface (``truncation`` of
        that method).
    wavelet, mode : of the transform, see :func:`geospec.ops.wavelet3d_analysis`.
    levels : of the transform; by default as many as fit the grid's shortest side, 3 at 256 cells, but two at least. More are taken while
        eight coarse cells span that side.
    drop_finest : finest levels of details that are left out; by default one, or none where there is one level only.

    Returns
    -------
    A :class:`ShapeCode` with coefficients in float32, or in the type of a ``DistanceField``.

    Raises
    ------
    ShapeError : a shape without extent or faces, one that has no distances, or one that no cell of the grid is inside of.
    ArgumentError : arguments out of range; a field that is not finite.

    Cost: at 256 cells 0.4 to 2 s on one thread for meshes of 10,000 to 120,000 faces, of which all but 0.15 s goes to distances.
    """
    field = shape if isinstance(shape, DistanceField) else field_in_box(shape, resolution, truncation=truncation, fill=fill, sign=sign)
    _check_inside(shape, field)
    levels = _checked_levels(levels, field.grid.shape, wavelet)
    tree = WaveletTree(field.grid.shape, levels, wavelet, mode, drop_finest=min(1, levels - 1) if drop_finest is None else drop_finest)
    unit = half_side(field.grid)
    found = tree.analysis(field.values / unit, finest=False)
    trees = tree.filter(found, k, threshold=threshold, energy=energy, truncation=field.truncation / unit)
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
    box = resolution if isinstance(resolution, Grid) else Grid.around(shape, resolution, fill)
    grid = box.to(shape.points.device, shape.points.dtype)
    half, middle = half_side(grid), [(low + high) / 2 for low, high in zip(grid.lower, grid.upper, strict=True)]
    lower = tuple((low - m) / half for low, m in zip(grid.lower, middle, strict=True))
    unit = Grid(grid.shape, lower, tuple(s / half for s in grid.spacing))  # type: ignore[arg-type]
    points = ((shape.points.double() - shape.points.new_tensor(middle, dtype=torch.float64)) / half).float()
    values = distance_field(_at(shape, points), unit, truncation, sign=sign).values
    return DistanceField(values * half, grid, truncation * half)


def _checked_levels(levels: int | None, shape: tuple[int, ...], wavelet: str) -> int:
    """The levels that were asked for, or as many as fit; a refusal where coarse cells would be wider than an eighth of the box."""
    fitting = max(2, max_level(min(shape), wavelet))
    most = max(fitting, min(shape).bit_length() - 4)
    if levels is None:
        return fitting
    if isinstance(levels, bool) or not isinstance(levels, int) or not 1 <= levels <= most:
        raise ArgumentError(problem("levels", f"1 to {most} with {wavelet} on {min(shape)} cells", levels))
    return levels


def _check_inside(shape: Mesh | PointCloud | DistanceField, field: DistanceField) -> None:
    """Refuse what has no inside on its grid: it would be decoded to nothing. What is not finite is found later."""
    if field.values.numel() and float(field.values.detach().amin()) >= 0:
        name = {Mesh: "mesh", PointCloud: "cloud"}.get(type(shape), "field")
        hint = "a sheet needs a thickness before it is a solid; else more cells, or another sign, would tell"
        raise ShapeError(problem(name, "one that encloses some volume", f"no cell inside among {field.grid.n_points:,}", hint))


def _at(shape: Mesh | PointCloud, points: Tensor) -> Mesh | PointCloud:
    """The shape with its points elsewhere, scaled equally along all axes."""
    if isinstance(shape, Mesh):
        return Mesh(points, shape.faces)
    return PointCloud(points, None if shape.normals is None else shape.normals.float())
