"""What a family of measurements is: cases, methods, and one judge for all methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .problems import Problem

#: Does all that is outside the clock (imports, copies in the method's own types); what it returns is timed.
Setup = Callable[[Problem], Callable[[], Any]]


@dataclass(frozen=True)
class Case:
    """One question put to all methods of a family: ``shape`` names a maker of problems or is the path of a mesh."""

    family: str
    shape: str
    n: int
    k: int


@dataclass(frozen=True)
class Verdict:
    """``fingerprint`` is what all right answers agree on; ``residual`` and ``orthonormality`` are for eigenpairs only."""

    fingerprint: np.ndarray
    residual: float | None = None
    orthonormality: float | None = None


@dataclass(frozen=True)
class Family:
    """``sizes`` and ``counts`` (of modes, neighbours, points) span the cases; ``reference`` is the method that others must agree with."""

    name: str
    reference: str
    judge: Callable[[Problem, Any], Verdict]
    shape: str = "bumpy sphere"
    sizes: tuple[int, ...] = (10_000, 50_000, 200_000, 1_000_000)
    counts: tuple[int, ...] = (0,)
    counted: str = ""
    on_files: bool = False
    methods: dict[str, Setup] = field(default_factory=dict)

    def method(self, name: str) -> Callable[[Setup], Setup]:
        """Enter a setup under the method's name; ours begin with ``geospec``."""

        def enter(setup: Setup) -> Setup:
            self.methods[name] = setup
            return setup

        return enter


def on_host(part: Any) -> np.ndarray:
    """NumPy from what a method returned, from a device too: judged after the clock has stopped."""
    return np.asarray(part.cpu() if hasattr(part, "cpu") else part)


def is_ours(method: str) -> bool:
    return method.startswith("geospec")
