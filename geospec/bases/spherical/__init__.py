"""The basis of spherical harmonics, its transforms, rotations and fits, and surfaces that it describes."""

from .basis import SphericalHarmonics
from .surface import SphericalShape, star_center, star_defect

__all__ = ["SphericalHarmonics", "SphericalShape", "star_center", "star_defect"]
