"""The k nearest rows between two spectral embeddings."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, one_of, problem
from . import library  # noqa: F401  (registers the ops)
from .spectral_nearest import METHODS, check_search


def spectral_knn(queries: Tensor, points: Tensor, k: int, method: str = "auto") -> tuple[Tensor, Tensor]:
    """For each query the ``k`` nearest of the points, in Euclidean distance, in more than about eight dimensions.

    :func:`geospec.ops.spectral_nearest` for several neighbours: the same search, exact in the same sense. The
    nearest comes first, of equally near points the one with the smaller index, and the answer does not depend on
    ``method`` or on the number of threads.

    Parameters
    ----------
    queries : (q, d), points : (p, d), both float32 or both float64, finite. The squared distances are
        differentiable in both, any number of times.
    k : how many, from 1 to ``p``; meant for some dozens at most.
    method : ``"tree"``, ``"brute"`` or ``"auto"``, as for :func:`geospec.ops.spectral_nearest`.

    Returns
    -------
    squared_distances (q, k), indices (q, k) int64. A square beyond the range of the type is infinite or zero.

    Raises
    ------
    ArgumentError : wrong shape, type, method or ``k``. RuntimeError : a value is not finite (CPU; on CUDA such a
        point is never chosen, and what is left without a point gets index 0 and squared distance NaN).

    Cost: as :func:`geospec.ops.spectral_nearest`, and for each point nearer than the ``k``-th so far up to ``k`` moves.
    """
    check_search(queries, points)
    one_of("method", method, METHODS)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= points.shape[0]:
        raise ArgumentError(problem("k", f"an integer from 1 to the number of points, {points.shape[0]}", k))
    return torch.ops.geospec.spectral_knn(queries, points, k, method)


def reference(queries: Tensor, points: Tensor, k: int, method: str = "auto") -> tuple[Tensor, Tensor]:
    """:func:`spectral_knn` in plain PyTorch, a block of queries at a time."""
    p, d = points.shape
    indices = [torch.empty(0, k, dtype=torch.int64, device=points.device)]
    for block in queries.detach().double().split(max(1, 2**22 // max(1, p * d))):
        squared = (block[:, None] - points.detach().double()).square().sum(dim=-1)
        indices.append(squared.sort(dim=1, stable=True).indices[:, :k])
    nearest = torch.cat(indices)
    return _differences(queries, points, nearest).double().square().sum(dim=-1).to(queries.dtype), nearest


def _differences(queries: Tensor, points: Tensor, indices: Tensor) -> Tensor:
    return queries[:, None] - points[indices]


@torch.library.register_fake("geospec::spectral_knn")
def _fake(queries: Tensor, points: Tensor, k: int, method: str = "auto") -> tuple[Tensor, Tensor]:
    return queries.new_empty(queries.shape[0], k), queries.new_empty(queries.shape[0], k, dtype=torch.int64)


def _setup(ctx, inputs: tuple[Tensor, Tensor, int, str], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(inputs[0], inputs[1], output[1])


def _backward(ctx, grad_squared: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    queries, points, indices = ctx.saved_tensors
    grad = 2 * grad_squared[..., None] * _differences(queries, points, indices)
    grad_queries = grad.sum(dim=1) if ctx.needs_input_grad[0] else None
    grad_points = torch.zeros_like(points).index_add(0, indices.flatten(), -grad.flatten(0, 1)) if ctx.needs_input_grad[1] else None
    return grad_queries, grad_points, None, None


torch.library.register_autograd("geospec::spectral_knn", _backward, setup_context=_setup)


@torch.library.register_vmap("geospec::spectral_knn")
def _vmap(info, in_dims: tuple[int | None, int | None, None, None], queries: Tensor, points: Tensor, k: int, method: str = "auto"):
    """Batched queries of one set of points are one larger question; batched points are asked one by one."""
    if in_dims[0] is not None:
        queries = queries.movedim(in_dims[0], 0)
    if in_dims[1] is None:
        batch, q, d = queries.shape
        results = torch.ops.geospec.spectral_knn(queries.reshape(batch * q, d), points, k, method)
        return tuple(result.reshape(batch, q, k) for result in results), (0, 0)
    each = [
        torch.ops.geospec.spectral_knn(queries[i] if in_dims[0] is not None else queries, one, k, method)
        for i, one in enumerate(points.movedim(in_dims[1], 0))
    ]
    return tuple(torch.stack(results) for results in zip(*each, strict=True)), (0, 0)
