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
    _check(a, b, mass)
    return float(_products(a, b, mass).square().sum() / b.shape[1])


def matched_cosine(a: Tensor, b: Tensor, mass: Tensor | None = None, *, match: bool = True) -> Tensor:
    """``|cos|`` between each column of ``b`` and its column of ``a``: ``(k,)`` float64.

    Parameters
    ----------
    a (n, j), b (n, k) : as in :func:`subspace_overlap`, j >= k; columns are normalised here, so they need not be of length one.
    match : pair the columns so that the sum of the cosines is largest (Hungarian algorithm), which forgives modes that
        swapped places; ``False`` compares index by index, as the literature's tables do.
    """
    _check(a, b, mass)
    if a.shape[1] < b.shape[1]:
        raise ArgumentError(problem("a", f"at least the {b.shape[1]} columns of b", a.shape[1]))
    weights = torch.ones(len(a), dtype=torch.float64, device=a.device) if mass is None else mass.double()
    lengths = [(weights[:, None] * x.double().square()).sum(dim=0).sqrt() for x in (a, b)]
    for name, length in zip("ab", lengths, strict=True):
        if not bool((length > 0).all()):
            raise ArgumentError(problem(name, "columns of positive length", f"{int((length <= 0).sum())} without"))
    a, b = (x.double() / length for x, length in zip((a, b), lengths, strict=True))
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
    if captured.dim() != 1 or not len(captured):
        raise ArgumentError(problem("captured", "shape (K,), K of at least 1", tuple(captured.shape)))
    if captured.shape != energies.shape:
        raise ArgumentError(problem("energies", f"shape {tuple(captured.shape)}, that of captured", tuple(energies.shape)))
    loss, bound = (float((total - x.double().cumsum(0)).mean()) for x in (captured, energies))
    if not (bound > 0 and loss < float("inf")):
        hint = "pass the trace of the covariance; where K columns can hold all of it there is nothing to compare"
        raise ArgumentError(problem("total", "more than the energies hold together, all of them finite", f"{float(total):.6g}", hint))
    return loss / bound


def _check(a: Tensor, b: Tensor, mass: Tensor | None) -> None:
    for name, value in (("a", a), ("b", b)):
        if not isinstance(value, Tensor) or value.dim() != 2 or not value.numel():
            raise ArgumentError(problem(name, "shape (n, k), not empty", tuple(getattr(value, "shape", (type(value).__name__,)))))
        if not bool(torch.isfinite(value).all()):
            raise ArgumentError(problem(name, "finite numbers", "NaN or infinity"))
    if len(a) != len(b):
        raise ArgumentError(problem("b", f"one row for each of the {len(a)} points of a", len(b)))
    if mass is not None and mass.shape != a.shape[:1]:
        raise ArgumentError(problem("mass", f"shape ({len(a)},)", tuple(mass.shape)))
    if mass is not None and not bool((mass >= 0).all() and torch.isfinite(mass).all()):
        raise ArgumentError(problem("mass", "finite numbers of at least 0", "negative ones, NaN or infinity"))


def _products(a: Tensor, b: Tensor, mass: Tensor | None) -> Tensor:
    weighted = b.double() if mass is None else mass.double()[:, None] * b.double()
    return a.double().T @ weighted
