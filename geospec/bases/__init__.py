"""Bases of functions on shapes: the contract, and the producers that keep it."""

from .base import Basis, SampledBasis
from .eigensolvers import Eigenpairs, eigenpairs
from .laplace import LaplaceBasis

__all__ = ["Basis", "Eigenpairs", "LaplaceBasis", "SampledBasis", "eigenpairs"]
