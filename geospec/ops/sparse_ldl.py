"""Sparse symmetric factorisation ``P A P^T = L D L^T`` and its solves: the three ops behind :class:`geospec.factor.SparseFactor`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from . import library  # noqa: F401  (registers the ops)


class Structure(NamedTuple):
    """Where the entries of a factor stand, all int64. A supernode is a run of columns that share their rows below.

    ``order (n,)`` : matrix row at each place of the elimination. By supernode: ``first`` column, ``row_begin`` offsets into the
    places ``rows`` below its columns, ``panel_begin`` offsets of its dense panel, ``parent`` supernode or -1.
    """

    order: Tensor
    first: Tensor
    row_begin: Tensor
    rows: Tensor
    panel_begin: Tensor
    parent: Tensor


def ldl_analyze(crow: Tensor, col: Tensor, order: Tensor) -> Structure:
    """Fill and layout for the CSR pattern of a symmetric matrix, both halves stored, eliminated in about the given order.

    The order is refined to a postorder of the elimination tree, which changes no fill. Cost ``O(nnz + rows)``. CPU only.
    Source: Liu 1990 (tree); Gilbert, Ng and Peyton 1994 (counts); Ashcraft and Grimes 1989 (relaxed supernodes).
    """
    return Structure(*torch.ops.geospec.ldl_analyze(crow, col, order))


def ldl_factor(values: Tensor, crow: Tensor, col: Tensor, structure: Structure) -> tuple[Tensor, Tensor, Tensor]:
    """Panels of the factor, its pivots ``(n,)``, float64, and the exchanges of rows ``(n,)``, int64.

    Each pivot is the largest diagonal entry left in its block of at most 32 columns; one of zero shows as infinities or NaN.

    Multifrontal, subtrees side by side, the same result on any number of threads. CPU only. Source: Duff and Reid 1983.
    """
    return torch.ops.geospec.ldl_factor(values, crow, col, *structure)


def ldl_solve(
    panels: Tensor, pivots: Tensor, swaps: Tensor, structure: Structure, right: Tensor, *, rows_are_vectors: bool = False
) -> Tensor:
    """``A^-1 right`` for ``right (n, c)``, or ``(c, n)`` where the rows are the vectors; float64.

    The factor is read once for every 32 columns; threads share the columns. CPU only.
    """
    return torch.ops.geospec.ldl_solve(panels, pivots, swaps, *structure, right, rows_are_vectors)


@torch.library.register_fake("geospec::ldl_analyze")
def _fake_analyze(crow: Tensor, col: Tensor, order: Tensor) -> tuple[Tensor, ...]:
    context = torch.library.get_ctx()
    supernodes, rows = context.new_dynamic_size(), context.new_dynamic_size()
    lengths = (order.shape[0], supernodes + 1, supernodes + 1, rows, supernodes + 1, supernodes)
    return tuple(crow.new_empty(length) for length in lengths)


@torch.library.register_fake("geospec::ldl_factor")
def _fake_factor(values: Tensor, crow: Tensor, col: Tensor, *structure: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    n = crow.shape[0] - 1
    return values.new_empty(torch.library.get_ctx().new_dynamic_size()), values.new_empty(n), crow.new_empty(n)


@torch.library.register_fake("geospec::ldl_solve")
def _fake_solve(
    panels: Tensor,
    pivots: Tensor,
    swaps: Tensor,
    order: Tensor,
    first: Tensor,
    row_begin: Tensor,
    rows: Tensor,
    panel_begin: Tensor,
    parent: Tensor,
    right: Tensor,
    rows_are_vectors: bool = False,
) -> Tensor:
    return torch.empty_like(right, memory_format=torch.contiguous_format)
