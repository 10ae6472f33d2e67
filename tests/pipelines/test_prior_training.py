"""The training of the prior: what it is given, what is written, how it goes on."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from pipelines.toy_maps import functional_maps

from geospec import ArgumentError, FunctionalMapPrior
from geospec.datasets import MAP_FAMILIES
from geospec.maps import PriorTraining
from geospec.maps.prior.fitting import relative_errors
from geospec.maps.prior.prior import KIND
from geospec.pipelines import prior_training, train_prior
from geospec.weights import load_weights

PLAN = PriorTraining(steps=20, batch=8, width=16, depth=1, heads=1, patch=5, smallest=15, validate_every=10)
SIZES = {"maps": 140, "held_out": 56}


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setattr(prior_training, "functional_maps", functional_maps)


def test_what_is_written_is_the_averaged_network_and_its_table(tmp_path):
    output, told = tmp_path / "w.safetensors", []
    result = train_prior(PLAN, output, tmp_path / "run", command="geospec train", report=told.append, **SIZES)
    assert (result["finished"], result["step"], result["output"]) == (True, 20, output)
    assert set(result["validation"]) == {f"{name} at {sigma}" for name in (*MAP_FAMILIES, "all") for sigma in ("0.1", "0.3", "1")}
    read = load_weights(output, KIND)
    assert (read.command, read.seed, read.metrics) == ("geospec train", 0, result["validation"])
    prior = FunctionalMapPrior.load(output)
    held_out = functional_maps(56, split="validation").maps
    assert relative_errors(prior, {"all": held_out})["all at 0.3"] == pytest.approx(result["validation"]["all at 0.3"], abs=2e-3)
    assert 0.3 < float(prior.plausibility(held_out).mean()) < 0.7


def test_a_family_left_out_is_not_trained_on_but_validated(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        prior_training, "fit_network", lambda prior, maps, plan, **rest: seen.append((len(maps), list(rest["held_out"]))) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        train_prior(PLAN, tmp_path / "w.safetensors", tmp_path / "run", leave_out=("hand",), **SIZES)
    kept = functional_maps(140)
    assert seen == [(int((kept.family != MAP_FAMILIES.index("hand")).sum()), list(MAP_FAMILIES))]
    for wrong in (("cat",), MAP_FAMILIES):
        with pytest.raises(ArgumentError, match="leave_out"):
            train_prior(PLAN, tmp_path / "w.safetensors", tmp_path / "run", leave_out=wrong, **SIZES)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path):
    train_prior(PLAN, tmp_path / "a.safetensors", tmp_path / "a", **SIZES)

    def stop(entry):
        if entry["step"] == 7:
            os.kill(os.getpid(), signal.SIGINT)

    first = train_prior(PLAN, tmp_path / "b.safetensors", tmp_path / "b", report=stop, **SIZES)
    assert (first["finished"], first["step"], first["output"]) == (False, 8, None)
    assert not (tmp_path / "b.safetensors").exists()
    with pytest.raises(ArgumentError, match="width"):
        train_prior(replace(PLAN, width=32), tmp_path / "b.safetensors", tmp_path / "b", resume=True, **SIZES)
    train_prior(PLAN, tmp_path / "b.safetensors", tmp_path / "b", resume=True, **SIZES)
    a, b = (load_weights(tmp_path / f"{name}.safetensors", KIND).tensors for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_batch_that_processes_cannot_divide(tmp_path, monkeypatch):
    monkeypatch.setattr(prior_training, "world", lambda: 3)
    with pytest.raises(ArgumentError, match="multiple of the 3 processes"):
        train_prior(PLAN, tmp_path / "w.safetensors", tmp_path / "run", **SIZES)
