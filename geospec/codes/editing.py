"""What codes are good for besides storing: taking noise away, blending two shapes level by level, repairing a broken mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import ArgumentError, ShapeError, problem
from ..ops.wavelet_filters import filters
from ..shapes.mesh import Mesh
from .encoding import encode
from .shape_code import ShapeCode

#: Details are shrunk by so many standard deviations of their noise.
_DEVIATIONS = 3.0
#: Median of the size of a standard normal number.
_MEDIAN = 0.6745


def denoise(code: ShapeCode, noise: float | None = None) -> ShapeCode:
    """The code with its details shrunk towards zero by three standard deviations of their noise; trees that vanish are left out.

    A code has dropped the finest details already, which are mostly noise; this takes what noise the kept ones hold. Sharp edges are
    rounded by it a little.

    Parameters
    ----------
    noise : standard deviation of the distances at the cells, in the shape's units; 0 changes nothing. ``None`` estimates it in each band of
        the finest kept details by the median of their sizes, which takes some of a clean shape's details for noise.

    The deviation of a coarser band follows from that of the finest one by the norms of the filters, as for noise that is independent
    from cell to cell. A scan's noise is smoother than that: more of it stays.

    Raises
    ------
    ArgumentError : ``noise`` negative or not finite.

    Source: Donoho, "De-noising by soft-thresholding", 1995.
    """
    if noise is not None and not (noise >= 0 and math.isfinite(noise)):
        raise ArgumentError(problem("noise", "a distance from 0", noise))
    widths, gains = code.tree.widths, _noise_gains(code.tree.wavelet, code.tree.levels)[: len(code.tree.widths)]
    parts = [part.unflatten(1, (7, -1)) for part in code.code.values.split(widths, dim=1)]
    unit = _estimated(code, parts[-1]) / gains[-1] if noise is None else torch.full((7,), noise / code.scale, dtype=torch.float64)
    shrunk = []
    for part, gain in zip(parts, gains, strict=True):
        limit = (_DEVIATIONS * unit * gain).to(part)[:, None]
        shrunk.append((part.sign() * (part.abs() - limit).clamp(min=0)).flatten(1))
    values = torch.cat(shrunk, dim=1)
    alive = values.ne(0).any(dim=1)
    offsets = torch.tensor([0, int(alive.sum())], device=values.device)
    return replace(code, code=replace(code.code, index=code.code.index[alive], values=values[alive], offsets=offsets))


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


def _estimated(code: ShapeCode, finest: Tensor) -> Tensor:
    """Standard deviation ``(7,)`` of the noise in each band of details ``(K, 7, c)``, by the median size of those that are not zero.

    Only trees on the surface count: elsewhere the cut at the truncation has its own details, and takes half of the noise away.
    """
    on_surface = code.code.coarse.flatten()[code.code.index].abs() < code.saturation / 2
    sizes = [band[band > 0] for band in finest[on_surface].transpose(0, 1).flatten(1).abs().double()]
    return torch.stack([size.median() / _MEDIAN if len(size) else size.new_zeros(()) for size in sizes])


def _noise_gains(wavelet: str, levels: int) -> list[Tensor]:
    """What a band's filter makes of independent noise of deviation 1: its norm ``(7,)``, for each level of details, coarse to fine."""
    low, high = (bank.double() for bank in filters(wavelet)[:2])
    reach, gains = torch.ones(1, dtype=torch.float64), []
    for level in range(levels):
        norms = torch.stack([_combined(reach, low, level).norm(), _combined(reach, high, level).norm()])
        gains.append(torch.stack([norms[band & 1] * norms[band >> 1 & 1] * norms[band >> 2 & 1] for band in range(1, 8)]))
        reach = _combined(reach, low, level)
    return gains[::-1]


def _combined(reach: Tensor, taps: Tensor, level: int) -> Tensor:
    """The filter of the levels before, followed by ``taps`` at every ``2^level``-th cell."""
    spread = torch.zeros((len(taps) - 1) * 2**level + 1, dtype=torch.float64)
    spread[:: 2**level] = taps
    padded = torch.nn.functional.pad(reach, (len(spread) - 1, len(spread) - 1))
    return torch.nn.functional.conv1d(padded[None, None], spread.flip(0)[None, None])[0, 0]


def _check_geometry(a: ShapeCode, b: ShapeCode) -> None:
    def of(code: ShapeCode) -> tuple:
        return code.grid.shape, code.tree.levels, code.tree.wavelet, code.tree.mode, code.tree.drop_finest

    def place(code: ShapeCode) -> Tensor:
        return torch.tensor([*code.grid.lower, *code.grid.spacing, code.truncation], dtype=torch.float64)

    same = of(a) == of(b) and torch.allclose(place(a), place(b), rtol=1e-6, atol=1e-6 * a.scale)
    if not same:
        wanted, got = f"one of the geometry of a: {a}, box from {a.grid.lower}", f"{b}, box from {b.grid.lower}"
        raise ArgumentError(problem("b", wanted, got, "encode(shape, a.grid) takes the box of another code"))
