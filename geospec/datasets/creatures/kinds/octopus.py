"""An eight-armed octopus: the mantle leans back, the eyes look forward, the arms lie around it."""

from __future__ import annotations

import numpy as np

from ..anatomy import Kind, Pose, both_sides, turns
from ..body import Tube
from ..skeleton import Bone, chain, hinge

tube = Tube.through

_SEGMENTS = 9
_ANGLES = (22.5, 67.5, 112.5, 157.5)  # of the left arms, from the front
_UP = np.array([0.0, 1.0, 0.0])


def _direction(arm: int) -> np.ndarray:
    angle = np.radians(_ANGLES[arm])
    return np.array([np.sin(angle), 0.0, np.cos(angle)])


def _line(arm: int, reach: np.ndarray) -> np.ndarray:
    """Points of the rest arm at distances ``reach`` from the body's axis: down, then out, then a little up."""
    height = 0.16 - 0.20 * np.tanh(3.2 * (reach - 0.14)) + 0.10 * np.maximum(reach - 0.5, 0) ** 2
    return reach[:, None] * _direction(arm) + height[:, None] * _UP


_REACH = np.linspace(0.12, 1.12, 9)
_JOINTS = np.linspace(0.14, 1.15, _SEGMENTS + 1)
_THICKNESS = 0.085 * (1 - (_REACH - 0.12) / 1.12) ** 0.9 + 0.010

_MANTLE = [
    tube(
        [[0, 0.22, 0.02], [0, 0.36, -0.01], [0, 0.55, -0.09], [0, 0.74, -0.19], [0, 0.88, -0.27]], [0.150, 0.155, 0.225, 0.205, 0.11], 0.0
    ),
    tube([[0, 0.13, 0.0]], 0.175, 0.12, flat=[0, 1.3, 0]),
    tube([[0, 0.255, 0.135], [0, 0.185, 0.215]], [0.052, 0.040], 0.06),
]
_LEFT = [
    tube([[0.108, 0.375, 0.085]], 0.070, 0.05),
    tube([[0.130, 0.392, 0.122]], 0.043, 0.010),
    *(tube(_line(arm, _REACH), _THICKNESS, 0.085, steps=3) for arm in range(4)),
]
_MIDDLE_BONES = [
    Bone("body", None, np.array([0, 0.12, 0]), np.array([0, 0.34, 0]), 0.15, "head"),
    *chain("mantle", "body", [[0, 0.36, -0.01], [0, 0.56, -0.09], [0, 0.76, -0.20], [0, 0.95, -0.31]], [0.18, 0.20, 0.16], "mantle"),
]
_LEFT_BONES = [
    bone for arm in range(4) for bone in chain(f"arm{arm}_l", "body", _line(arm, _JOINTS), np.linspace(0.085, 0.03, _SEGMENTS), "arm")
]


def _arms(rng: np.random.Generator, lift: float, curl: float, sway: float, wave: float) -> Pose:
    """Each arm: raised at its base, curled upward towards its tip, swaying sideways; degrees in total, drawn for each arm.

    ``wave`` is how much the sway changes its sign along the arm: 0 bends it to one side, 1 makes an S.
    """
    pose: Pose = {}
    for side, mirror in (("l", np.array([1, 1, 1])), ("r", np.array([-1, 1, 1]))):
        for arm in range(4):
            upward = hinge(_direction(arm) * mirror, _UP)
            raised, curled, swayed = lift * rng.uniform(0.2, 1.0), curl * rng.uniform(-0.15, 1.0), sway * rng.uniform(-1, 1)
            for i in range(_SEGMENTS):
                t = i / (_SEGMENTS - 1)
                up = (raised * (i < 2) / 2) + curled * t**1.5 / 3.3
                aside = swayed * np.cos(np.pi * wave * t + 0.5 * np.pi * wave) / 4.5 if wave else swayed * t / 4.5
                pose[f"arm{arm}_{side}{i}"] = up * upward + aside * _UP
    return pose


def _mantle(rng: np.random.Generator) -> Pose:
    turn = np.array([rng.uniform(-12, 14), rng.uniform(-10, 10), rng.uniform(-9, 9)])
    return turns(mantle0=turn, mantle1=turn, mantle2=turn)


def _rest_on_floor(rng: np.random.Generator) -> Pose:
    return _arms(rng, 6, 50, 75, 0) | _mantle(rng)


def _crawl(rng: np.random.Generator) -> Pose:
    return _arms(rng, 15, 40, 60, 1) | _mantle(rng)


def _curl(rng: np.random.Generator) -> Pose:
    return _arms(rng, 10, 230, 25, 0) | _mantle(rng)


def _swim(rng: np.random.Generator) -> Pose:
    return _arms(rng, -38, -25, 25, 0) | _mantle(rng)


def _threaten(rng: np.random.Generator) -> Pose:
    return _arms(rng, 55, 110, 40, 0) | _mantle(rng)


OCTOPUS = Kind(
    name="octopus",
    tubes=[*_MANTLE, *both_sides(_LEFT)],
    bones=[*_MIDDLE_BONES, *both_sides(_LEFT_BONES, shared=[bone.name for bone in _MIDDLE_BONES])],
    ranges={"head": (0.9, 1.15, 0.92, 1.12), "mantle": (0.75, 1.3, 0.85, 1.2), "arm": (0.8, 1.3, 0.8, 1.2)},
    poses={"floor": _rest_on_floor, "crawl": _crawl, "curl": _curl, "swim": _swim, "threaten": _threaten},
    spacing=0.019,
)
