"""A left hand with a piece of forearm: fingers up, palm to the front (+z), thumb to +x. Palm about 0.4 wide."""

from __future__ import annotations

import numpy as np

from ..anatomy import Kind, Pose, jitter
from ..body import Tube
from ..skeleton import Bone, chain, hinge

tube = Tube.through

_FINGERS = {  # base of the finger, direction, length of the three phalanges, radius at base
    "index": ([0.160, 0.44, 0.0], [0.34, 1.0, 0.0], [0.205, 0.125, 0.095], 0.053),
    "middle": ([0.050, 0.47, -0.004], [0.10, 1.0, 0.0], [0.225, 0.145, 0.100], 0.055),
    "ring": ([-0.058, 0.455, 0.0], [-0.17, 1.0, 0.0], [0.205, 0.135, 0.098], 0.051),
    "little": ([-0.158, 0.400, 0.008], [-0.48, 1.0, 0.0], [0.160, 0.095, 0.085], 0.047),
}
_THUMB = np.array([[0.115, 0.08, 0.030], [0.225, 0.215, 0.065], [0.305, 0.335, 0.085], [0.360, 0.445, 0.090]])


def _joints(name: str) -> np.ndarray:
    base, direction, phalanges, _ = _FINGERS[name]
    reach = np.concatenate([[0.0], np.cumsum(phalanges)])
    return np.asarray(base) + reach[:, None] * np.asarray(direction) / np.linalg.norm(direction)


def _finger(name: str) -> list[Tube]:
    """A finger, a little thicker at its joints, with a nail, and its knuckle on the back of the hand."""
    joints, radius = _joints(name), _FINGERS[name][3]
    up = joints[3] - joints[2]
    middle = [(joints[i] + joints[i + 1]) / 2 for i in range(3)]
    line = [
        joints[0] - 0.3 * (joints[1] - joints[0]),
        joints[0],
        middle[0],
        joints[1],
        middle[1],
        joints[2],
        middle[2],
        joints[3] - 0.3 * up,
    ]
    back = np.array([0, 0, -1.0])
    nail = [joints[3] - 0.62 * up + 0.50 * radius * back, joints[3] - 0.22 * up + 0.48 * radius * back]
    return [
        tube(line, radius * np.array([0.9, 1.0, 0.93, 0.98, 0.86, 0.89, 0.80, 0.70]), 0.070, steps=2),
        tube(nail, 0.45 * radius, 0.012, flat=[0, 0, 1.3]),
        tube([joints[0] + [0, -0.01, -0.028]], 0.036, 0.04),
    ]


_PALM = [
    tube([[0.0, -0.42, -0.004], [0.0, -0.25, -0.006], [0.0, -0.06, 0.0]], [0.150, 0.140, 0.132], 0.0, flat=[0, 0, 1.35]),
    tube([[0.055, 0.02, 0.0], [0.10, 0.22, 0.0], [0.135, 0.38, 0.0]], [0.085, 0.088, 0.078], 0.09, flat=[0, 0, 1.2]),
    tube([[0.010, 0.02, -0.004], [0.03, 0.24, -0.006], [0.045, 0.40, -0.004]], [0.085, 0.086, 0.080], 0.08, flat=[0, 0, 1.2]),
    tube([[-0.030, 0.02, 0.0], [-0.045, 0.22, -0.002], [-0.050, 0.385, 0.0]], [0.085, 0.084, 0.076], 0.08, flat=[0, 0, 1.2]),
    tube([[-0.060, 0.02, 0.004], [-0.115, 0.20, 0.006], [-0.142, 0.34, 0.008]], [0.080, 0.078, 0.066], 0.08, flat=[0, 0, 1.15]),
    tube([[-0.085, 0.05, 0.040], [-0.120, 0.17, 0.040]], [0.055, 0.045], 0.08),
    tube(
        [
            _THUMB[0],
            0.5 * (_THUMB[0] + _THUMB[1]),
            _THUMB[1],
            0.5 * (_THUMB[1] + _THUMB[2]),
            _THUMB[2],
            0.75 * _THUMB[3] + 0.25 * _THUMB[2],
        ],
        [0.082, 0.084, 0.067, 0.060, 0.061, 0.049],
        0.09,
        steps=5,
    ),
    tube([_THUMB[2] + [0.030, 0.028, -0.018], _THUMB[3] + [0.006, -0.045, -0.020]], 0.027, 0.014),
]

_BONES = [
    Bone("palm", None, np.array([0, -0.02, 0]), np.array([0.02, 0.34, 0]), 0.15, "palm"),
    Bone("forearm", "palm", np.array([0, -0.02, 0]), np.array([0, -0.50, 0]), 0.14, "forearm"),
    *chain("thumb", "palm", _THUMB, [0.085, 0.062, 0.055], "thumb"),
    *(bone for name in _FINGERS for bone in chain(name, "palm", _joints(name), [0.056, 0.050, 0.046], "finger")),
]
_CURL = {name: hinge(direction, [0, 0, 1]) for name, (_, direction, _, _) in _FINGERS.items()}
_OPPOSE = hinge(_THUMB[2] - _THUMB[0], [-0.8, 0.1, 0.75])  # brings the thumb across the palm


def _pose(rng: np.random.Generator, curls: dict[str, float], close: float = 6.0, thumb: float = 10.0) -> Pose:
    """Fingers curled by so many degrees at each joint (about), closed sideways by ``close`` degrees, thumb across the palm."""
    side = {"index": 1.0, "middle": 0.3, "ring": -0.4, "little": -1.6}
    pose = {}
    for name in _FINGERS:
        curl = curls.get(name, 0.0)
        for i, share in enumerate((0.85, 1.0, 0.75)):
            pose[f"{name}{i}"] = share * curl * _CURL[name] + (close * side[name] if i == 0 else 0.0) * np.array([0, 0, 1.0])
    pose |= {"thumb0": 0.7 * thumb * _OPPOSE, "thumb1": 0.5 * thumb * _OPPOSE, "thumb2": 0.8 * thumb * _OPPOSE}
    pose["forearm"] = np.array([rng.uniform(-28, 28), rng.uniform(-10, 10), rng.uniform(-14, 14)])
    return jitter(pose, rng, 1.2)


def _all(curl: float, **others: float) -> dict[str, float]:
    return dict.fromkeys(_FINGERS, curl) | others


def _open(rng: np.random.Generator) -> Pose:
    return _pose(rng, _all(rng.uniform(-6, 10)), close=rng.uniform(-2, 5), thumb=rng.uniform(-12, 8))


def _relaxed(rng: np.random.Generator) -> Pose:
    curl = rng.uniform(18, 30)
    return _pose(rng, {"index": 0.7 * curl, "middle": 0.9 * curl, "ring": curl, "little": 1.1 * curl}, thumb=15)


def _grip(rng: np.random.Generator) -> Pose:
    return _pose(rng, _all(rng.uniform(42, 56)), close=6, thumb=rng.uniform(22, 34))


def _point(rng: np.random.Generator) -> Pose:
    return _pose(rng, _all(rng.uniform(52, 64), index=rng.uniform(0, 8)), thumb=25)


def _victory(rng: np.random.Generator) -> Pose:
    bent = rng.uniform(50, 62)
    return _pose(rng, _all(2.0, ring=bent, little=bent), close=-1, thumb=28)


def _pinch(rng: np.random.Generator) -> Pose:
    return _pose(rng, _all(rng.uniform(8, 20), index=rng.uniform(38, 46)), close=3, thumb=rng.uniform(24, 32))


def _horns(rng: np.random.Generator) -> Pose:
    bent = rng.uniform(50, 60)
    return _pose(rng, _all(3.0, middle=bent, ring=bent), close=2, thumb=20)


def _wave(rng: np.random.Generator) -> Pose:
    curl = rng.uniform(12, 45, 4)
    return _pose(rng, dict(zip(_FINGERS, curl, strict=True)), close=2, thumb=rng.uniform(-5, 25))


HAND = Kind(
    name="hand",
    tubes=[*_PALM, *(part for name in _FINGERS for part in _finger(name))],
    bones=_BONES,
    ranges={
        "palm": (0.88, 1.15, 0.94, 1.1),
        "forearm": (0.8, 1.2, 0.88, 1.12),
        "thumb": (0.85, 1.2, 0.88, 1.12),
        "finger": (0.8, 1.25, 0.85, 1.08),
    },
    poses={
        "open": _open,
        "relaxed": _relaxed,
        "grip": _grip,
        "point": _point,
        "victory": _victory,
        "pinch": _pinch,
        "horns": _horns,
        "wave": _wave,
    },
    spacing=0.0115,
    symmetric=False,
)
