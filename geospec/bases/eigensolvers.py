"""The smallest eigenpairs of ``S x = lambda M x``: one entrance, three solvers, residuals always told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, ConvergenceError, one_of, problem
from ..factor import symmetric_csr
from ..laplacians.sparse import from_scipy
from .chebyshev import chebyshev_eigenpairs
from .krylov import WIDTH, Found, Pencil, Window, just_above, lowest, residuals, rounding, scale_of

if TYPE_CHECKING:
    import scipy.sparse

SOLVERS = ("auto", "krylov", "chebyshev", "dense")
#: Points up to which a dense matrix is as quick as any.
DENSE = 400
#: Points up to which it is, where a fifth of the spectrum or more is wanted.
FEW = 8000
#: Residuals asked for: eigenvalues are right to about the square of it over the relative gap.
TOLERANCE = 1e-8
#: Points up to which one thread does it all.
SHARED = 20_000
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """The smallest eigenpairs, ascending: arrays where arrays were given, tensors where tensors were.

    ``values (k,)``, ``vectors (n, k)`` with ``vectors^T M vectors = I``, both float64; ``residuals (k,)``:
    ``|S x - lambda M x|`` in the norm of ``M^-1``, relative to ``lambda`` plus the scale of the first non-zero eigenvalue.
    ``report`` says what was done: ``solver``, ``components``, ``counted`` (whether inertia certifies that no eigenvalue was
    missed), sizes and counts of the solver.
    """

    values: Any
    vectors: Any
    residuals: Any
    report: dict[str, Any]


def eigenpairs(
    stiffness: scipy.sparse.spmatrix | Tensor,
    mass: scipy.sparse.spmatrix | Tensor | np.ndarray | None = None,
    k: int | None = None,
    *,
    window: tuple[float, float] | None = None,
    solver: str = "auto",
    tolerance: float = TOLERANCE,
    start: Any = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Eigenpairs:
    """The ``k`` smallest eigenpairs of ``S x = lambda M x``, with multiplicity, or all in a window.

    Parameters
    ----------
    stiffness : SciPy sparse or torch CSR ``(n, n)``, symmetric positive semi-definite (up to rounding).
    mass : positive ``(n,)`` vector or diagonal matrix, a sparse symmetric positive definite matrix (consistent mass, not for
        ``"chebyshev"``), or ``None`` for the identity.
    k : from 1 to n. window : ``(low, high)`` for all eigenvalues ``low <= lambda < high`` instead.
    solver : ``"krylov"`` is block Lanczos over a sparse ``L D L^T`` on the CPU, see :mod:`geospec.bases.krylov`;
        ``"chebyshev"`` needs no factorisation and stays on the device of the stiffness, see :mod:`geospec.bases.chebyshev`;
        ``"dense"`` is LAPACK, which also answers ``"krylov"`` for components of up to 400 points, or of up to 8,000 of whose
        spectrum a fifth is wanted. ``"auto"`` is Chebyshev for a stiffness on a GPU, else Krylov.
    tolerance : largest accepted residual. Where rounding in ``S x`` alone exceeds it (slivers, tiny masses), that is accepted.
    start : vectors ``(n, j)``, or an earlier :class:`Eigenpairs`, that help. Pairs among them that are within tolerance and complete
        from the smallest on (counted by inertia) are kept as they are, so that fifty more modes cost fifty; others
        give the iteration a better first block. Not used with a window.
    seed : of the random first block. progress : called as ``progress("modes", done, k)``, ``done`` of ``k`` having converged.

    Raises
    ------
    ArgumentError : matrices that are not square, symmetric, finite; mass not positive; ``k`` out of range.
    ConvergenceError : residuals are not met, or the stiffness is indefinite. Unconverged pairs are never returned.

    Notes
    -----
    Components that the matrices do not connect are solved one by one and merged. Cost of ``"krylov"`` on a surface: three
    factorisations, about ``3 k`` solves, ``13 n k^2`` flops and ``28 n k`` bytes for one window (up to 600 modes); beyond, windows of 300
    modes side by side make it linear in ``k``. Deterministic for a seed and number of threads. Up to
    20,000 points the process runs on one thread meanwhile.
    """
    one_of("solver", solver, SOLVERS)
    if not (isinstance(tolerance, float | int) and 0 < tolerance < 1):
        raise ArgumentError(problem("tolerance", "a number between 0 and 1", repr(tolerance)))
    if solver == "chebyshev" or (solver == "auto" and isinstance(stiffness, Tensor) and stiffness.device.type != "cpu" and window is None):
        return _chebyshev(stiffness, mass, k, window, tolerance, start, seed, progress)
    matrices = _checked(stiffness, mass)
    n = matrices.n
    if (k is None) == (window is None):
        raise ArgumentError(problem("k", "either k or a window", f"k = {k}, window = {window}"))
    device = stiffness.device if isinstance(stiffness, Tensor) else torch.device("cpu")
    if window is None and (not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= n):
        raise ArgumentError(problem("k", f"an integer from 1 to the {n} points", repr(k)))
    random = torch.Generator().manual_seed(seed)
    guess = None if start is None else _start(start, n)
    with torch.no_grad(), few_threads(n):
        if window is not None:
            found = _window(matrices, window, solver, tolerance, random, progress)
        else:
            found = _by_component(matrices, int(k), solver, tolerance, random, guess, progress)
    if progress is not None:
        progress("modes", len(found.values), len(found.values))
    results = (found.values, found.vectors, found.residuals)
    given = [r.to(device) for r in results] if isinstance(stiffness, Tensor) else [r.numpy() for r in results]
    return Eigenpairs(given[0], given[1], given[2], {"n": n, "k": len(found.values), "tolerance": tolerance, **found.record})


@contextmanager
def few_threads(n: int) -> Iterator[None]:
    """One thread while a small problem is solved: its products are thin, and threads that wait for a busy core cost tenfold."""
    threads = torch.get_num_threads()
    if n > SHARED or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _chebyshev(
    stiffness: Any, mass: Any, k: int | None, window: object, tolerance: float, start: Any, seed: int, progress: Progress | None
) -> Eigenpairs:
    """On the device of the stiffness; nothing is copied to the host."""
    if window is not None or k is None:
        raise ArgumentError(problem("window", "none for solver='chebyshev'", window, "use solver='krylov'"))
    matrix = stiffness if isinstance(stiffness, Tensor) else from_scipy(stiffness)
    weights = torch.ones(len(matrix), dtype=torch.float64) if mass is None else mass
    if not isinstance(weights, Tensor):
        weights = torch.from_numpy(np.asarray(weights.diagonal() if hasattr(weights, "diagonal") and weights.ndim == 2 else weights))
    vectors = getattr(start, "vectors", start)
    vectors = None if vectors is None else torch.as_tensor(vectors).to(matrix.device)
    tell = None if progress is None else lambda done, total: progress("modes", done, total)
    found = chebyshev_eigenpairs(matrix, weights.to(matrix.device), k, tolerance=tolerance, start=vectors, seed=seed, progress=tell)
    values, modes, errors, record = found
    given = [values, modes, errors] if isinstance(stiffness, Tensor) else [r.numpy() for r in (values, modes, errors)]
    report = {"n": len(matrix), "k": k, "tolerance": tolerance, "solver": "chebyshev", "counted": False, **record}
    return Eigenpairs(given[0], given[1], given[2], report)


class Matrices(NamedTuple):
    """CSR arrays, float64 on the CPU; ``mass`` is a diagonal ``(n,)`` or values on the pattern of the stiffness ``(nnz,)``."""

    crow: Tensor
    col: Tensor
    stiffness: Tensor
    mass: Tensor

    @property
    def n(self) -> int:
        return len(self.crow) - 1

    @property
    def lumped(self) -> bool:
        return len(self.mass) == self.n

    def scipy(self, values: Tensor) -> scipy.sparse.csr_matrix:
        import scipy.sparse

        return scipy.sparse.csr_matrix((values.numpy(), self.col.numpy(), self.crow.numpy()), shape=(self.n, self.n))

    def diagonal(self) -> Tensor:
        """Of the stiffness, ``(n,)``."""
        return torch.from_numpy(self.scipy(self.stiffness).diagonal())

    def weights(self) -> Tensor:
        """Diagonal of the mass, ``(n,)``."""
        return self.mass if self.lumped else torch.from_numpy(self.scipy(self.mass).diagonal())

    def components(self) -> list[Tensor]:
        """Points of each component, the heaviest first."""
        from scipy.sparse.csgraph import connected_components

        graph = self.scipy((self.stiffness != 0) | (not self.lumped and self.mass != 0))
        graph.eliminate_zeros()
        count, label = connected_components(graph, directed=False)
        if count == 1:
            return [torch.arange(self.n)]
        members = [torch.from_numpy(m) for m in np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label))[:-1])]
        weights = self.weights()
        return sorted(members, key=lambda m: -float(weights[m].sum()))

    def part(self, members: Tensor) -> Matrices:
        """Rows and columns of some points."""
        if len(members) == self.n:
            return self
        stored = torch.arange(1, len(self.col) + 1)  # from one: a stored zero might be dropped
        part = self.scipy(stored)[members.numpy()][:, members.numpy()]
        part.sort_indices()
        entries = torch.from_numpy(part.data - 1)
        mass = self.mass[members] if self.lumped else self.mass[entries]
        return Matrices(torch.from_numpy(part.indptr).long(), torch.from_numpy(part.indices).long(), self.stiffness[entries], mass)


def _checked(stiffness: scipy.sparse.spmatrix | Tensor, mass: Any) -> Matrices:
    import scipy.sparse

    crow, col, values = symmetric_csr("stiffness", stiffness)
    n = len(crow) - 1
    sparse = scipy.sparse.issparse(mass) or (isinstance(mass, Tensor) and mass.layout != torch.strided)
    if not sparse:
        given = torch.ones(n) if mass is None else torch.as_tensor(mass).detach().cpu()
        if given.shape != (n,) or given.is_complex():
            raise ArgumentError(problem("mass", f"a real vector ({n},) or a sparse matrix ({n}, {n})", tuple(given.shape)))
        diagonal = given.double()
    else:
        entries = symmetric_csr("mass", mass)
        if len(entries[0]) != n + 1:
            raise ArgumentError(problem("mass", f"shape ({n}, {n}), that of the stiffness", (len(entries[0]) - 1,) * 2))
        parts = [scipy.sparse.csr_matrix((v.numpy(), c.numpy(), r.numpy()), (n, n)) for r, c, v in ((crow, col, values), entries)]
        diagonal = torch.from_numpy(parts[1].diagonal())
    least = float(Matrices(crow, col, values, diagonal).diagonal().min()) if n else 0.0
    if least < 0:
        raise ArgumentError(problem("stiffness", "a positive semi-definite matrix", f"{least:.3e} on its diagonal", "turn its sign"))
    if not bool((diagonal > 0).all() & torch.isfinite(diagonal).all()):
        bad = int((~((diagonal > 0) & torch.isfinite(diagonal))).sum())
        raise ArgumentError(problem("mass", "positive finite weights", f"{bad} of {n} that are not", "drop vertices without area"))
    if not sparse or int((parts[1].data != 0).sum()) == n:
        return Matrices(crow, col, values, diagonal)
    # Both on the union of their patterns.
    ones = [scipy.sparse.csr_matrix((np.ones(len(p.data)), p.indices, p.indptr), (n, n)) for p in parts]
    union = (ones[0] + ones[1]).tocsr()
    union.sort_indices()
    rows = np.repeat(np.arange(n), np.diff(union.indptr))
    on_union = [torch.from_numpy(np.asarray(p[rows, union.indices]).ravel()) for p in parts]
    return Matrices(torch.from_numpy(union.indptr.astype(np.int64)), torch.from_numpy(union.indices.astype(np.int64)), *on_union)


def _start(start: Any, n: int) -> Tensor | None:
    given = start.vectors if isinstance(start, Eigenpairs) else start
    if not (isinstance(given, Tensor) and not given.is_complex()) and not (isinstance(given, np.ndarray) and given.dtype.kind in "fiu"):
        raise ArgumentError(problem("start", f"vectors ({n}, j), real, or Eigenpairs", type(given).__name__))
    vectors = torch.as_tensor(given if isinstance(given, Tensor) else np.ascontiguousarray(given)).detach().cpu().double()
    if vectors.dim() != 2 or len(vectors) != n or not 1 <= vectors.shape[1] <= n or not bool(torch.isfinite(vectors).all()):
        raise ArgumentError(problem("start", f"finite vectors ({n}, j)", tuple(vectors.shape)))
    return _without_zeros(vectors)


def _without_zeros(vectors: Tensor) -> Tensor | None:
    """The columns that are not zero, of about unit size; ``None`` where none is."""
    size = vectors.abs().amax(dim=0)
    return vectors[:, size > 0] / size[size > 0] if bool((size > 0).any()) else None


def _by_component(
    matrices: Matrices, k: int, solver: str, tolerance: float, random: torch.Generator, guess: Tensor | None, progress: Progress | None
) -> Found:
    """Solve each component for just as many modes as it has among the first ``k`` of all, and merge."""
    members = matrices.components()
    whole = scale_of(matrices.diagonal(), matrices.mass)
    if len(members) == 1:
        found = _connected(matrices, k, solver, tolerance, random, guess, progress, whole)
        found.record["components"] = 1
        return found
    weights = matrices.weights()
    wanted = [min(len(m), 1 + int(1.1 * k * float(weights[m].sum() / weights.sum()))) for m in members]  # Weyl's law
    solved: dict[int, Found] = {}
    while True:
        for i, inside in enumerate(members):
            if i not in solved or len(solved[i].values) < wanted[i]:
                # Vectors that live on other components say nothing about this one.
                near = None if guess is None else _without_zeros(guess[inside])
                solved[i] = _connected(matrices.part(inside), wanted[i], solver, tolerance, random, near, None, whole)
                if progress is not None:
                    progress("modes", min(sum(len(part.values) for part in solved.values()), k), k)
        parts = [solved[i] for i in range(len(members))]
        merged = torch.cat([part.values for part in parts])
        last = float(merged.sort().values[k - 1]) if len(merged) >= k else float("inf")
        short = [i for i, m in enumerate(members) if wanted[i] < len(m) and float(parts[i].values[-1]) < last]
        if not short:
            break
        for i in short:
            wanted[i] = min(len(members[i]), 2 * wanted[i] + 4)
    order = torch.argsort(merged, stable=True)[:k]
    owner = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part.values) for part in parts]))
    column = torch.cat([torch.arange(len(part.values)) for part in parts])
    vectors = torch.zeros(matrices.n, k, dtype=torch.float64)
    for i, (part, inside) in enumerate(zip(parts, members, strict=True)):
        to = (owner[order] == i).nonzero()[:, 0]
        vectors[inside[:, None], to] = part.vectors[:, column[order[to]]]
    errors = torch.cat([part.residuals for part in parts])[order]
    largest = max(parts, key=lambda part: len(part.vectors))
    record = {**largest.record, "components": len(parts), "counted": all(part.record["counted"] for part in parts)}
    return Found(merged[order], vectors, errors, record)


def _connected(
    matrices: Matrices,
    k: int,
    solver: str,
    tolerance: float,
    random: torch.Generator,
    guess: Tensor | None,
    progress: Progress | None,
    whole: float,
) -> Found:
    n = matrices.n
    if solver == "dense" or n <= DENSE or (k > n // 5 and n <= FEW):
        return _dense(matrices, k, tolerance, whole)
    pencil = _pencil(matrices, whole)
    known = None
    if guess is not None:
        guess = pencil.inward(guess)
        known = _certified(pencil, guess, tolerance)
    if known is not None and len(known.values) >= k:
        found = Found(known.values[:k], known.vectors[:, :k], known.residuals[:k], {"windows": 0, "space": 0, "solves": 0})
    else:
        found = lowest(pencil, k, tolerance, random, known=known, guess=guess, progress=progress)
    found.record |= {"kept": 0 if known is None else min(k, len(known.values)), "solver": "krylov", "counted": True}
    found.record["factor_entries"] = pencil.pattern.entries
    _refuse_indefinite(float(found.values[0]), 1e-6 * pencil.scale + 1e-13 * pencil.greatest)
    found.values = found.values.clamp(min=0)  # rounding may leave the zero slightly negative
    found.vectors = pencil.outward(found.vectors)
    return found


def _pencil(matrices: Matrices, whole: float | None = None) -> Pencil:
    pencil = Pencil(*matrices, whole)
    if not pencil.lumped and pencil.mass_factor.negative:
        raise ArgumentError(problem("mass", "a positive definite matrix", f"one with {pencil.mass_factor.negative} negative eigenvalues"))
    return pencil


def _refuse_indefinite(least: float, rounding: float) -> None:
    if least < -rounding:
        raise ConvergenceError(
            f"stiffness: wanted a positive semi-definite matrix, got the eigenvalue {least:.3e}, below zero by more than rounding"
        )


def _dense(matrices: Matrices, k: int, tolerance: float, whole: float) -> Found:
    """Every eigenpair by LAPACK, the first ``k`` of them returned."""
    stiffness = torch.from_numpy(matrices.scipy(matrices.stiffness).toarray())
    weights = matrices.weights()
    if matrices.lumped:
        root = torch.diag(weights.sqrt())
        form = stiffness / weights.sqrt()[:, None] / weights.sqrt()
    else:
        root, flawed = torch.linalg.cholesky_ex(torch.from_numpy(matrices.scipy(matrices.mass).toarray()))
        if flawed:
            raise ArgumentError(problem("mass", "a positive definite matrix", "one that is not"))
        form = torch.linalg.solve_triangular(root, stiffness, upper=False)
        form = torch.linalg.solve_triangular(root, form.T, upper=False)
    form = (form + form.T) / 2
    values, vectors = torch.linalg.eigh(form)
    greatest = float(values.abs().max())
    _refuse_indefinite(float(values[0]), 1e-10 * greatest)
    values, vectors = values[:k].clamp(min=0), vectors[:, :k]
    errors = (form @ vectors - vectors * values).norm(dim=0) / (values + whole)
    if not bool((errors <= torch.clamp(1e-12 * greatest / (values + whole), min=tolerance)).all()):
        raise ConvergenceError(f"dense eigenpairs of {matrices.n} points: worst relative residual {float(errors.max()):.1e}")
    vectors = vectors / weights.sqrt()[:, None] if matrices.lumped else torch.linalg.solve_triangular(root.T, vectors, upper=True)
    return Found(values, vectors.contiguous(), errors, {"solver": "dense", "counted": True})


def _certified(pencil: Pencil, guess: Tensor, tolerance: float) -> Found | None:
    """The lowest pairs that ``guess (j, n)`` holds within ``tolerance``, as many as are complete from the smallest on; else ``None``."""
    guess = guess / (pencil.weigh(guess) * guess).sum(dim=1, keepdim=True).sqrt()
    gram = pencil.weigh(guess) @ guess.T
    root, flawed = torch.linalg.cholesky_ex(gram)
    if flawed:
        return None
    vectors = torch.linalg.solve_triangular(root, guess, upper=False).T.contiguous()
    form = vectors.T @ pencil.stiffen(vectors)
    values, turn = torch.linalg.eigh((form + form.T) / 2)
    errors = None
    if float((gram - torch.eye(len(gram))).abs().max()) < 1e-9:
        # Modes as they come, and not another basis of each multiple eigenvalue, if they are in order.
        given = guess.T.contiguous()
        errors = residuals(pencil, values, given)
        errors = errors if bool((errors <= torch.clamp(rounding(pencil, values), min=tolerance)).all()) else None
    if errors is None:
        given = vectors @ turn
        errors = residuals(pencil, values, given)
    vectors = given
    good = int((errors <= torch.clamp(rounding(pencil, values), min=tolerance)).long().cumprod(0).sum())
    if good == 0:
        return None
    for _ in range(2):
        place, count = pencil.count_below(just_above(values[good - 1], pencil), 1e-6 * pencil.scale)
        good = int((values[:good] < place).sum())
        if good == count:
            return Found(values[:good], vectors[:, :good], errors[:good])
        # The end may have cut a multiple eigenvalue: what is below the widest gap near it is another try.
        last = values[max(0, good - 2 * WIDTH) : good]
        if len(last) < 2:
            return None
        good -= len(last) - 1 - int(last.diff().argmax())
    return None


def _window(
    matrices: Matrices, window: tuple[float, float], solver: str, tolerance: float, random: torch.Generator, progress: Progress | None
) -> Found:
    """All pairs from ``low`` to ``high``, the components together: the counts tell how many there are."""
    ends = np.asarray(window)
    if ends.shape != (2,) or ends.dtype.kind not in "iuf" or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise ArgumentError(problem("window", "finite (low, high), low < high", repr(window)))
    low, high = float(ends[0]), float(ends[1])
    pencil = _pencil(matrices)
    hair = 1e-9 * (abs(low) + pencil.scale)  # an eigenvalue at the edge itself is inside, up to rounding
    place, below = pencil.count_below(low - hair, hair)
    end, upto = pencil.count_below(high - 1e-9 * (abs(high) + pencil.scale), hair)
    components = len(matrices.components())
    if solver == "dense" or pencil.n <= DENSE or (upto - below > pencil.n // 5 and pencil.n <= FEW):
        every = _dense(matrices, pencil.n, tolerance, pencil.scale)
        inside = (every.values >= place) & (every.values < end)
        return Found(every.values[inside], every.vectors[:, inside], every.residuals[inside], {**every.record, "components": components})
    record = {"solver": "krylov", "counted": True, "components": components}
    if upto == below:
        return Found(torch.empty(0).double(), torch.empty(pencil.n, 0).double(), torch.empty(0).double(), record)
    found = lowest(pencil, upto - below, tolerance, random, within=Window(place, end, below, upto), progress=progress)
    found.record |= record
    found.values, found.vectors = found.values.clamp(min=0) if low <= 0 else found.values, pencil.outward(found.vectors)
    return found
