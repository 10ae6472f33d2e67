"""Trees of wavelet coefficients: each coarse cell with its details and their descendants.

Along an axis cell ``p`` of the coarsest details has the children ``fan p + o - shift``, ``o`` in ``{0..fan - 1}``, among the details that
are ``log2(fan)`` levels finer. Those outside the array do not exist: they are read as zero, and what is written to them is dropped.
Every detail has one parent, so gathering and scattering are adjoints, and each is the inverse of the other on the trees at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_floats, check_same_device


def gather_trees(detail: Tensor, rows: Tensor, cells: Sequence[int], fan: int, shift: int) -> Tensor:
    """The details ``(K, bands fan^3)`` of ``K`` trees, children that do not exist being zero.

    Parameters
    ----------
    detail : (b, bands, q0, q1, q2) float32 or float64. Differentiable, any number of times.
    rows : (K,) int64 cells, ascending: cell ``p`` of shape ``s`` of the batch is ``s m0 m1 m2 + (p0 m1 + p1) m2 + p2``.
    cells : (m0, m1, m2) coarse cells.
    fan : children of a cell along an axis; 1 gives the details of the cell itself.
    shift : of the children. ``fan m - shift`` must reach the last detail of each axis.

    Returns
    -------
    Column ``band fan^3 + (o0 fan + o1) fan + o2`` is child ``o`` of ``band``.

    Raises
    ------
    ArgumentError : wrong shape, type or device. RuntimeError : what only the kernel sees: rows out of range or that do not ascend (on CUDA
        rows out of range give zero, and rows are taken to be distinct).

    Cost: ``K bands fan^3`` values read and written.
    """
    _check_detail("detail", detail)
    _check_rows(rows, "detail", detail)
    return torch.ops.geospec.tree_gather(detail, rows, list(cells), fan, shift)


def scatter_trees(values: Tensor, rows: Tensor, shape: Sequence[int], cells: Sequence[int], fan: int, shift: int) -> Tensor:
    """Details of ``shape (b, bands, q0, q1, q2)``, zero but for the trees given as :func:`gather_trees` gives them.

    Its adjoint and, on the trees at hand, its inverse. Differentiable in ``values``, any number of times. Raises as it does.
    """
    check_floats("values", values)
    _check_rows(rows, "values", values)
    if len(values) != len(rows):
        raise ArgumentError(problem("values", f"a row for each of the {len(rows)} rows", len(values)))
    return torch.ops.geospec.tree_scatter(values, rows, list(shape), list(cells), fan, shift)


def pack_children(detail: Tensor, cells: Sequence[int], fan: int, shift: int) -> Tensor:
    """The trees of all cells as channels ``(b, bands fan^3, m0, m1, m2)`` of details ``(b, bands, q0, q1, q2)``.

    Channels in the order of the columns of :func:`gather_trees`. Differentiable, any number of times.
    """
    _check_detail("detail", detail)
    return torch.ops.geospec.tree_pack(detail, list(cells), fan, shift)


def unpack_children(channels: Tensor, shape: Sequence[int], fan: int, shift: int) -> Tensor:
    """Details ``(b, bands, q0, q1, q2)``, ``shape`` being ``(q0, q1, q2)``, of channels as :func:`pack_children` gives them.

    What channels hold for children that do not exist is dropped. Differentiable, any number of times.
    """
    _check_detail("channels", channels)
    return torch.ops.geospec.tree_unpack(channels, list(shape), fan, shift)


def largest_cells(values: Tensor, counts: Sequence[int]) -> Tensor:
    """Columns of the ``counts[i]`` largest values of each row ``i`` of ``(b, m)``: ``(sum of counts,)`` int64, ascending in each row.

    Exact: of equal values the first columns are taken; a NaN counts as larger than infinity, and a negative one as smaller.

    Raises
    ------
    ArgumentError : wrong shape or type. RuntimeError : a count below 0 or above ``m``.

    Cost: a selection in linear time for each row; rows in parallel.
    """
    check_floats("values", values)
    if len(counts) != len(values):
        raise ArgumentError(problem("counts", f"one for each of the {len(values)} rows of values", len(counts)))
    return torch.ops.geospec.tree_largest(values, list(counts))


def _check_detail(name: str, value: object) -> None:
    if not isinstance(value, Tensor) or value.dim() != 5 or value.dtype not in (torch.float32, torch.float64):
        got = f"{tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise ArgumentError(problem(name, "five dimensions of float32 or float64, the first two of shapes and bands", got))


def _check_rows(rows: Tensor, like_name: str, like: Tensor) -> None:
    if not isinstance(rows, Tensor) or rows.dim() != 1 or rows.dtype != torch.int64:
        got = f"{tuple(rows.shape)} of {rows.dtype}" if isinstance(rows, Tensor) else type(rows).__name__
        raise ArgumentError(problem("rows", "shape (K,) of int64", got))
    check_same_device("rows", rows, like_name, like)


# -- in plain PyTorch


def reference_pack(detail: Tensor, cells: Sequence[int], fan: int, shift: int) -> Tensor:
    """:func:`pack_children` by zeros around the details, then a transpose."""
    pads: list[int] = []
    for m, q in zip(reversed(cells), reversed(detail.shape[2:]), strict=True):
        pads += [shift, fan * m - shift - q]
    (b, bands), (m0, m1, m2) = detail.shape[:2], cells
    split = torch.nn.functional.pad(detail, pads).reshape(b, bands, m0, fan, m1, fan, m2, fan)
    return split.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, bands * fan**3, m0, m1, m2)


def reference_unpack(channels: Tensor, shape: Sequence[int], fan: int, shift: int) -> Tensor:
    """:func:`unpack_children` by a transpose, then a cut."""
    b, count, m0, m1, m2 = channels.shape
    split = channels.reshape(b, count // fan**3, fan, fan, fan, m0, m1, m2).permute(0, 1, 5, 2, 6, 3, 7, 4)
    joined = split.reshape(b, count // fan**3, fan * m0, fan * m1, fan * m2)
    for d, q in enumerate(shape):
        joined = joined.narrow(2 + d, shift if q else 0, q)
    return joined.contiguous()


def reference_gather(detail: Tensor, rows: Tensor, cells: Sequence[int], fan: int, shift: int) -> Tensor:
    """:func:`gather_trees` by way of the channels of all cells."""
    return reference_pack(detail, cells, fan, shift).flatten(2).mT.flatten(0, 1)[rows]


def reference_scatter(values: Tensor, rows: Tensor, shape: Sequence[int], cells: Sequence[int], fan: int, shift: int) -> Tensor:
    """:func:`scatter_trees` by way of the channels of all cells."""
    b, m = shape[0], cells[0] * cells[1] * cells[2]
    channels = values.new_zeros(b * m, values.shape[1]).index_put((rows,), values)
    return reference_unpack(channels.reshape(b, m, -1).mT.reshape(b, -1, *cells), shape[2:], fan, shift)


def reference_largest(values: Tensor, counts: Sequence[int]) -> Tensor:
    """:func:`largest_cells` by a stable sort."""
    order = values.sort(dim=1, descending=True, stable=True).indices
    kept = [row[:count].sort().values for row, count in zip(order, counts, strict=True)]
    return torch.cat(kept) if kept else torch.zeros(0, dtype=torch.int64)


# -- fakes and gradients


@torch.library.register_fake("geospec::tree_gather")
def _(detail: Tensor, rows: Tensor, cells: Sequence[int], fan: int, shift: int) -> Tensor:
    return detail.new_empty(rows.shape[0], detail.shape[1] * fan**3)


@torch.library.register_fake("geospec::tree_scatter")
def _(values: Tensor, rows: Tensor, shape: Sequence[int], cells: Sequence[int], fan: int, shift: int) -> Tensor:
    return values.new_empty(list(shape))


@torch.library.register_fake("geospec::tree_pack")
def _(detail: Tensor, cells: Sequence[int], fan: int, shift: int) -> Tensor:
    return detail.new_empty(detail.shape[0], detail.shape[1] * fan**3, *cells)


@torch.library.register_fake("geospec::tree_unpack")
def _(channels: Tensor, shape: Sequence[int], fan: int, shift: int) -> Tensor:
    return channels.new_empty(channels.shape[0], channels.shape[1] // fan**3, *shape)


@torch.library.register_fake("geospec::tree_largest")
def _(values: Tensor, counts: Sequence[int]) -> Tensor:
    return values.new_empty(sum(counts), dtype=torch.int64)


def _setup_rows(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensor, rows, *ctx.sizes = inputs
    ctx.shape = list(tensor.shape)
    ctx.save_for_backward(rows)


def _gather_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    cells, fan, shift = ctx.sizes
    return torch.ops.geospec.tree_scatter(grad, *ctx.saved_tensors, ctx.shape, cells, fan, shift), None, None, None, None


def _scatter_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    _, cells, fan, shift = ctx.sizes
    return torch.ops.geospec.tree_gather(grad, *ctx.saved_tensors, cells, fan, shift), None, None, None, None, None


def _setup_dense(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensor, _, ctx.fan, ctx.shift = inputs
    ctx.shape = list(tensor.shape[2:])


def _pack_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.geospec.tree_unpack(grad, ctx.shape, ctx.fan, ctx.shift), None, None, None


def _unpack_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.geospec.tree_pack(grad, ctx.shape, ctx.fan, ctx.shift), None, None, None


torch.library.register_autograd("geospec::tree_gather", _gather_backward, setup_context=_setup_rows)
torch.library.register_autograd("geospec::tree_scatter", _scatter_backward, setup_context=_setup_rows)
torch.library.register_autograd("geospec::tree_pack", _pack_backward, setup_context=_setup_dense)
torch.library.register_autograd("geospec::tree_unpack", _unpack_backward, setup_context=_setup_dense)
