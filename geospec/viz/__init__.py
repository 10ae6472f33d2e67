"""Pictures of shapes, modes and maps: PNG without a display, and reports that are one HTML file each."""

from .basis_page import basis_report
from .beside import Beside
from .camera import View
from .code_page import code_report
from .globe_page import globe_report
from .match_page import match_report
from .render import render, write_png
from .shape_page import shape_report
from .sheets import match_image, mode_pairs_sheet, mode_sheet, side_by_side
from .world_map import world_map, world_maps

__all__ = [
    "Beside",
    "View",
    "basis_report",
    "code_report",
    "globe_report",
    "match_image",
    "match_report",
    "mode_pairs_sheet",
    "mode_sheet",
    "render",
    "shape_report",
    "side_by_side",
    "world_map",
    "world_maps",
    "write_png",
]
