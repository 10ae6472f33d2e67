"""A symmetric sparse matrix applied many times to a block: smoothing of many fields on a graph."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .csr_matmul import _check, _rows


def graph_smooth(crow: Tensor, col: Tensor, values: Tensor, x: Tensor, steps: int) -> Tensor:
    """``S^steps @ x`` for a symmetric sparse ``S (n, n)`` in CSR and a dense block ``x (n, c)``, all steps in one call.

    Work is in double on the CPU whatever the type, so float32 is rounded once, at the end; on CUDA sums are in double and
    each step is rounded to the type of ``x``. Results repeat exactly, whatever the number of threads.

    Parameters
    ----------
    crow : (n + 1,), col : (nnz,) int32 or int64, alike, as in :func:`csr_matmul`. Symmetric, which is **not checked**: the
        adjoints below are those of a symmetric matrix, and wrong for any other.
    values : (nnz,), x : (n, c), both float32 or both float64.
    steps : 0 or more.

    Returns
    -------
    (n, c), of the type of ``x``. Differentiable in ``x`` any number of times (the op is its own adjoint), and in the values
    once: each stored entry counts as a variable of its own, so entry ``(i, j)`` gets
    ``sum_t (S^(steps - 1 - t) grad)_i (S^t x)_j``, where both powers are taken with the symmetric ``S`` at hand. Whoever
    makes ``(i, j)`` and ``(j, i)`` from one weight gets the sum of both by the chain rule.

    Raises
    ------
    ArgumentError : wrong shape, type, device or count. RuntimeError : an index is out of range (CPU; on CUDA such a row is
    NaN); a second derivative in the values is asked for.

    Cost: ``2 steps nnz c`` flops, from 4 steps on after renumbering the vertices breadth first so that what a row gathers
    lies near. Memory: two tiles of at most 32 columns a thread in float64. The gradient in the values takes four such sweeps
    and ``2 sqrt(steps) + 1`` tiles: of the states, one in ``sqrt(steps)`` is kept and the others are made again.
    """
    _check(crow, col, values, x)
    if len(x) != len(crow) - 1:
        raise ArgumentError(problem("x", f"one row for each row of the matrix, {len(crow) - 1}", len(x)))
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise ArgumentError(problem("steps", "an integer, 0 or more", repr(steps)))
    return torch.ops.geospec.graph_smooth(crow, col, values, x, steps)


def _product(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    return torch.zeros_like(x).index_add(0, _rows(crow), values[:, None] * x[col.long()])


def reference(crow: Tensor, col: Tensor, values: Tensor, x: Tensor, steps: int) -> Tensor:
    """:func:`graph_smooth` in plain PyTorch: gather, scale, scatter, in double, again and again."""
    block = x.double()
    for _ in range(steps):
        block = _product(crow, col, values.double(), block)
    return block.to(x.dtype, copy=True)


def reference_values_backward(grad: Tensor, crow: Tensor, col: Tensor, values: Tensor, x: Tensor, steps: int) -> Tensor:
    """Adjoint of :func:`graph_smooth` in the values, with every state kept."""
    states, power = [x.double()], grad.double()
    for _ in range(steps - 1):
        states.append(_product(crow, col, values.double(), states[-1]))
    sums = torch.zeros_like(values, dtype=torch.float64)
    for state in states[::-1] if steps else ():
        sums = sums + (power[_rows(crow)] * state[col.long()]).sum(dim=1)
        power = _product(crow, col, values.double(), power)
    return sums.to(x.dtype)


@torch.library.register_fake("geospec::graph_smooth")
def _fake(crow: Tensor, col: Tensor, values: Tensor, x: Tensor, steps: int) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.register_fake("geospec::graph_smooth_values_backward")
def _fake_values_backward(grad: Tensor, crow: Tensor, col: Tensor, values: Tensor, x: Tensor, steps: int) -> Tensor:
    return values.new_empty(values.shape)


def _setup(ctx, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.steps = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    crow, col, values, x = ctx.saved_tensors
    grad_values = grad_x = None
    if ctx.needs_input_grad[2]:
        grad_values = torch.ops.geospec.graph_smooth_values_backward(grad, crow, col, values, x, ctx.steps)
    if ctx.needs_input_grad[3]:
        grad_x = torch.ops.geospec.graph_smooth(crow, col, values, grad, ctx.steps)
    return None, None, grad_values, grad_x, None


torch.library.register_autograd("geospec::graph_smooth", _backward, setup_context=_setup)


def _backward_twice(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    raise RuntimeError(
        "graph_smooth is differentiable in the values once; for a second derivative there is its twin in plain PyTorch: "
        "from geospec.ops.graph_smooth import reference"
    )


torch.library.register_autograd("geospec::graph_smooth_values_backward", _backward_twice)
