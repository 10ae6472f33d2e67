"""Shapes: domains with a measure, files in and out, what is the matter with them, and what can be made of them."""

from .cloud import PointCloud
from .files import SUFFIXES, load, save
from .mesh import Mesh
from .repair import STEPS as REPAIR_STEPS
from .repair import repair
from .report import MeshReport, ShapeReport, report
from .vertex_map import VertexMap, point_map_from_file, point_map_to_file

__all__ = [
    "REPAIR_STEPS",
    "SUFFIXES",
    "Mesh",
    "MeshReport",
    "PointCloud",
    "ShapeReport",
    "VertexMap",
    "load",
    "point_map_from_file",
    "point_map_to_file",
    "repair",
    "report",
    "save",
]
