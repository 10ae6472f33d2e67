"""Random fields that say which operator a learned basis belongs to: its eigenvectors reconstruct them best."""

from .families import (
    CallableProbes,
    FreeFieldProbes,
    HeatProbes,
    MaternProbes,
    PiecewiseConstantProbes,
    PolynomialProbes,
    ProbeFamily,
    SchrodingerProbes,
    family_of,
)
from .fields import GraphProbes, Probes, SampledProbes
from .graph import SmoothingGraph, smoothing_graph

__all__ = [
    "CallableProbes",
    "FreeFieldProbes",
    "GraphProbes",
    "HeatProbes",
    "MaternProbes",
    "PiecewiseConstantProbes",
    "PolynomialProbes",
    "ProbeFamily",
    "Probes",
    "SampledProbes",
    "SchrodingerProbes",
    "SmoothingGraph",
    "family_of",
    "smoothing_graph",
]
