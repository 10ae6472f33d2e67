"""From what an encoder emits to ordered orthonormal columns."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ... import ops
from ...errors import ConvergenceError
from ...probes import GraphProbes, Probes


def with_constant(columns: Tensor, probes: GraphProbes) -> Tensor:
    """Rows scaled by ``sqrt(n measure)``, and the constant in front where it is the first eigenvector.

    Smooth functions are what an encoder can emit; eigenvectors of a cloud are smooth functions times the root of the
    measure, which is as rough as the sampling.
    """
    if probes.null_vector:
        columns = torch.cat([torch.ones_like(columns[:, :1]), columns], dim=1)
    return columns * (probes.measure * probes.n).sqrt().to(columns)[:, None]


def constant_columns(probes: Probes) -> int:
    """Columns that :func:`with_constant` adds."""
    return int(isinstance(probes, GraphProbes) and probes.null_vector)


def orthonormal(columns: Tensor) -> tuple[Tensor, Tensor]:
    """``Q`` and ``R`` of the thin QR; a column that depends on those before it is replaced and learns nothing in that step.

    Raises
    ------
    ConvergenceError : NaN or infinity.
    """
    if not bool(torch.isfinite(columns.detach()).all()):
        raise ConvergenceError("the columns of the encoder hold NaN or infinity; lower learning_rate")
    return ops.cholesky_qr(columns, rank_guard=True)


class Rotated(NamedTuple):
    """Ritz pairs: ``turn (K, K)`` such that ``Q turn`` are the vectors, their ``factors`` of ``S`` descending, and ``missing (K,)``:
    how far each lies below the eigenvalue of ``S`` that it stands for, to second order."""

    turn: Tensor
    factors: Tensor
    missing: Tensor


def rayleigh_ritz(q: Tensor, probes: GraphProbes, fixed: int = 0) -> Rotated:
    """Rotate ``q (n, K)`` float64 to the eigenvectors of ``q^T S q``; the first ``fixed`` columns are eigenvectors already and stay."""
    smoothed = probes.smooth(q)
    small = q.T @ smoothed
    small = (small + small.T) / 2
    inner, turn = torch.linalg.eigh(small[fixed:, fixed:])
    factors = torch.cat([small.diagonal()[:fixed], inner.flip(0)])
    whole = torch.eye(len(small), dtype=q.dtype, device=q.device)
    whole[fixed:, fixed:] = turn.flip(1)
    rest = smoothed @ whole - (q @ whole) * factors
    # With its residual as one more column, each pair is the 2 x 2 problem [[mu, |r|], [|r|, <r, S r> / |r|^2]].
    size = rest.square().sum(dim=0)
    half = (factors - (rest * probes.smooth(rest)).sum(dim=0) / size.clamp_min(1e-300)) / 2
    half = half.clamp_min(0)  # a residual that lies above its pair: no more than its length can be said
    missing = size / (half + (half.square() + size).sqrt()).clamp_min(1e-300)
    return Rotated(whole, factors, missing)
