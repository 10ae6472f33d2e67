"""The basis of spherical harmonics, its transforms, rotations and fits."""

from .basis import SphericalHarmonics

__all__ = ["SphericalHarmonics"]
