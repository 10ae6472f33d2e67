"""The loop: exact ways on, averages over shares, gradients that are not finite, requests to stop."""

import json
import math
import os
import signal

import pytest
import torch
from torch import nn
from training.toys import batches, item, loss, options, toy, weights

from geospec import ArgumentError, ConvergenceError, FileFormatError
from geospec.training import Checkpoints, read_record, train


def same(a, b):
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


def without_time(folder):
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in read_record(folder / "metrics.jsonl")]


def validated(module):
    with torch.no_grad():
        x, wanted = batches(1000, 0, 1)
        return {"error": float((module(x.to(next(module.parameters()).dtype)) - wanted).abs().mean()), "drawn": float(torch.rand(()))}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_that_stopped_and_went_on_is_the_run_that_did_not(tmp_path, dtype):
    """Dropout, moments, average, schedule and record too."""
    whole, halves = toy(dtype, dropout=0.3), toy(dtype, dropout=0.3)
    straight = train(whole, loss, batches, options(), folder=tmp_path / "whole", validate=validated)

    def stopping(step, share, shares):
        if step == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return batches(step, share, shares)

    first = train(halves, loss, stopping, options(), folder=tmp_path / "halves", validate=validated)
    assert (first.step, first.finished, first.checkpoint.name) == (10, False, "step-000000010")
    again = toy(dtype, dropout=0.3)  # the weights before training, another random state
    torch.rand(5)
    second = train(again, loss, batches, options(), folder=tmp_path / "halves", resume=True, validate=validated)
    assert (straight.step, straight.finished) == (second.step, second.finished) == (20, True)
    assert same(weights(whole), weights(again))
    assert not same(weights(whole), weights(halves))
    assert same(straight.average.average, second.average.average)
    assert without_time(tmp_path / "whole") == without_time(tmp_path / "halves")
    assert len(without_time(tmp_path / "whole")) == 20
    assert second.seconds > first.seconds


def test_it_learns_and_tells():
    module, told, at = toy(torch.float32), [], []
    result = train(module, loss, batches, options(300, warmup=5), report=told.append, progress=lambda *now: at.append(now))
    assert told[-1]["loss"] < 0.1 * told[0]["loss"]
    assert set(told[0]) == {"step", "loss", "largest", "learning_rate", "gradient_norm", "seconds"}
    assert [entry["step"] for entry in told] == list(range(1, 301))
    assert at[0] == ("training", 1, 300)
    assert at[-1] == ("training", 300, 300)
    assert result.entry == told[-1]
    assert result.checkpoint is None
    assert all(w.grad is None for w in module.parameters())


def test_enough_ends_a_run_that_is_then_finished(tmp_path):
    seen = []
    asked = options(20, validate_every=4)
    done = train(
        toy(torch.float32), loss, batches, asked, folder=tmp_path, validate=validated, enough=lambda e: seen.append(e) or "validation" in e
    )
    assert (done.step, done.finished, done.checkpoint.name) == (4, True, "step-000000004")
    assert [entry["step"] for entry in seen] == [1, 2, 3, 4]
    straight = toy(torch.float32)
    train(straight, loss, batches, asked, enough=lambda entry: entry["step"] == 4)
    assert same(weights(straight), Checkpoints(tmp_path / "checkpoints").tensors(4, ("module",))["module"])


def test_one_step_is_adamw_with_clipping():
    """Against torch's own clipping and optimiser, matrices alone with decay."""
    ours, theirs = toy(), toy()
    given = options(3, clip=0.05, weight_decay=0.1, schedule="constant", ema=None)
    train(ours, loss, batches, given)
    matrices, others = ([w for w in theirs.parameters() if (w.dim() > 1) is flag] for flag in (True, False))
    optimiser = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=1e-2)
    for step in range(3):
        optimiser.zero_grad()
        loss(theirs, batches(step, 0, 1))["loss"].backward()
        assert nn.utils.clip_grad_norm_(theirs.parameters(), 0.05) > 0.05
        optimiser.step()
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-5, atol=1e-9)


def test_shares_average_to_the_whole_batch():
    whole, shared = toy(), toy()
    given = options(10, clip=0.1)
    one = train(whole, loss, batches, given)
    four = train(shared, loss, batches, options(10, clip=0.1, accumulate=4))
    torch.testing.assert_close(weights(shared), weights(whole), rtol=1e-9, atol=1e-11)
    for name in ("loss", "gradient_norm"):
        assert four.entry[name] == pytest.approx(one.entry[name], rel=1e-9)


def test_the_average_of_the_weights():
    """By its own recursion, in float32 for weights of fewer bits."""
    module, seen = toy(), []
    result = train(module, loss, batches, options(12, ema=0.5), report=lambda _: seen.append(weights(module)["0.weight"]))
    expected = toy()[0].weight.detach()
    for t, w in enumerate(seen):
        kept = min(0.5, (1 + t) / (10 + t))
        expected = kept * expected + (1 - kept) * w
    torch.testing.assert_close(result.average.average["0.weight"], expected)
    before = weights(module)
    with result.average.applied(module):
        assert torch.equal(module[0].weight, result.average.average["0.weight"])
    assert same(weights(module), before)
    halves = toy().to(torch.bfloat16)
    assert train(halves, loss, batches, options(1)).average.average["0.weight"].dtype == torch.float32


def test_validation_sees_the_average_at_rest():
    module, seen = toy(dropout=0.5), []

    def validate(given):
        seen.append((given.training, torch.is_grad_enabled(), weights(given)["0.weight"]))
        return {"one": 1}

    result = train(module, loss, batches, options(12), validate=validate)
    assert [(training, gradients) for training, gradients, _ in seen] == [(False, False), (False, False)]  # steps 10 and 12
    assert torch.equal(seen[-1][2], result.average.average["0.weight"])
    assert result.entry["validation"] == {"one": 1.0}


def poisoned(bad):
    def make(step, share, shares):
        x, wanted = batches(step, share, shares)
        return (x * math.nan if step in bad else x), wanted

    return make


def test_a_gradient_that_is_not_finite_is_skipped_and_counted(tmp_path):
    module, told = toy(), []
    result = train(module, loss, poisoned({1, 2}), options(4, patience=3, ema=None), folder=tmp_path, report=told.append)
    assert result.skipped == 2
    assert [entry.get("skipped", False) for entry in told] == [False, True, True, False]
    assert all(bool(tensor.isfinite().all()) for tensor in module.state_dict().values())
    assert [entry["loss"] is None for entry in read_record(tmp_path / "metrics.jsonl")] == [False, True, True, False]
    only, once = toy(), toy()
    train(only, loss, poisoned({1}), options(2, ema=None))
    train(once, loss, batches, options(1, ema=None))
    assert same(weights(only), weights(once))


def test_many_in_a_row_end_the_run_by_name():
    with pytest.raises(ConvergenceError, match=r"gradient: wanted finite numbers, got 3 steps in a row.*step 6 .*in 6 of 6") as end:
        train(toy(), loss, poisoned({1, 3, 4, 5}), options(patience=3))
    assert "0.weight first; 4 steps skipped in all" in str(end.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 2e-2}, r"learning_rate: wanted as in the checkpoint .*: learning_rate 0.01, got learning_rate 0.02"),
        ({"seed": 1, "clip": None}, "clip, seed: wanted as in"),
        ({"steps": 40}, "steps: wanted as in"),
        ({"accumulate": 2}, "shares: wanted as in"),
        ({"ema": None}, "ema: wanted as in"),
    ],
)
def test_other_options_are_refused_by_name(tmp_path, changes, named):
    train(toy(), loss, batches, options(5), folder=tmp_path)
    with pytest.raises(ArgumentError, match=named):
        train(toy(), loss, batches, options(**{"steps": 5, **changes}), folder=tmp_path, resume=True)


def test_what_may_change_between_runs(tmp_path):
    """Intervals, and more steps where the rates so far stay what they were."""
    constant = {"schedule": "constant", "ema": None}
    train(toy(), loss, batches, options(5, **constant), folder=tmp_path)
    longer, straight = toy(), toy()
    train(longer, loss, batches, options(8, checkpoint_every=3, **constant), folder=tmp_path, resume=True)
    train(straight, loss, batches, options(8, **constant))
    assert same(weights(longer), weights(straight))
    with pytest.raises(ArgumentError, match="steps: wanted"):
        train(toy(), loss, batches, options(4, **constant), folder=tmp_path, resume=True)


def test_another_module_or_task_is_refused_by_name(tmp_path):
    train(toy(), loss, batches, options(5), folder=tmp_path, task={"points": (8, 9)})
    with pytest.raises(ArgumentError, match=r"task: wanted as in the checkpoint .* task \{'points': \[8, 9\]\}, got task \{'points': 7\}"):
        train(toy(), loss, batches, options(5), folder=tmp_path, task={"points": 7}, resume=True)
    wider = nn.Sequential(nn.Linear(3, 9), nn.LayerNorm(9), nn.Tanh(), nn.Dropout(0.0), nn.Linear(9, 1)).double()
    with pytest.raises(ArgumentError, match=r"module: wanted the sizes of .*0.weight \(8, 3\) float64.*got 0.weight \(9, 3\) float64"):
        train(wider, loss, batches, options(5), folder=tmp_path, task={"points": (8, 9)}, resume=True)
    done = train(toy(), loss, batches, options(5), folder=tmp_path, task={"points": (8, 9)}, resume=True)
    assert (done.step, done.finished) == (5, True)


def test_a_folder_in_use_is_not_overwritten(tmp_path):
    train(toy(), loss, batches, options(5), folder=tmp_path)
    with pytest.raises(ArgumentError, match="folder: wanted one without checkpoints, got checkpoints up to step 5"):
        train(toy(), loss, batches, options(5), folder=tmp_path)


def test_checkpoints_are_few_and_whole(tmp_path, monkeypatch):
    train(toy(), loss, batches, options(20, keep=2), folder=tmp_path)
    kept = Checkpoints(tmp_path / "checkpoints")
    assert kept.steps() == [15, 20]
    files = sorted(path.name for path in kept.path(20).iterdir())
    assert files == ["average.safetensors", "module.safetensors", "optimiser.safetensors", "state.json"]

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geospec.training.checkpoint.json.dumps", full)
    with pytest.raises(OSError, match="No space left"):
        kept.save(25, {"module": {"a": torch.ones(1)}}, {})
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000000015", "step-000000020"]


def test_broken_checkpoints_are_told(tmp_path):
    train(toy(), loss, batches, options(5), folder=tmp_path)
    path = tmp_path / "checkpoints" / "step-000000005"
    state = json.loads((path / "state.json").read_text())

    def again():
        return train(toy(), loss, batches, options(5), folder=tmp_path, resume=True)

    whole = (path / "module.safetensors").read_bytes()
    (path / "module.safetensors").write_bytes(whole[:100])
    with pytest.raises(FileFormatError, match=r"module.safetensors: wanted checkpoint module saved by geospec"):
        again()
    (path / "module.safetensors").write_bytes(whole)
    (path / "state.json").write_text(json.dumps({**state, "version": 2}))
    with pytest.raises(FileFormatError, match="version 1, got 2"):
        again()
    (path / "state.json").write_text("{")
    with pytest.raises(FileFormatError, match="no JSON"):
        again()


def test_the_record_forgets_steps_that_will_be_repeated(tmp_path):
    train(toy(), loss, batches, options(5), folder=tmp_path)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 6, "loss": 1.0}\n{"step": 7, "lo')  # killed after the checkpoint
    assert [entry["step"] for entry in read_record(path)] == [1, 2, 3, 4, 5, 6]
    train(toy(), loss, batches, options(5), folder=tmp_path, resume=True)
    assert [entry["step"] for entry in read_record(path)] == [1, 2, 3, 4, 5]
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(FileFormatError, match="line 1"):
        read_record(path)


def test_the_caller_keeps_its_random_state():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(module := toy(dropout=0.5), loss, batches, options(2))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(module, loss, batches, options(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.rand(3), expected)


def test_the_second_signal_interrupts():
    def stubborn(step, share, shares):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return batches(step, share, shares)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(toy(), loss, stubborn, options())
    assert signal.getsignal(signal.SIGINT) is handler


def test_tied_and_frozen_weights_and_buffers_come_back(tmp_path):
    def make():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Linear(3, 1)).double()
        module[2].weight = module[0].weight
        module[3].requires_grad_(False)
        return module

    straight, halves = make(), make()
    constant = {"schedule": "constant"}
    train(straight, loss, batches, options(6, **constant))
    train(halves, loss, batches, options(3, **constant), folder=tmp_path)
    again = make()
    train(again, loss, batches, options(6, **constant), folder=tmp_path, resume=True)
    assert same(weights(straight), weights(again))
    assert torch.equal(again[3].weight, make()[3].weight)


def test_the_loss_is_what_is_compiled(monkeypatch):
    """All of it, for modules are called by other methods than forward too."""
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda given: compiled.append(given) or given)
    train(toy(), loss, batches, options(1, compile=True))
    train(toy(), loss, batches, options(1))
    assert compiled == [loss]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (lambda m, b: 1.0, "loss: wanted a scalar tensor, or a mapping"),
        (lambda m, b: {"error": torch.ones(())}, "loss: wanted a scalar tensor"),
        (lambda m, b: torch.ones(2), r"loss\['loss'\]: wanted a scalar, got shape \(2,\)"),
        (lambda m, b: {"loss": torch.ones(()), "step": 1}, "loss: wanted other names than the record's own, got 'step'"),
    ],
)
def test_losses_that_do_not_do(given, named):
    with pytest.raises(ArgumentError, match=named):
        train(toy(), given, batches, options(1))


def test_modules_that_do_not_do():
    with pytest.raises(ArgumentError, match="module: wanted parameters of one float type on one device, got none"):
        train(nn.Tanh(), loss, batches, options(1))
    with pytest.raises(ArgumentError, match="got float32 on cpu, float64 on cpu"):
        train(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3).double()), loss, batches, options(1))
    with pytest.raises(ArgumentError, match="precision: wanted 'float32' on the CPU"):
        train(toy(), loss, batches, options(1, precision="bfloat16"))
    with pytest.raises(ArgumentError, match="task: wanted what JSON can say"):
        train(toy(), loss, batches, options(1), task={"x": torch.ones(1)})


def test_the_toy_is_a_pure_function():
    torch.testing.assert_close(item(3, 4), item(3, 4))
    assert not torch.equal(item(3, 4), item(4, 3))
