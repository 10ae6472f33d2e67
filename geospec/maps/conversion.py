"""Point map to functional map and back.

A point map ``target_to_source (n_t,)`` names a source vertex for every target vertex; it pulls functions back, so its
functional map goes the other way, from the source to the target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import ops
from ..bases.base import SampledBasis
from ..errors import ArgumentError, one_of, problem


def point_to_functional(target_to_source: Tensor, source_basis: SampledBasis, target_basis: SampledBasis) -> Tensor:
    """``C (k_t, k_s) = Phi_t^T M_t Phi_s[target_to_source]``, exact on pulled-back modes up to truncation.

    ``target_to_source (n_t,)`` int64, or soft correspondences ``(n_t, n_s)``, dense or sparse, whose rows are weights.
    Cost ``2 n_t k_s k_t``.
    """
    if target_to_source.dim() == 2:
        if target_to_source.shape != (target_basis.n, source_basis.n):
            raise ArgumentError(problem("target_to_source", f"shape ({target_basis.n}, {source_basis.n})", tuple(target_to_source.shape)))
        return target_basis.analyze(target_to_source @ source_basis.modes)
    return target_basis.analyze(source_basis.modes[checked_point_map("target_to_source", target_to_source, target_basis.n, source_basis.n)])


def functional_to_point(functional_map: Tensor, source_basis: SampledBasis, target_basis: SampledBasis, method: str = "nearest") -> Tensor:
    """The point map ``target_to_source (n_t,)`` int64 that fits a functional map ``C (k_t, k_s)`` best.

    The first ``k_s`` and ``k_t`` modes of the bases are used. With ``a = area(source) / area(target)``:

    ``method="nearest"`` : ``T(p) = argmin_q || a (Phi_s C^T)_q - (Phi_t)_p ||`` in R^{k_t}. ``C`` carries the delta function
        of ``q``, whose coefficients are row ``q`` of ``Phi_s``, to the target, and the nearest delta function is looked up
        there. This is the rule of ZoomOut and of most of the literature; exact for orthogonal maps.
    ``method="adjoint"`` : ``T(p) = argmin_q || (Phi_s)_q - (Phi_t C)_p ||`` in R^{k_s}. By definition ``Phi_t C`` approximates
        the source modes pulled back by ``T``, so this is exact for the map of any point map, isometric or not
        (Pai et al. 2021, adjoint maps), but a truncated ``C`` shrinks its queries towards the origin.

    The factor ``a`` makes the first rule independent of the shapes' units, as the second is by itself; for shapes of
    equal area it is one and the rule is the literature's. Cost: one search, see :func:`geospec.ops.spectral_nearest`.
    """
    one_of("method", method, ("nearest", "adjoint"))
    queries, points = embeddings(functional_map, source_basis, target_basis, method)
    return ops.spectral_nearest(queries, points)[0]


def embeddings(functional_map: Tensor, source_basis: SampledBasis, target_basis: SampledBasis, method: str) -> tuple[Tensor, Tensor]:
    """``(queries (n_t, d), points (n_s, d))``: what :func:`functional_to_point` compares; ``d`` is ``k_t`` or ``k_s``."""
    k_t, k_s = functional_map.shape if functional_map.dim() == 2 else (0, 0)
    if not (1 <= k_s <= source_basis.k and 1 <= k_t <= target_basis.k):
        raise ArgumentError(
            problem("functional_map", f"a matrix of at most ({target_basis.k}, {source_basis.k})", tuple(functional_map.shape))
        )
    functional_map = functional_map.to(source_basis.modes.dtype)
    source, target = source_basis.modes[:, :k_s], target_basis.modes[:, :k_t]
    if method == "adjoint":
        return target @ functional_map, source
    return target, source @ (functional_map.mT * area_ratio(source_basis, target_basis))


def area_ratio(source_basis: SampledBasis, target_basis: SampledBasis) -> Tensor:
    """Total measure of the source over that of the target."""
    return source_basis.measure.sum() / target_basis.measure.sum()


def checked_point_map(name: str, point_map: Tensor, length: int, n_images: int) -> Tensor:
    """The map, if it is ``(length,)`` int64 with entries in ``[0, n_images)``; else an error that says what it is."""
    if point_map.shape != (length,) or point_map.dtype != torch.int64:
        raise ArgumentError(problem(name, f"an int64 tensor ({length},)", f"{tuple(point_map.shape)} {point_map.dtype}"))
    if length and (int(point_map.min()) < 0 or int(point_map.max()) >= n_images):
        raise ArgumentError(problem(name, f"vertex indices in [0, {n_images})", f"{int(point_map.min())}..{int(point_map.max())}"))
    return point_map
