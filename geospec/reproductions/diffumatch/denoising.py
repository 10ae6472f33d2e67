"""Does the network denoise true maps better than their moments alone: the Wiener filter of the entries is the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...datasets import MAP_FAMILIES, functional_maps
from ...maps import FunctionalMapPrior, PriorTraining
from ...maps.prior.fitting import VALIDATION_LEVELS, fit_network
from ..record import Check, Row
from ..registry import Setting
from .exhibits import Bars
from .shapes import FAMILIES, bumpy_bodies, true_maps

#: Modes of the maps that are denoised; the level that decides.
K, DECISIVE = 30, 0.3
#: The note's own small network, and fewer steps of it for the quick preset.
NOTE: dict[str, Any] = {"width": 64, "depth": 3, "heads": 4, "patch": 5, "batch": 32, "smallest": K}
NOTE_STEPS, QUICK_STEPS = 700, 300
#: Shapes of family A to train on, and of each family to try.
NOTE_SHAPES, QUICK_SHAPES, TRIED_SHAPES = 260, 120, 32
#: Families of the quick preset, of which maps are made soonest; and those that it leaves out one by one.
QUICK_FAMILIES, QUICK_LEFT_OUT = ("limbs", "blob", "star", "tube"), ("limbs", "star")


@dataclass(frozen=True)
class Shares:
    """A network's errors over those of Wiener filters: of what it was trained on, by level; and at the decisive level of the tried maps."""

    trained: dict[float, float]
    own: float

    @staticmethod
    def of(prior: FunctionalMapPrior, maps: Tensor) -> Shares:
        own = FunctionalMapPrior.of_moments(maps).to(prior.mean.device)
        network, trained_on = squared_errors(prior, maps), squared_errors(prior.gaussian, maps)
        return Shares(
            {sigma: network[sigma] / trained_on[sigma] for sigma in network}, network[DECISIVE] / squared_errors(own, maps)[DECISIVE]
        )

    @property
    def decisive(self) -> float:
        return self.trained[DECISIVE]


def squared_errors(model: FunctionalMapPrior, maps: Tensor, seed: int = 0) -> dict[float, float]:
    """Mean squared error of denoised magnitudes of ``maps (n, k, k)`` at each level; the noise depends on ``seed`` alone."""
    clean, told = maps.to(model.mean).abs(), {}
    for sigma in VALIDATION_LEVELS:
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed)).to(clean)
        with torch.no_grad():
            found = torch.cat([model.denoise(c + sigma * n, sigma) for c, n in zip(clean.split(128), noise.split(128), strict=True)])
        told[sigma] = float((found - clean).square().mean())
    return told


def note_maps(setting: Setting, bumps: int, n: int, seed: int) -> Tensor:
    """True maps of one of the note's families, float32; even seeds to train on, odd ones to try."""
    return true_maps(bumpy_bodies(bumps, n, seed=2 * setting.seed + seed), K).float()


def denoising(setting: Setting) -> Iterator[Row]:
    """The shipped prior on the note's families, which it has not seen, and on unseen shapes of the families that it was trained on."""
    prior = FunctionalMapPrior.pretrained().to(setting.device)
    n = TRIED_SHAPES if setting.quick else 4 * TRIED_SHAPES
    told = {f"family {name}": Shares.of(prior, note_maps(setting, bumps, n, 1)) for name, bumps in FAMILIES.items()}
    what = "the shipped prior on two families of bumpy bodies that it has not seen, error over that of the Wiener filter at sigma .3"
    checks = [Check(f"{name}, MSE / Wiener", found.decisive, "at most", 0.98) for name, found in told.items()]
    yield _row(
        "", what, "A .973, B .984 by a network trained on A alone; at most .98 asked", checks, told, f"{2 * n} maps a family, k = {K}"
    )

    families, each = (QUICK_FAMILIES, 24) if setting.quick else (MAP_FAMILIES, 96)
    held_out = functional_maps(each * len(families), k=K, families=families, split="validation", seed=1000 + setting.seed)
    told = {name: Shares.of(prior, held_out.of(name).maps) for name in families}
    what = "the same on unseen shapes of families that it was trained on"
    checks = [Check("mean MSE / Wiener", _mean(told), "at most", 0.95)]
    yield _row("denoising known", what, "below 1", checks, told, f"{each} maps of each of {len(told)} families, k = {K}")


def note_training(setting: Setting) -> Iterator[Row]:
    """The note's own experiment: a small network trained on one family, tried on it and on the other."""
    n, steps = (QUICK_SHAPES, QUICK_STEPS) if setting.quick else (NOTE_SHAPES, NOTE_STEPS)
    prior = trained(note_maps(setting, FAMILIES["A"], n, 0), plan_of(setting, steps, NOTE), setting)
    told = {f"on A, {name}": Shares.of(prior, note_maps(setting, bumps, TRIED_SHAPES, 1)) for name, bumps in FAMILIES.items()}
    checks = [Check(f"{name[-1]}, MSE / Wiener", found.decisive, "at most", 0.98) for name, found in told.items()]
    yield _row("", "", "", checks, told, f"{2 * n} maps of family A, k = {K}, {steps} steps of {NOTE['batch']}")


def left_out(setting: Setting) -> Iterator[Row]:
    """Small priors, each trained without one family, on that family; beside one trained on all."""
    families, tried = (QUICK_FAMILIES, QUICK_LEFT_OUT) if setting.quick else (MAP_FAMILIES, MAP_FAMILIES)
    each, steps = (60, QUICK_STEPS) if setting.quick else (360, 1500)
    plan = plan_of(setting, steps, NOTE if setting.quick else {**NOTE, "width": 96, "depth": 4, "batch": 64})
    lessons = functional_maps(each * len(families), k=K, families=families, seed=setting.seed, progress=setting.progress)
    held_out = functional_maps(48 * len(tried), k=K, families=tried, split="validation", seed=setting.seed, progress=setting.progress)
    everything = trained(lessons.maps, plan, setting)
    told: dict[str, Shares] = {}
    worse: dict[str, float] = {}
    for name in tried:
        prior = trained(lessons.of(*(other for other in families if other != name)).maps, plan, setting)
        maps = held_out.of(name).maps
        told[f"without {name}"] = Shares.of(prior, maps)
        worse[name] = squared_errors(prior, maps)[DECISIVE] / squared_errors(everything, maps)[DECISIVE]
    checks = [
        Check("mean MSE / Wiener", _mean(told), "at most", 0.95),
        Check("mean MSE / prior of all", sum(worse.values()) / len(worse), "at most", 1.05),
    ]
    size = f"{each} maps of each of {len(families)} families, k = {K}, {steps} steps of {plan.batch}"
    row = _row("", "", "", checks, told, size)
    over_all = "over a prior of all: " + ", ".join(f"{name} {share:.3f}" for name, share in worse.items())
    yield replace(row, ours=f"{row.ours}; {over_all}", numbers={**row.numbers, "over_prior_of_all": worse})


def plan_of(setting: Setting, steps: int, sizes: Mapping[str, Any]) -> PriorTraining:
    return PriorTraining(steps=steps, learning_rate=2e-3, validate_every=steps, seed=setting.seed, device=str(setting.device), **sizes)


def trained(maps: Tensor, plan: PriorTraining, setting: Setting) -> FunctionalMapPrior:
    """A prior that denoises; its likelihoods are not tabulated, which would take longer than the training of a small one."""
    prior = FunctionalMapPrior.of_moments(maps, plan.network(), seed=plan.seed)
    fit_network(prior, maps, plan, progress=setting.progress)
    return prior.eval().requires_grad_(False)


def _mean(told: Mapping[str, Shares]) -> float:
    return sum(found.decisive for found in told.values()) / len(told)


def _row(run: str, what: str, claim: str, checks: Sequence[Check], told: Mapping[str, Shares], size: str) -> Row:
    levels = " / ".join(f"{sigma:g}" for sigma in VALIDATION_LEVELS)
    words = "; ".join(f"{name} {' / '.join(f'{share:.3f}' for share in found.trained.values())}" for name, found in told.items())
    own = ", ".join(f"{name} {found.own:.3f}" for name, found in told.items())
    ours = f"at sigma {levels}: {words}; at {DECISIVE:g} over a Wiener filter of the tried maps' own moments: {own}"
    plain = {name: {f"{sigma:g}": share for sigma, share in found.trained.items()} for name, found in told.items()}
    numbers = {"shares": plain, "shares_of_own_moments": {name: found.own for name, found in told.items()}}
    exhibit = Bars({name: found.trained for name, found in told.items()})
    return Row(run, what, claim, tuple(checks), ours, size, numbers=numbers, exhibit=exhibit)
