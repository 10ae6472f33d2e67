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
    stiffness : sparse CSR tensor (n, n), symmetric positive semi-definite, float32 or float64 (computed in float64).
    mass : (n,) positive diagonal.
    k : between 1 and n.
    tolerance : largest accepted residual, at least what rounding allows (below).
    start : (n, s) approximate modes of any number, or exact ones of which more are wanted: those that meet the tolerance are
        kept as they are, the others begin the iteration. Worth it where they are good to a few digits.
    seed : of the random vectors. The same seed on the same device gives the same result.
    progress : called with the number of modes that have converged and ``k``, at each check.

    Returns
    -------
    values (k,) ascending, non-negative; vectors (n, k) with ``vectors^T M vectors = I``; residuals (k,):
    ``|S phi - lambda M phi|`` in the norm of ``M^-1``, relative to ``lambda`` plus the scale of the first non-zero
    eigenvalue; all float64. A record of the work: ``products`` (with one vector, all told), ``products_estimate`` (of them, to
    learn the density of the spectrum), ``degree``, ``cut`` (where the filter begins), ``bound`` (of the spectrum), ``space``
    (largest dimension), ``blocks``, ``restarts``, ``started`` (modes taken from ``start``), ``null`` (constants of components).

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
        operator.record |= {"degree": 0, "cut": 0.0, "bound": float(found.values[-1]), "space": operator.n, "null": 0, "started": 0}
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
        self.values = values / (self.root[row] * self.root[col])
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
        values, vectors = values[:k], vectors[:, :k]
        difference = matrix @ vectors - vectors * values
        return _Pairs(values.clamp(min=0), vectors.T.contiguous(), difference.norm(dim=0) / (values.clamp(min=0) + self.scale))

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
        values = values.to(rows.device)
        rows, image = mix @ rows, mix @ image
        residuals = (image - values[:, None] * rows).norm(dim=1) / (values.clamp(min=0) + self.scale)
        return _Pairs(values.clamp(min=0), rows, residuals)

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
