"""Losses on functional maps that a prior and a point map give: distillation and properness."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ArgumentError, one_of, problem
from ...ops.noisy_magnitudes import noisy_magnitudes
from .prior import FunctionalMapPrior

VARIANTS = ("textbook", "released")
#: By which the released form scales the pull of the prior.
RELEASED_SCALE = 1e-3


def distillation_loss(
    functional_map: Tensor,
    prior: FunctionalMapPrior,
    *,
    sigmas: tuple[float, float] = (0.01, 1.01),
    draws: int = 32,
    variant: str = "textbook",
    seed: int = 0,
) -> Tensor:
    """A scalar whose gradient pulls each magnitude ``|C|`` towards its own denoised version.

    With ``g = mean over sigma and n of (|C| - D(|C| + sigma n; sigma))``, ``"textbook"`` is ``|| g ||^2 / 2`` with the gradient ``g`` in
    ``|C|``: none goes through the denoiser. The signs of ``C`` are left alone. ``"released"`` is what the official code computes, the mean
    of ``(|C| - (C - 0.001 g))^2`` with the bracket held fixed: it mostly demands that no entry be negative, which makes
    sense for co-oriented shapes only.

    ``functional_map (..., k_t, k_s)``, summed over leading dimensions. Each draw has a level of its own, uniform in ``sigmas``, and a noise
    of its own; the official code scales one noise by all levels. Draws depend on ``seed`` alone.

    Raises
    ------
    ArgumentError : unknown variant, a range that is none, a map the prior does not take.

    Source: DiffuMatch; Poole et al. 2023, "DreamFusion".
    """
    one_of("variant", variant, VARIANTS)
    lowest, highest = sigmas
    if not 0 < lowest <= highest or draws < 1:
        raise ArgumentError(problem("sigmas, draws", "0 < lowest <= highest and at least one draw", (sigmas, draws)))
    magnitude = functional_map.abs()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        level = (lowest + (highest - lowest) * torch.rand(draws, generator=generator)).to(magnitude)
        noisy = noisy_magnitudes(magnitude, level, draws, seed=seed)
        level = level.reshape(-1, *[1] * (magnitude.dim() - 2)).expand(draws, *magnitude.shape[:-2])
        pull = magnitude - prior.denoise(noisy, level).mean(dim=0)
    if variant == "released":
        return (magnitude - (functional_map.detach() - RELEASED_SCALE * pull)).square().mean()
    return 0.5 * (magnitude - (magnitude.detach() - pull)).square().sum()


def properness_loss(functional_map: Tensor, proper: Tensor) -> Tensor:
    """``mean (C - C_proper)^2``: ``C_proper`` comes from a point map, such as that of a refinement, and gets no gradient."""
    if functional_map.shape != proper.shape:
        raise ArgumentError(problem("proper", f"the map's shape {tuple(functional_map.shape)}", tuple(proper.shape)))
    return (functional_map - proper.detach()).square().mean()
