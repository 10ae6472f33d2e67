"""The sizes of a training as a user chooses them, and what the loop makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar

from ..errors import ArgumentError, problem
from .options import TrainingOptions

_LOOP = ("steps", "learning_rate", "validate_every", "device", "seed")


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What every plan has; those of a network add its sizes and those of its data.

    Whole numbers are at least 1, or what ``least`` says of them; other numbers are positive.

    Parameters
    ----------
    steps, batch : updates, and items in each. learning_rate : the highest.
    validate_every : steps between measurements and checkpoints.
    device : ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. seed : of everything random.

    Raises
    ------
    ArgumentError : a number out of its range, named.
    """

    steps: int
    batch: int
    learning_rate: float
    validate_every: int
    device: str = "cpu"
    seed: int = 0

    #: The least of whole numbers that may be less than 1.
    least: ClassVar[Mapping[str, int]] = {"seed": 0}

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), self.least.get(field.name, 1)
            if field.type == "int" and (isinstance(value, bool) or not isinstance(value, Integral) or value < least):
                raise ArgumentError(problem(field.name, f"a whole number, at least {least}", repr(value)))
            if field.type == "float" and (isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf):
                raise ArgumentError(problem(field.name, "a positive number", repr(value)))

    def options(self) -> TrainingOptions:
        """How the loop is to train."""
        return TrainingOptions(
            self.steps,
            self.learning_rate,
            warmup=min(500, self.steps // 10),
            checkpoint_every=self.validate_every,
            validate_every=self.validate_every,
            seed=self.seed,
        )

    def task(self) -> dict[str, Any]:
        """What else a checkpoint depends on."""
        return {name: value for name, value in asdict(self).items() if name not in _LOOP}
