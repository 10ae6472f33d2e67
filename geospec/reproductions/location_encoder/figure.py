"""The picture: what each model says all over the globe, accuracy by latitude and by size of cells, and every check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...shapes import Sphere
from ...viz import world_maps
from ...viz.picture import Picture
from ..drawing import COLORS, GRID, INK, SOFT, WIDTH, check_list, stacked
from ..record import Row
from .exhibits import Curves, Maps

if TYPE_CHECKING:
    from PIL.Image import Image

HEIGHT = 400
#: Rows and columns of the grid that maps are drawn from.
GRID_OF_MAPS = (480, 960)


def draw(rows: Sequence[Row]) -> Image:
    """One sheet of all that the rows have to show."""
    parts = [_maps(row.exhibit, row.what) for row in rows if isinstance(row.exhibit, Maps)]
    charts = [row.exhibit for row in rows if isinstance(row.exhibit, Curves)]
    if charts:
        picture = Picture(WIDTH, HEIGHT * -(-len(charts) // 2))
        for i, chart in enumerate(charts):
            _curves(picture, chart, WIDTH / 2 * (i % 2), HEIGHT * (i // 2))
        parts.append(picture.image())
    parts.append(check_list(rows).image())
    return stacked(parts)


def _maps(shown: Maps, heading: str) -> Image:
    """On a grid of half a degree or so, which is as fine as the pixels."""
    xyz = Sphere.equiangular(*GRID_OF_MAPS, dtype=torch.float32).points
    fields = {name: _answers(field, xyz, shown.classes is not None) for name, field in shown.fields.items()}
    return world_maps(fields, columns=3, heading=heading, classes=shown.classes, width=520)


def _answers(field: Callable[[Tensor], Tensor], xyz: Tensor, categorical: bool) -> Tensor:
    """One number at each place of the grid: of classes the likeliest."""
    said = torch.cat([field(part) for part in xyz.split(1 << 15)])
    if said.dim() == 2:
        said = said.argmax(dim=1) if categorical else said[:, 0]
    return said.reshape(GRID_OF_MAPS)


def _curves(picture: Picture, chart: Curves, left: float, top: float) -> None:
    """Per cent upwards, from the tens below the least to 100; the places along the axis in equal steps."""
    x, right, y, bottom = left + 46, left + WIDTH / 2 - 190, top + 50, top + HEIGHT - 40
    low = 10 * (int(min(min(values) for values in chart.values.values())) // 10)

    def place(i: int, value: float) -> tuple[float, float]:
        return x + (right - x) * i / max(len(chart.along) - 1, 1), bottom - (bottom - y) * (value - low) / (100 - low)

    picture.text(left + 20, top + 18, chart.title, INK, size=16)
    for level in range(low, 101, 10 if low >= 40 else 20):
        height = place(0, level)[1]
        picture.line(x, height, right, height, GRID)
        picture.text(x - 8, height, f"{level}", SOFT, "end")
    for i, name in enumerate(chart.along):
        picture.text(place(i, 0)[0], bottom + 16, name, SOFT, "middle")
    for j, (name, values) in enumerate(chart.values.items()):
        points = [place(i, value) for i, value in enumerate(values)]
        for a, b in pairwise(points):
            picture.line(*a, *b, COLORS[j], 2.2)
        for point in points:
            picture.dot(*point, 3, COLORS[j])
        picture.line(right + 14, y + 18 * j, right + 32, y + 18 * j, COLORS[j], 3)
        picture.text(right + 38, y + 18 * j, name, INK, size=12)
