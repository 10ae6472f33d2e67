"""A network that gives the eigenbasis of a cloud it has never seen, in one pass."""

from __future__ import annotations

import math
import os
from itertools import combinations_with_replacement
from numbers import Integral
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from ... import ops
from ...errors import ArgumentError, ShapeError, one_of, problem
from ...nn.encoders import LatentBlock
from ...probes import GraphProbes, HeatProbes, smoothing_graph
from ...probes.fields import HeatField
from ...shapes.cloud import PointCloud
from ...weights import load_weights, shipped
from ..signs import signs
from .basis import REFINEMENTS, LearnedEigenbasis, _points
from .columns import orthonormal, rayleigh_ritz, with_constant

#: The kind under which files remember the network.
KIND = "eigenbasis network"
#: Points that the network sees of a larger cloud; the others follow by interpolation and smoothing.
SEEN = 4096
#: Samples from which a point of a larger cloud is interpolated, and the smoothing steps, for each point that a sample stands for, that
#: take the seams out.
SAMPLES, SEAMS = 8, 4
#: Columns beyond the modes that are carried to a larger cloud and refined there.
SPARE = 16
#: Smoothing steps after the network: what it makes point by point becomes a function on the cloud.
AFTER = 8


class Prepared(NamedTuple):
    """What the network reads of a cloud: ``features (n, f)``, ``measure (n,)``; and the probes that they came from."""

    features: Tensor
    measure: Tensor
    probes: HeatField


class EigenbasisNetwork(nn.Module):
    """From points in space to the first ``modes`` eigenfunctions of their Laplacian, with no training on the cloud.

    **Coarse modes.** The monomials of the coordinates along the cloud's principal axes, up to ``degree``, are smoothed on the cloud's
    own graph for a quarter of the probes' time and for all of it. Their span holds the lowest eigenfunctions almost wholly; a
    dense problem of about twice as many rows as there are monomials orders it. Nothing is learned so far, and nothing
    depends on how the cloud is moved, turned, scaled or sampled.

    **Learned functions.** The network reads the coarse modes at each point as features, mixes them by blocks of latent-token attention
    weighted by the measure, and emits further functions, which a few smoothing steps make fit for the cloud. They follow the
    coarse modes, a QR makes all columns orthonormal, and the refinement draws from them what polynomials lack. Trained on the
    nested loss of random fields alone, never to imitate an eigenvector.

    Parameters
    ----------
    modes : most modes that can be asked for. learned : functions that the network adds. width, depth, heads, tokens : of its blocks.
    degree : of the monomials.
    """

    def __init__(
        self,
        modes: int = 64,
        *,
        learned: int = 64,
        width: int = 96,
        depth: int = 2,
        heads: int = 4,
        tokens: int = 32,
        degree: int = 5,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "modes": modes, "learned": learned, "width": width, "depth": depth, "heads": heads, "tokens": tokens, "degree": degree
        }  # fmt: skip
        self.modes = modes
        self.exponents = [e for total in range(1, degree + 1) for e in combinations_with_replacement(range(3), total)]
        self.coarse = coarse = 2 * len(self.exponents)
        if not 2 <= modes <= coarse:
            hint = "raise the degree"
            raise ArgumentError(problem("modes", f"from 2 to the {coarse} functions that monomials of degree {degree} give", modes, hint))
        self.lift = nn.Linear(3 + coarse, width)
        self.blocks = nn.ModuleList([LatentBlock(width, heads, tokens) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, learned)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The network of a file that ``geospec train eigenbasis`` wrote."""
        return load_weights(path, KIND).make(cls)

    @classmethod
    def pretrained(cls, name: str = "eigenbasis") -> Self:
        """The network that ships with geospec; ``data/README.md`` says how it was trained and how good it is."""
        return cls.load(shipped(name))

    def prepare(self, points: Tensor) -> Prepared:
        """The features of a cloud ``(n, 3)``: a neighbour search and some ``T`` smoothing steps; differentiable in the points."""
        if points.dim() != 2 or points.shape[1] != 3:
            raise ArgumentError(problem("points", "shape (n, 3)", tuple(points.shape), "LearnedEigenbasis.fit takes any dimension"))
        if len(points) <= self.coarse:
            hint = "LearnedEigenbasis.fit takes fewer"
            raise ShapeError(problem("points", f"more than the {self.coarse} coarse functions", len(points), hint))
        wide = points.double()
        graph = smoothing_graph(wide)
        probes = HeatProbes().of(graph, min(self.modes, graph.n))
        measure = graph.measure
        centred = wide - measure @ wide
        spread, axes = torch.linalg.eigh(centred.T @ (measure[:, None] * centred))
        along = centred @ axes.flip(1) / spread.sum().sqrt()
        along = along * torch.where(measure @ along.detach() ** 3 < 0, -1.0, 1.0).to(along)
        features = torch.cat([along, self._coarse_modes(along, probes)], dim=1)
        return Prepared(features.to(self.lift.weight), measure.to(self.lift.weight), probes)

    def _coarse_modes(self, along: Tensor, probes: HeatField) -> Tensor:
        """The Ritz vectors of the smoothed monomials without the constant ``(n, coarse)``, orthonormal under the measure, sign fixed."""
        measure, root = probes.measure, probes.measure.sqrt()[:, None]
        monomials = torch.stack([along[:, list(e)].prod(dim=1) for e in self.exponents], dim=1)
        first = max(1, probes.steps // 4)
        early = probes.smooth(root * monomials, first)
        late = probes.smooth(early, max(1, probes.steps - first))
        functions = torch.cat([_standard(early / root, measure), _standard(late / root, measure)], dim=1)
        q, _ = orthonormal(with_constant(functions, probes))
        modes = (q @ rayleigh_ritz(q, probes, fixed=1).turn)[:, 1:] / root
        return modes * signs(modes.detach(), measure.detach())

    def columns(self, features: Tensor, measure: Tensor, offsets: Tensor) -> Tensor:
        """What the network emits for packed clouds ``(N, learned)``: rows ``offsets[b]`` to ``offsets[b + 1]`` are cloud ``b``."""
        x = self.lift(features)
        for block in self.blocks:
            x = block(x, measure, offsets)
        return self.head(self.norm(x))

    def functions(self, ready: Prepared) -> Tensor:
        """Coarse modes, then learned functions, smoothed: ``(n, coarse + learned)`` without the constant, of the probes' type.

        With the constant they are at most n; the last are left out.
        """
        emitted = self.columns(ready.features, ready.measure, torch.tensor([0, len(ready.measure)]))
        root = ready.probes.measure.sqrt()[:, None]
        learned = ready.probes.smooth(root * emitted.to(root), AFTER) / root
        return torch.cat([ready.features[:, 3:].to(root), learned], dim=1)[:, : len(root) - 1]

    def forward(self, points: Tensor | PointCloud, k: int | None = None, refine: str | None = "rayleigh-ritz") -> LearnedEigenbasis:
        """The basis of a cloud.

        Parameters
        ----------
        points : (n, 3) or a cloud, in any unit and position, in one piece or several; more points than coarse functions.
        k : modes, at most ``modes``; all by default.
        refine : ``"rayleigh-ritz"`` rotates all columns, coarse and learned, to the Ritz vectors of the cloud's own smoothing operator,
            a dense problem of as many rows; ``None`` keeps their order, in which the coarse modes come first.

        The modes, the measure and the eigenvalues are differentiable in the points (neighbours and the number of steps are held;
        no two principal axes, and with refinement no two eigenvalues, may be equal). Of a cloud of more than 4,096 points the
        network sees as many, chosen by farthest points; its columns are interpolated to the others, smoothed, and refined on all.

        Cost on one core: 0.1 s for 1,000 points, 1 s for 10k, 7 s for 100k, where the process takes 1.3 GB in all.
        """
        if refine is not None:
            one_of("refine", refine, REFINEMENTS)
        cloud = _points(points)
        k = self.modes if k is None else k
        if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= min(self.modes, len(cloud)):
            most = min(self.modes, len(cloud))
            raise ArgumentError(problem("k", f"an integer from 1 to {most}", repr(k), "LearnedEigenbasis.fit learns any number of modes"))
        few = cloud if len(cloud) <= SEEN else cloud[ops.farthest_points(cloud.detach(), SEEN)]
        ready = self.prepare(few)
        probes: GraphProbes = ready.probes
        functions = self.functions(ready)
        if len(few) < len(cloud):
            if refine is not None:  # what is not wanted need not be carried
                q, _ = orthonormal(with_constant(functions, probes))
                kept = min(q.shape[1], self.modes + SPARE)
                functions = (q @ rayleigh_ritz(q, probes, fixed=1).turn)[:, 1:kept] / probes.measure.sqrt()[:, None]
            probes, functions = _spread(cloud, few, functions)
        return self._basis(cloud, int(k), functions, probes, refine)

    def _basis(self, cloud: Tensor, k: int, functions: Tensor, probes: GraphProbes, refine: str | None) -> LearnedEigenbasis:
        q, _ = orthonormal(with_constant(functions, probes))
        measure, graph = probes.measure, probes.graph
        errors = None
        if refine is not None:
            ritz = rayleigh_ritz(q, probes, fixed=1)
            q = q @ ritz.turn
            raw, values = (graph.eigenvalue(x[:k]) for x in (ritz.factors, ritz.factors + ritz.missing))
            values = values.cummax(dim=0).values
            errors = (raw - values).clamp_min(0).to(cloud)
        else:
            values = graph.eigenvalue((q * probes.smooth(q)).sum(dim=0))[:k].cummax(dim=0).values
        modes = q[:, :k] / measure.sqrt()[:, None]
        modes = modes * signs(modes.detach(), measure.detach())
        options = {
            "probes": HeatProbes().options(),
            "encoder": {"name": "network", "config": self.config},
            "mass": "graph",
            "refine": refine,
            "components": graph.components(),
            "dimension": graph.dimension,
        }
        return LearnedEigenbasis(modes.to(cloud), measure.to(cloud), values.to(cloud), options, eigenvalue_errors=errors)


def _standard(functions: Tensor, measure: Tensor) -> Tensor:
    """Each function with mean 0 and mean square 1 under the measure."""
    centred = functions - measure @ functions
    return centred / (measure @ centred.square()).clamp_min(1e-12).sqrt()


def _spread(cloud: Tensor, few: Tensor, columns: Tensor) -> tuple[GraphProbes, Tensor]:
    """The smoothing step of all points, and columns carried to them: a kernel average of the nearest samples, then a little heat."""
    squared, index = ops.knn(cloud.detach(), few.detach(), SAMPLES)
    near = squared[:, -1:].clamp_min(torch.finfo(squared.dtype).tiny)
    weights = torch.exp(-4 * squared / near).to(columns)
    carried = torch.einsum("ns,nsc->nc", weights / weights.sum(dim=1, keepdim=True), columns[index])
    probes = HeatField(smoothing_graph(cloud.double()), 1)
    root = probes.measure.sqrt()[:, None]
    # A step spreads over a point's own spacing; the seams are as wide as the spacing of the samples.
    steps = SEAMS * math.ceil(len(cloud) / len(few))
    return probes, probes.smooth(root * carried, steps) / root
