"""What a cloud teaches the eigenbasis network: the smooth fields on it."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import ops
from ..bases import EigenbasisNetwork, eigenpairs
from ..bases.learned.columns import orthonormal
from ..bases.learned.network import AFTER
from ..losses import nested_reconstruction
from ..metrics import subspace_overlap

#: Modes of the overlaps that are told, beside all of them.
TOLD = (10, 32)


class HeatLesson:
    """Functions on a cloud are as good as random heat is reconstructed from the columns that they and the coarse modes span together.

    The covariance of the fields is held by its leading part ``U diag(c) U^T``, twice as many terms as modes; what is left of a trace
    that falls by a thousand over the modes is below rounding. So the loss is the expectation over all fields, and costs two
    products. Ritz vectors are the best columns in a span for every truncation at once, hence their rotation has no gradient.
    """

    def __init__(self, network: EigenbasisNetwork, points: Tensor) -> None:
        with torch.no_grad():
            ready = network.prepare(points)
        graph, law = ready.probes.graph, ready.probes.law
        self.modes = network.modes
        self.features, self.measure = ready.features, ready.measure
        self.root = (graph.measure * graph.n).sqrt().to(ready.features)[:, None]
        self.coarse = torch.cat([self.root, self.root * ready.features[:, 3:]], dim=1)
        self.graph = (graph.crow, graph.col, graph.values.to(ready.features))
        found = eigenpairs(graph.generator(), k=min(2 * network.modes, graph.n))
        self.vectors = found.vectors.to(ready.features)
        self.energies = law.energy(1 - found.values).to(ready.features)
        self.total = float(self.energies.double().sum()) * (1 + 1e-6)

    def loss(self, emitted: Tensor) -> Tensor:
        """The nested loss of the Ritz vectors, each truncation relative to itself."""
        captured = ((self.refined(emitted).T @ self.vectors).square() * self.energies).sum(dim=1)
        return nested_reconstruction(captured, self.total)

    @torch.no_grad()
    def measures(self, emitted: Tensor) -> dict[str, float]:
        """Overlap with the eigenvectors of the cloud's operator: of the coarse modes, and after refinement with what was learned."""
        coarse, refined = orthonormal(self.coarse)[0], self.refined(emitted)
        told: dict[str, float] = {}
        for name, columns in (("coarse", coarse), ("refined", refined)):
            for k in sorted({min(k, self.modes) for k in (*TOLD, self.modes)}):
                told[f"{name}_{k}"] = subspace_overlap(columns[:, :k], self.vectors[:, :k])
        return told

    def refined(self, emitted: Tensor) -> Tensor:
        """The first Ritz vectors ``(n, modes)`` of all columns; their rotation is held."""
        smoothed = ops.graph_smooth(*self.graph, self.root * emitted, AFTER)
        q, _ = orthonormal(torch.cat([self.coarse, smoothed], dim=1))
        with torch.no_grad():
            small = (q.T @ ops.graph_smooth(*self.graph, q, 1)).double()
            turn = torch.linalg.eigh((small + small.T) / 2)[1].flip(1)[:, : self.modes].to(q)
        return q @ turn
