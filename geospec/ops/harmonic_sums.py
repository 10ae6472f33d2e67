"""Sums of orthonormal spherical harmonics over many directions, which never hold the matrix of all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .harmonic_table import CONVENTIONS, LARGEST_DEGREE, check_degree, recurrence
from .spherical_harmonics import spherical_harmonics
from .spherical_harmonics_linear import spherical_harmonics_linear

#: Values of harmonics held at a time.
CHUNK = 1 << 21


def harmonic_synthesis(coefficients: Tensor, xyz: Tensor) -> Tensor:
    """``sum_k Y_k(xyz_i) coefficients_k``: ``(K, c), (..., 3) -> (..., c)``. Differentiable twice in both."""
    return spherical_harmonics_linear(xyz, coefficients.T)


def harmonic_adjoint(values: Tensor, xyz: Tensor, degree: int) -> Tensor:
    """``sum_i Y_k(xyz_i) values_i``: ``(n, c), (n, 3) -> (K, c)``. Differentiable in both."""
    table = _table(degree, xyz)
    return torch.ops.geospec.spherical_harmonics_linear_weight(values, xyz, table, False).T


def harmonic_gradient(coefficients: Tensor, xyz: Tensor) -> Tensor:
    """Tangential gradients of :func:`harmonic_synthesis`: ``(K, c), (n, 3) -> (n, 3, c)``. Differentiable in both. A pass a column."""
    table = _table(math.isqrt(len(coefficients)) - 1, xyz)
    one = xyz.new_ones(len(xyz), 1)
    columns = [torch.ops.geospec.spherical_harmonics_linear_xyz(one, xyz, row[None], table, False) for row in coefficients.T]
    return torch.stack(columns, dim=-1) if columns else xyz.new_zeros(len(xyz), 3, 0)


def _table(degree: int, xyz: Tensor) -> Tensor:
    return recurrence(check_degree(degree, LARGEST_DEGREE[xyz.dtype]), CONVENTIONS["orthonormal"], xyz.dtype, xyz.device)


def harmonic_gram(xyz: Tensor, weights: Tensor, degree: int) -> Tensor:
    """``sum_i weights_i Y_j(xyz_i) Y_k(xyz_i)``, ``(K, K)``. Cost: ``2 n K^2`` flops."""
    total = xyz.new_zeros((degree + 1) ** 2, (degree + 1) ** 2)
    step = max(CHUNK // (degree + 1) ** 2, 1)
    for some, weight in zip(xyz.split(step), weights.split(step), strict=True):
        modes = spherical_harmonics(some, degree)
        total.addmm_(modes.T, weight[:, None] * modes)
    return total
