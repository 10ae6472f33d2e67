"""Draw from the density that a denoiser knows: the probability flow from noise to data."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import ArgumentError, problem

Denoiser = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def heun_sample(denoiser: Denoiser, noise: Tensor, levels: Tensor) -> Tensor:
    """Follow ``dx / dsigma = (x - D(x; sigma)) / sigma`` from pure noise down the levels, by Heun's rule: samples like ``noise``.

    Parameters
    ----------
    denoiser : ``D(x, sigma)``, ``sigma`` a tensor without dimensions.
    noise : standard normal, of the shape of the samples.
    levels : descending, the last one 0, see :func:`karras_levels`; the first must drown the data.

    Deterministic in ``noise``; two evaluations a level but the last. Source: Karras et al. 2022, algorithm 1.
    """
    if levels.dim() != 1 or len(levels) < 2 or bool((levels.diff() >= 0).any()) or float(levels[-1]) != 0:
        raise ArgumentError(problem("levels", "descending levels that end in 0", levels))
    levels = levels.to(noise)
    x = levels[0] * noise
    for level, lower in pairwise(levels):
        slope = (x - denoiser(x, level)) / level
        moved = x + (lower - level) * slope
        if float(lower) > 0:
            slope = (slope + (moved - denoiser(moved, lower)) / lower) / 2
            moved = x + (lower - level) * slope
        x = moved
    return x
