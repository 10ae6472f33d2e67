"""Isotropic remeshing of a closed manifold to an exact vertex count, vectorised.

Rounds of independent edge collapses (shortest first, relative to a size wanted at each vertex), edge
flips towards Delaunay, and tangential smoothing with projection back onto the surface, in the spirit
of Botsch and Kobbelt, "A remeshing approach to multiresolution modeling" (2004). "Independent" means
that no two operations of a round touch the same neighbourhood, so a round is a few array operations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...errors import ConvergenceError

Project = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

_UPRIGHT = 0.2  # least cosine between a face's normal and the surface's normals at its corners


def edges_of(faces: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges ``(e, 2)``, their two opposite vertices ``(e, 2)`` and their two faces ``(e, 2)``.

    The mesh is closed, manifold and consistently oriented, with ``n`` vertices. The first opposite vertex
    and face lie on the side where the edge runs from the smaller to the larger index.
    """
    tail, head = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    opposite = faces[:, [2, 0, 1]].reshape(-1)
    forward = tail < head
    up, down = np.flatnonzero(forward), np.flatnonzero(~forward)
    up = up[np.argsort(tail[up] * n + head[up], kind="stable")]
    down = down[np.argsort(head[down] * n + tail[down], kind="stable")]
    edges = np.stack([tail[up], head[up]], axis=1)
    return edges, np.stack([opposite[up], opposite[down]], axis=1), np.stack([up // 3, down // 3], axis=1)


def normals_of(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Normals ``(f, 3)`` of length twice the area."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    return np.cross(b - a, c - a)


def _uprightness(vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Least cosine between each face's normal and the surface's unit normals at its corners ``(f,)``."""
    normal = normals_of(vertices, faces)
    cosine = np.einsum("fj,fcj->fc", normal, normals[faces]).min(1)
    return cosine / np.maximum(np.linalg.norm(normal, axis=1), 1e-30)


def fullness(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Twice the area over the longest side squared ``(f,)``: 0.87 for an equilateral triangle, 0 for a needle."""
    sides = vertices[faces] - vertices[faces[:, [1, 2, 0]]]
    return np.linalg.norm(normals_of(vertices, faces), axis=1) / np.maximum((sides**2).sum(2).max(1), 1e-30)


def _common_neighbours(edges: np.ndarray, n: int) -> np.ndarray:
    """Number of common neighbours of the two ends of each edge ``(e,)``: 2 where a collapse keeps the topology."""
    from scipy.sparse import coo_array, triu

    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    adjacency = coo_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=(n, n)).tocsr()
    paths = triu((adjacency @ adjacency).multiply(adjacency), format="csr")
    paths.sort_indices()
    return paths.data  # in the order of the edges, for each edge of a closed manifold has common neighbours


def _independent(candidates: np.ndarray, edges: np.ndarray, opposite: np.ndarray, n: int) -> np.ndarray:
    """Edges of ``candidates`` (best first) no end of which lies next to an end of another; nor do they share an opposite vertex.

    Each of four passes takes the edges that are better than all others nearby.
    """
    chosen = []
    for _ in range(4):
        rank = np.arange(len(candidates))
        at_vertex = np.full(n, len(candidates))
        np.minimum.at(at_vertex, edges[candidates].reshape(-1), np.repeat(rank, 2))
        nearby = at_vertex.copy()
        np.minimum.at(nearby, edges[:, 0], at_vertex[edges[:, 1]])
        np.minimum.at(nearby, edges[:, 1], at_vertex[edges[:, 0]])
        best = np.flatnonzero(nearby[edges[candidates]].min(axis=1) == rank)
        at_opposite = np.full(n, len(candidates))  # an opposite vertex loses a neighbour: one at a time
        np.minimum.at(at_opposite, opposite[candidates[best]].reshape(-1), np.repeat(best, 2))
        picked = candidates[best[at_opposite[opposite[candidates[best]]].min(axis=1) == best]]
        chosen.append(picked)
        taken, next_to = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        taken[edges[picked]] = next_to[opposite[picked]] = True
        blocked = taken.copy()
        blocked[edges[taken[edges[:, 0]], 1]] = blocked[edges[taken[edges[:, 1]], 0]] = True
        candidates = candidates[~blocked[edges[candidates]].any(1) & ~next_to[opposite[candidates]].any(1)]
    return np.concatenate(chosen)


@dataclass
class _State:
    """A mesh under work: vertices on the surface, the surface's unit normals there, wanted sizes, faces."""

    vertices: np.ndarray
    normals: np.ndarray
    size: np.ndarray
    faces: np.ndarray


def _without_folds(state: _State, edges: np.ndarray, moved: np.ndarray, moved_normals: np.ndarray, bend: float) -> np.ndarray:
    """Which of the collapses of ``edges (m, 2)`` turn no face by more than ``bend`` (a cosine), nor over, and leave no needle."""
    vertices, normals, faces = state.vertices, state.normals, state.faces
    owner = np.full(len(vertices), -1)
    owner[edges] = np.arange(len(edges))[:, None]
    touched = owner[faces]
    ring = np.flatnonzero((touched >= 0).sum(1) == 1)  # faces with two touched corners vanish
    responsible = touched[ring].max(1)
    faces = faces[ring]
    new, new_normals = vertices.copy(), normals.copy()
    new[edges], new_normals[edges] = moved[:, None], moved_normals[:, None]
    before, after = normals_of(vertices, faces), normals_of(new, faces)
    turned = (before * after).sum(1) < bend * np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    turned |= _uprightness(new, new_normals, faces) < np.minimum(_UPRIGHT, _uprightness(vertices, normals, faces))
    needle = fullness(new, faces) < np.minimum(0.15, fullness(vertices, faces))
    bad = np.zeros(len(edges), dtype=bool)
    bad[responsible[turned | needle]] = True
    return ~bad


def _collapse(state: _State, excess: int, project: Project, rng: np.random.Generator, pool: float, bend: float) -> _State:
    """One round: collapse at most ``excess`` independent edges of the shortest share ``pool`` of all, onto their middles."""
    vertices, normals, size, faces, n = state.vertices, state.normals, state.size, state.faces, len(state.vertices)
    edges, opposite, _ = edges_of(faces, n)
    cost = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1) / size[edges].mean(1)
    cost *= 1 + 0.2 * rng.random(len(cost))  # an edge that may not collapse does not block its neighbours for ever
    valence = np.bincount(faces.reshape(-1), minlength=n)
    short, shortest = np.quantile(cost, [pool, 0.02])
    allowed = (valence[edges].sum(1) <= np.where(cost < shortest, 18, 14)) & (valence[opposite].min(1) >= np.where(cost < shortest, 4, 5))
    allowed &= (cost <= short) & (_common_neighbours(edges, n) == 2)
    candidates = np.flatnonzero(allowed)
    candidates = candidates[np.argsort(cost[candidates], kind="stable")]
    chosen = _independent(candidates, edges, opposite, n)
    moved, moved_normals = project(vertices[edges[chosen]].mean(1))
    kept = np.flatnonzero(_without_folds(state, edges[chosen], moved, moved_normals, bend))[:excess]
    (stays, goes), size = edges[chosen[kept]].T, size.copy()
    size[stays] = size[edges[chosen[kept]]].mean(1)
    vertices, normals = vertices.copy(), normals.copy()
    vertices[stays], normals[stays] = moved[kept], moved_normals[kept]
    target = np.arange(n)
    target[goes] = stays
    faces = target[faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    survives = np.ones(n, dtype=bool)
    survives[goes] = False
    return _State(vertices[survives], normals[survives], size[survives], (np.cumsum(survives) - 1)[faces])


def _flip(state: _State, passes: int) -> _State:
    """Flip edges whose opposite angles sum to more than half a turn, where that turns no face over."""
    vertices, faces, n = state.vertices, state.faces, len(state.vertices)
    for _ in range(passes):
        edges, opposite, sides = edges_of(faces, n)
        (i, j), (k, m) = edges.T, opposite.T
        angles = _angle(vertices[i] - vertices[k], vertices[j] - vertices[k]) + _angle(vertices[i] - vertices[m], vertices[j] - vertices[m])
        valence = np.bincount(faces.reshape(-1), minlength=n)
        candidates = np.flatnonzero((angles > np.pi + 1e-3) & (valence[edges].min(1) > 3))
        present, wanted = edges @ np.array([n, 1]), np.sort(opposite[candidates], axis=1) @ np.array([n, 1])
        found = np.minimum(np.searchsorted(present, wanted), len(present) - 1)
        candidates = candidates[present[found] != wanted]
        first = np.stack([k, m, j], axis=1)[candidates]
        second = np.stack([k, i, m], axis=1)[candidates]
        before = _uprightness(vertices, state.normals, faces)[sides[candidates]].min(1)
        after = np.minimum(*(_uprightness(vertices, state.normals, new) for new in (first, second)))
        upright = after >= np.minimum(_UPRIGHT, before)
        candidates, first, second = candidates[upright], first[upright], second[upright]
        rank = np.argsort(np.argsort(-angles[candidates], kind="stable"))
        corners = np.concatenate([edges, opposite], axis=1)[candidates]
        at_vertex = np.full(n, len(candidates))
        np.minimum.at(at_vertex, corners.reshape(-1), np.repeat(rank, 4))
        best = at_vertex[corners].min(axis=1) == rank
        if not best.any():
            break
        faces = faces.copy()
        faces[sides[candidates[best], 0]] = first[best]
        faces[sides[candidates[best], 1]] = second[best]
    return replace(state, faces=faces)


def _angle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), (u * v).sum(1))


def _smooth(state: _State, project: Project, step: float = 0.5) -> _State:
    """Move every vertex along the surface towards the mean of its faces' centres, weighted by root area.

    A vertex stays where it was if the move would turn over a face that it belongs to.
    """
    vertices, faces, n = state.vertices, state.faces, len(state.vertices)
    weight = np.repeat(np.sqrt(np.linalg.norm(normals_of(vertices, faces), axis=1)), 3)
    corner = faces.reshape(-1)
    centre = np.repeat(vertices[faces].mean(1), 3, axis=0)
    mean = np.stack([np.bincount(corner, weight * centre[:, i], n) for i in range(3)], axis=1) / np.bincount(corner, weight, n)[:, None]
    move = mean - vertices
    moved, normals = project(vertices + step * (move - (move * state.normals).sum(1, keepdims=True) * state.normals))
    before = np.minimum(_UPRIGHT, _uprightness(vertices, state.normals, faces))
    for _ in range(10):
        folded = _uprightness(moved, normals, faces) < before
        if not folded.any():
            return replace(state, vertices=moved, normals=normals)
        back = faces[folded]
        moved[back], normals[back] = vertices[back], state.normals[back]
    return state


def remesh(
    vertices: np.ndarray, faces: np.ndarray, n_vertices: int, size: np.ndarray, project: Project, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a closed manifold to exactly ``n_vertices`` well-shaped vertices on the surface.

    Parameters
    ----------
    size : (n,) wanted edge length at each vertex, up to a common factor.
    project : moves points ``(m, 3)`` onto the surface; returns them and the surface's unit normals there.

    Raises
    ------
    ConvergenceError : no edge can be collapsed any more before the count is reached.
    """
    state = _smooth(_flip(_State(*project(vertices), size, faces), passes=4), project)  # needles would bar the first collapses
    barren = rounds = 0
    while (count := len(state.vertices)) > n_vertices:
        far = count > 3 * n_vertices
        pool, bend = (1.0, 0.2) if barren else (0.7 if far else 0.4, 0.5)
        state = _collapse(state, count - n_vertices, project, rng, pool, bend)
        slow = len(state.vertices) > max(0.99 * count, n_vertices)
        barren, rounds = (barren + 1 if slow else 0), rounds + 1
        if barren == 30:
            raise ConvergenceError(f"remesh: no collapse possible at {count} vertices on the way to {n_vertices}; ask for more vertices")
        if rounds % (6 if far else 4) == 0 or barren:
            state = _smooth(_flip(state, passes=2), project)
    for _ in range(6):
        state = _smooth(_flip(state, passes=4), project)
    state = _flip(state, passes=4)
    return state.vertices, state.faces
