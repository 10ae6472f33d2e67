"""Bases of functions on shapes: the contract, and the producers that keep it."""

from .base import Basis, SampledBasis
from .diffusion import DiffusionOperators, diffusion_operators, tangent_gradients
from .eigensolvers import Eigenpairs, eigenpairs
from .laplace import LaplaceBasis
from .learned import EigenbasisNetwork, LearnedEigenbasis
from .spherical import SphericalHarmonics

__all__ = [
    "Basis",
    "DiffusionOperators",
    "EigenbasisNetwork",
    "Eigenpairs",
    "LaplaceBasis",
    "LearnedEigenbasis",
    "SampledBasis",
    "SphericalHarmonics",
    "diffusion_operators",
    "eigenpairs",
    "tangent_gradients",
]
