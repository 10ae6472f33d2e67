"""Transforms between rings of latitude and spherical harmonics: Fourier along each ring, Legendre across them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_same_device
from .harmonic_table import CONVENTIONS, LARGEST_DEGREE, check_degree, degrees_and_orders, recurrence
from .spherical_harmonics import degree_of
from .spherical_harmonics import reference as harmonics


def ring_analysis(field: Tensor, colatitude: Tensor, weights: Tensor, degree: int) -> Tensor:
    """Orthonormal coefficients ``((degree + 1)^2, c)`` of a field on rings: ``sum_ij weight_i 2 pi / n_lon Y_lm f(theta_i, phi_j)``.

    Parameters
    ----------
    field : (n_lat, n_lon, c) float32 or float64: rings of ``n_lon`` points each, eastward from longitude 0, in any order of latitude.
    colatitude, weights : (n_lat,) float64: angle from the north pole in radians, and weight of each ring's mean, for an integral
        over ``[-1, 1]``. degree : from 0; ``n_lon`` must be above twice as many.

    Differentiable in ``field`` any number of times. Legendre sums are in double whatever the type; results repeat exactly, whatever
    the number of threads.

    Raises
    ------
    ArgumentError : wrong shape, type or device, too few points on a ring.

    Cost: the Fourier transforms, and ``(degree + 1)^2 n_lat (2 c + 4) / 2`` flops where rings mirror one another at the equator; no
    table beyond ``(degree + 1)^2``. Source: symmetry and skipped rings near the poles as in Reinecke 2011 (libpsht).
    """
    if field.dim() != 3 or field.dtype not in LARGEST_DEGREE:
        raise ArgumentError(problem("field", "floats of shape (n_lat, n_lon, c)", f"{tuple(field.shape)} of {field.dtype}"))
    nodes = _nodes(colatitude, weights, 2 * math.pi / max(field.shape[1], 1), field, degree)
    if len(field) != len(colatitude):
        raise ArgumentError(problem("field", f"{len(colatitude)} rings", len(field)))
    if field.shape[1] <= 2 * degree:
        raise ArgumentError(problem("field", f"more than {2 * degree} points on a ring for degree {degree}", field.shape[1]))
    if not len(field) * field.shape[2]:  # the Fourier transform of nothing is refused
        return field.new_zeros((degree + 1) ** 2, field.shape[2])
    waves = torch.view_as_real(torch.fft.rfft(field, dim=1)[:, : degree + 1])
    return torch.ops.geospec.legendre_analysis(waves, nodes, _table(degree, field.device), 1.0)


def ring_synthesis(coefficients: Tensor, colatitude: Tensor, n_lon: int) -> Tensor:
    """The field ``(n_lat, n_lon, c)`` of orthonormal coefficients ``((degree + 1)^2, c)`` on rings, as :func:`ring_analysis` has them.

    Differentiable in ``coefficients`` any number of times. Cost and errors as there.
    """
    if coefficients.dim() != 2 or coefficients.dtype not in LARGEST_DEGREE:
        got = f"{tuple(coefficients.shape)} of {coefficients.dtype}"
        raise ArgumentError(problem("coefficients", "floats of shape ((degree + 1)^2, c)", got))
    degree = math.isqrt(max(len(coefficients), 1)) - 1
    if len(coefficients) != (degree + 1) ** 2:
        raise ArgumentError(problem("coefficients", "(degree + 1)^2 rows", len(coefficients)))
    nodes = _nodes(colatitude, colatitude, 0.0, coefficients, degree)
    nodes[:, 2] = 1
    if isinstance(n_lon, bool) or not isinstance(n_lon, int) or n_lon <= 2 * degree:
        raise ArgumentError(problem("n_lon", f"more than {2 * degree} points on a ring for degree {degree}", n_lon))
    if not len(colatitude) * coefficients.shape[1]:
        return coefficients.new_zeros(len(colatitude), n_lon, coefficients.shape[1])
    # A real wave of order m > 0 is half the sum of two complex ones.
    waves = torch.ops.geospec.legendre_synthesis(coefficients, nodes, _table(degree, coefficients.device), 0.5)
    return torch.fft.irfft(torch.view_as_complex(waves), n=n_lon, dim=1, norm="forward")


def _nodes(colatitude: Tensor, weights: Tensor, factor: float, like: Tensor, degree: int) -> Tensor:
    """Cosine, sine, and weight times the factor, of each ring: ``(n_lat, 3)``. They are constants to a gradient."""
    check_degree(degree, LARGEST_DEGREE[torch.float64])
    for name, value in (("colatitude", colatitude), ("weights", weights)):
        if not isinstance(value, Tensor) or value.dim() != 1 or value.dtype != torch.float64 or len(value) != len(colatitude):
            got = f"{tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(problem(name, "float64 of shape (n_lat,)", got))
        if value.requires_grad:
            raise ArgumentError(problem(name, "a tensor without gradient", "one that requires it", "the rings are constants: detach it"))
        check_same_device(name, value, "the signal", like)
    return torch.stack([colatitude.cos(), colatitude.sin(), factor * weights], dim=1)


def _table(degree: int, device: torch.device) -> Tensor:
    return recurrence(degree, CONVENTIONS["orthonormal"], torch.float64, device)


def reference(waves: Tensor, nodes: Tensor, table: Tensor, factor: float) -> Tensor:
    """The op of the analysis in plain PyTorch: ``(rings, degree + 1, c, 2) -> ((degree + 1)^2, c)``."""
    meridian, orders = _meridian(nodes, table)
    each = waves.double()[:, orders.abs()]  # (rings, k, c, 2)
    parts = torch.where((orders >= 0)[:, None], each[..., 0], -each[..., 1])
    scale = torch.where(orders == 0, 1.0, factor)[:, None]
    return ((meridian[..., None] * parts).sum(dim=0) * scale).to(waves.dtype)


def reference_synthesis(coefficients: Tensor, nodes: Tensor, table: Tensor, factor: float) -> Tensor:
    """Its adjoint: ``((degree + 1)^2, c) -> (rings, degree + 1, c, 2)``."""
    meridian, orders = _meridian(nodes, table)
    scaled = coefficients.double() * torch.where(orders == 0, 1.0, factor)[:, None]
    terms = meridian[..., None] * torch.where(orders >= 0, 1.0, -1.0)[:, None] * scaled  # (rings, k, c)
    waves = terms.new_zeros(len(nodes), degree_of(table) + 1, 2, coefficients.shape[1])
    waves.flatten(1, 2).index_add_(1, 2 * orders.abs() + (orders < 0).long(), terms)
    return waves.transpose(2, 3).to(coefficients.dtype).contiguous()


def _meridian(nodes: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine harmonics ``(l, |m|)`` on the meridian of longitude 0 times the rings' factors, ``(rings, k)``; and the orders ``(k,)``."""
    degrees, orders = degrees_and_orders(degree_of(table), nodes.device)
    cosine, sine, factor = nodes.unbind(dim=1)
    values = harmonics(torch.stack([sine, torch.zeros_like(sine), cosine], dim=1), table, True)
    return values[:, degrees * degrees + degrees + orders.abs()] * factor[:, None], orders


@torch.library.register_fake("geospec::legendre_analysis")
def _fake(waves: Tensor, nodes: Tensor, table: Tensor, factor: float) -> Tensor:
    return waves.new_empty((degree_of(table) + 1) ** 2, waves.shape[2])


@torch.library.register_fake("geospec::legendre_synthesis")
def _fake_synthesis(coefficients: Tensor, nodes: Tensor, table: Tensor, factor: float) -> Tensor:
    return coefficients.new_empty(nodes.shape[0], degree_of(table) + 1, coefficients.shape[1], 2)


def _save(ctx, inputs: tuple, output: Tensor) -> None:
    _, nodes, table, ctx.factor = inputs
    ctx.save_for_backward(nodes, table)


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.geospec.legendre_synthesis(grad, *ctx.saved_tensors, ctx.factor), None, None, None


def _backward_of_synthesis(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.geospec.legendre_analysis(grad, *ctx.saved_tensors, ctx.factor), None, None, None


torch.library.register_autograd("geospec::legendre_analysis", _backward, setup_context=_save)
torch.library.register_autograd("geospec::legendre_synthesis", _backward_of_synthesis, setup_context=_save)
