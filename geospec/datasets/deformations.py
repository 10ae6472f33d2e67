"""Random smooth deformations of space: bends and twists that hardly stretch, and changes of proportion that do.

Each is a function of position alone, so that every mesh of a surface is carried alike. How much they stretch is bounded by
construction, and what still comes near itself or collapses is drawn again, more gently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ConvergenceError

Warp = Callable[[np.ndarray], np.ndarray]

_SAMPLE = 300  # points by which a warp is judged: their spacing is below half the size of the smallest bump
_CLOSEST, _FARTHEST = 0.2, 4.0  # bounds, over the median, of how a warp may change the distance of two points of the surface
_EASED, _TRIES = 0.8, 30
_LONGEST_BEND = 4.2  # radians that a bend turns in all: its ends do not meet


@dataclass(frozen=True, eq=False)
class Frame:
    """A surface's middle, its principal axes as rows, longest first, and its half extents along them."""

    middle: np.ndarray
    axes: np.ndarray
    half: np.ndarray

    @staticmethod
    def of(points: np.ndarray) -> Frame:
        """The frame of a surface's points ``(n, 3)``."""
        mean = points.mean(0)
        axes = np.linalg.svd(points - mean, full_matrices=False)[2]
        inside = (points - mean) @ axes.T
        low, high = inside.min(0), inside.max(0)
        return Frame(mean + (low + high) / 2 @ axes, axes, np.maximum((high - low) / 2, 1e-3))

    def within(self, warp: Warp) -> Warp:
        """A warp of the frame's coordinates as one of space."""
        return lambda points: self.middle + warp((points - self.middle) @ self.axes.T) @ self.axes


def pose(points: np.ndarray, rng: np.random.Generator) -> Warp:
    """Bends and twists of a surface with these ``points (n, 3)``: lengths change by about a tenth, by less where it is thin."""
    frame = Frame.of(points)
    return _drawn(points, rng, lambda rng, ease: _chain(_bends(frame, rng, ease)), 1.0)


def proportions(points: np.ndarray, rng: np.random.Generator, strength: float) -> Warp:
    """Stretching, tapering, swelling and bumps; ``strength`` 0 changes nothing, 1 doubles and halves lengths here and there."""
    frame = Frame.of(points)
    return _drawn(points, rng, lambda rng, ease: _chain(_changes(frame, points, rng, ease)), strength)


def _drawn(points: np.ndarray, rng: np.random.Generator, draw: Callable[[np.random.Generator, float], Warp], strength: float) -> Warp:
    """The first warp drawn that neither tears nor squeezes the surface; each one is drawn more gently than the last."""
    sample = points[rng.permutation(len(points))[:_SAMPLE]]
    for _ in range(_TRIES):
        warp = draw(rng, strength)
        if _keeps_apart(sample, warp(sample)):
            return warp
        strength *= _EASED
    raise ConvergenceError(f"deformations: even the gentlest of {_TRIES} draws squeezes or tears the surface; are points of it doubled?")


def _keeps_apart(before: np.ndarray, after: np.ndarray) -> bool:
    from scipy.spatial.distance import pdist

    ratio = pdist(after) / np.maximum(pdist(before), 1e-12)
    middle = np.median(ratio)
    return bool(np.isfinite(middle) and ratio.min() > _CLOSEST * middle and ratio.max() < _FARTHEST * middle)


def _chain(warps: Sequence[Warp]) -> Warp:
    def through_all(points: np.ndarray) -> np.ndarray:
        for warp in warps:
            points = warp(points)
        return points

    return through_all


def _bends(frame: Frame, rng: np.random.Generator, ease: float) -> list[Warp]:
    """A bend of the longest axis, often another of one of the two longer ones, often a twist."""
    warps = [frame.within(_bend(frame.half, 0, int(rng.integers(1, 3)), rng, ease * rng.uniform(0.05, 0.35)))]
    if rng.random() < 0.6:
        along = int(rng.integers(2))
        warps.append(frame.within(_bend(frame.half, along, 2, rng, ease * rng.uniform(0.05, 0.3))))
    if rng.random() < 0.6:
        warps.insert(0, frame.within(_twist(frame.half, rng, ease * rng.uniform(0.05, 0.35))))
    return warps


def _bend(half: np.ndarray, along: int, towards: int, rng: np.random.Generator, strain: float) -> Warp:
    """Lay an axis along a plane curve of smoothly varying curvature; ``strain`` is the largest change of length, at the rim."""
    from scipy.interpolate import CubicSpline

    reach, rim = half[along], half[towards]
    place = np.linspace(-1.5 * reach, 1.5 * reach, 301)
    curvature = rng.uniform(-1, 1) + rng.uniform(0, 1) * np.cos(np.pi * rng.uniform(0.3, 1.2) * place / reach + rng.uniform(0, 2 * np.pi))
    step = place[1] - place[0]
    heading = np.concatenate([[0], np.cumsum((curvature[1:] + curvature[:-1]) / 2)]) * step
    inner = np.abs(place) <= reach
    scale = min(strain / (rim * np.abs(curvature[inner]).max() + 1e-12), _LONGEST_BEND / (np.ptp(heading[inner]) + 1e-12))
    heading = scale * (heading - heading[len(heading) // 2])
    middle = (heading[1:] + heading[:-1]) / 2
    curve = np.stack([np.concatenate([[0], np.cumsum(f(middle))]) * step for f in (np.cos, np.sin)], axis=1)
    curve -= curve[len(curve) // 2]
    course = CubicSpline(place, np.column_stack([curve, heading]))

    def warp(points: np.ndarray) -> np.ndarray:
        x, y, angle = course(points[:, along]).T
        bent = points.copy()
        bent[:, along] = x - points[:, towards] * np.sin(angle)
        bent[:, towards] = y + points[:, towards] * np.cos(angle)
        return bent

    return warp


def _twist(half: np.ndarray, rng: np.random.Generator, shear: float) -> Warp:
    """Turn about the longest axis in proportion to the place along it; ``shear`` is that of the rim."""
    rate = rng.choice([-1, 1]) * min(shear / np.hypot(half[1], half[2]), 0.6 * np.pi / half[0])

    def warp(points: np.ndarray) -> np.ndarray:
        angle = rate * points[:, 0]
        c, s = np.cos(angle), np.sin(angle)
        return np.stack([points[:, 0], c * points[:, 1] - s * points[:, 2], s * points[:, 1] + c * points[:, 2]], axis=1)

    return warp


def _changes(frame: Frame, points: np.ndarray, rng: np.random.Generator, strength: float) -> list[Warp]:
    """Scales of the axes, a taper, and a few swellings and bumps about points of the surface."""
    scale = np.exp(strength * rng.uniform(-0.4, 0.4, 3))
    taper = strength * rng.uniform(-0.4, 0.4)

    def stretch(inside: np.ndarray) -> np.ndarray:
        across = np.exp(taper * np.clip(inside[:, :1] / frame.half[0], -2, 2))
        return inside * scale * np.concatenate([np.ones_like(across), across, across], axis=1)

    warps = [frame.within(stretch)]
    size = float(np.cbrt(frame.half.prod()))
    for _ in range(rng.integers(1, 5)):
        middle, width, growth = points[rng.integers(len(points))], size * rng.uniform(0.3, 0.9), np.expm1(strength * rng.uniform(-0.6, 0.6))
        warps.append(_swelling(middle, width, growth))
    for _ in range(rng.integers(2, 8)):
        middle, width = points[rng.integers(len(points))], size * rng.uniform(0.25, 0.8)
        push = rng.standard_normal(3)
        push *= strength * rng.uniform(0.1, 0.8) * width / np.linalg.norm(push)
        warps.append(_bump(middle, width, push))
    return warps


def _swelling(middle: np.ndarray, width: float, growth: float) -> Warp:
    """Grow about a point: one to one while ``growth`` lies between -1 and 2.2."""

    def warp(points: np.ndarray) -> np.ndarray:
        away = points - middle
        return points + growth * np.exp(-(away**2).sum(1, keepdims=True) / (2 * width**2)) * away

    return warp


def _bump(middle: np.ndarray, width: float, push: np.ndarray) -> Warp:
    """Push one way about a point: one to one while the push is shorter than 1.6 widths."""

    def warp(points: np.ndarray) -> np.ndarray:
        return points + np.exp(-((points - middle) ** 2).sum(1, keepdims=True) / (2 * width**2)) * push

    return warp
