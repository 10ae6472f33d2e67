"""Shapes: domains with a measure, files in and out, what is the matter with them, and what can be made of them."""

from .adapters import from_open3d, from_pytorch3d, from_trimesh, to_open3d, to_pytorch3d, to_trimesh
from .cloud import PointCloud
from .clouds import estimate_normals, remove_outliers, voxel_downsample
from .distance import distance_field
from .files import SUFFIXES, load, save
from .grid import DistanceField, Grid
from .mesh import Mesh
from .reconstruction import reconstruct_surface
from .registration import RigidMotion, align_rigid, register_rigid
from .remesh import decimate, subdivide
from .repairs import STEPS as REPAIR_STEPS
from .repairs import repair
from .reports import MeshReport, ShapeReport, report
from .sampling import SurfaceSample, sample_surface
from .sphere import Sphere
from .vertex_map import VertexMap, point_map_from_file, point_map_to_file, values_to_file

__all__ = [
    "REPAIR_STEPS",
    "SUFFIXES",
    "DistanceField",
    "Grid",
    "Mesh",
    "MeshReport",
    "PointCloud",
    "RigidMotion",
    "ShapeReport",
    "Sphere",
    "SurfaceSample",
    "VertexMap",
    "align_rigid",
    "decimate",
    "distance_field",
    "estimate_normals",
    "from_open3d",
    "from_pytorch3d",
    "from_trimesh",
    "load",
    "point_map_from_file",
    "point_map_to_file",
    "reconstruct_surface",
    "register_rigid",
    "remove_outliers",
    "repair",
    "report",
    "sample_surface",
    "save",
    "subdivide",
    "to_open3d",
    "to_pytorch3d",
    "to_trimesh",
    "values_to_file",
    "voxel_downsample",
]
