"""What a spectrum says about a shape and its points, whatever the pose: input to maps and classifiers."""

from .pairs import KINDS as PAIRED_KINDS
from .pairs import paired_signatures
from .signatures import heat_kernel_signature, spectral_coordinates, wave_kernel_signature
from .spectrum import nonzero, shape_dna
from .spherical import bispectrum, bispectrum_degrees, neighbourhood_spectra, shell_spectra

__all__ = [
    "PAIRED_KINDS",
    "bispectrum",
    "bispectrum_degrees",
    "heat_kernel_signature",
    "neighbourhood_spectra",
    "nonzero",
    "paired_signatures",
    "shape_dna",
    "shell_spectra",
    "spectral_coordinates",
    "wave_kernel_signature",
]
