"""Shape codes: any mesh, cloud or distance field as a few wavelet trees, and back."""

from .encoding import encode
from .shape_code import ShapeCode

__all__ = ["ShapeCode", "encode"]
