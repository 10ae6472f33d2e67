"""What a cloud teaches the eigenbasis network: the smooth fields on it."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from ..bases import eigenpairs
from ..bases.learned.columns import orthonormal, rayleigh_ritz, with_constant
from ..laplacians.sparse import csr
from ..losses import nested_reconstruction
from ..metrics import optimality_ratio, subspace_overlap
from ..probes import HeatProbes

#: Modes of the first of the two overlaps that are told.
FEW = 10


class HeatLesson:
    """Columns on a cloud are as good as heat probes are reconstructed from them: a constant in front, made orthonormal, log loss."""

    def __init__(self, points: Tensor, modes: int) -> None:
        self.points, self.modes = points, modes
        self.probes = HeatProbes().on(points, modes)
        self.total = self.probes.trace(modes)

    def loss(self, columns: Tensor) -> Tensor:
        q = self._orthonormal(columns)
        held = q.detach()
        smoothed = self.probes.covariance(held)
        # The value q^T C q with its gradient 2 C q: the products of the second are those of the first.
        captured = 2 * (q * smoothed).sum(dim=0) - (held * smoothed).sum(dim=0)
        return nested_reconstruction(captured, max(self.total, float(captured.detach().double().sum()) * (1 + 1e-9)))

    @torch.no_grad()
    def measures(self, columns: Tensor) -> dict[str, float]:
        """Overlap with the true eigenspaces as emitted and after Rayleigh-Ritz, and the nested loss over its lower bound."""
        q = self._orthonormal(columns).double()
        factors, true = self._true
        k, few = true.shape[1], min(FEW, true.shape[1])
        turned = q @ rayleigh_ritz(q, self.probes, fixed=1).turn
        captured = (q * self.probes.covariance(q)).sum(dim=0)[:k]
        energies = self.probes.law.energy(factors)
        return {
            f"overlap_{few}": subspace_overlap(q[:, :few], true[:, :few]),
            f"overlap_{k}": subspace_overlap(q[:, :k], true),
            f"refined_{few}": subspace_overlap(turned[:, :few], true[:, :few]),
            "optimality_ratio": optimality_ratio(captured, energies, max(self.total, float(energies.sum()) * (1 + 1e-9))),
        }

    def _orthonormal(self, columns: Tensor) -> Tensor:
        return orthonormal(with_constant(columns.to(self.points), self.probes))[0]

    @cached_property
    def _true(self) -> tuple[Tensor, Tensor]:
        """Leading factors and eigenvectors of the smoothing step, by the library's eigensolver: they examine, they do not teach."""
        graph, n = self.probes.graph, self.probes.n
        crow, col = graph.crow.cpu().long(), graph.col.cpu().long()
        diagonal = (torch.repeat_interleave(torch.arange(n), crow.diff()) == col).double()
        pairs = eigenpairs(csr(crow, col, diagonal - graph.values.cpu().double()), k=self.modes)
        return (1 - pairs.values).to(self.points.device), pairs.vectors.to(self.points.device)
