"""Transforms between grids and coefficients: a Fourier transform along each ring, then Legendre functions across rings."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from ... import ops
from ...shapes.sphere import Rings


def analysis(field: Tensor, rings: Rings, degree: int) -> Tensor:
    """Orthonormal coefficients ``(K, c)`` of a field ``(n, c)``, on rings that are exact to ``2 degree``."""
    columns = field.shape[1]
    if not columns:  # the Fourier transform of nothing is refused
        return field.new_zeros((degree + 1) ** 2, 0)
    table = _table(rings, degree, field.dtype, field.device)
    waves = torch.fft.rfft(field.reshape(len(rings.weights), rings.n_lon, columns), dim=1)[:, : degree + 1]  # (n_lat, m, c)
    weights = (rings.weights * (2 * math.pi / rings.n_lon)).to(field)
    waves = torch.view_as_real(waves * weights[:, None, None]).flatten(2).transpose(0, 1)  # (m, n_lat, 2 c)
    l, m = _degrees_and_orders(degree, field.device)  # noqa: E741
    found = (table @ waves)[m.abs(), l].unflatten(1, (columns, 2))  # cosines, and sines of the other sign
    return torch.where((m >= 0)[:, None], found[..., 0], -found[..., 1])


def synthesis(coefficients: Tensor, rings: Rings, degree: int) -> Tensor:
    """The field ``(n, c)`` of orthonormal coefficients ``(K, c)``."""
    if not coefficients.shape[1]:
        return coefficients.new_zeros(len(rings.weights) * rings.n_lon, 0)
    table = _table(rings, degree, coefficients.dtype, coefficients.device)
    l, m = _degrees_and_orders(degree, coefficients.device)  # noqa: E741
    columns = coefficients.shape[1]
    waves = coefficients.new_zeros(degree + 1, degree + 1, columns, 2)  # of m, l
    waves = waves.index_put(
        (m.abs(), l, torch.arange(columns, device=l.device)[:, None], (m < 0).long()), coefficients.T.where(m >= 0, -coefficients.T)
    )
    halves = torch.where(torch.arange(degree + 1, device=l.device) > 0, 0.5, 1.0).to(table)[:, None, None]
    waves = table.transpose(1, 2) @ (halves * waves.flatten(2))  # (m, n_lat, 2 c)
    waves = torch.view_as_complex(waves.unflatten(2, (columns, 2)).contiguous()).transpose(0, 1)
    return torch.fft.irfft(waves, n=rings.n_lon, dim=1, norm="forward").flatten(0, 1)


@lru_cache(maxsize=4)
def _table(rings: Rings, degree: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Harmonics on the meridian of longitude 0, ``(m, l, n_lat)``: zero where ``l < m``."""
    theta = rings.colatitude
    meridian = torch.stack([theta.sin(), torch.zeros_like(theta), theta.cos()], dim=1)
    l, m = _degrees_and_orders(degree, theta.device)  # noqa: E741
    table = theta.new_zeros(degree + 1, degree + 1, len(theta))
    table[m[m >= 0], l[m >= 0]] = ops.spherical_harmonics(meridian, degree, normalize=True)[:, m >= 0].T
    return table.to(device=device, dtype=dtype)


def _degrees_and_orders(degree: int, device: torch.device) -> tuple[Tensor, Tensor]:
    each = torch.arange(degree + 1, device=device)
    l = each.repeat_interleave(2 * each + 1)  # noqa: E741
    return l, torch.arange(len(l), device=device) - l * l - l
