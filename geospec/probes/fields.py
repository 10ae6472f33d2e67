"""Probes on one cloud: a covariance ``C`` that can be sampled, and applied without sampling where it is a function of ``S``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, problem
from ..factor import SparseFactor
from ..laplacians.sparse import csr
from .graph import SmoothingGraph

#: Random vectors of the trace estimate outside the captured subspace, and inside its range finder beyond the modes asked for.
TRACE_VECTORS, TRACE_EXTRA = 32, 32


class Probes(ABC):
    """Random fields ``f`` on ``n`` points with covariance ``C = E f f^T``, bound to a cloud."""

    #: Shares of the points, summing to 1, under which the basis is orthonormal.
    measure: Tensor
    #: The graph where there is one.
    graph: SmoothingGraph | None = None

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.measure)

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """``count`` fields as columns ``(n, count)``."""

    @abstractmethod
    def covariance(self, x: Tensor) -> Tensor:
        """``C x`` for ``x (n, c)``, without sampling. Differentiable in ``x``.

        Raises
        ------
        ArgumentError : these probes are known by their samples only.
        """

    @abstractmethod
    def eigenvalue(self, energy: Tensor) -> Tensor | None:
        """The eigenvalue of the operator that belongs to an eigenvalue of ``C``: the family's inverse law, or ``None``."""


class SampledProbes(Probes):
    """Probes known by a function that draws them; each point has measure ``1 / n``."""

    def __init__(self, points: Tensor, draw: Callable[[int, torch.Generator | None], Tensor]) -> None:
        self.measure = points.new_full((len(points),), 1 / len(points))
        self._draw = draw

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        fields = self._draw(count, generator)
        if not isinstance(fields, Tensor) or fields.shape != (self.n, count):
            wanted = f"({self.n}, {count}) fields from the probes' function"
            raise ArgumentError(problem("probes", wanted, getattr(fields, "shape", type(fields).__name__)))
        if not bool(torch.isfinite(fields).all()):
            raise ArgumentError(problem("probes", "finite fields", "NaN or infinity"))
        return fields.to(self.measure)

    def covariance(self, x: Tensor) -> Tensor:
        raise ArgumentError(problem("exact", "False for probes that can only be sampled", "True"))

    def eigenvalue(self, energy: Tensor) -> None:
        return None


class FeatureProbes(Probes):
    """``f = X a`` with white ``a``: ``C = X X^T`` for features ``X (n, p)``; each point has measure ``1 / n``."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.measure = features.new_full((len(features),), 1 / len(features))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        return self.features @ _normal(self.features, self.features.shape[1], count, generator)

    def covariance(self, x: Tensor) -> Tensor:
        features = self.features.to(x)
        return features @ (features.T @ x)

    def eigenvalue(self, energy: Tensor) -> None:
        return None


@dataclass(frozen=True)
class Law:
    """How the energy ``c`` of a mode depends on its factor ``mu`` under one smoothing step, both ways."""

    energy: Callable[[Tensor], Tensor]
    factor: Callable[[Tensor], Tensor]


class GraphProbes(Probes):
    """``C = energy(S)`` for the smoothing step ``S`` of a graph, or ``S`` with a potential: its eigenvectors, whatever the law.

    ``values`` replaces the graph's, on the same pattern; ``null_vector`` says whether ``sqrt(measure)`` is still the first eigenvector.
    """

    graph: SmoothingGraph

    def __init__(self, graph: SmoothingGraph, values: Tensor | None = None) -> None:
        self.graph = graph
        self.measure = graph.measure
        self.values = graph.values if values is None else values
        self.null_vector = values is None
        self._typed: dict[torch.dtype, Tensor] = {}

    def smooth(self, x: Tensor, steps: int = 1) -> Tensor:
        """``S^steps x``, in the type of ``x``."""
        if x.dtype not in self._typed:
            self._typed[x.dtype] = self.values.to(x.dtype)
        return ops.graph_smooth(self.graph.crow, self.graph.col, self._typed[x.dtype], x, steps)

    @property
    @abstractmethod
    def law(self) -> Law:
        """Energy of a mode by its factor."""

    def eigenvalue(self, energy: Tensor) -> Tensor:
        return self.graph.eigenvalue(self.law.factor(energy))

    def leading(self, k: int, seed: int = 0, rounds: int = 3, steps: int = 24) -> Tensor:
        """Rough leading factors ``(k,)``, descending, by smoothing random columns.

        Never above the true ones, and within a few per cent of ``1 - mu``.

        Cost: ``rounds steps`` products with ``k + 8`` columns.
        """
        width = min(k + 8, self.n)
        columns = _normal(self.measure, self.n, width, torch.Generator().manual_seed(seed))
        for _ in range(rounds):
            columns = torch.linalg.qr(self.smooth(columns, steps))[0]
        return torch.linalg.eigvalsh(columns.T @ self.smooth(columns)).flip(0)[:k].clamp(0, 1)

    def trace(self, k: int, seed: int = 0) -> float:
        """``tr C``: what the ``k`` leading modes hold, and Hutchinson's estimate of the small rest outside them.

        Source: Meyer, Musco, Musco and Woodruff, Hutch++, 2021.
        """
        generator = torch.Generator().manual_seed(seed)
        inside = _normal(self.measure, self.n, min(k + TRACE_EXTRA, self.n), generator)
        for _ in range(2):
            inside = torch.linalg.qr(self.covariance(inside))[0]
        outside = _normal(self.measure, self.n, TRACE_VECTORS, generator)
        outside = outside - inside @ (inside.T @ outside)
        held = (inside * self.covariance(inside)).double().sum()
        rest = (outside * self.covariance(outside)).double().sum() / TRACE_VECTORS
        return float(held + rest.clamp_min(0))


class HeatField(GraphProbes):
    """``f = S^T n``: ``c = mu^(2 T)``."""

    def __init__(self, graph: SmoothingGraph, steps: int, values: Tensor | None = None) -> None:
        super().__init__(graph, values)
        self.steps = steps

    @property
    def law(self) -> Law:
        power = 2 * self.steps
        return Law(lambda factor: factor.clamp_min(0) ** power, lambda energy: energy.clamp_min(0) ** (1 / power))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        return self.smooth(_normal(self.measure, self.n, count, generator), self.steps)

    def covariance(self, x: Tensor) -> Tensor:
        return self.smooth(x, 2 * self.steps)


class MaternField(GraphProbes):
    """``c = (shift + (1 - mu) / t)^-order``: white noise through a power of a shifted Laplacian; order 1 is the free field."""

    def __init__(self, graph: SmoothingGraph, shift: float, order: int) -> None:
        super().__init__(graph)
        self.shift, self.order = shift, order
        # The graph's scale is kept out of the factor: it is shift t + I - S.
        self._scale = float(graph.time)
        whole = graph.generator()
        row = torch.arange(graph.n).repeat_interleave(whole.crow_indices().diff())
        values = whole.values() + shift * self._scale * (row == whole.col_indices())
        self._factor = SparseFactor(csr(whole.crow_indices(), whole.col_indices(), values))

    @property
    def law(self) -> Law:
        shift, scale, order = self.shift, self._scale, self.order
        return Law(
            lambda factor: (shift + (1 - factor) / scale) ** -order,
            lambda energy: 1 - scale * (energy ** (-1 / order) - shift),
        )

    def _solve(self, x: Tensor, times: int) -> Tensor:
        out = x.detach().cpu().double()
        for _ in range(times):
            out = self._scale * self._factor.solve(out)
        return out.to(x)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Half of an odd power: ``A = shift + B^T B / t`` is factored by its edges, so that ``A^-1 (B^T e / sqrt t + sqrt(shift) v)``
        has the covariance ``A^-1`` (``e`` white on edges, ``v`` on points)."""
        white = _normal(self.measure, self.n, count, generator)
        if self.order % 2 == 0:
            return self._solve(white, self.order // 2)
        graph, root = self.graph, self.measure.sqrt()
        row = torch.arange(self.n, device=root.device).repeat_interleave(graph.crow.long().diff())
        col = graph.col.long()
        once = row < col
        row, col, weight = row[once], col[once], graph.values[once]
        flow = _normal(self.measure, len(row), count, generator) * (weight.clamp_min(0) / self._scale).sqrt()[:, None]
        ratio = (root[col] / root[row]).sqrt()[:, None]
        right = math.sqrt(self.shift) * white
        right = right.index_add(0, row, ratio * flow).index_add(0, col, -flow / ratio)
        return self._solve(right, (self.order + 1) // 2)

    def covariance(self, x: Tensor) -> Tensor:
        return _Symmetric.apply(x, lambda y: self._solve(y, self.order))


class _Symmetric(torch.autograd.Function):
    """A symmetric linear map that torch cannot see into: its adjoint is itself."""

    @staticmethod
    def forward(ctx, x: Tensor, apply: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.map = apply  # the name apply is the context's own
        return apply(x)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return _Symmetric.apply(gradient, ctx.map), None


def _normal(like: Tensor, rows: int, columns: int, generator: torch.Generator | None) -> Tensor:
    """White noise of the type and on the device of ``like``, drawn on the CPU so that every device sees the same."""
    if not isinstance(columns, Integral) or columns < 0:
        raise ArgumentError(problem("count", "an integer of at least 0", repr(columns)))
    return torch.randn(rows, int(columns), generator=generator, dtype=torch.float32).to(like)
