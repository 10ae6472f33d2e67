"""Growth with size: log-log panels, written as one self-contained SVG and as PNG from the same marks."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from geospec.viz.picture import Picture

from .problems import MAKERS
from .registry import is_ours

INK, SOFT, GRID = "#222222", "#666666", "#dddddd"
COLORS = ("#0b62a4", "#d1495b", "#66a182", "#8d6cab", "#edae49", "#2e4057", "#7f7f7f", "#b07aa1")
WIDTH, HEIGHT, LEFT, TOP, LEGEND = 330, 250, 62, 40, 22
LABELS = {"seconds": "seconds", "cpu": "CPU seconds", "over": "MiB over start"}


def draw(rows: list[dict[str, Any]], folder: Path, clock: str) -> list[Path]:
    """One picture a family that has at least two sizes: a column of panels for each ``k``, time above memory."""
    from geospec.viz.render import save_image

    written = []
    for family in dict.fromkeys(row["family"] for row in rows):
        done = [row for row in rows if row["family"] == family and row["status"] == "ok" and row["shape"] in MAKERS]
        if len({row["n"] for row in done}) < 2:
            continue
        picture = growth(family, done, clock)
        path = folder / re.sub("[^a-z0-9]+", "-", family.lower())
        path.with_suffix(".svg").write_text(picture.svg())
        written += [path.with_suffix(".svg"), save_image(picture.image(), path.with_suffix(".png"))]
    return written


def growth(family: str, rows: list[dict[str, Any]], clock: str) -> Picture:
    counts = sorted({row["k"] for row in rows})
    methods = list(dict.fromkeys(row["method"] for row in rows))
    colors = dict(zip(methods, COLORS * 2, strict=False))
    across = max(1, len(counts) * WIDTH // 220)
    bottom = TOP + 2 * HEIGHT
    picture = Picture(len(counts) * WIDTH, bottom + LEGEND * -(-len(methods) // across) + 10)
    picture.text(12, 18, f"{family}: growth with the number of points", INK, size=15)
    for column, k in enumerate(counts):
        for line, quantity in enumerate((clock, "over")):
            title = f"{LABELS[quantity]}, k = {k}" if k else LABELS[quantity]
            chosen = [row for row in rows if row["k"] == k and row[quantity] > 0]
            _panel(picture, column * WIDTH, TOP + line * HEIGHT, title, chosen, quantity, colors)
    for i, name in enumerate(methods):
        x, y = 12 + i % across * 220, bottom + 12 + LEGEND * (i // across)
        picture.line(x, y, x + 22, y, colors[name], 3 if is_ours(name) else 1.5)
        picture.text(x + 28, y, name, INK)
    return picture


def _panel(picture: Picture, left: float, top: float, title: str, rows: list[dict], quantity: str, colors: dict[str, str]) -> None:
    """One log-log panel with a tick at each power of ten."""
    picture.text(left + LEFT, top + 10, title, INK, size=12)
    if not rows:
        return
    x0, x1, y0, y1 = left + LEFT, left + WIDTH - 12, top + HEIGHT - 34, top + 24
    low_n, high_n = (math.log10(end(row["n"] for row in rows)) for end in (min, max))
    low, high = math.floor(math.log10(min(row[quantity] for row in rows))), math.ceil(math.log10(max(row[quantity] for row in rows)))
    high = max(high, low + 1)

    def x(n: float) -> float:
        return x0 + 8 + (x1 - x0 - 16) * (math.log10(n) - low_n) / max(high_n - low_n, 1e-9)

    def y(value: float) -> float:
        return y0 - (y0 - y1) * (math.log10(value) - low) / (high - low)

    for power in range(low, high + 1):
        picture.line(x0, y(10.0**power), x1, y(10.0**power), GRID)
        picture.text(x0 - 6, y(10.0**power), f"{10.0**power:g}", SOFT, "end")
    for n in sorted({row["n"] for row in rows}):
        short = f"{n // 1_000_000}M" if n >= 1_000_000 else f"{n // 1000}k"
        picture.text(x(n), y0 + 14, short, SOFT, "middle")
    for name, color in colors.items():
        at = sorted((row["n"], row[quantity]) for row in rows if row["method"] == name)
        width = 3 if is_ours(name) else 1.5
        for (n, value), (next_n, next_value) in pairwise(at):
            picture.line(x(n), y(value), x(next_n), y(next_value), color, width)
        for n, value in at:
            picture.dot(x(n), y(value), 2 + width / 2, color)
