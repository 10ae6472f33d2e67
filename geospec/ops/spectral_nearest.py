"""Nearest rows between two spectral embeddings: how a functional map becomes a point map."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, one_of, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_queries

METHODS = ("auto", "tree", "brute")


def spectral_nearest(queries: Tensor, points: Tensor, method: str = "auto") -> tuple[Tensor, Tensor]:
    """For each query the nearest of the points, in Euclidean distance, in 20 to 200 dimensions (any number works).

    Exact: whatever comes within the rounding error of the best is measured again with differences and sums
    in double, so the winner is that of double arithmetic for either type, far from the origin too. Of equally
    near points the smallest index wins. The answer does not depend on ``method`` or on the number of threads.

    Parameters
    ----------
    queries : (q, d), points : (p, d), both float32 or both float64, ``p >= 1``, finite. The distances are
        differentiable in both, any number of times; where one is zero its gradient is zero.
    method : ``"tree"`` is quick where the queries lie near a surface that the points sample (a converged
        map), ``"brute"`` compares all with all, ``"auto"`` answers a few blocks of queries by the tree,
        counts the rows compared, and goes on with the tree if that costs less than comparing all. On CUDA all mean the
        same tiled comparison.

    Returns
    -------
    indices (q,) int64, distances (q,).

    Raises
    ------
    ArgumentError : wrong shape, type or method, no points. RuntimeError : a value is not finite (CPU; on CUDA a
        query that is not gives index 0 and distance NaN, and such a point is never chosen).

    Cost: brute force ``q p d`` multiplications, of bytes where the processor has AVX-512 VNNI, never a ``(q, p)``
    matrix; the tree ``(q + p) c min(d, 24)`` with ``c = max(d, sqrt(p / 8))`` cells, and some dozens of points a
    query on a converged map. Memory: up to two copies of each input. The cells are those of nearest landmarks in
    the leading 24 coordinates (low modes first make the best ones), pruned by their balls and, as in Elkan 2003,
    by the planes between landmarks.
    """
    check_search(queries, points)
    one_of("method", method, METHODS)
    distances, indices = torch.ops.geospec.spectral_nearest(queries, points, method)
    return indices, distances


def check_search(queries: Tensor, points: Tensor) -> None:
    """Refuses what no search in an embedding can answer."""
    check_queries(queries, points)
    if points.shape[0] == 0:
        raise ArgumentError(problem("points", "at least one row", "none"))


def reference(queries: Tensor, points: Tensor, method: str = "auto") -> tuple[Tensor, Tensor]:
    """:func:`spectral_nearest` in plain PyTorch, a block of queries at a time."""
    p, d = points.shape
    everyone = torch.arange(p, device=points.device)
    indices = [torch.empty(0, dtype=torch.int64, device=points.device)]
    for block in queries.detach().double().split(max(1, 2**22 // max(1, p * d))):
        squared = (block[:, None] - points.detach().double()).square().sum(dim=-1)
        indices.append(torch.where(squared == squared.amin(dim=1, keepdim=True), everyone, p).amin(dim=1))
    nearest = torch.cat(indices)
    return nearest, _differences(queries, points, nearest).double().norm(dim=1).to(queries.dtype)


def _differences(queries: Tensor, points: Tensor, indices: Tensor) -> Tensor:
    return queries - points.index_select(0, indices)


@torch.library.register_fake("geospec::spectral_nearest")
def _fake(queries: Tensor, points: Tensor, method: str = "auto") -> tuple[Tensor, Tensor]:
    return queries.new_empty(queries.shape[0]), queries.new_empty(queries.shape[0], dtype=torch.int64)


def _setup(ctx, inputs: tuple[Tensor, Tensor, str], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(inputs[0], inputs[1], output[1])


def _backward(ctx, grad_distances: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    queries, points, indices = ctx.saved_tensors
    differences = _differences(queries, points, indices)
    distances = differences.norm(dim=1, keepdim=True)
    grad = grad_distances[:, None] * differences / torch.where(distances > 0, distances, 1)
    grad_points = torch.zeros_like(points).index_add(0, indices, -grad) if ctx.needs_input_grad[1] else None
    return grad if ctx.needs_input_grad[0] else None, grad_points, None


torch.library.register_autograd("geospec::spectral_nearest", _backward, setup_context=_setup)


@torch.library.register_vmap("geospec::spectral_nearest")
def _vmap(info, in_dims: tuple[int | None, int | None, None], queries: Tensor, points: Tensor, method: str = "auto"):
    """Batched queries of one set of points are one larger question; batched points are asked one by one."""
    if in_dims[0] is not None:
        queries = queries.movedim(in_dims[0], 0)
    if in_dims[1] is None:
        batch, q, d = queries.shape
        distances, indices = torch.ops.geospec.spectral_nearest(queries.reshape(batch * q, d), points, method)
        return (distances.reshape(batch, q), indices.reshape(batch, q)), (0, 0)
    each = [
        torch.ops.geospec.spectral_nearest(queries[i] if in_dims[0] is not None else queries, one, method)
        for i, one in enumerate(points.movedim(in_dims[1], 0))
    ]
    distances, indices = (torch.stack(results) for results in zip(*each, strict=True))
    return (distances, indices), (0, 0)
