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
    waves = (waves * weights[:, None, None]).transpose(0, 1)  # (m, n_lat, c)
    cosines, sines = table @ waves.real, -(table @ waves.imag)  # (m, l, c)
    l, m = _degrees_and_orders(degree, field.device)  # noqa: E741
    return torch.where((m >= 0)[:, None], cosines[m.abs(), l], sines[m.abs(), l])


def synthesis(coefficients: Tensor, rings: Rings, degree: int) -> Tensor:
    """The field ``(n, c)`` of orthonormal coefficients ``(K, c)``."""
    if not coefficients.shape[1]:
        return coefficients.new_zeros(len(rings.weights) * rings.n_lon, 0)
    table = _table(rings, degree, coefficients.dtype, coefficients.device)
    l, m = _degrees_and_orders(degree, coefficients.device)  # noqa: E741
    shape = (degree + 1, degree + 1, coefficients.shape[1])
    sides = [coefficients.new_zeros(shape).index_put((m.abs()[side], l[side]), coefficients[side]) for side in (m >= 0, m < 0)]
    waves = torch.complex(*(table.transpose(1, 2) @ side for side in (sides[0], -sides[1])))  # (m, n_lat, c)
    half = torch.full((degree + 1, 1, 1), 0.5, dtype=table.dtype, device=table.device)
    half[0] = 1.0
    return torch.fft.irfft((waves * half).transpose(0, 1), n=rings.n_lon, dim=1, norm="forward").flatten(0, 1)


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
