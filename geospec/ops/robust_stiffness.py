"""The Laplacian of any mesh from its edge lengths: mollified, tufted cover, intrinsic Delaunay."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_faces, check_floats, check_same_device

#: An edge is flipped where the mean of its two cotangents is below this.
DELAUNAY_SLACK = -1e-6


def robust_stiffness(
    vertices: Tensor, faces: Tensor, multiplicity: Tensor | None = None, *, mollify_factor: float = 1e-5, tufted: bool = True
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Stiffness and lumped mass of a mesh of any kind, with weights that are never negative.

    All edges are lengthened alike until every triangle inequality holds with a slack of ``mollify_factor``
    times the mean edge. Both sides of all faces are then glued around each edge, in the order of their
    angles, to the tufted cover: a closed, oriented manifold whatever the mesh was. Edges are flipped until
    they are Delaunay (mean cotangent at least ``-1e-6``), and half of the cover's cotangent stiffness is
    the result. Where the faces form an oriented surface its double is not made before an edge of the
    boundary asks for it, which does not change the result.

    Parameters
    ----------
    vertices : (n, 3) float32 or float64, finite. Lengths and flips are in double. Not differentiable.
    faces : (f, 3) int64: non-manifold edges, boundary, any orientation, zero area, repeated vertices.
    multiplicity : (f,) int64, how often each face counts, one by default. A face of multiplicity m lies in the first
        m of several layers; layers are glued each for itself, so that equal faces are not glued to each
        other (which would fold them back, and flip the longest edge of every obtuse one).
    mollify_factor : at least 0; relative to the mean length of the edges.
    tufted : ``False`` keeps the boundary as it is: flips inside, no cover. The faces must then form an
        oriented surface, at most two at an edge.

    Returns
    -------
    crow (n + 1,), col (nnz,) int64, values (nnz,): the matrix in CSR, columns ascending, symmetric bit for bit,
    rows summing to zero; mass (n,). Vertices without faces have a zero row and no mass.

    Raises
    ------
    ArgumentError : wrong shape or type. RuntimeError : not finite, indices out of range, more than 7e8 faces, no
    oriented surface where ``tufted`` is false, or flips that do not end (with their number).

    Runs on the CPU; tensors of another device are copied there and back. The same for any number of threads.
    Cost: about 0.2 s of one thread at 200k vertices. Source: Sharp and Crane 2020, "A Laplacian for Nonmanifold
    Triangle Meshes", sections 3 and 4.
    """
    check_floats("vertices", vertices, columns=3)
    check_faces("faces", faces)
    if multiplicity is None:
        multiplicity = faces.new_ones(len(faces))
    elif multiplicity.shape != faces.shape[:1]:
        raise ArgumentError(problem("multiplicity", f"shape ({len(faces)},), one number a face", tuple(multiplicity.shape)))
    check_same_device("faces", faces, "vertices", vertices)
    check_same_device("multiplicity", multiplicity, "vertices", vertices)
    return torch.ops.geospec.robust_stiffness(vertices.detach(), faces, multiplicity, mollify_factor, tufted)


def reference(
    vertices: Tensor, faces: Tensor, multiplicity: Tensor, mollify_factor: float, tufted: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`robust_stiffness` in plain Python, edge by edge: the specification, and far too slow for more than some hundred faces."""
    points = vertices.double()
    layered = [(layer, face) for face, m in zip(faces.tolist(), multiplicity.tolist(), strict=True) for layer in range(m)]
    around: dict[tuple[int, int, int], list[tuple[int, int]]] = {}  # layer, lower and higher end: triangles and their edges there
    for t, (layer, face) in enumerate(layered):
        for c in range(3):
            low, high = sorted((face[c], face[(c + 1) % 3]))
            around.setdefault((layer, low, high), []).append((t, c))
    measured = {edge: float((points[edge[2]] - points[edge[1]]).norm()) for edge in around}
    slack = mollify_factor * math.fsum(measured.values()) / max(len(measured), 1)
    lengths = [[0.0] * 3 for _ in layered]
    for pair, members in around.items():
        for t, c in members:
            lengths[t][c] = measured[pair]
    longer = max([0.0, *(2 * max(three) - sum(three) + slack for three in lengths)]) if slack else 0.0
    lengths = [[length + longer for length in three] for three in lengths]

    corners = [list(face) for _, face in layered]
    twins: dict[tuple[int, int], tuple[int, int]] = {}
    if tufted:
        f = len(layered)  # the back of triangle t is t + f, its corners the other way round
        corners += [[a, c, b] for a, b, c in corners]
        lengths += [three[::-1] for three in lengths]
        for (_, low, high), members in around.items():
            ring = _by_angle(points, low, high, members, corners) if len(members) > 2 else members
            front = [corners[t][c] == low for t, c in ring]
            rising = [(t, c) if up else (t + f, 2 - c) for (t, c), up in zip(ring, front, strict=True)]
            falling = [(t + f, 2 - c) if up else (t, c) for (t, c), up in zip(ring, front, strict=True)]
            for here, there in zip(rising, falling[1:] + falling[:1], strict=True):
                twins[here], twins[there] = there, here
    else:
        for members in around.values():
            if len(members) > 2 or len({corners[t][c] for t, c in members}) < len(members):
                raise RuntimeError("faces: wanted an oriented manifold mesh without tufted cover")
            if len(members) == 2:
                twins[members[0]], twins[members[1]] = members[1], members[0]

    flipped = True
    while flipped:
        flipped = False
        for edge in list(twins):
            other = twins[edge]
            if edge[0] != other[0] and _cotangent(lengths[edge[0]], edge[1]) + _cotangent(lengths[other[0]], other[1]) < 2 * DELAUNAY_SLACK:
                _flip(edge, corners, lengths, twins)
                flipped = True
    return _assembled(len(points), corners, lengths, 0.5 if tufted else 1.0, vertices)


def _by_angle(points: Tensor, low: int, high: int, members: list[tuple[int, int]], corners: list[list[int]]) -> list[tuple[int, int]]:
    """The faces of an edge in the order of their angles around it, right-handed from its lower to its higher end."""
    axis = points[high] - points[low]
    basis = torch.linalg.svd(axis[None])[2][1:]
    if torch.linalg.det(torch.stack([axis, *basis])) < 0:
        basis = basis.flip(0)
    opposite = torch.stack([points[corners[t][(c + 2) % 3]] for t, c in members]) - points[low]
    x, y = basis @ opposite.T
    return [members[i] for i in torch.argsort(torch.atan2(y, x)).tolist()]


def _cotangent(three: list[float], c: int) -> float:
    """Of the angle opposite to edge ``c``."""
    a, b, e = three[(c + 1) % 3], three[(c + 2) % 3], three[c]
    return (a * a + b * b - e * e) / (4 * _area(three))


def _area(three: list[float]) -> float:
    half = sum(three) / 2
    return math.sqrt(max(half * math.prod(half - length for length in three), 0.0))


def _flip(
    edge: tuple[int, int], corners: list[list[int]], lengths: list[list[float]], twins: dict[tuple[int, int], tuple[int, int]]
) -> None:
    """Two triangles ``u v w`` and ``v u x`` become ``x w u`` and ``w x v``."""
    (s, c), (r, d) = edge, twins[edge]
    u, v, w, x = corners[s][c], corners[r][d], corners[s][(c + 2) % 3], corners[r][(d + 2) % 3]
    uv, vw, wu = (lengths[s][(c + i) % 3] for i in range(3))
    _, ux, xv = (lengths[r][(d + i) % 3] for i in range(3))
    angle = math.acos((uv**2 + wu**2 - vw**2) / (2 * uv * wu)) + math.acos((uv**2 + ux**2 - xv**2) / (2 * uv * ux))
    xw = math.sqrt(wu**2 + ux**2 - 2 * wu * ux * math.cos(angle))
    moved = {(s, (c + 2) % 3): (s, 1), (r, (d + 1) % 3): (s, 2), (r, (d + 2) % 3): (r, 1), (s, (c + 1) % 3): (r, 2)}
    before = {old: twins[old] for old in moved if old in twins}
    for old in [*moved, edge, (r, d)]:
        twins.pop(old, None)
    for old, other in before.items():
        here, there = moved[old], moved.get(other, other)
        twins[here], twins[there] = there, here
    twins[s, 0], twins[r, 0] = (r, 0), (s, 0)
    corners[s], corners[r] = [x, w, u], [w, x, v]
    lengths[s], lengths[r] = [xw, wu, ux], [xw, xv, vw]


def _assembled(
    n: int, corners: list[list[int]], lengths: list[list[float]], weight: float, like: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows: list[dict[int, float]] = [{i: 0.0} for i in range(n)]
    mass = [0.0] * n
    for triangle, three in zip(corners, lengths, strict=True):
        for c in range(3):
            i, j = triangle[c], triangle[(c + 1) % 3]
            half = 0.5 * weight * _cotangent(three, c)
            for a, b, value in ((i, j, -half), (j, i, -half), (i, i, half), (j, j, half)):
                rows[a][b] = rows[a].get(b, 0.0) + value
            mass[i] += weight * _area(three) / 3
    crow = torch.tensor([0] + [len(row) for row in rows]).cumsum(0)
    col = torch.tensor([j for row in rows for j in sorted(row)], dtype=torch.int64)
    values = torch.tensor([row[j] for row in rows for j in sorted(row)], dtype=like.dtype)
    return crow, col, values, torch.tensor(mass, dtype=like.dtype)


def _on_cpu(
    vertices: Tensor, faces: Tensor, multiplicity: Tensor, mollify_factor: float, tufted: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Flips follow one another, so they stay on the CPU: the mesh is copied there and the matrix back."""
    found = torch.ops.geospec.robust_stiffness(vertices.cpu(), faces.cpu(), multiplicity.cpu(), mollify_factor, tufted)
    crow, col, values, mass = (part.to(vertices.device) for part in found)
    return crow, col, values, mass


torch.library.impl("geospec::robust_stiffness", "CUDA")(_on_cpu)


@torch.library.register_fake("geospec::robust_stiffness")
def _fake(
    vertices: Tensor, faces: Tensor, multiplicity: Tensor, mollify_factor: float, tufted: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, entries = vertices.shape[0], torch.library.get_ctx().new_dynamic_size()
    return faces.new_empty(n + 1), faces.new_empty(entries), vertices.new_empty(entries), vertices.new_empty(n)
