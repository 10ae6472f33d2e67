"""Families of shapes as rest surfaces: meshes of one surface without end, and the deformations that its shapes come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy.sparse import csr_array

from . import deformations
from .creatures import KINDS, posed
from .creatures import _kind as kind_of
from .creatures.anatomy import Kind
from .creatures.body import Body, Tube
from .creatures.drawn import drawn_kind
from .deformations import Warp
from .procedural import PART_KINDS, blobs, parts, sheets, tori
from .procedural.contouring import contour
from .procedural.solids import Solid

#: All families of shapes of which true functional maps are made.
MAP_FAMILIES = (
    *KINDS,
    "limbs",
    "mirrored limbs",
    "blob",
    "star",
    "mechanical part",
    "thin sheet",
    "tube",
    "rings",
)

_SAMPLE = 1500  # vertices of the mesh that stands for a surface where its deformations are drawn
_CRUMBS = 0.02  # of a mesh that may be lost where a part is thinner than a cube

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class RestSurface:
    """A surface at rest and the shapes that it can take.

    ``mesh(n, rng)`` gives about ``n`` vertices ``(n, 3)`` and faces of it, independently each time. ``deform(points,
    identity_seed, pose_seed)`` carries points of the surface ``(m, 3)`` to a shape; a pose hardly stretches, an identity may.
    """

    mesh: Callable[[int, np.random.Generator], Arrays]
    deform: Callable[[np.ndarray, int, int], np.ndarray]


def creature_surface(kind: str) -> RestSurface:
    """The rest surface of one of the kinds of :data:`~geospec.datasets.KINDS`; there is only one of each."""
    return _articulated(kind_of(kind))


def drawn_surface(family: str, seed: int) -> RestSurface:
    """A rest surface of one of the other families, drawn from ``seed``.

    Raises
    ------
    ConvergenceError : the surface drawn does not mesh.
    """
    rng = np.random.default_rng([seed, 3])
    if family in ("limbs", "mirrored limbs"):
        return _articulated(drawn_kind(rng, symmetric=family == "mirrored limbs"))
    return _warped(_MAKERS[family](rng), rng)


def _articulated(kind: Kind) -> RestSurface:
    def mesh(n: int, rng: np.random.Generator) -> Arrays:
        vertices, faces = _of_body(kind.body, n, rng, _CRUMBS)
        return kind.body.project(vertices, 2, kind.spacing)[0], faces

    return RestSurface(mesh, partial(posed, kind))


def _of_body(body: Body, n: int, rng: np.random.Generator, crumbs: float = 0.0) -> Arrays:
    return contour(body, lambda points: body.evaluate(points)[1], n, rng, crumbs)


def _of_solid(solid: Solid, n: int, rng: np.random.Generator) -> Arrays:
    return contour(solid, solid.gradient, n, rng)


def _warped(made: tuple[Callable[[int, np.random.Generator], Arrays], Warp | None], rng: np.random.Generator) -> RestSurface:
    """A surface whose shapes are warps of a first one, itself a warp of the rest surface, which leaves it no symmetry."""
    mesh, first = made
    sample = mesh(_SAMPLE, rng)[0]
    start = deformations.proportions(sample, rng, rng.uniform(0.3, 0.7)) if first is None else first
    sample = start(sample)
    strength = rng.uniform(0.1, 1.0)  # by which identities differ

    @lru_cache(maxsize=4)
    def identity(seed: int) -> tuple[Warp, np.ndarray]:
        warp = deformations.proportions(sample, np.random.default_rng([seed, 0]), strength)
        return warp, warp(sample)

    @lru_cache(maxsize=4)
    def pose(identity_seed: int, seed: int) -> Warp:
        return deformations.pose(identity(identity_seed)[1], np.random.default_rng([seed, 1]))

    def deform(points: np.ndarray, identity_seed: int, pose_seed: int) -> np.ndarray:
        return pose(identity_seed, pose_seed)(identity(identity_seed)[0](start(points)))

    return RestSurface(mesh, deform)


def _blob(rng: np.random.Generator) -> tuple[Callable, Warp | None]:
    return partial(_of_body, blobs.melted_body(rng)), None


def _star(rng: np.random.Generator) -> tuple[Callable, Warp | None]:
    """The rest surface is the unit sphere, the first warp a star's relief."""
    from scipy.spatial.transform import Rotation

    def mesh(n: int, rng: np.random.Generator) -> Arrays:
        directions = blobs.directions(n) + rng.uniform(-0.5, 0.5, (n, 3)) * np.sqrt(4 * np.pi / n) / np.sqrt(3)
        directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        return blobs.triangulated(directions @ Rotation.random(rng=rng).as_matrix())

    return mesh, blobs.relief(rng)


def _part(rng: np.random.Generator) -> tuple[Callable, Warp | None]:
    return partial(_of_solid, parts.PARTS[PART_KINDS[rng.integers(len(PART_KINDS))]](rng)), None


def _sheet(rng: np.random.Generator) -> tuple[Callable, Warp | None]:
    """Flat at rest; half of the sheets start from warps in their plane, so that bends of it are isometries."""
    loops = sheets.region(rng, int(rng.integers(5)))
    warp = deformations.proportions(_flat(np.concatenate(loops)), rng, 0.5)
    height = 0.0 if rng.random() < 0.5 else 1.0

    def mesh(n: int, rng: np.random.Generator) -> Arrays:
        turn = rng.uniform(0, 2 * np.pi)
        axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        flat, faces = sheets.triangulate([np.roll(loop, rng.integers(len(loop)), axis=0) @ axes.T for loop in loops], n)
        return _flat(flat @ axes), faces

    return mesh, lambda points: warp(points) * [1, 1, height]


def _flat(points: np.ndarray) -> np.ndarray:
    return np.column_stack([points, np.zeros(len(points))])


def _tube(rng: np.random.Generator) -> tuple[Callable, Warp | None]:
    """A closed tube as a chain of cones."""
    curve, at, length, thickness, radius_at = tori.closed_curve(rng)
    count = int(min(200, max(60, length / thickness)))
    place = np.arange(count + 1) * length / count
    centre = np.stack([np.interp(place, at, x, period=length) for x in curve.T], axis=1)
    return partial(_of_body, Body([Tube.through(centre, radius_at(place), 0.0, steps=1)])), None


def _rings(rng: np.random.Generator) -> tuple[Callable, Warp | None]:
    return partial(_of_solid, tori.chain(rng, int(rng.integers(2, 4)))), None


_MAKERS: dict[str, Callable[[np.random.Generator], tuple[Callable, Warp | None]]] = {
    "blob": _blob,
    "star": _star,
    "mechanical part": _part,
    "thin sheet": _sheet,
    "tube": _tube,
    "rings": _rings,
}


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted normals at the vertices ``(n, 3)``, not of unit length."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    return np.stack([np.bincount(faces.reshape(-1), np.repeat(x, 3), len(vertices)) for x in normal.T], axis=1)


def interpolation(source: Arrays, target: Arrays, candidates: int = 16) -> csr_array:
    """Weights ``(n_t, n_s)`` that carry values at the vertices of one mesh of a surface to those of another.

    Each target vertex takes the barycentric coordinates of the nearest point of the source's faces that look the same way, so
    that the two sides of a thin part are never confused; of all faces where none does. The nearest are sought among the faces
    with the nearest middles.
    """
    from scipy.spatial import cKDTree

    vertices, faces = source
    queries = target[0]
    corners = vertices[faces]
    near = cKDTree(corners.mean(1)).query(queries, min(candidates, len(faces)))[1]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    facing = np.einsum("qcj,qj->qc", np.cross(b - a, c - a)[near], normals(*target)) > 0
    weights = _nearest_weights(queries[:, None], a[near], b[near], c[near])
    reached = np.einsum("qcw,qcwj->qcj", weights, corners[near])
    distance = ((reached - queries[:, None]) ** 2).sum(2)
    rows = np.arange(len(queries))
    best = np.where(facing, distance, distance + distance.max() + 1).argmin(1)
    chosen = faces[near[rows, best]]
    entries = weights[rows, best]
    return csr_array((entries.reshape(-1), (np.repeat(rows, 3), chosen.reshape(-1))), shape=(len(queries), len(vertices)))


def _nearest_weights(points: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Barycentric coordinates ``(..., 3)`` of the point of a triangle nearest to a point: the foot, or the nearest on the sides."""

    def dot(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return (u * v).sum(-1)

    u, v, w = b - a, c - a, points - a
    uu, uv, vv, uw, vw = dot(u, u), dot(u, v), dot(v, v), dot(u, w), dot(v, w)
    scale = 1 / np.maximum(uu * vv - uv**2, 1e-300)
    second, third = (vv * uw - uv * vw) * scale, (uu * vw - uv * uw) * scale
    weights = np.stack([1 - second - third, second, third], axis=-1)
    outside = np.any(weights < 0, axis=-1)
    on_side, nearest = np.zeros_like(weights), np.full(outside.shape, np.inf)
    for i, (start, end) in enumerate(((a, b), (b, c), (c, a))):
        side = end - start
        t = np.clip(dot(points - start, side) / np.maximum(dot(side, side), 1e-300), 0, 1)
        rest = points - start - t[..., None] * side
        option = np.zeros_like(weights)
        option[..., i], option[..., (i + 1) % 3] = 1 - t, t
        nearer = dot(rest, rest) < nearest
        nearest = np.where(nearer, dot(rest, rest), nearest)
        on_side[nearer] = option[nearer]
    return np.where(outside[..., None], on_side, weights)


__all__ = ["MAP_FAMILIES", "RestSurface", "creature_surface", "drawn_surface", "interpolation", "normals"]
