"""Basis to basis: functional maps, their conversion to point maps, refinement and evaluation."""

from .alignment import Alignments, rigid_alignments
from .commuting import multiplication_operators, orientation_operators
from .confidence import map_features, map_warnings, point_features, round_trip_confidence, vertex_confidence
from .conversion import functional_to_point, point_to_functional
from .elastic import ElasticPair, elastic_refinement
from .functional_map import laplacian_mask, resolvent_mask, solve_functional_map
from .initial import N_MODES as FEWEST_MODES
from .initial import MapHypothesis, map_hypotheses
from .metrics import (
    area_under_curve,
    bijectivity_error,
    commutativity_residual,
    conformality_residual,
    coverage,
    dirichlet_energy,
    error_curve,
    geodesic_error,
    landmark_residual,
    orientation_agreement,
    orthogonality_residual,
)
from .optimisation import MapSide, OptimisedMap, optimise_map
from .prior import FunctionalMapPrior, PriorTraining, distillation_loss, properness_loss
from .refinement import RefinedMap, RefinedPair, bijective_zoomout, farthest_points, icp, zoomout

__all__ = [
    "FEWEST_MODES",
    "Alignments",
    "ElasticPair",
    "FunctionalMapPrior",
    "MapHypothesis",
    "MapSide",
    "OptimisedMap",
    "PriorTraining",
    "RefinedMap",
    "RefinedPair",
    "area_under_curve",
    "bijective_zoomout",
    "bijectivity_error",
    "commutativity_residual",
    "conformality_residual",
    "coverage",
    "dirichlet_energy",
    "distillation_loss",
    "elastic_refinement",
    "error_curve",
    "farthest_points",
    "functional_to_point",
    "geodesic_error",
    "icp",
    "landmark_residual",
    "laplacian_mask",
    "map_features",
    "map_hypotheses",
    "map_warnings",
    "multiplication_operators",
    "optimise_map",
    "orientation_agreement",
    "orientation_operators",
    "orthogonality_residual",
    "point_features",
    "point_to_functional",
    "properness_loss",
    "resolvent_mask",
    "rigid_alignments",
    "round_trip_confidence",
    "solve_functional_map",
    "vertex_confidence",
    "zoomout",
]
