"""The shapes: those of the note's own table, solids by rule, meshes of a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ... import ops
from ...datasets.procedural.solids import Solid, ball, box, cylinder, ring, rod, united
from ...datasets.solids import sampled
from ...errors import ArgumentError, problem
from ...shapes import SUFFIXES, Mesh, load
from ...shapes.grid import DistanceField, Grid

#: Cells along an axis, and where distances are cut: the paper's.
RESOLUTION, TRUNCATION = 256, 0.1


def _gyroid(wave: float, wall: float) -> Solid:
    def value(p: np.ndarray) -> np.ndarray:
        sine, cosine = np.sin(wave * p), np.cos(wave * p)
        return np.abs((sine * np.roll(cosine, -1, axis=1)).sum(1)) / (np.sqrt(3) * wave) - wall

    shell = ball(0.9)
    return Solid(value, shell.lower, shell.upper) & shell


def _rods(count: int, radius: float) -> Solid:
    ends = np.random.default_rng(0).standard_normal((count, 3))
    ends *= 0.85 / np.linalg.norm(ends, axis=1, keepdims=True)
    return united([rod(-end, end, radius) for end in ends])


def _csg() -> Solid:
    body = box((1.2, 1.0, 0.9))
    for axis in range(3):
        body = body - cylinder(0.25, 3.0).along(axis)
    return body | ball(0.35).at((0.6, 0.5, 0.45))


#: The shapes of the note's table as they stand in the box; it gives the ball's radius and the rods', the other sizes are ours.
NOTE_SOLIDS: Mapping[str, Solid] = {
    "sphere": ball(0.6),
    "torus": ring(0.55, 0.22),
    "box": box((1.2, 0.9, 0.7)),
    "csg": _csg(),
    "rods": _rods(10, 0.03),
    "gyroid": _gyroid(11.0, 0.03),
}


def note_field(name: str) -> DistanceField:
    """One of :data:`NOTE_SOLIDS` on the grid."""
    return sampled(NOTE_SOLIDS[name], RESOLUTION, TRUNCATION)


def mesh_fields(folder: Path, limit: int | None) -> Iterator[tuple[str, Mesh, DistanceField]]:
    """Meshes of a folder by name, each with its field: moved to the middle of the box, its longest side nine tenths of the box's.

    ``limit`` takes the first so many in the order of their names.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ArgumentError(problem("data", "a folder with meshes", f"none in {folder}"))
    grid = Grid.box(-1.0, 1.0, RESOLUTION)
    for path in files[:limit]:
        mesh = load(path)
        if not isinstance(mesh, Mesh):
            continue
        low, high = mesh.vertices.amin(dim=0), mesh.vertices.amax(dim=0)
        placed = ((mesh.vertices - (low + high) / 2) * (1.8 / (high - low).max())).float()
        yield path.stem, mesh, DistanceField(ops.mesh_sdf(placed, mesh.faces, RESOLUTION, TRUNCATION), grid, TRUNCATION)
