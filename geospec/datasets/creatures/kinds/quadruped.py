"""A four-legged mammal: between a dog, a horse and a cat, as its proportions are drawn."""

from __future__ import annotations

import numpy as np

from ..anatomy import Kind, Pose, both_sides, jitter, on_right, turns
from ..body import Tube
from ..skeleton import Bone, chain

tube = Tube.through

_TRUNK = [
    tube(
        [[0, 0.625, -0.42], [0, 0.63, -0.30], [0, 0.60, -0.10], [0, 0.575, 0.10], [0, 0.585, 0.24], [0, 0.62, 0.34]],
        [0.105, 0.135, 0.125, 0.145, 0.155, 0.125],
        0.0,
        flat=[1.22, 0, 0],
    ),
    tube([[0, 0.64, 0.30], [0, 0.76, 0.41], [0, 0.88, 0.50]], [0.115, 0.082, 0.068], 0.10, flat=[1.15, 0, 0]),
    tube([[0, 0.915, 0.525], [0, 0.905, 0.58]], [0.085, 0.074], 0.05),
    tube([[0, 0.885, 0.60], [0, 0.872, 0.69], [0, 0.860, 0.765]], [0.062, 0.050, 0.042], 0.05),
    tube([[0, 0.845, 0.60], [0, 0.828, 0.68], [0, 0.826, 0.735]], [0.044, 0.031, 0.024], 0.018),
    tube([[0, 0.880, 0.793]], 0.025, 0.016),
    tube(
        [[0, 0.68, -0.47], [0, 0.655, -0.58], [0, 0.57, -0.68], [0, 0.47, -0.75], [0, 0.38, -0.84]],
        [0.046, 0.036, 0.034, 0.031, 0.018],
        0.06,
    ),
]
_LEFT = [
    tube([[0.047, 0.955, 0.505], [0.068, 1.02, 0.497], [0.084, 1.085, 0.49]], [0.046, 0.041, 0.021], 0.025, flat=[0.23, 0.23, 1.6]),
    tube([[0.053, 0.940, 0.592]], 0.022, 0.010),
    tube(
        [[0.085, 0.60, 0.25], [0.105, 0.46, 0.225], [0.112, 0.33, 0.235], [0.115, 0.20, 0.255], [0.115, 0.07, 0.25]],
        [0.090, 0.066, 0.048, 0.040, 0.035],
        0.07,
        flat=[1.15, 0, 0],
    ),
    tube([[0.115, 0.036, 0.255], [0.115, 0.034, 0.305]], [0.038, 0.037], 0.03),
    tube(
        [
            [0.080, 0.60, -0.33],
            [0.108, 0.45, -0.275],
            [0.115, 0.355, -0.285],
            [0.115, 0.25, -0.385],
            [0.115, 0.15, -0.385],
            [0.115, 0.07, -0.36],
        ],
        [0.112, 0.086, 0.062, 0.036, 0.034, 0.035],
        0.07,
        flat=[1.2, 0, 0],
    ),
    tube([[0.115, 0.036, -0.360], [0.115, 0.034, -0.305]], [0.038, 0.037], 0.03),
]

_MIDDLE_BONES = [
    Bone("pelvis", None, np.array([0, 0.63, -0.20]), np.array([0, 0.63, -0.42]), 0.13, "trunk"),
    Bone("loin", "pelvis", np.array([0, 0.63, -0.20]), np.array([0, 0.60, 0.0]), 0.13, "trunk"),
    Bone("chest", "loin", np.array([0, 0.60, 0.0]), np.array([0, 0.61, 0.30]), 0.14, "trunk"),
    *chain("neck", "chest", [[0, 0.64, 0.30], [0, 0.76, 0.41], [0, 0.885, 0.51]], [0.10, 0.08], "neck"),
    Bone("head", "neck1", np.array([0, 0.885, 0.51]), np.array([0, 0.905, 0.60]), 0.08, "head"),
    Bone("snout", "head", np.array([0, 0.870, 0.62]), np.array([0, 0.86, 0.79]), 0.055, "snout"),
    *chain(
        "tail",
        "pelvis",
        [[0, 0.68, -0.46], [0, 0.655, -0.58], [0, 0.57, -0.68], [0, 0.47, -0.75], [0, 0.37, -0.85]],
        [0.045, 0.04, 0.04, 0.035],
        "tail",
    ),
]
_LEFT_BONES = [
    Bone("ear_l", "head", np.array([0.05, 0.98, 0.503]), np.array([0.082, 1.09, 0.49]), 0.035, "ear"),
    Bone("shoulder_l", "chest", np.array([0.085, 0.60, 0.25]), np.array([0.107, 0.43, 0.225]), 0.080, "foreleg"),
    Bone("forearm_l", "shoulder_l", np.array([0.107, 0.43, 0.225]), np.array([0.115, 0.21, 0.255]), 0.050, "foreleg"),
    Bone("wrist_l", "forearm_l", np.array([0.115, 0.21, 0.255]), np.array([0.115, 0.07, 0.25]), 0.040, "foreleg"),
    Bone("forepaw_l", "wrist_l", np.array([0.115, 0.07, 0.25]), np.array([0.115, 0.03, 0.34]), 0.040, "paw"),
    Bone("thigh_l", "pelvis", np.array([0.085, 0.60, -0.33]), np.array([0.113, 0.40, -0.275]), 0.100, "hindleg"),
    Bone("shin_l", "thigh_l", np.array([0.113, 0.40, -0.275]), np.array([0.115, 0.25, -0.385]), 0.055, "hindleg"),
    Bone("hock_l", "shin_l", np.array([0.115, 0.25, -0.385]), np.array([0.115, 0.07, -0.36]), 0.040, "hindleg"),
    Bone("hindpaw_l", "hock_l", np.array([0.115, 0.07, -0.36]), np.array([0.115, 0.03, -0.27]), 0.040, "paw"),
]


def _legs(fore: float, fore_bend: float, hind: float, hind_bend: float) -> Pose:
    """Left legs: positive ``fore`` and ``hind`` swing forward, the bends fold the leg."""
    return turns(
        shoulder_l=(-fore + 0.15 * fore_bend, 0, 0),
        forearm_l=(-0.9 * fore_bend, 0, 0),
        wrist_l=(1.2 * fore_bend, 0, 0),
        forepaw_l=(0.5 * fore_bend, 0, 0),
        thigh_l=(-hind - 0.4 * hind_bend, 0, 0),
        shin_l=(0.9 * hind_bend, 0, 0),
        hock_l=(-0.6 * hind_bend, 0, 0),
        hindpaw_l=(0.5 * hind_bend, 0, 0),
    )


def _rest_of_body(rng: np.random.Generator, neck: float = 0.0, back: float = 0.0, tail: float = 0.0) -> Pose:
    """Head, back and tail: ``neck`` raises, ``back`` arches, ``tail`` lifts; each looks aside at random."""
    aside, wag, lift = rng.uniform(-22, 22), rng.uniform(-18, 18), tail + rng.uniform(-8, 18)
    return turns(
        loin=(back, rng.uniform(-6, 6), 0),
        chest=(back, rng.uniform(-6, 6), 0),
        neck0=(-neck, aside, 0),
        neck1=(-0.7 * neck, aside, 0),
        head=(0.9 * neck + rng.uniform(-12, 12), 0.6 * aside, 0),
        ear_l=(rng.uniform(-15, 10), 0, rng.uniform(-20, 5)),
        tail0=(lift, wag, 0),
        tail1=(lift, wag, 0),
        tail2=(0.7 * lift, wag, 0),
        tail3=(0.7 * lift, wag, 0),
    ) | on_right(turns(ear_l=(rng.uniform(-15, 10), 0, rng.uniform(-20, 5))))


def _stand(rng: np.random.Generator) -> Pose:
    step = rng.uniform(-8, 8)
    pose = _rest_of_body(rng, neck=rng.uniform(-10, 20)) | _legs(step, 0, -step, 4) | on_right(_legs(-step, 4, step, 0))
    return jitter(pose, rng, 2)


def _walk(rng: np.random.Generator) -> Pose:
    swing = rng.uniform(16, 26)
    pose = _rest_of_body(rng, neck=rng.uniform(-10, 10), tail=10)
    return jitter(pose | _legs(swing, 8, -swing, 0) | on_right(_legs(-0.8 * swing, 30, 0.9 * swing, 20)), rng, 3)


def _gallop(rng: np.random.Generator) -> Pose:
    reach = rng.uniform(28, 42)
    pose = _rest_of_body(rng, neck=-12, back=-5, tail=28)
    return jitter(pose | _legs(reach, 12, -reach, 0) | on_right(_legs(0.75 * reach, 22, -0.75 * reach, 8)), rng, 3)


def _gather(rng: np.random.Generator) -> Pose:
    reach = rng.uniform(12, 20)
    pose = _rest_of_body(rng, neck=4, back=6, tail=15)
    return jitter(pose | _legs(-0.4 * reach, 42, reach, 14) | on_right(_legs(0.3 * reach, 50, 0.5 * reach, 24)), rng, 3)


def _graze(rng: np.random.Generator) -> Pose:
    step = rng.uniform(6, 14)
    down = rng.uniform(45, 58)
    pose = _rest_of_body(rng, back=4, tail=5) | _legs(step, 0, -step, 3) | on_right(_legs(-step, 6, 0.5 * step, 3))
    pose |= turns(neck0=(down, rng.uniform(-8, 8), 0), neck1=(0.8 * down, rng.uniform(-8, 8), 0), head=(-0.35 * down, 0, 0))
    return jitter(pose, rng, 2)


def _sit(rng: np.random.Generator) -> Pose:
    tilt = rng.uniform(22, 30)
    hind = turns(thigh_l=(-14, 0, 4), shin_l=(42, 0, 0), hock_l=(-34, 0, 0), hindpaw_l=(tilt, 0, 0))
    fore = turns(shoulder_l=(tilt - 4, 0, 0), forearm_l=(-4, 0, 0))
    pose = _rest_of_body(rng, neck=-0.3 * tilt, tail=12) | hind | fore | on_right(hind) | on_right(fore)
    return jitter(pose | turns(pelvis=(-tilt, 0, 0)), rng, 2)


def _rear(rng: np.random.Generator) -> Pose:
    tilt = rng.uniform(40, 55)
    fore = _legs(30, 55, tilt - 62, 12) | turns(thigh_l=(tilt - 12, 0, 0))
    pose = _rest_of_body(rng, neck=-14, back=-4, tail=5) | fore | on_right(fore)
    return jitter(pose | turns(pelvis=(-tilt, 0, 0)), rng, 4)


QUADRUPED = Kind(
    name="quadruped",
    tubes=[*_TRUNK, *both_sides(_LEFT)],
    bones=[*_MIDDLE_BONES, *both_sides(_LEFT_BONES, shared=[bone.name for bone in _MIDDLE_BONES])],
    ranges={
        "trunk": (0.88, 1.15, 0.88, 1.18),
        "neck": (0.75, 1.35, 0.9, 1.2),
        "head": (0.92, 1.12, 0.92, 1.15),
        "snout": (0.7, 1.4, 0.85, 1.15),
        "ear": (0.6, 1.6, 0.85, 1.2),
        "foreleg": (0.75, 1.25, 0.85, 1.25),
        "hindleg": (0.75, 1.25, 0.85, 1.25),
        "paw": (0.9, 1.2, 0.9, 1.25),
        "tail": (0.6, 1.4, 0.8, 1.5),
    },
    poses={"stand": _stand, "walk": _walk, "gallop": _gallop, "gather": _gather, "graze": _graze, "sit": _sit, "rear": _rear},
    spacing=0.0135,
)
