"""How a module is trained: the numbers of a run, checked once, and the learning rate that they give each step."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from ..errors import ArgumentError, one_of, problem

SCHEDULES = ("cosine", "constant", "warmup-stable-decay")
PRECISIONS = ("float32", "bfloat16")
#: Largest seed that both torch's and NumPy's generators take.
_SEEDS = 2**63


@dataclass(frozen=True)
class TrainingOptions:
    """The numbers of a training run.

    Parameters
    ----------
    steps : updates of the weights, at least 1.
    learning_rate : the highest rate of AdamW.
    schedule : of the rate after the warm-up. ``"cosine"`` falls from the highest to the last rate, ``"constant"`` stays,
        ``"warmup-stable-decay"`` stays and falls along a line over the last ``decay`` of the steps.
    warmup : steps over which the rate rises along a line to the highest.
    decay : the part of the steps, in (0, 1], over which ``"warmup-stable-decay"`` falls.
    floor : last rate over the highest, in [0, 1].
    betas : memory of AdamW's two moments.
    weight_decay : of matrices only; biases and scales of one dimension are left alone.
    clip : largest norm of the gradient of all weights together, or ``None``.
    ema : decay of the moving average of the weights in [0, 1), or ``None`` for no average. It warms up: after ``t`` updates it
        is at most ``(1 + t) / (10 + t)``.
    accumulate : shares of the batch that each process takes one after the other.
    precision : ``"bfloat16"`` runs the loss under autocast, on CUDA only; weights, gradients and their sums stay as they are.
    compile : pass the loss through ``torch.compile``.
    seed : of all that is random in the loss and the module.
    checkpoint_every, validate_every : steps between; the last step has both.
    keep : checkpoints that stay, the latest.
    patience : steps without a finite gradient, one after another, that end the run.
    """

    steps: int
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 0
    decay: float = 0.2
    floor: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float | None = 1.0
    ema: float | None = 0.999
    accumulate: int = 1
    precision: str = "float32"
    compile: bool = False
    seed: int = 0
    checkpoint_every: int = 500
    validate_every: int = 500
    keep: int = 2
    patience: int = 10

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "checkpoint_every", "validate_every", "keep", "patience"):
            _whole(name, getattr(self, name), 1)
        for name in ("warmup", "seed"):
            _whole(name, getattr(self, name), 0)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("precision", self.precision, PRECISIONS)
        _number("learning_rate", self.learning_rate, "above 0", lambda x: x > 0)
        _number("decay", self.decay, "in (0, 1]", lambda x: 0 < x <= 1)
        _number("floor", self.floor, "in [0, 1]", lambda x: 0 <= x <= 1)
        _number("weight_decay", self.weight_decay, "at least 0", lambda x: x >= 0)
        if self.clip is not None:
            _number("clip", self.clip, "above 0, or None", lambda x: x > 0)
        if self.ema is not None:
            _number("ema", self.ema, "in [0, 1), or None", lambda x: 0 <= x < 1)
        if len(self.betas) != 2:
            raise ArgumentError(problem("betas", "two numbers in [0, 1)", self.betas))
        for beta in self.betas:
            _number("betas", beta, "in [0, 1)", lambda x: 0 <= x < 1)


def learning_rate(options: TrainingOptions, step: int) -> float:
    """The rate of step ``step``, counted from 0."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    if options.schedule == "cosine":
        done = (step - options.warmup) / max(1, options.steps - 1 - options.warmup)
        fallen = (1 - math.cos(math.pi * min(1.0, done))) / 2
    elif options.schedule == "warmup-stable-decay":
        falling = max(1, round(options.decay * options.steps))
        fallen = max(0.0, (step + 1 - (options.steps - falling)) / falling)
    else:
        fallen = 0.0
    return options.learning_rate * (1 - (1 - options.floor) * fallen)


def mixed_seed(seed: int, *numbers: int) -> int:
    """A seed in [0, 2^63) for one of many independent streams, named by whole numbers: a step, a share, an item."""
    words = ",".join(str(int(number)) for number in (seed, *numbers))
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big") % _SEEDS


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ArgumentError(problem(name, f"a whole number, at least {least}", repr(value)))


def _number(name: str, value: Any, wanted: str, holds: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or not holds(value):
        raise ArgumentError(problem(name, f"a number {wanted}", repr(value)))
