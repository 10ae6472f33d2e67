"""ZoomOut of many maps at once: nearest rows, projection, a few more modes, and again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_floats, check_same_device
from .spectral_nearest import reference as nearest_rows


def zoomout(
    maps: Tensor,
    source: Tensor,
    target: Tensor,
    sizes: Sequence[tuple[int, int]],
    *,
    measure: Tensor | None = None,
    factor: Tensor | None = None,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """ZoomOut of a batch of functional maps between the same two embeddings (Melzi et al. 2019), without a gradient.

    A step takes a map ``C`` of one size ``(k_s, k_t)`` to the next. Each target row ``p`` finds its image, the ``q`` that
    minimises ``|| scale (source C^T)_q - target_p ||`` in the first ``k_t`` columns, and of the next size
    ``C = target^T diag(measure) source[images]``, divided by ``L L^T`` where a factor is given. The images are those of
    :func:`spectral_nearest` asked for rows ``scale (source C^T)`` rounded to the type: of equally near rows the smallest index wins.

    Parameters
    ----------
    maps : (b, k_t, k_s), carry source coefficients to the target. source : (n_s, K_s), target : (n_t, K_t), the modes at
        the points of each shape, low modes first. All float32 or all float64, finite.
    sizes : at least two pairs ``(source, target)``, the first that of the maps, the last ``(K_s, K_t)``, none smaller than
        the one before. One may stand twice: the same size again.
    measure : (n_t,) weights of the projection, default ones.
    factor : (K_t, K_t) float64, lower Cholesky factor of ``target^T diag(measure) target``, for modes that are not
        orthonormal at these points: a sample of a shape's. Its leading blocks serve the smaller sizes.
    scale : area of the source over that of the target.

    Returns
    -------
    maps (b, K_t, K_s), and the images (b, n_t) int64 that they are projected from. Independent of the number of threads.

    Raises
    ------
    ArgumentError : wrong shape, type or size. RuntimeError : a value is not finite (CPU).

    Cost: a step takes ``n_t n_s k_t`` multiplications a map at most, of bytes where the processor has AVX-512 VNNI, and
    ``(n_t + n_s) k_s k_t`` for the rest. The distances ``(b, n_t, n_s)`` are never stored; a search begins at the last image, which
    most points keep or move little from.
    """
    _check(maps, source, target, sizes, measure, factor)
    source_sizes, target_sizes = ([int(size[side]) for size in sizes] for side in (0, 1))
    inputs = (x.detach() for x in (maps, source, target))
    return torch.ops.geospec.zoomout(*inputs, source_sizes, target_sizes, measure, factor, scale)


def _check(maps: Tensor, source: Tensor, target: Tensor, sizes: Sequence[tuple[int, int]], measure: object, factor: object) -> None:
    check_floats("source", source)
    check_floats("target", target)
    if not isinstance(maps, Tensor) or maps.dim() != 3 or min(maps.shape[1:]) < 1:
        got = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ArgumentError(problem("maps", "a tensor (b, k_t, k_s)", got, "one map is a batch of one: C[None]"))
    for name, value in (("source", source), ("target", target)):
        check_same_device(name, value, "maps", maps)
        if value.dtype != maps.dtype:
            raise ArgumentError(problem(name, f"the type of maps, {maps.dtype}", value.dtype))
    if source.shape[0] == 0:
        raise ArgumentError(problem("source", "at least one row", "none"))
    if len(sizes) < 2:
        raise ArgumentError(problem("sizes", "at least two, the first that of the maps", list(sizes)))
    if tuple(sizes[0]) != (maps.shape[2], maps.shape[1]):
        raise ArgumentError(problem("sizes", f"to start at that of the maps, {(maps.shape[2], maps.shape[1])}", tuple(sizes[0])))
    if tuple(sizes[-1]) != (source.shape[1], target.shape[1]):
        raise ArgumentError(problem("sizes", f"to end at all columns, {(source.shape[1], target.shape[1])}", tuple(sizes[-1])))
    if any(b[0] < a[0] or b[1] < a[1] for a, b in pairwise(sizes)):
        raise ArgumentError(problem("sizes", "each at least the one before", list(sizes)))
    if measure is not None and (not isinstance(measure, Tensor) or measure.shape != target.shape[:1] or measure.dtype != maps.dtype):
        found = f"{tuple(measure.shape)} {measure.dtype}" if isinstance(measure, Tensor) else type(measure).__name__
        raise ArgumentError(problem("measure", f"shape ({target.shape[0]},) {maps.dtype}", found))
    if factor is not None and (not isinstance(factor, Tensor) or factor.shape != 2 * target.shape[1:] or factor.dtype != torch.float64):
        found = f"{tuple(factor.shape)} {factor.dtype}" if isinstance(factor, Tensor) else type(factor).__name__
        raise ArgumentError(problem("factor", f"shape {tuple(2 * target.shape[1:])} float64", found))


def reference(
    maps: Tensor,
    source: Tensor,
    target: Tensor,
    source_sizes: Sequence[int],
    target_sizes: Sequence[int],
    measure: Tensor | None = None,
    factor: Tensor | None = None,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """:func:`zoomout` in plain PyTorch, one map after another."""
    weighted = target if measure is None else measure[:, None] * target
    grown, images = [], []
    sizes = list(zip(source_sizes, target_sizes, strict=True))
    for functional_map in maps:
        for (k_s, k_t), (next_s, next_t) in pairwise(sizes):
            nearest = nearest_rows(target[:, :k_t], source[:, :k_s] @ (scale * functional_map.mT))[0]
            functional_map = weighted[:, :next_t].double().mT @ source[nearest, :next_s].double()
            if factor is not None:
                functional_map = torch.cholesky_solve(functional_map, factor[:next_t, :next_t])
            functional_map = functional_map.to(maps.dtype)
        grown.append(functional_map)
        images.append(nearest)
    if not grown:
        return maps.new_empty(0, target.shape[1], source.shape[1]), maps.new_empty((0, target.shape[0]), dtype=torch.int64)
    return torch.stack(grown), torch.stack(images)


@torch.library.register_fake("geospec::zoomout")
def _fake(
    maps: Tensor,
    source: Tensor,
    target: Tensor,
    source_sizes: Sequence[int],
    target_sizes: Sequence[int],
    measure: Tensor | None = None,
    factor: Tensor | None = None,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    shape = (maps.shape[0], target.shape[1], source.shape[1])
    return maps.new_empty(shape), maps.new_empty((maps.shape[0], target.shape[0]), dtype=torch.int64)
