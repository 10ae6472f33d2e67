"""The loop on what has a known answer, scores against hand counts, and the runs at tiny sizes."""

import json

import pytest
import torch
from PIL import Image

from geospec.datasets import GlobeTask, Places, checkerboard, land_ocean, spectral_field
from geospec.datasets.globe import uniform_directions
from geospec.reproductions import Setting, reproduce
from geospec.reproductions.location_encoder import checkerboard as board_runs
from geospec.reproductions.location_encoder import figure, other_tasks, training
from geospec.reproductions.location_encoder.recipes import (
    BEYOND,
    ENCODINGS,
    HARMONICS,
    RECTANGLE,
    checkerboard_recipe,
    field_recipe,
    land_recipe,
)
from geospec.reproductions.location_encoder.training import Fit, Problem, Recipe


def slope(xyz):
    """A harmonic of degree 2 and one of degree 0: a linear layer of degree 2 has it exactly."""
    return (3 * xyz[:, :1] * xyz[:, 1:2] + 0.5).float()


@pytest.fixture
def smooth():
    splits = [Places.of(slope, uniform_directions(n, seed)) for seed, n in enumerate((1000, 300, 500))]
    return Problem(GlobeTask("smooth", *splits, ("value",), False, slope), Setting())


def test_the_loop_finds_what_a_linear_layer_can_say(smooth):
    fit = smooth.fit(Recipe(HARMONICS, "linear", 0.1, options={"degree": 2}), 0)
    assert smooth.score(fit) > 99.999
    found = fit.encoder.network.first
    design = fit.encoder.encoding(smooth.task.train.xyz)
    exact = torch.linalg.lstsq(torch.cat([design, torch.ones(1000, 1)], dim=1), smooth.task.train.targets, driver="gelsd").solution
    assert torch.allclose(found.weight[0, 1:], exact[1:-1, 0], atol=1e-2)
    assert torch.allclose(fit.encoder(smooth.task.test.xyz), fit.outputs, atol=1e-5)
    assert not fit.encoder.training


def test_the_same_seed_is_the_same_fit_and_torch_s_own_numbers_stay(smooth):
    recipe = Recipe("cartesian3d", "fcnet", 1e-3, hidden=8)
    torch.manual_seed(5)
    first = smooth.fit(recipe, 1, epochs=3)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(5)))
    again, other = (smooth.fit(recipe, seed, epochs=3) for seed in (1, 2))
    assert torch.equal(first.outputs, again.outputs)
    assert not torch.equal(first.outputs, other.outputs)


def test_training_stops_and_keeps_the_best(smooth, monkeypatch):
    """At a rate so high that the loss goes up and down."""
    monkeypatch.setattr(training, "PATIENCE", 4)
    seen = []

    def loss(outputs, targets):
        value = (outputs - targets).square().mean()
        if not value.requires_grad:
            seen.append(float(value))
        return value

    smooth.loss = loss
    fit = smooth.fit(Recipe("cartesian3d", "siren", 0.3, hidden=8), 0, epochs=200)
    assert fit.epochs == len(seen) == seen.index(min(seen)) + 1 + 4
    kept = (fit.encoder(smooth.task.validation.xyz) - smooth.task.validation.targets).square().mean()
    assert float(kept) == pytest.approx(min(seen), rel=1e-4)
    assert seen[-1] > 1.01 * min(seen)


def test_scores_are_counts_and_shares_of_variance(smooth):
    task = checkerboard(50, 4, n=200)
    problem = Problem(task, Setting())
    outputs = torch.nn.functional.one_hot(task.test.targets, 4).float()
    outputs[:50] = outputs[:50].roll(1, dims=1)
    fit = Fit(None, outputs, 1, 0.0)
    assert problem.score(fit) == 75
    assert problem.score(fit, torch.arange(100)) == 50
    targets = smooth.task.test.targets
    assert smooth.score(Fit(None, targets.mean().expand_as(targets), 1, 0.0)) == pytest.approx(0, abs=1e-4)
    assert smooth.score(Fit(None, targets, 1, 0.0)) == 100


def test_every_encoding_and_network_has_a_recipe():
    assert set(ENCODINGS) == {HARMONICS, "cartesian3d", *RECTANGLE, *BEYOND}
    for network in ("linear", "siren", "fcnet"):
        for encoding in ENCODINGS:
            for recipe_of in (checkerboard_recipe, land_recipe, field_recipe):
                assert recipe_of(encoding, network).encoder(3, 0)(torch.tensor([[0.0, 0.0, 1.0]])).shape == (1, 3)
    paper = checkerboard_recipe(HARMONICS, "siren")
    assert (paper.options, paper.hidden, paper.layers, paper.learning_rate, paper.weight_decay) == ({"degree": 14}, 128, 1, 2.9e-4, 4.6e-3)
    assert checkerboard_recipe(HARMONICS, "linear").options == {"degree": 24}
    assert checkerboard_recipe(HARMONICS, "linear").name == "linear(SH)"


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(training, "EPOCHS", 2)
    monkeypatch.setattr(board_runs, "checkerboard", lambda supports=200: checkerboard(supports, n=300))
    monkeypatch.setattr(figure, "GRID_OF_MAPS", (24, 48))
    monkeypatch.setattr(other_tasks, "land_ocean", lambda: land_ocean(n=100, spacing=1000.0))
    monkeypatch.setattr(other_tasks, "spectral_field", lambda: spectral_field(6, resolution=5.0, train=0.1, validation=0.1))
    board_runs.board.cache_clear()
    yield
    board_runs.board.cache_clear()


def test_runs_at_tiny_sizes(tmp_path, tiny):
    result = reproduce("location-encoder", tmp_path)
    rows = {row.run: row for row in result.rows}
    assert not [row.problem for row in result.rows if row.problem]
    assert {f"linear({name.replace(HARMONICS, 'SH')})" for name in ENCODINGS} < rows.keys()
    assert {"siren(SH)", "fcnet(SH)", "latitudes", "resolution", "land siren(SH)", "field linear(SH)"} < rows.keys()
    accuracies = rows["linear(SH)"].numbers["accuracies"]
    assert rows["linear(SH)"].checks[0].value == pytest.approx(sum(accuracies) / len(accuracies))
    bands = rows["latitudes"].numbers
    assert bands["bands"] == ["0-15", "15-30", "30-45", "45-60", "60-75", "75-90"]
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert len(told["rows"]) == len(rows)
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.width == 2400


def test_bands_hold_each_place_once_and_average_to_the_whole(tiny):
    place = board_runs.board(Setting())
    bands = place.bands()
    assert int(sum(band.sum() for band in bands)) == 300
    mean = sum(place.mean("wrap", "linear", band) * int(band.sum()) for band in bands) / 300
    assert mean == pytest.approx(place.mean("wrap", "linear"))
