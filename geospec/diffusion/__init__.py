"""Denoising diffusion on tensors of any shape: preconditioning of a network, laws of the noise level, sampling. Knows tensors only.

``x = clean + sigma * n`` with standard normal ``n``; a denoiser ``D(x; sigma)`` estimates ``E[clean | x]``; the score of the noisy
density is ``(D(x; sigma) - x) / sigma^2``.
"""

from .levels import LogNormalLevels, LogUniformLevels, VariancePreservingLevels, karras_levels
from .preconditioning import EDM, IDDPM, VE, Coefficients, denoise
from .sampling import heun_sample

__all__ = [
    "EDM",
    "IDDPM",
    "VE",
    "Coefficients",
    "LogNormalLevels",
    "LogUniformLevels",
    "VariancePreservingLevels",
    "denoise",
    "heun_sample",
    "karras_levels",
]
