"""Surfaces with handles: tubes along closed curves, knotted ones among them, and chains of rings grown together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .contouring import contour
from .solids import Solid, melted, ring

_FINE = 4000  # points that stand for a curve
_THINNEST = 0.012  # of a curve's length: a curve that asks for a thinner tube is drawn again


def tube(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A tube of :func:`closed_curve`: genus 1."""
    centre_line, at, length, thickness, radius_at = closed_curve(rng)
    around = max(10, round(np.sqrt(n * 2 * np.pi * thickness / length)))
    count = max(3, round(n / around))
    place = np.arange(count) * length / count
    centre = np.stack([np.interp(place, at, x, period=length) for x in centre_line.T], axis=1)
    radius = radius_at(place)
    normal, binormal = _frame(centre)
    angle = 2 * np.pi * np.arange(around) / around
    circle = np.cos(angle)[:, None] * normal[:, None] + np.sin(angle)[:, None] * binormal[:, None]
    vertices = (centre[:, None] + radius[:, None, None] * circle).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(count), np.arange(around), indexing="ij")

    def index(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return (i % count * around + j % around).reshape(-1)

    a, b, c, d = index(i, j), index(i + 1, j), index(i + 1, j + 1), index(i, j + 1)
    return vertices, np.concatenate([np.stack([a, c, b], axis=1), np.stack([a, d, c], axis=1)])


def closed_curve(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float, float, Callable[[np.ndarray], np.ndarray]]:
    """A closed curve and how thick a tube around it is, as thick as its bends and near strands allow.

    Returns its points ``(m, 3)``, their places along it ``(m,)``, its length, the tube's mean thickness, and its thickness at places.
    """
    thickness = length = 0.0
    while thickness <= _THINNEST * length:
        curve = [_ring, _knot, _eight][rng.choice(3, p=[0.45, 0.4, 0.15])](rng)
        step = np.linalg.norm(np.roll(curve, -1, axis=0) - curve, axis=1)
        at, length = np.concatenate([[0], np.cumsum(step)[:-1]]), float(step.sum())
        thickness = _reach(curve, at, length)
    swell = rng.uniform(0, 0.45)
    thickness *= rng.uniform(0.6, 1.0) / (1 + swell)
    waves, phase = rng.integers(1, 4), rng.random()
    return curve, at, length, thickness, lambda place: thickness * (1 + swell * np.cos(2 * np.pi * (waves * place / length + phase)))


def rings(rng: np.random.Generator, n: int, genus: int) -> tuple[np.ndarray, np.ndarray]:
    """A surface of :func:`chain`: one handle a ring."""
    solid = chain(rng, genus)
    return contour(solid, solid.gradient, n, rng)


def chain(rng: np.random.Generator, count: int) -> Solid:
    """Rings in a chain, each tilted about the line to the next and melted into it at one place."""
    radius = rng.uniform(0.7, 1.1)
    solid = ring(radius, radius * rng.uniform(0.18, 0.32))
    centre, axes = np.zeros(3), np.eye(3)  # of the last ring: x leads to the next one, z is its axis
    for _ in range(1, count):
        old, radius = radius, rng.uniform(0.7, 1.1)
        # Where the next ring's centre line touches, its plane may be any that holds the line of centres.
        axes = axes @ _about(2, rng.uniform(-0.8, 0.8))
        centre = centre + (old + radius) * axes[:, 0]
        axes = axes @ _about(0, rng.uniform(-0.6, 0.6))
        one = ring(radius, radius * rng.uniform(0.18, 0.32)).turned(axes).at(centre)
        solid = melted(solid, one, rng.uniform(0.1, 0.25))
    return solid


def _about(axis: int, angle: float) -> np.ndarray:
    """Rotation about coordinate axis 0 or 2."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]] if axis == 0 else [[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _ring(rng: np.random.Generator) -> np.ndarray:
    """A circle pulled out of round and out of its plane by a few waves."""
    t = 2 * np.pi * np.arange(_FINE) / _FINE
    curve = np.stack([np.cos(t), rng.uniform(0.6, 1.0) * np.sin(t), np.zeros(_FINE)], axis=1)
    for wave in range(2, 5):
        curve += rng.normal(0, 0.22 / wave, 3) * np.cos(wave * t[:, None] + rng.uniform(0, 2 * np.pi, 3))
    return curve


def _knot(rng: np.random.Generator) -> np.ndarray:
    """A torus knot."""
    p, q = [(2, 3), (3, 2), (2, 5), (1, 2), (1, 3)][rng.integers(5)]
    t = 2 * np.pi * np.arange(_FINE) / _FINE
    across = 1 + rng.uniform(0.35, 0.5) * np.cos(q * t)
    return np.stack([across * np.cos(p * t), across * np.sin(p * t), rng.uniform(0.4, 0.7) * np.sin(q * t)], axis=1)


def _eight(rng: np.random.Generator) -> np.ndarray:
    """The figure-eight knot."""
    t = 2 * np.pi * np.arange(_FINE) / _FINE
    across = 2 + np.cos(2 * t)
    return np.stack([across * np.cos(3 * t), across * np.sin(3 * t), rng.uniform(0.8, 1.3) * np.sin(4 * t)], axis=1) / 2


def _reach(curve: np.ndarray, at: np.ndarray, length: float) -> float:
    """A thickness at which a tube neither folds over its bends nor touches its other strands, with a little room."""
    points, at = curve[:: _FINE // 400], at[:: _FINE // 400]
    tangent = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    bend = np.roll(points, -1, axis=0) - 2 * points + np.roll(points, 1, axis=0)
    speed2 = (tangent**2).sum(1) / 4
    sharpest = (np.linalg.norm(np.cross(tangent / 2, bend), axis=1) / speed2**1.5).max()
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    along = np.abs(at[:, None] - at)
    along = np.minimum(along, length - along)
    strand = apart[along > np.pi / 2 * apart].min(initial=length)  # elsewhere the shorter way is about along the curve
    return float(min(0.7 / sharpest, 0.42 * strand))


def _frame(centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit normals at each point, carried along the curve by double reflection, their holonomy spread over its length.

    Source: W. Wang et al., Computation of rotation minimizing frames, 2008.
    """
    closed = np.concatenate([centre, centre[:1]])
    tangent = np.roll(centre, -1, axis=0) - np.roll(centre, 1, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    tangent = np.concatenate([tangent, tangent[:1]])
    normal = np.empty_like(closed)
    first = np.cross(tangent[0], np.eye(3)[np.abs(tangent[0]).argmin()])
    normal[0] = first / np.linalg.norm(first)
    for i in range(len(centre)):
        v = closed[i + 1] - closed[i]
        reflected = normal[i] - 2 * (v @ normal[i]) / (v @ v) * v
        turned = tangent[i] - 2 * (v @ tangent[i]) / (v @ v) * v
        w = tangent[i + 1] - turned
        normal[i + 1] = reflected - 2 * (w @ reflected) / max(w @ w, 1e-30) * w
    missing = np.arctan2(np.cross(normal[-1], normal[0]) @ tangent[0], normal[-1] @ normal[0])
    angle = (missing * np.arange(len(centre)) / len(centre))[:, None]
    normal, tangent = normal[:-1], tangent[:-1]
    binormal = np.cross(tangent, normal)
    return np.cos(angle) * normal + np.sin(angle) * binormal, np.cos(angle) * binormal - np.sin(angle) * normal
