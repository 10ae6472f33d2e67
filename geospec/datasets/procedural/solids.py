"""Solids as signed distances that are cut, joined and moved: what mechanical parts and household objects are drawn with.

A value is negative inside and its size never exceeds the distance to the surface; that of a primitive is the
distance itself. Formulas: I. Quilez, "Distance functions", 2008-2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_STEP = 1e-5  # of the differences that make a gradient; lengths are about one
_AROUND = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=float)


@dataclass(frozen=True, eq=False)
class Solid:
    """A signed distance and a box that holds the solid.

    ``a | b``, ``a & b`` and ``a - b`` are union, intersection and difference, with sharp edges where surfaces meet.
    """

    value: Callable[[np.ndarray], np.ndarray]
    lower: np.ndarray
    upper: np.ndarray

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, ...]:
        """``(value (n,),)`` at ``points (n, 3)``."""
        return (self.value(points),)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """Gradient ``(n, 3)`` by differences at the corners of a small tetrahedron."""
        at = points[:, None] + _STEP * _AROUND
        return self.value(at.reshape(-1, 3)).reshape(-1, 4) @ _AROUND / (4 * _STEP)

    def __or__(self, other: Solid) -> Solid:
        box = np.minimum(self.lower, other.lower), np.maximum(self.upper, other.upper)
        return Solid(lambda p: np.minimum(self.value(p), other.value(p)), *box)

    def __and__(self, other: Solid) -> Solid:
        box = np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper)
        return Solid(lambda p: np.maximum(self.value(p), other.value(p)), *box)

    def __sub__(self, other: Solid) -> Solid:
        return Solid(lambda p: np.maximum(self.value(p), -other.value(p)), self.lower, self.upper)

    def at(self, shift: ArrayLike) -> Solid:
        """The solid moved by ``shift``."""
        move = np.asarray(shift, dtype=float)
        return Solid(lambda p: self.value(p - move), self.lower + move, self.upper + move)

    def scaled(self, factor: float) -> Solid:
        """The solid made ``factor`` times as large about the origin."""
        return Solid(lambda p: self.value(p / factor) * factor, self.lower * factor, self.upper * factor)

    def along(self, axis: int) -> Solid:
        """The solid with its z axis turned to axis 0, 1 or 2, the others following in cyclic order."""
        order = np.roll(np.arange(3), 2 - axis)  # coordinate of p that each of the solid's own axes reads
        back = np.argsort(order)
        return Solid(lambda p: self.value(p[:, order]), self.lower[back], self.upper[back])

    def turned(self, rotation: np.ndarray) -> Solid:
        """The solid turned by a rotation matrix; its box becomes that of its box's corners."""
        corners = np.array(np.meshgrid(*zip(self.lower, self.upper, strict=True))).reshape(3, -1).T @ rotation.T
        return Solid(lambda p: self.value(p @ rotation), corners.min(0), corners.max(0))


def box(sides: Sequence[float]) -> Solid:
    """A box about the origin with these three side lengths."""
    half = np.asarray(sides, dtype=float) / 2

    def value(p: np.ndarray) -> np.ndarray:
        q = np.abs(p) - half
        return np.sqrt((np.maximum(q, 0) ** 2).sum(1)) + np.minimum(q.max(1), 0)

    return Solid(value, -half, half)


def cylinder(radius: float, height: float) -> Solid:
    """A cylinder about the origin along z."""
    half = np.array([radius, radius, height / 2])

    def value(p: np.ndarray) -> np.ndarray:
        across, up = np.hypot(p[:, 0], p[:, 1]) - radius, np.abs(p[:, 2]) - height / 2
        return np.hypot(np.maximum(across, 0), np.maximum(up, 0)) + np.minimum(np.maximum(across, up), 0)

    return Solid(value, -half, half)


def prism(sides: int, radius: float, height: float) -> Solid:
    """A regular prism about the origin along z; ``radius`` is that of the inscribed circle."""
    angles = 2 * np.pi * np.arange(sides) / sides
    outward = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    half = np.array([radius / np.cos(np.pi / sides)] * 2 + [height / 2])

    def value(p: np.ndarray) -> np.ndarray:
        return np.maximum((p[:, :2] @ outward.T).max(1) - radius, np.abs(p[:, 2]) - height / 2)

    return Solid(value, -half, half)


def ring(radius: float, thickness: float) -> Solid:
    """A torus about the origin and the z axis; ``thickness`` is the radius of its tube."""
    half = np.array([radius + thickness, radius + thickness, thickness])
    return Solid(lambda p: np.hypot(np.hypot(p[:, 0], p[:, 1]) - radius, p[:, 2]) - thickness, -half, half)


def ball(radius: float) -> Solid:
    """A ball about the origin."""
    half = np.full(3, radius)
    return Solid(lambda p: np.sqrt((p**2).sum(1)) - radius, -half, half)


def rod(start: ArrayLike, end: ArrayLike, radius: float) -> Solid:
    """A rod with round ends between two points."""
    return tube(np.array([start, end], dtype=float), radius)


def tube(points: np.ndarray, radius: float, closed: bool = False) -> Solid:
    """A round tube along a chain of points ``(m, 3)``, with round ends or closed to a loop.

    The nearest place is sought on the two pieces beside the nearest point: pieces should be shorter than the tube's bends and gaps.
    """
    from scipy.spatial import cKDTree

    starts = points if closed else points[:-1]
    along = np.roll(points, -1, axis=0)[: len(starts)] - starts
    length2 = np.maximum((along**2).sum(1), 1e-30)
    tree = cKDTree(points) if len(points) > 2 else None

    def value(p: np.ndarray) -> np.ndarray:
        near = np.zeros(len(p), dtype=np.int64) if tree is None else tree.query(p)[1]
        pieces = (near % len(starts), (near - 1) % len(starts)) if closed else (np.minimum(near, len(starts) - 1), np.maximum(near - 1, 0))
        square = np.full(len(p), np.inf)
        for piece in pieces if tree is not None else pieces[:1]:
            away = p - starts[piece]
            share = np.clip((away * along[piece]).sum(1) / length2[piece], 0, 1)
            square = np.minimum(square, ((away - share[:, None] * along[piece]) ** 2).sum(1))
        return np.sqrt(square) - radius

    return Solid(value, points.min(0) - radius, points.max(0) + radius)


def lathe(heights: ArrayLike, radii: ArrayLike) -> Solid:
    """A body of revolution about z whose radius runs smoothly through ``radii`` at ``heights``, cut flat at both ends.

    The value is below the distance where the wall is steep: by the factor of its steepest slope.
    """
    from scipy.interpolate import PchipInterpolator

    at, through = np.asarray(heights, dtype=float), np.asarray(radii, dtype=float)
    fine = np.linspace(at[0], at[-1], 257)
    radius = PchipInterpolator(at, through)(fine)
    slack = np.hypot(1, np.abs(np.diff(radius) / np.diff(fine)).max())
    widest = radius.max()

    def value(p: np.ndarray) -> np.ndarray:
        wall = (np.hypot(p[:, 0], p[:, 1]) - np.interp(p[:, 2], fine, radius)) / slack
        return np.maximum(wall, np.abs(p[:, 2] - (at[0] + at[-1]) / 2) - (at[-1] - at[0]) / 2)

    return Solid(value, np.array([-widest, -widest, at[0]]), np.array([widest, widest, at[-1]]))


def padded(solid: Solid, by: float) -> Solid:
    """The solid grown by ``by`` in all directions: its edges become round where its value is the distance."""
    return Solid(lambda p: solid.value(p) - by, solid.lower - by, solid.upper + by)


def melted(first: Solid, second: Solid, width: float) -> Solid:
    """The union with its crease filled where both surfaces come within ``width``: the cubic smooth minimum."""

    def value(p: np.ndarray) -> np.ndarray:
        a, b = first.value(p), second.value(p)
        return np.minimum(a, b) - np.maximum(width - np.abs(a - b), 0) ** 3 / (6 * width**2)

    return Solid(value, np.minimum(first.lower, second.lower) - width / 6, np.maximum(first.upper, second.upper) + width / 6)


def united(solids: Sequence[Solid]) -> Solid:
    """The union of several; cheaper than one by one only to write."""
    result = solids[0]
    for solid in solids[1:]:
        result = result | solid
    return result
