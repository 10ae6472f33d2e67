"""Bases of functions on shapes: the contract, and the producers that keep it."""

from .base import Basis, SampledBasis
from .laplace import LaplaceBasis

__all__ = ["Basis", "LaplaceBasis", "SampledBasis"]
