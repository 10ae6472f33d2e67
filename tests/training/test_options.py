"""Options refuse what cannot be, and schedules give the rates that they promise."""

import itertools
import math

import pytest

from geospec import ArgumentError
from geospec.training import TrainingOptions, learning_rate, mixed_seed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("steps", 1.5),
        ("steps", True),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("schedule", "linear"),
        ("precision", "float16"),
        ("warmup", -1),
        ("decay", 0.0),
        ("floor", 1.1),
        ("clip", 0.0),
        ("ema", 1.0),
        ("betas", (0.9, 1.0)),
        ("weight_decay", -1.0),
        ("accumulate", 0),
        ("keep", 0),
        ("patience", 0),
        ("seed", -1),
    ],
)
def test_refusals_name_the_option(name, value):
    with pytest.raises(ArgumentError, match=f"^{name}: wanted "):
        TrainingOptions(**{"steps": 10, name: value})


def rates(**options):
    options = TrainingOptions(100, learning_rate=2.0, floor=0.1, **options)
    return [learning_rate(options, step) for step in range(100)]


def test_cosine():
    r = rates(warmup=10)
    assert r[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert r[10] == 2.0
    assert r[-1] == pytest.approx(0.2)
    middle = 10 + 89 / 2  # where the cosine is zero
    assert (r[int(middle)] + r[int(middle) + 1]) / 2 == pytest.approx(1.1, abs=1e-3)
    assert all(a > b for a, b in itertools.pairwise(r[10:]))


def test_warmup_stable_decay():
    r = rates(schedule="warmup-stable-decay", warmup=5, decay=0.2)
    assert set(r[5:80]) == {2.0}
    assert r[80:] == pytest.approx([2.0 - 1.8 * (i + 1) / 20 for i in range(20)])


def test_constant():
    assert set(rates(schedule="constant")) == {2.0}


@pytest.mark.parametrize("schedule", ["cosine", "constant", "warmup-stable-decay"])
def test_a_single_step_has_a_rate(schedule):
    assert 0 < learning_rate(TrainingOptions(1, schedule=schedule), 0) <= 1e-3


def test_seeds_are_far_apart():
    seeds = {mixed_seed(seed, step, share) for seed in range(5) for step in range(20) for share in range(5)}
    assert len(seeds) == 500
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mixed_seed(1, 23) != mixed_seed(12, 3)
    assert mixed_seed(7, 1, 2) == mixed_seed(7, 1, 2)
