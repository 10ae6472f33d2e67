"""Self-intersections of a triangle mesh, by testing every edge of one face against every face near it."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def _pierces(start: np.ndarray, end: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Whether the segments cross the triangles ``(m, 3, 3)`` in their interior (signed volumes)."""

    def volume(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", a - d, np.cross(b - d, c - d))

    a, b, c = triangle.transpose(1, 0, 2)
    crosses_plane = volume(a, b, c, start) * volume(a, b, c, end) < 0
    around = [volume(start, end, p, q) > 0 for p, q in ((a, b), (b, c), (c, a))]
    return crosses_plane & (around[0] == around[1]) & (around[1] == around[2])


def self_intersections(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Pairs of faces ``(m, 2)`` that share no vertex and cross each other."""
    corners = vertices[faces]
    centre = corners.mean(1)
    radius = np.linalg.norm(corners - centre[:, None], axis=2).max(1)
    big = radius > 3 * np.median(radius)  # few: searched with their own radius, so that one long face costs nothing
    pairs = [cKDTree(centre).query_pairs(2 * radius[~big].max(), output_type="ndarray")]
    for face in np.flatnonzero(big):
        near = np.flatnonzero(np.linalg.norm(centre - centre[face], axis=1) < radius[face] + radius)
        pairs.append(np.stack([np.full(len(near), face), near], axis=1))
    i, j = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0).T
    keep = np.linalg.norm(centre[i] - centre[j], axis=1) < radius[i] + radius[j]
    keep &= ~(faces[i][:, :, None] == faces[j][:, None, :]).any((1, 2))
    i, j = i[keep], j[keep]
    crossing = np.zeros(len(i), dtype=bool)
    for first, second in ((i, j), (j, i)):
        for k in range(3):
            crossing |= _pierces(corners[first, k], corners[first, (k + 1) % 3], corners[second])
    return np.stack([i, j], axis=1)[crossing]
