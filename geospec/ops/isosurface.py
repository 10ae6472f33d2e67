"""Isosurfaces of grids: triangles where values cross a level, row by row, a manifold, differentiable in the values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)


def isosurface(grid: Tensor, level: float = 0.0) -> tuple[Tensor, Tensor]:
    """The surface where a grid crosses a level, in triangles.

    A vertex on each edge of the grid whose one end is below the level and whose other end is not, where linear interpolation
    reaches the level. In each cell the vertices are joined by one rule: on every face of the cell, each run of corners below the
    level is cut off. So at an ambiguous face, where two opposite corners are below, these are kept apart; there the surface of
    ``-grid`` is another one.

    The surface is an oriented manifold for any values: every edge has two faces, or one where it lies on the border of the grid,
    and the faces at a vertex form one fan. Where samples equal the level, vertices coincide and faces lose their area; there is
    still no hole.

    Parameters
    ----------
    grid : (nz, ny, nx) float32 or float64, without NaN. An infinite value puts the vertex at the other end of the edge, two of
        them put it in the middle. Less than two samples along an axis make no cell, and no surface.
    level : finite. Samples that equal it count as above.

    Returns
    -------
    vertices (v, 3) in (x, y, z), in the type of the grid, counted in cells from the first sample: they lie between 0 and
    ``(nx - 1, ny - 1, nz - 1)``. Differentiable in the grid, any number of times; infinite ends get no gradient.
    faces (f, 3) int64, counter-clockwise seen from where values are above the level.
    Vertices stand in the order of the rows of samples, in a row by the axis of their edge (x, y, z) and then by x; faces in the
    order of their cells. The number of threads changes nothing.

    Raises
    ------
    ArgumentError : wrong shape or type, a level that is not finite. RuntimeError : NaN, with its place.

    Cost: one reading of the grid, then work in proportion to the surface; memory beside the result: an eighth of a byte a sample
    and 33 bytes a row. Source: Schroeder, Maynard and Geveci 2015, "Flying Edges", for the passes over rows.
    """
    if not isinstance(grid, Tensor):
        raise ArgumentError(problem("grid", "a torch tensor", type(grid).__name__, "convert with torch.as_tensor"))
    if grid.dtype not in (torch.float32, torch.float64):
        raise ArgumentError(problem("grid", "float32 or float64", str(grid.dtype), "convert with .float()"))
    if grid.dim() != 3:
        raise ArgumentError(problem("grid", "shape (nz, ny, nx)", tuple(grid.shape), "loop over batches"))
    if not math.isfinite(level):
        raise ArgumentError(problem("level", "a finite number", level))
    vertices, faces, _ = torch.ops.geospec.isosurface(grid, float(level))
    return vertices, faces


def reference(grid: Tensor, level: float) -> tuple[Tensor, Tensor, Tensor]:
    """The op in plain PyTorch, with each vertex's edge as the third result: ``3 * sample + axis`` (0 = x)."""
    inside = grid.double() < level
    numbers = torch.full((3, *grid.shape), -1)
    crossed = torch.zeros(3, *grid.shape, dtype=torch.bool)
    if min(grid.shape, default=0) > 1:
        crossed[0, :, :, :-1] = inside[:, :, 1:] != inside[:, :, :-1]
        crossed[1, :, :-1] = inside[:, 1:] != inside[:, :-1]
        crossed[2, :-1] = inside[1:] != inside[:-1]
    k, j, axis, i = crossed.permute(1, 2, 0, 3).nonzero(as_tuple=True)
    numbers[axis, k, j, i] = torch.arange(len(i))
    lower = torch.stack([i, j, k], dim=1)
    upper = lower + torch.eye(3, dtype=torch.int64)[axis]
    a, b = (grid[tuple(place.flip(1).T)].double() for place in (lower, upper))
    vertices = torch.where(lower < upper, lower + ((level - a) / (b - a))[:, None], lower.double())
    edges = 3 * ((k * grid.shape[1] + j) * grid.shape[2] + i) + axis
    return vertices.to(grid.dtype), _reference_faces(inside, numbers), edges


def _reference_faces(inside: Tensor, numbers: Tensor) -> Tensor:
    """Faces of all cells, in the order of the cells, from the numbers of the vertices by axis and lower end."""
    faces = [torch.zeros(0, 3, dtype=torch.int64)]
    if min(inside.shape, default=0) > 1:
        nz, ny, nx = (n - 1 for n in inside.shape)
        corners = [inside[z : nz + z, y : ny + y, x : nx + x] for z in (0, 1) for y in (0, 1) for x in (0, 1)]
        pattern = torch.stack([corner.long() << c for c, corner in enumerate(corners)]).sum(dim=0)
        for k, j, i in ((pattern > 0) & (pattern < 255)).nonzero().tolist():
            for triangle in cell_triangles(int(pattern[k, j, i])):
                ends = [(min(edge), max(edge) - min(edge)) for edge in triangle]
                each = [numbers[length.bit_length() - 1, k + (c >> 2), j + (c >> 1 & 1), i + (c & 1)] for c, length in ends]
                faces.append(torch.stack(each)[None])
    return torch.cat(faces)


Edge = tuple[int, int]


def cell_triangles(pattern: int) -> list[tuple[Edge, Edge, Edge]]:
    """The rule for one cell: triangles between its edges, which are pairs of corners in ascending order.

    Corner ``c`` lies at ``(c & 1, c >> 1 & 1, c >> 2)`` in (x, y, z); bit ``c`` of the pattern says that it is below the level.
    """
    following: dict[Edge, Edge] = {}
    for face in _cell_faces():
        for i in range(4):
            if pattern >> face[i] & 1 or not pattern >> face[(i + 1) % 4] & 1:
                continue
            j = (i + 1) % 4
            while pattern >> face[(j + 1) % 4] & 1:
                j = (j + 1) % 4
            following[_edge(face, i)] = _edge(face, j)
    triangles = []
    for start in sorted(following, key=_place):
        loop = []
        while start in following:
            loop.append(start)
            start = following.pop(start)
        triangles += _cut(loop, 0, len(loop) - 1) or []
    return triangles


def _cell_faces() -> list[list[int]]:
    """Corners of each face of a cell, counter-clockwise seen from outside."""
    faces = []
    for axis in range(3):
        u, v = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        low = [0, u, u + v, v]
        faces += [low[::-1], [c + (1 << axis) for c in low]]
    return faces


def _edge(face: list[int], i: int) -> Edge:
    low, high = sorted((face[i], face[(i + 1) % 4]))
    return low, high


def _place(edge: Edge) -> Edge:
    """Edges by axis, then by their lower end."""
    return edge[1] - edge[0], edge[0]


def _cut(loop: list[Edge], i: int, j: int) -> list[tuple[Edge, Edge, Edge]] | None:
    """Triangles between places ``i`` to ``j`` of a loop whose diagonals lie in no face of the cell; None where there are none."""

    def may_join(a: int, b: int) -> bool:
        return b - a in (1, len(loop) - 1) or not any({*loop[a], *loop[b]} <= set(face) for face in _cell_faces())

    if j - i < 2:
        return []
    for k in range(i + 1, j):
        if may_join(i, k) and may_join(k, j):
            left, right = _cut(loop, i, k), _cut(loop, k, j)
            if left is not None and right is not None:
                return [(loop[i], loop[k], loop[j]), *left, *right]
    return None


def reference_backward(grad_vertices: Tensor, grid: Tensor, edges: Tensor, level: float) -> Tensor:
    """The adjoint of :func:`reference` in plain PyTorch."""
    lower, upper, axis = _ends(grid, edges)
    of_lower, of_upper, _ = _slopes(grid.flatten()[lower], grid.flatten()[upper], level)
    grad = grad_vertices.double().gather(1, axis)[:, 0]
    return _gathered(grid, lower, grad * of_lower, upper, grad * of_upper)


def _ends(grid: Tensor, edges: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each edge its lower and upper sample, counted over the grid, and its axis ``(v, 1)``."""
    strides = torch.tensor([1, grid.shape[2], grid.shape[1] * grid.shape[2]], device=grid.device)
    axis = edges % 3
    return edges // 3, edges // 3 + strides[axis], axis[:, None]


def _slopes(a: Tensor, b: Tensor, level: float) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of ``(level - a) / (b - a)`` in ``a`` and ``b``, in double, zero for infinite ends; and ``1 / (b - a)``."""
    a, b = a.double(), b.double()
    finite = (b - a).isfinite()
    a, b = a.where(finite, 0), b.where(finite, 1)
    inverse = finite / (b - a)
    return (level - b) * inverse**2, (a - level) * inverse**2, inverse


def _gathered(grid: Tensor, lower: Tensor, of_lower: Tensor, upper: Tensor, of_upper: Tensor) -> Tensor:
    """Sums over the edges of each sample. On CUDA index_add repeats its bits where torch.use_deterministic_algorithms asks for it."""
    total = torch.zeros(grid.numel(), dtype=torch.float64, device=grid.device)
    return total.index_add(0, lower, of_lower).index_add(0, upper, of_upper).reshape(grid.shape).to(grid.dtype)


@torch.library.register_fake("geospec::isosurface")
def _fake(grid: Tensor, level: float) -> tuple[Tensor, Tensor, Tensor]:
    vertices, faces = torch.library.get_ctx().new_dynamic_size(), torch.library.get_ctx().new_dynamic_size()
    return grid.new_empty(vertices, 3), grid.new_empty((faces, 3), dtype=torch.int64), grid.new_empty(vertices, dtype=torch.int64)


@torch.library.register_fake("geospec::isosurface_backward")
def _fake_backward(grad_vertices: Tensor, grid: Tensor, edges: Tensor, level: float) -> Tensor:
    return grid.new_empty(grid.shape)


def _setup(ctx, inputs, output: tuple[Tensor, Tensor, Tensor]) -> None:
    grid, ctx.level = inputs
    _, faces, edges = output
    ctx.mark_non_differentiable(faces, edges)
    ctx.save_for_backward(grid, edges)


def _backward(ctx, grad_vertices: Tensor, _faces: Tensor, _edges: Tensor) -> tuple[Tensor, None]:
    grid, edges = ctx.saved_tensors
    return torch.ops.geospec.isosurface_backward(grad_vertices, grid, edges, ctx.level), None


torch.library.register_autograd("geospec::isosurface", _backward, setup_context=_setup)


def _setup_backward(ctx, inputs, output: Tensor) -> None:
    *tensors, ctx.level = inputs
    ctx.save_for_backward(*tensors)


def _backward_twice(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
    """In torch's own operators, which differentiate on."""
    grad_vertices, grid, edges = ctx.saved_tensors
    lower, upper, axis = _ends(grid, edges)
    of_lower, of_upper, inverse = _slopes(grid.flatten()[lower], grid.flatten()[upper], ctx.level)
    h_lower, h_upper = grad.flatten()[lower].double(), grad.flatten()[upper].double()
    motion = of_lower * h_lower + of_upper * h_upper  # of the vertex along its edge, as the samples move by h
    weight = grad_vertices.double().gather(1, axis)[:, 0] * inverse
    grad_grid = _gathered(grid, lower, weight * (2 * motion + h_upper * inverse), upper, -weight * (2 * motion + h_lower * inverse))
    return torch.zeros_like(grad_vertices).scatter(1, axis, motion[:, None].to(grad_vertices.dtype)), grad_grid, None, None


torch.library.register_autograd("geospec::isosurface_backward", _backward_twice, setup_context=_setup_backward)
