"""Bases of functions on shapes: the contract, and the producers that keep it."""

from .base import Basis, SampledBasis
from .diffusion import DiffusionOperators, diffusion_operators, tangent_gradients
from .eigensolvers import Eigenpairs, eigenpairs
from .laplace import LaplaceBasis
from .learned import EigenbasisNetwork, LearnedEigenbasis
from .spherical import SphericalHarmonics, SphericalShape, star_center, star_defect
from .wavelet import TreeCode, WaveletCoefficients, WaveletTree

__all__ = [
    "Basis",
    "DiffusionOperators",
    "EigenbasisNetwork",
    "Eigenpairs",
    "LaplaceBasis",
    "LearnedEigenbasis",
    "SampledBasis",
    "SphericalHarmonics",
    "SphericalShape",
    "TreeCode",
    "WaveletCoefficients",
    "WaveletTree",
    "diffusion_operators",
    "eigenpairs",
    "star_center",
    "star_defect",
    "tangent_gradients",
]
