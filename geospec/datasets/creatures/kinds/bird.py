"""A bird in flight, wings half spread at rest, legs let down."""

from __future__ import annotations

import numpy as np

from ..anatomy import Kind, Pose, both_sides, jitter, on_right, turns
from ..body import Tube
from ..skeleton import Bone, chain

tube = Tube.through

_TOES = {"inner": (-0.066, 0.110), "middle": (0.005, 0.140), "outer": (0.078, 0.105), "back": (0.0, -0.085)}
_ANKLE = np.array([0.105, -0.265, -0.075])
_WING = np.array([[0.115, 0.085, 0.10], [0.36, 0.125, 0.165], [0.66, 0.135, 0.09], [1.02, 0.120, -0.10]])


def _toe(name: str) -> list[np.ndarray]:
    side, ahead = _TOES[name]
    tip = _ANKLE + np.array([side, -0.030, ahead])
    return [_ANKLE, 0.5 * (_ANKLE + tip) + np.array([0, 0.006, 0]), tip]


_BODY = [
    tube([[0, 0.03, -0.34], [0, 0.02, -0.18], [0, 0.0, 0.02], [0, 0.035, 0.20], [0, 0.11, 0.33]], [0.070, 0.135, 0.175, 0.155, 0.098], 0.0),
    tube([[0, 0.10, 0.30], [0, 0.19, 0.40], [0, 0.25, 0.46]], [0.098, 0.078, 0.082], 0.08),
    tube([[0, 0.265, 0.475]], 0.098, 0.04),
    tube([[0, 0.255, 0.55], [0, 0.238, 0.645], [0, 0.205, 0.70]], [0.050, 0.034, 0.014], 0.025, flat=[1.2, 0, 0]),
    tube([[0, 0.040, -0.36], [0, 0.045, -0.55], [0, 0.05, -0.78]], [0.085, 0.125, 0.165], 0.08, flat=[0, 3.2, 0]),
]
_LEFT = [
    tube([[0.074, 0.285, 0.520]], 0.026, 0.012),
    tube(_WING, [0.105, 0.098, 0.082, 0.050], 0.06, flat=[0, 1.9, 0], steps=5),
    tube(
        [[0.15, 0.08, 0.02], [0.36, 0.110, 0.015], [0.60, 0.122, -0.04], [0.82, 0.120, -0.12]],
        [0.125, 0.145, 0.125, 0.085],
        0.06,
        flat=[0, 3.2, 0],
    ),
    tube([[0.62, 0.124, -0.02], [0.82, 0.120, -0.10], [0.97, 0.118, -0.165]], [0.090, 0.085, 0.070], 0.05, flat=[0, 2.2, 0]),
    tube([[0.082, -0.07, -0.02], [0.098, -0.155, -0.045], [0.102, -0.200, -0.06], _ANKLE.tolist()], [0.082, 0.045, 0.026, 0.023], 0.05),
    *(tube(_toe(name), [0.026, 0.025, 0.021], 0.030) for name in _TOES),
]
_MIDDLE_BONES = [
    Bone("body", None, np.array([0, 0.0, -0.10]), np.array([0, 0.03, 0.24]), 0.16, "body"),
    *chain("tail", "body", [[0, 0.03, -0.28], [0, 0.045, -0.52], [0, 0.05, -0.90]], [0.10, 0.10], "tail"),
    *chain("neck", "body", [[0, 0.10, 0.30], [0, 0.18, 0.39], [0, 0.25, 0.455]], [0.095, 0.085], "neck"),
    Bone("head", "neck1", np.array([0, 0.25, 0.455]), np.array([0, 0.265, 0.54]), 0.095, "head"),
    Bone("beak", "head", np.array([0, 0.255, 0.555]), np.array([0, 0.21, 0.71]), 0.050, "beak"),
]
_MIDWING = _WING + np.array([[0, 0, -0.04], [0, 0, -0.08], [0, 0, -0.08], [0.02, 0, -0.06]])
_LEFT_BONES = [
    *chain("wing_l", "body", _MIDWING, [0.12, 0.12, 0.10], "wing"),
    Bone("thigh_l", "body", np.array([0.082, -0.06, -0.02]), np.array([0.099, -0.165, -0.05]), 0.060, "leg"),
    Bone("shank_l", "thigh_l", np.array([0.099, -0.165, -0.05]), _ANKLE, 0.032, "leg"),
    *(bone for name in _TOES for bone in chain(f"{name}_l", "shank_l", _toe(name), 0.024, "toe")),
]


def _wings(up: float, fold: float = 0.0, sweep: float = 0.0, twist: float = 0.0) -> Pose:
    """Left wing: degrees up at the shoulder, tip folded down, swept back, leading edge raised."""
    return turns(wing_l0=(-twist, sweep, up), wing_l1=(0, 0.4 * sweep, 0.2 * up - fold), wing_l2=(0, 0.4 * sweep, 0.1 * up - fold))


def _body(rng: np.random.Generator, legs: float, neck: float = 0.0) -> Pose:
    """Legs drawn back by ``legs`` degrees, neck raised, head turned at random."""
    look = np.array([-0.5 * neck + rng.uniform(-8, 8), rng.uniform(-25, 25), rng.uniform(-6, 6)])
    leg = turns(thigh_l=(0.45 * legs, 0, 0), shank_l=(0.45 * legs, 0, 0))
    leg |= {f"{name}_l{i}": np.array([(-1 if name == "back" else 1) * 0.2 * legs, 0, 0]) for name in _TOES for i in (0, 1)}
    tail = np.array([rng.uniform(-16, 16), rng.uniform(-10, 10), rng.uniform(-8, 8)])
    return jitter(leg | on_right(leg) | turns(neck0=0.4 * look, neck1=0.4 * look, head=0.6 * look, tail0=tail, tail1=0.5 * tail), rng, 2)


def _both_wings(rng: np.random.Generator, *angles: float) -> Pose:
    return jitter(_wings(*angles), rng, 2) | on_right(jitter(_wings(*angles), rng, 2))


def _glide(rng: np.random.Generator) -> Pose:
    return _body(rng, 55) | _both_wings(rng, rng.uniform(0, 15), rng.uniform(-4, 6), rng.uniform(-5, 12))


def _upstroke(rng: np.random.Generator) -> Pose:
    return _body(rng, rng.uniform(20, 60)) | _both_wings(rng, rng.uniform(35, 58), rng.uniform(0, 18), rng.uniform(-5, 8), 8)


def _downstroke(rng: np.random.Generator) -> Pose:
    return _body(rng, rng.uniform(20, 60)) | _both_wings(rng, rng.uniform(-42, -22), rng.uniform(0, 12), rng.uniform(-8, 5), -6)


def _land(rng: np.random.Generator) -> Pose:
    pose = _body(rng, -18, neck=20) | _both_wings(rng, rng.uniform(22, 45), 0, -8, 18)
    return pose | turns(body=(-rng.uniform(18, 35), 0, 0))


def _dive(rng: np.random.Generator) -> Pose:
    return _body(rng, 60) | _both_wings(rng, 8, 6, rng.uniform(22, 34)) | turns(body=(rng.uniform(15, 35), 0, 0))


def _bank(rng: np.random.Generator) -> Pose:
    left, right_ = _wings(rng.uniform(18, 35), 4), on_right(_wings(rng.uniform(-12, 5), 4))
    return _body(rng, 50) | left | right_ | turns(body=(0, 0, rng.uniform(15, 35)))


BIRD = Kind(
    name="bird",
    tubes=[*_BODY, *both_sides(_LEFT)],
    bones=[*_MIDDLE_BONES, *both_sides(_LEFT_BONES, shared=[bone.name for bone in _MIDDLE_BONES])],
    ranges={
        "body": (0.88, 1.15, 0.88, 1.15),
        "tail": (0.7, 1.35, 0.9, 1.15),
        "neck": (0.8, 1.6, 0.88, 1.1),
        "head": (0.94, 1.12, 0.94, 1.12),
        "beak": (0.7, 1.6, 0.85, 1.2),
        "wing": (0.8, 1.25, 0.9, 1.15),
        "leg": (0.85, 1.35, 0.9, 1.15),
        "toe": (0.88, 1.12, 0.92, 1.08),
    },
    poses={"glide": _glide, "upstroke": _upstroke, "downstroke": _downstroke, "land": _land, "dive": _dive, "bank": _bank},
    spacing=0.0145,
)
