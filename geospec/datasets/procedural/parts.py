"""Mechanical parts: plates, brackets, shafts, flanges, gears and housings with bores, slots and ribs; edges stay sharp.

Walls are at least 0.13 thick on bodies of extent one to two, three cubes or more of the grid that meshes them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .solids import Solid, box, cylinder, prism, united

_LONG = 4.0  # of a bore that goes through whatever it meets
_EIGHTH = np.array([[np.sqrt(0.5), -np.sqrt(0.5), 0], [np.sqrt(0.5), np.sqrt(0.5), 0], [0, 0, 1]])  # of a turn about z


def plate(rng: np.random.Generator) -> Solid:
    """A plate with bores, a slot or window, and bosses."""
    a, b, thick = rng.uniform(1.2, 2.0), rng.uniform(0.8, 1.3), rng.uniform(0.15, 0.3)
    part = box((a, b, thick))
    corner, edge = np.array([a, b]) / 2, rng.uniform(0.1, 0.13)
    places = corner - 1.7 * edge
    four = [(x * places[0], y * places[1]) for x in (-1, 1) for y in (-1, 1)]
    if rng.random() < 0.5:
        for x, y in four:
            part = part - cylinder(edge, _LONG).at((x, y, 0))
    if rng.random() < 0.6:  # a boss with a bore
        tall, wide = rng.uniform(0.3, 0.7), rng.uniform(0.22, 0.3)
        part = (part | cylinder(wide, tall).at((0, 0, tall / 2))) - cylinder(wide - rng.uniform(0.13, 0.15), _LONG)
    else:
        window = (
            cylinder(rng.uniform(0.18, 0.28), _LONG) if rng.random() < 0.5 else box((rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.35), _LONG))
        )
        part = part - window
    if rng.random() < 0.5:  # a rim on one side
        part = part | box((0.15, b, rng.uniform(0.3, 0.6))).at((corner[0] - 0.075, 0, 0.15))
    return part


def bracket(rng: np.random.Generator) -> Solid:
    """Two plates that meet at a right angle, bores in both, a rib between them or none; a third plate makes it a U."""
    a, b, c, t = rng.uniform(0.9, 1.5), rng.uniform(0.7, 1.2), rng.uniform(0.7, 1.2), rng.uniform(0.16, 0.26)
    bore = rng.uniform(0.12, 0.2)
    part = box((a, b, t)).at((0, 0, t / 2)) - cylinder(bore, _LONG).at((rng.uniform(-0.1, 0.2), 0, 0))
    wall = box((t, b, c)).at((-a / 2 + t / 2, 0, c / 2)) - cylinder(bore, 1.0).along(0).at((-a / 2, 0, 0.62 * c))
    part = part | wall
    if rng.random() < 0.4:
        part = part | box((t, b, c * rng.uniform(0.5, 1.0))).at((a / 2 - t / 2, 0, 0.35 * c))
        part = part - box((4, 4, 1)).at((0, 0, -0.5))
    elif rng.random() < 0.6:
        rib = box((a, 0.15, c)).at((0, 0, c / 2)) & prism(4, 0.6 * min(a, c), 2).turned(_EIGHTH).along(1).at((-a / 2, 0, 0))
        part = part | rib.at((0, rng.choice([-1, 1]) * (b / 2 - 0.075), 0))
    return part


def shaft(rng: np.random.Generator) -> Solid:
    """Cylinders of several widths on one axis, bored through or not, with a keyway or flats."""
    count = int(rng.integers(2, 5))
    heights, radii = rng.uniform(0.35, 0.8, count), [rng.uniform(0.2, 0.5)]
    while len(radii) < count:
        radius = rng.uniform(0.2, 0.5)
        if abs(radius - radii[-1]) > 0.09:
            radii.append(radius)
    ends = np.concatenate([[0], np.cumsum(heights)])
    deep = 0.15  # by which the narrower of two reaches into the wider, so that their faces do not lie on each other
    pieces = []
    for i, radius in enumerate(radii):
        low = ends[i] - (deep if i and radii[i - 1] > radius else 0)
        high = ends[i + 1] + (deep if i + 1 < count and radii[i + 1] > radius else 0)
        pieces.append(cylinder(radius, high - low).at((0, 0, (low + high) / 2)))
    part = united(pieces)
    if rng.random() < 0.4:  # a hexagonal head
        part = part | prism(6, radii[0] + rng.uniform(0.1, 0.2), 0.2).at((0, 0, 0.1))
    if rng.random() < 0.5:
        part = part - cylinder(rng.uniform(0.09, 0.12), 2 * _LONG)
    else:
        part = part - box((0.15, _LONG, rng.uniform(0.4, 0.7))).at((0, 0.1 + _LONG / 2, ends[-1]))
    if rng.random() < 0.5:
        part = part - cylinder(0.1, _LONG).along(0).at((0, 0, (ends[1] + ends[2]) / 2))
    return part


def flange(rng: np.random.Generator) -> Solid:
    """A disk with a hub, a bore, and a circle of bolt holes."""
    radius, thick, hub, tall = rng.uniform(0.8, 1.0), rng.uniform(0.15, 0.3), rng.uniform(0.28, 0.33), rng.uniform(0.6, 1.1)
    part = cylinder(radius, thick) | cylinder(hub, tall).at((0, 0, tall / 2))
    if rng.random() < 0.4:
        part = part | cylinder(rng.uniform(0.45, 0.6), thick).at((0, 0, tall))
    part = part - cylinder(hub - 0.14, _LONG)
    holes, across = rng.integers(3, 7), (radius + hub) / 2
    for angle in 2 * np.pi * np.arange(holes) / holes:
        part = part - cylinder(0.11, 2 * thick - 0.02).at((across * np.cos(angle), across * np.sin(angle), 0))
    return part


def gear(rng: np.random.Generator) -> Solid:
    """A toothed wheel, with a bore and a web or lightening holes."""
    radius, thick, teeth = rng.uniform(0.75, 0.9), rng.uniform(0.25, 0.5), int(rng.integers(7, 13))
    part = cylinder(radius, thick)
    for angle in 2 * np.pi * np.arange(teeth) / teeth:
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        part = part | box((0.5, 0.42 * 2 * np.pi * radius / teeth, thick)).at((radius - 0.02, 0, 0)).turned(turn)
    part = part - cylinder(rng.uniform(0.15, 0.22), _LONG)
    if rng.random() < 0.5:
        part = part | (cylinder(0.38, 2 * thick) - cylinder(0.2, _LONG))
    else:
        for angle in 2 * np.pi * np.arange(4) / 4:
            part = part - cylinder(0.13, _LONG).at((0.5 * np.cos(angle), 0.5 * np.sin(angle), 0))
    return part


def housing(rng: np.random.Generator) -> Solid:
    """An open box, with bores in its walls and a spigot or feet."""
    a, b, c, wall = rng.uniform(1.0, 1.5), rng.uniform(0.8, 1.2), rng.uniform(0.85, 1.1), rng.uniform(0.14, 0.18)
    part = box((a, b, c)) - box((a - 2 * wall, b - 2 * wall, c)).at((0, 0, wall))
    middle = wall / 2  # height of the cavity's middle, where the bores are
    bore = min(rng.uniform(0.13, 0.2), c / 2 - middle - 0.18)
    if rng.random() < 0.5:  # a spigot, or feet
        part = part | cylinder(bore + 0.14, 0.4).along(0).at((a / 2 + 0.15, 0, middle))
        part = part - cylinder(bore, 1.0).along(0).at((a / 2 + 0.2, 0, middle))
        part = part - box((a - 2 * wall, b - 2 * wall, c)).at((0, 0, wall))
    else:
        part = part | (box((a + 0.6, 0.4, 0.16)).at((0, 0, -c / 2 + 0.08)) - box((a - 0.1, 1, 2)))
    if rng.random() < 0.6:
        part = part - cylinder(bore, 1.0).along(1).at((rng.uniform(-0.1, 0.1), b / 2 + 0.2, middle))
    return part


PARTS: dict[str, Callable[[np.random.Generator], Solid]] = {
    "plate": plate,
    "bracket": bracket,
    "shaft": shaft,
    "flange": flange,
    "gear": gear,
    "housing": housing,
}
