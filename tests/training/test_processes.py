"""Processes that train together: the same as one with the whole batch, and one end for all of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training.toys import batches, fails_in_the_second, loss, options, toy, trained_together, weights

from geospec import ArgumentError
from geospec.training import launch, leads, read_record, train


def test_two_processes_do_what_one_does_with_the_whole_batch(tmp_path):
    alone, told, at = toy(), [], []
    train(alone, loss, batches, options(5, clip=0.1), folder=tmp_path / "one")
    given = options(5, clip=0.1)
    two = launch(trained_together, tmp_path / "two", given, processes=2, report=told.append, progress=lambda *now: at.append(now))
    assert (two["rank"], two["world"], two["finished"], two["step"]) == (0, 2, True, 5)
    for name, expected in weights(alone).items():
        torch.testing.assert_close(two[name], expected, rtol=1e-9, atol=1e-11)
    assert at == [("training", step, 5) for step in range(1, 6)]
    one, both = (read_record(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    assert told == both
    assert [entry["loss"] for entry in both] == pytest.approx([entry["loss"] for entry in one], rel=1e-9)
    # Two shares in one process go on from there.
    more = toy()
    train(more, loss, batches, options(5, clip=0.1, accumulate=2), folder=tmp_path / "two", resume=True)
    assert all(torch.equal(tensor, two[name]) for name, tensor in weights(more).items())


def test_the_error_of_any_process_is_raised_here():
    with pytest.raises(ValueError, match="of the second process") as failure:
        launch(fails_in_the_second, processes=2, progress=None)
    assert "in process 1:\nTraceback" in failure.value.__notes__[0]


def test_one_request_stops_all_at_the_same_step(tmp_path):
    code = "import sys; from training.toys import launched, options; launched(sys.argv[1], options(100_000, checkpoint_every=10**6))"
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    child = subprocess.Popen(
        [sys.executable, "-c", f"if __name__ == '__main__':\n    {code}", tmp_path],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline().startswith("('training', 1,")
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=60)[0].splitlines()
        assert child.returncode == 0
    finally:
        child.kill()
    finished, step = said[-1].split()
    assert finished == "False"
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [f"step-{int(step):09d}"]
    assert len(read_record(tmp_path / "metrics.jsonl")) == int(step)


def test_one_process_is_this_one():
    assert launch(os.getpid) == os.getpid()


@pytest.mark.parametrize("processes", [0, True, 1.5])
def test_numbers_of_processes_that_cannot_be(processes):
    with pytest.raises(ArgumentError, match="processes: wanted a whole number, at least 1"):
        launch(os.getpid, processes=processes)


def test_more_processes_than_devices_are_refused():
    with pytest.raises(ArgumentError, match="processes: wanted at most one for each CUDA device"):
        launch(os.getpid, processes=torch.cuda.device_count() + 2, device="cuda")


def test_under_torchrun_the_process_joins_its_group(tmp_path, monkeypatch):
    """A group of one, as ``torchrun --nproc-per-node 1`` makes it."""
    words = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    done = launch(trained_together, tmp_path, options(2), progress=None, report=None)
    assert (done["world"], done["step"]) == (1, 2)
    assert not torch.distributed.is_initialized()
    assert leads()
    monkeypatch.setenv("RANK", "1")
    assert not leads()
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ArgumentError, match="processes: wanted the 1 that torchrun started, or nothing, got 2"):
        launch(trained_together, tmp_path, options(2), processes=2)
