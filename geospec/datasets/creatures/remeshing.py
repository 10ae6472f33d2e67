"""Isotropic remeshing of a closed manifold to an exact vertex count, vectorised.

Rounds of independent edge collapses (shortest first, relative to a size wanted at each vertex), edge
flips towards Delaunay, and tangential smoothing with projection back onto the surface, in the spirit
of Botsch and Kobbelt, "A remeshing approach to multiresolution modeling" (2004). "Independent" means
that no two operations of a round touch the same neighbourhood, so a round is a few array operations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...errors import ConvergenceError

Project = Callable[[np.ndarray], np.ndarray]


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


def _common_neighbours(edges: np.ndarray, n: int) -> np.ndarray:
    """Number of common neighbours of the two ends of each edge ``(e,)``: 2 where a collapse keeps the topology."""
    from scipy.sparse import coo_array, triu

    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    adjacency = coo_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=(n, n)).tocsr()
    paths = triu((adjacency @ adjacency).multiply(adjacency), format="csr")
    paths.sort_indices()
    return paths.data  # in the order of the edges, for each edge of a closed manifold has common neighbours


def _independent(rank: np.ndarray, candidates: np.ndarray, edges: np.ndarray, opposite: np.ndarray, n: int) -> np.ndarray:
    """Candidates (indices of edges) no other of which, with a smaller rank, has an end in the same neighbourhood."""
    worst = np.iinfo(np.int64).max
    at_vertex = np.full(n, worst)
    np.minimum.at(at_vertex, edges[candidates].reshape(-1), np.repeat(rank, 2))
    nearby = at_vertex.copy()
    np.minimum.at(nearby, edges[:, 0], at_vertex[edges[:, 1]])
    np.minimum.at(nearby, edges[:, 1], at_vertex[edges[:, 0]])
    best = nearby[edges[candidates]].min(axis=1) == rank
    candidates, rank = candidates[best], rank[best]
    at_opposite = np.full(n, worst)  # an opposite vertex loses a neighbour: one at a time
    np.minimum.at(at_opposite, opposite[candidates].reshape(-1), np.repeat(rank, 2))
    return candidates[at_opposite[opposite[candidates]].min(axis=1) == rank]


def _without_folds(chosen: np.ndarray, moved: np.ndarray, vertices: np.ndarray, faces: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Which of the chosen collapses turn no face over and leave no needle."""
    owner = np.full(len(vertices), -1)
    owner[edges[chosen]] = np.arange(len(chosen))[:, None]
    touched = owner[faces]
    ring = np.flatnonzero((touched >= 0).sum(1) == 1)  # faces with two touched corners vanish
    responsible = touched[ring].max(1)
    before = normals_of(vertices, faces[ring])
    new = vertices.copy()
    new[edges[chosen]] = moved[:, None]
    after = normals_of(new, faces[ring])
    sides = new[faces[ring]] - new[faces[ring][:, [1, 2, 0]]]
    area = np.linalg.norm(after, axis=1)
    turned = (before * after).sum(1) < 0.5 * np.linalg.norm(before, axis=1) * area
    needle = area < 0.15 * (sides**2).sum(2).max(1)
    bad = np.zeros(len(chosen), dtype=bool)
    bad[responsible[turned | needle]] = True
    return ~bad


def _collapse(
    vertices: np.ndarray, faces: np.ndarray, size: np.ndarray, excess: int, project: Project, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One round: collapse at most ``excess`` independent short edges onto their projected midpoints."""
    n = len(vertices)
    edges, opposite, _ = edges_of(faces, n)
    cost = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1) / size[edges].mean(1)
    cost *= 1 + 0.2 * rng.random(len(cost))  # an edge that may not collapse does not block its neighbours for ever
    valence = np.bincount(faces.reshape(-1), minlength=n)
    allowed = (valence[edges].sum(1) <= 14) & (valence[opposite].min(1) >= 5) & (_common_neighbours(edges, n) == 2)
    allowed &= cost <= np.quantile(cost, 0.4)
    candidates = np.flatnonzero(allowed)
    candidates = candidates[np.argsort(cost[candidates], kind="stable")]
    chosen = _independent(np.arange(len(candidates)), candidates, edges, opposite, n)
    moved = project(vertices[edges[chosen]].mean(1))
    kept = _without_folds(chosen, moved, vertices, faces, edges)
    chosen, moved = chosen[kept][:excess], moved[kept][:excess]
    vertices, size = vertices.copy(), size.copy()
    vertices[edges[chosen, 0]] = moved
    size[edges[chosen, 0]] = size[edges[chosen]].mean(1)
    target = np.arange(n)
    target[edges[chosen, 1]] = edges[chosen, 0]
    faces = target[faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    survives = np.ones(n, dtype=bool)
    survives[edges[chosen, 1]] = False
    return vertices[survives], (np.cumsum(survives) - 1)[faces], size[survives]


def flip(vertices: np.ndarray, faces: np.ndarray, passes: int = 4) -> np.ndarray:
    """Faces after flipping edges whose opposite angles sum to more than half a turn, where that folds nothing."""
    n = len(vertices)
    for _ in range(passes):
        edges, opposite, sides = edges_of(faces, n)
        a, b = vertices[edges[:, 0]], vertices[edges[:, 1]]
        c, d = vertices[opposite[:, 0]], vertices[opposite[:, 1]]
        angles = _angle(a - c, b - c) + _angle(a - d, b - d)
        first, second = np.cross(d - c, b - c), np.cross(a - c, d - c)  # the faces (c, d, b) and (c, a, d) after a flip
        before = normals_of(vertices, faces[sides[:, 0]]) + normals_of(vertices, faces[sides[:, 1]])
        length = np.linalg.norm(before, axis=1)
        upright = ((first * before).sum(1) > 0.5 * np.linalg.norm(first, axis=1) * length) & (
            (second * before).sum(1) > 0.5 * np.linalg.norm(second, axis=1) * length
        )
        valence = np.bincount(faces.reshape(-1), minlength=n)
        key = np.sort(opposite, axis=1) @ np.array([n, 1])
        is_new = ~np.isin(key, edges @ np.array([n, 1]))
        candidates = np.flatnonzero((angles > np.pi + 1e-3) & upright & is_new & (valence[edges].min(1) > 3))
        candidates = candidates[np.argsort(-angles[candidates], kind="stable")]
        corners = np.concatenate([edges, opposite], axis=1)[candidates]
        at_vertex = np.full(n, len(candidates))
        np.minimum.at(at_vertex, corners.reshape(-1), np.repeat(np.arange(len(candidates)), 4))
        chosen = candidates[at_vertex[corners].min(1) == np.arange(len(candidates))]
        if not len(chosen):
            break
        (i, j), (k, m) = edges[chosen].T, opposite[chosen].T
        faces = faces.copy()
        faces[sides[chosen, 0]] = np.stack([k, m, j], axis=1)
        faces[sides[chosen, 1]] = np.stack([k, i, m], axis=1)
    return faces


def _angle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), (u * v).sum(1))


def smooth(vertices: np.ndarray, faces: np.ndarray, project: Project, step: float = 0.5) -> np.ndarray:
    """One move of every vertex towards the mean of its faces' centres, weighted by root area, along the surface.

    A vertex that the move would fold a face at stays where it was.
    """
    n = len(vertices)
    normals = normals_of(vertices, faces)
    area = np.linalg.norm(normals, axis=1)
    weight = np.repeat(np.sqrt(area), 3)
    corner = faces.reshape(-1)
    centre = np.repeat(vertices[faces].mean(1), 3, axis=0)
    total = np.bincount(corner, weight, n)
    mean = np.stack([np.bincount(corner, weight * centre[:, i], n) for i in range(3)], axis=1) / total[:, None]
    normal = np.stack([np.bincount(corner, np.repeat(normals[:, i], 3), n) for i in range(3)], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    move = mean - vertices
    moved = project(vertices + step * (move - (move * normal).sum(1, keepdims=True) * normal))
    for _ in range(10):
        after = normals_of(moved, faces)
        folded = (after * normals).sum(1) < 0.3 * np.linalg.norm(after, axis=1) * area
        if not folded.any():
            return moved
        moved[faces[folded]] = vertices[faces[folded]]
    return vertices


def remesh(
    vertices: np.ndarray, faces: np.ndarray, n_vertices: int, size: np.ndarray, project: Project, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a closed manifold to exactly ``n_vertices`` well-shaped vertices on the surface.

    Parameters
    ----------
    size : (n,) wanted edge length at each vertex, up to a common factor.
    project : moves points ``(m, 3)`` onto the surface.

    Raises
    ------
    ConvergenceError : no edge can be collapsed any more before the count is reached.
    """
    barren, rounds = 0, 0
    while len(vertices) > n_vertices:
        count = len(vertices)
        vertices, faces, size = _collapse(vertices, faces, size, count - n_vertices, project, rng)
        barren = barren + 1 if len(vertices) == count else 0
        rounds += 1
        if barren == 20:
            raise ConvergenceError(f"remesh: no collapse possible at {count} vertices on the way to {n_vertices}; ask for more vertices")
        if rounds % 4 == 0 or barren:
            faces = flip(vertices, faces, passes=2)
            vertices = smooth(vertices, faces, project)
    for _ in range(6):
        faces = flip(vertices, faces)
        vertices = smooth(vertices, faces, project)
    return vertices, flip(vertices, faces)
