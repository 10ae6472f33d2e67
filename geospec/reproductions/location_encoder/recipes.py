"""Hyper-parameters, all in one place.

Those of the sine network and the degrees on harmonics are the paper's, as its code has them (``L`` polynomials are degree ``L - 1``). The
others are this project's: encodings of many scales have 32 radii from 1 to 360 degrees, and rates are those of a few that gave the
least validation loss on the checkerboard, with seed 0.
"""

from __future__ import annotations

from typing import Any

from .training import Recipe

HARMONICS = "spherical-harmonics"
#: Encodings of longitude and latitude that the paper compares: the family of the double Fourier sphere.
RECTANGLE = ("direct", "wrap", "grid", "theory", "spherec", "spherec+", "spherem", "spherem+")
#: Those that it does not compare.
BEYOND = ("dfs", "nerf", "rff")
ENCODINGS = (HARMONICS, "cartesian3d", *RECTANGLE, *BEYOND)

_MANY_SCALES = {"scales": 32, "r_min": 1.0}
_OPTIONS: dict[str, dict[str, Any]] = {
    **{name: _MANY_SCALES for name in ("grid", "theory", "spherec", "spherec+", "spherem", "spherem+")},
    "dfs": {"scales": 8, "r_min": 3.0},
    "nerf": {"scales": 5},
    "rff": {"features": 256, "frequency": 8.0},
}
#: Adam's rate and weight decay for sine networks on other encodings than harmonics.
_SIREN_RATES = {"cartesian3d": 1e-3, "direct": 1e-3, "wrap": 1e-3}
#: Sizes of fcnets are not in the paper's code either.
_FCNET_HIDDEN = 64


def checkerboard_recipe(encoding: str, network: str, degree: int | None = None) -> Recipe:
    """For the checkerboard; ``degree`` in place of the paper's."""
    options = dict(_OPTIONS.get(encoding, {}))
    if encoding == HARMONICS:
        options = {"degree": degree if degree is not None else {"linear": 24, "siren": 14, "fcnet": 14}[network]}
    if network == "linear":
        return Recipe(encoding, network, 1e-2, options=options)
    if network == "fcnet":
        return Recipe(encoding, network, 1e-3, hidden=_FCNET_HIDDEN, options=options)
    if encoding == HARMONICS:
        return Recipe(encoding, network, 2.9e-4, 4.6e-3, options=options)
    return Recipe(encoding, network, _SIREN_RATES.get(encoding, 2.9e-4), 4.6e-3, options=options)


def land_recipe(encoding: str, network: str) -> Recipe:
    """For land and ocean."""
    options = {"degree": {"linear": 19, "siren": 9, "fcnet": 14}[network]} if encoding == HARMONICS else dict(_OPTIONS.get(encoding, {}))
    if network == "linear":
        return Recipe(encoding, network, 1e-2, options=options)
    if network == "fcnet":
        return Recipe(encoding, network, 1e-3, hidden=_FCNET_HIDDEN, options=options)
    return Recipe(encoding, network, 1.42e-4 if encoding == HARMONICS else 1e-3, 3.7e-3, hidden=64, layers=2, options=options)


def field_recipe(encoding: str, network: str) -> Recipe:
    """For the field of known spectrum, in place of ERA5: sizes are this project's."""
    options = {"degree": 29} if encoding == HARMONICS else dict(_OPTIONS.get(encoding, {}))
    return Recipe(encoding, network, {"linear": 1e-2, "siren": 1e-3, "fcnet": 1e-3}[network], hidden=128, layers=2, options=options)
