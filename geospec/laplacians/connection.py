"""Tangent vectors at vertices: frames, parallel transport along edges, and the Laplacian of vector fields.

A tangent vector at a vertex is one complex number in the vertex's frame. Angles around an inner vertex are stretched
so that they sum to a full turn, which spreads the curvature of each vertex over the faces around it. All of it reads
edge lengths alone, so it is computed on the intrinsic Delaunay triangulation: edges are flipped inside the
surface, and each keeps its direction at both ends ("signposts").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import ArgumentError, ConvergenceError, ShapeError, problem
from ..shapes.connectivity import Connectivity
from ..shapes.mesh import Mesh
from .checks import refuse_unreferenced
from .sparse import csr

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class ConnectionLaplacian(NamedTuple):
    """Stiffness, mass and frames of vector fields on a mesh, see :func:`connection_laplacian`."""

    #: Complex Hermitian CSR ``(n, n)``, positive semi-definite: ``u^H L u`` is the integral of ``|grad u|^2``.
    stiffness: Tensor
    #: ``(n,)``, the lumped area of each vertex.
    mass: Tensor
    #: ``(n, 3, 3)``, rows x, y, normal: the number ``a + ib`` stands for the vector ``a x + b y``.
    frames: Tensor


def connection_laplacian(mesh: Mesh, *, mollify_factor: float = 1e-5) -> ConnectionLaplacian:
    """The Laplacian of tangent vector fields on a manifold mesh: ``(stiffness, mass, frames)``.

    ``u^H L u = sum_ij w_ij |u_j - r_ij u_i|^2``, with cotangent weights ``w`` of the intrinsic Delaunay triangulation
    (never negative) and ``r_ij = exp(i (phi_ji + pi - phi_ij))`` the transport along the edge that leaves vertex ``i`` in
    direction ``phi_ij`` and vertex ``j`` in direction ``phi_ji``. Angles around inner vertices are scaled to sum
    to ``2 pi``; at a boundary they stay as they are, so that a flat mesh has the constant fields in its kernel.

    Parameters
    ----------
    mesh : manifold and consistently oriented, with or without boundary; vertices all in faces. Slivers and faces without
        area are taken.
    mollify_factor : edge lengthening, relative to the mean edge length; changes nothing where no face is nearly flat.

    Returns
    -------
    In the mesh's precision (complex64 or complex128), on its device; computed in float64 on the CPU. On the unit
    sphere the eigenvalues tend to ``l (l + 1) - 1``, ``l >= 1``, each ``2 l + 1`` times (twice that over the real numbers).
    Not differentiable.

    Raises
    ------
    ShapeError : edges of more than two faces, vertices where sheets touch, neighbours of opposite orientation, vertices
        without a face, no area at all.

    Cost: a few passes over the edges and rounds of flips; about 0.8 s at 100k vertices.
    Source: Knoeppel, Crane, Pinkall and Schroeder 2013, "Globally Optimal Direction Fields"; Sharp, Soliman and Crane
    2019, "The Vector Heat Method", section 5; signposts: Sharp, Soliman and Crane 2019, "Navigating Intrinsic Triangulations".
    """
    edges = tangent_edges(mesh, mollify_factor=mollify_factor)
    matrix = edges.connection()
    like = mesh.vertices.detach()
    crow, col = (torch.from_numpy(a.astype(np.int64)).to(like.device) for a in (matrix.indptr, matrix.indices))
    values = torch.from_numpy(matrix.data).to(like.device, torch.complex64 if like.dtype == torch.float32 else torch.complex128)
    return ConnectionLaplacian(csr(crow, col, values), torch.from_numpy(edges.mass).to(like), torch.from_numpy(edges.frames).to(like))


@dataclass(frozen=True, eq=False)
class TangentEdges:
    """Edges of the intrinsic Delaunay triangulation, once for each face they bound.

    ``start``, ``end (h,)`` vertices; ``length (h,)``; ``departure (h,)`` the direction of the edge at ``start``, ``arrival (h,)``
    at ``end`` looking back along it, angles in the frames; ``weight (h,)`` half the cotangent of the angle across, so that the two
    entries of an inner edge sum to its weight. ``mass (n,)``, ``frames (n, 3, 3)`` as in :class:`ConnectionLaplacian`;
    ``mean_length`` counts each edge once.
    """

    start: Indices
    end: Indices
    length: Floats
    departure: Floats
    arrival: Floats
    weight: Floats
    mass: Floats
    frames: Floats
    mean_length: float

    def connection(self):
        """The connection Laplacian, SciPy CSR ``(n, n)`` complex128, Hermitian bit for bit."""
        return self._assembled(-np.exp(1j * (self.arrival + np.pi - self.departure)))

    def scalar(self):
        """The Laplacian of functions on the same triangulation, SciPy CSR ``(n, n)`` float64."""
        return self._assembled(-np.ones(len(self.start)))

    def _assembled(self, coupling: np.ndarray):
        """``sum_h w_h |u_end + coupling_h u_start|^2`` as a matrix."""
        import scipy.sparse

        n, diagonal = len(self.mass), np.arange(len(self.mass))
        loops = np.bincount(self.start, self.weight, n) + np.bincount(self.end, self.weight, n)
        rows, columns = np.concatenate([self.end, self.start, diagonal]), np.concatenate([self.start, self.end, diagonal])
        values = np.concatenate([self.weight * coupling, self.weight * coupling.conj(), loops])
        matrix = scipy.sparse.csr_matrix((values, (rows, columns)), shape=(n, n))
        return (matrix + matrix.conj().T).tocsr() / 2  # several edges between two vertices add up in another order at the mirror image


def tangent_edges(mesh: Mesh, *, mollify_factor: float = 1e-5) -> TangentEdges:
    """The intrinsic Delaunay triangulation of a manifold mesh with the directions of its edges, see :func:`connection_laplacian`."""
    if not isinstance(mesh, Mesh):
        raise ArgumentError(problem("mesh", "a Mesh", type(mesh).__name__))
    if not mollify_factor >= 0:
        raise ArgumentError(problem("mollify_factor", "a number of at least 0", mollify_factor))
    refuse_unreferenced(mesh)
    points = mesh.vertices.detach().cpu().double().numpy()
    faces, n = mesh.faces.cpu().numpy(), mesh.n_points
    twin = _twins(Connectivity(faces, n))
    vectors = points[np.roll(faces, -1, axis=1)] - points[faces]
    length = np.linalg.norm(vectors, axis=2)
    if not length.max() > 0:
        raise ShapeError(problem("mesh", "a surface with area", "vertices that all coincide"))
    length += max(0.0, float((mollify_factor * length.mean() + 2 * length - length.sum(axis=1, keepdims=True)).max()))
    flat = int((_area(length) <= 0).sum())
    if flat:
        hint = "raise mollify_factor, or drop them with geospec.repair"
        raise ShapeError(problem("mesh", "faces of positive area", f"{flat} faces without area", hint))
    start, corner = faces.reshape(-1), _angles(length).reshape(-1)
    inner = np.ones(n, dtype=bool)
    inner[start[twin < 0]] = False
    stretch = np.where(inner, 2 * np.pi / np.bincount(start, corner, n), 1.0)
    departure = _around_vertices(start, twin, corner * stretch[start], n)
    frames = _frames(points, faces, vectors.reshape(-1, 3), corner, departure)
    faces, length, departure = _delaunay(faces.copy(), twin, length, departure, stretch)

    corner, area = _angles(length), _area(length)
    half_cotangent = _cosine_products(length) / (8 * area[:, None])
    mass = np.bincount(faces.reshape(-1), np.repeat(area / 3, 3), n).astype(np.float64)
    arrival = np.roll(departure.reshape(-1, 3) + stretch[faces] * corner, -1, axis=1)
    once = np.where(twin < 0, 1.0, 0.5)
    return TangentEdges(
        start=faces.reshape(-1),
        end=np.roll(faces, -1, axis=1).reshape(-1),
        length=length.reshape(-1),
        departure=departure,
        arrival=arrival.reshape(-1),
        weight=np.roll(half_cotangent, 1, axis=1).reshape(-1),  # the corner across from the edge s -> s + 1 is s + 2
        mass=mass,
        frames=frames,
        mean_length=float(np.average(length.reshape(-1), weights=once)),
    )


def _twins(about: Connectivity) -> Indices:
    """The half-edge that runs the other way along the same edge, -1 at the boundary."""
    found = {
        "faces that name a vertex twice": int((~about.proper).sum()),
        "edges of more than two faces": int((about.faces_of_edge > 2).sum()),
        "edges between faces of opposite orientation": int((about.simple & about.aligned).sum()),
        "vertices where sheets touch": int((about.fans_of_vertex > 1).sum()),
    }
    if any(found.values()):
        got = ", ".join(f"{count} {what}" for what, count in found.items() if count)
        raise ShapeError(problem("mesh", "an oriented manifold, on which tangent planes hang together", got, "see geospec.repair"))
    twin = np.full(about.faces.size, -1)
    one, other = about.neighbours.T
    twin[one], twin[other] = other, one
    return twin


def _next(half_edge: Indices) -> Indices:
    return half_edge - half_edge % 3 + (half_edge + 1) % 3


def _area(length: Floats) -> Floats:
    """Kahan's form of Heron's formula, ``(f,)``, exact to rounding on slivers too."""
    c, b, a = np.sort(length, axis=1).T
    return np.sqrt(((a + (b + c)) * (c - (a - b)) * (c + (a - b)) * (a + (b - c))).clip(min=0)) / 4


def _cosine_products(length: Floats) -> Floats:
    """``2 l_1 l_2 cos`` at each corner ``(f, 3)``; ``length[:, s]`` is that of the edge from corner ``s`` to the next."""
    one, two, across = length, np.roll(length, 1, axis=1), np.roll(length, -1, axis=1)
    return one**2 + (two - across) * (two + across)


def _angles(length: Floats) -> Floats:
    return np.arctan2(4 * _area(length)[:, None], _cosine_products(length))


def _around_vertices(start: Indices, twin: Indices, corner: Floats, n: int) -> Floats:
    """Direction of each half-edge at its vertex: the sum of the corners passed counter-clockwise from the vertex's first half-edge.

    The first is the one at the boundary, or else that of lowest index. Sums along all fans at once, by doubling: after ``m``
    rounds each half-edge knows the sum over the ``2^m`` corners before it.
    """
    half_edges = np.arange(len(start))
    first = np.full(n, len(start))
    np.minimum.at(first, start, half_edges)
    first[start[twin < 0]] = half_edges[twin < 0]
    is_first = first[start] == half_edges
    before = np.where(is_first, half_edges, _next(np.where(twin < 0, half_edges, twin)))
    angle = np.where(is_first, 0.0, corner[before])
    for _ in range(int(np.bincount(start).max()).bit_length()):
        angle += angle[before]
        before = before[before]
    return angle


def _frames(points: Floats, faces: Indices, edges: Floats, corner: Floats, departure: Floats) -> Floats:
    """Tangent axes in space ``(n, 3, 3)``: the normal of the faces weighted by their angles, and the x axis that best agrees
    with the directions of all edges. Where normals cancel, that of one face stands in, or the z axis where no face has one."""
    n, start = len(points), faces.reshape(-1)
    a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    across = np.cross(b - a, c - a)
    size = np.linalg.norm(across, axis=1, keepdims=True)
    face_normals = np.repeat(across / np.where(size > 0, size, 1), 3, axis=0)
    normals, one = _sum_by(start, corner[:, None] * face_normals, n), np.tile([0.0, 0.0, 1.0], (n, 1))
    some = face_normals.any(axis=1)
    one[start[some]] = face_normals[some]
    normals = np.where(np.linalg.norm(normals, axis=1, keepdims=True) > 1e-9, normals, one)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    x = np.cross(np.eye(3)[np.abs(normals).argmin(axis=1)], normals)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.cross(normals, x)
    seen = (edges * x[start]).sum(axis=1) + 1j * (edges * y[start]).sum(axis=1)
    turned = seen * np.exp(-1j * departure)
    turn = np.bincount(start, turned.real, n) + 1j * np.bincount(start, turned.imag, n)
    turn = np.exp(1j * np.angle(turn))[:, None]
    return np.stack([turn.real * x + turn.imag * y, turn.real * y - turn.imag * x, normals], axis=1)


def _sum_by(index: Indices, values: Floats, n: int) -> Floats:
    return np.stack([np.bincount(index, column, n) for column in values.T], axis=1)


def _delaunay(faces: Indices, twin: Indices, length: Floats, departure: Floats, stretch: Floats) -> tuple[Indices, Floats, Floats]:
    """Flip edges whose opposite angles sum to more than pi, many a round, no two of them at one face.

    Face ``(a, b, c)`` with the edge ``a -> b`` and its neighbour ``(b, a, d)`` become ``(d, b, c)`` and ``(c, a, d)``.
    The directions of the new edge follow from the edges beside it and the new corners.
    """
    start, length = faces.reshape(-1), length.reshape(-1)
    dirty = np.arange(len(twin))
    for _ in range(100_000):
        dirty = dirty[twin[dirty] > dirty]
        h = dirty[_bad(dirty, twin, length)]
        if not len(h):
            return faces, length.reshape(-1, 3), departure
        # Of all bad edges at a face the lowest is flipped.
        best = np.full(len(faces), len(twin))
        t = twin[h]
        np.minimum.at(best, h // 3, h)
        np.minimum.at(best, t // 3, h)
        alone = (best[h // 3] == h) & (best[t // 3] == h) & (h // 3 != t // 3)
        if not alone.any():
            break
        waiting, h, t = h[~alone], h[alone], t[alone]
        ab, bc, db, ca, ad = h, _next(h), _next(_next(t)), _next(_next(h)), _next(t)
        a, b, c, d = start[ab], start[bc], start[ca], start[db]
        new = _other_diagonal(length[ab], length[bc], length[ca], length[ad], length[db])
        moved, place = [db, bc, ca, ad], [3 * (h // 3), 3 * (h // 3) + 1, 3 * (t // 3), 3 * (t // 3) + 1]
        was, now = np.concatenate(moved), np.concatenate(place)
        length_kept, departure_kept, twin_kept = length[was], departure[was], twin[was]
        index = np.arange(len(twin))
        index[was] = now
        cd, dc = 3 * (h // 3) + 2, 3 * (t // 3) + 2
        faces[h // 3], faces[t // 3] = np.stack([d, b, c], axis=1), np.stack([c, a, d], axis=1)
        length[now], departure[now] = length_kept, departure_kept
        length[cd] = length[dc] = new
        linked = twin_kept >= 0
        twin[now] = np.where(linked, index[twin_kept], -1)
        twin[index[twin_kept[linked]]] = now[linked]
        twin[cd], twin[dc] = dc, cd
        corners = [_angles(length.reshape(-1, 3)[half_edge // 3])[:, 0] for half_edge in (h, t)]
        departure[dc] = departure[3 * (h // 3)] + stretch[d] * corners[0]
        departure[cd] = departure[3 * (t // 3)] + stretch[c] * corners[1]
        around = np.concatenate([now, index[waiting], index[twin[index[waiting]]]])
        around = np.concatenate([around, twin[around]])
        dirty = np.unique(around[around >= 0])
    raise ConvergenceError("intrinsic Delaunay triangulation: the flips of edges did not end; look at the mesh's report for slivers")


def _bad(half_edges: Indices, twin: Indices, length: Floats) -> npt.NDArray[np.bool_]:
    total = np.zeros(len(half_edges))
    for side in (half_edges, twin[half_edges]):
        one, two, across = length[_next(side)], length[_next(_next(side))], length[side]
        area = _area(np.stack([one, two, across], axis=1))
        total += ((one - across) * (one + across) + two**2) / np.where(area > 0, area, np.finfo(np.float64).tiny)
    return total < -1e-9


def _other_diagonal(ab: Floats, bc: Floats, ca: Floats, ad: Floats, db: Floats) -> Floats:
    """The length of ``cd``, with both triangles laid out on their common edge ``ab``."""
    x_c, x_d = ((ab**2 + (near - far) * (near + far)) / (2 * ab) for near, far in ((ca, bc), (ad, db)))
    height = 2 * (_area(np.stack([ab, bc, ca], axis=1)) + _area(np.stack([ab, ad, db], axis=1))) / ab
    return np.hypot(x_c - x_d, height)
