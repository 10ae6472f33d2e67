"""``geospec train``: what is refused before the work, what is said, and what is written."""

import json
import os
import signal

import pytest
from pipelines.toy_eigenbasis import lesson, network
from pipelines.toy_maps import functional_maps

from geospec.maps import FunctionalMapPrior
from geospec.pipelines import eigenbasis_training, prior_training
from geospec.training import read_record
from geospec.weights import load_weights

SIZES = ("--steps", 20, "--batch", 2, "--points", 20, "--modes", 3, "--shapes", 4, "--seed", 5)


@pytest.fixture
def toys(monkeypatch):
    """In place of the network and the clouds, which take their time."""
    monkeypatch.setattr(eigenbasis_training, "network_of", network)
    monkeypatch.setattr(eigenbasis_training, "lesson_of", lesson)


@pytest.mark.usefixtures("toys")
def test_weights_and_record(run, tmp_path):
    done = run("train", "eigenbasis", "-o", tmp_path / "w.safetensors", *SIZES, "--json")
    assert done.code == 0
    told = json.loads(done.out)
    command = "geospec train eigenbasis --output w.safetensors --steps 20 --batch 2 --points 20 --modes 3 --learned 64 --width 96 --depth 2"
    command += " --shapes 4 --device cpu --seed 5"
    assert told["command"] == command
    assert (told["finished"], told["step"], told["folder"]) == (True, 20, str(tmp_path / "w.run"))
    read = load_weights(tmp_path / "w.safetensors", eigenbasis_training.KIND)
    assert (read.command, read.seed, read.metrics) == (command, 5, told["validation"])
    assert len(read_record(tmp_path / "w.run" / "metrics.jsonl")) == 20
    assert "held out: loss" in done.err
    assert "wrote" in done.err
    quiet = run("train", "eigenbasis", "-o", tmp_path / "w.safetensors", *SIZES, "--resume", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    again = run("train", "eigenbasis", "-o", tmp_path / "w.safetensors", *SIZES)
    assert "folder: wanted one without checkpoints" in again.error


@pytest.mark.usefixtures("toys")
def test_a_stop_is_told_and_mended_by_resume(run, tmp_path, monkeypatch):
    drawn = []

    def stopping(plan, index):
        drawn.append(index)
        if len(drawn) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return lesson(plan, index)

    monkeypatch.setattr(eigenbasis_training, "lesson_of", stopping)
    words = ("train", "eigenbasis", "-o", tmp_path / "w.safetensors", "--folder", tmp_path / "run", *SIZES)
    stopped = run(*words)
    assert stopped.code == 130
    assert "the same command with --resume goes on" in stopped.out
    assert not (tmp_path / "w.safetensors").exists()
    done = run(*words, "--resume")
    assert done.code == 0
    assert "20 in" in done.out
    assert (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-o", "w.pt"), "--output: wanted a file that ends in .safetensors"),
        (("-o", "nowhere/w.safetensors"), "there is no folder nowhere"),
        (("-o", "w.safetensors", "--device", "tpu"), "--device: wanted cpu, cuda or cuda:N"),
        (("-o", "w.safetensors", "--modes", "2000"), "modes: wanted at most the 1024 points of a cloud, got 2000"),
        (("-o", "w.safetensors", "--steps", "0"), "--steps"),
        ((), "--output"),
    ],
)
def test_refusals(run, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    assert told in run("train", "eigenbasis", *words).error
    assert list(tmp_path.iterdir()) == []


def test_the_prior(run, tmp_path, monkeypatch):
    monkeypatch.setattr(prior_training, "functional_maps", functional_maps)
    sizes = ("--steps", 4, "--batch", 4, "--width", 16, "--depth", 1, "--maps", 70, "--held-out", 28, "--leave-out", "thin sheet")
    done = run("train", "prior", "-o", tmp_path / "prior.safetensors", *sizes, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    command = "geospec train prior --output prior.safetensors --steps 4 --batch 4 --width 16 --depth 1 --device cpu --seed 0"
    assert told["command"] == command + " --maps 70 --held-out 28 --leave-out 'thin sheet'"
    assert FunctionalMapPrior.load(tmp_path / "prior.safetensors").k == 20
    refused = run("train", "prior", "-o", tmp_path / "other.safetensors", "--leave-out", "cats")
    assert "leave_out: wanted some of humanoid" in refused.error
