"""Sparse matrices: torch CSR with int64 indices, and the way to SciPy and back."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, problem

if TYPE_CHECKING:
    import scipy.sparse


def csr(crow: Tensor, col: Tensor, values: Tensor, columns: int | None = None) -> Tensor:
    """A CSR tensor of its three arrays, square unless ``columns`` says otherwise; the arrays are shared and their order checked."""
    rows = len(crow) - 1
    with warnings.catch_warnings():
        # Said once a process, nothing to act on; the second by torch before 2.12, though the check is asked for.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        warnings.filterwarnings("ignore", "Sparse invariant checks are implicitly disabled")
        return torch.sparse_csr_tensor(crow, col, values, size=(rows, rows if columns is None else columns), check_invariants=True)


def csr_from_triplets(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A CSR tensor of entries in any order; those at one place are added in the order given, in double. Differentiable in the values."""
    key, order = torch.sort(rows * max(shape[1], 1) + columns, stable=True)
    distinct, place = torch.unique_consecutive(key, return_inverse=True)
    sums = torch.zeros(len(distinct), dtype=torch.float64, device=values.device).index_add(0, place, values[order].double())
    crow = torch.zeros(shape[0] + 1, dtype=torch.int64, device=rows.device)
    crow[1:] = torch.bincount(distinct // max(shape[1], 1), minlength=shape[0]).cumsum(0)
    return csr(crow, distinct % max(shape[1], 1), sums.to(values.dtype), shape[1])


def diagonal(values: Tensor) -> Tensor:
    """The square CSR tensor with ``values (n,)`` on its diagonal."""
    index = torch.arange(len(values) + 1, device=values.device)
    return csr(index, index[:-1], values)


def to_scipy(matrix: Tensor) -> scipy.sparse.csr_matrix:
    """A sparse CSR tensor as a SciPy matrix that shares its memory: writing to one writes to the other.

    Nothing is copied from the CPU: values keep their type, indices theirs (int64, which a few of SciPy's routines narrow
    for themselves). A tensor of another device is copied to the CPU. Gradients do not pass.

    Raises
    ------
    ArgumentError : not a sparse CSR tensor of two dimensions.
    """
    import scipy.sparse

    if not isinstance(matrix, Tensor) or matrix.layout != torch.sparse_csr or matrix.dim() != 2:
        got = f"layout {matrix.layout}, shape {tuple(matrix.shape)}" if isinstance(matrix, Tensor) else type(matrix).__name__
        raise ArgumentError(problem("matrix", "a sparse CSR tensor (rows, columns)", got, "convert with .to_sparse_csr()"))
    host = matrix.detach().cpu()
    values = host.values().numpy()
    shared = scipy.sparse.csr_matrix(tuple(host.shape), dtype=values.dtype)
    # The constructor would narrow int64 indices, which copies them.
    shared.data, shared.indices, shared.indptr = values, host.col_indices().numpy(), host.crow_indices().numpy()
    return shared


def from_scipy(matrix) -> Tensor:
    """A SciPy sparse matrix or array as a sparse CSR tensor on the CPU, int64 indices, columns ascending.

    Of a CSR matrix without duplicates, columns ascending, the values are shared, and the indices too where they are int64.
    Other formats and orders are converted; the matrix given stays as it is.

    Raises
    ------
    ArgumentError : not a sparse matrix of two dimensions.
    """
    import scipy.sparse

    if not scipy.sparse.issparse(matrix) or matrix.ndim != 2:
        raise ArgumentError(problem("matrix", "a SciPy sparse matrix", type(matrix).__name__, "scipy.sparse.csr_matrix(matrix) makes one"))
    rows = matrix.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy() if rows is matrix else rows
        rows.sum_duplicates()
    # A tensor cannot be read-only: arrays that are get copied.
    crow, col = (torch.from_numpy(np.require(index, np.int64, "W")) for index in (rows.indptr, rows.indices))
    return csr(crow, col, torch.from_numpy(np.require(rows.data, requirements="W")), rows.shape[1])
