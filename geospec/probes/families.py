"""Which random fields: each family is a few numbers, and ``on(points, k)`` binds it to a cloud."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ShapeError, problem
from .fields import FeatureProbes, GraphProbes, HeatField, MaternField, Probes, SampledProbes, _normal
from .graph import NEIGHBORS, SmoothingGraph, smoothing_graph

#: Energy of mode k over that of the first: less, and its gradient drowns; more, and the modes beyond disturb it.
RANGE = 1e-3
#: Most smoothing steps that "auto" chooses.
MOST_STEPS = 1000


class ProbeFamily(ABC):
    """A class of random fields on any cloud."""

    @abstractmethod
    def on(self, points: Tensor, k: int) -> Probes:
        """The family on ``points (n, d)``; what is automatic is chosen for ``k`` modes."""

    def smoother(self, points: Tensor) -> GraphProbes | None:
        """The smoothing step alone on ``points``, whose eigenvectors are the family's, or ``None`` for a family without a graph."""
        return None

    def options(self) -> dict[str, Any]:
        """The family's name and numbers as plain values: :func:`family_of` makes it again."""
        plain = {name: _plain(value) for name, value in vars(self).items() if isinstance(value, str | Real | None)}
        return {"family": type(self).__name__, **plain}


@dataclass(frozen=True)
class _GraphFamily(ProbeFamily):
    alpha: float = 1.0
    bandwidth: float | str = "auto"
    neighbors: int = NEIGHBORS
    dimension: int | None = None

    def smoother(self, points: Tensor) -> GraphProbes | None:
        return HeatField(self._graph(points), 1)

    def _graph(self, points: Tensor) -> SmoothingGraph:
        """In float64 whatever the points are: eigenvalues of the smoother lie close to 1."""
        wide = points.detach().double()
        return smoothing_graph(wide, neighbors=self.neighbors, bandwidth=self.bandwidth, alpha=self.alpha, dimension=self.dimension)


@dataclass(frozen=True)
class HeatProbes(_GraphFamily):
    """White noise after ``steps`` smoothing steps: the eigenbasis of the Laplacian. Law ``c = exp(-2 steps t lambda)``.

    ``alpha``, ``bandwidth``, ``neighbors``, ``dimension`` : see :func:`geospec.probes.smoothing_graph`. ``steps="auto"``
    leaves mode ``k`` (the second for ``k = 1``) a thousandth of the first one's energy.
    """

    steps: int | str = "auto"

    def on(self, points: Tensor, k: int) -> HeatField:
        _check_on(points, k)
        return self.of(self._graph(points), k)

    def of(self, graph: SmoothingGraph, k: int) -> HeatField:
        """The family on a graph at hand."""
        return HeatField(graph, _steps(HeatField(graph, 1), self.steps, k))


@dataclass(frozen=True)
class FreeFieldProbes(_GraphFamily):
    """The Gaussian free field, white noise through ``(L + epsilon)^(-1/2)``: the class of the optimality theorem.

    Law ``c = 1 / (lambda + epsilon)``.

    ``epsilon`` in 1 / length squared; ``"auto"`` is a hundredth of eigenvalue ``k``, roughly.
    """

    epsilon: float | str = "auto"

    def on(self, points: Tensor, k: int) -> MaternField:
        _check_on(points, k)
        graph = self._graph(points)
        return MaternField(graph, _shift("epsilon", self.epsilon, graph, k), 1)


@dataclass(frozen=True)
class MaternProbes(_GraphFamily):
    """Matern fields, white noise through ``(kappa^2 + L)^(-order / 2)``. Law ``c = (kappa^2 + lambda)^-order``.

    ``kappa`` in 1 / length; ``"auto"`` makes ``kappa^2`` a hundredth of eigenvalue ``k``, roughly. ``order`` : a positive integer.
    Source: Whittle 1963; Lindgren, Rue and Lindstrom 2011.
    """

    kappa: float | str = "auto"
    order: int = 2

    def on(self, points: Tensor, k: int) -> MaternField:
        if not isinstance(self.order, Integral) or self.order < 1:
            raise ArgumentError(problem("order", "a positive integer", repr(self.order)))
        _check_on(points, k)
        graph = self._graph(points)
        given = _shift("kappa", self.kappa, graph, k)
        return MaternField(graph, given if isinstance(self.kappa, str) else given**2, int(self.order))


@dataclass(frozen=True)
class SchrodingerProbes(_GraphFamily):
    """Heat with a potential, ``exp(-t (L + beta V))``: modes gather where ``V`` is low. Law as for heat.

    ``potential`` : ``(n,)`` values on the cloud, or a function ``points (n, d) -> (n,)``. Each step is
    ``e^(-t beta V / 2) S e^(-t beta V / 2)`` (Strang).
    """

    potential: Tensor | Callable[[Tensor], Tensor] | None = None
    beta: float = 1.0
    steps: int | str = "auto"

    def on(self, points: Tensor, k: int) -> HeatField:
        _check_on(points, k)
        once = self.smoother(points)
        return HeatField(once.graph, _steps(once, self.steps, k), once.values)

    def smoother(self, points: Tensor) -> HeatField:
        if self.potential is None:
            raise ArgumentError(problem("potential", "values (n,) or a function of the points", "None", "HeatProbes has no potential"))
        if not isinstance(self.beta, Real) or not 0 <= self.beta < math.inf:
            hint = "for a well in place of a hill negate the potential and subtract its minimum"
            raise ArgumentError(problem("beta", "a number of at least 0", repr(self.beta), hint))
        values = self.potential(points.detach()) if callable(self.potential) else self.potential
        if not isinstance(values, Tensor) or values.shape != points.shape[:1] or not bool(torch.isfinite(values).all()):
            hint = "a function of the points also serves clouds that are thinned or extended"
            got = getattr(values, "shape", type(values).__name__)
            raise ArgumentError(problem("potential", f"{len(points)} finite values", got, hint))
        graph = self._graph(points)
        damping = torch.exp(-0.5 * graph.time * self.beta * values.to(graph.values))
        if not bool((damping <= 1).all()):
            raise ArgumentError(problem("potential", "beta * potential of at least 0", "a negative value", "subtract its minimum"))
        row = torch.arange(graph.n, device=points.device).repeat_interleave(graph.crow.long().diff())
        return HeatField(graph, 1, graph.values * (damping[row] * damping[graph.col.long()]))


@dataclass(frozen=True)
class PiecewiseConstantProbes(ProbeFamily):
    """Fields that are constant on ``cells`` Voronoi cells of random points, with random values: sampled only, no eigenvalues."""

    cells: int = 64

    def on(self, points: Tensor, k: int) -> Probes:
        _check_on(points, k)
        if not isinstance(self.cells, Integral) or not 2 <= self.cells <= len(points):
            raise ArgumentError(problem("cells", f"an integer from 2 to the {len(points)} points", repr(self.cells)))
        points = points.detach()

        def draw(count: int, generator: torch.Generator | None) -> Tensor:
            columns = []
            for _ in range(count):
                centres = torch.randperm(len(points), generator=generator)[: self.cells].to(points.device)
                cell = ops.knn(points, points[centres], 1)[1][:, 0]
                columns.append(_normal(points, self.cells, 1, generator)[cell, 0])
            return torch.stack(columns, dim=1) if columns else points.new_zeros(len(points), 0)

        return SampledProbes(points, draw)


@dataclass(frozen=True)
class PolynomialProbes(ProbeFamily):
    """Random polynomials of the coordinates up to ``degree``: their best basis is one of orthogonal polynomials, no eigenvalues.

    Coordinates are centred and scaled into the unit ball; coefficients are independent and standard normal over the monomials of
    total degree at most ``degree``, of which there must be at least ``k``.
    """

    degree: int = 4

    def on(self, points: Tensor, k: int) -> Probes:
        _check_on(points, k)
        if not isinstance(self.degree, Integral) or self.degree < 0:
            raise ArgumentError(problem("degree", "an integer of at least 0", repr(self.degree)))
        count = math.comb(points.shape[1] + self.degree, self.degree)
        if count < k:
            hint = "raise the degree or ask for fewer modes"
            raise ArgumentError(problem("degree", f"one with at least k = {k} monomials", f"{self.degree} with {count}", hint))
        centred = points.detach() - points.detach().mean(dim=0)
        unit = centred / centred.norm(dim=1).max().clamp_min(torch.finfo(points.dtype).tiny)
        columns = [
            unit[:, list(chosen)].prod(dim=1)
            for degree in range(self.degree + 1)
            for chosen in combinations_with_replacement(range(points.shape[1]), degree)
        ]
        return FeatureProbes(torch.stack(columns, dim=1))


@dataclass(frozen=True)
class CallableProbes(ProbeFamily):
    """Whatever ``draw(points, count, generator) -> (n, count)`` returns: sampled only, no eigenvalues."""

    draw: Callable[[Tensor, int, torch.Generator | None], Tensor]

    def on(self, points: Tensor, k: int) -> Probes:
        _check_on(points, k)
        if not callable(self.draw):
            raise ArgumentError(problem("draw", "a function (points, count, generator) -> (n, count)", repr(self.draw)))
        return SampledProbes(points, lambda count, generator: self.draw(points.detach(), count, generator))


def _check_on(points: Tensor, k: int) -> None:
    """What every family asks of a cloud and of the number of modes."""
    if not isinstance(points, Tensor) or points.dim() != 2 or not points.is_floating_point():
        raise ArgumentError(problem("points", "a float tensor (n, d)", getattr(points, "shape", type(points).__name__)))
    if not len(points) or not points.shape[1]:
        raise ShapeError(problem("points", "at least one point with one coordinate", tuple(points.shape)))
    if not bool(torch.isfinite(points).all()):
        bad = int((~torch.isfinite(points).all(dim=1)).sum())
        raise ShapeError(problem("points", "finite coordinates", f"{bad} points with NaN or infinity"))
    if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= len(points):
        raise ArgumentError(problem("k", f"an integer from 1 to the {len(points)} points", repr(k)))


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, so that a file can hold them."""
    if value is None or isinstance(value, str | bool):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _steps(probes: HeatField, steps: int | str, k: int) -> int:
    if isinstance(steps, str):
        if steps != "auto":
            raise ArgumentError(problem("steps", "'auto' or a positive integer", repr(steps)))
        with torch.no_grad():
            factors = probes.leading(_last(k, probes.n)).double()
        decay = float((factors[0] / factors[-1].clamp_min(1e-12)).log())
        return min(max(1, math.ceil(math.log(1 / RANGE) / (2 * max(decay, 1e-12)))), MOST_STEPS)
    if not isinstance(steps, Integral) or steps < 1:
        raise ArgumentError(problem("steps", "'auto' or a positive integer", repr(steps)))
    return int(steps)


def _last(k: int, n: int) -> int:
    """The mode that automatic numbers are measured by: the first has eigenvalue 0 and gives no scale."""
    return min(max(k, 2), n)


def _shift(name: str, value: float | str, graph: SmoothingGraph, k: int) -> float:
    if isinstance(value, str):
        if value != "auto":
            raise ArgumentError(problem(name, "'auto' or a positive number", repr(value)))
        last = HeatField(graph, 1).leading(_last(k, graph.n))[-1]
        return 1e-2 * max(float(1 - last), 1e-9) / float(graph.time)
    if not isinstance(value, Real) or not 0 < value < math.inf:
        raise ArgumentError(problem(name, "'auto' or a positive number", repr(value)))
    return float(value)


_STORED: dict[str, type[ProbeFamily]] = {
    family.__name__: family for family in (HeatProbes, FreeFieldProbes, MaternProbes, PiecewiseConstantProbes, PolynomialProbes)
}


def family_of(options: dict[str, Any]) -> ProbeFamily | None:
    """The family that :meth:`ProbeFamily.options` describes; ``None`` for one that holds a function or a field of the caller's."""
    made = _STORED.get(options.get("family", ""))
    return None if made is None else made(**{name: value for name, value in options.items() if name != "family"})
