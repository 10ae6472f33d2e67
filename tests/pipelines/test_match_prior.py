"""The prior in a match: what it judges, what the better quality does, what is refused."""

from functools import partial

import pytest
import torch

import geospec
from geospec import maps
from geospec.datasets import deformed_pair
from geospec.datasets.creatures import creature
from geospec.errors import ArgumentError
from geospec.shapes import Mesh


@pytest.fixture(scope="module")
def pair():
    """Two poses of one quadruped, each with its own mesh."""
    return [creature("quadruped", pose_seed=i, mesh_seed=i, n_vertices=1400).mesh for i in (1, 2)]


@pytest.fixture(scope="module")
def fast(pair):
    return geospec.match(*pair, k=40)


def test_a_good_map_is_plausible_and_without_warnings(fast):
    assert fast.record["numbers"]["plausibility"] > 0.05
    assert fast.record["warnings"] == []
    assert fast.record["options"]["quality"] == "fast"
    assert "FunctionalMapPrior(k=50" in fast.record["options"]["prior"]


def test_shapes_that_do_not_match(pair):
    """A quadruped and a ring: something is returned, and said to be worth nothing."""
    ring = deformed_pair("rings", 0, n_vertices=1400)[0]
    match = geospec.match(ring.to(dtype=torch.float64), pair[0], k=40)
    assert match.record["numbers"]["plausibility"] < 0.01
    assert float(match.confidence.mean()) < 0.3
    assert any(warning.startswith("implausible") for warning in match.record["warnings"])


def test_a_mirrored_map_is_found_out(pair):
    """The mirror image of a shape corresponds to it point by point, inside out."""
    source = pair[0]
    mirrored = Mesh(source.vertices * source.vertices.new_tensor([-1, 1, 1]), source.faces)
    landmarks = torch.arange(0, source.n_points, 100)[:, None].expand(-1, 2)
    match = geospec.match(source, mirrored, k=40, landmarks=landmarks)
    if match.record["numbers"]["orientation_agreement"] < 0.5:
        assert any(warning.startswith("mirrored") for warning in match.record["warnings"])
        assert float(match.confidence.mean()) < 0.5
    else:
        assert not any(warning.startswith("mirrored") for warning in match.record["warnings"])


def test_without_a_prior(pair, fast):
    match = geospec.match(*pair, k=40, prior=None)
    assert "plausibility" not in match.record["numbers"]
    assert match.record["options"]["prior"] is None


def test_the_better_quality_optimises_features(pair, monkeypatch):
    monkeypatch.setattr(maps, "optimise_map", partial(maps.optimise_map, steps=12))
    told = []
    match, again = (
        geospec.match(*pair, k=40, quality="best", seed=3, progress=lambda stage, done, total: told.append((stage, done, total)))
        for _ in range(2)
    )
    assert match.record["first_map"]["feature_steps"] == 12
    assert ("features", 11, 12) in told
    assert torch.equal(match.target_to_source, again.target_to_source)
    other = geospec.match(*pair, k=40, quality="best", seed=4)
    assert not torch.equal(match.functional_map, other.functional_map)


def test_a_prior_of_ones_own(pair):
    generator = torch.Generator().manual_seed(0)
    own = maps.FunctionalMapPrior.fit(torch.randn(200, 20, 20, generator=generator) / 20**0.5)
    match = geospec.match(*pair, k=40, prior=own)
    assert 0 <= match.record["numbers"]["plausibility"] <= 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"prior": None, "quality": "best"}, ArgumentError, "prior: wanted a prior, for quality='best'"),
        ({"prior": 3}, ArgumentError, "a name, a FunctionalMapPrior, or None"),
        ({"prior": "cats"}, FileNotFoundError, "no shipped weights 'cats'"),
        ({"quality": "slow"}, ArgumentError, "fast"),
    ],
)
def test_refusals(pair, options, error, words):
    with pytest.raises(error, match=words):
        geospec.match(*pair, k=40, **options)
