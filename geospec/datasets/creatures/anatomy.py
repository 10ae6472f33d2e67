"""What makes a kind of creature: its body, its skeleton, the ranges of its identities, its poses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .body import Body, Tube
from .skeleton import Bone, Proportions, Skeleton, right

Pose = dict[str, np.ndarray]

_APART = 1.5  # gap at rest beyond which two balls belong to different parts, over the smaller radius
_CLEARANCE = 0.1  # least gap that a pose leaves between different parts, likewise


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of creature.

    Parameters
    ----------
    tubes, bones : the rest body and its skeleton.
    ranges : for each group of bones, (shortest, longest, thinnest, thickest) as factors of the rest size.
    poses : archetypes by name; each draws a pose from a random generator.
    spacing : grid spacing at which the thinnest parts are still resolved.
    symmetric : whether the rest body is its own mirror image in x.
    """

    name: str
    tubes: Sequence[Tube]
    bones: Sequence[Bone]
    ranges: Mapping[str, tuple[float, float, float, float]]
    poses: Mapping[str, Callable[[np.random.Generator], Pose]]
    spacing: float
    symmetric: bool = True

    @cached_property
    def body(self) -> Body:
        """The rest surface."""
        return Body(self.tubes)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The bones as a tree."""
        return Skeleton(self.bones)

    def draw_pose(self, proportions: Proportions, rng: np.random.Generator) -> Pose:
        """Draw archetypes, mirrored at random, until no two parts touch; ease the last of ten back towards rest."""
        apart = self._apart
        apart &= self._gaps(proportions, {}) > _CLEARANCE
        names = sorted(self.poses)
        for _ in range(10):
            pose = self.poses[names[rng.integers(len(names))]](rng)
            if self.symmetric and rng.random() < 0.5:
                pose = mirrored(pose)
            if self._is_clear(apart, proportions, pose):
                return pose
        while not self._is_clear(apart, proportions, pose):
            pose = {name: 0.9 * turn for name, turn in pose.items()}
        return pose

    def _is_clear(self, apart: np.ndarray, proportions: Proportions, pose: Pose) -> bool:
        return bool((self._gaps(proportions, pose)[apart] > _CLEARANCE).all())

    def _gaps(self, proportions: Proportions, pose: Pose) -> np.ndarray:
        """Gap between each pair of balls along the tubes, over the smaller radius of the two."""
        centre, radius = self._balls
        placed = self.skeleton.deform(centre, proportions, pose)
        radius = radius * (self.skeleton.weights(centre) @ proportions.thickness)
        gap = np.linalg.norm(placed[:, None] - placed, axis=2) - radius[:, None] - radius
        return gap / np.minimum(radius[:, None], radius)

    @cached_property
    def _balls(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres and radii of balls along all tubes."""
        centres, radii = zip(*(tube.spheres() for tube in self.tubes), strict=True)
        return np.concatenate(centres), np.concatenate(radii)

    @property
    def _apart(self) -> np.ndarray:
        """Which pairs of balls are clear of each other at rest; the others belong to neighbouring flesh."""
        one = Proportions(np.ones(len(self.bones)), np.ones(len(self.bones)))
        return np.triu(self._gaps(one, {}) > _APART, 1)


def both_sides(left: Sequence, shared: Sequence[str] = ()) -> list:
    """Tubes or bones of the left side, then their mirror images."""
    return [*left, *(item.mirrored() if isinstance(item, Tube) else item.mirrored(shared) for item in left)]


def mirrored(pose: Pose) -> Pose:
    """The pose seen in a mirror: left and right change places, turns about y and z change sign."""
    swap = {name: name.replace("_l", "_#").replace("_r", "_l").replace("_#", "_r") for name in pose}
    return {swap[name]: np.asarray(turn) * [1, -1, -1] for name, turn in pose.items()}


def turns(**angles: ArrayLike) -> Pose:
    """A pose from (x, y, z) rotation vectors in degrees; for bones in the middle or on the left."""
    return {name: np.asarray(turn, dtype=float) for name, turn in angles.items()}


def on_right(pose: Pose) -> Pose:
    """The same turns for the bones of the right side."""
    return {right(name): turn * [1, -1, -1] for name, turn in pose.items()}


def jitter(pose: Pose, rng: np.random.Generator, degrees: float) -> Pose:
    """Every named joint turned a little more, by a normal deviate of ``degrees`` about each axis, cut at two deviates."""
    return {name: turn + degrees * np.clip(rng.standard_normal(3), -2, 2) for name, turn in pose.items()}
