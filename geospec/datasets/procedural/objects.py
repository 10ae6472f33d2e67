"""Families of solids drawn by rule: furniture, vessels, machine elements, grown and elementary bodies.

Each takes a generator of random numbers and gives a :class:`~.solids.Solid` of extent one to two, z upwards. Walls and bars are
at least 3 % of the extent thick, so that a grid of 64 cells still sees them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import blobs, tori
from .parts import PARTS
from .solids import Solid, ball, box, cylinder, lathe, padded, prism, ring, rod, tube, united

_LONG = 8.0  # of what cuts through everything


def _corners(width: float, depth: float) -> list[tuple[float, float]]:
    return [(x * width / 2, y * depth / 2) for x in (-1, 1) for y in (-1, 1)]


def _post(is_round: bool, thick: float, low: float, high: float) -> Solid:
    """An upright bar on the z axis, round or square."""
    bar = cylinder(thick / 2, high - low) if is_round else box((thick, thick, high - low))
    return bar.at((0, 0, (low + high) / 2))


def _spread(count: int, radius: float, phase: float = 0.0) -> np.ndarray:
    """Points ``(count, 2)`` evenly around a circle."""
    angle = phase + 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


# Furniture


def chair(rng: np.random.Generator) -> Solid:
    """Seat, four legs, a back of slats, bars or one panel; arms or none."""
    width, depth, seat, back = rng.uniform(0.7, 1.0), rng.uniform(0.7, 0.9), rng.uniform(0.6, 0.8), rng.uniform(0.6, 1.0)
    thick, leg, is_round = rng.uniform(0.07, 0.12), rng.uniform(0.08, 0.12), rng.random() < 0.5
    top = seat + back
    part = box((width, depth, thick)).at((0, 0, seat))
    for x, y in _corners(width - leg, depth - leg):
        part = part | _post(is_round, leg, 0, top if y > 0 else seat).at((x, y, 0))
    behind = (depth - leg) / 2
    style = rng.integers(3)
    if style == 0:
        part = part | box((width - leg, 0.07, back * 0.7)).at((0, behind, seat + back * 0.62))
    else:
        count = int(rng.integers(2, 5))
        part = part | box((width - leg, 0.07, 0.1)).at((0, behind, top - 0.06))
        for share in (np.arange(count) + 0.5) / count:
            if style == 1:
                part = part | box((width - leg, 0.06, 0.08)).at((0, behind, seat + 0.15 + share * (back - 0.25)))
            else:
                part = part | _post(is_round, 0.07, seat, top - 0.06).at(((share - 0.5) * (width - 2 * leg), behind, 0))
    if rng.random() < 0.4:
        high = seat + 0.35 * back
        for side in (-1, 1):
            part = part | box((0.08, depth, 0.08)).at((side * (width - leg) / 2, 0, high))
            part = part | _post(is_round, leg, seat, high).at((side * (width - leg) / 2, -behind, 0))
    return part


def table(rng: np.random.Generator) -> Solid:
    """A round or rectangular top on four legs or one foot."""
    width, depth, tall, thick = rng.uniform(1.2, 1.8), rng.uniform(0.8, 1.1), rng.uniform(0.6, 0.9), rng.uniform(0.07, 0.12)
    is_round = rng.random() < 0.5
    top = cylinder(width / 2, thick) if is_round else box((width, depth, thick))
    part = top.at((0, 0, tall))
    if rng.random() < 0.4:
        foot = rng.uniform(0.07, 0.12)
        return part | _post(True, 2 * foot, 0, tall) | lathe([0, 0.08, 0.3], [0.35 * depth, 0.3 * depth, foot])
    leg = rng.uniform(0.08, 0.14)
    inner = (0.62 * width, 0.62 * width) if is_round else (width - 1.6 * leg, depth - 1.6 * leg)
    for x, y in _corners(*inner):
        part = part | _post(not is_round, leg, 0, tall).at((x, y, 0))
    if rng.random() < 0.5:
        part = part | (box((*inner, 0.12)) - box((inner[0] - 0.12, inner[1] - 0.12, 1))).at((0, 0, tall - 0.1))
    return part


def stool(rng: np.random.Generator) -> Solid:
    """A round seat on three to five legs that lean outwards, held by a ring."""
    seat, foot, tall, leg = rng.uniform(0.35, 0.45), rng.uniform(0.45, 0.6), rng.uniform(0.8, 1.3), rng.uniform(0.04, 0.06)
    count, brace = int(rng.integers(3, 6)), rng.uniform(0.3, 0.6)
    part = padded(cylinder(seat, 0.06), 0.03).at((0, 0, tall))
    above, below = _spread(count, 0.7 * seat), _spread(count, foot)
    for a, b in zip(above, below, strict=True):
        part = part | rod([*a, tall], [*b, leg], leg)
    return part | ring(foot + brace * (0.7 * seat - foot), 0.035).at((0, 0, leg + brace * (tall - leg)))


def shelf(rng: np.random.Generator) -> Solid:
    """Two sides and three to six boards, with a back, an upright or neither."""
    width, depth, tall, wall = rng.uniform(0.7, 1.3), rng.uniform(0.3, 0.5), rng.uniform(1.2, 1.8), rng.uniform(0.06, 0.09)
    part = united([box((wall, depth, tall)).at((x, 0, tall / 2)) for x in (-width / 2, width / 2)])
    count = int(rng.integers(3, 7))
    for high in np.linspace(wall / 2 + 0.02, tall - wall / 2, count):
        part = part | box((width, depth - 0.02, wall)).at((0, 0, high))
    if rng.random() < 0.4:
        part = part | box((width, 0.06, tall)).at((0, depth / 2 - 0.03, tall / 2))
    elif rng.random() < 0.5:
        part = part | box((wall, depth - 0.02, tall - wall)).at((rng.uniform(-0.25, 0.25) * width, 0, tall / 2))
    return part


def sofa(rng: np.random.Generator) -> Solid:
    """A padded base, back and arms, one to three cushions, short feet."""
    width, depth, seat, arm = rng.uniform(1.2, 1.9), rng.uniform(0.7, 0.9), rng.uniform(0.25, 0.35), rng.uniform(0.14, 0.22)
    soft, back, rest = rng.uniform(0.03, 0.06), rng.uniform(0.35, 0.6), rng.uniform(0.15, 0.25)

    def pad(sides: tuple[float, float, float], at: tuple[float, float, float]) -> Solid:
        return padded(box([side - 2 * soft for side in sides]), soft).at(at)

    part = pad((width, depth, seat), (0, 0, seat / 2)) | pad((width, 0.25, seat + back), (0, depth / 2 - 0.1, (seat + back) / 2))
    for side in (-1, 1):
        part = part | pad((arm, depth, seat + rest), (side * (width - arm) / 2, 0, (seat + rest) / 2))
    count = int(rng.integers(1, 4))
    across = (width - 2 * arm) / count
    for i in range(count):
        part = part | pad((across - 0.02, depth - 0.2, 0.16), ((i - (count - 1) / 2) * across, -0.12, seat + 0.04))
    for x, y in _corners(width - 0.2, depth - 0.2):
        part = part | _post(True, 0.1, -0.12, 0.1).at((x, y, 0))
    return part


def lamp(rng: np.random.Generator) -> Solid:
    """A foot, a pole, a shade open above and below, held by three spokes."""
    tall, foot, low, high = rng.uniform(1.1, 1.6), rng.uniform(0.25, 0.4), rng.uniform(0.35, 0.5), rng.uniform(0.15, 0.3)
    drop, wall, pole = rng.uniform(0.35, 0.5), 0.06, rng.uniform(0.05, 0.08)
    inside = lathe([tall - drop - 0.1, tall - drop, tall, tall + 0.1], [low, low - wall, high - wall, high - wall])
    shade = lathe([tall - drop, tall], [low, high]) - inside
    part = shade | lathe([0, 0.05, 0.12], [foot, foot, pole]) | _post(True, 2 * pole, 0, tall - drop / 3)
    reach = low + (high - low) * 2 / 3
    for x, y in _spread(3, reach - wall / 2):
        part = part | rod([0, 0, tall - drop / 3], [x, y, tall - drop / 3], 0.035)
    return part


# Vessels


def _vessel(heights: list[float], radii: list[float], wall: float, floor: float) -> Solid:
    """A turned wall of even thickness, measured across, on a floor, open above."""
    from scipy.interpolate import PchipInterpolator

    fine = np.linspace(heights[0] + floor, heights[-1], 40)
    inside = np.maximum(PchipInterpolator(heights, radii)(fine) - wall, 0.02)
    return lathe(heights, radii) - lathe([*fine, heights[-1] + 0.5], [*inside, inside[-1]])


def mug(rng: np.random.Generator) -> Solid:
    """A cup with a handle."""
    radius, tall, wall = rng.uniform(0.35, 0.5), rng.uniform(0.8, 1.1), rng.uniform(0.06, 0.09)
    bulge = rng.uniform(0.9, 1.1)
    grip, thick = rng.uniform(0.22, 0.32), rng.uniform(0.05, 0.07)
    handle = ring(grip, thick).along(1).at((radius * 0.97, 0, tall * rng.uniform(0.45, 0.55)))
    cup = lathe([0, tall / 2, tall], [radius * bulge, radius, radius])
    return (cup | handle) - lathe([wall, tall / 2, tall + 0.5], [radius * bulge - wall, radius - wall, radius - wall])


def bottle(rng: np.random.Generator) -> Solid:
    """A body, a shoulder and a neck with a rim; hollow."""
    radius, neck, body, tall = rng.uniform(0.3, 0.42), rng.uniform(0.13, 0.18), rng.uniform(0.8, 1.1), rng.uniform(1.4, 1.8)
    shoulder = body + rng.uniform(0.2, 0.35)
    hollow = _vessel([0, body, shoulder, tall], [radius, radius, neck, neck], 0.065, 0.08)
    return hollow | (ring(neck, 0.05).at((0, 0, tall - 0.06)) - cylinder(neck - 0.06, _LONG))


def vase(rng: np.random.Generator) -> Solid:
    """A turned vessel whose radius goes through four drawn ones."""
    tall = rng.uniform(1.2, 1.7)
    radii = rng.uniform([0.22, 0.35, 0.16, 0.25], [0.4, 0.6, 0.3, 0.45])
    return _vessel([0, 0.4 * tall, 0.8 * tall, tall], list(radii), rng.uniform(0.065, 0.08), 0.1)


def bowl(rng: np.random.Generator) -> Solid:
    """A part of a hollow ball on a foot."""
    radius, wall, cut = rng.uniform(0.7, 0.9), rng.uniform(0.07, 0.1), rng.uniform(-0.2, 0.15)
    shell = (ball(radius) - ball(radius - wall)) & box((4, 4, 2)).at((0, 0, cut - 1))
    return shell | (cylinder(rng.uniform(0.3, 0.4), 0.16).at((0, 0, -radius)) - ball(radius - wall / 2))


def goblet(rng: np.random.Generator) -> Solid:
    """A cup on a stem on a foot."""
    foot, stem, cup, tall = rng.uniform(0.3, 0.4), rng.uniform(0.05, 0.08), rng.uniform(0.3, 0.42), rng.uniform(0.5, 0.8)
    high = rng.uniform(0.5, 0.8)
    leg = lathe([0, 0.06, 0.16, high], [foot, foot, stem, stem])
    return leg | _vessel([high - 0.04, high + 0.25, high + tall], [stem, cup, cup * rng.uniform(0.75, 1.0)], 0.065, 0.12)


# Machine elements, beside those of parts.py


def bolt(rng: np.random.Generator) -> Solid:
    """A hexagonal head and a threaded shank."""
    radius, long, head, pitch = rng.uniform(0.2, 0.3), rng.uniform(0.9, 1.4), rng.uniform(0.2, 0.3), rng.uniform(0.14, 0.2)
    depth = 0.25 * pitch
    slack = np.hypot(1, 4 * depth / pitch)  # of the thread's flanks, and a little of its rise

    def value(p: np.ndarray) -> np.ndarray:
        turn = (p[:, 2] / pitch - np.arctan2(p[:, 1], p[:, 0]) / (2 * np.pi)) % 1.0
        wall = np.hypot(p[:, 0], p[:, 1]) - radius + depth * np.abs(4 * turn - 2) / 2
        return np.maximum(wall / slack, np.abs(p[:, 2]) - long / 2)

    half = np.array([radius, radius, long / 2])
    cap = prism(6, radius * rng.uniform(1.6, 1.9), head) & ball(radius * 2.2).at((0, 0, -radius * 0.9 + head / 2))
    return Solid(value, -half, half).at((0, 0, -long / 2 + 0.05)) | cap.at((0, 0, head / 2))


def nut(rng: np.random.Generator) -> Solid:
    """A hexagonal or square prism with a bore and rounded corners; a collar or none."""
    radius, tall = rng.uniform(0.6, 0.8), rng.uniform(0.4, 0.7)
    part = prism(int(rng.choice([4, 6, 8])), radius, tall) & ball(float(np.hypot(radius * rng.uniform(1.08, 1.16), tall / 2)))
    if rng.random() < 0.4:
        part = part | cylinder(1.1 * radius, 0.15).at((0, 0, -tall / 2 + 0.06))
    return part - cylinder(radius * rng.uniform(0.5, 0.65), _LONG)


def elbow(rng: np.random.Generator) -> Solid:
    """A bent pipe with a flange at each end."""
    bend, outer, wall = rng.uniform(0.55, 0.8), rng.uniform(0.2, 0.28), rng.uniform(0.06, 0.09)
    straight, collar, thick = rng.uniform(0.15, 0.35), rng.uniform(0.1, 0.14), rng.uniform(0.08, 0.12)
    inner = outer - wall
    quarter = box((4, 4, 4)).at((2, 2, 0))

    def legs(radius: float, beyond: float) -> Solid:
        long = straight + beyond + 0.02
        along_y = cylinder(radius, long).along(1).at((bend, -long / 2 + 0.02, 0))
        along_x = cylinder(radius, long).along(0).at((-long / 2 + 0.02, bend, 0))
        return (ring(bend, radius) & quarter) | along_y | along_x

    plate = cylinder(outer + collar, thick)
    ends = plate.along(1).at((bend, -straight, 0)) | plate.along(0).at((-straight, bend, 0))
    return (legs(outer, 0.0) | ends) - legs(inner, 0.5)


def spring(rng: np.random.Generator) -> Solid:
    """A helical wire."""
    radius, wire, turns = rng.uniform(0.35, 0.5), rng.uniform(0.05, 0.08), rng.uniform(3, 6)
    pitch = wire * rng.uniform(3.5, 5)
    t = np.linspace(0, 2 * np.pi * turns, int(64 * turns))
    return tube(np.stack([radius * np.cos(t), radius * np.sin(t), pitch * t / (2 * np.pi)], axis=1), wire)


# Grown bodies


def blob(rng: np.random.Generator) -> Solid:
    """Balls and limbs melted together."""
    body = blobs.melted_body(rng)
    return Solid(lambda p: body.evaluate(p)[0], body.lower, body.upper)


def loop(rng: np.random.Generator) -> Solid:
    """A tube along a closed curve, wavy or knotted, thinner than what its bends allow."""
    curve, _, _, thickness, _ = tori.closed_curve(rng)
    return tube(curve, thickness, closed=True)


def knot(rng: np.random.Generator) -> Solid:
    """A trefoil, or a knot of the same kind with three turns."""
    p, q = [(2, 3), (3, 2)][rng.integers(2)]
    t = 2 * np.pi * np.arange(2000) / 2000
    across = 1 + rng.uniform(0.4, 0.5) * np.cos(q * t)
    curve = np.stack([across * np.cos(p * t), across * np.sin(p * t), rng.uniform(0.4, 0.6) * np.sin(q * t)], axis=1)
    return tube(curve, rng.uniform(0.1, 0.17), closed=True)


def rings(rng: np.random.Generator) -> Solid:
    """Two or three rings grown together."""
    return tori.chain(rng, int(rng.integers(2, 4)))


def gyroid(rng: np.random.Generator) -> Solid:
    """A shell along the gyroid, in a ball, a box or a cylinder."""
    wave, wall = rng.uniform(6, 10), rng.uniform(0.04, 0.06)
    slack = np.sqrt(3) * wave  # the gradient is nowhere longer
    phase = rng.uniform(0, 2 * np.pi, 3)

    def value(p: np.ndarray) -> np.ndarray:
        sine, cosine = np.sin(wave * p + phase), np.cos(wave * p + phase)
        return np.abs((sine * np.roll(cosine, -1, axis=1)).sum(1)) / slack - wall

    inside = [ball(0.9), box((1.4, 1.4, 1.4)), cylinder(0.8, 1.4)][rng.integers(3)]
    return Solid(value, inside.lower, inside.upper) & inside


def rods(rng: np.random.Generator) -> Solid:
    """Eight to fifteen thin rods through the middle of a ball."""
    count, radius = int(rng.integers(8, 16)), rng.uniform(0.03, 0.045)
    ends = rng.standard_normal((count, 3))
    ends *= rng.uniform(0.7, 1.0, (count, 1)) / np.linalg.norm(ends, axis=1, keepdims=True)
    near = rng.normal(0, 0.05, (count, 3))
    return united([rod(shift - end, shift + end, radius) for end, shift in zip(ends, near, strict=True)] + [ball(0.12)])


def wrinkled(rng: np.random.Generator) -> Solid:
    """A ball with fine waves all over."""
    waves = rng.uniform(8, 16, 3) * rng.choice([-1, 1], 3)
    height, phase = rng.uniform(0.02, 0.04), rng.uniform(0, 2 * np.pi, 3)
    slack = 1 + height * np.linalg.norm(waves)

    def value(p: np.ndarray) -> np.ndarray:
        return (np.sqrt((p**2).sum(1)) - 0.85 + height * np.sin(waves * p + phase).prod(1)) / slack

    half = np.full(3, 0.85 + height)
    return Solid(value, -half, half)


# Elementary bodies


def sphere(_: np.random.Generator) -> Solid:
    """A ball: every seed gives the same."""
    return ball(0.9)


def cuboid(rng: np.random.Generator) -> Solid:
    """A box, sharp or rounded."""
    sides, soft = rng.uniform(0.6, 1.6, 3), rng.choice([0.0, 0.1])
    return padded(box(sides - 2 * soft), soft)


def torus(rng: np.random.Generator) -> Solid:
    """A ring."""
    return ring(rng.uniform(0.5, 0.7), rng.uniform(0.1, 0.3))


def csg(rng: np.random.Generator) -> Solid:
    """A box minus three cylinders plus a ball."""
    sides, bore = rng.uniform(0.9, 1.3, 3), rng.uniform(0.2, 0.3)
    part = box(sides.tolist())
    for axis in range(3):
        part = part - cylinder(bore, _LONG).along(axis)
    return part | ball(rng.uniform(0.3, 0.45)).at(sides / 2 * rng.choice([-1, 1], 3))


OBJECTS: dict[str, Callable[[np.random.Generator], Solid]] = {
    "chair": chair,
    "table": table,
    "stool": stool,
    "shelf": shelf,
    "sofa": sofa,
    "lamp": lamp,
    "mug": mug,
    "bottle": bottle,
    "vase": vase,
    "bowl": bowl,
    "goblet": goblet,
    **PARTS,
    "bolt": bolt,
    "nut": nut,
    "elbow": elbow,
    "spring": spring,
    "blob": blob,
    "loop": loop,
    "knot": knot,
    "rings": rings,
    "gyroid": gyroid,
    "rods": rods,
    "wrinkled": wrinkled,
    "sphere": sphere,
    "box": cuboid,
    "torus": torus,
    "csg": csg,
}
