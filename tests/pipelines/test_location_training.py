"""Location encoders trained on tables: what they learn, in which units, when they stop, and what they refuse."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from geospec import LocationEncoder, ops
from geospec.datasets import LocationTable
from geospec.errors import ArgumentError
from geospec.pipelines import LocationTraining, location_training, train_location_encoder
from geospec.weights import load_weights


def places(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    xyz = torch.nn.functional.normalize(torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)
    return ops.xyz_to_lonlat(xyz)


def series(lon: torch.Tensor, lat: torch.Tensor) -> torch.Tensor:
    """Two functions of degree 3, in units of their own."""
    y = ops.spherical_harmonics(ops.lonlat_to_xyz(lon, lat), 3)
    return torch.stack([280 + 20 * y[:, 2] - 9 * y[:, 12], 1e-3 * y[:, 7]], dim=1).float()


def table(n: int = 400) -> LocationTable:
    lon, lat = places(n)
    return LocationTable(lon, lat, series(lon, lat), ("warm", "rain"))


def halves(n: int = 400) -> LocationTable:
    lon, lat = places(n)
    return LocationTable(lon, lat, (lat > 0).long() + 2 * (lon > 0), ("where",), ("sw", "nw", "se", "ne"))


def test_a_linear_encoder_finds_a_series_of_its_degree_in_the_units_of_the_table(tmp_path):
    trained = train_location_encoder(LocationTraining(network="linear", degree=4, epochs=150, batch=64), table())
    assert all(score["r2"] > 0.9999 for score in trained.scores.values())
    trained.save(tmp_path / "e.safetensors", "the command")
    encoder = LocationEncoder.load(tmp_path / "e.safetensors")
    lon, lat = places(100, seed=9)
    wrong = encoder.at_lonlat(lon, lat) - series(lon, lat)
    assert wrong.abs().amax(dim=0)[0] < 0.2  # of a deviation of 6
    assert wrong.abs().amax(dim=0)[1] < 1e-5  # of one of 3e-4
    told = load_weights(tmp_path / "e.safetensors", "location encoder").metrics
    assert told["held_out"] == trained.scores
    assert (told["targets"], told["classes"], told["command"]) == (["warm", "rain"], None, "the command")


def test_scores_are_those_of_the_rows_held_out():
    data = table()
    trained = train_location_encoder(LocationTraining(degree=3, epochs=8, batch=64, hidden=16), data)
    assert len(trained.held_out) == 80
    assert len(trained.held_out.unique()) == 80
    found = trained.encoder.at_lonlat(data.lon, data.lat)[trained.held_out]
    wanted = data.targets[trained.held_out]
    rmse = (found - wanted).double().square().mean(dim=0).sqrt()
    for i, name in enumerate(data.names):
        assert trained.scores[name]["rmse"] == pytest.approx(float(rmse[i]), rel=1e-4)
        assert trained.scores[name]["r2"] == pytest.approx(1 - float(rmse[i] ** 2 / wanted[:, i].double().var(correction=0)), abs=1e-4)


@pytest.mark.parametrize("network", ["siren", "fcnet", "linear"])
def test_classes(network):
    data = halves()
    trained = train_location_encoder(LocationTraining(network=network, degree=3, epochs=60, batch=64, hidden=32), data)
    assert trained.scores["accuracy"] > 0.9 > 0.5 > trained.scores["commonest"]
    found = trained.encoder(data.xyz[trained.held_out]).argmax(dim=1)
    assert trained.scores["accuracy"] == pytest.approx(float((found == data.targets[trained.held_out]).float().mean()))
    assert trained.finished


def test_training_stops_when_the_score_stands_still_and_keeps_the_best():
    lon, lat = places(200)
    noise = torch.randn(200, 1, generator=torch.Generator().manual_seed(1))
    losses = []
    trained = train_location_encoder(
        LocationTraining(network="linear", degree=12, epochs=500, batch=160, patience=4),
        LocationTable(lon, lat, noise, ("noise",)),
        report=lambda entry: losses.append(entry["validation"]["loss"]),
    )
    assert trained.finished
    assert trained.epochs == trained.best_epoch + 4 == len(losses) < 100
    assert min(losses) == losses[trained.best_epoch - 1]
    scale = noise[torch.tensor([i for i in range(200) if i not in trained.held_out.tolist()])].std(correction=0)
    assert trained.scores["noise"]["rmse"] == pytest.approx(float(scale) * min(losses) ** 0.5, rel=1e-4)


def test_a_seed_is_a_result_and_features_made_anew_give_the_same(monkeypatch):
    plan = LocationTraining(degree=3, epochs=3, batch=64, hidden=8, seed=7)
    first = train_location_encoder(plan, table()).scores
    torch.manual_seed(99)
    assert train_location_encoder(plan, table()).scores == first
    monkeypatch.setattr(location_training, "_FEATURE_BYTES", 0)
    again = train_location_encoder(plan, table()).scores
    assert all(again[name]["rmse"] == pytest.approx(first[name]["rmse"], rel=1e-3) for name in first)
    other = train_location_encoder(LocationTraining(degree=3, epochs=3, batch=64, hidden=8, seed=8), table()).scores
    assert other != first


def test_an_epoch_takes_each_row_once_in_an_order_of_its_own(monkeypatch):
    drawn, batch = [], location_training._Task.batch
    monkeypatch.setattr(location_training._Task, "batch", lambda self, *numbers: drawn.append(batch(self, *numbers)) or drawn[-1])
    trained = train_location_encoder(LocationTraining(degree=2, epochs=2, batch=150, hidden=8), table())
    assert [len(rows) for rows in drawn] == [150, 150, 20] * 2
    first, second = torch.cat(drawn[:3]), torch.cat(drawn[3:])
    assert torch.cat([first, trained.held_out]).sort().values.tolist() == list(range(400))
    assert torch.equal(first.sort().values, second.sort().values)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("step", [1, 14])
def test_a_stop_leaves_the_best_so_far(step):
    def stop(entry):
        if entry["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    trained = train_location_encoder(LocationTraining(degree=3, epochs=50, batch=64, hidden=8), table(), report=stop)  # 5 steps an epoch
    assert not trained.finished
    assert (trained.epochs, trained.best_epoch) == ((step + 1) // 5, max(1, (step + 1) // 5))
    assert trained.scores["warm"]["rmse"] > 0


def test_a_target_that_only_the_held_out_rows_vary_in_is_no_division_by_zero():
    data = table(20)
    plan = LocationTraining(degree=2, epochs=2, batch=8, hidden=8)
    held = train_location_encoder(plan, data).held_out
    data.targets[:, 1] = 0
    data.targets[held[0], 1] = 1
    scores = train_location_encoder(plan, data).scores
    assert all(torch.isfinite(torch.tensor(scores["rain"]["rmse"])) for _ in scores)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 0}, "epochs: wanted a whole number, at least 1, got 0"),
        ({"batch": 2.5}, "batch: wanted a whole number"),
        ({"patience": True}, "patience: wanted a whole number"),
        ({"held_out": 1.0}, "held_out: wanted a share between 0 and 1"),
        ({"held_out": float("nan")}, "held_out: wanted a share"),
        ({"network": "tree"}, "network: wanted one of 'siren', 'fcnet', 'linear'"),
        ({"encoding": "direct", "degree": 3}, "degree: wanted none with 'direct', got 3"),
        ({"learning_rate": -1.0}, "learning_rate: wanted a number above 0"),
        ({"seed": -1}, "seed: wanted a whole number, at least 0"),
    ],
)
def test_plans_that_are_refused(options, told):
    with pytest.raises(ArgumentError, match=told):
        LocationTraining(**options)


def test_what_training_refuses():
    with pytest.raises(ArgumentError, match="network: wanted 'siren' or 'linear' for targets that are numbers, got 'fcnet'"):
        train_location_encoder(LocationTraining(network="fcnet"), table())
    with pytest.raises(ArgumentError, match="table: wanted two rows at least to train on and two held out, got 6 rows, 1 held out"):
        train_location_encoder(LocationTraining(), table(6))
    with pytest.raises(ArgumentError, match="encoding|name: wanted one of"):
        train_location_encoder(LocationTraining(encoding="polar"), table())
