"""Sparse matrix times dense block, and a Chebyshev polynomial of one: all that an eigensolver without a factorisation computes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_floats, check_same_device


def csr_matmul(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """``A @ x`` for a sparse ``A (n, m)`` in CSR and a dense block ``x (m, b)``.

    Sums run over a row's entries in their order, in double: results repeat exactly, whatever the number of threads.

    Parameters
    ----------
    crow : (n + 1,), col : (nnz,) int32 or int64, alike: row ``i`` holds ``values[crow[i]:crow[i + 1]]`` in those columns,
        in any order, repeated or not. int32 is quicker.
    values : (nnz,), x : (m, b), both float32 or both float64. Differentiable in both, any number of times.

    Returns
    -------
    (n, b), of the type of ``x``.

    Raises
    ------
    ArgumentError : wrong shape, type or device. RuntimeError : an index is out of range (CPU; on CUDA such a row is NaN).

    Cost: ``2 nnz b`` flops; memory traffic about ``16 n b + 12 nnz`` bytes in float64 where the rows that are gathered
    stay in cache, ``8 nnz b`` more where they do not.
    """
    _check(crow, col, values, x)
    return torch.ops.geospec.csr_matmul(crow, col, values, x)


def csr_sampled_products(crow: Tensor, col: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """``<left[i], right[j]>`` for each entry ``(i, j)`` of a CSR pattern: ``left @ right.T`` where the pattern looks.

    ``crow (n + 1,), col (nnz,)`` as in :func:`csr_matmul`; ``left (n, b)``, ``right (m, b)`` both float32 or both float64,
    differentiable any number of times. Returns ``(nnz,)``. Sums in double. Errors and repetition as :func:`csr_matmul`;
    cost ``2 nnz b`` flops.
    """
    _check_pattern(crow, col)
    check_floats("left", left)
    check_floats("right", right, columns=left.shape[1])
    check_same_device("right", right, "left", left)
    check_same_device("crow", crow, "left", left)
    return torch.ops.geospec.csr_sampled_products(crow, col, left, right)


def chebyshev_filter(crow: Tensor, col: Tensor, values: Tensor, x: Tensor, degree: int, lower: float, upper: float) -> Tensor:
    """``T_degree((c - A) / e) @ x`` with ``c = (upper + lower) / 2``, ``e = (upper - lower) / 2``, for a symmetric ``A (n, n)``.

    A part of ``x`` along an eigenvector with eigenvalue in ``[lower, upper]`` is multiplied by a number in ``[-1, 1]``; below
    ``lower`` by ``cosh(degree arccosh((c - lambda) / e))``, which grows fast. Eigenvalues above ``upper`` grow as well, so it
    must bound the spectrum.

    Parameters
    ----------
    crow, col, values : as in :func:`csr_matmul`; symmetric, which is not checked.
    x : (n, b) of the type of ``values``. Differentiable, any number of times; the values are not.
    degree : 0 or more. lower < upper.

    Returns
    -------
    (n, b). Errors as :func:`csr_matmul`.

    Cost: ``degree`` products, each fused with its step of the recurrence: about ``24 n b + 12 nnz`` bytes a step in float64.
    Memory: two blocks. Source: Zhou, Saad, Tiago and Chelikowsky 2006, algorithm 3.1.
    """
    _check(crow, col, values, x)
    if len(x) != len(crow) - 1:
        raise ArgumentError(problem("x", f"one row for each row of the matrix, {len(crow) - 1}", len(x)))
    if degree < 0:
        raise ArgumentError(problem("degree", "0 or more", degree))
    if not upper > lower:
        raise ArgumentError(problem("upper", f"more than lower, {lower}", upper))
    return torch.ops.geospec.chebyshev_filter(crow, col, values, x, degree, lower, upper)


def _check_pattern(crow: Tensor, col: Tensor) -> None:
    for name, value in (("crow", crow), ("col", col)):
        if not isinstance(value, Tensor):
            raise ArgumentError(problem(name, "a torch tensor", type(value).__name__, "convert with torch.as_tensor"))
        if value.dtype not in (torch.int32, torch.int64):
            raise ArgumentError(problem(name, "int32 or int64 indices", str(value.dtype)))
        if value.dim() != 1:
            raise ArgumentError(problem(name, "one dimension", tuple(value.shape)))
    if col.dtype != crow.dtype:
        raise ArgumentError(problem("col", f"the type of crow, {crow.dtype}", col.dtype))
    if not len(crow):
        raise ArgumentError(problem("crow", "shape (n + 1,)", "(0,)"))
    check_same_device("col", col, "crow", crow)


def _check(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> None:
    _check_pattern(crow, col)
    check_floats("x", x)
    if not isinstance(values, Tensor) or values.shape != col.shape:
        raise ArgumentError(problem("values", f"one for each column index, shape {tuple(col.shape)}", getattr(values, "shape", values)))
    if values.dtype != x.dtype:
        raise ArgumentError(problem("values", f"the type of x, {x.dtype}", values.dtype))
    check_same_device("values", values, "x", x)
    check_same_device("crow", crow, "x", x)


def _rows(crow: Tensor) -> Tensor:
    """The row of each entry, int64."""
    return torch.repeat_interleave(torch.arange(len(crow) - 1, device=crow.device), crow.diff())


def reference(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """:func:`csr_matmul` in plain PyTorch: gather, scale, scatter."""
    products = values.double()[:, None] * x.double()[col.long()]
    return x.new_zeros(len(crow) - 1, x.shape[1], dtype=torch.float64).index_add(0, _rows(crow), products).to(x.dtype)


def reference_sampled(crow: Tensor, col: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """:func:`csr_sampled_products` in plain PyTorch."""
    return (left.double()[_rows(crow)] * right.double()[col.long()]).sum(dim=1).to(left.dtype)


def reference_filter(crow: Tensor, col: Tensor, values: Tensor, x: Tensor, degree: int, lower: float, upper: float) -> Tensor:
    """:func:`chebyshev_filter` in plain PyTorch, by the recurrence; rounded to the type of ``x`` at each step, as the kernel does."""
    center, half = (upper + lower) / 2, (upper - lower) / 2

    def once(block: Tensor) -> Tensor:
        return (center * block.double() - reference(crow, col, values.double(), block.double())) / half

    before, now = x, once(x).to(x.dtype)
    if degree == 0:
        return x.clone()
    for _ in range(degree - 1):
        before, now = now, (2 * once(now) - before.double()).to(x.dtype)
    return now


def _transposed(crow: Tensor, col: Tensor, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pattern ``(crow, col)`` of the transpose ``(m, n)``, and for each of its entries the place of that entry before."""
    place = torch.argsort(col, stable=True)
    counts = torch.zeros(m + 1, dtype=crow.dtype, device=crow.device)
    counts[1:] = torch.bincount(col, minlength=m).cumsum(0)
    return counts, _rows(crow)[place].to(col.dtype), place


@torch.library.register_fake("geospec::csr_matmul")
def _fake(crow: Tensor, col: Tensor, values: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(crow.shape[0] - 1, x.shape[1])


@torch.library.register_fake("geospec::csr_sampled_products")
def _fake_sampled(crow: Tensor, col: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return left.new_empty(col.shape[0])


@torch.library.register_fake("geospec::chebyshev_filter")
def _fake_filter(crow: Tensor, col: Tensor, values: Tensor, x: Tensor, degree: int, lower: float, upper: float) -> Tensor:
    return x.new_empty(x.shape)


def _setup(ctx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    crow, col, values, x = ctx.saved_tensors
    grad_values = grad_x = None
    if ctx.needs_input_grad[2]:
        grad_values = torch.ops.geospec.csr_sampled_products(crow, col, grad, x)
    if ctx.needs_input_grad[3]:
        back_crow, back_col, place = _transposed(crow, col, x.shape[0])
        grad_x = torch.ops.geospec.csr_matmul(back_crow, back_col, values[place], grad)
    return None, None, grad_values, grad_x


torch.library.register_autograd("geospec::csr_matmul", _backward, setup_context=_setup)


def _backward_sampled(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The pattern with ``grad`` for its values, times the other side."""
    crow, col, left, right = ctx.saved_tensors
    grad_left = grad_right = None
    if ctx.needs_input_grad[2]:
        grad_left = torch.ops.geospec.csr_matmul(crow, col, grad, right)
    if ctx.needs_input_grad[3]:
        back_crow, back_col, place = _transposed(crow, col, right.shape[0])
        grad_right = torch.ops.geospec.csr_matmul(back_crow, back_col, grad[place], left)
    return None, None, grad_left, grad_right


torch.library.register_autograd("geospec::csr_sampled_products", _backward_sampled, setup_context=_setup)


def _setup_filter(ctx, inputs: tuple, output: Tensor) -> None:
    crow, col, values, _, *ctx.polynomial = inputs
    ctx.save_for_backward(crow, col, values)


def _backward_filter(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    """A polynomial of a symmetric matrix is symmetric: it is its own adjoint."""
    if ctx.needs_input_grad[2]:
        raise RuntimeError(
            "chebyshev_filter is differentiable in x, not in the values; for those there is its twin in plain PyTorch: "
            "from geospec.ops.csr_matmul import reference_filter"
        )
    return None, None, None, torch.ops.geospec.chebyshev_filter(*ctx.saved_tensors, grad, *ctx.polynomial), None, None, None


torch.library.register_autograd("geospec::chebyshev_filter", _backward_filter, setup_context=_setup_filter)
