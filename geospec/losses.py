"""Losses whose minimiser is a spectral basis. Tensors only."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import ArgumentError, one_of, problem

FORMS = ("log", "plain")


def nested_reconstruction(captured: Tensor, total: Tensor | float, form: str = "log") -> Tensor:
    """How badly probes are reconstructed from the first ``k`` columns of an orthonormal basis, over every ``k = 1..K``.

    With ``captured_i = E <q_i, f>^2 = q_i^T C q_i`` and ``total = E |f|^2 = tr C`` the residual of truncation ``k`` is
    ``r_k = total - captured_1 - ... - captured_k``: a cumulative sum, and no reconstruction is ever formed.

    Parameters
    ----------
    captured (..., K) : energies; differentiable. From probes at hand: :func:`geospec.ops.captured_energy`.
    total (...) : the energy there is.
    form : ``"plain"`` is ``mean_k r_k / total``, the Brockett cost with weights ``(K - i + 1) / K``; ``"log"`` is
        ``mean_k log(r_k / total)``: each truncation counts relative to itself, so that column ``K`` feels as much as column 1.
        Both have the ordered eigenvectors of ``C`` as their only minimiser (its eigenvalues being simple).

    Returns
    -------
    (...) in float64.

    Raises
    ------
    ArgumentError : a total that is not positive; ``"log"`` of a residual that is not positive: total is then too small, or
        columns are not orthonormal.

    Source: "Learning Eigenstructures of Unstructured Data Manifolds" (arXiv 2512.01103), the nested loss.
    """
    one_of("form", form, FORMS)
    if not isinstance(captured, Tensor) or not captured.dim() or not captured.shape[-1]:
        raise ArgumentError(problem("captured", "shape (..., K), K of at least 1", getattr(captured, "shape", type(captured).__name__)))
    total = torch.as_tensor(total, dtype=torch.float64, device=captured.device)
    if total.dim() and total.shape != captured.shape[:-1]:
        raise ArgumentError(problem("total", f"a number or shape {tuple(captured.shape[:-1])}", tuple(total.shape)))
    if not bool((total > 0).all()):
        raise ArgumentError(problem("total", "a positive energy", f"{float(total.min()):.6g}", "it is the trace of the covariance"))
    share = 1 - captured.double().cumsum(dim=-1) / total[..., None]
    if form == "plain":
        return share.mean(dim=-1)
    if bool((share.detach() <= 0).any()):  # NaN passes: it is the caller's columns that went wrong, not the total
        hint = "pass the trace of the covariance that captured comes from"
        raise ArgumentError(problem("total", "more than the columns capture together", f"{float(total.min()):.6g}", hint))
    return share.log().mean(dim=-1)


def weighted_reconstruction(q: Tensor, fields: Tensor) -> Tensor:
    """The published loss, for comparison: projection under ``M = diag(q_1^2)``, residual in the plain norm, a Gram solve for each ``k``.

    ``1/(m K) sum_k |F - Q_k (Q_k^T M Q_k + 1e-8)^-1 Q_k^T M F|^2`` for ``q (n, K)``, ``fields (n, m)``. Differentiable.
    Memory ``n m`` for each of ``K`` truncations: use :func:`nested_reconstruction` unless the point is to compare.

    The residual stays in the plain norm on purpose. Weighed by the *learned* ``M`` as well, the loss can be sent to
    zero by piling ``q_1^2`` on few points: :func:`check_loss` refuses that.
    """
    if q.dim() != 2 or not q.numel():
        raise ArgumentError(problem("q", "shape (n, K), not empty", tuple(q.shape)))
    if fields.dim() != 2 or len(q) != len(fields) or not fields.shape[1] or fields.dtype != q.dtype:
        got = f"{tuple(fields.shape)} of {fields.dtype}"
        raise ArgumentError(problem("fields", f"shape ({len(q)}, m), m of at least 1, of {q.dtype}", got))
    weighted = q[:, :1].square() * q
    gram, right = q.T @ weighted, weighted.T @ fields
    loss = q.new_zeros(())
    for k in range(1, q.shape[1] + 1):
        ridge = 1e-8 * torch.eye(k, dtype=q.dtype, device=q.device)
        coefficients = torch.linalg.solve(gram[:k, :k] + ridge, right[:k])
        loss = loss + (fields - q[:, :k] @ coefficients).square().sum()
    return loss / (q.shape[1] * fields.shape[1])


def check_loss(name: str) -> None:
    """Refuse a loss that is unknown, or known to have no useful minimum."""
    if name == "whitened":
        hint = (
            "with the learned mass in the residual's norm the loss falls to zero by piling the mass on few points, whatever the "
            "columns are; 'log' and 'plain' measure the residual in the plain norm of the scaled fields"
        )
        raise ArgumentError(problem("loss", "'log', 'plain' or 'published'", "'whitened'", hint))
    one_of("loss", name, (*FORMS, "published"))
