"""The smallest eigenpairs of ``S phi = lambda M phi`` without a factorisation: block Krylov iteration on a polynomial.

With ``D = M^(1/2)`` and ``A = D^-1 S D^-1``, a Chebyshev polynomial ``p`` maps the unwanted eigenvalues of ``A`` into ``[-1, 1]`` and
the wanted ones to numbers that grow towards zero, up to ``cosh(GROWTH)``. Block Lanczos with full reorthogonalisation then finds
the largest eigenvalues of ``p(A)``, in a space of about ``3 k``. All work on vectors is sparse products with blocks and dense
products, so it runs where the matrix lies, a GPU first of all; only matrices as small as the space go through the host.

Choice of the method, by the products with one vector that 128 modes of a mesh of 10,242 vertices need (ratio of the largest
eigenvalue to the last wanted one 115, residual 1e-8): this one 7,600, block Chebyshev-Davidson 9,800, Chebyshev-filtered subspace
iteration 39,000. The products grow as ``k`` times the square root of that ratio, which for a mesh grows with ``n / k``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ConvergenceError, problem

#: Logarithm of the filter's growth at zero. More means fewer, longer blocks: fewer dense products, more sparse ones.
GROWTH = 5.0
#: The filter lifts as many eigenvalues as are wanted times this: those between are its slope.
SLOPE = 1.8
#: Columns of a block, of the estimate of the density, and of the search for copies that were missed.
BLOCK, SAMPLES, PROBES = 16, 8, 8
#: Longest recurrence that is tried. It is reached where the largest eigenvalue is some 2e6 times the last wanted one.
DEEPEST = 4096
#: Rounding leaves a residual of about this times the largest eigenvalue: a product's error, with room for its many terms.
ROUNDING = 16 * torch.finfo(torch.float64).eps


def chebyshev_eigenpairs(
    stiffness: Tensor,
    mass: Tensor,
    k: int,
    *,
    tolerance: float = 1e-8,
    start: Tensor | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor, Tensor, dict[str, Any]]:
    """The ``k`` smallest eigenpairs, with multiplicity, of a positive semi-definite pencil, on the matrix's device.

    Parameters
    ----------
    stiffness : sparse CSR tensor (n, n), symmetric positive semi-definite, float32 or float64 (computed in float64;
        rows of a float32 matrix that sum to zero up to its rounding are made to do so exactly).
    mass : (n,) positive diagonal.
    k : between 1 and n.
    tolerance : largest accepted residual, at least what rounding allows (below).
    start : (n, s) approximate modes of any number, or exact ones of which more are wanted: those that meet the tolerance are
        kept as they are, mixtures of the others begin the iteration. Good to five digits they save a quarter of the products, good
        to eight a half; what is no good costs nothing but one product each.
    seed : of the random vectors. The same seed on the same device gives the same result.
    progress : called with the number of modes that have converged and ``k``, at each check.

    Returns
    -------
    values (k,) ascending, non-negative; vectors (n, k) with ``vectors^T M vectors = I``; residuals (k,):
    ``|S phi - lambda M phi|`` in the norm of ``M^-1``, relative to ``lambda`` plus the scale of the first non-zero
    eigenvalue; all float64. A record of the work: ``products`` (with one vector, all told), ``products_estimate`` (of them, to
    learn the density of the spectrum), ``degree``, ``cut`` (where the filter begins), ``bound`` (of the spectrum), ``space``
    (largest dimension), ``blocks``, ``restarts``, ``started`` (modes taken from ``start``), ``null`` (constants of components),
    ``components``.

    Raises
    ------
    ArgumentError : wrong shape, type or range; values that are not finite; masses that are not positive.
    ConvergenceError : the spectrum is so wide that the polynomial would need a degree above 4,096 (slivers; the factorising
        solver does not mind them), or residuals stay above ``max(tolerance, rounding)``, where rounding in the products
        explains ``4e-15 bound / (lambda + scale)``. Modes that have not converged are never returned.

    Notes
    -----
    Constants on connected components are taken as they are where the matrix maps them to zero. Copies of an eigenvalue
    beyond the width of a block (16) are looked for with fresh random vectors, in the complement of what was found.
    Cost: ``c k sqrt(bound / lambda_k)`` products of one vector, ``c`` about 6, and ``O(n k^2)``; memory about ``32 n k`` bytes.
    Prediction for one H100 (3.3 TB/s, 200k vertices, 128 modes, bound / lambda_k = 1e4): 77k products of 27 n bytes and as
    much again from the second-level cache, 0.2 s; 0.2 Tflop of dense products, 0.01 s; small matrices on the host 0.1 s.
    Source: Zhou and Saad 2007 (filter); Li, Xi, Vecharynski, Yang and Saad 2016 (filtered Lanczos).
    """
    _check(stiffness, mass, k, tolerance, start)
    operator = _Operator(stiffness.detach(), mass.detach().double(), seed)
    root = operator.root[:, None]
    if operator.n <= 400 or (k > operator.n // 5 and operator.n <= 8192):
        found = operator.dense(k)
        operator.record |= {"degree": 0, "cut": 0.0, "bound": operator.bound, "space": operator.n, "null": 0, "started": 0}
        operator.record["components"] = int(operator.components().max()) + 1
    else:
        found = _Search(operator, k, tolerance, progress).run(None if start is None else start.detach().double() * root)
    return found.values, found.rows.T / root, found.residuals, operator.record


def _check(stiffness: Tensor, mass: Tensor, k: int, tolerance: float, start: Tensor | None) -> None:
    if not isinstance(stiffness, Tensor) or stiffness.layout != torch.sparse_csr:
        raise ArgumentError(problem("stiffness", "a torch CSR tensor", getattr(stiffness, "layout", type(stiffness).__name__)))
    n = stiffness.shape[0]
    if stiffness.shape != (n, n) or n == 0:
        raise ArgumentError(problem("stiffness", "shape (n, n), n > 0", tuple(stiffness.shape)))
    if mass.shape != (n,):
        raise ArgumentError(problem("mass", f"shape ({n},)", tuple(mass.shape)))
    for name, value in (("stiffness", stiffness.values()), ("mass", mass), ("start", start)):
        if value is None:
            continue
        if value.dtype not in (torch.float32, torch.float64):
            raise ArgumentError(problem(name, "float32 or float64", value.dtype))
        if value.device != stiffness.device:
            raise ArgumentError(problem(name, f"the device of stiffness, {stiffness.device}", value.device))
        if not bool(torch.isfinite(value).all()):
            raise ArgumentError(problem(name, "finite values", f"{int((~torch.isfinite(value)).sum())} that are not"))
    if not bool((mass > 0).all()):
        raise ArgumentError(problem("mass", "positive values", f"{int((mass <= 0).sum())} that are not"))
    if start is not None and (start.dim() != 2 or start.shape[0] != n):
        raise ArgumentError(problem("start", f"shape ({n}, s)", tuple(start.shape)))
    if not 1 <= k <= n:
        raise ArgumentError(problem("k", f"between 1 and {n}", k))
    if not tolerance > 0:
        raise ArgumentError(problem("tolerance", "a positive number", tolerance))


class _Pairs:
    """Eigenpairs of ``A``: values (k,) ascending, rows (k, n) orthonormal, residuals (k,)."""

    def __init__(self, values: Tensor, rows: Tensor, residuals: Tensor) -> None:
        self.values, self.rows, self.residuals = values, rows, residuals

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, chosen: Any) -> _Pairs:
        return _Pairs(self.values[chosen], self.rows[chosen], self.residuals[chosen])

    def merged(self, other: _Pairs) -> _Pairs:
        values = torch.cat([self.values, other.values])
        order = torch.argsort(values, stable=True)
        return _Pairs(values[order], torch.cat([self.rows, other.rows])[order], torch.cat([self.residuals, other.residuals])[order])


class _Operator:
    """``A`` and what is done with it; ``record`` counts its products."""

    def __init__(self, stiffness: Tensor, mass: Tensor, seed: int) -> None:
        self.n = len(mass)
        self.root = mass.sqrt()
        crow, col, values = stiffness.crow_indices(), stiffness.col_indices(), stiffness.values().double()
        row = torch.repeat_interleave(torch.arange(self.n, device=col.device), crow.diff())
        diagonal = torch.zeros_like(mass).index_add_(0, row, values * (row == col))
        median = float(diagonal.median())
        self.scale = (median if median > 0 else float(diagonal.max())) / float(mass.sum()) or 1.0
        narrow = torch.int32 if max(len(col), self.n) < 2**31 else torch.int64
        self.row = row.to(narrow)
        self.crow, self.col = crow.to(narrow), col.to(narrow)
        if stiffness.dtype == torch.float32:
            # Rows that sum to zero in float32 only can sink the zero eigenvalue below zero: the diagonal is taken anew.
            excess, size = (torch.zeros_like(mass).index_add_(0, row, part) for part in (values, values.abs()))
            excess = torch.where(excess.abs() <= 1e-5 * size, excess, 0.0)
            on = row == col
            values = values - excess[row] * on / torch.zeros_like(mass).index_add_(0, row, on.double())[row].clamp(min=1)
        self.values = values / (self.root[row] * self.root[col])
        self.bound = math.inf
        self.random = torch.Generator(mass.device).manual_seed(seed)
        self.record: dict[str, Any] = {"products": 0, "products_estimate": 0, "blocks": 0, "restarts": 0}

    def apply(self, x: Tensor) -> Tensor:
        self.record["products"] += x.shape[1]
        return ops.csr_matmul(self.crow, self.col, self.values, x)

    def filtered(self, x: Tensor, degree: int, cut: float, bound: float) -> Tensor:
        self.record["products"] += degree * x.shape[1]
        return ops.chebyshev_filter(self.crow, self.col, self.values, x, degree, cut, bound)

    def normal(self, columns: int) -> Tensor:
        return torch.randn(self.n, columns, generator=self.random, dtype=torch.float64, device=self.root.device)

    def dense(self, k: int) -> _Pairs:
        matrix = torch.zeros(self.n, self.n, dtype=torch.float64, device=self.root.device)
        matrix.index_put_((self.row.long(), self.col.long()), self.values, accumulate=True)
        values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
        self.bound = float(values[-1])
        values, vectors = self._not_negative(values[:k]), vectors[:, :k]
        difference = matrix @ vectors - vectors * values
        return _Pairs(values, vectors.T.contiguous(), difference.norm(dim=0) / (values + self.scale))

    def _not_negative(self, values: Tensor) -> Tensor:
        """What rounding leaves below zero becomes zero; more than that is refused."""
        if float(values[0]) < -1e-12 * self.bound:
            raise ConvergenceError(
                f"eigenpairs of {self.n} points: the matrix is not positive semi-definite, an eigenvalue is below {float(values[0]):.1e}"
            )
        return values.clamp(min=0)

    def gershgorin(self) -> float:
        """A bound of the spectrum that always holds: the largest sum of magnitudes in a row of ``A``, or of ``M^-1 S``."""
        row, col = self.row.long(), self.col.long()
        sums = [
            torch.zeros_like(self.root).index_add_(0, row, magnitude).max()
            for magnitude in (self.values.abs(), self.values.abs() * self.root[col] / self.root[row])
        ]
        return float(torch.stack(sums).min())

    def upper_bound(self, steps: int = 16) -> float:
        """A tighter one that nearly always holds: Lanczos, its largest value plus its residual (Zhou and Li 2011)."""
        basis = torch.empty(steps + 1, self.n, dtype=torch.float64, device=self.root.device)
        vector = self.normal(1)[:, 0]
        basis[0] = vector / vector.norm()
        projected = torch.zeros(steps + 1, steps + 1, dtype=torch.float64, device=self.root.device)
        for j in range(steps):
            image = self.apply(basis[j][:, None])[:, 0]
            for _ in range(2):
                part = basis[: j + 1] @ image
                image = image - basis[: j + 1].T @ part
                projected[: j + 1, j] += part
            projected[j + 1, j] = image.norm()
            basis[j + 1] = image / projected[j + 1, j].clamp(min=1e-300)
        projected = projected.cpu()
        inner = projected[:steps, :steps]
        values, vectors = torch.linalg.eigh((inner + inner.T) / 2)
        return float(values[-1] + projected[steps, steps - 1] * vectors[-1].abs().max())

    def ritz(self, rows: Tensor) -> _Pairs:
        """Rayleigh-Ritz of ``A`` on the span of rows that are independent."""
        image = self.apply(rows.T.contiguous()).T
        gram, inner = (rows @ rows.T).cpu(), (rows @ image.T).cpu()
        factor = torch.linalg.cholesky((gram + gram.T) / 2)
        inner = torch.linalg.solve_triangular(factor, (inner + inner.T) / 2, upper=False)
        inner = torch.linalg.solve_triangular(factor, inner.T, upper=False)
        values, vectors = torch.linalg.eigh((inner + inner.T) / 2)
        mix = torch.linalg.solve_triangular(factor.T, vectors, upper=True).T.to(rows.device)
        values = self._not_negative(values).to(rows.device)
        rows, image = mix @ rows, mix @ image
        return _Pairs(values, rows, (image - values[:, None] * rows).norm(dim=1) / (values + self.scale))

    def components(self) -> Tensor:
        """Label (n,) of the component of each point: the smallest index spreads along entries that are not zero."""
        linked = self.values != 0
        row, col = self.row.long()[linked], self.col.long()[linked]
        label = torch.arange(self.n, device=row.device)
        while True:
            spread = label.scatter_reduce(0, row, label[col], "amin")
            spread = spread.scatter_reduce(0, label, spread, "amin")  # the old representative hears of the new one
            spread = spread[spread]
            if torch.equal(spread, label):
                return torch.unique(label, return_inverse=True)[1]
            label = spread


class _Search:
    """One solve: where the filter begins, the iteration, and the look for what it missed."""

    def __init__(self, operator: _Operator, k: int, tolerance: float, progress: Callable[[int, int], None] | None) -> None:
        self.operator, self.k, self.tolerance = operator, k, tolerance
        self.progress = progress or (lambda converged, wanted: None)
        self.certain = operator.gershgorin()
        self.bound = min(self.certain, 1.01 * operator.upper_bound()) if self.certain > 0 else 1.0
        operator.bound = self.certain
        self.cut, self.degree = 0.0, 0

    def run(self, start: Tensor | None) -> _Pairs:
        record = self.operator.record
        found = self._null()
        record |= {"null": len(found), "started": 0, "space": len(found), "degree": 0, "cut": 0.0, "bound": self.bound}
        block = None
        if start is not None and start.shape[1]:
            found, block = self._begin(start, found)
        missing = max(self.k - len(found), 0)
        if not self.cut and len(found) < self.k:
            self._place(self._cut_by_density(found))
        if not self.cut:  # all wanted ones are zeros of components
            return found[: self.k]
        while True:
            while missing:
                pairs, block = self._iterate(found, block, missing)
                found, missing = found.merged(pairs), missing - len(pairs)
            block, missing = self._missed(found)
            if not missing:
                record |= {"degree": self.degree, "cut": self.cut, "bound": self.bound}
                return found[: self.k]

    def _accepted(self, values: Tensor) -> Tensor:
        """The largest residual that counts as converged, for each value."""
        return (ROUNDING * self.bound / (values + self.operator.scale)).clamp(min=self.tolerance)

    def _place(self, cut: float) -> None:
        """Begin the filter at ``cut``, with the degree that grows enough at zero."""
        self.cut = min(cut, 0.9 * self.bound)
        self.degree = max(2, math.ceil(GROWTH / math.acosh((self.bound + self.cut) / (self.bound - self.cut)))) if cut > 0 else DEEPEST + 1
        self._refuse_beyond(self.degree)

    def _refuse_beyond(self, degree: int) -> None:
        if degree > DEEPEST:
            mass = self.operator.root.square()
            raise ConvergenceError(
                f"{self.k} eigenpairs of {self.operator.n} points: the spectrum reaches to {self.bound:.1e}, over "
                f"{self.bound / self._finest():.0e} times the wanted part, and a polynomial of degree {DEEPEST} does not tell them apart "
                f"(masses from {float(mass.min()):.1e} to {float(mass.max()):.1e}); use the factorising solver, or mend the slivers"
            )

    def _finest(self) -> float:
        """The least eigenvalue at which the filter can begin."""
        return self.bound * math.tanh(GROWTH / (2 * DEEPEST)) ** 2

    def _filtered(self, x: Tensor) -> Tensor:
        return self.operator.filtered(x, self.degree, self.cut, self.bound)

    def _null(self) -> _Pairs:
        """Constants on components, larger ones first, as far as the matrix maps them to zero; at most ``k``."""
        operator = self.operator
        label = operator.components()
        operator.record["components"] = int(label.max()) + 1
        mass = torch.zeros(int(label.max()) + 1, dtype=torch.float64, device=label.device).index_add_(0, label, operator.root.square())
        largest = torch.argsort(mass, descending=True, stable=True)[: self.k]
        rows = torch.where(label == largest[:, None], operator.root / mass[largest].sqrt()[:, None], 0.0)
        image = operator.apply(rows.T.contiguous()).T
        residuals = image.norm(dim=1) / operator.scale
        values = torch.zeros_like(residuals)
        zero = residuals <= self._accepted(values)
        return _Pairs(values[zero], rows[zero], residuals[zero])

    def _begin(self, start: Tensor, found: _Pairs) -> tuple[_Pairs, Tensor | None]:
        """Keep of the given vectors what has converged; the others are the first block."""
        columns, _ = self._orthonormal(start, found.rows)
        pairs = self.operator.ritz(columns.T.contiguous())
        good = pairs.residuals <= self._accepted(pairs.values)
        self.operator.record["started"] = int(good.sum())
        every = found.merged(pairs)
        if len(every) >= self.k and float(every.residuals[self.k - 1]) < 0.1:
            self._place(SLOPE * float(every.values[self.k - 1]))
        rest = pairs[~good]
        found = found.merged(pairs[good])
        rest = rest[: max(self.k - len(found), 0)]
        return found, rest.rows.T if len(rest) else None

    def _block(self, given: Tensor | None) -> Tensor:
        """A first block as wide as any: random vectors, or random mixtures of given ones.

        Mixtures lie as close to the wanted space as what they mix, and a narrow block needs fewer products to fill that space
        than a wide one: a start that is no good then costs no more than none.
        """
        if given is None:
            return self.operator.normal(BLOCK)
        if given.shape[1] <= BLOCK:
            return torch.cat([given, self.operator.normal(BLOCK - given.shape[1])], dim=1)
        mix = torch.randn(given.shape[1], BLOCK, generator=self.operator.random, dtype=torch.float64, device=given.device)
        return given @ mix

    def _cut_by_density(self, found: _Pairs) -> float:
        """The value below which there are about ``SLOPE k`` eigenvalues, by the kernel polynomial method.

        Traces of Chebyshev polynomials of ``A``, estimated with random vectors and damped after Jackson, give the number of
        eigenvalues below any value; the recurrence runs until it resolves the wanted one.
        """
        operator = self.operator
        free = operator.n - len(found)
        target = min(SLOPE * self.k + BLOCK / 2 - len(found), 0.9 * free)
        before = operator.normal(SAMPLES)
        before -= found.rows.T @ (found.rows @ before)
        now = before - (2 / self.bound) * operator.apply(before)
        size = before.square().sum()
        dots, steps, until = [size, (before * now).sum()], 1, 16
        while True:
            while steps < until:
                following = operator.apply(now).mul_(-4 / self.bound).add_(now, alpha=2).sub_(before)
                before, now = now, following
                dots += [before.square().sum(), (before * now).sum()]
                steps += 1
            moments = torch.stack(dots).cpu()
            if not bool(moments.abs().max() <= 1.001 * moments[0]):  # it grows: the bound does not hold
                if self.bound >= self.certain:
                    raise ConvergenceError(f"{self.k} eigenpairs of {operator.n} points: the matrix is not positive semi-definite")
                self.bound = self.certain
                return self._cut_by_density(found)
            moments[2:] = 2 * moments[2:] - moments[:2].repeat(len(moments) // 2 - 1)
            angle = _angle_of_count(moments * (free / moments[0]), target)
            operator.record["products_estimate"] = operator.record["products"]
            if angle * len(moments) >= 3 * math.pi:
                return self.bound * (1 - math.cos(angle)) / 2
            self._refuse_beyond(2 * until)
            until *= 2

    def _iterate(self, found: _Pairs, block: Tensor | None, wanted: int) -> tuple[_Pairs, Tensor | None]:
        """Block Lanczos on the filtered operator, in the complement of what was found.

        Returns the first ``wanted`` eigenpairs; or, where the space is full, those of them that converged and a block to go
        on with, after the filter has moved to where it now seems right.
        """
        operator, held = self.operator, len(found)
        given, block = block is not None, self._block(block)
        width = block.shape[1]
        limit = min(operator.n - held, 6 * wanted + 16 * width)
        space = torch.empty(held + limit + width, operator.n, dtype=torch.float64, device=block.device)
        space[:held] = found.rows
        projected = torch.zeros(limit, limit, dtype=torch.float64)
        following, coupling = self._orthonormal(block, space[:held])
        before = start = stop = 0
        check, target = wanted + width if given else int(2.2 * wanted) + 2 * width, 0.3 * self.tolerance
        while True:
            before, start, stop = start, stop, stop + following.shape[1]
            space[held + start : held + stop] = following.T
            projected[start:stop, before:start] = coupling[:, : start - before]
            projected[before:start, start:stop] = coupling[:, : start - before].T
            image = self._filtered(following)
            operator.record["blocks"] += 1
            nearby = space[held + before : held + stop]
            local = nearby @ image
            image.addmm_(nearby.T, local, alpha=-1)
            inner = local[start - before :].cpu()
            projected[start:stop, start:stop] = (inner + inner.T) / 2
            following, coupling = self._orthonormal(image, space[: held + stop])
            full = stop + following.shape[1] > limit or not following.shape[1]
            if stop < min(check, operator.n - held) and not full:
                continue
            operator.record["space"] = max(operator.record["space"], held + stop)
            theta, ritz = torch.linalg.eigh(projected[:stop, :stop])
            theta, ritz = theta[-wanted:].flip(0), ritz[:, -wanted:].flip(1)
            leak = (coupling @ ritz[start:]) / theta
            error = leak.norm(dim=0)
            self.progress(held + int((error <= target).sum()), self.k)
            check = int(1.06 * stop) + width
            if not full and (float(theta[-1]) < 1.1 or float(error.max()) > target):
                continue
            # One more application of the filter to the Ritz vectors is at hand in the block that follows.
            space[held + stop : held + stop + following.shape[1]] = following.T
            mix = torch.cat([ritz, leak]).T.to(space.device)
            pairs = operator.ritz(mix @ space[held : held + stop + following.shape[1]])
            good = pairs.residuals <= self._accepted(pairs.values)
            if bool(good.all()):
                return pairs, None
            if not full and target > 1e-15:
                target *= 0.3 * float((self._accepted(pairs.values) / pairs.residuals).min())
                continue
            return self._restarted(pairs, good, float(error.max()), stop)

    def _restarted(self, pairs: _Pairs, good: Tensor, error: float, space: int) -> tuple[_Pairs, Tensor]:
        record, worst = self.operator.record, float(pairs.residuals.max())
        record["restarts"] += 1
        if record["restarts"] > 6:
            raise ConvergenceError(
                f"{self.k} eigenpairs of {self.operator.n} points: {int((~good).sum())} not converged after {record['blocks']} blocks in "
                f"spaces of up to {space}, worst relative residual {worst:.1e} (median {float(pairs.residuals.median()):.1e}), wanted "
                f"{self.tolerance:.0e}; polynomial of degree {self.degree} that begins at {self.cut:.1e} of {self.bound:.1e}: use the "
                "factorising solver"
            )
        self._place(SLOPE * float(pairs.values[-1]))
        return pairs[good], pairs[~good].rows.T

    def _missed(self, found: _Pairs) -> tuple[Tensor | None, int]:
        """Whether the complement of what was found holds an eigenvalue below the last wanted one: a block to begin with, and how many.

        A block finds no more copies of a multiple eigenvalue than it has columns. Three steps from fresh random vectors show
        the others, as nothing stands in front of them now.
        """
        operator, held = self.operator, len(found)
        width = min(PROBES, operator.n - held)
        if width == 0:
            return None, 0
        following, _ = self._orthonormal(operator.normal(width), found.rows)
        rows = torch.cat([found.rows, following.T])
        images = []
        for _ in range(3):
            images.append(self._filtered(following))
            following, _ = self._orthonormal(images[-1] - rows.T @ (rows @ images[-1]), rows)
            rows = torch.cat([rows, following.T])
        seen = rows[held:]
        inner = (seen[: 3 * width] @ torch.cat(images, dim=1)).cpu()
        theta, ritz = torch.linalg.eigh((inner + inner.T) / 2)
        last = (self.bound + self.cut - 2 * float(found.values[self.k - 1])) / (self.bound - self.cut)
        last = math.cosh(self.degree * math.acosh(last)) if last > 1 else 1.0
        more = theta > last * (1 + 1e-6)
        if not bool(more.any()):
            return None, 0
        return seen[: 3 * width].T @ ritz[:, more].to(seen.device), int(more.sum())

    def _orthonormal(self, block: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """``(Q, R)``, ``block = Q R`` up to the span of ``rows``, ``Q (n, w)`` orthonormal and orthogonal to ``rows``; ``R`` on the host.

        By the eigenvectors of Gram matrices, as often as it takes. Columns that vanish (an invariant subspace is found) are
        replaced by random ones with zero rows in ``R``; ``Q`` is narrower only where ``rows`` leave no more room.
        """
        room = min(block.shape[1], self.operator.n - len(rows))
        coupling = torch.eye(block.shape[1], dtype=torch.float64)
        if room == 0:
            return block[:, :0], coupling[:0]
        least, projected = 1e-13 * max(float(block.norm()) / math.sqrt(block.shape[1]), 1.0), False
        for _ in range(8):
            if projected:
                block = torch.addmm(block, rows.T, rows @ block, alpha=-1)
            _, rotation = torch.linalg.eigh((block.T @ block).cpu())
            rotation = rotation[:, -room:].flip(1)
            block = block @ rotation.to(block.device)
            norms = block.norm(dim=0).cpu()
            lost = norms <= least
            coupling = torch.where(lost, 0.0, norms)[:, None] * (rotation.T @ coupling)
            block = block / torch.where(lost, 1.0, norms).to(block.device)
            if bool(lost.any()):
                block[:, lost.to(block.device)] = self.operator.normal(int(lost.sum())) / math.sqrt(self.operator.n)
            elif projected and float(norms.min()) > 0.1:
                return block, coupling
            least, projected = 1e-13, True
        raise ConvergenceError(f"{self.k} eigenpairs of {self.operator.n} points: {room} directions outside the space were not found")


def _angle_of_count(moments: Tensor, target: float) -> float:
    """The angle ``phi`` such that ``target`` of the eigenvalues ``cos(phi_i)`` with the given Chebyshev moments have ``phi_i < phi``."""
    order = torch.arange(1, len(moments), dtype=torch.float64)
    size, step = len(moments), math.pi / (len(moments) + 1)
    damping = ((size - order + 1) * torch.cos(order * step) + torch.sin(order * step) / math.tan(step)) / (size + 1)
    weight = 2 * damping * moments[1:] / order
    low, high = 0.0, math.pi
    for _ in range(50):
        middle = (low + high) / 2
        count = (float(moments[0]) * middle + float(weight @ torch.sin(order * middle))) / math.pi
        low, high = (middle, high) if count < target else (low, middle)
    return high
