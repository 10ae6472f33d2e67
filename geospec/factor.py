"""A sparse symmetric matrix factored once and solved for many right-hand sides, with its inertia.

Nested dissection by METIS, then our own multifrontal ``L D L^T`` in which blocks of right-hand sides share every read
of the factor. Indefinite matrices are taken too, as long as no pivot comes near zero: the number of negative pivots is
then the number of negative eigenvalues (Sylvester), which is how eigenvalues are counted.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .errors import ArgumentError, ConvergenceError, problem
from .ops.sparse_ldl import Structure, ldl_analyze, ldl_factor, ldl_solve

if TYPE_CHECKING:
    import scipy.sparse

#: Rows up to which any order of elimination is as good as another.
SMALL = 64
#: Columns among which pivots are chosen: ``kBlock`` of the kernel.
BLOCK = 32
#: A pivot below this share of the matrix's own diagonal entry holds no digit any more.
SINGULAR = 1e-14
#: METIS draws from one generator of the process, which two orders at once would mix up.
_ONE_AT_A_TIME = Lock()


class SparsePattern:
    """The order of elimination and the layout of the factor for one sparsity pattern: one serves all matrices that have it.

    Parameters
    ----------
    crow (n + 1,), col (nnz,) : int64 CSR pattern of a symmetric matrix, both halves, columns ascending, on the CPU.
    """

    structure: Structure

    def __init__(self, crow: Tensor, col: Tensor) -> None:
        self._hold(crow, col, ldl_analyze(crow, col, _nested_dissection(crow, col)))

    def _hold(self, crow: Tensor, col: Tensor, structure: Structure) -> None:
        self.crow, self.col, self.structure, self.n = crow, col, structure, len(crow) - 1
        #: Where the diagonal stands among the entries, ``(n,)``.
        self.diagonal = (col == torch.repeat_interleave(torch.arange(self.n), crow.diff())).nonzero()[:, 0]
        first = structure.first
        place = torch.arange(self.n)
        begin = first[torch.searchsorted(first, place, right=True) - 1]
        #: The first place of the block in which each pivot was chosen, ``(n,)``.
        self._block_begin = place - (place - begin) % BLOCK
        if len(self.diagonal) != self.n:
            raise ArgumentError(problem("col", "every diagonal entry in the pattern", f"{len(self.diagonal)} of {self.n}"))

    @classmethod
    def in_order(cls, crow: Tensor, col: Tensor) -> tuple[SparsePattern, Tensor, Tensor]:
        """``(pattern, order, entries)``: the pattern renumbered so that it is eliminated as it stands.

        ``order (n,)`` holds the old row at each place, ``entries (nnz,)`` the old position of each entry. Vectors in this order
        lie in memory as solves want them.
        """
        import scipy.sparse

        first = cls(crow, col)
        order = first.structure.order
        n, stored = first.n, np.arange(1, len(col) + 1)  # from one: a stored zero might be dropped
        numbered = scipy.sparse.csr_matrix((stored, col.numpy(), crow.numpy()), shape=(n, n))[order.numpy()][:, order.numpy()]
        numbered.sort_indices()
        pattern = cls.__new__(cls)
        crow, col = (torch.from_numpy(a.astype(np.int64)) for a in (numbered.indptr, numbered.indices))
        pattern._hold(crow, col, first.structure._replace(order=torch.arange(n)))
        return pattern, order, torch.from_numpy(numbered.data - 1)

    @property
    def entries(self) -> int:
        """Numbers that a factor holds."""
        return int(self.structure.panel_begin[-1])

    def factor(self, values: Tensor) -> SparseFactor:
        """The factor of the matrix with these values ``(nnz,)``, float64."""
        panels, pivots, swaps = ldl_factor(values, self.crow, self.col, self.structure)
        own = values[self.diagonal].abs()[self.structure.order][self._block_begin + swaps]
        lost = ~(pivots.abs() > SINGULAR * own)  # NaN too
        if lost.any():
            worst = int(lost.double().argmax())
            raise ConvergenceError(
                f"sparse factor of {self.n} rows: {int(lost.sum())} pivots vanish, the first is {float(pivots[worst]):.1e} on a diagonal "
                f"of {float(own[worst]):.1e}; the matrix is singular, or indefinite in a way that wants pivoting"
            )
        factor = SparseFactor._made(self, panels, pivots, swaps)
        factor.margin = float((pivots.abs() / own).min()) if self.n else 1.0
        return factor


class SparseFactor:
    """``P A P^T = L D L^T`` of a sparse symmetric matrix.

    Parameters
    ----------
    matrix : SciPy sparse or torch CSR ``(n, n)``, real and symmetric, finite; computed in float64 on the CPU.

    Raises
    ------
    ArgumentError : not square, not symmetric, not finite.
    ConvergenceError : a pivot vanishes beside its diagonal entry (below 1e-14): the matrix is singular, or indefinite in a way that
        wants pivoting. A singular matrix whose last pivot is rounding above that is not told apart.

    Cost on a surface of 200k points: 1.6 s of ordering, 0.4 s of analysis and numbers, 0.1 s for 16 right-hand sides, 110 MB.
    """

    pattern: SparsePattern
    #: ``D``, in the order of elimination but for exchanges within blocks, ``(n,)``.
    pivots: Tensor
    #: The smallest pivot in size, beside its entry on the diagonal: how near the matrix came to want more than it got.
    margin: float
    _panels: Tensor
    _swaps: Tensor

    def __init__(self, matrix: scipy.sparse.spmatrix | Tensor) -> None:
        crow, col, values = symmetric_csr("matrix", matrix)
        made = SparsePattern(crow, col).factor(values)
        self.pattern, self.pivots, self._panels, self._swaps = made.pattern, made.pivots, made._panels, made._swaps
        self.margin = made.margin

    @classmethod
    def _made(cls, pattern: SparsePattern, panels: Tensor, pivots: Tensor, swaps: Tensor) -> SparseFactor:
        factor = cls.__new__(cls)
        factor.pattern, factor.pivots, factor._panels, factor._swaps = pattern, pivots, panels, swaps
        return factor

    @property
    def negative(self) -> int:
        """Number of negative eigenvalues of the matrix."""
        return int((self.pivots < 0).sum())

    def solve(self, right: Any) -> Any:
        """``A^-1 right`` for ``(n,)`` or ``(n, c)``: a tensor for a tensor (its float type, its device), an array for an array."""
        given = right if isinstance(right, Tensor) else torch.from_numpy(np.asarray(right))
        if given.dim() not in (1, 2) or len(given) != self.pattern.n:
            raise ArgumentError(problem("right", f"shape ({self.pattern.n},) or ({self.pattern.n}, c)", tuple(given.shape)))
        if given.is_complex():
            raise ArgumentError(problem("right", "real numbers", str(given.dtype), "solve for the real and the imaginary part"))
        block = given.detach().cpu().double()
        # A vector is a block whose one row is the vector.
        solved = (
            self.solve_rows(block[None])[0]
            if given.dim() == 1
            else ldl_solve(self._panels, self.pivots, self._swaps, self.pattern.structure, block)
        )
        if not isinstance(right, Tensor):
            return solved.numpy()
        return solved.to(given) if given.is_floating_point() else solved.to(given.device)

    def solve_rows(self, right: Tensor) -> Tensor:
        """``A^-1`` of each row of ``right (c, n)``, float64 on the CPU."""
        return ldl_solve(self._panels, self.pivots, self._swaps, self.pattern.structure, right, rows_are_vectors=True)


def symmetric_csr(name: str, matrix: scipy.sparse.spmatrix | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``(crow, col, values)`` of a symmetric matrix, int64 and float64 on the CPU, columns ascending, the diagonal stored.

    Shares the memory of a CSR that is so already. Refuses what is not square, finite, real or symmetric (to 1e-10 of the largest
    entry; asymmetry below that is rounding, and both halves are read).
    """
    import scipy.sparse

    if isinstance(matrix, Tensor):
        if matrix.layout not in (torch.sparse_csr, torch.sparse_coo):
            raise ArgumentError(problem(name, "a sparse CSR tensor", f"layout {matrix.layout}", "convert with .to_sparse_csr()"))
        csr = (matrix.detach().to_sparse_csr() if matrix.layout == torch.sparse_coo else matrix.detach()).cpu()
        if csr.values().is_complex():
            raise ArgumentError(problem(name, "real entries", str(csr.dtype)))
        found = scipy.sparse.csr_matrix(tuple(csr.shape))
        # Set by hand: the constructor would narrow large indices before they are looked at.
        found.data, found.indices, found.indptr = (a.numpy() for a in (csr.values().double(), csr.col_indices(), csr.crow_indices()))
    elif scipy.sparse.issparse(matrix):
        if np.iscomplexobj(matrix.data):
            raise ArgumentError(problem(name, "real entries", str(matrix.dtype)))
        found = scipy.sparse.csr_matrix(matrix, dtype=np.float64)
    else:
        raise ArgumentError(problem(name, "a SciPy sparse matrix or a torch CSR tensor", type(matrix).__name__))
    n = found.shape[0]
    if found.shape != (n, n):
        raise ArgumentError(problem(name, "a square matrix", found.shape))
    # Neither torch nor SciPy has looked at the indices.
    if len(found.indices) and not (found.indices.min() >= 0 and found.indices.max() < n and (np.diff(found.indptr) >= 0).all()):
        raise ArgumentError(problem(name, f"column indices in [0, {n})", f"{found.indices.min()}..{found.indices.max()}"))
    if not np.isfinite(found.data).all():
        raise ArgumentError(problem(name, "finite entries", f"{int((~np.isfinite(found.data)).sum())} that are not"))
    if not found.has_canonical_format:
        found = found.copy()
        found.sum_duplicates()
    other = found.T.tocsr()
    same_pattern = np.array_equal(found.indptr, other.indptr) and np.array_equal(found.indices, other.indices)
    difference = abs(found.data - other.data) if same_pattern else abs(found - other).data
    worst, scale = difference.max(initial=0.0), abs(found.data).max(initial=0.0)
    if worst > 1e-10 * scale:
        raise ArgumentError(problem(name, "a symmetric matrix", f"entries that differ from their mirror by {worst:.1e}, of {scale:.1e}"))
    if not same_pattern or (found.diagonal() == 0).any():
        # A zero that is stored keeps its place: the pattern of both halves and of the diagonal.
        ones = [scipy.sparse.csr_matrix((np.ones(len(m.data)), m.indices, m.indptr), m.shape) for m in (found, other)]
        pattern = (ones[0] + ones[1] + scipy.sparse.identity(n, format="csr")).tocsr()
        pattern.sort_indices()
        rows = np.repeat(np.arange(n), np.diff(pattern.indptr))
        found = scipy.sparse.csr_matrix((np.asarray(found[rows, pattern.indices]).ravel(), pattern.indices, pattern.indptr), (n, n))
    index = [torch.from_numpy(np.asarray(a, dtype=np.int64)) for a in (found.indptr, found.indices)]
    return index[0], index[1], torch.from_numpy(found.data)


def _nested_dissection(crow: Tensor, col: Tensor) -> Tensor:
    """METIS's order of elimination ``(n,)``: row at each place. Source: George 1973; Karypis and Kumar 1998."""
    n = len(crow) - 1
    if n <= SMALL:
        return torch.arange(n)
    import pymetis

    rows = torch.repeat_interleave(torch.arange(n), crow.diff())
    off = rows != col
    starts = torch.zeros(n + 1, dtype=torch.int32)
    starts[1:] = torch.bincount(rows[off], minlength=n).cumsum(0)
    graph = pymetis.CSRAdjacency(adj_starts=starts.numpy(), adjacent=col[off].to(torch.int32).numpy())
    with _ONE_AT_A_TIME:
        order = pymetis.nested_dissection(graph)[0]
    return torch.from_numpy(np.array(order, dtype=np.int64))
