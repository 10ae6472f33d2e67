"""The lowest eigenpairs of a sparse pencil by block Lanczos on a shifted inverse, counted by inertia.

With ``F = (S - sigma M)^-1`` the eigenvalues ``theta = 1 / (lambda - sigma)`` of ``F M`` are largest for ``lambda`` near
``sigma``. A shift *inside* the wanted part of the spectrum, which ``L D L^T`` allows, needs a space a quarter smaller than
one below it. The number of negative pivots of ``S - x M`` is the number of eigenvalues below ``x``: two such counts
choose the window and the shift, and certify that nothing in the window was missed, multiplicities included.
Source: Ericsson and Ruhe 1980 (spectral transformation); Grimes, Lewis and Simon 1994 (blocks, counts, slices).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..errors import ConvergenceError
from ..factor import SparseFactor, SparsePattern
from ..laplacians.operator import csr

#: Columns of a block. More share the reads of factor and space, fewer need a smaller space; measured on surfaces.
WIDTH = 8
#: Modes up to which one window takes all: its work grows as their square, so beyond, windows side by side are quicker.
MOST_AT_ONCE = 600
#: Columns that are handled at once where a whole block of vectors would double the memory.
COLUMNS = 64
Progress = Callable[[str, int, int], None]


class Pencil:
    """``S x = lambda M x`` with its inner product, and the factors of ``S - x M`` that were made.

    A diagonal mass is scaled away: vectors are then those of ``M^-1/2 S M^-1/2`` and orthonormal as they are, see :meth:`scaled`.
    """

    def __init__(self, crow: Tensor, col: Tensor, stiffness: Tensor, mass: Tensor) -> None:
        """CSR arrays, float64 on the CPU; ``mass`` is a diagonal ``(n,)`` or values on the same pattern ``(nnz,)``."""
        self.crow, self.col, self.values, self.mass = crow, col, stiffness, mass
        self.n = len(crow) - 1
        self.lumped = len(mass) == self.n
        self.root = mass.sqrt() if self.lumped else None
        self.counts: dict[float, int] = {}
        self.factorizations = 0

    @cached_property
    def pattern(self) -> SparsePattern:
        return SparsePattern(self.crow, self.col)

    @cached_property
    def matrix(self) -> Tensor:
        return csr(self.crow, self.col, self.values)

    @cached_property
    def mass_matrix(self) -> Tensor:
        return csr(self.crow, self.col, self.mass)

    @cached_property
    def scale(self) -> float:
        """The scale of the first non-zero eigenvalue: 7 / area on a regular mesh; free of outliers."""
        diagonal = self.values[self.pattern.diagonal]
        total = float(self.mass.sum())
        return float(diagonal.median()) / total or float(diagonal.max()) / total or 1.0

    @cached_property
    def mass_factor(self) -> SparseFactor:
        return self.pattern.factor(self.mass)

    def dual_norm(self, columns: Tensor) -> Tensor:
        """Norms of vectors ``S x``, ``(n, b)``, under ``M^-1``."""
        if self.lumped:
            return columns.norm(dim=0)
        return (columns * self.mass_factor.solve(columns)).sum(dim=0).clamp(min=0).sqrt()

    def shifted(self, sigma: float) -> SparseFactor:
        if self.lumped:
            values = self.values.clone()
            values[self.pattern.diagonal] -= sigma * self.mass
        else:
            values = self.values - sigma * self.mass
        self.factorizations += 1
        factor = self.pattern.factor(values)
        self.counts[sigma] = factor.negative
        return factor

    def near(self, sigma: float, room: float) -> tuple[float, SparseFactor]:
        """A factor at ``sigma`` or, where that meets an eigenvalue, up to a few shares of ``room`` beside it."""
        for share in (0.0, 0.03, -0.05, 0.11, -0.17):
            try:
                place = sigma + share * room
                return place, self.shifted(place)
            except ConvergenceError as cause:
                met = cause
        raise ConvergenceError(f"no factor of the stiffness shifted to about {sigma:.3e}: {met}") from met

    def count_below(self, x: float, room: float) -> tuple[float, int]:
        """``(x, number of eigenvalues below x)``; ``x`` may move by some share of ``room``."""
        x, factor = self.near(x, room)
        return x, factor.negative

    def scaled(self, columns: Tensor) -> Tensor:
        """Vectors ``(n, b)`` of the pencil as this class and its users hold them."""
        return columns if self.root is None else columns * self.root[:, None]

    def unscaled(self, columns: Tensor) -> Tensor:
        """The way back; in place."""
        return columns if self.root is None else columns.div_(self.root[:, None])

    def weigh(self, rows: Tensor) -> Tensor:
        """``M x`` for vectors ``(b, n)``."""
        return rows if self.lumped else (self.mass_matrix @ rows.T).T.contiguous()

    def stiffen(self, columns: Tensor) -> Tensor:
        """``S x`` for vectors ``(n, b)``."""
        if self.root is None:
            return self.matrix @ columns
        return (self.matrix @ (columns / self.root[:, None])).div_(self.root[:, None])

    def inverted(self, factor: SparseFactor, weighed: Tensor) -> Tensor:
        """``F x`` for weighed vectors ``(n, b)``."""
        if self.root is None:
            return factor.solve(weighed)
        return factor.solve(weighed * self.root[:, None]).mul_(self.root[:, None])


@dataclass(frozen=True)
class Window:
    """The eigenvalues from ``low`` (or from minus infinity) to ``high``: ``below`` lie under ``low``, ``upto`` under ``high``."""

    low: float | None
    high: float
    below: int
    upto: int


@dataclass
class Found:
    """The lowest pairs, ascending: ``vectors (n, k)``, and what they took."""

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    record: dict[str, Any] = field(default_factory=dict)


def lowest(
    pencil: Pencil,
    k: int,
    tolerance: float,
    random: torch.Generator,
    *,
    known: Found | None = None,
    guess: Tensor | None = None,
    within: Window | None = None,
    progress: Progress | None = None,
) -> Found:
    """The ``k`` lowest pairs of a connected pencil, residuals at most ``tolerance``, see :func:`refined`.

    ``known`` are lowest pairs at hand, fewer than ``k``, none missing among them: the search begins above. ``guess (n, j)`` are
    vectors that span about the wanted space. ``within`` asks for its eigenvalues alone, all ``k`` of them.
    """
    parts = [] if known is None else [known]
    window = None
    if known is not None:
        window = Window(None, just_above(known.values[-1], pencil), 0, len(known.values))
    elif within is not None and within.low is not None:
        window = Window(None, within.low, 0, within.below)
    solves = space = 0
    while (done := sum(len(part.values) for part in parts)) < k:
        last = k - done <= MOST_AT_ONCE
        share = k - done if last else MOST_AT_ONCE // 2
        if last and within is not None:
            window = Window(None if window is None else window.high, within.high, 0 if window is None else window.upto, within.upto)
        else:
            window = choose_window(pencil, window, (0 if window is None else window.upto) + share)
        edge = parts[-1].vectors[:, -2 * WIDTH :].T if parts else None
        wanted = share if last else window.upto - window.below

        def tell(settled: int, done: int = done) -> None:
            if progress is not None:
                progress("modes", done + settled, k)

        parts.append(solve_window(pencil, window, wanted, tolerance, random, edge, guess, tell))
        solves, space = solves + parts[-1].record["solves"], max(space, parts[-1].record["space"])
    values, errors = (torch.cat([getattr(part, name) for part in parts])[:k] for name in ("values", "residuals"))
    vectors = parts[0].vectors if len(parts) == 1 else torch.cat([part.vectors for part in parts], dim=1)[:, :k]
    record = {"windows": len(parts) - (known is not None), "space": space, "solves": solves, "factorizations": pencil.factorizations}
    return Found(values, vectors, errors, record)


def just_above(value: Tensor, pencil: Pencil) -> float:
    """A place above an eigenvalue by more than its error."""
    return float(value) + 1e-6 * (float(value) + pencil.scale)


def choose_window(pencil: Pencil, before: Window | None, target: int) -> Window:
    """From the end of the window before to where a few more than ``target`` eigenvalues lie below.

    A bracket on the counting function, closed by its average growth: Weyl's law makes it about linear on a surface.
    """
    low, below = (None, 0) if before is None else (before.high, before.upto)
    least, most = target + max(2, (target - below) // 32), target + max(10, (target - below) // 8)
    most = max(min(most, pencil.n), least)
    middle = (least + most) / 2
    base = under = (0.0 if low is None else low, below)
    over: tuple[float, int] | None = None
    x = base[0] + 1.8 * pencil.scale * (middle - below)  # 4 pi (j / area), the scale being about 7 / area
    for _ in range(60):
        x, count = pencil.count_below(x, abs(x - under[0]) / 4)
        if least <= count <= most or (over is not None and over[0] - under[0] < 1e-9 * over[0]):
            return Window(low, x, below, count)
        if count < least:
            under = (x, count)
        else:
            over = (x, count)
        if over is None:
            growth = (middle - below) / max(count - below, 1)
            x = base[0] + (x - base[0]) * min(8.0, 1.05 * growth)
        else:
            share = (middle - under[1]) / (over[1] - under[1])
            x = under[0] + (over[0] - under[0]) * min(0.9, max(0.1, share))
        if over is not None and over[0] < 1e-9 * pencil.scale:
            raise ConvergenceError(
                f"stiffness: wanted a positive semi-definite matrix, got {over[1]} eigenvalues below {over[0]:.1e}, about zero"
            )
    raise ConvergenceError(f"{target} eigenpairs of {pencil.n} points: {under[1]} eigenvalues lie below {under[0]:.3e}, {over} is above")


def solve_window(
    pencil: Pencil,
    window: Window,
    wanted: int,
    tolerance: float,
    random: torch.Generator,
    edge: Tensor | None,
    guess: Tensor | None,
    tell: Callable[[int], object],
) -> Found:
    """The ``wanted`` lowest pairs of a window. ``edge (j, n)``: modes under it, to which these are kept orthogonal."""
    bottom = 0.0 if window.low is None else window.low
    sigma, factor = pencil.near((bottom + window.high) / 2, (window.high - bottom) / 2)
    counts = factor.negative - window.below, window.upto - factor.negative
    limits = (0.0 if window.low is None else 1 / (window.low - sigma)), 1 / (window.high - sigma)
    lanczos = Lanczos(pencil, factor, sum(counts), random, edge, guess)
    inner, check = tolerance, max(wanted + wanted // 2, wanted + 2 * WIDTH)
    while True:
        lanczos.extend()
        if lanczos.size < check and not lanczos.full:
            continue
        theta, ritz, error = lanczos.ritz()
        inside = (theta < limits[0]) | (theta > limits[1])
        theta, ritz, error = theta[inside], ritz[:, inside], error[inside]
        complete = (int((theta < limits[0]).sum()), int((theta > limits[1]).sum())) == counts
        ascending = torch.argsort(sigma + 1 / theta)[:wanted]
        settled = error[ascending] <= inner
        tell(int(settled.sum()))
        if len(ascending) == wanted and bool(settled.all()):
            if complete or lanczos.full:
                found = refined(pencil, factor, lanczos.vectors(ritz), wanted)
                allowed = torch.clamp(rounding(pencil, found.values), min=tolerance)
                if bool((found.residuals <= allowed).all()):
                    found.record = {"space": lanczos.size, "solves": lanczos.solves + sum(counts)}
                    return found
                inner /= 10
            else:
                lanczos.widen()  # a block finds no more copies of a multiple eigenvalue than it has columns
        check = lanczos.size + max(2 * lanczos.width, lanczos.size // 16)
        if lanczos.full or lanczos.size > 8 * sum(counts) + 40 * WIDTH or inner < 1e-15:
            raise ConvergenceError(
                f"{wanted} eigenpairs of {pencil.n} points between {bottom:.3e} and {window.high:.3e}: {int(settled.sum())} converged, "
                f"{int(inside.sum())} of {sum(counts)} met, in a space of {lanczos.size}; worst relative residual "
                f"{float(error[ascending].max()) if len(ascending) else float('nan'):.1e}, wanted {inner:.0e}; look at the shape's report for "
                "degenerate faces"
            )


def refined(pencil: Pencil, factor: SparseFactor, vectors: Tensor, wanted: int) -> Found:
    """One inverse iteration, which damps what noise of high frequency the vectors ``(j, n)`` hold, and Rayleigh-Ritz on the pencil.

    Residuals are ``|S x - lambda M x|`` in the norm of ``M^-1``, relative to ``lambda`` plus the scale of the first non-zero
    eigenvalue. Works in place, a few columns at a time.
    """
    count = len(vectors)
    slices = [slice(i, i + COLUMNS) for i in range(0, count, COLUMNS)]
    for part in slices:
        vectors[part] = pencil.inverted(factor, pencil.weigh(vectors[part]).T.contiguous()).T
    gram, form = (torch.empty(count, count, dtype=torch.float64) for _ in range(2))
    for part in slices:
        gram[:, part] = vectors @ pencil.weigh(vectors[part]).T
        form[:, part] = vectors @ pencil.stiffen(vectors[part].T.contiguous())
    size = gram.diagonal().rsqrt()
    root = torch.linalg.cholesky(size[:, None] * gram * size)
    form = torch.linalg.solve_triangular(root, size[:, None] * form * size, upper=False)
    form = torch.linalg.solve_triangular(root, form.T, upper=False)
    values, turn = torch.linalg.eigh((form + form.T) / 2)
    turn = size[:, None] * torch.linalg.solve_triangular(root.T, turn[:, :wanted], upper=True)
    columns = torch.empty(pencil.n, wanted, dtype=torch.float64)
    for i in range(0, pencil.n, 1 << 14):
        columns[i : i + (1 << 14)] = vectors[:, i : i + (1 << 14)].T @ turn
    values = values[:wanted]
    return Found(values, columns, residuals(pencil, values, columns))


def residuals(pencil: Pencil, values: Tensor, columns: Tensor) -> Tensor:
    """See :func:`refined`."""
    norms = []
    for i in range(0, columns.shape[1], COLUMNS):
        x, part = columns[:, i : i + COLUMNS].contiguous(), values[i : i + COLUMNS]
        difference = pencil.stiffen(x) - (x if pencil.lumped else pencil.mass_matrix @ x) * part
        norms.append(pencil.dual_norm(difference))
    return torch.cat(norms) / (values.abs() + pencil.scale) if norms else values.new_zeros(0)


def rounding(pencil: Pencil, values: Tensor) -> Tensor:
    """Residuals that rounding in the products ``S x`` alone explains: large where tiny masses or slivers are."""
    mass = pencil.mass if pencil.lumped else pencil.mass[pencil.pattern.diagonal]
    greatest = float((pencil.values[pencil.pattern.diagonal] / mass).max())
    return 4e-15 * greatest / (values.abs() + pencil.scale)


class Lanczos:
    """Block Lanczos with full reorthogonalisation on ``F M``, in the inner product of ``M``.

    ``space (size, n)`` holds the basis by rows; ``projected`` is ``F M`` in it, block tridiagonal.
    """

    def __init__(
        self, pencil: Pencil, factor: SparseFactor, count: int, random: torch.Generator, edge: Tensor | None, guess: Tensor | None
    ) -> None:
        self.pencil, self.factor, self.random = pencil, factor, random
        edge = torch.empty(0, pencil.n, dtype=torch.float64) if edge is None else edge
        self.kept, self.size, self.solves = len(edge), 0, 0
        self.store = torch.empty(self.kept + min(pencil.n, 3 * count + 8 * WIDTH), pencil.n, dtype=torch.float64)
        self.store[: self.kept] = edge
        self.projected = torch.zeros(len(self.store), len(self.store), dtype=torch.float64)
        width = min(WIDTH, pencil.n - self.kept)
        if guess is None:
            block = torch.randn(width, pencil.n, generator=random, dtype=torch.float64)
        else:
            block = torch.randn(width, guess.shape[1], generator=random, dtype=torch.float64) @ guess.T
        self.before = 0
        self.following, self.coupling = self._orthonormal(block)

    @property
    def space(self) -> Tensor:
        return self.store[self.kept : self.kept + self.size]

    @property
    def width(self) -> int:
        return len(self.following)

    @property
    def full(self) -> bool:
        """No direction is left."""
        return self.width == 0

    def extend(self) -> None:
        """Take the following block into the space, and find the next."""
        if self.full:
            return
        before, start = self.before, self.size
        self.before, self.size = start, start + self.width
        self._make_room()
        self.space[start:] = self.following
        self.projected[start : self.size, before:start] = self.coupling[:, : start - before]
        self.projected[before:start, start : self.size] = self.coupling[:, : start - before].T
        image = self.pencil.inverted(self.factor, self.pencil.weigh(self.following).T.contiguous())
        self.solves += self.width
        weighed = image if self.pencil.lumped else self.pencil.mass_matrix @ image
        local = self.space[before:] @ weighed
        image = image.T.contiguous()
        image.addmm_(local.T, self.space[before:], alpha=-1)
        own = local[start - before :]
        self.projected[start : self.size, start : self.size] = (own + own.T) / 2
        self.following, self.coupling = self._orthonormal(image)

    def ritz(self) -> tuple[Tensor, Tensor, Tensor]:
        """``(theta, coefficients, |F M y - theta y| / |theta|)`` of the whole space."""
        theta, ritz = torch.linalg.eigh(self.projected[: self.size, : self.size])
        error = (self.coupling @ ritz[self.before :]).norm(dim=0) / theta.abs()
        return theta, ritz, error

    def vectors(self, ritz: Tensor) -> Tensor:
        """``(j, n)``."""
        return ritz.T @ self.space

    def widen(self) -> None:
        """Random columns join the following block."""
        room = self.pencil.n - self.kept - self.size - self.width
        fresh = torch.randn(min(WIDTH, room), self.pencil.n, generator=self.random, dtype=torch.float64)
        joined = torch.cat([self.space, self.following])
        for _ in range(2):
            fresh -= (joined @ self.pencil.weigh(fresh).T).T @ joined
            fresh, _ = self._orthonormal(fresh)
        self.following = torch.cat([self.following, fresh])
        self.coupling = torch.cat([self.coupling, self.coupling.new_zeros(len(fresh), self.coupling.shape[1])])

    def _make_room(self) -> None:
        if self.kept + self.size <= len(self.store):
            return
        grown = torch.empty(self.kept + self.size * 3 // 2 + 8 * WIDTH, self.pencil.n, dtype=torch.float64)
        grown[: self.kept + self.before] = self.store[: self.kept + self.before]
        projected = torch.zeros(len(grown), len(grown), dtype=torch.float64)
        projected[: self.before, : self.before] = self.projected[: self.before, : self.before]
        self.store, self.projected = grown, projected

    def _orthonormal(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """``(Q, R)`` with ``block = R^T Q`` up to the span of the space, and ``Q`` orthonormal, to the space too.

        Columns that vanish (an invariant subspace is found) are replaced by random ones with zero rows in ``R``; ``Q``
        has fewer rows than the block only where the space leaves no more room.
        """
        everyone = self.store[: self.kept + self.size]
        room = min(len(block), self.pencil.n - len(everyone))
        coupling = torch.eye(len(block), dtype=torch.float64)
        for first in (True, False):  # the second turn repairs what rounding left of the first
            if not first or self.size == 0:
                weighed = self.pencil.weigh(block)
                block = block.addmm((everyone @ weighed.T).T, everyone, alpha=-1)
            weighed = self.pencil.weigh(block)
            _, turn = torch.linalg.eigh(block @ weighed.T)
            turn = turn.flip(1)[:, :room]  # descending norms
            block = turn.T @ block
            weighed = self.pencil.weigh(block)
            norms = (block * weighed).sum(dim=1).clamp(min=0).sqrt()
            coupling = norms[:, None] * (turn.T @ coupling)
            lost = norms <= 1e-14 * (float(self.projected.abs().max()) if first else 1.0)
            block[lost] = torch.randn(int(lost.sum()), self.pencil.n, generator=self.random, dtype=torch.float64)
            block /= torch.where(lost, self.pencil.n**0.5, norms)[:, None]
        return block, coupling
