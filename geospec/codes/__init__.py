"""Shape codes: any mesh, cloud or distance field as a few wavelet trees, and back."""

from .editing import blend, denoise, repair
from .encoding import encode, field_in_box
from .files import PRESETS, Loss
from .measures import inside_iou
from .shape_code import ShapeCode

__all__ = ["PRESETS", "Loss", "ShapeCode", "blend", "denoise", "encode", "field_in_box", "inside_iou", "repair"]
