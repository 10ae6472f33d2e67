"""Spherical harmonics on a set of directions: the Laplacian's eigenbasis on the sphere, in closed form."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from ... import ops
from ...errors import ArgumentError, problem
from ...ops.harmonic_sums import harmonic_adjoint, harmonic_gradient, harmonic_synthesis
from ...ops.harmonic_table import LARGEST_DEGREE, HarmonicConvention, check_degree, degrees_and_orders
from ...shapes.sphere import AREA, Rings, Sphere
from ..base import Basis
from .fitting import normal_factor, solve
from .rotation import rotate


@final
class SphericalHarmonics(Basis):
    """Real spherical harmonics of degree 0 to ``degree`` on the points of a sphere, in the order ``l^2 + l + m``.

    The matrix of modes is never formed. Where the sphere's weights are exact to degree ``2 degree``, as on a Gauss-Legendre grid of
    that degree, modes are orthonormal under ``measure`` and analysis is an integral. On other points analysis is least squares
    under the measure: it still inverts synthesis and still projects, but Parseval holds only as nearly as the weights are
    right; :meth:`Sphere.exact_to` makes them so.

    Parameters
    ----------
    degree : from 0, inclusive: ``(degree + 1)^2`` modes. To 1000 in float64 and on grids that are exact, else to 128.
    sphere : where functions are sampled; the Gauss-Legendre grid of the degree by default.
    normalization : ``"orthonormal"``; ``"4pi"``, mean square 1, with ``measure`` a share of the sphere that sums to 1; or
        ``"schmidt"``, whose modes are orthogonal but of square norm ``4 pi / (2 l + 1)``, so that Parseval does not hold.
    cs_phase : whether order ``m`` carries the Condon-Shortley phase ``(-1)^m``.
    dtype : float32 or float64, of all that goes in and comes out.

    Attributes
    ----------
    measure (n,) : weight of each point.
    eigenvalues (k,) : ``l (l + 1)``.
    points (n, 3) : unit vectors; ``None`` on a grid, whose rings are known exactly.
    factor (k, k) : Cholesky factor of the normal equations; ``None`` where the weights are exact.

    Raises
    ------
    ArgumentError : an option out of range; points that do not determine the modes, with the condition of their normal equations.
    """

    kind: ClassVar[str] = "spherical-harmonics"
    eigenvalues: Tensor
    points: Tensor | None
    factor: Tensor | None

    def __init__(
        self,
        degree: int,
        sphere: Sphere | None = None,
        *,
        normalization: str = "orthonormal",
        cs_phase: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if dtype not in LARGEST_DEGREE:
            raise ArgumentError(problem("dtype", "torch.float32 or torch.float64", dtype))
        check_degree(degree, LARGEST_DEGREE[torch.float64])
        sphere = Sphere.gauss_legendre(degree) if sphere is None else sphere
        if not isinstance(sphere, Sphere):
            raise ArgumentError(problem("sphere", "a geospec.Sphere", type(sphere).__name__, "geospec.Sphere.at takes points"))
        if sphere.rings is None or sphere.exactness < 2 * degree:  # transforms on rings are in double whatever the type
            check_degree(degree, LARGEST_DEGREE[dtype])
        self._convention = HarmonicConvention(normalization, cs_phase)
        self._rings, self._exactness = sphere.rings, sphere.exactness
        k = (degree + 1) ** 2
        self.options = {"degree": degree, "k": k, "normalization": normalization, "cs_phase": bool(cs_phase), "exactness": sphere.exactness}
        l = _degrees(k, sphere.points.device).to(dtype)  # noqa: E741
        self.register_buffer("measure", (sphere.measure.double() * (self._total / AREA)).to(dtype))
        self.register_buffer("eigenvalues", l * (l + 1))
        self.register_buffer("points", sphere.points.to(dtype) if sphere.rings is None else None)
        exact = sphere.exactness >= 2 * degree
        self.register_buffer("factor", None if exact else normal_factor(self._directions(), self._weights(), degree))

    def __repr__(self) -> str:
        return f"SphericalHarmonics(degree={self.degree}, k={self.k}, {self.sphere})"

    # -- what it is

    @property
    def n(self) -> int:
        return len(self.measure)

    @property
    def k(self) -> int:
        return self.options["k"]

    @property
    def orthonormal(self) -> bool:
        """Whether modes are: not in the ``"schmidt"`` normalization, nor where weights are not exact."""
        return self.factor is None and self._convention.normalization != "schmidt"

    @property
    def degree(self) -> int:
        """The largest degree; of a truncated basis perhaps not with all its orders."""
        return math.isqrt(self.k - 1)

    @property
    def degrees(self) -> Tensor:
        """Degree ``l`` of each mode, ``(k,)`` int64."""
        return _degrees(self.k, self.measure.device)

    @property
    def orders(self) -> Tensor:
        """Order ``m`` of each mode, ``(k,)`` int64: negative for sines, 0 for zonal ones, positive for cosines."""
        l = self.degrees  # noqa: E741
        return torch.arange(self.k, device=l.device) - l * l - l

    @property
    def sphere(self) -> Sphere:
        """The points, with weights that sum to 4 pi."""
        return Sphere(self._directions(), self._weights(), self._rings, self._exactness)

    @property
    def _total(self) -> float:
        return 1.0 if self._convention.normalization == "4pi" else AREA

    def _weights(self) -> Tensor:
        return self.measure * (AREA / self._total)

    def _on_rings(self) -> bool:
        """Whether the fast transform serves: a grid whose weights are exact, and so with enough points on each ring."""
        return self._rings is not None and self.factor is None

    def _directions(self) -> Tensor:
        return self._grid.points.to(self.measure) if self.points is None else self.points

    def _factors(self) -> Tensor:
        """What each mode is of the orthonormal one, ``(k, 1)``."""
        return self._convention.factors(self.degree)[: self.k, None].to(self.measure)

    # -- the contract

    def analyze(self, signal: Tensor) -> Tensor:
        if signal.dim() < 2 or signal.shape[-2] != self.n:
            raise ArgumentError(problem("signal", f"shape (..., {self.n}, c)", tuple(signal.shape)))
        columns, restore = _as_columns(signal)
        if self._on_rings():
            rings = self._grid
            colatitude, weights = rings.colatitude.to(columns.device), rings.weights.to(columns.device)
            field = columns.reshape(len(weights), rings.n_lon, columns.shape[1])
            found = ops.ring_analysis(field, colatitude, weights, self.degree)[: self.k]
        elif self.factor is None:
            found = harmonic_adjoint(self._weights()[:, None] * columns, self._directions(), self.degree)[: self.k]
        else:
            found = solve(self.factor, columns, self._directions(), self._weights()).to(columns)
        return restore(found / self._factors())

    def synthesize(self, coefficients: Tensor) -> Tensor:
        columns, restore = self._orthonormal(coefficients)
        if self._on_rings():
            colatitude = self._grid.colatitude.to(columns.device)
            return restore(ops.ring_synthesis(columns, colatitude, self._grid.n_lon).flatten(0, 1))
        return restore(harmonic_synthesis(columns, self._directions()))

    def truncate(self, k: int) -> SphericalHarmonics:
        k = self._checked_k(k)
        shorter = copy.copy(self)
        shorter.options = {**self.options, "k": k}
        cut = {"eigenvalues": self.eigenvalues[:k], "factor": None if self.factor is None else self.factor[:k, :k]}
        shorter._buffers = {**self._buffers, **cut}
        return shorter

    # -- grids and other points

    def analyze_grid(self, field: Tensor) -> Tensor:
        """Coefficients ``(..., k)`` of a field ``(..., n_lat, n_lon)`` on the basis's grid, north to south, eastward from longitude 0."""
        shape = self._grid_shape()
        if field.dim() < 2 or tuple(field.shape[-2:]) != shape:
            raise ArgumentError(problem("field", f"shape (..., {shape[0]}, {shape[1]})", tuple(field.shape)))
        return self.analyze(field.reshape(*field.shape[:-2], -1, 1))[..., 0]

    def synthesize_grid(self, coefficients: Tensor) -> Tensor:
        """The field ``(..., n_lat, n_lon)`` of coefficients ``(..., k)``."""
        shape = self._grid_shape()
        if coefficients.dim() < 1 or coefficients.shape[-1] != self.k:
            raise ArgumentError(problem("coefficients", f"shape (..., {self.k})", tuple(coefficients.shape)))
        return self.synthesize(coefficients[..., None]).reshape(*coefficients.shape[:-1], *shape)

    def at(self, xyz: Tensor) -> Tensor:
        """The modes at unit vectors ``(..., 3)``: ``(..., k)``, as :func:`geospec.ops.spherical_harmonics`, differentiable."""
        return ops.spherical_harmonics(xyz, self.degree, convention=self._convention)[..., : self.k]

    def at_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        """The modes at longitudes and latitudes in degrees, which broadcast."""
        return self.at(ops.lonlat_to_xyz(lon, lat))

    def synthesize_at(self, coefficients: Tensor, xyz: Tensor) -> Tensor:
        """The field of coefficients ``(k, c)`` at unit vectors ``(..., 3)``: ``(..., c)``. Differentiable twice in both.

        The modes are never held.
        """
        columns, _ = self._orthonormal(self._plain(coefficients))
        self._check_directions(xyz, coefficients)
        return harmonic_synthesis(columns, xyz)

    def regress(self, xyz: Tensor, values: Tensor, *, weights: Tensor | None = None, smoothness: float = 0.0) -> Tensor:
        """Coefficients ``(k, c)`` of the field nearest to values ``(m, c)`` at any unit vectors ``(m, 3)``.

        Minimises ``sum_i weights_i (f(xyz_i) - values_i)^2 + smoothness * integral (Laplacian f)^2``, the second term being
        ``sum l^2 (l + 1)^2 c_lm^2``. Differentiable in the values.

        Parameters
        ----------
        weights : (m,) not negative; ``4 pi / m`` each by default, the first term then being like an integral.
        smoothness : 0 or more. Above 0, fewer points than modes will do.

        Raises
        ------
        ArgumentError : wrong shapes, or points that do not determine the modes.

        Cost: ``m k^2`` flops; float64.
        """
        if xyz.dim() != 2 or xyz.shape[1] != 3 or values.dim() != 2 or len(values) != len(xyz):
            raise ArgumentError(problem("xyz, values", "shapes (m, 3) and (m, c)", f"{tuple(xyz.shape)} and {tuple(values.shape)}"))
        if not (math.isfinite(smoothness) and smoothness >= 0):
            raise ArgumentError(problem("smoothness", "a number of 0 or more", smoothness))
        weights = xyz.new_full((len(xyz),), AREA / max(len(xyz), 1)) if weights is None else weights
        if weights.shape != xyz.shape[:1] or not bool((weights >= 0).all()):
            raise ArgumentError(problem("weights", f"{len(xyz)} numbers of 0 or more", tuple(weights.shape)))
        l = _degrees((self.degree + 1) ** 2, xyz.device).double()  # noqa: E741
        penalty = smoothness * (l * (l + 1)) ** 2 if smoothness > 0 else None
        factor = normal_factor(xyz, weights, self.degree, penalty)[: self.k, : self.k]
        return solve(factor, values, xyz, weights, penalty).to(values) / self._factors()

    # -- spectra

    def rotate(self, coefficients: Tensor, rotation: Tensor) -> Tensor:
        """Coefficients ``(..., k, c)`` of the field turned by ``rotation (3, 3)``: ``g(R u) = f(u)``.

        So ``at(R u) = D at(u)`` where ``D`` is what this makes of the identity: orthogonal, a block for each degree. A matrix
        of determinant -1 mirrors as well. Whole degrees only. Exact to rounding; differentiable in the coefficients.

        Source: the quarter turns' matrices by the eigenvectors of ``L_x``, as in Trapani and Navaza 2006.
        """
        if self.k != (self.degree + 1) ** 2:
            hint = f"truncate to {self.degree**2} or {(self.degree + 1) ** 2} modes"
            raise ArgumentError(problem("coefficients", "whole degrees, which rotations keep", f"{self.k} modes", hint))
        columns, restore = self._orthonormal(coefficients)
        return restore(rotate(columns, rotation, self.degree) / self._factors())

    def power_spectrum(self, coefficients: Tensor) -> Tensor:
        """Energy of each degree ``(..., degree + 1, c)``: the integral of the square of its part under the measure.

        Sums over degrees to the integral of the square of the field (its mean for ``"4pi"``). Rotations leave it as it is.
        """
        columns, restore = self._orthonormal(coefficients)
        energy = columns.new_zeros(self.degree + 1, columns.shape[1])
        return restore(energy.index_add(0, _degrees(len(columns), columns.device), columns.square()) * (self._total / AREA))

    def filter(self, coefficients: Tensor, transfer: Tensor | Callable[[Tensor], Tensor]) -> Tensor:
        """Coefficients times a factor for each degree: ``transfer (degree + 1,)``, or a function of the degrees, float.

        ``lambda l: torch.exp(-t * l * (l + 1))`` is the heat kernel after the time ``t``.
        """
        self._check_coefficients(coefficients)
        degrees = torch.arange(self.degree + 1, device=self.measure.device)
        factors = transfer(degrees.to(self.measure)) if callable(transfer) else transfer
        if not isinstance(factors, Tensor) or factors.shape != degrees.shape:
            raise ArgumentError(problem("transfer", f"one factor a degree, shape ({len(degrees)},)", getattr(factors, "shape", factors)))
        return coefficients * factors.to(coefficients)[self.degrees, None]

    def laplacian(self, coefficients: Tensor) -> Tensor:
        """Coefficients of the Laplacian of the field, positive semi-definite as everywhere here: ``l (l + 1)`` times as large."""
        self._check_coefficients(coefficients)
        return coefficients * self.eigenvalues[:, None]

    def gradient(self, coefficients: Tensor, xyz: Tensor) -> Tensor:
        """Tangential gradient of the field of coefficients ``(k, c)`` at unit vectors ``(..., 3)``: ``(..., 3, c)``.

        ``gradient . u = 0``. At the poles as anywhere. Differentiable in both.
        """
        columns, _ = self._orthonormal(self._plain(coefficients))
        self._check_directions(xyz, coefficients)
        return harmonic_gradient(columns, xyz.reshape(-1, 3)).reshape(*xyz.shape, columns.shape[1])

    # -- helpers

    def _check_coefficients(self, coefficients: Tensor) -> None:
        if coefficients.dim() < 2 or coefficients.shape[-2] != self.k:
            raise ArgumentError(problem("coefficients", f"shape (..., {self.k}, c)", tuple(coefficients.shape)))

    @staticmethod
    def _check_directions(xyz: Tensor, coefficients: Tensor) -> None:
        if xyz.dim() == 0 or xyz.shape[-1] != 3 or xyz.dtype != coefficients.dtype:
            wanted = f"shape (..., 3) and the type of coefficients, {coefficients.dtype}"
            raise ArgumentError(problem("xyz", wanted, f"{tuple(xyz.shape)} of {xyz.dtype}"))

    def _plain(self, coefficients: Tensor) -> Tensor:
        if coefficients.dim() != 2 or len(coefficients) != self.k:
            raise ArgumentError(problem("coefficients", f"shape ({self.k}, c)", tuple(coefficients.shape)))
        return coefficients

    def _orthonormal(self, coefficients: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Coefficients of the orthonormal harmonics of whole degrees ``(K, columns)``, and the way back to ``(..., rows, c)``."""
        self._check_coefficients(coefficients)
        columns, restore = _as_columns(coefficients)
        return torch.nn.functional.pad(columns * self._factors(), (0, 0, 0, (self.degree + 1) ** 2 - self.k)), restore

    @property
    def _grid(self) -> Rings:
        if self._rings is None:
            raise ArgumentError(problem("sphere", "a basis on a grid", f"one on {self.n} points", "use analyze and synthesize"))
        return self._rings

    def _grid_shape(self) -> tuple[int, int]:
        return len(self._grid.weights), self._grid.n_lon

    # -- files

    def _arrays(self) -> dict[str, Tensor]:
        if self.points is not None:
            return {"points": self.points, "measure": self.measure}
        return {"colatitude": self._grid.colatitude, "ring_weights": self._grid.weights, "measure": self.measure}

    @classmethod
    def _from_arrays(cls, arrays: dict[str, Tensor], options: dict[str, Any]) -> Self:
        degree, k, exactness = (int(options.get(name, -1)) for name in ("degree", "k", "exactness"))
        measure = arrays["measure"]
        area = AREA * (measure / measure.double().sum())
        if "points" in arrays:
            sphere = Sphere(arrays["points"], area, exactness=exactness)
        else:
            rings = Rings(arrays["colatitude"], arrays["ring_weights"], len(measure) // len(arrays["colatitude"]))
            sphere = Sphere(rings.points, area, rings, exactness)
        conventions = {name: options[name] for name in ("normalization", "cs_phase") if name in options}
        basis = cls(degree, sphere, **conventions, dtype=measure.dtype)
        basis.measure = measure  # to the last bit
        return basis.truncate(k)


def _degrees(k: int, device: torch.device) -> Tensor:
    """Degrees of the first ``k`` modes."""
    return degrees_and_orders(math.isqrt(k - 1), device)[0][:k]


def _as_columns(values: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """``(..., rows, c)`` as a matrix ``(rows, columns)``, and the way back for any number of rows."""
    leading, c = values.shape[:-2], values.shape[-1]
    columns = values.movedim(-2, 0).reshape(values.shape[-2], math.prod(leading) * c)
    return columns, lambda matrix: matrix.reshape(len(matrix), *leading, c).movedim(0, -2)
