"""From a shape to its code: place a box, measure distances, transform, keep the trees that matter."""

from __future__ import annotations

import math

import torch

from ..bases.wavelet import WaveletTree
from ..errors import ArgumentError, ShapeError, problem
from ..ops.mesh_sdf import mesh_sdf
from ..ops.wavelet_filters import filters
from ..shapes.cloud import PointCloud
from ..shapes.grid import DistanceField, Grid
from ..shapes.mesh import Mesh
from .shape_code import ShapeCode, half_side

#: Trees that are kept where nothing is asked for: with 46^3 coarse cells the 1,129,528 numbers of Make-A-Shape.
K = 16384


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

    The box is a cube around the middle of the shape's bounding box, so large that the longest side takes ``fill`` of it. A ``Grid``
    given as ``resolution`` is taken as it stands; a ``DistanceField`` brings grid and truncation.

    Parameters
    ----------
    shape : what is encoded. A cloud needs normals.
    resolution : cells along each axis, or the grid itself, in the shape's units.
    k, threshold, energy : which trees are kept, one of the three: the ``k`` largest (16384 where nothing is given), those above a
        threshold, or as many as hold this share of the details' energy. See :meth:`geospec.WaveletTree.filter`.
    wavelet, levels, mode : of the transform; ``levels=None`` is as many as fit, 3 at 256 cells.
    truncation : where distances are cut, in halves of the box's longest side.
    fill : share of the box that the shape's longest side takes.
    sign : how inside is told from outside, see :func:`geospec.distance_field`.

    Raises
    ------
    ShapeError : a shape without faces or extent, or that cannot have a distance field.
    ArgumentError : more than one of ``k``, ``threshold`` and ``energy``; other arguments out of range.
    """
    given = {name: value for name, value in (("k", k), ("threshold", threshold), ("energy", energy)) if value is not None}
    if len(given) > 1:
        raise ArgumentError(problem("k, threshold, energy", "one of the three", " and ".join(given)))
    if isinstance(shape, DistanceField):
        grid, values = shape.grid, shape.values / half_side(shape.grid)
        truncation = shape.truncation / half_side(grid)
    else:
        grid = resolution if isinstance(resolution, Grid) else _box(shape, resolution, fill)
        values = _distances(shape, grid, truncation, sign)
    tree = WaveletTree(grid.shape, levels or levels_that_fit(grid.shape, wavelet), wavelet, mode)
    code = tree.filter(tree.analysis(values), **(given or {"k": K}))
    return ShapeCode(tree, code, grid, truncation * half_side(grid))


def levels_that_fit(shape: tuple[int, ...], wavelet: str) -> int:
    """Levels until the coarse grid is about as small as the filter is long; at least two, since the finest is dropped."""
    length = len(filters(wavelet).analysis_low)
    return max(2, int(math.log2(max(min(shape) / (length - 1), 1))))


def _box(shape: Mesh | PointCloud, resolution: int, fill: float) -> Grid:
    if not 0 < fill <= 1:
        raise ArgumentError(problem("fill", "a share in (0, 1]", fill))
    if shape.n_points == 0:
        raise ShapeError(problem("shape", "at least one point", shape))
    points = shape.points.detach().double()
    low, high = points.amin(dim=0), points.amax(dim=0)
    half = float((high - low).max()) / 2 / fill
    if not half > 0:
        raise ShapeError(problem("shape", "points that differ", "all at one place"))
    centre = ((low + high) / 2).tolist()
    return Grid.box([c - half for c in centre], [c + half for c in centre], resolution).to(dtype=shape.points.dtype)


def _distances(shape: Mesh | PointCloud, grid: Grid, truncation: float, sign: str) -> torch.Tensor:
    """Truncated distances in float32, in halves of the box's longest side; measured about its middle, so that far places lose no digits."""
    half = half_side(grid)
    middle = [(low + high) / 2 for low, high in zip(grid.lower, grid.upper, strict=True)]
    lower, upper = ([(x - m) / half for x, m in zip(corner, middle, strict=True)] for corner in (grid.lower, grid.upper))
    assert isinstance(shape, Mesh)
    vertices = ((shape.vertices.double() - shape.vertices.new_tensor(middle, dtype=torch.float64)) / half).float()
    return mesh_sdf(vertices, shape.faces, grid.shape, truncation, lower=lower, upper=upper, sign=sign)
