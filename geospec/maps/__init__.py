"""Basis to basis: functional maps, their conversion to point maps, refinement and evaluation."""

from .commuting import multiplication_operators, orientation_operators
from .conversion import functional_to_point, point_to_functional
from .functional_map import laplacian_mask, resolvent_mask, solve_functional_map
from .refinement import RefinedMap, bijective_zoomout, farthest_points, icp, zoomout

__all__ = [
    "RefinedMap",
    "bijective_zoomout",
    "farthest_points",
    "functional_to_point",
    "icp",
    "laplacian_mask",
    "multiplication_operators",
    "orientation_operators",
    "point_to_functional",
    "resolvent_mask",
    "solve_functional_map",
    "zoomout",
]
