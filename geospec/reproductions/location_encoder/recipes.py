"""Hyper-parameters, all in one place.

Those of the sine network and the degrees on harmonics are the paper's, as its code has them (``L`` polynomials are degree ``L - 1``). The
others are this project's: encodings of many scales have 32 radii from 1 to 360 degrees. Rates of Adam and weight decays are, of three or
four pairs, those of the least validation loss on the checkerboard with seed 0, tried on a few encodings of each kind.
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
#: Rate and weight decay where the paper gives none: of sine networks on two to four inputs and on many, and of the other networks.
_FEW, _MANY = (3e-3, 1e-4), (1e-3, 1e-4)
_RATES = {"linear": (3e-2, 1e-5), "fcnet": (1e-3, 1e-5)}
#: The paper's sine networks on harmonics: degree, rate, decay, hidden layers and their width.
_CHECKERBOARD = (14, 2.9e-4, 4.6e-3, 1, 128)
_LAND = (9, 1.42e-4, 3.7e-3, 2, 64)


def checkerboard_recipe(encoding: str, network: str, degree: int | None = None) -> Recipe:
    """For the checkerboard; ``degree`` in place of the paper's."""
    return _recipe(encoding, network, {"linear": 24, "fcnet": 14}, _CHECKERBOARD, degree)


def land_recipe(encoding: str, network: str) -> Recipe:
    """For land and ocean."""
    return _recipe(encoding, network, {"linear": 19, "fcnet": 14}, _LAND)


def field_recipe(encoding: str, network: str) -> Recipe:
    """For the field of known spectrum: all of this project's own choice."""
    return _recipe(encoding, network, {"linear": 29, "fcnet": 19}, (19, *_MANY, 2, 128))


def _recipe(
    encoding: str, network: str, degrees: dict[str, int], siren: tuple[int, float, float, int, int], degree: int | None = None
) -> Recipe:
    """``degrees`` are those of linear layers and fcnets on harmonics; ``siren`` is as of :data:`_CHECKERBOARD`."""
    harmonics = encoding == HARMONICS
    own, rate, decay, layers, hidden = siren
    if network == "siren":
        options = {"degree": own}
        rate, decay = (rate, decay) if harmonics else _FEW if encoding in ("direct", "cartesian3d", "wrap") else _MANY
    else:
        options, (rate, decay), hidden = {"degree": degrees[network]}, _RATES[network], 64
        decay = 0.0 if network == "linear" and encoding in BEYOND else decay
    if not harmonics:
        options = _OPTIONS.get(encoding, {})
    elif degree is not None:
        options = {"degree": degree}
    return Recipe(encoding, network, rate, decay, hidden, layers, options)
