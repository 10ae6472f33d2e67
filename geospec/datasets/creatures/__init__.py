"""Articulated creatures with exact ground-truth correspondence.

A creature is drawn in three independent steps, each with its own seed: identity (lengths and thickness
of the limbs), pose (the angles of the joints), mesh (where the vertices lie and how they are joined).
All creatures of a kind are images of one rest surface under smooth deformations of space, and every
vertex remembers the rest point it came from: that is the ground truth.

>>> pair = creature_pair("quadruped", seed=3, n_vertices=5000)
>>> truth = ground_truth(pair.source, pair.target)  # (5000,): the source vertex for each target vertex
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import ops
from ...errors import ArgumentError, one_of, problem
from ...shapes.mesh import Mesh
from .anatomy import Kind

KINDS = ("humanoid", "quadruped", "hand", "octopus", "bird", "spider")

_SMALLEST = 1000
_REDUNDANCY = 2.0  # at least so many extracted vertices for each one kept
_TRIES, _FULLNESS = 3, 0.25  # of meshing; twice the area over the longest side squared that every face should have


@dataclass(frozen=True, eq=False)
class Creature:
    """A creature and where its vertices lie on the rest surface of its kind.

    ``mesh`` is closed, manifold, of genus 0, oriented outwards. Lengths are about metres, but hands,
    spiders and octopuses are enlarged to one or two. Axes: x to the creature's left, y up, z to its front.
    ``rest (n, 3)`` float64 are the vertices' positions on the rest surface.
    """

    kind: str
    mesh: Mesh
    rest: Tensor
    identity_seed: int
    pose_seed: int | None
    mesh_seed: int

    def __repr__(self) -> str:
        seeds = f"identity_seed={self.identity_seed}, pose_seed={self.pose_seed}, mesh_seed={self.mesh_seed}"
        return f"Creature({self.kind}, {self.mesh.n_points} vertices, {seeds})"


class CreaturePair(NamedTuple):
    """Two creatures of one kind that differ in identity, pose and mesh."""

    source: Creature
    target: Creature


def creature(
    kind: str,
    *,
    identity_seed: int = 0,
    pose_seed: int | None = 0,
    mesh_seed: int = 0,
    n_vertices: int = 5000,
    dtype: torch.dtype = torch.float64,
) -> Creature:
    """Make a creature.

    Parameters
    ----------
    kind : one of :data:`KINDS`.
    identity_seed, pose_seed, mesh_seed : each decides its part alone, except that a pose is eased back towards
        rest where the limbs of that identity would touch. ``pose_seed=None`` is the rest pose.
    n_vertices : exact number of vertices, at least 1000. Thin parts are meshed more finely than thick ones.
    dtype : of the mesh's vertices; the work is done in float64.

    Returns
    -------
    Creature : the same for the same arguments on the same machine; elsewhere other rounding may place and join the
        vertices differently, on the same surface. Takes about 3 s for 5,000 vertices and 10 to 30 s for 50,000 on one core, next to
        nothing where one of the last meshes is asked for again in another identity or pose.
    """
    one_of("kind", kind, KINDS)
    if n_vertices < _SMALLEST:
        raise ArgumentError(problem("n_vertices", f"at least {_SMALLEST}, so that fingers and ears keep their shape", n_vertices))
    made = _kind(kind)
    rest, faces = _rest_mesh(kind, n_vertices, mesh_seed)
    vertices = posed(made, rest, identity_seed, pose_seed)
    mesh = Mesh(torch.from_numpy(vertices).to(dtype), torch.tensor(faces))
    return Creature(kind, mesh, torch.tensor(rest), identity_seed, pose_seed, mesh_seed)


def posed(kind: Kind, rest: np.ndarray, identity_seed: int, pose_seed: int | None) -> np.ndarray:
    """Points ``(n, 3)`` of the rest surface carried to a creature."""
    proportions = kind.skeleton.proportions(kind.ranges, np.random.default_rng([identity_seed, 0]))
    pose = {} if pose_seed is None else kind.draw_pose(proportions, np.random.default_rng([pose_seed, 1]))
    return kind.skeleton.deform(rest, proportions, pose)


def creature_pair(kind: str, seed: int = 0, *, n_vertices: int = 5000, dtype: torch.dtype = torch.float64) -> CreaturePair:
    """Two creatures of one kind; every seed of the one differs from that of the other and from those of other pairs."""
    source, target = (
        creature(kind, identity_seed=s, pose_seed=s, mesh_seed=s, n_vertices=n_vertices, dtype=dtype) for s in (2 * seed, 2 * seed + 1)
    )
    return CreaturePair(source, target)


def ground_truth(source: Creature, target: Creature) -> Tensor:
    """The source vertex nearest to each target vertex on the rest surface: ``target_to_source (n_t,)`` int64.

    Only vertices that face the same way count, so that the two sides of an ear are never confused.
    """
    return _nearest_on_rest(source, target, target.rest)


def symmetric_ground_truth(source: Creature, target: Creature) -> Tensor:
    """:func:`ground_truth` with left and right exchanged, for evaluation up to symmetry: ``(n_t,)`` int64.

    Raises
    ------
    ArgumentError : the kind has no left and right (``"hand"``).
    """
    if not _kind(source.kind).symmetric:
        raise ArgumentError(problem("source", "a creature with a left and a right side", f"a {source.kind}"))
    return _nearest_on_rest(source, target, target.rest * target.rest.new_tensor([-1, 1, 1]))


def _nearest_on_rest(source: Creature, target: Creature, queries: Tensor) -> Tensor:
    if source.kind != target.kind:
        raise ArgumentError(problem("target", f"a {source.kind} like the source", f"a {target.kind}"))
    body = _kind(source.kind).body
    candidates = ops.knn(queries, source.rest, 12)[1].numpy()
    outward = body.evaluate(queries.numpy())[1]
    facing = np.einsum("qkj,qj->qk", body.evaluate(source.rest.numpy())[1][candidates], outward) > 0
    first = facing.argmax(axis=1)  # the nearest that faces the same way; the nearest of all where none does
    return torch.from_numpy(candidates[np.arange(len(candidates)), first])


@cache
def _kind(name: str) -> Kind:
    return getattr(import_module(f".kinds.{name}", __name__), name.upper())


@lru_cache(maxsize=8)
def _rest_mesh(kind: str, n_vertices: int, mesh_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mesh the rest surface; the best of a few tries where a thin part does not come out well at once."""
    from .remeshing import fullness

    rng = np.random.default_rng([mesh_seed, 2])
    best, meshes = [], []
    for _ in range(_TRIES):
        meshes.append(_mesh_once(_kind(kind), n_vertices, rng))
        best.append(fullness(*meshes[-1]).min())
        if best[-1] > _FULLNESS:
            break
    return meshes[int(np.argmax(best))]


def _mesh_once(kind: Kind, n_vertices: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mesh the rest surface on a randomly placed grid, with a randomly drawn preference for thin parts."""
    from scipy.spatial.transform import Rotation

    from .extraction import extract
    from .remeshing import remesh

    rotation = Rotation.random(rng=rng).as_matrix()
    shift, preference = rng.random(3), rng.uniform(0.3, 0.6)
    spacing = kind.spacing
    vertices, faces = extract(kind.body, spacing, rotation, shift)
    if len(vertices) < _REDUNDANCY * n_vertices:
        spacing *= np.sqrt(len(vertices) / (_REDUNDANCY * n_vertices))
        vertices, faces = extract(kind.body, spacing, rotation, shift)
    size = np.maximum(kind.body.evaluate(vertices)[2], 0.2 * spacing) ** preference
    vertices, faces = remesh(vertices, faces, n_vertices, size, lambda points: kind.body.project(points, 1, spacing), rng)
    return kind.body.project(vertices, 3, spacing)[0], faces


__all__ = ["KINDS", "Creature", "CreaturePair", "creature", "creature_pair", "ground_truth", "symmetric_ground_truth"]
