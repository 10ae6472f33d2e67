"""A standing human-like figure, 1.75 tall, arms half lowered at rest."""

from __future__ import annotations

import numpy as np

from ..anatomy import Kind, Pose, both_sides, jitter, on_right, turns
from ..body import Tube
from ..skeleton import Bone, chain, hinge

tube = Tube.through

_SHOULDER = np.array([0.182, 1.415, -0.015])
_ARM = np.array([np.cos(np.radians(38)), -np.sin(np.radians(38)), 0.0])  # direction of the left arm
_SIDE = np.array([0.0, 0.0, 1.0])  # across the palm, towards the thumb
_ELBOW = _SHOULDER + 0.285 * _ARM
_WRIST = _SHOULDER + 0.535 * _ARM
_BEND = hinge(_ARM, [0, 0, 1])  # bends the left elbow forwards
_CURL = hinge(_ARM, [_ARM[1], -_ARM[0], 0])  # bends the left fingers to the palm, which faces down and in

_PALM_NORMAL = hinge(_SIDE, _ARM)  # turns the thumb's side to the fingertips' direction


def _on_arm(reach: float, side: float = 0.0, drop: float = 0.0) -> np.ndarray:
    """Point at ``reach`` beyond the left wrist along the arm, ``side`` towards the thumb, ``drop`` towards the palm."""
    return _WRIST + reach * _ARM + side * _SIDE + drop * np.array([_ARM[1], -_ARM[0], 0.0])


_FINGERS = {  # sideways place of the knuckle and of the tip, length, radius; spread wide, poses close them
    "index": (0.039, 0.092, 0.086, 0.0124),
    "middle": (0.013, 0.031, 0.097, 0.0128),
    "ring": (-0.013, -0.033, 0.091, 0.0124),
    "little": (-0.039, -0.094, 0.072, 0.0118),
}


def _finger(name: str) -> np.ndarray:
    """Knuckle, two joints and tip of a finger of the left hand."""
    knuckle, tip, length, _ = _FINGERS[name]
    steps = np.array([0.0, 0.45, 0.76, 1.0])
    return np.stack([_on_arm(0.088 + length * s - 4 * knuckle**2, knuckle + (tip - knuckle) * s, 0.004 * s) for s in steps])


_THUMB = np.stack([_on_arm(0.016, 0.022, 0.005), _on_arm(0.040, 0.060, 0.009), _on_arm(0.058, 0.087, 0.011), _on_arm(0.072, 0.106, 0.012)])

_TRUNK = [
    tube(
        [
            [0, 0.915, -0.008],
            [0, 0.98, -0.004],
            [0, 1.10, 0.010],
            [0, 1.22, 0.006],
            [0, 1.32, -0.002],
            [0, 1.40, -0.018],
            [0, 1.445, -0.022],
        ],
        [0.124, 0.137, 0.124, 0.144, 0.160, 0.138, 0.085],
        0.0,
        flat=[0, 0, 1.42],
    ),
    tube([[0, 1.43, -0.025], [0, 1.56, 0.0]], [0.062, 0.054], 0.06),
    tube([[0, 1.660, -0.012], [0, 1.640, 0.020]], [0.090, 0.086], 0.03, flat=[1.14, 0, 0]),
    tube([[0, 1.600, 0.020], [0, 1.568, 0.052], [0, 1.552, 0.070]], [0.066, 0.050, 0.030], 0.05, flat=[1.08, 0, 0]),
    tube([[0, 1.648, 0.098], [0, 1.613, 0.112]], [0.010, 0.0135], 0.022),
    tube([[0.020, 1.576, 0.088], [0, 1.574, 0.095], [-0.020, 1.576, 0.088]], [0.007, 0.009, 0.007], 0.016),
]
_LEFT = [
    tube([[0.014, 1.657, 0.086], [0.050, 1.655, 0.070]], [0.013, 0.012], 0.025),
    tube([[0.033, 1.634, 0.080]], 0.0125, 0.008),
    tube([[0.080, 1.650, -0.004], [0.080, 1.620, 0.004]], [0.024, 0.016], 0.022, flat=[1.45, 0, -0.5]),
    tube([[0.085, 1.318, 0.060], [0.060, 1.30, 0.062]], [0.062, 0.058], 0.08, flat=[0, 0, 1.3]),
    tube([[0.070, 0.915, -0.046]], 0.086, 0.08),
    tube(
        [
            _SHOULDER - np.array([0.075, 0, 0]),
            _SHOULDER + 0.025 * _ARM,
            _SHOULDER + 0.13 * _ARM,
            _ELBOW,
            _SHOULDER + 0.35 * _ARM,
            _SHOULDER + 0.45 * _ARM,
            _WRIST,
        ],
        [0.066, 0.070, 0.054, 0.041, 0.045, 0.035, 0.027],
        0.055,
    ),
    tube([_on_arm(-0.005), _on_arm(0.035), _on_arm(0.085)], [0.028, 0.040, 0.047], 0.02, flat=2.0 * np.array([_ARM[1], -_ARM[0], 0])),
    tube(_THUMB, [0.020, 0.0175, 0.0145, 0.0125], 0.040),
    *(tube(_finger(name), [r * 1.05, r, 0.95 * r, 0.82 * r], 0.026, steps=2) for name, (_, _, _, r) in _FINGERS.items()),
    tube(
        [
            [0.090, 0.93, 0.0],
            [0.104, 0.82, 0.008],
            [0.118, 0.66, 0.010],
            [0.128, 0.50, 0.004],
            [0.134, 0.37, -0.014],
            [0.142, 0.20, -0.014],
            [0.146, 0.09, -0.015],
        ],
        [0.096, 0.096, 0.079, 0.056, 0.062, 0.042, 0.036],
        0.045,
    ),
    tube([[0.146, 0.044, -0.040], [0.150, 0.050, 0.03], [0.158, 0.034, 0.115], [0.164, 0.026, 0.165]], [0.040, 0.043, 0.037, 0.027], 0.035),
]

_MIDDLE_BONES = [
    Bone("pelvis", None, np.array([0, 1.02, 0]), np.array([0, 0.92, 0]), 0.14, "trunk"),
    *chain("spine", "pelvis", [[0, 1.02, 0], [0, 1.14, 0.01], [0, 1.26, 0.0], [0, 1.44, -0.02]], [0.13, 0.13, 0.14], "trunk"),
    Bone("neck", "spine2", np.array([0, 1.44, -0.02]), np.array([0, 1.56, 0.0]), 0.055, "neck"),
    Bone("head", "neck", np.array([0, 1.56, 0.0]), np.array([0, 1.72, 0.01]), 0.085, "head"),
]
_LEFT_BONES = [
    Bone("clavicle_l", "spine2", np.array([0.03, 1.42, -0.01]), _SHOULDER, 0.07, "trunk"),
    Bone("arm_l", "clavicle_l", _SHOULDER, _ELBOW, 0.050, "arm"),
    Bone("forearm_l", "arm_l", _ELBOW, _WRIST, 0.040, "arm"),
    Bone("hand_l", "forearm_l", _WRIST, _on_arm(0.088), 0.036, "hand"),
    *chain("thumb_l", "hand_l", _THUMB, [0.017, 0.014, 0.012], "hand"),
    *(bone for name in _FINGERS for bone in chain(f"{name}_l", "hand_l", _finger(name), 0.0115, "hand")),
    Bone("thigh_l", "pelvis", np.array([0.094, 0.92, 0.0]), np.array([0.128, 0.50, 0.004]), 0.085, "leg"),
    Bone("shin_l", "thigh_l", np.array([0.128, 0.50, 0.004]), np.array([0.146, 0.085, -0.015]), 0.052, "leg"),
    Bone("foot_l", "shin_l", np.array([0.146, 0.085, -0.015]), np.array([0.158, 0.035, 0.105]), 0.042, "foot"),
    Bone("toes_l", "foot_l", np.array([0.158, 0.035, 0.105]), np.array([0.165, 0.025, 0.19]), 0.030, "foot"),
]


def _fingers(curl: float, rng: np.random.Generator) -> Pose:
    """Left fingers bent by ``curl`` degrees at each joint, more or less."""
    pose: Pose = {}
    close = rng.uniform(0.1, 0.4)
    for name, (knuckle, tip, length, _) in _FINGERS.items():
        bend, aside = curl * rng.uniform(0.85, 1.15), np.degrees(np.arctan2(tip - knuckle, length))
        pose |= {
            f"{name}_l0": 0.8 * bend * _CURL + close * aside * _PALM_NORMAL,
            f"{name}_l1": bend * _CURL,
            f"{name}_l2": 0.7 * bend * _CURL,
        }
    return pose | {f"thumb_l{i}": 0.3 * curl * _CURL for i in (1, 2)}


def _arm(lift: float = 0.0, forward: float = 0.0, bend: float = 0.0, twist: float = 0.0) -> Pose:
    """Left arm: degrees above its rest direction, swung forward about the upright axis, elbow bend, twist about itself."""
    return turns(
        clavicle_l=(0, -0.15 * forward, 0.25 * max(lift, -10)),
        arm_l=0.75 * lift * np.array([0, 0, 1.0]) - 0.85 * forward * np.array([0.45, 0.9, 0]) + twist * _ARM,
        forearm_l=bend * _BEND,
    )


def _leg(raise_: float = 0.0, knee: float = 0.0, out: float = 0.0) -> Pose:
    """Left leg: thigh swung forward, knee bent, thigh out to the side; degrees."""
    return turns(thigh_l=(-raise_, 0, out), shin_l=(knee, 0, 0), foot_l=(0.25 * (raise_ - knee), 0, 0))


def _trunk(rng: np.random.Generator, bow: float = 0.0, twist: float = 0.0, lean: float = 0.0) -> Pose:
    """Spine bent forward, twisted to the left, leaning to the right, in total degrees; the head looks about."""
    turn = np.array([bow, twist, lean]) / 3 + rng.uniform(-3, 3, 3)
    look = np.array([rng.uniform(-12, 12) - 0.25 * bow, rng.uniform(-28, 28), rng.uniform(-8, 8)])
    return turns(spine0=turn, spine1=turn, spine2=turn, neck=0.5 * look, head=0.5 * look)


def _hands(rng: np.random.Generator, low: float = 0, high: float = 45) -> Pose:
    wrist = turns(hand_l=rng.uniform(-12, 12, 3))
    return wrist | _fingers(rng.uniform(low, high), rng) | on_right(wrist | _fingers(rng.uniform(low, high), rng))


def _stand(rng: np.random.Generator) -> Pose:
    pose = (
        _trunk(rng)
        | _hands(rng, 8, 25)
        | _arm(-rng.uniform(15, 28), 0, rng.uniform(5, 20))
        | on_right(_arm(-rng.uniform(15, 28), 0, rng.uniform(5, 20)))
    )
    return jitter(pose | _leg(4, 3, 2) | on_right(_leg(-3, 0, 2)), rng, 1.5)


def _walk(rng: np.random.Generator) -> Pose:
    swing = rng.uniform(18, 28)
    pose = _trunk(rng, bow=4, twist=-8) | _hands(rng, 10, 30) | _arm(-22, -0.9 * swing, 14) | on_right(_arm(-22, 1.1 * swing, 24))
    return jitter(pose | _leg(swing, 8) | on_right(_leg(-0.7 * swing, 18)), rng, 2)


def _run(rng: np.random.Generator) -> Pose:
    swing = rng.uniform(42, 58)
    pose = _trunk(rng, bow=14, twist=-12) | _hands(rng, 35, 55) | _arm(-14, -0.9 * swing, 80) | on_right(_arm(-14, 0.8 * swing, 78))
    return jitter(pose | _leg(swing, 55) | on_right(_leg(-0.5 * swing, 65)), rng, 2)


def _wave(rng: np.random.Generator) -> Pose:
    pose = _trunk(rng, lean=5) | _hands(rng, 0, 15) | _arm(rng.uniform(55, 80), 12, rng.uniform(15, 60)) | on_right(_arm(-22, 5, 15))
    return jitter(pose | _leg(2, 2, 4) | on_right(_leg(0, 0, 4)), rng, 2)


def _reach(rng: np.random.Generator) -> Pose:
    pose = _trunk(rng, bow=18) | _hands(rng, 5, 30) | _arm(30, 85, rng.uniform(5, 25)) | on_right(_arm(28, 80, rng.uniform(5, 30)))
    return jitter(pose | _leg(25, 25) | on_right(_leg(-12, 8)), rng, 2)


def _star(rng: np.random.Generator) -> Pose:
    lift = rng.uniform(35, 75)
    pose = _trunk(rng) | _hands(rng, 0, 12) | _arm(lift, 5, 5) | on_right(_arm(lift, 5, 5))
    return jitter(pose | _leg(0, 2, rng.uniform(12, 24)) | on_right(_leg(0, 2, rng.uniform(12, 24))), rng, 2)


def _sit(rng: np.random.Generator) -> Pose:
    pose = _trunk(rng, bow=8) | _hands(rng, 10, 30) | _arm(4, 38, 62) | on_right(_arm(4, 38, 62))
    return jitter(pose | _leg(82, 82, 8) | on_right(_leg(80, 80, 8)), rng, 2)


def _lunge(rng: np.random.Generator) -> Pose:
    pose = _trunk(rng, bow=6, twist=10) | _hands(rng, 40, 60) | _arm(28, 60, 8) | on_right(_arm(10, 40, 88))
    return jitter(pose | _leg(62, 70, 8) | on_right(_leg(-22, 12, 6)), rng, 2)


def _kick(rng: np.random.Generator) -> Pose:
    pose = _trunk(rng, bow=-6, twist=12) | _hands(rng, 20, 50) | _arm(10, -10, 40) | on_right(_arm(15, 45, 50))
    return jitter(pose | _leg(rng.uniform(55, 75), 12, 4) | on_right(_leg(-6, 10, 3)), rng, 2)


HUMANOID = Kind(
    name="humanoid",
    tubes=[*_TRUNK, *both_sides(_LEFT)],
    bones=[*_MIDDLE_BONES, *both_sides(_LEFT_BONES, shared=[bone.name for bone in _MIDDLE_BONES])],
    ranges={
        "trunk": (0.9, 1.1, 0.9, 1.2),
        "neck": (0.85, 1.2, 0.9, 1.15),
        "head": (0.94, 1.1, 0.94, 1.1),
        "arm": (0.88, 1.15, 0.82, 1.3),
        "hand": (0.92, 1.12, 0.9, 1.1),
        "leg": (0.85, 1.16, 0.88, 1.16),
        "foot": (0.92, 1.12, 0.92, 1.12),
    },
    poses={
        "stand": _stand,
        "walk": _walk,
        "run": _run,
        "wave": _wave,
        "reach": _reach,
        "star": _star,
        "sit": _sit,
        "lunge": _lunge,
        "kick": _kick,
    },
    spacing=0.0098,
)
