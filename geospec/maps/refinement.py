"""From a rough small functional map to a sharp large one: ICP, ZoomOut and its bijective form."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from operator import index
from typing import Any

import torch
from torch import Tensor

from .. import ops
from ..bases.base import SampledBasis
from ..errors import ArgumentError, problem
from .commuting import cholesky
from .conversion import area_ratio, functional_to_point, point_to_functional

Size = int | tuple[int, int]
Subsample = int | tuple[Tensor, Tensor] | None

#: Points of a shape up to which :func:`geospec.ops.zoomout` takes all steps at once; beyond, the trees of single searches are quicker.
MOST_FUSED = 12_000


@dataclass(frozen=True, eq=False, kw_only=True)
class RefinedMap:
    """What a refinement returns.

    ``functional_map (k_t, k_s)`` from source to target and the ``target_to_source (n_t,)`` that it comes from, int64. ``record``
    says what was done: method, sizes visited, number of searches.
    """

    functional_map: Tensor
    target_to_source: Tensor
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class RefinedPair(RefinedMap):
    """What a refinement of both directions returns: also ``reverse_functional_map (k_s, k_t)`` and ``source_to_target (n_s,)``."""

    reverse_functional_map: Tensor
    source_to_target: Tensor


def icp(functional_map: Tensor, source_basis: SampledBasis, target_basis: SampledBasis, *, most: int = 50) -> RefinedMap:
    """Alternate nearest points and the closest (semi-)orthogonal ``C``, at fixed size, until the point map repeats.

    Ovsjanikov et al. 2012, sec. 6. ``C (k_t, k_s)`` may be rectangular; the polar factor then has orthonormal rows or columns.
    At most ``most`` rounds, whether it settled stands in ``record["settled"]``. Cost: one search a round.
    """
    k_t, k_s = functional_map.shape
    source, target = _leading(source_basis, k_s, "source_basis"), _leading(target_basis, k_t, "target_basis")
    scale = area_ratio(source, target).sqrt()  # an isometry up to scale has C^T C = area(target) / area(source)
    point_map = functional_to_point(functional_map, source, target)
    settled, rounds = False, 0
    while not settled and rounds < most:
        u, _, vh = torch.linalg.svd(point_to_functional(point_map, source, target), full_matrices=False)
        functional_map, previous = u @ vh / scale, point_map
        point_map = functional_to_point(functional_map, source, target)
        settled, rounds = torch.equal(point_map, previous), rounds + 1
    record = {"method": "icp", "rounds": rounds, "settled": settled, "searches": rounds + 1}
    return RefinedMap(functional_map=functional_map, target_to_source=point_map, record=record)


def zoomout(
    initial: Tensor,
    source_basis: SampledBasis,
    target_basis: SampledBasis,
    *,
    k_final: Size,
    k_start: Size | None = None,
    step: Size | str = 1,
    subsample: Subsample = None,
) -> RefinedMap:
    """ZoomOut: convert to a point map, back to a functional map with a few more modes, and so on (Melzi et al. 2019).

    Parameters
    ----------
    initial : a functional map ``(k_t, k_s)``, or a point map ``target_to_source (n_t,)`` int64 (then give ``k_start``).
    source_basis, target_basis : with at least ``k_final`` modes each.
    k_final : size to reach; pairs, here and below, are ``(source, target)``.
    k_start : size to start at; default that of ``initial``, of which it may take the leading part.
    step : modes added a time: a number, a pair, or ``"auto"``: a tenth of the current size, at least one (20 to 100 in 19 steps
        instead of 80). A side that would pass ``k_final`` stays at it.
    subsample : run on this many points of each shape, spread by :func:`farthest_points`, or on the given pair of index
        tensors, and on all points only the last step, done twice. Functional maps are then fitted by least squares on the samples.

    Returns
    -------
    RefinedMap : the point map is converted from the last functional map on all points; ``functional_map (k_t, k_s)`` of size
    ``k_final`` is formed from that point map.

    Notes
    -----
    One search a step dominates, O(n_s n_t k) at worst; everything else is O(n k_s k_t). Up to 12,000 points
    :func:`geospec.ops.zoomout` takes all steps at once. All searches but the last run in float32: two points must be
    equally near to seven digits for that to matter, and the last one is exact.
    """
    sizes = schedule(initial, k_final, k_start, step)
    source, target = _leading(source_basis, sizes[-1][0], "source_basis"), _leading(target_basis, sizes[-1][1], "target_basis")
    small_source, small_target = _samples(source, target, subsample)
    project = _Projection(small_target, orthonormal=subsample is None)
    functional_map = _functional_start(initial, source, target, sizes[0])
    if subsample is None and source.modes.dtype == torch.float32:  # the last search may then be one more of the same
        point_map = _steps(functional_map, source, target, [*sizes, sizes[-1]], project)
    else:
        if len(sizes) > 1:
            images = _steps(functional_map, small_source, small_target, sizes, project)
            functional_map = project(small_source.modes[images], sizes[-1][1])
        if subsample is not None:
            images = functional_to_point(functional_map, _narrow(source), _narrow(target))
            functional_map = point_to_functional(images, source, target)
        point_map = functional_to_point(functional_map, source, target)
    searches = len(sizes) + (subsample is not None)
    record = {"method": "zoomout", "sizes": sizes, "points": [small_source.n, small_target.n], "searches": searches}
    return RefinedMap(functional_map=point_to_functional(point_map, source, target), target_to_source=point_map, record=record)


def bijective_zoomout(
    initial: Tensor,
    source_basis: SampledBasis,
    target_basis: SampledBasis,
    *,
    k_final: Size,
    k_start: Size | None = None,
    step: Size | str = 1,
    subsample: Subsample = None,
    reverse: Tensor | None = None,
) -> RefinedPair:
    """ZoomOut in both directions at once, each search asking both functional maps (Ren et al. 2020, MapTree, sec. 5).

    The arguments are those of :func:`zoomout`; ``reverse`` is a start for the other direction, ``(k_s, k_t)`` or
    ``source_to_target (n_s,)``, default the adjoint of ``initial``. With ``a`` the ratio of the areas, a target point ``p`` looks for
    the source point ``q`` that minimises ``|| a (Phi_s C_st^T)_q - (Phi_t)_p ||^2 + || (Phi_s C_ts)_q - (Phi_t)_p ||^2``: where ``C_st``
    sends ``q``, and where the reverse map does. Maps come out smoother and closer to bijective than by two runs of
    ZoomOut, at the same cost.

    Returns
    -------
    RefinedPair with both functional maps and both point maps.
    """
    sizes = schedule(initial, k_final, k_start, step)
    source, target = _leading(source_basis, sizes[-1][0], "source_basis"), _leading(target_basis, sizes[-1][1], "target_basis")
    small_source, small_target = _samples(source, target, subsample)
    on_source, on_target = (_Projection(b, orthonormal=subsample is None) for b in (small_source, small_target))
    forward = _functional_start(initial, source, target, sizes[0])
    if reverse is None:
        reverse = area_ratio(source, target) * forward.mT
    backward = _functional_start(reverse, target, source, sizes[0][::-1])
    narrow_source, narrow_target = _narrow(small_source), _narrow(small_target)
    for k_s, k_t in sizes[1:]:
        to_source, to_target = _search_both(forward, backward, narrow_source, narrow_target)
        forward = on_target(small_source.modes[:, :k_s][to_source], k_t)
        backward = on_source(small_target.modes[:, :k_t][to_target], k_s)
    if subsample is not None:
        to_source, to_target = _search_both(forward, backward, _narrow(source), _narrow(target))
        forward, backward = point_to_functional(to_source, source, target), point_to_functional(to_target, target, source)
    to_source, to_target = _search_both(forward, backward, source, target)
    forward, backward = point_to_functional(to_source, source, target), point_to_functional(to_target, target, source)
    searches = 2 * (len(sizes) + (subsample is not None))
    record = {"method": "bijective zoomout", "sizes": sizes, "points": [small_source.n, small_target.n], "searches": searches}
    return RefinedPair(
        functional_map=forward, target_to_source=to_source, reverse_functional_map=backward, source_to_target=to_target, record=record
    )


def farthest_points(basis: SampledBasis, m: int) -> Tensor:
    """``m`` point indices ``(m,)``, each the farthest from those before it in the biharmonic embedding of the basis.

    Coordinates are ``phi_j / lambda_j`` over the first 30 modes (Lipman et al. 2010), plain ``phi_j`` for a basis without
    eigenvalues. Deterministic: starts at the point farthest from the origin. Cost: :func:`geospec.ops.farthest_points`.
    """
    if not 1 <= m <= basis.n:
        raise ArgumentError(problem("m", f"between 1 and the {basis.n} points of the basis", m))
    coordinates = basis.modes[:, :30]
    if basis.eigenvalues is not None:
        eigenvalues = basis.eigenvalues[:30]
        positive = eigenvalues > 1e-6 * eigenvalues[-1]
        smallest = eigenvalues[positive].min() if bool(positive.any()) else eigenvalues.new_ones(())
        coordinates = coordinates / eigenvalues.clamp(min=smallest)
    return ops.farthest_points(coordinates, m, start=int(coordinates.square().sum(dim=1).argmax()))


def schedule(initial: Tensor, k_final: Size, k_start: Size | None, step: Size | str) -> list[tuple[int, int]]:
    """The sizes ``(k_s, k_t)`` that a refinement visits, first and last included."""
    final = _pair(k_final)
    if initial.dim() == 1 and k_start is None:
        raise ArgumentError(problem("k_start", "a size, since initial is a point map", None))
    k_s, k_t = (initial.shape[1], initial.shape[0]) if k_start is None else _pair(k_start)
    if initial.dim() == 2 and (k_s > initial.shape[1] or k_t > initial.shape[0]):
        raise ArgumentError(problem("k_start", f"at most {(initial.shape[1], initial.shape[0])}, the size of initial", (k_s, k_t)))
    if not (1 <= k_s <= final[0] and 1 <= k_t <= final[1]):
        raise ArgumentError(problem("k_final", f"at least the start {(k_s, k_t)}", final))
    if step != "auto" and (isinstance(step, str) or not _is_size(step) or min(_pair(step)) < 0 or max(_pair(step)) < 1):
        raise ArgumentError(problem("step", "a positive number, a pair, or 'auto'", repr(step)))
    sizes = [(k_s, k_t)]
    while sizes[-1] != final:
        k_s, k_t = sizes[-1]
        grow = (max(1, k_s // 10), max(1, k_t // 10)) if isinstance(step, str) else _pair(step)
        grown = min(k_s + grow[0], final[0]), min(k_t + grow[1], final[1])
        if grown == sizes[-1]:
            raise ArgumentError(problem("step", f"a step that reaches k_final {final}", f"{step}, which stays at {grown}"))
        sizes.append(grown)
    return sizes


class _Projection:
    """Coefficients in the first ``k`` modes, least squares under the measure (solved in float64); one factor serves every ``k``."""

    def __init__(self, basis: SampledBasis, orthonormal: bool) -> None:
        self.weighted = basis.measure[:, None] * basis.modes
        self.factor: Tensor | None = None
        if not orthonormal:
            gram = self.weighted.double().T @ basis.modes.double()
            self.factor = cholesky(gram, "subsample", "points at which the modes are independent", "take more of them")

    def __call__(self, signal: Tensor, k: int) -> Tensor:
        right = self.weighted[:, :k].T @ signal
        return right if self.factor is None else torch.cholesky_solve(right.double(), self.factor[:k, :k]).to(right.dtype)


def _narrow(basis: SampledBasis) -> SampledBasis:
    """In float32, for searches whose result is projected onto a few modes at once: nearly twice as fast, ties aside the same."""
    return SampledBasis(basis.modes.float(), basis.measure.float(), None)


def _steps(
    functional_map: Tensor, source: SampledBasis, target: SampledBasis, sizes: list[tuple[int, int]], project: _Projection
) -> Tensor:
    """The searches of ZoomOut in float32, one for each size but the last: the images ``(n_t,)`` that the last of them finds."""
    if max(source.n, target.n) > MOST_FUSED:
        narrow_source, narrow_target = _narrow(source), _narrow(target)
        for k_s, k_t in sizes[1:]:
            images = functional_to_point(functional_map, narrow_source, narrow_target)
            functional_map = project(source.modes[:, :k_s][images], k_t)
        return images
    _, images = ops.zoomout(
        functional_map[None].float(),
        source.modes.float(),
        target.modes.float(),
        sizes,
        measure=target.measure.float(),
        factor=project.factor,
        scale=float(area_ratio(source, target)),
    )
    return images[0]


def _search_both(forward: Tensor, backward: Tensor, source: SampledBasis, target: SampledBasis) -> tuple[Tensor, Tensor]:
    k_t, k_s = forward.shape
    forward, backward = forward.to(source.modes.dtype), backward.to(source.modes.dtype)
    ratio = area_ratio(source, target)
    phi_s, phi_t = source.modes[:, :k_s], target.modes[:, :k_t]
    to_source = nearest_to_two(phi_t, phi_s @ (ratio * forward.mT), phi_s @ backward)
    to_target = nearest_to_two(phi_s, phi_t @ (backward.mT / ratio), phi_t @ forward)
    return to_source, to_target


def nearest_to_two(queries: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """``argmin_q |x_q - p|^2 + |y_q - p|^2`` as one search: it equals ``2 |m_q - p|^2 + 2 |(x - y) / 2|_q^2``, ``m`` the midpoint."""
    spread = (first - second).square().sum(dim=1, keepdim=True).sqrt() / 2
    points = torch.cat([(first + second) / 2, spread], dim=1)
    return ops.spectral_nearest(torch.nn.functional.pad(queries, (0, 1)), points)[0]


def _functional_start(initial: Tensor, source: SampledBasis, target: SampledBasis, size: tuple[int, int]) -> Tensor:
    if initial.dim() == 2:
        return initial[: size[1], : size[0]].to(source.modes.dtype)
    return point_to_functional(initial, source.truncate(size[0]), target.truncate(size[1]))


def _leading(basis: SampledBasis, k: int, name: str) -> SampledBasis:
    if k > basis.k:
        raise ArgumentError(problem(name, f"at least {k} modes", basis.k, "fit a larger basis or lower k_final"))
    return basis.truncate(k)


def _samples(source: SampledBasis, target: SampledBasis, subsample: Subsample) -> tuple[SampledBasis, SampledBasis]:
    if subsample is None:
        return source, target
    small = []
    for i, basis in enumerate((source, target)):
        kept = subsample[i] if isinstance(subsample, tuple) else farthest_points(basis, min(subsample, basis.n))
        if len(kept) < basis.k:
            raise ArgumentError(problem("subsample", f"at least {basis.k} points, one for each mode", len(kept)))
        even = (basis.measure.sum() / len(kept)).expand(len(kept))
        small.append(SampledBasis(basis.modes[kept], even, basis.eigenvalues))
    return small[0], small[1]


def _pair(size: Size) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (index(size), index(size))


def _is_size(value: object) -> bool:
    """A whole number or a pair of them."""
    return isinstance(value, Integral) or (isinstance(value, tuple) and len(value) == 2 and all(isinstance(n, Integral) for n in value))
