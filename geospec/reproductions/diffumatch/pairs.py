"""Whole pairs: features optimised on the pair against a mask alone, against pyFM, and against the floor that the true map gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ... import maps
from ...bases import SampledBasis
from ...datasets import deformed_pair
from ...descriptors import paired_signatures
from ...maps import FunctionalMapPrior, MapSide, optimise_map
from ..record import Check, Row, number
from ..registry import Setting
from . import peer
from .exhibits import Curves
from .shapes import FAMILIES, Pair, bumpy_bodies

#: Modes of the maps that are solved and optimised, and of those that ZoomOut ends with.
K, K_FINAL = 30, 100
#: Weights of the masks against descriptors whose coefficients have mean square one: those of named masks found on pairs of family A, to
#: whose errors the last two are indifferent. Not the weight of :func:`geospec.maps.optimise_map`, whose features bend to the maps.
WEIGHTS = {"laplacian": 10.0, "resolvent": 1.0, "gaussian": 0.1, "distilled": 0.1}
#: Unseen pairs of the ablation: families of the validation split.
ABLATION_FAMILIES = ("quadruped", "humanoid", "limbs", "hand", "star", "blob")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pair with its bases, made once for all methods."""

    pair: Pair
    inputs: str = "xyz+wks"

    @cached_property
    def bases(self) -> tuple[SampledBasis, SampledBasis]:
        return self.pair.bases(K_FINAL)

    @cached_property
    def sides(self) -> tuple[MapSide, MapSide]:
        """The shapes as an optimisation takes them."""
        source, target = (MapSide.of(s, b) for s, b in zip((self.pair.source, self.pair.target), self.bases, strict=True))
        return source, target

    @cached_property
    def coefficients(self) -> tuple[Tensor, Tensor]:
        """Descriptors in the first modes, ``(K, q)`` each: positions, wave kernel signatures, or both, of mean square one by row."""
        parts: list[tuple[Tensor, Tensor]] = []
        if "xyz" in self.inputs:
            parts.append((self.pair.source.vertices, self.pair.target.vertices))
        if "wks" in self.inputs:
            parts.append(paired_signatures(*self.bases))
        small = [basis.truncate(K) for basis in self.bases]
        found = [[basis.analyze(part[side]) for part in parts] for side, basis in enumerate(small)]
        joint = [((a.square().sum() + b.square().sum()) / 2).sqrt() for a, b in zip(*found, strict=True)]
        source, target = (torch.cat([c / scale for c, scale in zip(side, joint, strict=True)], dim=1) for side in found)
        scale = (2 * K / (source.square().sum() + target.square().sum())).sqrt()
        return scale * source, scale * target

    def refined(self, functional_map: Tensor) -> Tensor:
        """``target_to_source`` by ZoomOut to :data:`K_FINAL` modes, in steps of a tenth."""
        return maps.zoomout(functional_map.to(self.bases[0].modes), *self.bases, k_final=K_FINAL, step="auto").target_to_source

    def masked(self, mask: str, prior: FunctionalMapPrior) -> Tensor:
        """``target_to_source`` by the descriptors under one of :data:`WEIGHTS`'s masks, and ZoomOut."""
        a, b = self.coefficients
        source, target = (basis.eigenvalues[:K] for basis in self.bases if basis.eigenvalues is not None)
        if mask == "laplacian":
            penalty = maps.laplacian_mask(source, target)
        elif mask == "resolvent":
            penalty = maps.resolvent_mask(source, target)
        else:
            raw = maps.solve_functional_map(a, b, mask=None)
            estimator = "analytic" if mask == "gaussian" else "ratio_of_means"
            penalty = prior.mask(raw.to(prior.mean), estimator=estimator).to(a)
        return self.refined(maps.solve_functional_map(a, b, mask=penalty, weight=WEIGHTS[mask]))

    def optimised(self, prior: FunctionalMapPrior, **options: Any) -> Tensor:
        """``target_to_source`` by features optimised on this pair, and ZoomOut."""
        found = optimise_map(*self.sides, prior, k=K, features=self.inputs, **options)
        return self.refined(found.functional_map)

    def floor(self) -> Tensor:
        """``target_to_source`` by ZoomOut from the true map: what the modes and the refinement leave of a perfect start.

        The true map of :data:`K` modes by least squares at the known points.
        """
        source, target = (basis.modes[:, :K] for basis in self.bases)
        on_target, on_source = self.pair.truth
        return self.refined(torch.linalg.lstsq(target[on_target], source[on_source]).solution)


def from_scratch(setting: Setting) -> Iterator[Row]:
    """Held-out pairs of family B, from positions alone, as the note has it; and the floor."""
    prior = FunctionalMapPrior.pretrained()
    n, steps = (3, 100) if setting.quick else (5, 300)
    bodies = bumpy_bodies(FAMILIES["B"], n + 1, seed=2 * setting.seed + 1)
    errors: dict[str, list[Tensor]] = {}
    for i in range(n):
        prepared = Prepared(Pair.registered(f"B {i}", bodies[i], bodies[i + 1]), inputs="xyz")
        found = {
            "optimised": prepared.optimised(prior, steps=steps, seed=setting.seed),
            "mask alone": prepared.masked("distilled", prior),
            "pyFM": peer.wks_zoomout(prepared.pair.source, prepared.pair.target),
            "floor": prepared.floor(),
        }
        for name, point_map in found.items():
            errors.setdefault(name, []).append(prepared.pair.errors(point_map))
        setting.progress("pairs of family B", i + 1, n)
    means = mean_errors(errors)
    checks = (
        Check("error / mask alone", means["optimised"] / means["mask alone"], "at most", 0.5),
        Check("error / pyFM", means["optimised"] / means["pyFM"], "at most", 1.0),
    )
    size = f"{n} pairs of 642 vertices, k = {K} to {K_FINAL}, {steps} steps"
    exhibit = Curves("pairs of family B", joined(errors))
    yield Row("", "", "", checks, table_text(means), size, numbers={"mean_errors": means}, exhibit=exhibit)
    gap = f"optimised {number(means['optimised'])} against {number(means['floor'])} by ZoomOut from the true map"
    yield Row("floor", "the same beside ZoomOut from the true map", "reported", (), gap, size, seconds=1e-9)


#: The terms of the optimisation, one by one: mask weight, properness, distillation.
TERMS: Mapping[str, dict[str, float]] = {
    "vanilla (distillation alone)": {"weight": 0.0, "w_proper": 0.0, "w_distill": 1.0},
    "properness alone": {"weight": 0.0, "w_proper": 1.0, "w_distill": 0.0},
    "mask and properness": {"w_proper": 1.0, "w_distill": 0.0},
    "all": {},
}


def ablation(setting: Setting) -> Iterator[Row]:
    """Terms of the optimisation on unseen pairs of known families."""
    prior = FunctionalMapPrior.pretrained()
    families, steps, vertices = (ABLATION_FAMILIES[:2], 80, 1000) if setting.quick else (ABLATION_FAMILIES, 300, 2500)
    errors: dict[str, list[Tensor]] = {}
    for i, family in enumerate(families):
        setting.progress("ablation", i, len(families))
        prepared = Prepared(generated(family, setting.seed, vertices))
        found: dict[str, Callable[[], Tensor]] = {"mask alone": lambda p=prepared: p.masked("distilled", prior)}  # type: ignore[misc]
        for name, terms in TERMS.items():
            found[name] = lambda p=prepared, t=terms: p.optimised(prior, steps=steps, seed=setting.seed, **t)  # type: ignore[misc]
        found["floor"] = prepared.floor
        for name, method in found.items():
            errors.setdefault(name, []).append(prepared.pair.errors(method()))
    means = mean_errors(errors)
    optimised = [means[name] for name in TERMS]
    checks = (
        Check("all / the best of the others", means["all"] / min([*optimised[:-1], means["mask alone"]]), "at most", 1.0),
        Check("all / vanilla", means["all"] / optimised[0], "at most", 0.5),
    )
    size = f"a pair of each of {', '.join(families)}; {vertices} vertices, {steps} steps"
    exhibit = Curves("ablation", joined(errors))
    numbers = {"mean_errors": means, "by_pair": {name: [float(e.mean()) for e in found] for name, found in errors.items()}}
    yield Row("", "", "", checks, table_text(means), size, numbers=numbers, exhibit=exhibit)


def generated(family: str, seed: int, n_vertices: int) -> Pair:
    """A pair of the validation split, of which 500 points count."""
    source, target, point_map = deformed_pair(family, seed, n_vertices=n_vertices)
    chosen = torch.randperm(target.n_points, generator=torch.Generator().manual_seed(0))[:500]
    return Pair(f"{family} {seed}", source, target, (chosen, point_map[chosen]))


def mean_errors(errors: Mapping[str, Sequence[Tensor]]) -> dict[str, float]:
    """The mean over pairs of each method's mean error."""
    return {name: float(torch.stack([e.mean() for e in found]).mean()) for name, found in errors.items()}


def joined(errors: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat(list(found)) for name, found in errors.items()}


def table_text(means: Mapping[str, float]) -> str:
    """``"optimised 1.2, mask alone 3"``."""
    return "mean error x 100: " + ", ".join(f"{name} {number(value)}" for name, value in means.items())
