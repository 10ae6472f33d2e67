"""The picture: shares of the Wiener filter's error, masks as images, error curves, reliability, and every check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...maps import error_curve
from ...viz.colormaps import colorize
from ...viz.picture import Picture
from ...viz.sheets import Panel, compose
from ..drawing import BAD, COLORS, GOOD, GRID, INK, SOFT, WIDTH, check_list, stacked
from ..record import Row
from .exhibits import Bars, Curves, Masks, Reliability

if TYPE_CHECKING:
    from PIL.Image import Image

#: Side of a mask's image, in pixels.
SIDE = 480
#: Largest error that the curves show, x 100.
REACH = 20.0
HEIGHT = 380


def draw(rows: Sequence[Row]) -> Image:
    """One sheet of all that the rows have to show."""
    shown = [row.exhibit for row in rows]
    parts = []
    if bars := [exhibit for exhibit in shown if isinstance(exhibit, Bars)]:
        parts.append(_bars(bars).image())
    parts += [_masks(exhibit) for exhibit in shown if isinstance(exhibit, Masks)][:1]
    charts: list[Callable[[Picture, float, float], None]] = []
    charts += [_curves(exhibit) for exhibit in shown if isinstance(exhibit, Curves)]
    charts += [_reliability(exhibit) for exhibit in shown if isinstance(exhibit, Reliability)]
    for start in range(0, len(charts), 2):
        picture = Picture(WIDTH, HEIGHT)
        for i, chart in enumerate(charts[start : start + 2]):
            chart(picture, 20 + i * WIDTH / 2, WIDTH / 2 - 40)
        parts.append(picture.image())
    parts.append(check_list(rows).image())
    return stacked(parts)


def _bars(exhibits: list[Bars]) -> Picture:
    """A row for each group: its error at each noise level in shares of the Wiener filter's, which is the line at 1."""
    groups = [(name, levels) for exhibit in exhibits for name, levels in exhibit.shares.items()]
    levels = sorted({level for _, found in groups for level in found})
    step, half = 14 * len(levels) + 10, -(-len(groups) // 2)
    picture = Picture(WIDTH, 66 + step * half)
    picture.text(
        20,
        18,
        "Error of denoised maps over that of the Wiener filter: left of the line the network is better",
        INK,
        size=16,
    )
    for j, level in enumerate(levels):
        picture.line(22 + 110 * j, 42, 40 + 110 * j, 42, COLORS[j], 8)
        picture.text(46 + 110 * j, 42, f"sigma {level:g}", SOFT)
    longest = max(1.1, *(share for _, found in groups for share in found.values()))
    for i, (name, found) in enumerate(groups):
        left, top = 190 + WIDTH / 2 * (i // half), 66 + step * (i % half)
        scale = (WIDTH / 2 - 250) / longest
        picture.text(left - 8, top + step / 2 - 6, name, INK, "end", size=12)
        for j, level in enumerate(levels):
            y, share = top + 14 * j, found.get(level)
            if share is not None:
                picture.line(left, y, left + scale * share, y, COLORS[j], 10)
                picture.text(left + scale * max(share, 1) + 6, y, f"{share:.3f}", GOOD if share < 1 else BAD, size=10)
        picture.line(left + scale, top - 9, left + scale, top + step - 15, INK, 1)
    return picture


def _masks(exhibit: Masks) -> Image:
    """The true map's magnitudes and the masks beside them; each mask has its own scale."""
    panels = [Panel(_image(exhibit.true_map.abs(), "sequential"), "true map, magnitudes", bar=("sequential", "0", "1"))]
    panels += [Panel(_image(mask, "error"), name, bar=("error", "belongs", "does not")) for name, mask in exhibit.masks.items()]
    note = "rows: modes of the target; columns: modes of the source; each mask on its own scale"
    return compose(panels, len(panels), "What each mask holds against an entry", note)


def _image(values: Tensor, colormap: str) -> np.ndarray:
    """A matrix as squares, from its smallest value to its 98th percentile, with a white margin."""
    low, high = float(values.min()), float(values.double().quantile(0.98))
    colors = colorize(values.double().numpy(), colormap, (low, max(high, low + 1e-12)))
    index = torch.arange(SIDE) * values.shape[0] // SIDE, torch.arange(SIDE) * values.shape[1] // SIDE
    pixels = np.rint(255 * colors[index[0].numpy()][:, index[1].numpy()]).astype(np.uint8)
    return np.pad(pixels, ((8, 8), (20, 20), (0, 0)), constant_values=255)


def _curves(exhibit: Curves) -> Callable[[Picture, float, float], None]:
    def chart(picture: Picture, x: float, width: float) -> None:
        place = _axes(picture, x, width, f"{exhibit.title}: share of points within an error", f"geodesic error x 100, to {REACH:g}", REACH)
        thresholds = torch.linspace(0, REACH, 81)
        for i, (name, errors) in enumerate(exhibit.errors.items()):
            points = [place(float(t), float(y)) for t, y in zip(thresholds, error_curve(errors, thresholds), strict=True)]
            for a, b in pairwise(points):
                picture.line(*a, *b, COLORS[i % len(COLORS)], 2.2)
            y = HEIGHT - 60 - 17 * (len(exhibit.errors) - i)
            picture.line(x + width - 190, y, x + width - 168, y, COLORS[i % len(COLORS)], 3)
            picture.text(x + width - 162, y, f"{name} {float(errors.mean()):.2f}", INK)

    return chart


def _reliability(exhibit: Reliability) -> Callable[[Picture, float, float], None]:
    def chart(picture: Picture, x: float, width: float) -> None:
        place = _axes(picture, x, width, f"{exhibit.title}: share of right points", "confidence; dots as large as their bin", 1.0)
        picture.line(*place(0, 0), *place(1, 1), SOFT, 1)
        for confidence, within, share in zip(exhibit.confidence, exhibit.within, exhibit.share, strict=True):
            if float(share) > 0:
                picture.dot(*place(float(confidence), float(within)), 3 + 14 * float(share) ** 0.5, COLORS[0])
        picture.text(x + width - 20, HEIGHT - 62, f"mean distance from the line {exhibit.gap:.3f}", INK, "end", size=12)

    return chart


def _axes(picture: Picture, x: float, width: float, title: str, below: str, reach: float) -> Callable[[float, float], tuple[float, float]]:
    """A frame from 0 to ``reach`` across and 0 to 1 up; where a point of it stands on the picture."""
    left, top, bottom = x + 36, 50, HEIGHT - 46
    across = width - 46

    def place(value: float, height: float) -> tuple[float, float]:
        return left + across * value / reach, bottom - (bottom - top) * height

    picture.text(x, 18, title, INK, size=14)
    for part in range(6):
        y = place(0, part / 5)[1]
        picture.line(left, y, left + across, y, GRID)
        picture.text(left - 6, y, f"{part / 5:g}", SOFT, "end")
        picture.text(place(reach * part / 5, 0)[0], bottom + 14, f"{reach * part / 5:g}", SOFT, "middle")
    picture.text(left + across / 2, bottom + 32, below, SOFT, "middle")
    return place
