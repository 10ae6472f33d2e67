"""The Laplacian of a shape as two tensors: one sign and one normalisation for all of geospec."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .sparse import csr


@dataclass(frozen=True, eq=False)
class Laplacian:
    """Stiffness and mass of a shape: the generalised eigenproblem is ``S phi = lambda M phi``.

    ``stiffness`` is a sparse CSR tensor ``(n, n)`` with int64 indices, symmetric positive
    semi-definite, rows summing to zero (so the pointwise operator ``M^-1 S`` is *minus* the
    analyst's Laplacian); its entry sums ``f^T S f`` are the Dirichlet energy. ``mass (n,)`` is the
    lumped diagonal, summing to the area. ``kind`` says which construction made it. Graphs have another
    mass (:func:`geospec.laplacians.graph_laplacian`); operators on edges and faces, and such with a Robin condition,
    have rows of another sum, and ``zero_rows`` false.
    """

    stiffness: Tensor
    mass: Tensor
    kind: str
    zero_rows: bool = True

    def __repr__(self) -> str:
        entries = self.stiffness.values().numel()
        return f"Laplacian({self.n_points} points, {entries} entries, {self.kind!r}, {str(self.mass.dtype)[6:]}, {self.mass.device})"

    @property
    def n_points(self) -> int:
        """Number of vertices or points."""
        return len(self.mass)

    def apply(self, signal: Tensor) -> Tensor:
        """``M^-1 S f`` for a signal ``(n, c)``: non-negative on average, zero on constants."""
        return (self.stiffness @ signal) / self.mass[:, None]

    def dirichlet_energy(self, signal: Tensor) -> Tensor:
        """``f^T S f`` of each column of a signal ``(n, c)``: the integral of ``|grad f|^2``, ``(c,)``."""
        return (signal * (self.stiffness @ signal)).sum(dim=0)

    def components(self) -> Tensor:
        """Label ``(n,)`` of the connected component of each point, from 0: points are linked by non-zero weights."""
        from scipy.sparse.csgraph import connected_components

        stiffness, _ = self.to_scipy()
        stiffness.eliminate_zeros()
        return torch.from_numpy(connected_components(stiffness, directed=False)[1]).long()

    def in_float64(self) -> Laplacian:
        """The same operator in float64, detached.

        The rows of a float32 stiffness sum to zero in float32 only, which can leave it an eigenvalue below zero. Its diagonal
        is taken anew, so that they do in float64.
        """
        stiffness, mass = self.stiffness.detach(), self.mass.detach()
        if stiffness.dtype == torch.float64:
            return replace(self, stiffness=stiffness, mass=mass)
        crow, col, values = stiffness.crow_indices(), stiffness.col_indices(), stiffness.values().double()
        if not self.zero_rows:
            return replace(self, stiffness=csr(crow, col, values), mass=mass.double())
        rows = torch.repeat_interleave(torch.arange(self.n_points, device=col.device), crow.diff())
        excess = torch.zeros(self.n_points, dtype=torch.float64, device=col.device).index_add(0, rows, values)
        values = torch.where(rows == col, values - excess[rows], values)
        return replace(self, stiffness=csr(crow, col, values), mass=mass.double())

    def to_scipy(self):
        """``(stiffness, mass)`` as SciPy CSR matrices, both ``(n, n)``, copied, as :meth:`in_float64` on the CPU."""
        import scipy.sparse

        wide = self.in_float64()
        s = wide.stiffness.cpu()
        arrays = (s.values().numpy(), s.col_indices().numpy(), s.crow_indices().numpy())
        stiffness = scipy.sparse.csr_matrix(arrays, shape=tuple(s.shape), copy=True)
        return stiffness, scipy.sparse.diags(wide.mass.cpu().numpy()).tocsr()

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Laplacian:
        """The same operator on another device or in another float type."""
        return replace(self, stiffness=self.stiffness.to(device=device, dtype=dtype), mass=self.mass.to(device=device, dtype=dtype))
