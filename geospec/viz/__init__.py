"""Pictures of shapes, modes and maps: PNG without a display, and reports that are one HTML file each."""

from .camera import View
from .render import render, write_png
from .sheets import match_image, mode_sheet

__all__ = ["View", "match_image", "mode_sheet", "render", "write_png"]
