"""Thin sheets: flat outlines with holes, triangulated, then rolled without stretching or bent into waves."""

from __future__ import annotations

import numpy as np

_KEEP_OFF = 0.6  # distance of inner vertices from the rim, in spacings: nearer ones would cut its edges out of the triangulation

_NEEDLE = 0.05  # twice the area, in spacings squared, of triangles that lie along a straight rim and belong to nothing


def sheet(rng: np.random.Generator, n: int, holes: int, bend: str) -> tuple[np.ndarray, np.ndarray]:
    """A sheet with ``holes`` holes, bent by ``"roll"`` (developable) or ``"wave"``."""
    flat, faces = triangulate(region(rng, holes), n)
    return (_roll if bend == "roll" else _wave)(rng, flat), faces


def region(rng: np.random.Generator, holes: int) -> list[np.ndarray]:
    """The rims of a flat region: closed polygons ``(m, 2)``, the outline first, then the holes."""
    outline = _divided(_outline(rng), 0.01)
    return [outline, *_holes(rng, outline, holes)]


def _outline(rng: np.random.Generator) -> np.ndarray:
    """A rounded rectangle, an ellipse or a lobed leaf, about the origin, counter-clockwise."""
    t = 2 * np.pi * np.arange(1000) / 1000
    width, kind = rng.uniform(0.5, 1.0), rng.integers(3)
    if kind == 0:  # a superellipse of high power
        power = 2 / rng.uniform(4, 12)
        return np.stack([np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power, width * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power], axis=1)
    radius = np.ones_like(t)
    if kind == 2:
        lobes = rng.integers(2, 6)
        radius += rng.uniform(0.1, 0.3) * np.cos(lobes * t + rng.uniform(0, 2 * np.pi))
    return np.stack([radius * np.cos(t), width * radius * np.sin(t)], axis=1)


def _holes(rng: np.random.Generator, outline: np.ndarray, count: int) -> list[np.ndarray]:
    """Ellipses inside the outline, apart from it and from each other; smaller ones where there is no room."""
    t = 2 * np.pi * np.arange(300) / 300
    rims, found = outline, list[np.ndarray]()
    size = 1.0
    while len(found) < count:
        centre, radius = rng.uniform(-0.8, 0.8, 2), size * rng.uniform(0.1, 0.25)
        size *= 0.98
        room = np.sqrt(((rims - centre) ** 2).sum(1)).min()
        if room > radius + 0.08 and _inside(centre[None], outline)[0] and not any(_inside(centre[None], hole)[0] for hole in found):
            squeeze, turn = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
            ellipse = radius * np.stack([np.cos(t), squeeze * np.sin(t)], axis=1)
            turned = ellipse @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            found.append(centre + turned)
            rims = np.concatenate([rims, found[-1]])
    return found


def _inside(points: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """Whether points ``(m, 2)`` lie inside a closed polygon, by the crossings of a ray."""
    x, y = points.T
    a, b = loop, np.roll(loop, -1, axis=0)
    spans = (a[:, 1] <= y[:, None]) != (b[:, 1] <= y[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        at = a[:, 0] + (y[:, None] - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return (spans & (at > x[:, None])).sum(1) % 2 == 1


def triangulate(loops: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """About ``n`` vertices: the rims, evenly divided, and a hexagonal grid inside; Delaunay triangles of the region between."""
    from scipy.spatial import Delaunay, cKDTree

    def area(loop: np.ndarray) -> float:
        x, y = loop.T
        return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))

    spacing = np.sqrt((area(loops[0]) - sum(map(area, loops[1:]))) / n * 2 / np.sqrt(3))
    rims = [_divided(loop, spacing) for loop in loops]
    low, high = loops[0].min(0), loops[0].max(0)
    rows = np.arange(low[1], high[1], spacing * np.sqrt(3) / 2)
    columns = np.arange(low[0], high[0], spacing)
    grid = np.stack(np.broadcast_arrays(columns + spacing / 2 * (np.arange(len(rows)) % 2)[:, None], rows[:, None]), axis=-1).reshape(-1, 2)
    rim = np.concatenate(rims)
    grid = grid[cKDTree(rim).query(grid)[0] > _KEEP_OFF * spacing]
    grid = grid[_between(grid, rims)]
    points = np.concatenate([rim, grid])
    faces = Delaunay(points).simplices.astype(np.int64)
    faces = faces[_between(points[faces].mean(1), rims)]
    a, b, c = points[faces].transpose(1, 0, 2)
    double = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    faces[double < 0] = faces[double < 0, ::-1]
    faces = faces[np.abs(double) > _NEEDLE * spacing**2]
    used, faces = np.unique(faces, return_inverse=True)
    return points[used], faces.reshape(-1, 3)


def _between(points: np.ndarray, rims: list[np.ndarray]) -> np.ndarray:
    """Inside the first rim and outside the others."""
    inside = _inside(points, rims[0])
    for rim in rims[1:]:
        inside &= ~_inside(points, rim)
    return inside


def _divided(loop: np.ndarray, spacing: float) -> np.ndarray:
    """A closed polygon's points at equal steps of about ``spacing``."""
    step = np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1)
    at, length = np.concatenate([[0], np.cumsum(step)[:-1]]), step.sum()
    count = max(8, round(length / spacing))
    place = np.arange(count) * length / count
    return np.stack([np.interp(place, at, x, period=length) for x in loop.T], axis=1)


def _roll(rng: np.random.Generator, flat: np.ndarray) -> np.ndarray:
    """Bend about parallel lines without stretching: a cylinder over a plane curve whose curvature varies smoothly.

    The curve turns by less than three quarters of a circle in all, so it does not meet itself.
    """
    turn = rng.uniform(0, np.pi)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    along, across = (flat @ axes.T).T
    place = np.linspace(along.min(), along.max(), 2000)
    share = (place - place[0]) / (place[-1] - place[0])
    curvature = rng.uniform(-1, 1) + np.cos(2 * np.pi * (rng.uniform(0.3, 1.2) * share + rng.random()))
    heading = np.concatenate([[0], np.cumsum((curvature[1:] + curvature[:-1]) / 2)])
    heading *= rng.uniform(0.3, 1.4) * np.pi / max(np.ptp(heading), 1e-9)
    width = place[1] - place[0]
    middle = (heading[1:] + heading[:-1]) / 2
    x, z = (np.concatenate([[0], np.cumsum(part) * width]) for part in (np.cos(middle), np.sin(middle)))
    return np.stack([np.interp(along, place, x), across, np.interp(along, place, z)], axis=1)


def _wave(rng: np.random.Generator, flat: np.ndarray) -> np.ndarray:
    """Lift by a few waves and a dome or saddle."""
    height = flat**2 @ rng.uniform(-0.4, 0.4, 2)
    for _ in range(rng.integers(1, 4)):
        direction = rng.standard_normal(2)
        direction *= rng.uniform(1.5, 5) / np.linalg.norm(direction)
        height += 0.35 / np.linalg.norm(direction) * rng.uniform(0.3, 1) * np.cos(flat @ direction + rng.uniform(0, 2 * np.pi))
    return np.column_stack([flat, height])
