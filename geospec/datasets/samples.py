"""The pairs of creatures that lie in the checkout's ``data/``, made again anywhere.

``python -m geospec.datasets data`` writes the files; :func:`shipped` makes the same shapes without them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from ..errors import one_of
from ..shapes import save
from .creatures import CreaturePair, creature, ground_truth, symmetric_ground_truth

SHIPPED: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "quadruped": ({"identity_seed": 3, "pose_seed": 3, "mesh_seed": 1}, {"identity_seed": 8, "pose_seed": 8, "mesh_seed": 2}),
    "humanoid": ({"identity_seed": 3, "pose_seed": 3, "mesh_seed": 1}, {"identity_seed": 4, "pose_seed": 4, "mesh_seed": 2}),
}


def shipped(name: str) -> CreaturePair:
    """The pair ``"quadruped"`` or ``"humanoid"``, 5,000 vertices each, float32 as in the files. Takes a few seconds."""
    one_of("name", name, tuple(SHIPPED))
    source, target = (creature(name, **seeds, n_vertices=5000, dtype=torch.float32) for seeds in SHIPPED[name])
    return CreaturePair(source, target)


def write_shipped(folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``NAME-a.ply`` (source), ``NAME-b.ply`` (target) and the ground truth from b to a; returns the paths.

    ``NAME-b_to_NAME-a.txt`` holds, for each vertex of b, the 0-based vertex of a; ``.sym.txt`` the same mirrored.
    """
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    written = []
    for name in SHIPPED:
        pair = shipped(name)
        for letter, animal in zip("ab", pair, strict=True):
            written.append(home / f"{name}-{letter}.ply")
            save(animal.mesh, written[-1])
        for suffix, truth in (("", ground_truth(*pair)), (".sym", symmetric_ground_truth(*pair))):
            written.append(home / f"{name}-b_to_{name}-a{suffix}.txt")
            aside = written[-1].with_suffix(".part")
            np.savetxt(aside, truth.numpy(), fmt="%d")
            aside.replace(written[-1])
    return written
