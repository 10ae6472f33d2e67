"""Descriptors that no rotation changes: energies of spherical harmonics, and their products in threes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import ops
from ..bases.spherical import SphericalHarmonics
from ..errors import ArgumentError, ShapeError, problem
from ..ops.harmonic_table import check_degree, degrees_and_orders
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from ..shapes.sphere import Sphere

#: Harmonics held at a time.
CHUNK = 1 << 21


def bispectrum_degrees(degree: int) -> Tensor:
    """The triples ``(t, 3)`` of degrees ``a <= b <= c`` up to ``degree`` for which :func:`bispectrum` need not vanish.

    Those with ``c <= a + b`` and an even sum, in lexical order.
    """
    check_degree(degree)
    axis = torch.arange(degree + 1)
    a, b, c = torch.cartesian_prod(axis, axis, axis).unbind(dim=1)
    return torch.stack([a, b, c], dim=1)[(a <= b) & (b <= c) & (c <= a + b) & ((a + b + c) % 2 == 0)]


def bispectrum(basis: SphericalHarmonics, coefficients: Tensor) -> Tensor:
    """Integrals ``int f_a f_b f_c`` over the sphere of the parts of a field in three degrees: ``(k, c) -> (t, c)``.

    In the order of :func:`bispectrum_degrees`. No rotation or reflection changes them. They hold how degrees lie towards one
    another, to which the power spectrum is blind: turning one degree alone changes them. The same in every normalization.
    Differentiable.

    Cost: ``3 degree^5 c`` flops; meant for degrees up to 30.
    """
    degree = basis.degree
    fine = Sphere.gauss_legendre((3 * degree + 1) // 2, 3 * degree + 1).to(basis.measure.device, basis.measure.dtype)
    alone = torch.nn.functional.one_hot(basis.degrees, degree + 1).to(coefficients)
    parts = (coefficients[:, None, :] * alone[:, :, None]).flatten(1)  # (k, (degree + 1) c)
    fields = basis.synthesize_at(parts, fine.points).unflatten(1, (degree + 1, coefficients.shape[1]))
    a, b, c = bispectrum_degrees(degree).to(basis.measure.device).unbind(dim=1)
    pairs = torch.einsum("n,nac,nbc->nabc", fine.measure, fields, fields)
    return torch.einsum("nabc,ndc->abdc", pairs, fields)[a, b, c]


def shell_spectra(
    shape: Mesh | PointCloud, degree: int = 16, *, shells: int = 8, center: Tensor | None = None, radius: float | None = None
) -> Tensor:
    """Amplitude of each degree on concentric shells around a shape's centre: ``(shells, degree + 1)``, for shapes of any kind.

    Near each shell the shape's measure, as a share of all, is a density of directions; entry ``(s, l)`` is the norm of its part of
    degree ``l``. Rotations leave it, and scalings where the radius scales too. Differentiable in the points.

    Parameters
    ----------
    shells : of radii ``radius * (s + 1) / shells``. A point is shared linearly between the two shells beside it; beyond the last
        its share falls to nothing within a step.
    center : (3,); the centroid by default.
    radius : of the last shell; the largest distance by default.

    Cost: ``n (degree + 1)^2`` harmonics. Source: Kazhdan, Funkhouser and Rusinkiewicz 2003, section 4, of densities in place of voxels.
    """
    points, measure = _sampled(shape)
    share = measure / measure.sum()
    center = (share[:, None] * points).sum(dim=0) if center is None else torch.as_tensor(center).to(points)
    if center.shape != (3,):
        raise ArgumentError(problem("center", "shape (3,)", tuple(center.shape)))
    offset = points - center
    distance = offset.detach().norm(dim=1)
    radius = float(distance.max()) if radius is None else radius
    _check_numbers(degree, shells, radius)
    kept = torch.nonzero(distance > 0)[:, 0]
    return _spectra(offset[kept], share[kept], torch.zeros_like(kept), 1, radius / shells, degree, shells)[0]


def neighbourhood_spectra(shape: Mesh | PointCloud, radius: float, degree: int = 6, *, shells: int = 3) -> Tensor:
    """:func:`shell_spectra` around each point, of its neighbours within ``radius``: ``(n, shells * (degree + 1))``, shell by shell.

    Which way a neighbourhood is turned does not matter. Shares are of the measure within the radius, which counts less the
    farther out, to nothing at the radius: the density of sampling matters little, and no point enters with a jump. A point
    without neighbours has zeros. Differentiable in the points. Cost: ``(degree + 1)^2`` harmonics for each pair of neighbours.
    """
    points, measure = _sampled(shape)
    _check_numbers(degree, shells, radius)
    crow, neighbour, _ = ops.radius_search(points.detach(), points.detach(), radius, exclude_self=True)
    owner = torch.repeat_interleave(torch.arange(len(points), device=points.device), crow.diff())
    offset = points[neighbour] - points[owner]
    apart = torch.nonzero((offset.detach() != 0).any(dim=1))[:, 0]
    owner, offset = owner[apart], offset[apart]
    near = measure[neighbour[apart]] * (1 - offset.norm(dim=1) / radius).clamp(min=0)
    total = near.new_zeros(len(points)).index_add(0, owner, near)
    share = measure[neighbour[apart]] / total.clamp(min=torch.finfo(total.dtype).tiny)[owner]
    step = radius / (shells + 1)
    return _spectra(offset, share, owner, len(points), step, degree, shells).flatten(1)


def _spectra(offset: Tensor, share: Tensor, owner: Tensor, n: int, step: float, degree: int, shells: int) -> Tensor:
    """Amplitudes ``(n, shells, degree + 1)`` of densities of the directions of offsets ``(e, 3)``, by owner and shell."""
    modes = (degree + 1) ** 2
    density = offset.new_zeros(n * shells, modes)
    for rows in torch.arange(len(offset), device=offset.device).split(max(CHUNK // modes, 1)):
        length = offset[rows].norm(dim=1)
        harmonics = ops.spherical_harmonics(offset[rows], degree, normalize=True)
        place = length / step - 1
        below = place.detach().floor()
        for shell, weight in ((below, 1 - (place - below)), (below + 1, place - below)):
            inside = torch.nonzero((shell >= 0) & (shell < shells))[:, 0]
            at = owner[rows][inside] * shells + shell[inside].long()
            density = density.index_add(0, at, harmonics[inside] * (share[rows] * weight)[inside, None])
    degrees, _ = degrees_and_orders(degree, offset.device)
    energy = density.new_zeros(n * shells, degree + 1).index_add(1, degrees, density.square())
    tiny = torch.finfo(energy.dtype).tiny
    return torch.where(energy > 0, energy.clamp(min=tiny).sqrt(), 0).reshape(n, shells, degree + 1)


def _sampled(shape: Mesh | PointCloud) -> tuple[Tensor, Tensor]:
    if not isinstance(shape, (Mesh, PointCloud)) or shape.points.shape[1] != 3:
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud in three dimensions", type(shape).__name__))
    if not shape.n_points or not float(shape.measure.sum()) > 0:
        raise ShapeError(problem("shape", "points with a positive measure", f"{shape.n_points} points"))
    return shape.points, shape.measure


def _check_numbers(degree: int, shells: int, radius: float) -> None:
    check_degree(degree)
    if isinstance(shells, bool) or not isinstance(shells, int) or shells < 1:
        raise ArgumentError(problem("shells", "a positive integer", repr(shells)))
    if not (math.isfinite(radius) and radius > 0):
        raise ArgumentError(problem("radius", "a positive number", radius))
