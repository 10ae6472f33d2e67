"""Wavelet bases of grids."""

from .coefficients import TreeCode, WaveletCoefficients
from .tree import WaveletTree

__all__ = ["TreeCode", "WaveletCoefficients", "WaveletTree"]
