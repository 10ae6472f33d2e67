"""The training of the eigenbasis network: what is drawn, what is written, how it goes on."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from pipelines.toy_eigenbasis import Columns, lesson, network

from geospec import ArgumentError
from geospec.pipelines import EigenbasisTraining, train_eigenbasis
from geospec.pipelines.eigenbasis_training import KIND, Pool, mean_loss
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
    assert torch.equal(whole.points, again.batch(7, 0, 1).points)
    assert not torch.equal(whole.points[:20], pool.batch(8, 0, 1).points[:20])
    module = network(PLAN)
    halves = [mean_loss(module, pool.batch(7, share, 2)) for share in (0, 1)]
    torch.testing.assert_close(sum(halves) / 2, mean_loss(module, whole))


def test_turns_keep_distances_and_mirror_half_the_time():
    pool, signs = Pool(PLAN, lesson), []
    for step in range(12):
        batch = pool.batch(step, 0, 1)
        for turned, taught, a, b in zip(range(4), batch.lessons, batch.offsets[:-1], batch.offsets[1:], strict=True):
            points = batch.points[a:b]
            torch.testing.assert_close(torch.cdist(points, points), torch.cdist(taught.points, taught.points), rtol=1e-4, atol=1e-4)
            signs.append(float(torch.linalg.det(torch.linalg.lstsq(taught.points, points).solution).sign()))
            assert turned < 4
    assert {-1.0, 1.0} == set(signs)
    assert 10 < signs.count(1.0) < 38


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("batch", 1.5), ("modes", 21), ("seed", -1), ("held_out", -1), ("width", True)])
def test_sizes_that_cannot_be(name, value):
    with pytest.raises(ArgumentError, match=f"^{name}: wanted "):
        replace(PLAN, **{name: value})
