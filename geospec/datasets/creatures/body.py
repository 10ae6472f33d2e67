"""The rest surface of a creature as an implicit function: a smooth union of tubes.

A tube is a chain of round cones along an interpolated curve with interpolated radii. Tubes are joined
by the cubic polynomial smooth minimum (Quilez, "Smooth minimum", 2013), which changes the surface only
where two tubes come within the blending width of each other. Negative inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_BLOCK = 16384  # points evaluated at once: (points, cones) arrays stay within some ten megabytes


@dataclass(frozen=True, eq=False)
class Tube:
    """One tube of the union.

    Parameters
    ----------
    points : (m, 3) control points of the centre line, m >= 1 (one point makes a ball).
    radii : (m,) radius at each control point.
    blend : width over which the tube melts into what came before it; 0 keeps the crease.
    flat : vector whose direction is squeezed and whose length is by how much: (0, 0, 2) halves the
        thickness along z. ``None`` leaves the tube round.
    steps : cones per control interval.
    """

    points: np.ndarray
    radii: np.ndarray
    blend: float
    flat: np.ndarray | None = None
    steps: int = 5

    @staticmethod
    def through(points: ArrayLike, radii: ArrayLike, blend: float, flat: ArrayLike | None = None, steps: int = 5) -> Tube:
        """A tube from plain lists; a single radius holds for all points."""
        centres = np.atleast_2d(np.asarray(points, dtype=float))
        thickness = np.broadcast_to(np.asarray(radii, dtype=float), (len(centres),)).copy()
        return Tube(centres, thickness, blend, None if flat is None else np.asarray(flat, dtype=float), steps)

    def mirrored(self) -> Tube:
        """The same tube on the other side of the plane x = 0."""
        sign = np.array([-1.0, 1.0, 1.0])
        return Tube(self.points * sign, self.radii, self.blend, None if self.flat is None else self.flat * sign, self.steps)

    def spheres(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres ``(s, 3)`` and radii ``(s,)`` along the interpolated centre line."""
        from scipy.interpolate import PchipInterpolator

        if len(self.points) == 1:
            return self.points, self.radii
        knots = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.points, axis=0), axis=1))])
        at = np.interp(np.linspace(0, len(knots) - 1, self.steps * (len(knots) - 1) + 1), np.arange(len(knots)), knots)
        curve = PchipInterpolator(knots, np.column_stack([self.points, self.radii]))(at)
        return curve[:, :3], curve[:, 3]


class _Cones:
    """A tube made ready for evaluation: its cones, in the squeezed space where they are round."""

    def __init__(self, tube: Tube) -> None:
        centres, radii = tube.spheres()
        squeeze = np.eye(3)
        if tube.flat is not None:
            factor = np.linalg.norm(tube.flat)
            squeeze += (factor - 1) * np.outer(tube.flat, tube.flat) / factor**2
        self.squeeze = squeeze
        self.slack = max(1.0, np.linalg.norm(squeeze, 2))  # keeps the gradient at most about one
        centres = centres @ squeeze
        if len(centres) == 1:
            centres, radii = np.repeat(centres, 2, axis=0), np.repeat(radii, 2)
        self.start, self.along = centres[:-1], np.diff(centres, axis=0)
        self.radius, self.growth = radii[:-1], np.diff(radii)
        self.length2 = np.maximum((self.along**2).sum(1), 1e-30)
        self.blend = tube.blend
        reach = radii[:, None] * np.ones(3)
        self.lower, self.upper = (centres - reach).min(0), (centres + reach).max(0)

    def bound(self, points: np.ndarray) -> np.ndarray:
        """A cheap lower bound of the value ``(n,)``: the distance to the tube's box; at most zero inside the box."""
        p = points @ self.squeeze
        outside = np.maximum(np.maximum(self.lower - p, p - self.upper), 0.0)
        return np.where(outside.any(1), np.sqrt((outside**2).sum(1)) / self.slack, -np.inf)

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value ``(n,)``, gradient ``(n, 3)`` and radius ``(n,)`` of the nearest cone."""
        p = points @ self.squeeze
        dot = p @ self.along.T - (self.start * self.along).sum(1)
        h = np.clip(dot / self.length2, 0.0, 1.0)
        square = (p**2).sum(1)[:, None] - 2 * p @ self.start.T + (self.start**2).sum(1) - h * (2 * dot - h * self.length2)
        value = np.sqrt(np.maximum(square, 0.0)) - (self.radius + h * self.growth)
        nearest = value.argmin(axis=1)
        rows = np.arange(len(p))
        h = h[rows, nearest]
        away = p - self.start[nearest] - h[:, None] * self.along[nearest]
        gradient = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
        inside = ((h > 0) & (h < 1))[:, None]
        gradient -= inside * self.along[nearest] * (self.growth / self.length2)[nearest, None]
        radius = (self.radius[nearest] + h * self.growth[nearest]) / self.slack
        return value[rows, nearest] / self.slack, gradient @ self.squeeze / self.slack, radius


class Body:
    """The smooth union of tubes: value, gradient, local thickness, and projection onto the surface."""

    def __init__(self, tubes: Sequence[Tube]) -> None:
        self.tubes = tuple(tubes)
        self._cones = [_Cones(tube) for tube in tubes]
        centres, radii = zip(*(tube.spheres() for tube in tubes), strict=True)
        centre, radius = np.concatenate(centres), np.concatenate(radii)[:, None]
        self.lower, self.upper = (centre - radius).min(0), (centre + radius).max(0)

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value ``(n,)``, gradient ``(n, 3)`` and local tube radius ``(n,)`` at ``points (n, 3)``.

        The value is at most about the distance to the surface in size; the gradient's length is at
        most about one and falls below where a tube is flattened.
        """
        blocks = [self._block(points[i : i + _BLOCK]) for i in range(0, max(len(points), 1), _BLOCK)]
        value, gradient, radius = (np.concatenate(part) for part in zip(*blocks, strict=True))
        return value, gradient, radius

    def _block(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        value, gradient, radius = self._cones[0].evaluate(points)
        for cones in self._cones[1:]:
            near = np.flatnonzero(cones.bound(points) < value + cones.blend)
            if not len(near):
                continue
            old = value[near]
            other, other_gradient, other_radius = cones.evaluate(points[near])
            reach = np.maximum(cones.blend - np.abs(old - other), 0.0) / cones.blend if cones.blend > 0 else np.zeros_like(old)
            share = 0.5 * reach**2  # of the farther tube in the gradient
            share = np.where(other < old, 1 - share, share)
            value[near] = np.minimum(old, other) - reach**3 * cones.blend / 6
            gradient[near] += share[:, None] * (other_gradient - gradient[near])
            radius[near] += share * (other_radius - radius[near])
        return value, gradient, radius

    def project(self, points: np.ndarray, iterations: int, limit: float) -> tuple[np.ndarray, np.ndarray]:
        """Newton steps, none longer than ``limit``, onto the zero set: points ``(n, 3)`` and unit normals ``(n, 3)``.

        The normals are those at the points before the last step.
        """
        for _ in range(iterations):
            value, gradient, _ = self.evaluate(points)
            square = np.maximum((gradient**2).sum(1, keepdims=True), 1e-3)
            step = value[:, None] * gradient / square
            length = np.linalg.norm(step, axis=1, keepdims=True)
            points = points - step * np.minimum(1.0, limit / np.maximum(length, 1e-30))
        return points, gradient / np.sqrt(square)
