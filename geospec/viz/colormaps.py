"""Small tables of colour: perceptual, safe for colour-blind readers, the same in pictures and reports.

Anchors are blended in Oklab (Ottosson 2020, "A perceptual color space for image processing"), so
equal steps of a value look like equal steps of colour.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentError, one_of, problem

#: What a value that is not a number looks like.
MISSING = (0.62, 0.62, 0.64)
#: A surface that carries no data.
PLAIN = (0.82, 0.83, 0.85)
#: Numbered points: told apart by hue and by lightness.
MARKERS = ("#e6194b", "#0072b2", "#f2a900", "#009e73", "#a349c4", "#15c3d6")

_ANCHORS = {
    "sequential": ("#2b1a57", "#3f3f98", "#2f76b2", "#2ba5a3", "#7ccb77", "#f6e763"),
    "diverging": ("#0f4a90", "#2f7dc0", "#8fbfe0", "#f4f2ee", "#f0b183", "#d2622a", "#8c3410"),
    "error": ("#f3f1ec", "#f7cf9f", "#ee9467", "#cf4f5c", "#8c2666", "#451545"),
}
COLORMAPS = tuple(_ANCHORS)

_TO_CONE = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def srgb_to_oklab(color: ArrayLike) -> NDArray[np.float64]:
    """Oklab ``(..., 3)`` of sRGB colours in [0, 1]; the first column is lightness, 0 black to 1 white."""
    c = np.asarray(color, dtype=np.float64)
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONE.T) @ _TO_LAB.T


def oklab_to_srgb(lab: ArrayLike) -> NDArray[np.float64]:
    """sRGB ``(..., 3)`` of Oklab colours, clipped to [0, 1]."""
    cone = np.asarray(lab, dtype=np.float64) @ np.linalg.inv(_TO_LAB).T
    linear = np.clip(cone**3 @ np.linalg.inv(_TO_CONE).T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def hex_to_rgb(code: str) -> tuple[float, float, float]:
    """``"#rrggbb"`` as three numbers in [0, 1]."""
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


@cache
def table(name: str) -> NDArray[np.float64]:
    """The 256 sRGB colours ``(256, 3)`` in [0, 1] of a map.

    ``"sequential"`` runs from dark to bright, ``"diverging"`` from blue through near-white (zero) to
    orange, ``"error"`` from near-white (none) to dark.
    """
    one_of("colormap", name, COLORMAPS)
    anchors = srgb_to_oklab([hex_to_rgb(code) for code in _ANCHORS[name]])
    at = np.linspace(0, len(anchors) - 1, 256)
    blended = np.stack([np.interp(at, np.arange(len(anchors)), column) for column in anchors.T], axis=1)
    return oklab_to_srgb(blended)


@cache
def categories(n: int) -> NDArray[np.float64]:
    """sRGB colours ``(n, 3)`` in [0, 1] of ``n`` classes.

    The hue advances by 157 degrees from blue while lightness and chroma go through four steps: of all such advances the one that keeps
    the first 4, 8 and 16 furthest apart in Oklab (0.23, 0.14, 0.09).
    """
    i = np.arange(n)
    hue, (lightness, chroma) = np.radians(250 + 157 * i), np.array([[0.58, 0.78, 0.86, 0.44], [0.12, 0.13, 0.10, 0.11]])[:, i % 4]
    return oklab_to_srgb(np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1))


def colorize(values: ArrayLike, colormap: str, limits: tuple[float, float]) -> NDArray[np.float64]:
    """sRGB ``(..., 3)`` in [0, 1] of numbers ``(...)``; ``limits`` go to the ends of the map, NaN to grey."""
    v = np.asarray(values, dtype=np.float64)
    low, high = limits
    unit = np.clip((v - low) / max(high - low, np.finfo(float).tiny), 0, 1)
    colors = table(colormap)[np.nan_to_num(np.rint(unit * 255)).astype(np.int64)]
    return np.where(np.isnan(v)[..., None], MISSING, colors)


def choose(values: ArrayLike, colormap: str | None = None, limits: tuple[float, float] | None = None) -> tuple[str, tuple[float, float]]:
    """The map and limits for some numbers: diverging about zero where both signs occur, else sequential.

    Limits are the 0.5th and 99.5th percentiles of the finite values (symmetric for a diverging
    map), so that one wild vertex does not wash out the rest. Whatever is given stays.
    """
    v = np.asarray(values, dtype=np.float64)
    finite = v[np.isfinite(v)]
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0.0, 1.0)
    if colormap is None:
        colormap = "diverging" if low < 0 < high and min(-low, high) > 0.02 * max(-low, high) else "sequential"
    one_of("colormap", colormap, COLORMAPS)
    if limits is not None:
        return colormap, (float(limits[0]), float(limits[1]))
    if colormap == "diverging":
        high = max(abs(low), abs(high))
        low = -high
    return colormap, (float(low), float(high) if high > low else float(low) + 1.0)


def position_colors(points: ArrayLike) -> NDArray[np.float64]:
    """A colour for each place of a shape: sRGB ``(n, 3)`` of positions ``(n, 3)``.

    Neighbours look alike and distant parts do not, left and right included, so a wrong
    correspondence shows as a wrong hue. The three principal axes drive Oklab's green-red,
    lightness and blue-yellow; each axis is spread mostly by rank, so that thin limbs
    far from the body do not squeeze it into one colour.
    """
    p = np.asarray(points, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] != 3:
        raise ArgumentError(problem("points", "shape (n, 3)", p.shape))
    centred = p - p.mean(axis=0) if len(p) else p
    axes = np.linalg.svd(centred.T @ centred)[0]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), range(3)])
    spread = [_spread(column) for column in (centred @ axes).T]
    lab = np.stack([0.70 + 0.17 * spread[1], 0.17 * spread[0], 0.15 * spread[2]], axis=1)
    return oklab_to_srgb(lab)


def _spread(column: NDArray[np.float64]) -> NDArray[np.float64]:
    extent = np.abs(column).max(initial=0) or 1.0
    rank = np.empty(len(column))
    rank[np.argsort(column, kind="stable")] = np.linspace(-1, 1, len(column))
    return 0.35 * column / extent + 0.65 * rank
