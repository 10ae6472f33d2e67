"""Bones, and the two analytic deformations of space they drive: identity and pose.

Both are functions of the rest position alone, so that every vertex of every mesh of a kind is carried
to its creature exactly. Identity scales each bone along and across its axis (linear blending); pose
turns the joints (dual quaternion blending: Kavan, Collins, Zara, O'Sullivan, "Geometric skinning with
approximate dual quaternion blending", 2008). Axes: x to the creature's left, y up, z to its front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_SPREAD = 0.7  # of the Gaussian skinning weights, in bone radii


@dataclass(frozen=True, eq=False)
class Bone:
    """A bone in the rest pose: its parent's name, its segment ``head`` to ``tail``, the thickness of the flesh, its group.

    Bones of one group share their identity scales. ``radius`` sets how far the bone's influence reaches.
    """

    name: str
    parent: str | None
    head: np.ndarray
    tail: np.ndarray
    radius: float
    group: str

    def mirrored(self, shared: Sequence[str]) -> Bone:
        """The right bone of a left one: x mirrored, ``_l`` becomes ``_r``; parents in ``shared`` stay."""
        sign = np.array([-1.0, 1.0, 1.0])
        parent = self.parent if self.parent is None or self.parent in shared else right(self.parent)
        return Bone(right(self.name), parent, self.head * sign, self.tail * sign, self.radius, self.group)


def right(name: str) -> str:
    """``arm_l`` -> ``arm_r``, ``finger_l2`` -> ``finger_r2``."""
    return name.replace("_l", "_r")


def chain(name: str, parent: str | None, points: ArrayLike, radii: ArrayLike, group: str) -> list[Bone]:
    """Bones ``name0, name1, ...`` along ``points``; each is the parent of the next."""
    joints = np.asarray(points, dtype=float)
    thickness = np.broadcast_to(np.asarray(radii, dtype=float), (len(joints) - 1,))
    bones = []
    for i, radius in enumerate(thickness):
        bones.append(Bone(f"{name}{i}", parent, joints[i], joints[i + 1], float(radius), group))
        parent = f"{name}{i}"
    return bones


def hinge(direction: ArrayLike, towards: ArrayLike) -> np.ndarray:
    """Unit axis about which a positive angle turns ``direction`` to ``towards``."""
    axis = np.cross(np.asarray(direction), np.asarray(towards))
    return axis / np.linalg.norm(axis)


@dataclass(frozen=True, eq=False)
class Proportions:
    """Identity: the scale of each bone along and across its axis, ``(b,)`` each."""

    length: np.ndarray
    thickness: np.ndarray


class Skeleton:
    """A tree of bones, parents before children."""

    def __init__(self, bones: Sequence[Bone]) -> None:
        self.bones = tuple(bones)
        self.index = {bone.name: i for i, bone in enumerate(bones)}
        self.parent = np.array([-1 if bone.parent is None else self.index[bone.parent] for bone in bones])
        self.head = np.array([bone.head for bone in bones])
        self.tail = np.array([bone.tail for bone in bones])
        self.radius = np.array([bone.radius for bone in bones])

    def weights(self, points: np.ndarray) -> np.ndarray:
        """Skinning weights ``(n, b)``: Gaussian in the distance to the bone over its radius, summing to one.

        The segments are shortened at both ends, which makes the weights of neighbouring bones change at a
        steady rate through their joint.
        """
        along = self.tail - self.head
        length = np.linalg.norm(along, axis=1)
        axis = along / length[:, None]
        gap = np.minimum(0.5 * self.radius, 0.3 * length)
        offset = points @ axis.T - (self.head * axis).sum(1)
        t = np.clip(offset, gap, length - gap)
        square = ((points**2).sum(1)[:, None] - 2 * points @ self.head.T + (self.head**2).sum(1)) - t * (2 * offset - t)
        energy = np.maximum(square, 0.0) / (2 * (_SPREAD * self.radius) ** 2)
        weights = np.exp(energy.min(1, keepdims=True) - energy)
        return weights / weights.sum(1, keepdims=True)

    def proportions(self, ranges: Mapping[str, tuple[float, float, float, float]], rng: np.random.Generator) -> Proportions:
        """Draw an identity: ``ranges`` gives (shortest, longest, thinnest, thickest) for each group, drawn log-uniformly.

        Every bone departs from its group by a few per cent, left and right alike.
        """
        drawn = {group: np.exp(rng.uniform(np.log([r[0], r[2]]), np.log([r[1], r[3]]))) for group, r in ranges.items()}
        length, thickness, seen = np.ones(len(self.bones)), np.ones(len(self.bones)), dict[str, np.ndarray]()
        for i, bone in enumerate(self.bones):
            key = right(bone.name)
            if key not in seen:
                seen[key] = np.exp(rng.uniform(-0.05, 0.05, 2))
            length[i], thickness[i] = drawn[bone.group] * seen[key]
        return Proportions(length, thickness)

    def joints(self, proportions: Proportions) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the bones' heads ``(b, 3)`` and linear maps of the bones ``(b, 3, 3)`` under an identity."""
        axis = self.tail - self.head
        axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
        stretch = (proportions.length - proportions.thickness)[:, None, None] * axis[:, :, None] * axis[:, None, :]
        scale = proportions.thickness[:, None, None] * np.eye(3) + stretch
        head = self.head.copy()
        for i, p in enumerate(self.parent):
            if p >= 0:
                head[i] = head[p] + scale[p] @ (self.head[i] - self.head[p])
        return head, scale

    def deform(self, points: np.ndarray, proportions: Proportions, pose: Mapping[str, np.ndarray]) -> np.ndarray:
        """Carry rest ``points (n, 3)`` to the creature.

        ``pose`` maps a bone's name to the rotation vector, in degrees and rest axes, of its joint relative
        to its parent; bones that are not named do not turn.
        """
        weights = self.weights(points)
        head, scale = self.joints(proportions)
        offset = head - np.einsum("bij,bj->bi", scale, self.head)
        shaped = np.einsum("nij,nj->ni", np.tensordot(weights, scale, 1), points) + weights @ offset
        real, dual = self._dual_quaternions(head, pose)
        real, dual = weights @ real, weights @ dual
        norm = np.linalg.norm(real, axis=1, keepdims=True)
        real, dual = real / norm, dual / norm
        shift = 2 * _multiply(dual, real * [1, -1, -1, -1])[:, 1:]
        w, v = real[:, :1], real[:, 1:]
        return shaped + 2 * np.cross(v, np.cross(v, shaped) + w * shaped) + shift

    def _dual_quaternions(self, head: np.ndarray, pose: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Real and dual parts ``(b, 4)`` (w first) of the bones' motions; signs follow the tree, so blending never cancels."""
        real = np.zeros((len(self.bones), 4))
        place = np.zeros((len(self.bones), 3))
        for i, bone in enumerate(self.bones):
            local = _quaternion(np.radians(np.asarray(pose.get(bone.name, (0.0, 0.0, 0.0)), dtype=float)))
            p = self.parent[i]
            real[i] = local if p < 0 else _multiply(real[p], local)
            place[i] = head[i] if p < 0 else place[p] + _rotate(real[p], head[i] - head[p])
        shift = place - _rotate(real, head)
        dual = 0.5 * _multiply(np.concatenate([np.zeros((len(shift), 1)), shift], axis=1), real)
        return real, dual


def _quaternion(rotation_vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(rotation_vector)
    return np.concatenate([[np.cos(angle / 2)], 0.5 * np.sinc(angle / (2 * np.pi)) * rotation_vector])


def _multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    scalar = p[..., :1] * q[..., :1] - (p[..., 1:] * q[..., 1:]).sum(-1, keepdims=True)
    vector = p[..., :1] * q[..., 1:] + q[..., :1] * p[..., 1:] + np.cross(p[..., 1:], q[..., 1:])
    return np.concatenate([scalar, vector], axis=-1)


def _rotate(q: np.ndarray, x: np.ndarray) -> np.ndarray:
    w, v = q[..., :1], q[..., 1:]
    return x + 2 * np.cross(v, np.cross(v, x) + w * x)
