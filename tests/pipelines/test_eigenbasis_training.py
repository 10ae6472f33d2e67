"""The training of the eigenbasis network: what is drawn, what is written, how it goes on."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from pipelines.toy_eigenbasis import Columns, lesson, network

from geospec import ArgumentError, EigenbasisNetwork
from geospec.datasets import training_cloud
from geospec.pipelines import EigenbasisTraining, train_eigenbasis
from geospec.pipelines.eigenbasis_training import KIND, Pool, lesson_of, mean_loss
from geospec.weights import load_weights

PLAN = EigenbasisTraining(steps=300, batch=4, points=20, modes=3, shapes=6, held_out=2, learning_rate=0.1, validate_every=100)
TOYS = {"network": network, "lesson": lesson}


def test_what_is_written_is_the_averaged_network(tmp_path):
    output, told = tmp_path / "w.safetensors", []
    result = train_eigenbasis(PLAN, output, tmp_path / "run", command="geospec train", report=told.append, **TOYS)
    assert (result["finished"], result["step"], result["output"], result["parameters"]) == (True, 300, output, 9)
    assert result["validation"]["loss"] < 0.05 < told[0]["loss"]
    assert result["validation"]["points"] == 20.5  # clouds 6 and 7 have 20 and 21
    read = load_weights(output, KIND)
    assert (read.arguments, read.command, read.seed, read.metrics) == ({"modes": 3}, "geospec train", 0, result["validation"])
    made = read.make(Columns)
    assert Pool(PLAN, lesson).validate(made)["loss"] == pytest.approx(result["validation"]["loss"], rel=1e-5)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path):
    plan = replace(PLAN, steps=30)
    train_eigenbasis(plan, tmp_path / "a.safetensors", tmp_path / "a", **TOYS)

    def stop(entry):
        if entry["step"] == 12:
            os.kill(os.getpid(), signal.SIGINT)

    first = train_eigenbasis(plan, tmp_path / "b.safetensors", tmp_path / "b", report=stop, **TOYS)
    assert (first["finished"], first["step"], first["output"]) == (False, 13, None)
    assert not (tmp_path / "b.safetensors").exists()
    with pytest.raises(ArgumentError, match="folder: wanted one without checkpoints"):
        train_eigenbasis(plan, tmp_path / "b.safetensors", tmp_path / "b", **TOYS)
    with pytest.raises(ArgumentError, match=r"task: wanted as in .*'points': 20.*got .*'points': 21"):
        train_eigenbasis(replace(plan, points=21), tmp_path / "b.safetensors", tmp_path / "b", resume=True, **TOYS)
    train_eigenbasis(plan, tmp_path / "b.safetensors", tmp_path / "b", resume=True, **TOYS)
    a, b = (load_weights(tmp_path / f"{name}.safetensors", KIND).tensors for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_batches_are_pure_and_shares_divide_them():
    pool, again = Pool(PLAN, lesson), Pool(PLAN, lesson)
    again.batch(3, 0, 1)
    whole = pool.batch(7, 0, 1)
    assert torch.equal(whole.features, again.batch(7, 0, 1).features)
    assert not torch.equal(whole.features[:20], pool.batch(8, 0, 1).features[:20])
    module = network(PLAN)
    halves = [mean_loss(module, pool.batch(7, share, 2)) for share in (0, 1)]
    torch.testing.assert_close(sum(halves) / 2, mean_loss(module, whole))


def test_two_processes_train_as_one(tmp_path):
    """The batch is divided, the gradients are averaged: the same up to the order of sums."""
    plan = replace(PLAN, steps=10, validate_every=10)
    results = [train_eigenbasis(plan, tmp_path / f"{n}.safetensors", tmp_path / str(n), processes=n, **TOYS) for n in (1, 2)]
    one, two = (load_weights(tmp_path / f"{n}.safetensors", KIND).tensors for n in (1, 2))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value)
    assert results[1]["validation"]["loss"] == pytest.approx(results[0]["validation"]["loss"], rel=1e-5)


def test_the_network_that_ships_is_trained_and_read(tmp_path):
    """The whole way at the smallest sizes, from the collection to a basis."""
    plan = EigenbasisTraining(
        steps=4, batch=2, points=200, modes=5, learned=4, width=8, depth=1, shapes=2, held_out=1, learning_rate=1e-2, validate_every=2
    )
    told = []
    result = train_eigenbasis(plan, tmp_path / "w.safetensors", tmp_path / "run", report=told.append)
    assert {"coarse_5", "refined_5", "loss"} == set(result["validation"])
    assert result["validation"]["refined_5"] > 0.98
    net = EigenbasisNetwork.load(tmp_path / "w.safetensors")
    assert (net.modes, net.config["learned"], sum(w.numel() for w in net.parameters())) == (5, 4, result["parameters"])
    assert Pool(plan, lesson_of).validate(net)["loss"] == pytest.approx(result["validation"]["loss"], rel=1e-5)
    basis = net(training_cloud(0, 200, split="validation").points)
    assert basis.k == 5


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("batch", 1.5), ("modes", 21), ("seed", -1), ("held_out", -1), ("width", True)])
def test_sizes_that_cannot_be(name, value):
    with pytest.raises(ArgumentError, match=f"^{name}: wanted "):
        replace(PLAN, **{name: value})
