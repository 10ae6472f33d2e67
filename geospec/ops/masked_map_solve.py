"""All rows of a functional map at once: systems that share a Gram matrix and differ on its diagonal."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, ConvergenceError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_same_device


def masked_map_solve(gram: Tensor, right: Tensor, penalty: Tensor) -> Tensor:
    """``C`` whose row ``i`` solves ``(G + diag(penalty_i)) c_i = right_i``.

    The minimiser of ``tr(C G C^T) - 2 tr(C right^T) + sum penalty C^2``: a functional map with a mask, where ``G = A A^T``,
    ``right = B A^T`` and ``penalty = weight D`` (Donati et al. 2020). The ``k_t`` systems are never stored.

    Parameters
    ----------
    gram : (..., k_s, k_s), of which the symmetric part counts. right, penalty : (..., k_t, k_s). Leading dimensions
        broadcast; all float32 or all float64. Differentiable in all three, any number of times.

    Returns
    -------
    (..., k_t, k_s), of the type of ``right``. Solved in double whatever the type, so float32 is rounded once, at the end.
    Results repeat exactly, whatever the number of threads.

    Raises
    ------
    ArgumentError : wrong shape, type or device. ConvergenceError : systems that are not positive definite, and how many.
    To know that, one flag is read back from the device: :func:`masked_map_solve_ex` leaves it there.

    Cost: ``k_t k_s^3 / 3`` flops, and again for the gradient, which solves the same systems: with ``Z`` the solution for the
    incoming gradient, that of ``right`` is ``Z``, of ``penalty`` ``-Z C`` entry by entry, of ``gram`` the symmetric part of
    ``-Z^T C``. Memory: on the CPU eight triangles ``k_s^2 / 2`` a thread in double, on CUDA one for each block of threads.
    """
    solution, indefinite = masked_map_solve_ex(gram, right, penalty)
    if bool(indefinite.any()):
        got = f"{int(indefinite.sum())} of {indefinite.numel()} that are not"
        raise ConvergenceError(problem("gram, penalty", "positive definite systems gram + diag(penalty_i)", got, "add a ridge to gram"))
    return solution


def masked_map_solve_ex(gram: Tensor, right: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`masked_map_solve` that does not raise: ``C``, and whether a row's system ``(..., k_t)`` is not positive definite.

    Rows of such systems are NaN. Nothing is read back from the device; works under ``torch.compile`` and ``torch.vmap``.
    """
    leading = _checked_leading(gram, right, penalty)
    if not gram.shape[:-2] == right.shape[:-2] == penalty.shape[:-2]:
        gram, right, penalty = (x.expand(*leading, *x.shape[-2:]) for x in (gram, right, penalty))
    return torch.ops.geospec.masked_map_solve(gram, right, penalty)


def _checked_leading(gram: Tensor, right: Tensor, penalty: Tensor) -> torch.Size:
    """The leading dimensions that the three arguments broadcast to."""
    for name, value in (("gram", gram), ("right", right), ("penalty", penalty)):
        if not isinstance(value, Tensor):
            raise ArgumentError(problem(name, "a torch tensor", type(value).__name__, "convert with torch.as_tensor"))
        if value.dtype not in (torch.float32, torch.float64):
            raise ArgumentError(problem(name, "float32 or float64", str(value.dtype)))
        if value.dim() < 2:
            raise ArgumentError(problem(name, "two dimensions or more", tuple(value.shape)))
    k_t, k_s = right.shape[-2:]
    for name, value, rows in (("gram", gram, k_s), ("penalty", penalty, k_t)):
        if value.dtype != right.dtype:
            raise ArgumentError(problem(name, f"the type of right, {right.dtype}", value.dtype))
        check_same_device(name, value, "right", right)
        if value.shape[-2:] != (rows, k_s):
            raise ArgumentError(problem(name, f"shape (..., {rows}, {k_s}) for right {tuple(right.shape)}", tuple(value.shape)))
    if gram.shape[:-2] == right.shape[:-2] == penalty.shape[:-2]:
        return right.shape[:-2]
    try:
        return torch.broadcast_shapes(gram.shape[:-2], right.shape[:-2], penalty.shape[:-2])
    except RuntimeError as cause:
        got = f"{tuple(gram.shape)}, {tuple(right.shape)} and {tuple(penalty.shape)}"
        raise ArgumentError(problem("gram, right, penalty", "leading dimensions that broadcast", got)) from cause


def reference(gram: Tensor, right: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """The op behind :func:`masked_map_solve` in plain PyTorch, leading dimensions alike: every system stored."""
    symmetric = (gram + gram.mT).double() / 2
    systems = symmetric[..., None, :, :] + torch.diag_embed(penalty.double())
    factor, info = torch.linalg.cholesky_ex(systems)
    # LAPACK lets an infinite pivot pass.
    indefinite = (info != 0) | ~factor.diagonal(dim1=-2, dim2=-1).isfinite().all(dim=-1)
    solution = torch.cholesky_solve(right.double()[..., None], factor)[..., 0]
    return torch.where(indefinite[..., None], torch.nan, solution).to(right.dtype), indefinite


@torch.library.register_fake("geospec::masked_map_solve")
def _fake(gram: Tensor, right: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    return right.new_empty(right.shape), right.new_empty(right.shape[:-1], dtype=torch.bool)


def _setup(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    gram, _, penalty = inputs
    ctx.save_for_backward(gram, penalty, output[0])


def _backward(ctx, grad: Tensor, _indefinite: Tensor | None) -> tuple[Tensor | None, ...]:
    """The systems are symmetric, so the op is its own adjoint; all of this differentiates again."""
    gram, penalty, solution = ctx.saved_tensors
    adjoint, _ = torch.ops.geospec.masked_map_solve(gram, grad, penalty)
    grad_gram = grad_penalty = None
    if ctx.needs_input_grad[0]:
        outer = adjoint.double().mT @ solution.double()
        grad_gram = (-0.5 * (outer + outer.mT)).to(gram.dtype)
    if ctx.needs_input_grad[2]:
        grad_penalty = -adjoint * solution
    return grad_gram, adjoint if ctx.needs_input_grad[1] else None, grad_penalty


torch.library.register_autograd("geospec::masked_map_solve", _backward, setup_context=_setup)


@torch.library.register_vmap("geospec::masked_map_solve")
def _vmap(info, in_dims: tuple[int | None, ...], *arguments: Tensor):
    """The mapped dimension becomes the first of the leading ones."""
    size = info.batch_size
    mapped = (x.expand(size, *x.shape) if d is None else x.movedim(d, 0) for x, d in zip(arguments, in_dims, strict=True))
    return torch.ops.geospec.masked_map_solve(*mapped), (0, 0)
