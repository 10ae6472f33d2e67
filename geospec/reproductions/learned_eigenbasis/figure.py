"""The picture: learned modes beside cotangent modes, cosines by mode, and how far every check is from its limit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ...shapes import PointCloud
from ...viz.camera import View
from ...viz.picture import Picture
from ...viz.render import positions, render
from ...viz.sheets import Panel, compose
from ..drawing import COLORS, GRID, INK, SOFT, WIDTH, check_list, stacked
from ..record import Row
from .meshes import Exhibit

if TYPE_CHECKING:
    from PIL.Image import Image

PALE = "#b9bec8"
#: Modes that are drawn of the first mesh.
SHOWN = (1, 4, 9, 19)


def draw(rows: Sequence[Row]) -> Image:
    """One sheet of all that the rows have to show."""
    exhibits = [row.exhibit for row in rows if isinstance(row.exhibit, Exhibit)]
    exhibits.sort(key=lambda exhibit: exhibit.paper is None)
    parts = []
    if exhibits:
        parts += [_modes(exhibits[0]), _curves(exhibits).image()]
    parts.append(check_list(rows).image())
    return stacked(parts)


def _modes(shown: Exhibit) -> Image:
    """Learned columns above the oracle's, of one sign, on the samples."""
    cloud = PointCloud(shown.points)
    view = View.automatic(positions(cloud))
    panels = []
    modes = [i for i in SHOWN if i < shown.learned.shape[1]]
    for name, columns in (("learned", shown.learned), ("cotangent", shown.oracle)):
        for i in modes:
            column, other = columns[:, i].numpy(), shown.oracle[:, i].numpy()
            column = column * np.sign(column @ other)
            reach = float(np.percentile(np.abs(column), 99))
            picture = render(cloud, colors=column, colormap="diverging", limits=(-reach, reach), size=(600, 520), view=view)
            panels.append(Panel(picture, f"{name}, mode {i}", f"|cos| {shown.cosines[i]:.3f}" if name == "learned" else ""))
    note = f"{len(shown.points):,} farthest-point samples; learned from the points alone, the cotangent modes from the whole mesh"
    return compose(panels, len(modes), f"{shown.name}: learned and cotangent modes", note)


def _curves(exhibits: list[Exhibit]) -> Picture:
    """Running mean of |cos| over the first k modes, index by index: learned thick, the smoother's exact vectors thin."""
    height, left, right, top = 430, 60, WIDTH - 260, 60
    picture = Picture(WIDTH, height)
    picture.text(20, 18, "Mean |cos| over the first k modes, index by index", INK, size=16)
    picture.text(
        20, 38, "thick: learned; thin: exact eigenvectors of the smoother; dots: the paper; grey: meshes that it has not", SOFT, size=12
    )
    bottom = height - 36
    longest = max(len(exhibit.cosines) for exhibit in exhibits)

    def place(k: float, value: float) -> tuple[float, float]:
        return left + (right - left) * (k - 1) / max(longest - 1, 1), bottom - (bottom - top) * max(value, 0.0)

    def curve(cosines: list[float], color: str, width: float) -> None:
        means = np.cumsum(cosines) / np.arange(1, len(cosines) + 1)
        for (k, a), (_, b) in pairwise(enumerate(means, start=1)):
            picture.line(*place(k, float(a)), *place(k + 1, float(b)), color, width)

    for tenth in range(0, 11, 2):
        _, y = place(1, tenth / 10)
        picture.line(left, y, right, y, GRID)
        picture.text(left - 8, y, f"{tenth / 10:g}", SOFT, "end")
    for k in (1, 10, 20, 30, 40, 50):
        if k <= longest:
            picture.text(place(k, 0)[0], bottom + 16, str(k), SOFT, "middle")
    ours = [exhibit for exhibit in exhibits if exhibit.paper is not None]
    others = [exhibit for exhibit in exhibits if exhibit.paper is None]
    for exhibit in others:
        curve(exhibit.cosines, PALE, 1.2)
        picture.text(right + 6, place(1, float(np.mean(exhibit.cosines)))[1], exhibit.name, SOFT, size=9)
    for i, exhibit in enumerate(ours):
        color = COLORS[i % len(COLORS)]
        curve(exhibit.ceiling, color, 0.8)
        curve(exhibit.cosines, color, 2.5)
        for k, value in zip((10, 20, 50), (exhibit.paper or ())[:3], strict=False):
            picture.dot(*place(k, value), 4.5, color)
        y = top + 10 + 20 * i
        picture.line(right + 134, y, right + 158, y, color, 3)
        picture.text(right + 164, y, exhibit.name, INK, size=12)
    return picture
