"""A closed mesh of an implicit solid, sharp edges kept, by dual contouring on a sparse grid.

Each cube that the surface crosses gets a vertex where the tangent planes at its crossed edges meet best, each crossed edge
a quadrilateral of the four cubes around it (T. Ju et al., "Dual contouring of Hermite data", 2002). A cube that two sheets
cross gets a vertex for each (G. Nielson, "Dual marching cubes", 2004), so that sheets that come near do not grow together.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from ...errors import ConvergenceError
from ...shapes.connectivity import Connectivity, components
from ..creatures.extraction import Implicit, _pack, surface_cells

Gradient = Callable[[np.ndarray], np.ndarray]

_CORNERS = np.array(list(product((0, 1), repeat=3)), dtype=np.int64)  # corner 4 x + 2 y + z
# The twelve edges of a cube: axis, place of the edge among the four parallel ones, first and last corner.
_EDGES = [(axis, corner) for axis in range(3) for corner in range(8) if _CORNERS[corner, axis] == 0]
_AXIS = np.array([axis for axis, _ in _EDGES])
_START = np.array([corner for _, corner in _EDGES])
_END = _START + np.array([4, 2, 1])[_AXIS]
# The four cubes around an edge, counter-clockwise seen from its end: a cube's slot by where in it the edge lies.
_SLOT = np.array([[[0, 3], [1, 2]][_CORNERS[c, (a + 1) % 3]][_CORNERS[c, (a + 2) % 3]] for a, c in _EDGES])
_LEAVE = 0.4  # of a cube, by which a vertex may lie outside its own
_FLAT = 0.05  # planes count as one direction where an eigenvalue is below so much of the largest
_TRIES = 8


def _sheets() -> np.ndarray:
    """Sheet ``(256, 12)`` to which each crossed edge belongs, for the corners inside (bits); -1 where not crossed.

    Edges of a face hang together by inside corners: where a face's inside corners stand across, the surface keeps them apart.
    """
    number = {(int(a), int(b)): e for e, (a, b) in enumerate(zip(_START, _END, strict=True))}
    table = np.full((256, 12), -1)
    for case in range(256):
        inside = [bool(case >> c & 1) for c in range(8)]
        crossed = np.array([inside[a] != inside[b] for a, b in zip(_START, _END, strict=True)])
        links = []
        for axis, side in product(range(3), (0, 1)):
            on_face = [e for e in range(12) if crossed[e] and _CORNERS[_START[e], axis] == side and _CORNERS[_END[e], axis] == side]
            if len(on_face) == 2:
                links.append(on_face)
            elif len(on_face) == 4:
                u, v = 4 >> (axis + 1) % 3, 4 >> (axis + 2) % 3
                for corner in range(8):
                    if inside[corner] and _CORNERS[corner, axis] == side:
                        ends = [(min(corner, corner ^ step), max(corner, corner ^ step)) for step in (u, v)]
                        links.append([number[end] for end in ends])
        label = components(12, np.array(links, dtype=np.int64).reshape(-1, 2))
        if crossed.any():
            table[case, crossed] = np.unique(label[crossed], return_inverse=True)[1]
    return table


_SHEETS = _sheets()


def contour(
    solid: Implicit, gradient: Gradient, n_vertices: int, rng: np.random.Generator, crumbs: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices ``(n, 3)`` and outward faces ``(f, 3)`` of the surface, closed, manifold and in one piece.

    Parameters
    ----------
    solid, gradient : the function, negative inside and no larger than the distance to the surface, and its gradient.
    n_vertices : about so many; missed by a few per cent.
    rng : places and turns the grid, which is drawn again where a grid makes a mesh that is not manifold.
    crumbs : the largest share of the vertices that may lie in loose pieces, of parts thinner than a cube; those are dropped.

    Raises
    ------
    ConvergenceError : no grid of eight made a manifold in one piece: the solid has parts thinner than a cube, or several.
    """
    from scipy.spatial.transform import Rotation

    spacing = float(np.linalg.norm(solid.upper - solid.lower)) / 40
    for _ in range(_TRIES):
        rotation, shift = Rotation.random(rng=rng).as_matrix(), rng.random(3)
        for _ in range(2):
            cells, origin, case = _crossed_cells(solid, spacing, rotation, shift)
            count = int((_SHEETS[case].max(1) + 1).sum())
            if abs(count - n_vertices) < 0.05 * n_vertices:
                break
            spacing *= float(np.sqrt(count / n_vertices))
            cells, origin, case = _crossed_cells(solid, spacing, rotation, shift)
        vertices, faces = _dual(solid, gradient, cells, origin, case, spacing, rotation)
        link = Connectivity(faces, len(vertices))
        piece = link.component_of_vertex
        largest = piece == np.bincount(piece).argmax()
        whole = largest.mean() >= 1 - crumbs
        if whole and (link.faces_of_edge == 2).all() and (link.fans_of_vertex == 1).all():
            renumbered = np.cumsum(largest) - 1
            return vertices[largest], renumbered[faces[largest[faces[:, 0]]]]
    raise ConvergenceError(
        f"contour: {n_vertices} vertices leave no manifold in one piece; ask for more, or make the thinnest part thicker"
    )


def _crossed_cells(solid: Implicit, spacing: float, rotation: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cubes ``(c, 3)`` that the surface crosses, the grid's origin, and which corners are inside ``(c,)``, as bits."""
    cells, origin = surface_cells(solid, spacing, rotation, shift)
    keys, at = np.unique(_pack(cells[:, None] + _CORNERS), return_inverse=True)
    first = np.zeros(len(keys), dtype=np.int64)
    first[at.reshape(-1)] = np.arange(at.size)
    points = cells[first // 8] + _CORNERS[first % 8]
    inside = solid.evaluate((origin + points * spacing) @ rotation)[0] < 0
    case = (inside[at.reshape(-1, 8)] << np.arange(8)).sum(1)
    crossed = (case > 0) & (case < 255)
    return cells[crossed], origin, case[crossed]


def _dual(
    solid: Implicit, gradient: Gradient, cells: np.ndarray, origin: np.ndarray, case: np.ndarray, spacing: float, rotation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    cell, edge = np.nonzero(_SHEETS[case] >= 0)
    slots, vertex = np.unique(cell * 4 + _SHEETS[case[cell], edge], return_inverse=True)
    start = cells[cell] + _CORNERS[_START[edge]]
    keys, first, crossing = np.unique(_pack(start) * 3 + _AXIS[edge], return_index=True, return_inverse=True)
    axis = _AXIS[edge[first]]
    outward = (case[cell[first]] >> _START[edge[first]] & 1).astype(bool)  # inside at its start: the surface looks along it
    low = (origin + start[first] * spacing) @ rotation
    point = _crossings(solid, low, spacing * rotation[axis], outward)
    normal = gradient(point)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    vertices = _meeting_points(point[crossing], normal[crossing], vertex, len(slots))
    # A vertex hardly leaves its cube, which keeps quadrilaterals from folding over; an edge just outside it is still met.
    lower = origin + (cells[slots // 4] - _LEAVE) * spacing
    vertices = np.clip(vertices @ rotation.T, lower, lower + (1 + 2 * _LEAVE) * spacing) @ rotation
    vertices = _nearer(solid, gradient, vertices, 0.3 * spacing)
    quads = np.full((len(keys), 4), -1)
    quads[crossing, _SLOT[edge]] = vertex
    quads[~outward] = quads[~outward, ::-1]
    # Of the two diagonals the one whose middle lies nearer to the surface: a crease runs along it.
    middle = (vertices[quads[:, :2]] + vertices[quads[:, 2:]]) / 2
    off = np.abs(solid.evaluate(middle.reshape(-1, 3))[0]).reshape(-1, 2)
    quads[off[:, 1] < off[:, 0]] = np.roll(quads[off[:, 1] < off[:, 0]], -1, axis=1)
    return vertices, quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def _crossings(solid: Implicit, low: np.ndarray, along: np.ndarray, rising: np.ndarray) -> np.ndarray:
    """Where the function changes sign between ``low`` and ``low + along``: two bisections, then three false positions."""
    sign = np.where(rising, 1.0, -1.0)
    ends, t = np.zeros((2, len(low))), np.full(len(low), 0.5)
    ends[1] = 1
    values = np.stack([np.full(len(low), np.nan)] * 2)
    for step in range(5):
        value = sign * solid.evaluate(low + t[:, None] * along)[0]
        side = (value >= 0).astype(int)
        ends[side, np.arange(len(t))], values[side, np.arange(len(t))] = t, value
        with np.errstate(invalid="ignore", divide="ignore"):
            guess = ends[0] - values[0] * (ends[1] - ends[0]) / (values[1] - values[0])
        t = np.where(np.isfinite(guess) & (step > 0), guess, ends.mean(0))
    return low + t[:, None] * along


def _nearer(solid: Implicit, gradient: Gradient, points: np.ndarray, limit: float) -> np.ndarray:
    """One Newton step to the surface, no longer than ``limit``: tangent planes meet off a curved surface. Edges stay where they are."""
    slope = gradient(points)
    step = solid.evaluate(points)[0][:, None] * slope / np.maximum((slope**2).sum(1, keepdims=True), 1e-3)
    return points - step * np.minimum(1.0, limit / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-30))


def _meeting_points(points: np.ndarray, normals: np.ndarray, vertex: np.ndarray, count: int) -> np.ndarray:
    """Point ``(count, 3)`` nearest to the planes of each vertex, and to their points' mean where the planes leave it free."""

    def total(values: np.ndarray) -> np.ndarray:
        columns = values.reshape(len(values), -1).T
        return np.stack([np.bincount(vertex, column, count) for column in columns], axis=1).reshape(count, *values.shape[1:])

    mean = total(points) / np.bincount(vertex, minlength=count)[:, None]
    square = total(normals[:, :, None] * normals[:, None])
    offset = ((points - mean[vertex]) * normals).sum(1)
    eigenvalue, direction = np.linalg.eigh(square)
    firm = eigenvalue > _FLAT * eigenvalue[:, -1:]
    along = np.einsum("nij,ni->nj", direction, total(normals * offset[:, None]))
    return mean + np.einsum("nij,nj->ni", direction, np.where(firm, along / np.where(firm, eigenvalue, 1), 0))
