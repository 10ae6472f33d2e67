"""Pictures of shapes, modes and maps: PNG without a display, and reports that are one HTML file each."""

from .camera import View
from .render import render, write_png

__all__ = ["View", "render", "write_png"]
