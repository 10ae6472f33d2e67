"""Noise levels: the laws they are drawn from in training, and the ladder a sampler walks down."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ArgumentError, problem


@dataclass(frozen=True)
class LogNormalLevels:
    """``ln sigma ~ N(mean, deviation^2)``: Karras et al. 2022, where images of deviation 1/2 take -1.2 and 1.2."""

    mean: float = -1.2
    deviation: float = 1.2

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``(n,)`` float32."""
        return (self.mean + self.deviation * torch.randn(n, generator=generator)).exp()


@dataclass(frozen=True)
class LogUniformLevels:
    """``ln sigma`` uniform between ``ln lowest`` and ``ln highest``: the law of the variance exploding form, 0.02 to 100."""

    lowest: float = 0.02
    highest: float = 100.0

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``(n,)`` float32."""
        return self.lowest * (self.highest / self.lowest) ** torch.rand(n, generator=generator)


@dataclass(frozen=True)
class VariancePreservingLevels:
    """``sigma = sqrt(exp(growth t^2 / 2 + start t) - 1)`` with ``t`` uniform in [earliest, 1]: Song et al. 2021, variance preserving."""

    growth: float = 19.9
    start: float = 0.1
    earliest: float = 1e-5

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``(n,)`` float32."""
        t = 1 - (1 - self.earliest) * torch.rand(n, generator=generator)
        return (0.5 * self.growth * t.square() + self.start * t).expm1().sqrt()


def karras_levels(n: int, lowest: float, highest: float, rho: float = 7.0) -> Tensor:
    """``n`` levels from ``highest`` down to ``lowest`` and then 0, ``(n + 1,)`` float64: even in ``sigma^(1/rho)``.

    Karras et al. 2022, eq. 5.
    """
    if n < 2 or not 0 < lowest < highest or not math.isfinite(highest):
        raise ArgumentError(problem("n, lowest, highest", "at least 2 levels, 0 < lowest < highest", (n, lowest, highest)))
    ends = torch.tensor([highest, lowest], dtype=torch.float64) ** (1 / rho)
    ladder = torch.lerp(ends[0], ends[1], torch.linspace(0, 1, n, dtype=torch.float64)) ** rho
    return torch.nn.functional.pad(ladder, (0, 1))
