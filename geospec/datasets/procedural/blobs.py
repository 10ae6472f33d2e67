"""Blobs: bumpy star-shaped surfaces, and bodies of balls and limbs grown together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..creatures.body import Body, Tube
from .contouring import contour


def star(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid whose radius is raised and lowered by smooth bumps on the sphere of directions."""
    direction, faces = triangulated(directions(n))
    return relief(rng)(direction), faces


def relief(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Where a star has its point in each direction: a function of unit vectors ``(n, 3)``."""
    bumps = []
    for _ in range(rng.integers(5, 20)):
        sharpness = np.exp(rng.uniform(np.log(2), np.log(22)))
        size = rng.uniform(0.2, 0.75) * rng.choice([1, -0.7])
        bumps.append((size, sharpness, _unit(rng.standard_normal(3))))
    axes = np.exp(rng.uniform(-0.35, 0.35, 3))

    def place(direction: np.ndarray) -> np.ndarray:
        height = np.zeros(len(direction))
        for size, sharpness, middle in bumps:
            height += size * np.exp(sharpness * (direction @ middle - 1))
        return direction * np.exp(1.1 * np.tanh(height / 1.1))[:, None] * axes  # three times out or in, at most

    return place


def limbs(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A surface of :func:`melted_body`."""
    body = melted_body(rng)
    return contour(body, lambda points: body.evaluate(points)[1], n, rng)


def melted_body(rng: np.random.Generator) -> Body:
    """Balls and limbs melted together, each grown from one of those before it. Limbs that meet make handles."""
    trunk = rng.uniform(0.3, 0.5)
    tubes = [Tube.through([[0, 0, 0]], trunk, 0.1)]
    tips = [(np.zeros(3), trunk)]
    for _ in range(rng.integers(3, 8)):
        base, radius = tips[0] if rng.random() < 0.5 else tips[rng.integers(len(tips))]
        start, end = radius * rng.uniform(0.55, 0.8), max(0.09, radius * rng.uniform(0.3, 0.9))
        bend, reach = _unit(rng.standard_normal(3)), radius + rng.uniform(0.3, 1.1)
        elbow = base + reach / 2 * bend
        tip = elbow + reach / 2 * _unit(bend + 0.7 * rng.standard_normal(3))
        if rng.random() < 0.3:  # a ball on its own
            tip, end = base + 0.9 * radius * bend, max(0.12, radius * rng.uniform(0.5, 1.0))
            tubes.append(Tube.through([tip], end, rng.uniform(0.05, 0.3)))
        else:
            radii = np.maximum([start, (start + end) / 2, end], 0.09)
            tubes.append(Tube.through([base, elbow, tip], radii, rng.uniform(0.05, 0.3), steps=3))
        tips.append((tip, end))
    return Body(tubes)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def directions(n: int) -> np.ndarray:
    """``n`` evenly spread unit vectors: a Fibonacci spiral."""
    i = np.arange(n) + 0.5
    z, longitude = 1 - 2 * i / n, np.pi * (1 + np.sqrt(5)) * i
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), z], axis=1)


def triangulated(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The directions given and their Delaunay triangles, counter-clockwise seen from outside."""
    from scipy.spatial import ConvexHull

    faces = ConvexHull(points).simplices.astype(np.int64)
    inward = np.linalg.det(points[faces]) < 0
    faces[inward] = faces[inward, ::-1]
    return points, faces
