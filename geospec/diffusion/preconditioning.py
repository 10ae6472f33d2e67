"""How a network becomes a denoiser: ``D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import ArgumentError, problem

Network = Callable[[Tensor, Tensor], Tensor]


class Coefficients(NamedTuple):
    """What scales the input, the output and the skip of a network at given levels, and what it is told of the level."""

    skip: Tensor
    out: Tensor
    into: Tensor
    noise: Tensor


class Preconditioning(Protocol):
    """A rule for the coefficients. ``sigma`` is positive and broadcasts with the data."""

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """The coefficients at these levels, each of a shape that broadcasts with the data; ``noise`` has that of ``sigma``."""

    def weight(self, sigma: Tensor) -> Tensor:
        """Weight of the squared error at these levels in training."""


class EDM:
    """The preconditioning of Karras et al. 2022, table 1: the network sees, and is asked for, numbers of variance one.

    ``c_skip = v / (sigma^2 + v)``, ``c_out = sigma sqrt(v) / sqrt(sigma^2 + v)``, ``c_in = 1 / sqrt(sigma^2 + v)``,
    ``c_noise = ln(sigma) / 4``, weight ``(sigma^2 + v) / (sigma^2 v)``, which is ``1 / c_out^2``.

    ``deviation`` is ``sqrt(v)``: a number, or a tensor that broadcasts with the data, one deviation for each entry. With the entries'
    own deviations, and their means taken off, a network that gives zero is the Wiener filter of the entries, the best denoiser that
    knows means and variances alone; training starts from there.
    """

    def __init__(self, deviation: float | Tensor) -> None:
        self.deviation = torch.as_tensor(deviation)
        if not bool((self.deviation > 0).all()):
            raise ArgumentError(problem("deviation", "positive numbers", f"a smallest of {float(self.deviation.min()):g}"))

    def coefficients(self, sigma: Tensor) -> Coefficients:
        deviation = self.deviation.to(sigma)
        total = sigma.square() + deviation.square()
        return Coefficients(deviation.square() / total, sigma * deviation * total.rsqrt(), total.rsqrt(), sigma.log() / 4)

    def weight(self, sigma: Tensor) -> Tensor:
        return sigma.pow(-2) + self.deviation.to(sigma).pow(-2)


class VE:
    """The variance exploding form of Song et al. 2021 as Karras et al. 2022, table 1 states it: the network predicts noise.

    ``c_skip = 1``, ``c_out = sigma``, ``c_in = 1``, ``c_noise = ln(sigma / 2)``, weight ``1 / sigma^2``.
    """

    def coefficients(self, sigma: Tensor) -> Coefficients:
        one = torch.ones_like(sigma)
        return Coefficients(one, sigma, one, (sigma / 2).log())

    def weight(self, sigma: Tensor) -> Tensor:
        return sigma.pow(-2)


class IDDPM:
    """The preconditioning of Nichol and Dhariwal 2021 as Karras et al. 2022, table 1 states it, for data of variance one.

    ``c_skip = 1``, ``c_out = -sigma``, ``c_in = 1 / sqrt(sigma^2 + 1)``, ``c_noise = steps - 1 - j``, ``j`` the nearest of the cosine
    schedule's ``steps`` levels, so that ``D`` is piecewise constant in what the network is told; weight ``1 / sigma^2``.
    """

    SMALLEST_RATIO, SHIFT = 0.001, 0.008

    def __init__(self, steps: int = 1000) -> None:
        self.steps = steps

    @cached_property
    def levels(self) -> Tensor:
        """``u_0 > u_1 > ... > u_steps = 0``, float64, ``(steps + 1,)``."""
        j = torch.arange(self.steps + 1, dtype=torch.float64)
        signal = (torch.pi / 2 * j / self.steps / (1 + self.SHIFT)).sin().square()
        levels = torch.zeros(self.steps + 1, dtype=torch.float64)
        for i in range(self.steps, 0, -1):
            ratio = (signal[i - 1] / signal[i]).clamp(min=self.SMALLEST_RATIO)
            levels[i - 1] = ((levels[i].square() + 1) / ratio - 1).sqrt()
        return levels

    def coefficients(self, sigma: Tensor) -> Coefficients:
        one = torch.ones_like(sigma)
        # The levels descend; search among the ascending ones for the nearest.
        ascending = self.levels[:-1].flip(0).to(sigma.device)
        level = sigma.double().contiguous()
        above = torch.searchsorted(ascending, level).clamp(1, self.steps - 1)
        nearest = torch.where(level - ascending[above - 1] <= ascending[above] - level, above - 1, above)
        return Coefficients(one, -sigma, (sigma.square() + 1).rsqrt(), nearest.to(sigma))

    def weight(self, sigma: Tensor) -> Tensor:
        return sigma.pow(-2)


def denoise(network: Network, preconditioning: Preconditioning, x: Tensor, sigma: Tensor) -> Tensor:
    """``D(x; sigma)``; ``sigma`` broadcasts with ``x``. The network is given ``c_noise`` in the shape of ``sigma``."""
    c = preconditioning.coefficients(sigma)
    return c.skip * x + c.out * network(c.into * x, c.noise)
