"""How far to trust a map, as a whole and at each point, without the truth.

The confidence of a point is the probability that its image is right, a logistic function of what is seen around the point and
of the map as a whole. Each feature is there to lower it, so each has a weight of one sign. Where a second map fits about as well,
the probability that the first is the right one comes in, at the points where the two disagree.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .. import ops
from ..bases.base import SampledBasis
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .conversion import area_ratio, checked_point_map, point_to_functional

#: A round trip that ends this far off, in units of the square root of the area, halves the confidence.
HALF = 0.05
#: A point is right when its image lies within this much, geodesic over the square root of the area, of the true one.
RIGHT = 0.05
#: Features of a point, see :func:`point_features`: by how much each lowers the logit, and what it is where maps are right.
#: All numbers here come from ``python -m benchmarks.confidence``: maps right and wrong between generated shapes.
POINTS = {
    "round_trip": (0.21, 0.11),
    "tear": (0.36, 0.065),
    "mismatch": (2.3, 0.33),
    "residual": (0.53, 0.28),
}
#: The same for numbers of the map as a whole, see :func:`map_features`.
NUMBERS = {
    "orthogonality": (1.4, 0.31),
    "commutativity": (1.2, 0.1),
    "uncovered": (3.5, 0.19),
    "mirrored": (3.8, 0.07),
    "implausible": (0.95, 0.58),
    "score": (1.8, 0.25),
}
CONSTANT = 0.86
#: How much the ratio of two hypotheses' scores tells which is right.
EXPONENT = 22.0
#: Neighbours of a point of a cloud.
NEIGHBOURS = 8


def round_trip_confidence(target_to_source: Tensor, source_to_target: Tensor, target: Mesh | PointCloud, half: float = HALF) -> Tensor:
    """``2^(-d / half)`` for each target point ``(n_t,)``, in [0, 1]: where does the walk to the source and back end?

    ``d`` is the straight distance between a target point and ``source_to_target[target_to_source]`` of it, over the square root of the
    target's area. A point that the two maps send in a circle has confidence 1. A map that is wrong the same way in both
    directions, such as a mirrored one, is not found out. ``target_to_source (n_t,)``, ``source_to_target (n_s,)`` int64. O(n_t).
    """
    return torch.exp2(-_round_trip(target_to_source, source_to_target, target) / half)


def vertex_confidence(
    target_to_source: Tensor,
    source_to_target: Tensor,
    source: Mesh | PointCloud,
    target: Mesh | PointCloud,
    source_basis: SampledBasis,
    target_basis: SampledBasis,
    *,
    numbers: Mapping[str, float | None],
    descriptors: tuple[Tensor, Tensor] | None = None,
    rival: Tensor | None = None,
) -> Tensor:
    """Probability that each target point's image lies within 5 (x 100 over the square root of the area) of the true one, ``(n_t,)``.

    Parameters
    ----------
    target_to_source, source_to_target : both maps, ``(n_t,)`` and ``(n_s,)`` int64.
    source, target, source_basis, target_basis : shapes in any units, bases on their points, with eigenvalues.
    numbers : of the map as a whole, see :func:`map_features`; what is not there neither raises nor lowers the confidence.
    descriptors : functions that should correspond, ``((n_s, q), (n_t, q))``.
    rival : the ``target_to_source`` of the best hypothesis that lost, if there is one; ``numbers`` then has ``score`` and
        ``next_score``. Where both maps agree, a doubt about which is right does no harm.

    Returns
    -------
    confidence in [0, 1], in the type of the target's points.

    Cost: ``O(n k^2)``; 0.1 s at 5,000 points and 100 modes.
    """
    features = point_features(target_to_source, source_to_target, source, target, source_basis, target_basis, descriptors)
    right = probability(features, map_features(numbers))
    if rival is None:
        return right
    rival = checked_point_map("rival", rival, target.n_points, source.n_points)
    apart = (source.points[rival] - source.points[target_to_source]).norm(dim=1) / source.measure.sum().sqrt()
    choice = winner_probability(numbers)
    return right * (choice + (1 - choice) * torch.exp2(-apart / (2 * RIGHT)))


def point_features(
    target_to_source: Tensor,
    source_to_target: Tensor,
    source: Mesh | PointCloud,
    target: Mesh | PointCloud,
    source_basis: SampledBasis,
    target_basis: SampledBasis,
    descriptors: tuple[Tensor, Tensor] | None = None,
) -> dict[str, Tensor]:
    """What is seen of the map around each target point: ``(n_t,)`` each, 0 where nothing is wrong, growing with the logarithm of what is.

    ``round_trip`` : how far from its start the walk to the source and back ends. ``tear`` : by how much the images of neighbours lie
    farther apart than twice the distance between them. ``mismatch`` : distance of the descriptors at the two ends, over their
    spread. ``residual`` : relative distance of the spectral coordinates, carried by the functional map of the point map.
    """
    to_source = checked_point_map("target_to_source", target_to_source, target.n_points, source.n_points)
    unit = torch.log1p(_round_trip(to_source, source_to_target, target) / (RIGHT / 2))
    features = {"round_trip": unit, "tear": torch.log1p(_tear(to_source, source, target) / (RIGHT / 2))}
    if descriptors is not None:
        on_source, on_target = (f.to(target.points) for f in descriptors)
        spread = (on_target - on_target.mean(dim=0)).square().mean(dim=0).sqrt().clamp(min=1e-30)
        features["mismatch"] = torch.log1p(((on_source[to_source] - on_target) / spread).square().mean(dim=1).sqrt())
    functional_map = point_to_functional(to_source, source_basis, target_basis)
    carried = area_ratio(source_basis, target_basis) * source_basis.modes[to_source] @ functional_map.mT
    gap = (carried - target_basis.modes).norm(dim=1) / target_basis.modes.norm(dim=1)
    features["residual"] = torch.log1p(gap).to(target.points.dtype)
    return features


def map_features(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """What is seen of the map as a whole, from those of its ``numbers`` that are there; 0 where nothing is wrong.

    ``orthogonality``, ``commutativity``, ``uncovered`` and ``mirrored`` come from ``orthogonality_residual``,
    ``commutativity_residual``, ``coverage`` and ``orientation_agreement`` of :mod:`geospec.maps`;
    ``implausible`` from the prior's ``plausibility``; ``score`` is that of the hypothesis.
    """
    coverage, agreement = numbers.get("coverage"), numbers.get("orientation_agreement")
    plausibility = numbers.get("plausibility")
    made = {
        "orthogonality": numbers.get("orthogonality_residual"),
        "commutativity": numbers.get("commutativity_residual"),
        "uncovered": None if coverage is None else 1 - coverage,
        "mirrored": None if agreement is None else 1 - agreement,
        "implausible": None if plausibility is None else 1 - plausibility,
        "score": numbers.get("score"),
    }
    return {name: float(value) for name, value in made.items() if value is not None}


def probability(of_points: Mapping[str, Tensor], of_map: Mapping[str, float]) -> Tensor:
    """The logistic function of the features of points ``(n,)`` and of their map; one that is missing counts as that of right maps."""
    logit = CONSTANT - sum(weight * (of_map[name] - usual) for name, (weight, usual) in NUMBERS.items() if name in of_map)
    lowered = [weight * (of_points[name] - usual) for name, (weight, usual) in POINTS.items() if name in of_points]
    return torch.sigmoid(logit - torch.stack(lowered).sum(dim=0))


def winner_probability(numbers: Mapping[str, float | None]) -> float:
    """Probability that the first hypothesis and not the next is right, from ``score`` and ``next_score``: 1/2 where they are equal.

    At least 1/2: where the first has the worse score, a closer look, which ended for it, has been taken.
    """
    score, following = numbers.get("score"), numbers.get("next_score")
    return 1.0 if score is None or following is None else 1 / (1 + min(score / following, 1.0) ** EXPONENT)


def map_warnings(numbers: Mapping[str, float | None]) -> list[str]:
    """What a user should know before trusting the map: short sentences, none for a good map.

    ``numbers`` as for :func:`map_features`, and ``plausibility`` (:meth:`geospec.FunctionalMapPrior.plausibility`), ``score`` and
    ``next_score`` of the hypotheses, ``mean_confidence``.
    """
    known = {name: value for name, value in numbers.items() if value is not None}
    found = []
    if known.get("orientation_agreement", 1.0) < 0.5:
        found.append(f"mirrored: {1 - known['orientation_agreement']:.0%} of the target is laid on the source inside out")
    if winner_probability(numbers) < 0.6:
        found.append("symmetric ambiguity: a second map fits about as well")
    if known.get("plausibility", 1.0) < 0.01:
        found.append(f"implausible: less likely than {1 - known['plausibility']:.0%} of true maps")
    if known.get("coverage", 1.0) < 0.5:
        found.append(f"partial: only {known['coverage']:.0%} of the source is reached")
    if known.get("dirichlet_energy", 1.0) > 4:
        found.append(f"torn: neighbours are drawn apart, the map stretches {known['dirichlet_energy']:.1f} times as much as an isometry")
    if known.get("mean_confidence", 1.0) < 0.3:
        found.append(f"doubtful: mean confidence {known['mean_confidence']:.2f}, the shapes may not correspond")
    return found


def _round_trip(target_to_source: Tensor, source_to_target: Tensor, target: Mesh | PointCloud) -> Tensor:
    """Straight distance from each target point to the end of its walk to the source and back, over sqrt(area), ``(n_t,)``."""
    back = source_to_target[target_to_source]
    return (target.points[back] - target.points).norm(dim=1) / target.measure.sum().sqrt()


def _tear(target_to_source: Tensor, source: Mesh | PointCloud, target: Mesh | PointCloud) -> Tensor:
    """The largest excess, over twice their distance, of the distance between a point's image and a neighbour's; over sqrt(area)."""
    if isinstance(target, Mesh):
        a, b = target.edges.unbind(dim=1)
        a, b = torch.cat([a, b]), torch.cat([b, a])
    else:
        near = ops.knn(target.points, target.points, min(NEIGHBOURS, target.n_points - 1), exclude_self=True)[1]
        a, b = torch.arange(target.n_points, device=near.device).repeat_interleave(near.shape[1]), near.flatten()
    before = (target.points[a] - target.points[b]).norm(dim=1) / target.measure.sum().sqrt()
    after = (source.points[target_to_source[a]] - source.points[target_to_source[b]]).norm(dim=1) / source.measure.sum().sqrt()
    excess = (after - 2 * before).clamp(min=0)
    return excess.new_zeros(target.n_points).scatter_reduce(0, a, excess, "amax")
