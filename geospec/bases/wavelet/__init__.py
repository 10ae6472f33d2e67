"""Wavelet bases of grids."""

from .tree import TreeCode, WaveletCoefficients, WaveletTree

__all__ = ["TreeCode", "WaveletCoefficients", "WaveletTree"]
