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
    products. The Ritz vectors of the covariance are the best columns in a span for every truncation at once, hence their rotation
    has no gradient; those of one smoothing step, which the network gives, come to the same where the span holds the modes.
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
        """The nested loss of the best columns in the span, each truncation relative to itself."""
        held = self._columns(emitted).T @ self.vectors
        with torch.no_grad():
            turn = self._turn((held * self.energies) @ held.T)
        return nested_reconstruction(((turn.T @ held).square() * self.energies).sum(dim=1), self.total)

    @torch.no_grad()
    def measures(self, emitted: Tensor) -> dict[str, float]:
        """Overlap with the eigenvectors of the cloud's operator: of the coarse modes, and after refinement with what was learned."""
        coarse, refined = orthonormal(self.coarse)[0], self.refined(emitted)
        told: dict[str, float] = {}
        for name, columns in (("coarse", coarse), ("refined", refined)):
            for k in sorted({min(k, self.modes) for k in (*TOLD, self.modes)}):
                told[f"{name}_{k}"] = subspace_overlap(columns[:, :k], self.vectors[:, :k])
        return told

    @torch.no_grad()
    def refined(self, emitted: Tensor) -> Tensor:
        """The first Ritz vectors ``(n, modes)`` of all columns, as the network gives them."""
        q = self._columns(emitted)
        return q @ self._turn(q.T @ ops.graph_smooth(*self.graph, q, 1))

    def _columns(self, emitted: Tensor) -> Tensor:
        smoothed = ops.graph_smooth(*self.graph, self.root * emitted, AFTER)
        return orthonormal(torch.cat([self.coarse, smoothed], dim=1))[0]

    def _turn(self, small: Tensor) -> Tensor:
        """The eigenvectors of the largest eigenvalues ``(columns, modes)``."""
        wide = small.double()
        return torch.linalg.eigh((wide + wide.T) / 2)[1].flip(1)[:, : self.modes].to(small)
