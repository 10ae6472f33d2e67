"""A watertight mesh of an implicit surface by marching tetrahedra on a sparse grid of any orientation.

Every cube of the grid is cut into six tetrahedra around one diagonal, the same in all cubes, so that
neighbours agree on their common faces and the result is a closed manifold whatever the function
(Doi and Koide, "An efficient method of triangulating equi-valued surfaces", 1991).
"""

from __future__ import annotations

from itertools import permutations
from typing import Protocol

import numpy as np

_BITS = 21  # per axis in a packed grid index


class Implicit(Protocol):
    """A solid as a function: negative inside, no larger than the distance to the surface by more than a little; and its box."""

    @property
    def lower(self) -> np.ndarray: ...

    @property
    def upper(self) -> np.ndarray: ...

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, ...]: ...


def _tetrahedra() -> np.ndarray:
    """The six tetrahedra of the unit cube ``(6, 4, 3)``, corners as 0/1 offsets, positively oriented."""
    cells = []
    for order in permutations(range(3)):
        path = np.zeros((4, 3), dtype=np.int64)
        for i, axis in enumerate(order):
            path[i + 1] = path[i]
            path[i + 1, axis] = 1
        if np.linalg.det(path[1:].astype(float)) < 0:
            path[[1, 2]] = path[[2, 1]]
        cells.append(path)
    return np.stack(cells)


def _triangles_of_case(case: int) -> list[list[tuple[int, int]]]:
    """Triangles, as triples of crossed tetrahedron edges, for the corners in ``case`` (bits) inside."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    inside = [i for i in range(4) if case >> i & 1]
    outside = [i for i in range(4) if not case >> i & 1]
    if len(inside) in (0, 4):
        return []
    if len(inside) == 2:
        (a, b), (c, d) = inside, outside
        loops = [[(a, c), (a, d), (b, d)], [(a, c), (b, d), (b, c)]]
    else:
        loops = [[(i, j) for i in inside for j in outside]]
    outward = corners[outside].mean(0) - corners[inside].mean(0)
    oriented = []
    for loop in loops:
        p, q, r = (corners[list(edge)].mean(0) for edge in loop)
        oriented.append(loop if np.cross(q - p, r - p) @ outward > 0 else loop[::-1])
    return oriented


_TETRAHEDRA = _tetrahedra()
_CASES = [np.array(_triangles_of_case(case), dtype=np.int64).reshape(-1, 3, 2) for case in range(16)]


def _pack(index: np.ndarray) -> np.ndarray:
    return (index[..., 0] << 2 * _BITS) | (index[..., 1] << _BITS) | index[..., 2]


def _unpack(key: np.ndarray) -> np.ndarray:
    mask = (1 << _BITS) - 1
    return np.stack([key >> 2 * _BITS, (key >> _BITS) & mask, key & mask], axis=-1)


def surface_cells(body: Implicit, spacing: float, rotation: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cubes ``(c, 3)`` of the finest grid that may meet the surface, and the grid's origin ``(3,)``.

    Found from coarse to fine: a cube is kept while the value at its centre is within its half diagonal.
    Grid point ``ijk`` lies at ``(origin + ijk * spacing) @ rotation``; ``shift (3,)`` in [0, 1) moves the grid.
    """
    levels = 4
    box = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    corners = (body.lower + box * (body.upper - body.lower)) @ rotation.T
    coarse = spacing * 2**levels
    origin = corners.min(0) - (0.5 + shift) * coarse
    count = np.ceil((corners.max(0) + 0.5 * coarse - origin) / coarse).astype(np.int64)
    cells = np.stack(np.meshgrid(*(np.arange(c) for c in count), indexing="ij"), axis=-1).reshape(-1, 3)
    for level in range(levels, -1, -1):
        size = spacing * 2**level
        value = body.evaluate((origin + (cells + 0.5) * size) @ rotation)[0]
        cells = cells[np.abs(value) < 1.25 * 0.5 * np.sqrt(3) * size]  # a quarter of slack: the radii change along tubes
        if level:
            cells = (2 * cells[:, None] + box).reshape(-1, 3)
    return cells, origin


def extract(body: Implicit, spacing: float, rotation: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices ``(n, 3)`` and faces ``(f, 3)`` of the zero set, outward oriented, on the given grid.

    Vertices lie on grid edges by linear interpolation. About ``3.5 * area / spacing**2`` vertices.
    """
    cells, origin = surface_cells(body, spacing, rotation, shift)
    keys = _pack(cells[:, None, None] + _TETRAHEDRA)  # (cells, 6, 4)
    grid, flat = np.unique(keys, return_inverse=True)
    points = (origin + _unpack(grid) * spacing) @ rotation
    value = body.evaluate(points)[0]
    value = np.where(np.abs(value) < 1e-3 * spacing, 1e-3 * spacing, value)  # no vertex on a grid point
    tetrahedra = flat.reshape(-1, 4)
    case = ((value[tetrahedra] < 0) << np.arange(4)).sum(1)
    crossed = [tetrahedra[case == i][:, edges].reshape(-1, 3, 2) for i, edges in enumerate(_CASES) if len(edges)]
    edges = np.sort(np.concatenate(crossed), axis=2)
    edge_keys, faces = np.unique(edges[..., 0] * len(grid) + edges[..., 1], return_inverse=True)
    a, b = edge_keys // len(grid), edge_keys % len(grid)
    t = (value[a] / (value[a] - value[b]))[:, None]
    return points[a] + t * (points[b] - points[a]), faces.reshape(-1, 3)
