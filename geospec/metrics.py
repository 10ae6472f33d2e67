"""How near two bases are, and how near one is to the best there is. Tensors only."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import ArgumentError, problem


def subspace_overlap(a: Tensor, b: Tensor, mass: Tensor | None = None) -> float:
    """``|A^T M B|_F^2 / k``: the share of the span of ``b`` that the span of ``a`` holds, 1 where they are one.

    Parameters
    ----------
    a (n, j), b (n, k) : columns orthonormal under ``mass (n,)``, or under the plain product where that is ``None``.

    Signs, order and rotations within either span leave it as it is. Computed in float64.
    """
    return float(_products(a, b, mass).square().sum() / b.shape[1])


def matched_cosine(a: Tensor, b: Tensor, mass: Tensor | None = None, *, match: bool = True) -> Tensor:
    """``|cos|`` between each column of ``b`` and its column of ``a``: ``(k,)`` float64.

    Parameters
    ----------
    a (n, j), b (n, k) : as in :func:`subspace_overlap`, j >= k; columns are normalised here, so they need not be of length one.
    match : pair the columns so that the sum of the cosines is largest (Hungarian algorithm), which forgives modes that
        swapped places; ``False`` compares index by index, as the literature's tables do.
    """
    if a.shape[1] < b.shape[1]:
        raise ArgumentError(problem("a", f"at least the {b.shape[1]} columns of b", a.shape[1]))
    weights = torch.ones(len(a), dtype=torch.float64, device=a.device) if mass is None else mass.double()
    a, b = (x.double() / (weights[:, None] * x.double().square()).sum(dim=0).sqrt() for x in (a, b))
    cosines = _products(a, b, mass).abs()
    if not match:
        return cosines.diagonal().clone()
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-cosines.T.cpu().numpy())
    return cosines[torch.from_numpy(columns), torch.from_numpy(rows)]


def optimality_ratio(captured: Tensor, energies: Tensor, total: float | Tensor) -> float:
    """The nested loss of a basis over the smallest that any basis has: at least 1, and 1 at the ordered eigenbasis alone.

    Parameters
    ----------
    captured (K,) : the energy ``q_i^T C q_i`` that each column captures.
    energies (K,) : the largest eigenvalues of the covariance ``C``, descending: what the best columns capture (Eckart-Young).
    total : its trace.

    ``mean_k (total - sum_{i<=k} captured_i) / mean_k (total - sum_{i<=k} energies_i)``.
    """
    if captured.shape != energies.shape or captured.dim() != 1:
        raise ArgumentError(problem("energies", f"shape {tuple(captured.shape)}, that of captured", tuple(energies.shape)))
    loss, bound = (float((total - x.double().cumsum(0)).mean()) for x in (captured, energies))
    return loss / bound


def _products(a: Tensor, b: Tensor, mass: Tensor | None) -> Tensor:
    for name, value in (("a", a), ("b", b)):
        if value.dim() != 2:
            raise ArgumentError(problem(name, "shape (n, k)", tuple(value.shape)))
    if len(a) != len(b):
        raise ArgumentError(problem("b", f"one row for each of the {len(a)} points of a", len(b)))
    if mass is not None and mass.shape != a.shape[:1]:
        raise ArgumentError(problem("mass", f"shape ({len(a)},)", tuple(mass.shape)))
    weighted = b.double() if mass is None else mass.double()[:, None] * b.double()
    return a.double().T @ weighted
