"""Kinds of creatures drawn at random: a trunk and up to seven limbs, with joints, alike on both sides or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .anatomy import Kind, Pose, both_sides
from .body import Tube
from .skeleton import Bone, chain, right

_THINNEST = 0.045  # radius
_ROOM = 0.10  # between the skins of two limbs
_TRIES = 40
_JOINTS = (2, 3, 4, 6)
_FREE = 2  # of the six points of a limb's centre line, the first so many may touch other limbs, near the trunk


@dataclass(frozen=True, eq=False)
class _Limb:
    """A limb's place on the trunk, from 0 to 1, its centre line ``(6, 3)`` and its radii ``(6,)``."""

    at: float
    points: np.ndarray
    radii: np.ndarray

    def along(self, places: np.ndarray) -> np.ndarray:
        """Points of the centre line at places from 0 to 1."""
        return _between(self.points, places)


@dataclass(frozen=True, eq=False)
class _Balls:
    """What later limbs keep off."""

    points: np.ndarray
    radii: np.ndarray
    room: float = _ROOM

    def clear_of(self, points: np.ndarray, radii: np.ndarray) -> bool:
        gap = np.linalg.norm(points[:, None] - self.points, axis=2) - radii[:, None] - self.radii
        return bool(gap.min() > self.room)

    def mirrored(self) -> _Balls:
        return _Balls(self.points * [-1, 1, 1], self.radii, self.room)


def drawn_kind(rng: np.random.Generator, *, symmetric: bool) -> Kind:
    """A trunk of 0.7 to 1.3 along z with limbs of random place, length, thickness and bend.

    ``symmetric`` ones are their own mirror image in x, with one to three pairs of limbs and up to two in the middle; the others
    have three to seven limbs. A limb that finds no room is left out. How far identities differ is drawn too, once for the kind:
    lengths by a tenth, or by half and more.
    """
    trunk = _trunk(rng, symmetric)
    width = rng.uniform(0.15, 1.0)
    flat = [rng.uniform(1.02, 1.4), 0, 0] if rng.random() < 0.5 else None
    tubes, one_side = [Tube.through(trunk.points, trunk.radii, 0.0, flat=flat)], list[Tube]()
    split = int(rng.integers(2, 4))
    bones = chain("trunk", None, trunk.along(np.linspace(0, 1, split + 1)), float(trunk.radii.mean()), "trunk")
    one_side_bones, trunk_bones = list[Bone](), [bone.name for bone in bones]
    obstacles, limbs = list[_Balls](), list[list[str]]()
    for i, place in enumerate(_places(rng, symmetric)):
        limb = _limb(rng, trunk, obstacles, place)
        if limb is None:
            continue
        joints = np.linspace(0.12, 1, int(rng.choice(_JOINTS)) + 1)
        thickness = 1.2 * np.interp((joints[1:] + joints[:-1]) / 2, np.linspace(0, 1, len(limb.radii)), limb.radii)
        parts = [Tube.through(limb.points, limb.radii, rng.uniform(0.05, 0.12))]
        grown = [_Balls(limb.points[_FREE:], limb.radii[_FREE:])]
        if rng.random() < 0.35:  # a head, a hand or a foot
            ball = limb.radii[-1] * rng.uniform(1.2, 1.9)
            parts.append(Tube.through([limb.points[-1]], ball, 0.04))
            grown.append(_Balls(limb.points[-1:], np.array([ball])))
        name = f"limb{i}_l" if place == "side" else f"limb{i}"
        new = chain(name, trunk_bones[min(int(limb.at * split), split - 1)], limb.along(joints), thickness, f"limb{i}")
        if place == "side":
            one_side += parts
            one_side_bones += new
            grown += [balls.mirrored() for balls in grown]
            limbs.append([right(bone.name) for bone in new])
        else:
            tubes += parts
            bones += new
        obstacles += grown
        limbs.append([bone.name for bone in new])
    spread = width * np.array([-0.45, 0.45, -0.3, 0.3])
    ranges = {group: tuple(np.exp(spread)) for group in sorted({bone.group for bone in [*bones, *one_side_bones]})}
    ranges["trunk"] = tuple(np.exp(width * np.array([-0.25, 0.25, -0.25, 0.25])))
    return Kind(
        name="drawn",
        tubes=[*tubes, *both_sides(one_side)],
        bones=[*bones, *both_sides(one_side_bones, shared=[bone.name for bone in bones])],
        ranges=ranges,
        poses={"any": _poses(trunk_bones, limbs)},
        spacing=0.02,
        symmetric=symmetric,
    )


def _places(rng: np.random.Generator, symmetric: bool) -> list[str]:
    """Where limbs grow: ``"side"`` of both sides, ``"front"`` and ``"back"`` in the middle, ``"any"``."""
    if not symmetric:
        return ["any"] * int(rng.integers(3, 8))
    pairs = int(rng.integers(1, 4))
    middle = int(rng.integers(0 if pairs > 1 else 1, 3))
    return ["side"] * pairs + ["front", "back"][:middle]


def _trunk(rng: np.random.Generator, symmetric: bool) -> _Limb:
    """A centre line ``(4, 3)`` along z and radii ``(4,)``."""
    z = np.linspace(-0.5, 0.5, 4) * rng.uniform(0.7, 1.3)
    aside = rng.normal(0, 0.05, (4, 2)) * ([0, 1] if symmetric else [1, 1])
    return _Limb(0.0, np.column_stack([aside, z]), rng.uniform(0.12, 0.24) * np.exp(rng.uniform(-0.25, 0.25, 4)))


def _limb(rng: np.random.Generator, trunk: _Limb, obstacles: list[_Balls], place: str) -> _Limb | None:
    """A limb clear of the trunk and of what grew before it; ``None`` for want of room."""
    body = _Balls(trunk.points, trunk.radii, room=0.0)
    for _ in range(_TRIES):
        at = {"front": 1.0, "back": 0.0}[place] if place in ("front", "back") else float(rng.uniform(0, 1))
        base = trunk.along(np.array([at]))[0]
        around = float(np.interp(at, np.linspace(0, 1, len(trunk.radii)), trunk.radii))
        heading = rng.standard_normal(3) * [1, 1, 0.7]
        bend = rng.standard_normal(3) * rng.uniform(0, 0.5)
        if place in ("front", "back"):
            heading[2] = (1 if place == "front" else -1) * (abs(heading[2]) + 0.7)
            heading[0] = bend[0] = 0
        if place == "side":
            heading[0] = abs(heading[0]) + 0.4
        heading /= np.linalg.norm(heading)
        length = around + rng.uniform(0.35, 1.1)
        start = around * rng.uniform(0.35, 0.75)
        tip = start * rng.uniform(0.4, 1.0)
        t = np.linspace(0, 1, 6)[:, None]
        points = base + length * (t * heading + t**2 * (bend - (bend @ heading) * heading) / 2)
        radii = np.maximum(np.interp(t[:, 0], [0, 1], [start, tip]), _THINNEST)
        outer, outer_radii = points[_FREE:], radii[_FREE:]
        if place == "side" and (outer[:, 0] - outer_radii).min() < _ROOM / 2:
            continue  # it would meet its mirror image
        if all(balls.clear_of(outer, outer_radii) for balls in [*obstacles, body]):
            return _Limb(at, points, radii)
    return None


def _between(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Points ``(m, 3)`` of a polyline at places from 0 to 1, equal from corner to corner."""
    return np.stack([np.interp(places, np.linspace(0, 1, len(points)), x) for x in points.T], axis=1)


def _poses(trunk: list[str], limbs: list[list[str]]) -> Callable[[np.random.Generator], Pose]:
    """Every limb turned at its root and folded about one axis; how far all of them move is drawn once for a pose."""

    def draw(rng: np.random.Generator) -> Pose:
        vigour = rng.uniform(0.3, 1.0)
        pose: Pose = {name: vigour * np.clip(8 * rng.standard_normal(3), -16, 16) for name in trunk[1:]}
        for bones in limbs:
            pose[bones[0]] = vigour * np.clip(22 * rng.standard_normal(3), -45, 45)
            hinge = rng.standard_normal(3)
            hinge *= vigour * rng.uniform(-110, 110) / np.linalg.norm(hinge) / max(len(bones) - 1, 1)
            for bone in bones[1:]:
                pose[bone] = hinge * rng.uniform(0.4, 1.0)
        return pose

    return draw
