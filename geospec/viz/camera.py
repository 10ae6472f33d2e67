"""Where a picture is taken from: a rotation, a lens, and how both are guessed for a shape."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentError, one_of, problem

#: Directions from the shape to the viewer and up, for a shape whose own up axis is y or z.
_UP = {"y": np.eye(3), "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), "x": np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])}


@dataclass(frozen=True)
class View:
    """A direction of sight.

    ``rotation (3, 3)`` has as rows the viewer's right, up and backward (towards the viewer) axes in
    the shape's coordinates. ``field_of_view`` is in degrees across the shorter side of the picture;
    0 is an orthographic view. The distance is chosen so that the shape fills the picture. ``up (3,)``
    is the shape's own upward axis, about which a report's viewer turns; the viewer's where not given.
    """

    rotation: NDArray[np.float64]
    field_of_view: float = 24.0
    up: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        r = np.asarray(self.rotation, dtype=np.float64)
        if r.shape != (3, 3) or not np.allclose(r @ r.T, np.eye(3), atol=1e-6) or np.linalg.det(r) < 0:
            raise ArgumentError(problem("rotation", "a rotation matrix (3, 3)", np.array2string(r, precision=3).replace("\n", "")))
        if not 0 <= self.field_of_view < 150:
            raise ArgumentError(problem("field_of_view", "degrees in [0, 150)", self.field_of_view))
        object.__setattr__(self, "rotation", r)
        object.__setattr__(self, "up", r[1] if self.up is None else np.asarray(self.up, dtype=np.float64))

    def turned(self, turn: NDArray[np.float64]) -> View:
        """The view that shows a shape as this one shows it after ``turn (3, 3)`` has rotated it."""
        return View(self.rotation @ turn, self.field_of_view, np.asarray(self.up) @ turn)

    @classmethod
    def along(cls, direction: ArrayLike, up: ArrayLike = (0, 1, 0), field_of_view: float = 24.0) -> View:
        """From the side that ``direction`` points to (shape towards viewer), with ``up`` upwards."""
        back = np.asarray(direction, dtype=np.float64)
        right = np.cross(np.asarray(up, dtype=np.float64), back)
        if not np.linalg.norm(right) > 1e-9 * np.linalg.norm(back):
            raise ArgumentError(problem("direction", "a direction that is not zero and not parallel to up", tuple(back.tolist())))
        right, back = right / np.linalg.norm(right), back / np.linalg.norm(back)
        return cls(np.stack([right, np.cross(back, right), back]), field_of_view, np.asarray(up) / np.linalg.norm(up))

    @classmethod
    def automatic(cls, points: ArrayLike, up: str = "auto") -> View:
        """A three-quarter view from slightly above, of points ``(n, 3)``.

        ``up`` is ``"x"``, ``"y"``, ``"z"`` or ``"auto"`` (see :func:`guess_up`). The longer horizontal
        axis is seen nearly broadside, with the end that reaches highest (a head, mostly) turned towards
        the viewer. A flat sheet is seen straight on, tilted a little.
        """
        one_of("up", up, ("auto", "x", "y", "z"))
        p = np.asarray(points, dtype=np.float64)
        if up == "auto":
            up = guess_up(p)
        frame = _UP[up]
        placed = p @ frame.T if len(p) else np.eye(3)
        low, extent = placed.min(axis=0), np.ptp(placed, axis=0)
        if extent[1] < 0.02 * extent.max():  # lies on the floor: look at it from above
            return cls(_turn(0, 60) @ frame, up=frame[1])
        if extent[2] < 0.02 * extent.max():  # stands like a screen
            return cls(_turn(15, 8) @ frame, up=frame[1])
        top = placed[placed[:, 1] >= low[1] + 0.92 * extent[1]].mean(axis=0)
        to_right, to_front = (top > low + extent / 2)[[0, 2]]
        if extent[0] >= extent[2]:
            return cls(_turn(28 if to_right else -28, 14) @ frame, up=frame[1])
        return cls(_turn(62 if to_front else 118, 14) @ frame, up=frame[1])


def _turn(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """The viewer moved ``azimuth`` degrees to the right of front and ``elevation`` degrees up, y being up."""
    a, e = np.radians([azimuth, elevation])
    around = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    over = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return over @ around


def guess_up(points: NDArray[np.float64]) -> str:
    """``"y"`` or ``"z"``: the axis that the shape seems to stand along.

    A shape rests on the few points that touch its floor, and those reach around its middle. For both
    axes: the share of the floor plan (box of all points) that the points of the lowest 4 % span (box
    again), halved where the middle does not lie above it. ``"z"`` where z wins clearly, else ``"y"``.
    """
    if len(points) < 4:
        return "y"
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    score = {}
    for name, axis, plan in (("y", 1, [0, 2]), ("z", 2, [0, 1])):
        touching = points[points[:, axis] <= low[axis] + 0.04 * size[axis]][:, plan]
        share = np.prod(np.ptp(touching, axis=0) / np.maximum(size[plan], 1e-12 * (size.max() or 1.0)))
        middle = points[:, plan].mean(axis=0)
        stable = np.all((touching.min(axis=0) <= middle) & (middle <= touching.max(axis=0)))
        score[name] = share * (1.0 if stable else 0.5)
    return "z" if score["z"] > 1.5 * score["y"] + 0.02 else "y"


def matching_turn(source_points: NDArray[np.float64], target_points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn of the axes ``(3, 3)`` that best brings target points onto their images on the source.

    Both are ``(n, 3)``, row by row in correspondence. Of the 24 rotations that carry coordinate axes
    to coordinate axes, the one with the largest covariance: files that differ in their up axis come
    to stand alike, and a bent pose does not tilt anything.
    """
    covariance = (source_points - source_points.mean(axis=0)).T @ (target_points - target_points.mean(axis=0))
    turns = [np.diag(signs) @ np.eye(3)[list(order)] for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)]
    rotations = [turn for turn in turns if np.linalg.det(turn) > 0]
    return max(rotations, key=lambda turn: float((turn * covariance).sum()))


@dataclass(frozen=True)
class Projection:
    """Points on the picture: ``screen (n, 2)`` in pixels, x to the right and y down, ``depth (n,)`` in
    [0, 1), affine on the screen and smaller when nearer, ``inverse_w (n,)`` the weight of a
    perspective-correct blend, ``pixels_per_unit (n,)`` and ``depth_per_unit (n,)`` across the screen
    and towards the viewer."""

    screen: NDArray[np.float64]
    depth: NDArray[np.float64]
    inverse_w: NDArray[np.float64]
    pixels_per_unit: NDArray[np.float64]
    depth_per_unit: NDArray[np.float64]


def project(points: NDArray[np.float64], view: View, width: int, height: int, margin: float = 0.04, padding: float = 0.0) -> Projection:
    """Fit points ``(n, 3)`` into a picture, leaving ``margin`` (a share of each side) and ``padding`` (shape units)."""
    rotated = points @ view.rotation.T
    low, high = rotated.min(axis=0), rotated.max(axis=0)
    x, y, z = (rotated - (low + high) / 2).T
    half_width, half_height = width / 2 * (1 - 2 * margin), height / 2 * (1 - 2 * margin)
    size = float(np.max(high - low)) or 1.0
    if view.field_of_view == 0:
        scale = min(half_width / max(np.abs(x).max() + padding, 1e-9 * size), half_height / max(np.abs(y).max() + padding, 1e-9 * size))
        w = np.ones_like(z)
        depth_per_unit = np.full_like(z, 0.5 / max(float(np.ptp(z)), 1e-9 * size))
        depth = (z.max() - z) * depth_per_unit
    else:
        lens = min(width, height) / 2 / np.tan(np.radians(view.field_of_view) / 2)
        reach = np.maximum((np.abs(x) + padding) * lens / half_width, (np.abs(y) + padding) * lens / half_height)
        distance = float((z + reach).max())
        distance = max(distance, float(z.max()) + padding + 1e-3 * size)
        w, scale = distance - z, lens
        near = 0.999 * (distance - z.max())
        depth, depth_per_unit = 1 - near / w, near / w**2
    screen = np.stack([width / 2 + scale * x / w, height / 2 - scale * y / w], axis=1)
    return Projection(screen, depth, 1 / w, scale / w, depth_per_unit)
