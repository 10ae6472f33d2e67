"""Small figures of a report: a frame that turns values into places of an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


class Axes:
    """A frame for small figures: pixels of a value, grid lines, labels."""

    def __init__(self, right: float, high: float, low: float = 0.0, height: int = 280, logarithmic: bool = False) -> None:
        self.width, self.height, self.left, self.bottom, self.top = 460, height, 58, 34, 34
        self.right, self.high, self.low, self.logarithmic = right or 1.0, high, low, logarithmic

    def x(self, value: float) -> float:
        return self.left + (self.width - self.left - 12) * value / self.right

    def y(self, value: float) -> float:
        low, high, value = (self.low, self.high, max(value, self.low))
        if self.logarithmic:
            low, high, value = (math.log(v) for v in (low, high, value))
        return self.height - self.bottom - (self.height - self.bottom - self.top) * (value - low) / (high - low)

    def grid(self, across: list[float], labels: Sequence[tuple[float, str]] | None = None) -> str:
        """Lines at the heights ``across``, their values on the left; ``labels`` below, places and words: by default whole numbers."""
        labels = [(i, str(int(i))) for i in ticks(self.right) if i == int(i)] if labels is None else labels
        lines = []
        for value in across:
            lines.append(f'<line class="grid" x1="{self.left}" x2="{self.width - 12}" y1="{self.y(value):.1f}" y2="{self.y(value):.1f}"/>')
            lines.append(f'<text x="{self.left - 7}" y="{self.y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
        lines += [f'<text x="{self.x(at):.1f}" y="{self.height - 14}" text-anchor="middle">{words}</text>' for at, words in labels]
        return "".join(lines)

    def svg(self, inside: str, label: str, legend: str, attributes: str = "") -> str:
        words = f'<text x="{self.left}" y="16">{legend}</text>'
        box = f"0 0 {self.width} {self.height}"
        return f'<svg class="figure" {attributes} viewBox="{box}" role="img" aria-label="{label}">{inside}{words}</svg>'


def ticks(high: float) -> list[float]:
    """Round numbers from 0 to ``high``, four to eight of them."""
    step = 10.0 ** np.floor(np.log10(high / 4))
    step *= next(m for m in (5, 2, 1) if high / (step * m) >= 4)
    return [float(f"{i * step:.12g}") for i in range(int(high / step) + 1)]
