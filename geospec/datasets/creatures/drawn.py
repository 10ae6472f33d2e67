"""Kinds of creatures drawn at random: a trunk and three to seven limbs, with joints, like on both sides or not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .anatomy import Kind, Pose, both_sides
from .body import Tube
from .skeleton import Bone, chain

_THINNEST = 0.045  # radius
_ROOM = 0.10  # between the skins of two limbs, beyond the first third of each
_TRIES = 40
_JOINTS = (2, 3, 4, 6)


def drawn_kind(rng: np.random.Generator, *, symmetric: bool) -> Kind:
    """A trunk of 0.7 to 1.3 along z with three to seven limbs of random place, length, thickness and bend.

    ``symmetric`` ones are their own mirror image in x, with one to three pairs of limbs and up to two in the middle. How far
    identities differ is drawn too, once for the kind: lengths by a tenth, or by half and more.
    """
    trunk, radii = _trunk(rng, symmetric)
    width = rng.uniform(0.15, 1.0)
    tubes: list[Tube] = [Tube.through(trunk, radii, 0.0, flat=[rng.uniform(1.02, 1.4), 0, 0] if rng.random() < 0.5 else None)]
    split = int(rng.integers(2, 4))
    places = np.stack([np.interp(np.linspace(0, 1, split + 1), np.linspace(0, 1, len(trunk)), x) for x in trunk.T], axis=1)
    bones = chain("trunk", None, places, float(radii.mean()), "trunk")  # type: ignore[arg-type]
    bones[0] = Bone("trunk0", None, bones[0].head, bones[0].tail, bones[0].radius, "trunk")
    one_side: list[Tube] = []
    one_side_bones: list[Bone] = []
    grown: list[tuple[np.ndarray, np.ndarray]] = []
    limbs: list[list[str]] = []
    pairs = int(rng.integers(1, 4)) if symmetric else 0
    middle = int(rng.integers(0 if pairs > 1 else 1, 3)) if symmetric else 0
    single = 0 if symmetric else int(rng.integers(3, 8))
    for i in range(pairs + middle + single):
        sided, central = i < pairs, pairs <= i < pairs + middle
        found = _limb(rng, trunk, radii, grown, sided=sided, central=central, end=(i - pairs) % 2)
        if found is None:
            continue
        at, points, thickness = found
        line = np.linspace(0.12, 1, int(rng.choice(_JOINTS)) + 1)
        joints = np.stack([np.interp(line, np.linspace(0, 1, len(points)), x) for x in points.T], axis=1)
        size = 1.2 * np.interp((line[1:] + line[:-1]) / 2, np.linspace(0, 1, len(points)), thickness)
        name = f"limb{i}_l" if sided else f"limb{i}"
        grown.append((points, thickness))
        parts = [Tube.through(points, thickness, rng.uniform(0.05, 0.12))]
        if rng.random() < 0.35:  # a head, a hand or a foot
            ball = thickness[-1] * rng.uniform(1.2, 1.9)
            parts.append(Tube.through([points[-1]], ball, 0.04))
            grown.append((points[-1:], np.array([ball])))
        new = chain(name, f"trunk{min(int(at * split), split - 1)}", joints, size, f"limb{i}")
        if sided:
            grown += [(p * [-1, 1, 1], r) for p, r in grown[-len(parts) :]]
            one_side += parts
            one_side_bones += new
            limbs.append([bone.name.replace("_l", "_r") for bone in new])
        else:
            tubes += parts
            bones += new
        limbs.append([bone.name for bone in new])
    shared = [bone.name for bone in bones]
    ranges = {
        group: (np.exp(-0.45 * width), np.exp(0.45 * width), np.exp(-0.3 * width), np.exp(0.3 * width))
        for group in {bone.group for bone in [*bones, *one_side_bones]}
    }
    ranges["trunk"] = (np.exp(-0.25 * width), np.exp(0.25 * width), np.exp(-0.25 * width), np.exp(0.25 * width))
    return Kind(
        name="drawn",
        tubes=[*tubes, *both_sides(one_side)],
        bones=[*bones, *both_sides(one_side_bones, shared=shared)],
        ranges=dict(sorted(ranges.items())),
        poses={"any": _poses([bone.name for bone in bones if bone.group == "trunk"], limbs)},
        spacing=0.02,
        symmetric=symmetric,
    )


def _trunk(rng: np.random.Generator, symmetric: bool) -> tuple[np.ndarray, np.ndarray]:
    """Centre line ``(4, 3)`` along z and radii ``(4,)``."""
    z = np.linspace(-0.5, 0.5, 4) * rng.uniform(0.7, 1.3)
    aside = rng.normal(0, 0.05, (4, 2)) * ([0, 1] if symmetric else [1, 1])
    return np.column_stack([aside, z]), rng.uniform(0.12, 0.24) * np.exp(rng.uniform(-0.25, 0.25, 4))


def _limb(
    rng: np.random.Generator,
    trunk: np.ndarray,
    radii: np.ndarray,
    grown: list[tuple[np.ndarray, np.ndarray]],
    *,
    sided: bool,
    central: bool,
    end: int,
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """A limb clear of those before it: its place on the trunk, from 0 to 1, its centre line and its radii; ``None`` for want of room."""
    line = np.linspace(0, 1, len(trunk))
    for _ in range(_TRIES):
        at = float(1 - end if central else rng.uniform(0, 1))
        base = np.array([np.interp(at, line, x) for x in trunk.T])
        around = float(np.interp(at, line, radii))
        heading = rng.standard_normal(3) * [1, 1, 0.7]
        bend = rng.standard_normal(3) * rng.uniform(0, 0.5)
        if central:
            heading[2] = (1 if end == 0 else -1) * (abs(heading[2]) + 0.7)
            heading[0] = bend[0] = 0
        if sided:
            heading[0] = abs(heading[0]) + 0.4
        heading /= np.linalg.norm(heading)
        length = around + rng.uniform(0.35, 1.1)
        start = around * rng.uniform(0.35, 0.75)
        tip = start * rng.uniform(0.4, 1.0)
        t = np.linspace(0, 1, 6)[:, None]
        points = base + length * (t * heading + t**2 * (bend - (bend @ heading) * heading) / 2)
        thickness = np.maximum(np.interp(t[:, 0], [0, 1], [start, tip]), _THINNEST)
        if sided and (points[2:, 0] - thickness[2:]).min() < _ROOM / 2:
            continue
        if all(_clear(points, thickness, *other) for other in grown) and _clear(points[1:], thickness[1:], trunk, radii):
            return at, points, thickness
    return None


def _clear(points: np.ndarray, radii: np.ndarray, other: np.ndarray, other_radii: np.ndarray) -> bool:
    """Whether the outer two thirds of a limb keep off another's outer two thirds, or off the whole of a shorter chain."""
    mine, theirs = slice(2 if len(points) == 6 else 1, None), slice(2 if len(other) == 6 else 0, None)
    apart = np.linalg.norm(points[mine, None] - other[theirs], axis=2) - radii[mine, None] - other_radii[theirs]
    return bool(apart.min() > (_ROOM if len(other) != 4 else 0))


def _poses(trunk: list[str], limbs: list[list[str]]) -> Callable[[np.random.Generator], Pose]:
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
