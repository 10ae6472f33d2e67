"""Bases of functions on shapes: the contract, and the producers that keep it."""

from .base import Basis, SampledBasis
from .diffusion import DiffusionOperators, diffusion_operators
from .laplace import LaplaceBasis

__all__ = ["Basis", "DiffusionOperators", "LaplaceBasis", "SampledBasis", "diffusion_operators"]
