"""Nearest points in space: the k nearest, or all within a radius; exact, batched, differentiable in the distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_queries, check_same_device

#: Coordinates up to which a tree of boxes is the quicker search.
BOXES = 12


def knn(
    queries: Tensor,
    points: Tensor,
    k: int,
    *,
    exclude_self: bool = False,
    query_offsets: Tensor | None = None,
    point_offsets: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest points of each query, nearest first, in Euclidean distance. Made for 2 and 3 dimensions, right in any;
    in more than twelve, unless batched, the search is that of :func:`geospec.ops.spectral_knn`.

    Exact: distances are differences, squares and sums in double for either type, rounded at the end, and of equally near
    points the smaller index comes first. The answer does not depend on the number of threads.

    Parameters
    ----------
    queries : (q, d), points : (p, d), both float32 or both float64, finite, ``d >= 1``. The squared distances are
        differentiable in both, any number of times.
    k : at least 1, at most the points of each batch that has queries.
    exclude_self : the queries are the points, and none is its own neighbour: index ``i`` is left out of row ``i``, so a
        double of a point still counts.
    query_offsets, point_offsets : (b + 1,) int64, from 0 to ``q`` and ``p`` without a step back: rows ``offsets[i]`` to
        ``offsets[i + 1]`` are batch ``i``, and a query sees the points of its own batch alone. None is one batch.

    Returns
    -------
    squared_distances (q, k), indices (q, k) int64, numbered over all points.

    Raises
    ------
    ArgumentError : wrong shape, type, ``k`` or offsets. RuntimeError : what only the kernel sees: fewer points in a batch
        than ``k``, offsets that fall, a value that is not finite (CPU; on CUDA a query that is not gives index 0 and
        distance NaN, and such a point is never chosen).

    Cost: ``O((q + p) log p)`` for points that fill space or a surface, doubled points and clusters included; in many
    dimensions up to ``q p d``. Memory: some three copies of the input. CUDA compares all with all. Trees as Friedman, Bentley
    and Finkel 1977, queried a leaf at a time.
    """
    _check(queries, points, exclude_self, query_offsets, point_offsets)
    if isinstance(k, bool) or not isinstance(k, int):
        raise ArgumentError(problem("k", "a whole number", type(k).__name__))
    if k < 1:
        raise ArgumentError(problem("k", "at least 1", k))
    if point_offsets is None and queries.shape[0] and k > points.shape[0] - exclude_self:
        others = f"the {max(points.shape[0] - exclude_self, 0)} {'other ' if exclude_self else ''}points"
        raise ArgumentError(problem("k", f"at most {others}", k, "lower k or add points"))
    if queries.shape[1] > BOXES and query_offsets is None and point_offsets is None and queries.shape[0]:
        return _spectral(queries, points, k, exclude_self)
    return torch.ops.geospec.knn(queries, points, k, exclude_self, query_offsets, point_offsets)


def _spectral(queries: Tensor, points: Tensor, k: int, exclude_self: bool) -> tuple[Tensor, Tensor]:
    """The search for spectral embeddings, which prunes by cells and not by boxes."""
    if not exclude_self:
        return torch.ops.geospec.spectral_knn(queries, points, k)
    squared, indices = torch.ops.geospec.spectral_knn(queries, points, k + 1)
    other = indices != torch.arange(len(queries), device=indices.device)[:, None]
    other[:, -1] &= ~other.all(dim=1)  # a point that has more than k doubles may not be among its own nearest
    return squared[other].reshape(-1, k), indices[other].reshape(-1, k)


def radius_search(
    queries: Tensor,
    points: Tensor,
    radius: float,
    *,
    most: int | None = None,
    exclude_self: bool = False,
    query_offsets: Tensor | None = None,
    point_offsets: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """All points within ``radius`` of each query, the border included, packed as CSR.

    Parameters
    ----------
    radius : finite, at least 0; a point counts where its squared distance in double is at most ``radius ** 2``.
    most : keep the nearest so many of each query; None keeps all.
    The others, exactness and errors are those of :func:`knn`; the squared distances are differentiable alike.

    Returns
    -------
    crow (q + 1,) int64, indices (nnz,) int64, squared_distances (nnz,): the neighbours of query ``i`` are
    ``indices[crow[i]:crow[i + 1]]``, by distance, then by index.

    Cost: that of :func:`knn` and of what is found, which on the CPU is held twice for a while.
    """
    _check(queries, points, exclude_self, query_offsets, point_offsets)
    if not (0 <= radius < math.inf):
        raise ArgumentError(problem("radius", "a finite number, at least 0", radius))
    if most is not None and most < 1:
        raise ArgumentError(problem("most", "at least 1, or None for all", most))
    squared, crow, indices = torch.ops.geospec.radius_search(
        queries, points, float(radius), most, exclude_self, query_offsets, point_offsets
    )
    return crow, indices, squared


def _check(queries: Tensor, points: Tensor, exclude_self: bool, query_offsets: Tensor | None, point_offsets: Tensor | None) -> None:
    check_queries(queries, points)
    if exclude_self and queries.shape[0] != points.shape[0]:
        raise ArgumentError(problem("exclude_self", "queries that are the points", f"{queries.shape[0]} and {points.shape[0]} rows"))
    if (query_offsets is None) != (point_offsets is None):
        missing = "query_offsets" if query_offsets is None else "point_offsets"
        raise ArgumentError(problem(missing, "offsets for both or for neither", None))
    for name, offsets in (("query_offsets", query_offsets), ("point_offsets", point_offsets)):
        if offsets is None:
            continue
        if not isinstance(offsets, Tensor) or offsets.dtype != torch.int64 or offsets.dim() != 1:
            got = (offsets.dtype, tuple(offsets.shape)) if isinstance(offsets, Tensor) else type(offsets).__name__
            raise ArgumentError(problem(name, "an int64 tensor of shape (b + 1,)", got))
        check_same_device(name, offsets, "queries", queries)


def reference(
    queries: Tensor,
    points: Tensor,
    k: int,
    exclude_self: bool = False,
    query_offsets: Tensor | None = None,
    point_offsets: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """:func:`knn` in plain PyTorch: all squared distances of a batch, sorted stably."""
    squared, indices = [queries.new_empty(0, k)], [torch.empty(0, k, dtype=torch.int64, device=queries.device)]
    for all_squared, first in _batches(queries, points, exclude_self, query_offsets, point_offsets):
        ascending, order = all_squared.sort(dim=1, stable=True)
        squared.append(ascending[:, :k].to(queries.dtype))
        indices.append(order[:, :k] + first)
    return torch.cat(squared), torch.cat(indices)


def reference_radius_search(
    queries: Tensor,
    points: Tensor,
    radius: float,
    most: int | None = None,
    exclude_self: bool = False,
    query_offsets: Tensor | None = None,
    point_offsets: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`radius_search` in plain PyTorch; what has a gradient comes first, as from every raw op."""
    counts = [torch.zeros(1, dtype=torch.int64, device=queries.device)]
    indices, squared = [torch.empty_like(counts[0])[:0]], [queries.new_empty(0)]
    for all_squared, first in _batches(queries, points, exclude_self, query_offsets, point_offsets):
        ascending, order = all_squared.sort(dim=1, stable=True)
        inside = ascending <= radius**2
        if most is not None:
            inside[:, most:] = False
        counts.append(inside.sum(dim=1))
        indices.append((order + first)[inside])
        squared.append(ascending[inside].to(queries.dtype))
    return torch.cat(squared), torch.cat(counts).cumsum(0), torch.cat(indices)


def _batches(queries: Tensor, points: Tensor, exclude_self: bool, query_offsets: Tensor | None, point_offsets: Tensor | None):
    """For each batch the squared distances in double, coordinate by coordinate as the kernel adds them, and its first point."""
    query_bounds = [0, len(queries)] if query_offsets is None else query_offsets.tolist()
    point_bounds = [0, len(points)] if point_offsets is None else point_offsets.tolist()
    for i, first in enumerate(point_bounds[:-1]):
        if query_bounds[i] == query_bounds[i + 1]:
            continue
        x, y = queries[query_bounds[i] : query_bounds[i + 1]].double(), points[first : point_bounds[i + 1]].double()
        squared = x.new_zeros(len(x), len(y))
        for a, b in zip(x.T, y.T, strict=True):
            squared = squared + (a[:, None] - b).square()
        if exclude_self:
            squared = squared.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), torch.inf)
        yield squared, first


@torch.library.register_fake("geospec::knn")
def _fake(queries, points, k, exclude_self=False, query_offsets=None, point_offsets=None):
    rows = queries.shape[0]
    return queries.new_empty(rows, k), queries.new_empty((rows, k), dtype=torch.int64)


@torch.library.register_fake("geospec::radius_search")
def _fake_radius_search(queries, points, radius, most=None, exclude_self=False, query_offsets=None, point_offsets=None):
    found = torch.library.get_ctx().new_dynamic_size()
    crow = queries.new_empty(queries.shape[0] + 1, dtype=torch.int64)
    return queries.new_empty(found), crow, queries.new_empty(found, dtype=torch.int64)


def _setup(ctx, inputs, output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(inputs[0], inputs[1], output[1])


def _backward(ctx, grad_squared: Tensor, _: Tensor):
    queries, points, indices = ctx.saved_tensors
    chosen = points.index_select(0, indices.reshape(-1)).reshape(*indices.shape, points.shape[1])
    grad = 2 * grad_squared[..., None] * (queries[:, None] - chosen)
    grad_points = None
    if ctx.needs_input_grad[1]:
        grad_points = torch.zeros_like(points).index_add(0, indices.reshape(-1), -grad.reshape(-1, points.shape[1]))
    return grad.sum(dim=1) if ctx.needs_input_grad[0] else None, grad_points, None, None, None, None


torch.library.register_autograd("geospec::knn", _backward, setup_context=_setup)


def _setup_radius_search(ctx, inputs, output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, crow, indices = output
    ctx.mark_non_differentiable(crow, indices)
    ctx.save_for_backward(inputs[0], inputs[1], crow, indices)


def _backward_radius_search(ctx, grad_squared: Tensor, _crow: Tensor, _indices: Tensor):
    queries, points, crow, indices = ctx.saved_tensors
    rows = torch.repeat_interleave(torch.arange(queries.shape[0], device=crow.device), crow.diff(), output_size=indices.shape[0])
    grad = 2 * grad_squared[:, None] * (queries.index_select(0, rows) - points.index_select(0, indices))
    grad_queries = torch.zeros_like(queries).index_add(0, rows, grad) if ctx.needs_input_grad[0] else None
    grad_points = torch.zeros_like(points).index_add(0, indices, -grad) if ctx.needs_input_grad[1] else None
    return grad_queries, grad_points, None, None, None, None, None


torch.library.register_autograd("geospec::radius_search", _backward_radius_search, setup_context=_setup_radius_search)


@torch.library.register_vmap("geospec::knn")
def _vmap(info, in_dims, queries, points, k, exclude_self=False, query_offsets=None, point_offsets=None):
    """Batched clouds are one packed question; batched offsets are not a thing."""
    if query_offsets is not None or point_offsets is not None:
        raise ArgumentError(problem("query_offsets", "none under vmap, which makes its own", "offsets"))
    size = info.batch_size
    queries = queries.expand(size, *queries.shape) if in_dims[0] is None else queries.movedim(in_dims[0], 0)
    points = points.expand(size, *points.shape) if in_dims[1] is None else points.movedim(in_dims[1], 0)
    q, p, d = queries.shape[1], points.shape[1], points.shape[2]
    each = torch.arange(size + 1, device=queries.device)
    squared, indices = torch.ops.geospec.knn(queries.reshape(-1, d), points.reshape(-1, d), k, exclude_self, each * q, each * p)
    return (squared.reshape(size, q, k), indices.reshape(size, q, k) - (each[:-1] * p)[:, None, None]), (0, 0)
