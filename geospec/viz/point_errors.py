"""How far a field is from what was measured at points, in numbers and over latitude."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ArgumentError, problem
from .axes import Axes, ticks
from .projections import lonlat_of
from .sphere_field import Field, SphereField, asked

#: Latitude bands of the figure, in degrees.
_BAND = 15


@dataclass(frozen=True)
class PointErrors:
    """What was measured at points, and how far a field is from it: distances of numbers, 1 where a class is wrong."""

    latitudes: NDArray[np.float64]
    targets: NDArray[np.float64]
    absolute: NDArray[np.float64]
    classes: bool

    @classmethod
    def of(cls, name: str, drawn: SphereField, given: Field, xyz: NDArray[np.float64], targets: Any) -> PointErrors:
        """Of a field at unit vectors ``(m, 3)``: a function is asked there, a grid interpolated. Messages call the targets ``name``.

        Raises
        ------
        ArgumentError : other than ``m`` finite numbers, one at least; of classes, other than their numbers.
        """
        wanted = drawn.at_points(name, targets, len(xyz))
        if not len(wanted):
            raise ArgumentError(problem(name, "one number per point, one at least", "no points"))
        lon, lat = lonlat_of(xyz)
        found = asked(name, given, torch.as_tensor(xyz, dtype=torch.float32)).astype(np.float64) if callable(given) else drawn.at(lon, lat)
        absolute = np.abs(found - wanted) if drawn.classes is None else (found != wanted).astype(np.float64)
        return cls(lat, wanted, absolute, drawn.classes is not None)

    def over(self, chosen: NDArray) -> float:
        """The share of wrong classes, or the root of the mean squared error."""
        return float(self.absolute[chosen].mean() if self.classes else np.sqrt((self.absolute[chosen] ** 2).mean()))

    def numbers(self) -> dict[str, Any]:
        everything = np.ones(len(self.targets), dtype=bool)
        worst = int(self.absolute.argmax())
        if self.classes:
            commonest = np.bincount(self.targets.astype(np.int64)).max() / len(self.targets)
            return {
                "points": len(self.targets),
                "right": 1 - self.over(everything),
                "right if always the commonest class": float(commonest),
            }
        spread = float(self.targets.std())
        told = {
            "points": len(self.targets),
            "root mean square error": self.over(everything),
            "mean absolute error": float(self.absolute.mean()),
        }
        told |= {"largest error": float(self.absolute[worst]), "of the point": worst, "standard deviation of the targets": spread}
        return told | ({"share of the variance explained": 1 - (self.over(everything) / spread) ** 2} if spread > 0 else {})

    def section(self, name: str) -> str:
        """Errors by bands of latitude as bars, the whole's as a dashed line."""
        edges = range(-90, 90, _BAND)
        band = np.minimum(((self.latitudes + 90) // _BAND).astype(int), len(edges) - 1)
        counts = np.bincount(band, minlength=len(edges))
        heights = [self.over(band == i) if counts[i] else 0.0 for i in range(len(edges))]
        whole = self.over(np.ones(len(band), dtype=bool))
        axes = Axes(180, max(*heights, 1e-300) * 1.08, height=220)
        bars = []
        for i, (low, height) in enumerate(zip(edges, heights, strict=True)):
            left, right, y = axes.x(low + 90 + 1), axes.x(low + 90 + _BAND - 1), axes.y(height)
            title = f"{low}° to {low + _BAND}°: {counts[i]:,} points" + (f", {height:.4g}" if counts[i] else "")
            shape = f'x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{axes.y(0) - y:.1f}"'
            bars.append(f'<rect class="bar" {shape}><title>{title}</title></rect>')
        mean = f'<line class="mean" x1="{axes.x(0):.1f}" x2="{axes.x(180):.1f}" y1="{axes.y(whole):.1f}" y2="{axes.y(whole):.1f}"/>'
        labels = [(lat + 90.0, f"{abs(lat)}°{'S' if lat < 0 else 'N' if lat else ''}") for lat in range(-60, 61, 30)]
        what = "share of wrong classes" if self.classes else "root mean square error"
        words = f"{what}; dashed: of all, {whole:.4g}"
        drawn = axes.svg(f"{axes.grid(ticks(axes.high), labels)}{''.join(bars)}{mean}", f"{what} over latitude", words)
        return f"<section><h2>Error by latitude: {html.escape(name)}</h2>{drawn}</section>"
