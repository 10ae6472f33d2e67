"""What a spectrum says about a shape and its points, whatever the pose: input to maps and classifiers."""

from .pairs import KINDS as PAIRED_KINDS
from .pairs import paired_signatures
from .signatures import heat_kernel_signature, spectral_coordinates, wave_kernel_signature
from .spectrum import nonzero, shape_dna

__all__ = [
    "PAIRED_KINDS",
    "heat_kernel_signature",
    "nonzero",
    "paired_signatures",
    "shape_dna",
    "spectral_coordinates",
    "wave_kernel_signature",
]
