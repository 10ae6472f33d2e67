"""Encodings of places on the sphere: from a direction, or a longitude and latitude, to the features that a network reads."""

from __future__ import annotations

import inspect
from typing import Any

from ...errors import ArgumentError, one_of, problem
from .base import LongitudeLatitudeEncoding, PositionalEncoding
from .harmonics import DiscretizedSphericalHarmonics, SphericalHarmonicsEncoding
from .rectangle import Direct, DoubleFourierSphere, Grid, SphereC, SphereCPlus, SphereM, SphereMPlus, Theory, Wrap
from .space import Cartesian3D, NeRF, RandomFourier

ENCODINGS: dict[str, type[PositionalEncoding]] = {
    "direct": Direct,
    "cartesian3d": Cartesian3D,
    "wrap": Wrap,
    "grid": Grid,
    "theory": Theory,
    "spherec": SphereC,
    "spherec+": SphereCPlus,
    "spherem": SphereM,
    "spherem+": SphereMPlus,
    "dfs": DoubleFourierSphere,
    "nerf": NeRF,
    "rff": RandomFourier,
    "spherical-harmonics": SphericalHarmonicsEncoding,
    "discretized-spherical-harmonics": DiscretizedSphericalHarmonics,
}


def positional_encoding(name: str, **options: Any) -> PositionalEncoding:
    """The encoding of a name: a module from unit vectors ``(..., 3)`` to ``(..., features)``, with ``.at_lonlat(lon, lat)`` in degrees.

    ========================================  ===========================================  =======================
    name                                      options                                      features
    ========================================  ===========================================  =======================
    ``direct``                                ``variant``                                  2
    ``cartesian3d``                                                                        3
    ``wrap``                                                                               4
    ``grid``                                  ``scales``, ``r_min``, ``r_max``             4 scales
    ``theory``                                the same                                     6 scales
    ``spherec``, ``spherec+``                 the same and ``variant``                     3 scales, 6 scales
    ``spherem``, ``spherem+``                 the same and ``variant``                     5 scales, 8 scales
    ``dfs``                                   ``scales``, ``r_min``, ``r_max``             4 scales^2 + 4 scales
    ``nerf``                                  ``scales``                                   6 scales
    ``rff``                                   ``features``, ``frequency``, ``seed``        features
    ``spherical-harmonics``                   ``degree``, ``convention``                   (degree + 1)^2
    ``discretized-spherical-harmonics``       ``degree``, ``resolution``, ``convention``   (degree + 1)^2
    ========================================  ===========================================  =======================

    Features are those that the papers define. ``variant="released"`` is what the published code computes where that differs:
    features given twice, degrees taken for radians (SphereM), an offset of pi (direct). All are differentiable; those of longitude
    and latitude have no gradient at a pole, where it is set to 0.

    Raises
    ------
    ArgumentError : an unknown name, an option that the encoding does not have or refuses.

    Source: Russwurm et al., "Geographic location encoding with spherical harmonics and sinusoidal representation networks", ICLR 2024,
    and what it compares with.
    """
    one_of("name", name, tuple(ENCODINGS))
    known = inspect.signature(ENCODINGS[name]).parameters
    for option, value in options.items():
        if option not in known:
            raise ArgumentError(problem(option, f"an option of {name!r}: {', '.join(known) or 'it has none'}", repr(value)))
    return ENCODINGS[name](**options)


__all__ = ["ENCODINGS", "LongitudeLatitudeEncoding", "PositionalEncoding", "SphericalHarmonicsEncoding", "positional_encoding"]
