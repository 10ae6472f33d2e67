"""Sums of orthonormal spherical harmonics over many directions, which never hold the matrix of all of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .spherical_harmonics import spherical_harmonics

#: Values of harmonics held at a time.
CHUNK = 1 << 21


def harmonic_synthesis(coefficients: Tensor, xyz: Tensor, degree: int) -> Tensor:
    """``sum_k Y_k(xyz_i) coefficients_k``: ``(K, c), (n, 3) -> (n, c)``. Differentiable in the coefficients, any number of times."""
    return _Synthesis.apply(coefficients, xyz, degree)


def harmonic_adjoint(values: Tensor, xyz: Tensor, degree: int) -> Tensor:
    """``sum_i Y_k(xyz_i) values_i``: ``(n, c), (n, 3) -> (K, c)``. Differentiable in the values, any number of times."""
    return _Adjoint.apply(values, xyz, degree)


def harmonic_gram(xyz: Tensor, weights: Tensor, degree: int) -> Tensor:
    """``sum_i weights_i Y_j(xyz_i) Y_k(xyz_i)``, ``(K, K)``. Cost: ``n K^2`` flops."""
    total = xyz.new_zeros((degree + 1) ** 2, (degree + 1) ** 2)
    for rows, modes in _chunks(xyz, degree):
        total.addmm_(modes.T, weights[rows, None] * modes)
    return total


class _Synthesis(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, xyz: Tensor, degree: int) -> Tensor:
        ctx.save_for_backward(xyz)
        ctx.degree = degree
        values = coefficients.new_empty(len(xyz), coefficients.shape[1])
        for rows, modes in _chunks(xyz, degree):
            torch.mm(modes, coefficients, out=values[rows])
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Adjoint.apply(gradients[0], ctx.saved_tensors[0], ctx.degree), None, None


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, xyz: Tensor, degree: int) -> Tensor:
        ctx.save_for_backward(xyz)
        ctx.degree = degree
        coefficients = values.new_zeros((degree + 1) ** 2, values.shape[1])
        for rows, modes in _chunks(xyz, degree):
            coefficients.addmm_(modes.T, values[rows])
        return coefficients

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Synthesis.apply(gradients[0], ctx.saved_tensors[0], ctx.degree), None, None


def _chunks(xyz: Tensor, degree: int) -> Any:
    step = max(CHUNK // (degree + 1) ** 2, 1)
    for start in range(0, len(xyz), step):
        rows = slice(start, start + step)
        yield rows, spherical_harmonics(xyz[rows].detach(), degree)
