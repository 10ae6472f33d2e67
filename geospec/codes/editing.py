"""What codes are good for besides storing: taking noise away, blending two shapes level by level, repairing a broken mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ArgumentError, ShapeError, problem
from ..shapes.mesh import Mesh
from .encoding import encode
from .shape_code import ShapeCode

#: Details are shrunk by so many standard deviations of their noise.
_DEVIATIONS = 3.0


def denoise(code: ShapeCode, noise: float | None = None) -> ShapeCode:
    """The code with its details shrunk towards zero by three standard deviations of their noise; trees that vanish are left out.

    A code has dropped the finest details already, which are mostly noise; this takes what noise the kept ones hold, by
    :meth:`geospec.WaveletTree.shrink`. It also rounds sharp edges. At 64 cells noise of a sixth of a cell falls by half on a ball, while a
    solid with edges becomes worse; from about two thirds of a cell all of five solids become better.

    Parameters
    ----------
    noise : standard deviation of the distances at the cells, in the shape's units; 0 changes nothing. ``None`` estimates it by
        :meth:`geospec.WaveletTree.noise_level` near the surface, which takes some of a clean shape's details for noise.

    The deviation in each band follows from the norms of the filters, as for noise that is independent from cell to cell. A scan's noise is
    smoother than that: more of it stays.

    Raises
    ------
    ArgumentError : ``noise`` negative or not finite.

    Source: Donoho, "De-noising by soft-thresholding", 1995.
    """
    if noise is not None and not (noise >= 0 and math.isfinite(noise)):
        raise ArgumentError(problem("noise", "a distance from 0", noise))
    tree, trees = code.tree, code.code
    found = tree.unfilter(trees)
    level = tree.noise_level(found, truncation=code.truncation / code.scale) if noise is None else noise / code.scale
    return ShapeCode.unpack(tree.pack(tree.filter(tree.shrink(found, _DEVIATIONS * level), k=math.prod(tree.cells)))[0], like=code)


def blend(a: ShapeCode, b: ShapeCode, weight: float | Sequence[float]) -> ShapeCode:
    """A shape between two: ``(1 - weight) a + weight b`` of every coefficient.

    Parameters
    ----------
    a, b : codes of one geometry: the same grid, truncation and transform. ``encode(shape, other.grid)`` makes one.
    weight : of ``b``: one for all, or one for each level, coarse to fine: the coarse grid, its details, and so on. ``[0, 1, 1]`` has the
        body of ``a`` and the details of ``b``. 0 gives the coefficients of ``a`` back exactly, 1 those of ``b``. Values outside [0, 1]
        exaggerate.

    Returns
    -------
    A code that keeps the trees of both.

    Raises
    ------
    ArgumentError : codes of different geometry; a wrong number of weights, or weights that are not finite.
    """
    _check_geometry(a, b)
    levels = len(a.tree.widths) + 1
    weights = [float(weight)] * levels if isinstance(weight, (int, float)) else [float(w) for w in weight]
    if len(weights) != levels or not all(map(math.isfinite, weights)):
        raise ArgumentError(problem("weight", f"a finite number, or {levels} of them, coarse to fine", weight))
    counts = (1, *a.tree.widths[::-1])  # channels of a packed code: the coarse grid, then details finest first
    share = torch.tensor([weights[0], *weights[:0:-1]]).repeat_interleave(torch.tensor(counts)).to(a.code.values)[:, None, None, None]
    return ShapeCode.unpack((1 - share) * a.pack() + share * b.pack().to(a.code.values), like=a)


def repair(mesh: Mesh, resolution: int = 256) -> Mesh:
    """A closed manifold in the place of a broken mesh: open, self-intersecting, inside-out or non-manifold.

    The mesh goes through its code: what its faces enclose, told by the winding number where they leave holes, is meshed anew. What is
    finer than a few cells is lost, edges are rounded to about a cell, and the vertices are other ones. The steps of
    :func:`geospec.shapes.repair` keep vertices and fix less.

    Parameters
    ----------
    resolution : cells along each side of a cube around the mesh, of which its longest side takes nine tenths.

    Raises
    ------
    ShapeError : a mesh that encloses nothing, as a single sheet does.
    """
    surface = encode(mesh, resolution).decode()
    if len(surface.faces) == 0:
        raise ShapeError(problem("mesh", "one that encloses some volume", "none inside", "a sheet needs a thickness before it is a solid"))
    return surface


def _check_geometry(a: ShapeCode, b: ShapeCode) -> None:
    def of(code: ShapeCode) -> tuple:
        return code.grid.shape, code.tree.levels, code.tree.wavelet, code.tree.mode, code.tree.drop_finest

    def place(code: ShapeCode) -> Tensor:
        return torch.tensor([*code.grid.lower, *code.grid.spacing, code.truncation], dtype=torch.float64)

    same = of(a) == of(b) and torch.allclose(place(a), place(b), rtol=1e-6, atol=1e-6 * a.scale)
    if not same:
        wanted, got = f"one of the geometry of a: {a}, box from {a.grid.lower}", f"{b}, box from {b.grid.lower}"
        raise ArgumentError(problem("b", wanted, got, "encode(shape, a.grid) takes the box of another code"))
