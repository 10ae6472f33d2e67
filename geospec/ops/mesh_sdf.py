"""Truncated signed distances of triangle meshes on a grid: exact within the band, the sign alone beyond; differentiable."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Literal, overload

import torch
from torch import Tensor

from ..errors import ArgumentError, GeospecError, one_of, problem
from . import library  # noqa: F401  (registers the op)
from .checks import check_faces, check_floats, check_same_device

#: What decides the inside; see :func:`mesh_sdf`.
SIGNS = ("auto", "nonzero", "parity", "winding", "unsigned")


@overload
def mesh_sdf(
    vertices: Tensor,
    faces: Tensor,
    resolution: int | Sequence[int],
    truncation: float,
    *,
    lower: Sequence[float] = ...,
    upper: Sequence[float] = ...,
    sign: str = ...,
    nearest: Literal[False] = ...,
) -> Tensor: ...
@overload
def mesh_sdf(
    vertices: Tensor,
    faces: Tensor,
    resolution: int | Sequence[int],
    truncation: float,
    *,
    lower: Sequence[float] = ...,
    upper: Sequence[float] = ...,
    sign: str = ...,
    nearest: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def mesh_sdf(
    vertices: Tensor,
    faces: Tensor,
    resolution: int | Sequence[int],
    truncation: float,
    *,
    lower: Sequence[float] = (-1.0, -1.0, -1.0),
    upper: Sequence[float] = (1.0, 1.0, 1.0),
    sign: str = "auto",
    nearest: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Signed distances to a mesh at the centres of a box's cells: negative inside, cut at ``truncation`` either way.

    Parameters
    ----------
    vertices : (n, 3) float32 or float64, finite, in (x, y, z). The distances are differentiable in them, once.
    faces : (f, 3) int64, in any order and orientation; faces without area count as the lines or points that they are. A mesh
        without faces is infinitely far.
    resolution : cells along every axis, or (nz, ny, nx).
    truncation : positive; distances beyond it are not computed.
    lower, upper : corners (x, y, z) of the box. The mesh may reach beyond it, and then counts there too.
    sign : what is inside.
        ``"nonzero"``: the rows along x have entered the surface more often than left it, or less often: right for closed meshes
        whose faces agree, turned inside out, overlapping and nested ones too. A hollow turned against its shell is outside.
        ``"parity"``: rows have crossed the surface an odd number of times: for closed meshes whose faces need not agree; what two
        parts overlap is outside. ``"winding"``: the generalised winding number is beyond 1/2 either way: for any mesh, holes are
        closed where the surface would pass. ``"unsigned"``: nothing. ``"auto"``: ``nonzero`` where every edge has as many faces
        one way as the other, ``parity`` where every edge has an even number, ``winding`` elsewhere; edges are compared by the
        vertices' indices, then by their coordinates. Before that, of faces with the same three places ``auto`` counts one, the
        first of the sense that more have, so that doubled and two-sided faces do no harm; where this leaves the mesh open,
        faces with as many twins in the other sense count as none in pieces that also have others: walls within a body. The
        other signs take every face as it is.
    nearest : also return the nearest face.

    Returns
    -------
    (nz, ny, nx) of the vertices' type, x fastest; with ``nearest`` also (nz, ny, nx) int32, -1 where the surface is at least
    ``truncation`` away.

    Raises
    ------
    ArgumentError : wrong shape, type, resolution, box, truncation or name of a sign. RuntimeError : what only the kernel sees:
        a face that names no vertex, a vertex that is not finite.

    Distances are right to rounding, within 2e-7 of the box's side in float32; crossings are decided by exact predicates, so rows
    through vertices and along edges count as any other. The answer does not depend on the number of threads.

    The gradient sums in one order on the CPU; on CUDA only under ``torch.use_deterministic_algorithms``, by way of PyTorch,
    slower and with some kilobyte a cell of the band.

    On CUDA the tree is planted on the host, from a copy of the mesh.

    Cost: ``O(f log f)`` for a tree of boxes, then the cells of the band, each with the few faces that may be its nearest. Memory:
    the result and some 200 bytes a face. Winding numbers as Barill, Dickson, Schmidt, Levin and Jacobson 2018, equations 11 to 14.
    """
    shape, *box = _check(vertices, faces, resolution, truncation, lower, upper)
    one_of("sign", sign, SIGNS)
    asked = nearest or (torch.is_grad_enabled() and vertices.requires_grad)
    values, face = torch.ops.geospec.mesh_sdf(vertices, faces, shape, float(truncation), *box, sign, asked)
    return (values, face) if nearest else values


def _check(
    vertices: Tensor, faces: Tensor, resolution: object, truncation: object, lower: object, upper: object
) -> tuple[list[int], list[float], list[float]]:
    check_floats("vertices", vertices, 3)
    check_faces("faces", faces)
    check_same_device("faces", faces, "vertices", vertices)
    check_truncation(truncation)
    low, high = three_numbers("lower", lower), three_numbers("upper", upper)
    if not all(a < b for a, b in zip(low, high, strict=True)):
        raise ArgumentError(problem("upper", f"a corner above lower, {low}", high))
    return list(cell_counts("resolution", resolution)), list(low), list(high)


def check_truncation(value: object) -> None:
    """Want a positive finite number."""
    if not isinstance(value, numbers.Real) or not 0 < float(value) < math.inf:
        raise ArgumentError(problem("truncation", "a positive finite distance", repr(value)))


def three_numbers(name: str, value: object, error: type[GeospecError] = ArgumentError) -> tuple[float, float, float]:
    """Three finite numbers (x, y, z), from one for all or from any row of three."""
    plain = value.tolist() if isinstance(value, Tensor) else value
    row = (plain,) * 3 if isinstance(plain, numbers.Real) else tuple(plain) if isinstance(plain, Iterable) else ()
    if len(row) != 3 or not all(isinstance(x, numbers.Real) and math.isfinite(x) for x in row):
        raise error(problem(name, "three finite numbers (x, y, z)", repr(value)))
    x, y, z = (float(number) for number in row)
    return x, y, z


def cell_counts(name: str, value: object, error: type[GeospecError] = ArgumentError) -> tuple[int, int, int]:
    """Three positive whole numbers (nz, ny, nx), from one for all or from any row of three."""
    plain = value.tolist() if isinstance(value, Tensor) else value
    row = (plain,) * 3 if isinstance(plain, numbers.Integral) else tuple(plain) if isinstance(plain, Iterable) else ()
    if len(row) != 3 or not all(isinstance(n, numbers.Integral) and not isinstance(n, bool) and int(n) >= 1 for n in row):
        raise error(problem(name, "a positive whole number, or three (nz, ny, nx)", repr(value)))
    z, y, x = (int(number) for number in row)
    return z, y, x


def cell_centres(shape: Sequence[int], lower: Sequence[float], upper: Sequence[float], device: torch.device) -> Tensor:
    """Centres of a box's cells ``(nz, ny, nx, 3)`` in (x, y, z), float64."""
    axes = [
        low + (torch.arange(n, dtype=torch.float64, device=device) + 0.5) * ((high - low) / n)
        for n, low, high in zip(reversed(shape), lower, upper, strict=True)
    ]
    x, y, z = axes
    return torch.stack(torch.meshgrid(z, y, x, indexing="ij")[::-1], dim=-1)


def closest_weights(points: Tensor, corners: Tensor) -> Tensor:
    """Weights ``(..., 3)`` of a triangle's corners ``(..., 3, 3)`` at its point nearest to ``points (..., 3)``."""
    a, b, c = corners.unbind(dim=-2)
    normal = torch.linalg.cross(b - a, c - a)
    squared = normal.square().sum(-1)
    inner = torch.stack([(torch.linalg.cross(q - p, points - p) * normal).sum(-1) for p, q in ((b, c), (c, a), (a, b))], dim=-1) / squared[
        ..., None
    ].clamp_min(torch.finfo(points.dtype).tiny)
    options, distances = [], []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        p, q = corners[..., i, :], corners[..., j, :]
        along = ((points - p) * (q - p)).sum(-1) / (q - p).square().sum(-1).clamp_min(torch.finfo(points.dtype).tiny)
        t = along.clamp(0, 1)
        options.append(torch.stack([1 - t, t, torch.zeros_like(t)], dim=-1)[..., [(k - i) % 3 for k in range(3)]])
        distances.append((points - p - t[..., None] * (q - p)).square().sum(-1))
    side = torch.stack(distances, dim=-1).argmin(dim=-1)
    weights = torch.stack(options, dim=-2).gather(-2, side[..., None, None].expand(*side.shape, 1, 3)).squeeze(-2)
    return torch.where(((inner >= 0).all(-1) & (squared > 0))[..., None], inner, weights)


def _closed(faces: Tensor) -> tuple[bool, bool]:
    """Whether every edge has as many faces one way as the other, and whether it has an even number."""
    sides = torch.stack([faces, faces.roll(-1, dims=1)], dim=-1).reshape(-1, 2)
    sides = sides[sides[:, 0] != sides[:, 1]]
    if len(sides) == 0:
        return True, True
    turn = (sides[:, 1] > sides[:, 0]).long() * 2 - 1
    _, edge = torch.unique(sides.sort(dim=1).values, dim=0, return_inverse=True)
    balance, count = turn.new_zeros(int(edge.max()) + 1), turn.new_zeros(int(edge.max()) + 1)
    balance.index_add_(0, edge, turn)
    count.index_add_(0, edge, torch.ones_like(turn))
    return bool((balance == 0).all()), bool((count % 2 == 0).all())


def _same_places(named: Tensor) -> list[list[tuple[int, bool]]]:
    """Faces with the same three vertices, where there are two or more, each with whether it names them in an odd order."""
    groups: dict[tuple[int, ...], list[tuple[int, bool]]] = {}
    for face, (a, b, c) in enumerate(named.tolist()):
        if len({a, b, c}) == 3:
            groups.setdefault(tuple(sorted((a, b, c))), []).append((face, (a > b) ^ (b > c) ^ (a > c)))
    return [group for group in groups.values() if len(group) > 1]


def _pieces(named: Tensor) -> Tensor:
    """A number for each face ``(f,)``, the same where faces hang together by their vertices."""
    label = torch.arange(int(named.max()) + 1)
    while True:
        least = label[named].amin(dim=1)
        new = label.scatter_reduce(0, named.reshape(-1), least.repeat_interleave(3), "amin")
        if torch.equal(new, label):
            return least
        label = new


def _resolved(vertices: Tensor, faces: Tensor, sign: str) -> tuple[str, Tensor]:
    """What ``"auto"`` stands for, and the faces ``(f,)`` that count then."""
    counted = torch.ones(len(faces), dtype=torch.bool)
    if sign != "auto" or len(faces) == 0:
        return sign, counted
    by_place = torch.unique(vertices, dim=0, return_inverse=True)[1][faces].cpu()
    walls = torch.zeros_like(counted)
    for group in _same_places(by_place):
        balance = sum(1 if odd else -1 for _, odd in group)
        kept = group[0][0] if balance == 0 else next(face for face, odd in group if odd == (balance > 0))
        counted[[face for face, _ in group]] = False
        counted[kept], walls[kept] = True, balance == 0
    piece = _pieces(by_place)
    mixed = torch.isin(piece, piece[counted & ~walls])
    for chosen in (counted, counted & ~(walls & mixed)):
        for named in (faces.cpu(), by_place):
            agree, even = _closed(named[chosen])
            if agree or even:
                return "nonzero" if agree else "parity", chosen
    return "winding", chosen


def winding_numbers(points: Tensor, corners: Tensor) -> Tensor:
    """Generalised winding numbers ``(m,)`` of triangles ``(f, 3, 3)`` about points ``(m, 3)``: solid angles as van Oosterom and
    Strackee 1983, over 4 pi."""
    a, b, c = (corners[None] - points[:, None, None]).unbind(dim=2)
    la, lb, lc = (x.norm(dim=-1) for x in (a, b, c))
    above = (a * torch.linalg.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return torch.atan2(above, below).sum(dim=1) / (2 * torch.pi)


def _crossings(points: Tensor, corners: Tensor) -> Tensor:
    """How often lines along x have entered triangles ``(f, 3, 3)``, less how often left, before points ``(m, 3)``."""
    x, y, z = points[:, None].unbind(dim=-1)
    turn = torch.zeros(len(points), len(corners), dtype=torch.int64, device=points.device)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        a, b = corners[None, :, i], corners[None, :, j]
        upward = a[..., 2] < b[..., 2]
        low, high = torch.where(upward[..., None], a, b), torch.where(upward[..., None], b, a)
        spans = (low[..., 2] <= z) & (z < high[..., 2])
        left = (high[..., 1] - low[..., 1]) * (z - low[..., 2]) > (high[..., 2] - low[..., 2]) * (y - low[..., 1])
        turn += torch.where(spans & left, torch.where(upward, -1, 1), 0)
    a = corners[None, :, 0]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    crossing = a[..., 0] - (normal[:, 1] * (y - a[..., 1]) + normal[:, 2] * (z - a[..., 2])) / normal[:, 0]
    return (turn * (crossing <= x)).sum(dim=1)


def _inside(points: Tensor, corners: Tensor, sign: str) -> Tensor:
    if sign == "unsigned":
        return torch.zeros(len(points), dtype=torch.bool, device=points.device)
    if sign == "winding":
        return winding_numbers(points, corners).abs() > 0.5
    count = _crossings(points, corners)
    return count != 0 if sign == "nonzero" else count % 2 != 0


def reference(
    vertices: Tensor,
    faces: Tensor,
    shape: Sequence[int],
    truncation: float,
    lower: Sequence[float],
    upper: Sequence[float],
    sign: str,
    nearest: bool,
) -> tuple[Tensor, Tensor]:
    """The op in plain PyTorch, in double: every cell against every face, one slice after the other."""
    corners = vertices.double()[faces]
    slices = cell_centres(shape, lower, upper, vertices.device).reshape(shape[0], -1, 3)
    sign, counted = _resolved(vertices, faces, sign)
    values, found = [], []
    for points in slices if len(faces) else ():
        with torch.no_grad():
            weights = closest_weights(points[:, None], corners[None])
            squared = (points[:, None] - (weights[..., None] * corners).sum(-2)).square().sum(-1)
            least, face = squared.min(dim=1)
            inside = _inside(points, corners[counted], sign)
        chosen = torch.arange(len(points), device=points.device), face
        distance = (points - (weights[chosen][..., None] * corners[face]).sum(-2)).norm(dim=-1).clamp_max(truncation)
        values.append(torch.where(inside, -distance, distance))
        found.append(torch.where(least < truncation**2, face, -1))
    if not values:
        return vertices.new_full(tuple(shape), truncation), faces.new_full(tuple(shape) if nearest else (0, 0, 0), -1).int()
    empty = faces.new_empty((0, 0, 0)).int()
    return torch.stack(values).reshape(shape).to(vertices.dtype), torch.stack(found).reshape(shape).int() if nearest else empty


def reference_backward(
    grad: Tensor, vertices: Tensor, faces: Tensor, values: Tensor, nearest: Tensor, lower: Sequence[float], upper: Sequence[float]
) -> Tensor:
    """The gradient in the vertices by PyTorch's own: the distance of each cell to the point of its nearest face that is nearest."""
    points = cell_centres(values.shape, lower, upper, vertices.device)[nearest >= 0]
    with torch.enable_grad():
        moved = vertices.detach().double().requires_grad_()
        corners = moved[faces[nearest[nearest >= 0].long()]]
        weights = closest_weights(points, corners.detach())
        distance = (points - (weights[..., None] * corners).sum(-2)).norm(dim=-1)
        signed = torch.where(values[nearest >= 0] < 0, -distance, distance)
        return torch.autograd.grad(signed, moved, grad[nearest >= 0].double())[0].to(vertices.dtype)


@torch.library.register_fake("geospec::mesh_sdf")
def _fake(vertices, faces, shape, truncation, lower, upper, sign, nearest):
    return vertices.new_empty(shape), vertices.new_empty(shape if nearest else (0, 0, 0), dtype=torch.int32)


@torch.library.register_fake("geospec::mesh_sdf_backward")
def _fake_backward(grad, vertices, faces, values, nearest, lower, upper):
    return torch.empty_like(vertices, memory_format=torch.contiguous_format)


def _setup(ctx, inputs, output: tuple[Tensor, Tensor]) -> None:
    vertices, faces, shape, truncation, lower, upper, _, nearest = inputs
    values, face = output
    ctx.mark_non_differentiable(face)
    ctx.save_for_backward(vertices, faces, values, face)
    ctx.box, ctx.known = (shape, truncation, lower, upper), nearest


def _backward(ctx, grad: Tensor, _: Tensor):
    vertices, faces, values, face = ctx.saved_tensors
    shape, truncation, lower, upper = ctx.box
    if not ctx.known:
        face = torch.ops.geospec.mesh_sdf(vertices.detach(), faces, shape, truncation, lower, upper, "unsigned", True)[1]
    # Atomic sums differ in their last bits; PyTorch's own honour the switch.
    repeatable = vertices.is_cuda and torch.are_deterministic_algorithms_enabled()
    adjoint = reference_backward if repeatable else torch.ops.geospec.mesh_sdf_backward
    slope = adjoint(grad, vertices, faces, values, face, lower, upper)
    return slope, None, None, None, None, None, None, None


torch.library.register_autograd("geospec::mesh_sdf", _backward, setup_context=_setup)
