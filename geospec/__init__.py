"""geospec: geometry and spectral processing of meshes and point clouds, on PyTorch.

The path that data take is the order of the packages: a file becomes a *shape* (:func:`load`), a shape
a *Laplacian* (:func:`laplacian`), a Laplacian a *basis* (:class:`LaplaceBasis`), a basis *descriptors*
and *maps*, two shapes a *match* (:func:`match`).

Names load on first use, so that ``import geospec`` costs little more than torch itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        bases,
        codes,
        datasets,
        descriptors,
        diffusion,
        factor,
        geodesics,
        laplacians,
        losses,
        maps,
        metrics,
        models,
        nn,
        ops,
        pipelines,
        probes,
        reproductions,
        shapes,
        testing,
        training,
        transport,
        viz,
        weights,
    )
    from .bases import (
        Basis,
        DiffusionOperators,
        EigenbasisNetwork,
        Eigenpairs,
        LaplaceBasis,
        LearnedEigenbasis,
        SampledBasis,
        SphericalHarmonics,
        SphericalShape,
        WaveletTree,
        diffusion_operators,
        eigenpairs,
    )
    from .codes import ShapeCode, encode
    from .errors import ArgumentError, ConvergenceError, FileFormatError, GeospecError, MissingDependencyError, ShapeError
    from .factor import SparseFactor
    from .geodesics import geodesic_distances
    from .laplacians import ConnectionLaplacian, Laplacian, connection_laplacian, laplacian
    from .maps import FunctionalMapPrior
    from .models import LocationEncoder, MeshLocationEncoder
    from .pipelines import Match, match
    from .shapes import DistanceField, Grid, Mesh, PointCloud, Sphere, distance_field, load, repair, report, save
    from .transport import VectorHeat

__version__ = "0.1.0"

_PACKAGES = (
    "bases",
    "codes",
    "datasets",
    "descriptors",
    "diffusion",
    "factor",
    "geodesics",
    "laplacians",
    "losses",
    "maps",
    "metrics",
    "models",
    "nn",
    "ops",
    "pipelines",
    "probes",
    "reproductions",
    "shapes",
    "testing",
    "training",
    "transport",
    "viz",
    "weights",
)
_HOME = {
    "ArgumentError": "errors",
    "Basis": "bases",
    "ConnectionLaplacian": "laplacians",
    "ConvergenceError": "errors",
    "DiffusionOperators": "bases",
    "DistanceField": "shapes",
    "EigenbasisNetwork": "bases",
    "Eigenpairs": "bases",
    "FileFormatError": "errors",
    "FunctionalMapPrior": "maps",
    "GeospecError": "errors",
    "Grid": "shapes",
    "LaplaceBasis": "bases",
    "Laplacian": "laplacians",
    "LearnedEigenbasis": "bases",
    "LocationEncoder": "models",
    "Match": "pipelines",
    "Mesh": "shapes",
    "MeshLocationEncoder": "models",
    "MissingDependencyError": "errors",
    "PointCloud": "shapes",
    "SampledBasis": "bases",
    "ShapeCode": "codes",
    "ShapeError": "errors",
    "SparseFactor": "factor",
    "Sphere": "shapes",
    "SphericalHarmonics": "bases",
    "SphericalShape": "bases",
    "VectorHeat": "transport",
    "WaveletTree": "bases",
    "connection_laplacian": "laplacians",
    "diffusion_operators": "bases",
    "distance_field": "shapes",
    "eigenpairs": "bases",
    "encode": "codes",
    "geodesic_distances": "geodesics",
    "laplacian": "laplacians",
    "load": "shapes",
    "match": "pipelines",
    "repair": "shapes",
    "report": "shapes",
    "save": "shapes",
}

__all__ = [
    "ArgumentError",
    "Basis",
    "ConnectionLaplacian",
    "ConvergenceError",
    "DiffusionOperators",
    "DistanceField",
    "EigenbasisNetwork",
    "Eigenpairs",
    "FileFormatError",
    "FunctionalMapPrior",
    "GeospecError",
    "Grid",
    "LaplaceBasis",
    "Laplacian",
    "LearnedEigenbasis",
    "LocationEncoder",
    "Match",
    "Mesh",
    "MeshLocationEncoder",
    "MissingDependencyError",
    "PointCloud",
    "SampledBasis",
    "ShapeCode",
    "ShapeError",
    "SparseFactor",
    "Sphere",
    "SphericalHarmonics",
    "SphericalShape",
    "VectorHeat",
    "WaveletTree",
    "bases",
    "codes",
    "connection_laplacian",
    "datasets",
    "descriptors",
    "diffusion",
    "diffusion_operators",
    "distance_field",
    "eigenpairs",
    "encode",
    "factor",
    "geodesic_distances",
    "geodesics",
    "laplacian",
    "laplacians",
    "load",
    "losses",
    "maps",
    "match",
    "metrics",
    "models",
    "nn",
    "ops",
    "pipelines",
    "probes",
    "repair",
    "report",
    "reproductions",
    "save",
    "shapes",
    "testing",
    "training",
    "transport",
    "viz",
    "weights",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
