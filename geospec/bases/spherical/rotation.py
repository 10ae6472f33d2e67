"""Coefficients of a function that is turned with the sphere."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ... import ops
from ...errors import ArgumentError, problem
from ...ops.harmonic_table import degrees_and_orders

#: How far from orthogonal a motion may be.
SLACK = {torch.float32: 1e-4, torch.float64: 1e-6}


def rotate(coefficients: Tensor, motion: Tensor, degree: int) -> Tensor:
    """Orthonormal coefficients ``(K, c)`` of ``u -> f(motion^-1 u)``, from those of ``f``.

    A rotation about z mixes two coefficients at a time. The half turn ``S`` that exchanges x and z, a fixed symmetric matrix,
    makes one about x of it: ``Rz(alpha) Ry(beta) Rz(gamma)`` is ``Z(alpha + pi/2) S Z(beta) S Z(gamma - pi/2)``. A reflection is
    a rotation of ``f`` with odd degrees negated.

    Cost: ``2/3 degree^3`` flops a half turn and column.
    """
    motion = _checked(motion)
    odd, order, opposite = _orders(degree, coefficients.device)
    if float(torch.linalg.det(motion)) < 0:
        motion = -motion
        coefficients = torch.where(odd, -coefficients, coefficients)
    alpha, beta, gamma = _euler(motion)
    half_turn = _half_turn(degree, coefficients.dtype, coefficients.device)
    steps = torch.arange(-degree, degree + 1, dtype=torch.float64, device=coefficients.device)[:, None]

    def about_z(x: Tensor, angle: float) -> Tensor:
        turned = steps * angle
        return x * turned.cos().to(x)[order] - x[opposite] * turned.sin().to(x)[order]

    x = ops.csr_matmul(*half_turn, about_z(coefficients, gamma - math.pi / 2))
    x = ops.csr_matmul(*half_turn, about_z(x, beta))
    return about_z(x, alpha + math.pi / 2)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _orders(degree: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each mode ``(l, m)``: whether ``l`` is odd, ``(K, 1)``; ``m + degree``; and where ``(l, -m)`` stands, ``(K,)``."""
    l, m = degrees_and_orders(degree, device)  # noqa: E741
    return (l % 2 == 1)[:, None], m + degree, l * l + l - m


def _checked(motion: Tensor) -> Tensor:
    motion = torch.as_tensor(motion).detach()
    if motion.shape != (3, 3) or not motion.is_floating_point():
        raise ArgumentError(problem("rotation", "a matrix (3, 3) of floats", f"{tuple(motion.shape)} {motion.dtype}"))
    slack = SLACK.get(motion.dtype, SLACK[torch.float32])
    motion = motion.double().cpu()
    off = float((motion @ motion.T - torch.eye(3, dtype=torch.float64)).abs().max())
    if not off <= slack:
        raise ArgumentError(problem("rotation", "an orthogonal matrix", f"R R^T off the identity by {off:.2g}"))
    return motion


def _euler(rotation: Tensor) -> tuple[float, float, float]:
    """Angles with ``rotation = Rz(alpha) Ry(beta) Rz(gamma)``. Each is read after the last is undone: exact near the poles too."""
    r = rotation.tolist()
    alpha = math.atan2(r[1][2], r[0][2])
    c, s = math.cos(alpha), math.sin(alpha)
    beta = math.atan2(c * r[0][2] + s * r[1][2], r[2][2])
    gamma = math.atan2(c * r[1][0] - s * r[0][0], c * r[1][1] - s * r[0][1])
    return alpha, beta, gamma


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _half_turn(degree: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The half turn that exchanges the axes x and z, on coefficients, as CSR: ``degree^3 / 3`` entries.

    It keeps apart what is even in y, ``m >= 0``, and what is odd; and of each such block every other entry vanishes.
    """
    rows, columns, values = [], [], []
    for l in range(degree + 1):  # noqa: E741
        i, j = np.divmod(np.arange((l + 1) ** 2), l + 1)
        even = (l + i + j) % 2 == 0
        entry = _wigner_quarter(l).ravel() * np.where(i == 0, math.sqrt(0.5), 1) * np.where(j == 0, math.sqrt(0.5), 1)
        side = np.where(even, 1, -1)  # the cosines' block, or the sines'
        kept = even | ((i > 0) & (j > 0))
        rows.append((l * l + l + side * i)[kept])
        columns.append((l * l + l + side * j)[kept])
        values.append((2 * side * entry)[kept])
    row, column = np.concatenate(rows), np.concatenate(columns)
    order = np.lexsort([column, row])
    ends = np.r_[0, np.cumsum(np.bincount(row, minlength=(degree + 1) ** 2))]
    crow, col = (torch.from_numpy(x.astype(np.int32)).to(device) for x in (ends, column[order]))
    return crow, col, torch.from_numpy(np.concatenate(values)[order]).to(device=device, dtype=dtype)


def _wigner_quarter(l: int) -> NDArray:  # noqa: E741
    """``|d^l_{i,j}(pi/2)|``, signed: for ``i, j >= 0`` column ``j`` is the unit eigenvector of ``L_x`` with the eigenvalue ``j``.

    From the row ``i = l``, a root of binomials over ``4^l``, inwards: that way the eigenvectors grow, so the recurrence is stable.
    """
    j = np.arange(l + 1)
    table = np.zeros((l + 2, l + 1))
    ratios = np.sqrt((l - j[:-1]) / (l + j[:-1] + 1))  # of binomial(2 l, l + j), root
    k = np.arange(1, l + 1)
    middle = math.sqrt(float(np.prod((2 * k - 1) / (2 * k)))) if l else 1.0  # binomial(2 l, l) / 4^l, root
    table[l] = middle * np.cumprod(np.r_[1.0, ratios])
    for i in range(l, 0, -1):
        above = math.sqrt((l - i) * (l + i + 1))
        table[i - 1] = (2 * j * table[i] - above * table[i + 1]) / math.sqrt((l + i) * (l - i + 1))
    return table[: l + 1]
