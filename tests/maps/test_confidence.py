"""Confidence and warnings: what each feature sees, that each can only lower, that units do not matter, and the extremes."""

from __future__ import annotations

import pytest
import torch

from geospec.errors import ArgumentError
from geospec.maps import map_features, map_warnings, point_features, vertex_confidence
from geospec.maps.confidence import NUMBERS, POINTS, RIGHT, probability, winner_probability
from geospec.shapes.cloud import PointCloud
from geospec.shapes.mesh import Mesh

from .conftest import Pair
from .test_refinement import scaled

GOOD = {
    "orthogonality_residual": 0.1,
    "commutativity_residual": 0.03,
    "dirichlet_energy": 1.5,
    "coverage": 0.8,
    "orientation_agreement": 0.97,
    "score": 0.06,
    "next_score": 0.2,
}
BAD = {
    "orthogonality_residual": 0.9,
    "commutativity_residual": 0.5,
    "dirichlet_energy": 15.0,
    "coverage": 0.3,
    "orientation_agreement": 0.5,
    "score": 0.4,
    "next_score": 0.41,
}


def features(pair: Pair, to_source: torch.Tensor, to_target: torch.Tensor | None = None, **given) -> dict[str, torch.Tensor]:
    to_target = pair.reverse_truth if to_target is None else to_target
    return point_features(to_source, to_target, pair.source, pair.target, pair.source_basis, pair.target_basis, **given)


def confidence(pair: Pair, to_source: torch.Tensor, to_target: torch.Tensor, numbers: dict, **given) -> torch.Tensor:
    bases = pair.source_basis, pair.target_basis
    return vertex_confidence(to_source, to_target, pair.source, pair.target, *bases, numbers=numbers, **given)


def test_the_identity_shows_nothing(pair):
    identity = torch.arange(pair.source.n_points)
    shape, basis = pair.source, pair.source_basis
    seen = point_features(identity, identity, shape, shape, basis, basis, descriptors=(basis.modes, basis.modes))
    assert set(seen) == set(POINTS)
    for value in seen.values():
        assert value.shape == (shape.n_points,)
        assert float(value.abs().max()) < 1e-6


def test_each_feature_sees_its_fault(pair):
    """Half the points are sent to one place: torn where the halves meet, off in the round trip and the descriptors there alone."""
    wrong = pair.target.vertices[:, 2] > 0
    moved = torch.where(wrong, pair.truth[~wrong][0], pair.truth)
    functions = pair.source.vertices, pair.source.vertices[pair.truth]
    good, bad = (features(pair, image, descriptors=functions) for image in (pair.truth, moved))
    inside, seam = pair.target.edges[wrong[pair.target.edges].all(dim=1)], pair.target.edges[wrong[pair.target.edges].sum(dim=1) == 1]
    for name in ("round_trip", "mismatch"):
        assert torch.equal(good[name][~wrong], bad[name][~wrong])
        assert float(bad[name][wrong].median()) > float(good[name].max())
    within = torch.ones_like(wrong).index_fill(0, seam.flatten(), False) & wrong
    assert len(inside)
    assert float(bad["tear"][within].max()) == 0
    assert float(bad["tear"][seam.flatten()].median()) > 2
    assert float(bad["residual"][wrong].mean()) > 2 * float(good["residual"].mean())


def test_units_do_not_matter(pair):
    big = Mesh(1000 * pair.target.vertices, pair.target.faces)
    found = point_features(pair.truth, pair.reverse_truth, pair.source, big, pair.source_basis, scaled(pair.target_basis, 1000.0))
    for name, expected in features(pair, pair.truth).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-6, atol=1e-6)


def test_clouds_have_neighbours_too(pair):
    shapes = PointCloud(pair.source.vertices, weights=pair.source.measure), PointCloud(pair.target.vertices, weights=pair.target.measure)
    torn = torch.where(pair.target.vertices[:, 2] > 0, pair.truth[0], pair.truth)
    found = [
        point_features(image, pair.reverse_truth, *shapes, pair.source_basis, pair.target_basis)["tear"] for image in (pair.truth, torn)
    ]
    assert float(found[1].max()) > 2 > 1 > float(found[0].max())


@pytest.mark.parametrize("name", POINTS)
def test_every_feature_of_a_point_lowers(name):
    steps = torch.linspace(0, 3, 20)
    values = probability({other: steps if other == name else torch.zeros(20) for other in POINTS}, map_features(GOOD))
    assert bool((values.diff() <= 0).all())
    assert bool((values >= 0).all())
    assert bool((values <= 1).all())


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_of_the_map_lowers(name):
    nothing = {other: torch.zeros(1) for other in POINTS}
    values = [float(probability(nothing, {name: value})) for value in (0.0, 0.5, 1.0)]
    assert values[0] >= values[1] >= values[2]


def test_numbers_that_are_not_there_count_as_usual():
    nothing = {name: torch.zeros(1) for name in POINTS}
    usual = {name: usual for name, (_, usual) in NUMBERS.items()}
    torch.testing.assert_close(probability(nothing, {}), probability(nothing, usual))
    assert map_features({"coverage": None, "mean_confidence": 1.0}) == {}
    assert map_features({"dirichlet_energy": 0.5, "coverage": 0.75}) == {"uncovered": 0.25}


def test_high_on_the_true_map_and_low_on_others(pair):
    good = confidence(pair, pair.truth, pair.reverse_truth, GOOD)
    assert float(good.mean()) > 0.8
    assert float(confidence(pair, pair.truth, pair.reverse_truth, {**GOOD, "orientation_agreement": 0.05}).mean()) < 0.3
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(pair.source.n_points, (pair.target.n_points,), generator=generator)
    assert float(confidence(pair, noise, pair.reverse_truth, BAD).mean()) < 0.05


def test_a_rival_that_fits_as_well_halves_where_it_differs(pair):
    alone = confidence(pair, pair.truth, pair.reverse_truth, GOOD)
    other = pair.truth.clone()
    other[:400] = (pair.source.vertices[pair.truth[:400]][:, None] - pair.source.vertices).norm(dim=2).argmax(dim=1)
    beside = confidence(pair, pair.truth, pair.reverse_truth, {**GOOD, "next_score": GOOD["score"]}, rival=other)
    assert torch.equal(beside[400:], alone[400:])
    apart = (pair.source.vertices[other] - pair.source.vertices[pair.truth]).norm(dim=1)[:400] / pair.source.area.sqrt()
    torch.testing.assert_close(beside[:400] / alone[:400], (1 + torch.exp2(-apart / (2 * RIGHT))) / 2)
    assert winner_probability({"score": 0.1, "next_score": 0.1}) == 0.5
    assert winner_probability({"score": 0.1, "next_score": None}) == 1
    assert 0.5 < winner_probability({"score": 0.1, "next_score": 0.12}) < winner_probability({"score": 0.1, "next_score": 0.3}) <= 1
    with pytest.raises(ArgumentError, match="rival"):
        confidence(pair, pair.truth, pair.reverse_truth, GOOD, rival=pair.reverse_truth)


@pytest.mark.parametrize(
    ("number", "value", "first"),
    [
        ("orientation_agreement", 0.1, "mirrored: 90%"),
        ("next_score", 0.06, "symmetric ambiguity"),
        ("plausibility", 0.001, "implausible"),
        ("coverage", 0.2, "partial: only 20%"),
        ("dirichlet_energy", 40.0, "torn"),
        ("mean_confidence", 0.1, "doubtful"),
    ],
)
def test_warnings(number, value, first):
    assert map_warnings(GOOD) == [] == map_warnings({})
    found = map_warnings({**GOOD, number: value})
    assert len(found) == 1
    assert found[0].startswith(first)
