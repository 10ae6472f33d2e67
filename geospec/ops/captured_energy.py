"""What a basis captures of many signals, mode by mode: all that the nested reconstruction loss needs."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_floats, check_same_device


def captured_energy(q: Tensor, f: Tensor) -> Tensor:
    """``energy[j] = sum_i <q_j, f_i>^2`` over the columns ``f_i`` of ``f``.

    Where the columns of ``q`` are orthonormal, ``|f|^2 - cumsum(energy)[j]`` is what the first ``j + 1`` of them leave of all
    signals together: every truncation of the basis by one product, no reconstruction formed.

    Parameters
    ----------
    q : (n, k), f : (n, m), both float32 or both float64. Differentiable in both, any number of times.

    Returns
    -------
    (k,), of the type of ``q``. The coefficients ``q.T @ f`` are torch's product in that type, their squares sum in double.

    Raises
    ------
    ArgumentError : wrong shape, type or device.

    Cost: ``2 n k m`` flops, and as many again for each gradient. Memory: ``(k, m)`` coefficients, kept for the gradients
    ``2 f (g a)^T`` and ``2 q (g a)``, ``a`` being the coefficients and ``g`` the gradient row by row.
    """
    check_floats("q", q)
    check_floats("f", f)
    if f.shape[0] != q.shape[0]:
        raise ArgumentError(problem("f", f"one row for each row of q, {q.shape[0]}", f.shape[0]))
    if f.dtype != q.dtype:
        raise ArgumentError(problem("f", f"the type of q, {q.dtype}", f.dtype))
    check_same_device("f", f, "q", q)
    return torch.ops.geospec.captured_energy(q, f)[0]


def reference(q: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """The op behind :func:`captured_energy` in plain PyTorch: energies, and the coefficients they are made of."""
    coefficients = q.T @ f
    return coefficients.double().square().sum(dim=1).to(q.dtype), coefficients


@torch.library.register_fake("geospec::captured_energy")
def _fake(q: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape[1]), q.new_empty(q.shape[1], f.shape[1])


def _setup(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx, grad_energy: Tensor | None, grad_coefficients: Tensor | None) -> tuple[Tensor | None, ...]:
    """``grad`` is that of the coefficients, from both outputs: either may be unused."""
    q, f, coefficients = ctx.saved_tensors
    grad = grad_coefficients
    if grad_energy is not None:
        through_energy = 2 * grad_energy[:, None] * coefficients
        grad = through_energy if grad is None else grad + through_energy
    if grad is None:
        return None, None
    return f @ grad.T if ctx.needs_input_grad[0] else None, q @ grad if ctx.needs_input_grad[1] else None


torch.library.register_autograd("geospec::captured_energy", _backward, setup_context=_setup)
