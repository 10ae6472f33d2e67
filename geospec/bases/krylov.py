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

from .. import ops
from ..errors import ConvergenceError
from ..factor import SparseFactor, SparsePattern

#: Columns of a block. More share the reads of factor and space, fewer need a smaller space; measured on surfaces.
WIDTH = 8
#: Modes up to which one window takes all: its work grows as their square, so beyond, windows side by side are quicker.
MOST_AT_ONCE = 600
#: Columns that are handled at once where a whole block of vectors would double the memory.
COLUMNS = 32
#: Points that are.
ROWS = 1 << 14
#: Residuals of a solve, in units of the matrix, above which a factor has lost too many digits; a sound one leaves 1e-14.
LOST = 1e-11
#: Smallest pivot, beside its diagonal entry, above which a factor needs no second look.
WIDE = 1e-7
#: Where else to look, in shares of the room: neither integers nor fractions, which graphs have for eigenvalues and zero pivots.
BESIDE = (0.0718, -0.1337, 0.1913, -0.2291, 0.2887)
Progress = Callable[[str, int, int], None]


def scale_of(diagonal: Tensor, mass: Tensor) -> float:
    """Of the first non-zero eigenvalue: 3.5 / area on a regular mesh; free of outliers. The mass is all that sums to the area."""
    total = float(mass.sum())
    return float(diagonal.median()) / total or float(diagonal.max()) / total or 1.0


class Pencil:
    """``S x = lambda M x`` in the coordinates that the iteration wants, and the factors of ``S - x M`` that were made.

    Points are renumbered in the order of elimination. A diagonal mass is scaled away: vectors are then those of
    ``M^-1/2 S M^-1/2`` and orthonormal as they are. :meth:`inward` and :meth:`outward` carry vectors across.
    """

    def __init__(self, crow: Tensor, col: Tensor, stiffness: Tensor, mass: Tensor, whole: float | None = None) -> None:
        """CSR arrays, float64 on the CPU; ``mass`` is a diagonal ``(n,)`` or values on the same pattern ``(nnz,)``."""
        self.n, self.lumped = len(crow) - 1, len(mass) == len(crow) - 1
        self.pattern, self.order, entries = SparsePattern.in_order(crow, col)
        self.values, self.root = stiffness[entries], None
        self.factorizations = 0
        self.probe: tuple[float, SparseFactor] | None = None
        diagonal = self.values[self.pattern.diagonal]
        if self.lumped:
            self.mass = mass[self.order]
            self.root = self.mass.sqrt()
            rows = torch.repeat_interleave(torch.arange(self.n), self.pattern.crow.diff())
            self.values = self.values / (self.root[rows] * self.root[self.pattern.col])
        else:
            self.mass = mass[entries]
        #: The scale of the first non-zero eigenvalue, which guides the search.
        self.scale = scale_of(diagonal, mass)
        #: The same of what this pencil is a component of, beside which residuals are told.
        self.whole = self.scale if whole is None else whole
        own = self.values[self.pattern.diagonal]
        #: The scale of the last eigenvalue.
        self.greatest = float((own if self.lumped else own / self.mass[self.pattern.diagonal]).max())

    @cached_property
    def _index(self) -> tuple[Tensor, Tensor]:
        narrow = torch.int32 if len(self.pattern.col) < 2**31 else torch.int64
        return self.pattern.crow.to(narrow), self.pattern.col.to(narrow)

    def stiffen(self, columns: Tensor) -> Tensor:
        """``S x`` for vectors ``(n, b)``."""
        return ops.csr_matmul(*self._index, self.values, columns)

    def weigh_columns(self, columns: Tensor) -> Tensor:
        """``M x`` for vectors ``(n, b)``."""
        return columns if self.lumped else ops.csr_matmul(*self._index, self.mass, columns)

    @cached_property
    def mass_factor(self) -> SparseFactor:
        return self.pattern.factor(self.mass)

    def shifted(self, sigma: float) -> SparseFactor:
        """The factor of ``S - sigma M``."""
        if self.lumped:
            values = self.values.clone()
            values[self.pattern.diagonal] -= sigma
        else:
            values = self.values - sigma * self.mass
        self.factorizations += 1
        return self.pattern.factor(values)

    def near(self, sigma: float, room: float) -> tuple[float, SparseFactor]:
        """A factor at ``sigma`` or, where that meets an eigenvalue, up to a few shares of ``room`` beside it."""
        for share in (0.0, 0.03, -0.05, 0.11, -0.17):
            try:
                place = sigma + share * room
                return place, self.shifted(place)
            except ConvergenceError as cause:
                met = cause
        raise ConvergenceError(f"no factor of the stiffness shifted to about {sigma:.3e}: {met}") from met

    def sound(self, sigma: float, factor: SparseFactor, closest: float) -> bool:
        """Whether a factor at ``sigma`` has its digits, and no eigenvalue lies within about ``closest`` of it; one solve shows both."""
        vector = torch.randn(1, self.n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        right = self.weigh(vector)
        image = factor.solve_rows(right)
        weighed = self.weigh(image)
        left = self.stiffen(image.T.contiguous()).T - sigma * weighed - right
        exact = bool(left.norm() <= LOST * (self.values.abs().max() * image.norm() + right.norm()))
        # A random vector has a share 1 / sqrt(n) along each mode.
        return exact and float((image * weighed).sum() / (vector * right).sum()) * closest**2 * self.n <= 1

    def steady(self, sigma: float, room: float, factor: SparseFactor | None = None) -> tuple[float, SparseFactor]:
        """A factor near ``sigma`` to iterate with (``factor`` if that one will do): neither on an eigenvalue nor short of digits.

        Spectra of integers or of products put eigenvalues right in the middle of a window, where they would drown the others; and an
        indefinite matrix may pass near a zero pivot, which costs digits. The last is taken if none will do.
        """
        place = sigma
        for share in (0.0, *BESIDE):
            if factor is None:
                place, factor = self.near(sigma + share * room, 0.1 * room)
            found, factor = factor, None
            if self.sound(place, found, 1e-6 * room):
                break
        return place, found

    def count_below(self, x: float, room: float) -> tuple[float, int]:
        """``(x, number of eigenvalues below x)``; ``x`` may move by some share of ``room``, off an eigenvalue for one."""
        return self.counted(x, room)[:2]

    def counted(self, x: float, room: float) -> tuple[float, int, bool]:
        """The same, and whether the count is beyond doubt: next to many copies of an eigenvalue no factor has its digits."""
        for share in (0.0, *BESIDE):
            place, factor = self.near(x + share * room, 0.1 * room)
            sure = factor.margin > WIDE or self.sound(place, factor, min(1e-13 * self.greatest, 1e-3 * room))
            if sure:
                break
        return place, factor.negative, sure

    def scaled(self, columns: Tensor) -> Tensor:
        """Vectors ``(n, b)`` of the pencil as this class and its users hold them."""
        return columns if self.root is None else columns * self.root[:, None]

    def unscaled(self, columns: Tensor) -> Tensor:
        """The way back; in place."""
        return columns if self.root is None else columns.div_(self.root[:, None])

    def refuse_indefinite(self) -> None:
        """Say how many eigenvalues lie below zero by more than rounding, if any do."""
        x, factor = self.near(-1e-6 * self.scale - 1e-13 * self.greatest, 1e-6 * self.scale)
        if factor.negative:
            raise ConvergenceError(
                f"stiffness: wanted a positive semi-definite matrix, got {factor.negative} eigenvalues below {x:.1e}, "
                "farther from zero than rounding explains"
            )

    def inward(self, columns: Tensor) -> Tensor:
        """Vectors ``(n, b)`` of the caller as rows ``(b, n)`` in these coordinates."""
        rows = columns[self.order].T.contiguous()
        return rows if self.root is None else rows.mul_(self.root)

    def outward(self, columns: Tensor) -> Tensor:
        """The way back, for columns ``(n, b)``, in place: no second copy of them all."""
        for part in range(0, columns.shape[1], WIDTH):
            few = columns[:, part : part + WIDTH]
            columns[self.order, part : part + WIDTH] = few.clone() if self.root is None else few / self.root[:, None]
        return columns

    def weigh(self, rows: Tensor) -> Tensor:
        """``M x`` for vectors ``(b, n)``."""
        return rows if self.lumped else self.weigh_columns(rows.T.contiguous()).T.contiguous()

    def dual_norm(self, columns: Tensor) -> Tensor:
        """Norms of vectors ``S x``, ``(n, b)``, under ``M^-1``."""
        if self.lumped:
            return columns.norm(dim=0)
        return (columns * self.mass_factor.solve(columns)).sum(dim=0).clamp(min=0).sqrt()


@dataclass(frozen=True)
class Window:
    """The eigenvalues from ``low`` (or from minus infinity) to ``high``: ``below`` lie under ``low``, ``upto`` under ``high``.

    Where a multiple eigenvalue alone separates too few from too many, ``jump`` is a place just under it and the count there:
    any of its eigenvectors will then do. ``floor`` is a place under which none of them lie, where one is known above ``low``.
    """

    low: float | None
    high: float
    below: int
    upto: int
    jump: tuple[float, int] | None = None
    floor: float | None = None

    @property
    def bottom(self) -> float:
        """Where the shift is placed from."""
        return self.floor if self.floor is not None else 0.0 if self.low is None else self.low


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

    ``known`` are lowest pairs at hand, fewer than ``k``, none missing among them: the search begins above. ``guess (j, n)`` are
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

        # What is left of residuals leaks between windows: to keep them orthogonal to each other, a few more steps for each.
        inner = tolerance / 100 if parts or not last else tolerance
        parts.append(solve_window(pencil, window, wanted, tolerance, inner, random, edge, guess, tell))
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
    least, most = min(target + max(2, (target - below) // 32), pencil.n), target + max(12, (target - below) // 6)
    most = max(min(most, pencil.n), least)
    middle = (least + most) / 2
    base = under = (0.0 if low is None else low, below)
    over: tuple[float, int] | None = None
    sound = False  # whether the stiffness is known to be semi-definite
    span = 3.6 * pencil.scale * (middle - below)  # 4 pi j / area, the scale being 3.5 / area on a regular mesh
    # The first look is from where the shift would be, so that its factor serves the iteration too.
    pencil.probe = pencil.near(base[0] + span / 2, span / 2)
    x, count = pencil.probe[0], pencil.probe[1].negative
    x = base[0] + (x - base[0]) * min(8.0, max(0.1, (middle - below) / max(count - below, 1)))
    gap = float("inf")  # of the bracket before
    floor: float | None = None
    for _ in range(100):
        x, count, sure = pencil.counted(x, min(abs(x - under[0]), abs(x - over[0]) if over else float("inf")) / 4)
        if not sure and over is not None and over[0] - under[0] < 1e-6 * (over[0] + pencil.scale):
            break
        if least <= count <= most:
            return Window(low, x, below, count, floor=floor)
        if count <= below:
            floor = x
        if count < least:
            under = (x, count)
        else:
            over = (x, count)
        if over is not None and over[0] - under[0] < 1e-8 * (over[0] + pencil.scale):
            break
        if over is None:
            growth = (middle - below) / max(count - below, 1)
            x = base[0] + (x - base[0]) * min(8.0, 1.05 * growth)
        else:
            share = (middle - under[1]) / (over[1] - under[1])
            # Where the count jumps, only one end would move, a tenth at a time.
            halve, gap = over[0] - under[0] > gap / 2, over[0] - under[0]
            x = under[0] + gap * (0.5 if halve else min(0.9, max(0.1, share)))
        if low is None and over is not None and over[1] > 2 * most and not sound:
            pencil.refuse_indefinite()
            sound = True
    if over is not None and over[0] - under[0] < 1e-6 * (over[0] + pencil.scale):
        # Nothing lies under the base, whatever rounding makes of a multiple zero.
        jump = under if under[1] > below else (-float("inf"), below)
        return Window(low, over[0], below, over[1], jump, None if floor == under[0] else floor)
    raise ConvergenceError(f"{target} eigenpairs of {pencil.n} points: {under[1]} eigenvalues lie below {under[0]:.3e}, {over} is above")


def solve_window(
    pencil: Pencil,
    window: Window,
    wanted: int,
    tolerance: float,
    inner: float,
    random: torch.Generator,
    edge: Tensor | None,
    guess: Tensor | None,
    tell: Callable[[int], object],
) -> Found:
    """The ``wanted`` lowest pairs of a window, iterated down to ``inner``, orthogonal to ``edge (j, n)``: modes under it."""
    bottom = window.bottom
    half = (window.high - bottom) / 2
    sigma, factor = pencil.probe or (window.high, None)
    if factor is None or abs(sigma - bottom - half) > 0.3 * half:
        sigma, factor = bottom + half, None
    sigma, factor = pencil.steady(sigma, half, factor)
    pencil.probe = None
    counts = factor.negative - window.below, window.upto - factor.negative
    limits = (0.0 if window.low is None else 1 / (window.low - sigma)), 1 / (window.high - sigma)
    # Of the copies of an eigenvalue at the end, no more are met than are wanted.
    expected = sum(counts) if window.jump is None else min(sum(counts), 2 * wanted)
    lanczos = Lanczos(pencil, factor, expected, random, edge, guess)
    check = max(wanted + wanted // 2, wanted + 2 * WIDTH)
    while True:
        lanczos.extend()
        if lanczos.size < check and not lanczos.full:
            continue
        theta, ritz, error = lanczos.ritz()
        inside = (theta < limits[0]) | (theta > limits[1])
        theta, ritz, error = theta[inside], ritz[:, inside], error[inside]
        complete = (int((theta < limits[0]).sum()), int((theta > limits[1]).sum())) == counts
        values = sigma + 1 / theta
        if window.jump is not None and not complete:
            complete = int((values < window.jump[0]).sum()) == window.jump[1] - window.below
        ascending = torch.argsort(values)[:wanted]
        # What is left of the residual after one more inverse iteration lies near the end of the window, where S multiplies it by that.
        error = error * (window.high - sigma) / (values.abs() + pencil.whole)
        settled = error[ascending] <= inner
        tell(int(settled.sum()))
        if len(ascending) == wanted and bool(settled.all()):
            if complete or lanczos.full:
                record = {"space": lanczos.size, "solves": lanczos.solves}
                found = refined(pencil, factor, lanczos.into_vectors(ritz), wanted)
                record["solves"] += ritz.shape[1] + polish(pencil, sigma, factor, found, tolerance)
                if bool((found.residuals <= torch.clamp(rounding(pencil, found.values), min=tolerance)).all()):
                    found.record = record
                    return found
                inner /= 100
                if inner >= 1e-15:
                    lanczos = Lanczos(pencil, factor, expected, random, edge, None, record["solves"])
                    continue
            else:
                lanczos.widen()  # a block finds no more copies of a multiple eigenvalue than it has columns
        check = lanczos.size + max(2 * lanczos.width, lanczos.size // 16)
        if lanczos.full or lanczos.size > 8 * sum(counts) + 40 * WIDTH or inner < 1e-15:
            raise ConvergenceError(
                f"{wanted} eigenpairs of {pencil.n} points between {bottom:.3e} and {window.high:.3e}: {int(settled.sum())} converged and "
                f"{int(inside.sum())} of {sum(counts)} met in a space of {lanczos.size}; worst relative residual "
                f"{float(error[ascending].max()) if len(ascending) else float('nan'):.1e}, wanted {inner:.0e}; look at the shape's report "
                "for degenerate faces"
            )


def refined(pencil: Pencil, factor: SparseFactor, vectors: Tensor, wanted: int) -> Found:
    """One inverse iteration, which damps what noise of high frequency the vectors ``(j, n)`` hold, and Rayleigh-Ritz on the pencil.

    Residuals are ``|S x - lambda M x|`` in the norm of ``M^-1``, relative to ``lambda`` plus the scale of the first non-zero
    eigenvalue. Works in place, a few columns at a time.
    """
    count = len(vectors)
    slices = [slice(i, i + COLUMNS) for i in range(0, count, COLUMNS)]
    for part in slices:
        vectors[part] = factor.solve_rows(pencil.weigh(vectors[part]))
    gram, form = (torch.empty(count, count, dtype=torch.float64) for _ in range(2))
    for part in slices:
        columns = vectors[part].T.contiguous()
        gram[part.start :, part] = vectors[part.start :] @ pencil.weigh_columns(columns)
        form[part.start :, part] = vectors[part.start :] @ pencil.stiffen(columns)
    form = form.tril() + form.tril(-1).T  # the halves above were not computed
    gram = gram.tril() + gram.tril(-1).T
    size = gram.diagonal().rsqrt()
    root = torch.linalg.cholesky(size[:, None] * gram * size)
    form = torch.linalg.solve_triangular(root, size[:, None] * form * size, upper=False)
    form = torch.linalg.solve_triangular(root, form.T, upper=False)
    values, turn = torch.linalg.eigh((form + form.T) / 2)
    turn = size[:, None] * torch.linalg.solve_triangular(root.T, turn[:, :wanted], upper=True)
    columns = torch.empty(pencil.n, wanted, dtype=torch.float64)
    for i in range(0, pencil.n, ROWS):
        columns[i : i + ROWS] = vectors[:, i : i + ROWS].T @ turn
    values = values[:wanted]
    return Found(values, columns, residuals(pencil, values, columns))


def polish(pencil: Pencil, sigma: float, factor: SparseFactor, found: Found, tolerance: float) -> int:
    """Inverse iteration with one step of iterative refinement for the few pairs above ``tolerance``; returns the solves.

    The factor of an indefinite matrix leaves some hundred rounding units of noise. Where the vector is smooth and its
    eigenvalue zero, that is what its residual is made of.
    """
    above = (found.residuals > tolerance).nonzero()[:, 0]
    if len(above) == 0:
        return 0
    columns = found.vectors[:, above].contiguous()
    weighed = pencil.weigh_columns(columns)
    image = factor.solve(weighed)
    image += factor.solve(weighed - pencil.stiffen(image) + sigma * pencil.weigh_columns(image))
    # What the solves magnified most are the modes next to the shift.
    inside = found.vectors.T @ pencil.weigh_columns(image)
    inside[above, torch.arange(len(above))] = 0
    image -= found.vectors @ inside
    norms = (image * pencil.weigh_columns(image)).sum(dim=0).sqrt()
    columns = image / (norms * torch.sign((image * weighed).sum(dim=0)))
    errors = residuals(pencil, found.values[above], columns)
    better = errors < found.residuals[above]
    found.vectors[:, above[better]] = columns[:, better]
    found.residuals[above[better]] = errors[better]
    return 2 * len(above)


def residuals(pencil: Pencil, values: Tensor, columns: Tensor) -> Tensor:
    """See :func:`refined`."""
    norms = []
    for i in range(0, columns.shape[1], WIDTH):
        x, part = columns[:, i : i + WIDTH].contiguous(), values[i : i + WIDTH]
        norms.append(pencil.dual_norm(pencil.stiffen(x).addcmul_(pencil.weigh_columns(x), part, value=-1)))
    return torch.cat(norms) / (values.abs() + pencil.whole) if norms else values.new_zeros(0)


def rounding(pencil: Pencil, values: Tensor) -> Tensor:
    """Residuals that rounding in the products ``S x`` alone explains: large where tiny masses or slivers are."""
    return 4e-15 * pencil.greatest / (values.abs() + pencil.whole)


class Lanczos:
    """Block Lanczos with full reorthogonalisation on ``F M``, in the inner product of ``M``.

    ``space (size, n)`` holds the basis by rows; ``projected`` is ``F M`` in it, block tridiagonal.
    """

    def __init__(
        self,
        pencil: Pencil,
        factor: SparseFactor,
        count: int,
        random: torch.Generator,
        edge: Tensor | None,
        guess: Tensor | None,
        solves: int = 0,
    ) -> None:
        self.pencil, self.factor, self.random = pencil, factor, random
        edge = torch.empty(0, pencil.n, dtype=torch.float64) if edge is None else edge
        self.kept, self.size, self.solves = len(edge), 0, solves
        self.store = torch.empty(self.kept + min(pencil.n, 3 * count + 8 * WIDTH), pencil.n, dtype=torch.float64)
        self.store[: self.kept] = edge
        self.projected = torch.zeros(len(self.store), len(self.store), dtype=torch.float64)
        width = min(WIDTH, pencil.n - self.kept)
        if guess is None:
            block = torch.randn(width, pencil.n, generator=random, dtype=torch.float64)
        else:
            # Some noise, without which a guess that is right already would leave nothing to iterate on.
            mixed = torch.randn(width, len(guess), generator=random, dtype=torch.float64) @ guess
            noise = torch.randn(width, pencil.n, generator=random, dtype=torch.float64)
            block = mixed / mixed.norm(dim=1, keepdim=True) + 1e-3 * noise / noise.norm(dim=1, keepdim=True)
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
        image = self.factor.solve_rows(self.pencil.weigh(self.following))
        self.solves += self.width
        local = self.space[before:] @ self.pencil.weigh(image).T
        image.addmm_(local.T, self.space[before:], alpha=-1)
        own = local[start - before :]
        self.projected[start : self.size, start : self.size] = (own + own.T) / 2
        self.following, self.coupling = self._orthonormal(image)

    def ritz(self) -> tuple[Tensor, Tensor, Tensor]:
        """``(theta, coefficients, |F M y - theta y| / |theta|)`` of the whole space."""
        theta, ritz = torch.linalg.eigh(self.projected[: self.size, : self.size])
        error = (self.coupling @ ritz[self.before :]).norm(dim=0) / theta.abs()
        return theta, ritz, error

    def into_vectors(self, ritz: Tensor) -> Tensor:
        """``(j, n)``, written over the space, which is lost: the basis and the vectors together would be the peak of memory."""
        found = self.store[: ritz.shape[1]]
        for i in range(0, self.pencil.n, ROWS):
            found[:, i : i + ROWS] = ritz.T @ self.space[:, i : i + ROWS]
        return found

    def widen(self) -> None:
        """Random columns join the following block."""
        room = self.pencil.n - self.kept - self.size - self.width
        fresh = torch.randn(min(WIDTH, room), self.pencil.n, generator=self.random, dtype=torch.float64)
        for _ in range(2):
            fresh -= (self.following @ self.pencil.weigh(fresh).T).T @ self.following
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

        Rows that vanish (an invariant subspace is found) are replaced by random ones with zero rows in ``R``; ``Q``
        has fewer rows than the block only where the space leaves no more room.
        """
        room = min(len(block), self.pencil.n - self.kept - self.size)
        block, coupling = self._normalised(block, room)
        for _ in range(3):
            removed = self._project(block)
            gram = block @ self.pencil.weigh(block).T
            if removed < 1e-3 and torch.allclose(gram, torch.eye(len(gram), dtype=gram.dtype), rtol=0, atol=1e-10):
                break
            block, turn = self._normalised(block, room)
            coupling = turn @ coupling
        return block, coupling

    def _normalised(self, block: Tensor, room: int) -> tuple[Tensor, Tensor]:
        """The principal directions of a block, at most ``room``, as orthonormal rows ``Q``, and ``R`` with ``block = R^T Q``."""
        square, turn = torch.linalg.eigh(block @ self.pencil.weigh(block).T)
        square, turn = square.flip(0)[:room], turn.flip(1)[:, :room]  # descending norms
        norms = square.clamp(min=0).sqrt()
        if room == 0 or float(square[-1]) > 1e-12 * float(square[0]):
            return (turn / norms).T @ block, norms[:, None] * turn.T
        # The Gram matrix does not tell the short ones from rounding: measure them.
        block = turn.T @ block
        norms = (block * self.pencil.weigh(block)).sum(dim=1).clamp(min=0).sqrt()
        lost = norms <= 1e-14 * max(float(self.projected.abs().max()), float(norms[0]))
        block[lost] = torch.randn(int(lost.sum()), self.pencil.n, generator=self.random, dtype=torch.float64)
        own = (block[lost] * self.pencil.weigh(block[lost])).sum(dim=1).sqrt()
        block /= norms.clone().masked_scatter_(lost, own)[:, None]
        return block, norms.masked_fill(lost, 0)[:, None] * turn.T

    def _project(self, block: Tensor) -> float:
        """Take what lies in the space out of a block, in place; returns the greatest coefficient."""
        space = self.store[: self.kept + self.size]
        inside = space @ self.pencil.weigh(block).T
        block.addmm_(inside.T, space, alpha=-1)
        return float(inside.abs().max()) if inside.numel() else 0.0
