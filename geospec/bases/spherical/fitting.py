"""Least squares by spherical harmonics at scattered directions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ArgumentError, problem
from ...ops.harmonic_sums import harmonic_adjoint, harmonic_gram, harmonic_synthesis

#: Most modes that are solved for at once: the matrix then has 0.5 GB.
MOST_MODES = 8192
#: Largest ratio of eigenvalues of the normal equations that is solved.
WORST_CONDITION = 1e10


def normal_factor(xyz: Tensor, weights: Tensor, degree: int, penalty: Tensor | None = None) -> Tensor:
    """The Cholesky factor ``(K, K)`` of ``Y^T W Y + diag(penalty)``, float64.

    Raises
    ------
    ArgumentError : fewer points than modes without penalty, too many modes, or harmonics that depend on one another on these points.
    """
    modes = (degree + 1) ** 2
    if modes > MOST_MODES:
        got = f"{modes}, of degree {degree}"
        raise ArgumentError(problem("degree", f"at most {MOST_MODES} modes where points need least squares", got, "use an exact grid"))
    if penalty is None and len(xyz) < modes:
        hint = "ask for a lower degree, give more points, or set a smoothness"
        raise ArgumentError(problem("points", f"at least as many as modes, {modes} at degree {degree}", len(xyz), hint))
    gram = harmonic_gram(xyz.double(), weights.double(), degree)
    if penalty is not None:
        gram.diagonal().add_(penalty)
    factor, failed = torch.linalg.cholesky_ex(gram)
    condition = float("inf") if int(failed) else _condition(gram, factor)
    if not condition < WORST_CONDITION:
        got = f"normal equations of condition {condition:.1e}"
        hint = "ask for a lower degree, give more evenly spread points, or set a smoothness"
        raise ArgumentError(problem("points", f"points that determine degree {degree}", got, hint))
    return factor


def solve(factor: Tensor, values: Tensor, xyz: Tensor, weights: Tensor, penalty: Tensor | None = None) -> Tensor:
    """Coefficients ``(k, c)`` of the harmonics nearest to ``values (n, c)``; ``factor (k, k)`` may be a leading block. In float64.

    One step of refinement takes off what the normal equations square into the error.
    """
    k = len(factor)
    degree = math.isqrt(k - 1)
    xyz, weights, factor = xyz.double(), weights.double()[:, None], factor.double()
    total, rest = factor.new_zeros(k, values.shape[1]), values.double()
    for _ in range(2):
        normal = harmonic_adjoint(weights * rest, xyz, degree)[:k]
        if penalty is not None:
            normal = normal - penalty[:k, None] * total
        total = total + torch.cholesky_solve(normal, factor)
        padded = torch.nn.functional.pad(total, (0, 0, 0, (degree + 1) ** 2 - k))
        rest = values.double() - harmonic_synthesis(padded, xyz, degree)
    return total


def _condition(gram: Tensor, factor: Tensor) -> float:
    """Largest over smallest eigenvalue: a bound of the first, a few steps of inverse iteration for the other."""
    start = torch.linspace(1, 2, len(gram), dtype=gram.dtype, device=gram.device)[:, None]
    vector = start * torch.where(torch.arange(len(gram), device=gram.device)[:, None] % 2 == 0, 1.0, -1.0)
    smallest = gram.new_ones(())
    for _ in range(6):
        vector = torch.cholesky_solve(vector / vector.norm(), factor)
        smallest = 1 / vector.norm()
    return float(torch.linalg.matrix_norm(gram, 1) / smallest)
