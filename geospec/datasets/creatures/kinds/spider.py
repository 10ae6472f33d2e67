"""A spider: abdomen behind, head with jaws and feelers in front, eight legs raised at the knee."""

from __future__ import annotations

import numpy as np

from ..anatomy import Kind, Pose, both_sides, jitter, turns
from ..body import Tube
from ..skeleton import Bone, chain, hinge

tube = Tube.through

_UP = np.array([0.0, 1.0, 0.0])
_ANGLES = (35.0, 71.0, 105.0, 139.0)  # of the left legs, from the front
_LENGTHS = (1.08, 0.98, 0.96, 1.12)


def _direction(leg: int) -> np.ndarray:
    angle = np.radians(_ANGLES[leg])
    return np.array([np.sin(angle), 0.0, np.cos(angle)])


def _joints(leg: int) -> np.ndarray:
    """Hip, knee, shin, ankle and tip of a left leg."""
    reach, height = np.array([0.08, 0.40, 0.66, 0.86, 0.97]), np.array([0.30, 0.56, 0.40, 0.14, 0.01])
    reach = 0.08 + _LENGTHS[leg] * (reach - 0.08)
    return reach[:, None] * _direction(leg) + height[:, None] * _UP + [0, 0, 0.06 - 0.05 * leg]


_BODY = [
    tube([[0, 0.30, -0.10], [0, 0.30, 0.10], [0, 0.29, 0.18]], [0.125, 0.140, 0.115], 0.0, flat=[0, 1.3, 0]),
    tube([[0, 0.30, -0.13], [0, 0.31, -0.20]], [0.075, 0.085], 0.05),
    tube([[0, 0.32, -0.33], [0, 0.33, -0.50], [0, 0.31, -0.66], [0, 0.275, -0.74]], [0.130, 0.185, 0.145, 0.070], 0.06),
    tube([[0, 0.262, -0.795]], 0.040, 0.03),
]
_LEFT = [
    tube([[0.042, 0.355, 0.225]], 0.030, 0.012),
    tube([[0.052, 0.265, 0.25], [0.066, 0.215, 0.305], [0.060, 0.165, 0.315]], [0.050, 0.044, 0.026], 0.05),
    tube([[0.08, 0.26, 0.20], [0.130, 0.285, 0.34], [0.140, 0.24, 0.45], [0.130, 0.17, 0.50]], [0.036, 0.032, 0.029, 0.026], 0.08),
    *(tube(_joints(leg), [0.050, 0.043, 0.036, 0.029, 0.023], 0.08, steps=5) for leg in range(4)),
]
_MIDDLE_BONES = [
    Bone("body", None, np.array([0, 0.30, -0.10]), np.array([0, 0.30, 0.20]), 0.13, "body"),
    *chain("abdomen", "body", [[0, 0.31, -0.17], [0, 0.33, -0.46], [0, 0.28, -0.78]], [0.12, 0.17], "abdomen"),
]
_LEFT_BONES = [
    Bone("jaw_l", "body", np.array([0.052, 0.265, 0.25]), np.array([0.060, 0.165, 0.315]), 0.045, "feeler"),
    *chain("feeler_l", "body", [[0.08, 0.26, 0.20], [0.130, 0.285, 0.34], [0.130, 0.17, 0.50]], 0.034, "feeler"),
    *(bone for leg in range(4) for bone in chain(f"leg{leg}_l", "body", _joints(leg), [0.055, 0.045, 0.036, 0.028], "leg")),
]


def _legs(rng: np.random.Generator, swing: float, lift: float, fold: float) -> Pose:
    """Alternate legs swing forward and back by about ``swing``, rise by up to ``lift``, fold at the knee; degrees."""
    pose: Pose = {}
    for side, mirror in (("l", 1.0), ("r", -1.0)):
        for leg in range(4):
            phase = 1.0 if (leg % 2 == 0) == (side == "l") else -1.0
            upward = hinge(_direction(leg) * [mirror, 1, 1], _UP)
            raised = (lift if phase > 0 else 0.2 * lift) * rng.uniform(0.5, 1.0)
            bent = fold * rng.uniform(0.4, 1.0)
            pose[f"leg{leg}_{side}0"] = (raised + 0.6 * bent) * upward - mirror * phase * swing * rng.uniform(0.6, 1.0) * _UP
            pose[f"leg{leg}_{side}1"] = -(0.5 * raised + 1.1 * bent) * upward
            pose[f"leg{leg}_{side}2"] = -0.3 * bent * upward
    bob = np.array([rng.uniform(-8, 8), rng.uniform(-8, 8), 0])
    feelers = {f"feeler_{side}{i}": rng.uniform(-12, 12, 3) for side in "lr" for i in range(2)}
    return jitter(pose | feelers | turns(abdomen0=bob, abdomen1=bob), rng, 1.0)


def _stand(rng: np.random.Generator) -> Pose:
    return _legs(rng, 4, 6, 10)


def _walk(rng: np.random.Generator) -> Pose:
    return _legs(rng, rng.uniform(4, 8), 16, 10)


def _crouch(rng: np.random.Generator) -> Pose:
    return _legs(rng, 3, 4, 32)


def _threaten(rng: np.random.Generator) -> Pose:
    raised = {
        f"leg0_{side}0": rng.uniform(18, 32) * hinge(_direction(0) * [mirror, 1, 1], _UP) for side, mirror in (("l", 1.0), ("r", -1.0))
    }
    return _legs(rng, 3, 6, 6) | raised | turns(body=(-rng.uniform(10, 20), 0, 0))


SPIDER = Kind(
    name="spider",
    tubes=[*_BODY, *both_sides(_LEFT)],
    bones=[*_MIDDLE_BONES, *both_sides(_LEFT_BONES, shared=[bone.name for bone in _MIDDLE_BONES])],
    ranges={
        "body": (0.92, 1.12, 0.92, 1.12),
        "abdomen": (0.8, 1.25, 0.75, 1.25),
        "leg": (0.85, 1.3, 0.85, 1.12),
        "feeler": (0.85, 1.15, 0.9, 1.1),
    },
    poses={"stand": _stand, "walk": _walk, "crouch": _crouch, "threaten": _threaten},
    spacing=0.0175,
)
