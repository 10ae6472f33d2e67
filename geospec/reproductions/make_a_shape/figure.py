"""The picture: input beside output, what is missing by the number of trees, and every check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ...viz.camera import View
from ...viz.picture import Picture
from ...viz.render import render
from ...viz.sheets import Panel, compose
from ..drawing import COLORS, GRID, INK, SOFT, WIDTH, check_list, stacked
from ..record import Row
from .exhibits import Surfaces, Sweep

if TYPE_CHECKING:
    from PIL.Image import Image

PALE = "#c3c8d0"
#: From where surfaces are seen, z upwards.
VIEW = View.along((0.55, -1.0, 0.5), up=(0, 0, 1))


def draw(rows: Sequence[Row]) -> Image:
    """One sheet of all that the rows have to show."""
    parts = [_surfaces(row.exhibit) for row in rows if isinstance(row.exhibit, Surfaces)]
    parts += [_sweep(row.exhibit).image() for row in rows if isinstance(row.exhibit, Sweep)]
    parts.append(check_list(rows).image())
    return stacked(parts)


def _surfaces(shown: Surfaces) -> Image:
    panels = [Panel(render(mesh, size=(400, 380), view=VIEW), title, note) for title, note, mesh in shown.panels]
    return compose(panels, len(panels), shown.name)


def _sweep(shown: Sweep) -> Picture:
    """1 - IoU by the number of trees, both logarithmic: each shape pale, their mean in colour."""
    height, left, right, top = 430, 80, WIDTH - 200, 60
    picture = Picture(WIDTH, height)
    picture.text(20, 18, "What is missing of an IoU of 1, by the number of trees that are kept", INK, size=16)
    picture.text(20, 38, "pale: each solid; blue: their mean; the tail is what the dropped finest level holds", SOFT, size=12)
    bottom, low, high = height - 40, 1e-4, 0.3
    first, last = math.log(shown.counts[0]), math.log(shown.counts[-1])

    def place(k: float, value: float) -> tuple[float, float]:
        share = (math.log(max(value, low)) - math.log(low)) / (math.log(high) - math.log(low))
        return left + (right - left) * (math.log(k) - first) / (last - first), bottom - (bottom - top) * share

    for value in (0.1, 0.01, 0.005, 0.001, 1e-4):
        y = place(shown.counts[0], value)[1]
        picture.line(left, y, right, y, GRID)
        picture.text(left - 8, y, f"{value:g}", SOFT, "end")
    for k in shown.counts:
        picture.text(place(k, 1)[0], bottom + 18, f"{k:,}", SOFT, "middle")
    curves = [(values, PALE, 1.0) for values in shown.missing.values()]
    mean = [sum(column) / len(column) for column in zip(*shown.missing.values(), strict=True)]
    for values, color, width in [*curves, (mean, COLORS[0], 3.0)]:
        for (k, a), (next_k, b) in pairwise(zip(shown.counts, values, strict=True)):
            picture.line(*place(k, a), *place(next_k, b), color, width)
    below = top - 15.0
    for name, values in sorted(shown.missing.items(), key=lambda item: -item[1][-1])[:3]:
        x, y = place(shown.counts[-1], values[-1])
        below = max(y, below + 15)  # names do not cover each other
        picture.text(x + 10, below, name, SOFT, size=12)
    return picture
