"""How a prior is fitted: moments of the entries, then the network by denoising."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...diffusion import EDM, LogNormalLevels
from ...errors import ArgumentError, problem
from ...training import TrainingOptions, TrainingPlan, TrainingResult, mixed_seed, train

if TYPE_CHECKING:
    from .prior import FunctionalMapPrior

#: Noise levels at which held-out maps are denoised.
VALIDATION_LEVELS = (0.1, 0.3, 1.0)


@dataclass(frozen=True, kw_only=True)
class PriorTraining(TrainingPlan):
    """The sizes of a training, beside those of every :class:`geospec.training.TrainingPlan`; its batches are of functional maps.

    Parameters
    ----------
    width, depth, heads, patch : of the network, see :class:`geospec.nn.DiffusionTransformer`.
    smallest : modes of the smallest maps that it sees; each share of a batch has sizes of its own, source and target drawn apart
        half of the time.
    level, spread : median of the noise levels in training and deviation of their logarithm.
    """

    steps: int = 6000
    batch: int = 96
    learning_rate: float = 2e-3
    validate_every: int = 500
    width: int = 128
    depth: int = 6
    heads: int = 4
    patch: int = 6
    smallest: int = 20
    level: float = 0.2
    spread: float = 1.2

    def network(self) -> dict[str, Any]:
        """Arguments of the network."""
        return {"width": self.width, "depth": self.depth, "heads": self.heads, "patch": self.patch}

    def options(self) -> TrainingOptions:
        """How the loop is to train."""
        return replace(super().options(), betas=(0.9, 0.99))


def moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Means and deviations ``(k, k)`` float32 of the magnitudes of ``maps (n, k, k)``."""
    if maps.dim() != 3 or maps.shape[1] != maps.shape[2] or len(maps) < 2 or not maps.is_floating_point():
        raise ArgumentError(problem("maps", "at least two float maps (n, k, k)", f"{tuple(maps.shape)} {maps.dtype}"))
    sums = torch.zeros(2, *maps.shape[1:], dtype=torch.float64)
    for part in maps.split(4096):
        magnitude = part.double().abs()
        sums += torch.stack([magnitude.sum(dim=0), magnitude.square().sum(dim=0)]).cpu()
    mean, square = sums / len(maps)
    if not bool(square.isfinite().all()) or not bool(square.sum() > 0):
        raise ArgumentError(problem("maps", "finite maps that are not all zero", f"a mean square of {float(square.mean()):g}"))
    return mean.float(), (square - mean.square()).clamp(min=0).sqrt().float()


def fit_network(
    prior: FunctionalMapPrior,
    maps: Tensor,
    plan: PriorTraining,
    *,
    held_out: Mapping[str, Tensor] | None = None,
    folder: Any = None,
    resume: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> TrainingResult:
    """Train the prior's network, in place, on maps ``(n, k, k)``, and leave it with the averaged weights.

    ``held_out`` : maps by the name of their family, for the record: errors of denoising over those of the Wiener filter.
    Other arguments: :func:`geospec.training.train`.
    """
    lessons = _Lessons(prior, maps, plan)
    prior.to(plan.device).requires_grad_(True)
    result = train(
        prior,
        lessons.loss,
        lessons.batch,
        plan.options(),
        folder=folder,
        resume=resume,
        task={**plan.task(), "maps": list(maps.shape)},
        validate=None if held_out is None else lambda module: relative_errors(module, held_out),
        progress=progress,
        report=report,
    )
    if result.finished and result.average is not None:
        result.average.copy_to(prior)
    return result


class _Lessons:
    """Batches of noisy magnitudes, and the error of what is made of them."""

    def __init__(self, prior: FunctionalMapPrior, maps: Tensor, plan: PriorTraining) -> None:
        self.maps, self.plan, self.k = maps, plan, maps.shape[-1]
        square = float(prior.deviation.square().mean())
        self.scale = EDM(square**0.5)
        self.levels = LogNormalLevels(torch.tensor(plan.level).log().item(), plan.spread)

    def batch(self, step: int, share: int, shares: int) -> tuple[Tensor, Tensor, Tensor]:
        """Magnitudes ``(b, k_t, k_s)``, levels ``(b,)``, noise."""
        generator = torch.Generator().manual_seed(mixed_seed(self.plan.seed, step, share))
        chosen = torch.randint(len(self.maps), (max(1, self.plan.batch // shares),), generator=generator)
        smallest = min(self.plan.smallest, self.k)
        # Small maps are drawn more often: they are what is used, and cheap.
        k_t, k_s = (smallest + (self.k + 1 - smallest) * torch.rand(2, generator=generator).square()).long().tolist()
        if float(torch.rand((), generator=generator)) < 0.5:
            k_s = k_t
        clean = self.maps[chosen, :k_t, :k_s].float().abs()
        noise = torch.randn(clean.shape, generator=generator)
        return tuple(x.to(self.plan.device) for x in (clean, self.levels.draw(len(clean), generator), noise))  # type: ignore[return-value]

    def loss(self, prior: Any, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        clean, sigma, noise = batch
        error = (prior.denoise(clean + sigma[:, None, None] * noise, sigma) - clean).square().mean(dim=(-2, -1))
        return (self.scale.weight(sigma) * error).mean()


@torch.no_grad()
def relative_errors(prior: Any, held_out: Mapping[str, Tensor], *, size: int = 30, most: int = 256, seed: int = 0) -> dict[str, float]:
    """Mean squared error of denoising over that of the entries' Wiener filter, by family and level; below 1 something was learned.

    ``held_out`` : maps ``(n, k, k)`` by name, of which the first ``most`` serve, cut to ``size`` modes. The Wiener filter is the prior's
    own: its means and variances, not those of the held-out maps. The same noise serves both.
    """
    wiener, told = prior.gaussian, dict[str, float]()
    for name, maps in held_out.items():
        clean = maps[:most, :size, :size].to(prior.mean).abs()
        for sigma in VALIDATION_LEVELS:
            generator = torch.Generator().manual_seed(seed)
            noisy = clean + sigma * torch.randn(clean.shape, generator=generator).to(clean)
            ours, theirs = (float((model.denoise(noisy, sigma) - clean).square().mean()) for model in (prior, wiener))
            told[f"{name} at {sigma:g}"] = ours / theirs
    return told
