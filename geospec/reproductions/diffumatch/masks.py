"""Maps solved from few and noisy descriptors under different masks, on shapes whose map is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ... import maps
from ...bases import SampledBasis
from ...geodesics import geodesic_distances
from ...maps import FunctionalMapPrior
from ...shapes import Mesh
from ..record import Check, Row
from ..registry import Setting
from .exhibits import Masks
from .shapes import FAMILIES, Pair, bumpy_bodies

#: Modes, descriptors and their relative noise, as the note has them; pairs of each family; and the weights tried for each mask.
K, DESCRIPTORS, NOISE = 30, 24, 0.25
#: How wide a bump is: the time of its heat in units of one over the last eigenvalue.
HEAT = 3.0
PAIRS, QUICK_PAIRS = 12, 4
WEIGHTS = torch.logspace(-6, 4, 41, dtype=torch.float64)

#: A mask ``(k, k)`` for a problem.
Mask = Callable[["Problem"], Tensor]


@dataclass(frozen=True, eq=False)
class Problem:
    """Functions whose coefficients are known on the source, and with noise on the target; and the true map."""

    source_coefficients: Tensor
    target_coefficients: Tensor
    bases: tuple[SampledBasis, SampledBasis]
    true_map: Tensor
    distances: Tensor

    @staticmethod
    def of(pair: Pair, generator: torch.Generator, k: int = K, descriptors: int = DESCRIPTORS, noise: float = NOISE) -> Problem:
        """Bumps of heat at random points, carried by the true map of shapes of one vertex order.

        A bump is ``exp(-HEAT Laplacian / lambda_k)`` of a point, of norm one; on its image comes white noise of ``noise`` times the
        image's norm.
        """
        source, target = pair.bases(k)
        assert source.eigenvalues is not None
        points = torch.randint(0, source.n, (descriptors,), generator=generator)
        bumps = torch.exp(-HEAT * source.eigenvalues / source.eigenvalues[-1])[:, None] * source.modes[points].T
        bumps = bumps / bumps.norm(dim=0)
        true_map = maps.point_to_functional(pair.truth[1], source, target)
        images = true_map @ bumps
        disturbance = torch.randn(k, descriptors, generator=generator, dtype=torch.float64)
        images = images + noise * images.norm(dim=0) * disturbance / disturbance.norm(dim=0)
        return Problem(bumps, images, (source, target), true_map, all_distances(pair.source))

    @property
    def eigenvalues(self) -> tuple[Tensor, Tensor]:
        source, target = (basis.eigenvalues for basis in self.bases)
        assert source is not None
        assert target is not None
        return source, target

    def raw_map(self) -> Tensor:
        """The least-squares map without any mask, ``(k, k)``."""
        return self.solve(None)

    def solve(self, penalty: Tensor | None) -> Tensor:
        """The map under a mask, weights included; a batch of masks gives a batch of maps."""
        return maps.solve_functional_map(self.source_coefficients, self.target_coefficients, mask=penalty)

    def errors(self, functional_map: Tensor) -> tuple[float, float]:
        """Relative error of the map, and mean geodesic error of its point map."""
        relative = float((functional_map - self.true_map).norm() / self.true_map.norm())
        found = maps.functional_to_point(functional_map, *self.bases)
        return relative, 100 * float(self.distances[found, torch.arange(len(found))].mean())


def all_distances(mesh: Mesh) -> Tensor:
    """Geodesic distances ``(n, n)`` of a small mesh."""
    return geodesic_distances(mesh, torch.arange(mesh.n_points))


def tikhonov(problem: Problem) -> Tensor:
    return torch.ones_like(problem.true_map)


def laplacian(problem: Problem) -> Tensor:
    return maps.laplacian_mask(*problem.eigenvalues)


def resolvent(problem: Problem) -> Tensor:
    return maps.resolvent_mask(*problem.eigenvalues)


@dataclass(frozen=True)
class Outcome:
    """What a mask gives over a set of problems: mean errors of the map and of the point map, and the weight."""

    relative: float
    point: float
    weight: float

    def to_dict(self) -> dict[str, Any]:
        return {"relative": self.relative, "point": self.point, "weight": self.weight}


def best(problems: Sequence[Problem], mask: Mask, weights: Tensor = WEIGHTS) -> Outcome:
    """The mean errors over the problems at the one weight whose maps are nearest to the truth: an upper bound, for every mask alike."""
    table = torch.empty(len(problems), len(weights), 2, dtype=torch.float64)
    for row, problem in zip(table, problems, strict=True):
        penalty = weights[:, None, None] * mask(problem).double()
        row[:] = torch.tensor([problem.errors(found) for found in problem.solve(penalty)])
    relative, point = table.mean(dim=0).unbind(dim=1)
    chosen = int(relative.argmin())
    return Outcome(float(relative[chosen]), float(point[chosen]), float(weights[chosen]))


def compare(problems: Sequence[Problem], masks: Mapping[str, Mask]) -> dict[str, Outcome]:
    """Every mask on the same problems."""
    return {name: best(problems, mask) for name, mask in masks.items()}


#: Claims of the note for families A and B: point errors of a distilled mask against Laplacian and resolvent.
CLAIM = "distilled .0288 / .0372 on A / B (Euclidean), Laplacian .0351 / .0458, resolvent .0440 / .0537, Tikhonov .0356 / .0439"


def noisy_descriptors(setting: Setting) -> Iterator[Row]:
    """The note's families, unseen by the shipped prior: the distilled mask against the named ones, and the Gaussian prior's."""
    prior = FunctionalMapPrior.pretrained().to(setting.device)
    n = QUICK_PAIRS if setting.quick else PAIRS
    masks: dict[str, Mask] = {
        "Tikhonov": tikhonov,
        "Laplacian": laplacian,
        "resolvent": resolvent,
        "Gaussian": lambda problem: prior.mask(problem.raw_map().to(prior.mean), estimator="analytic").to(problem.true_map),
        "distilled": lambda problem: prior.mask(problem.raw_map().to(prior.mean)).to(problem.true_map),
    }
    for name, bumps in FAMILIES.items():
        bodies = bumpy_bodies(bumps, n + 1, seed=2 * setting.seed + 1)
        generator = setting.generator()
        problems = [Problem.of(Pair.registered(f"{name} {i}", a, b), generator) for i, (a, b) in enumerate(pairwise(bodies))]
        found = compare(problems, masks)
        distilled = found["distilled"].point
        checks = [Check(f"point error / {other}", distilled / found[other].point, "at most", 0.9) for other in ("Laplacian", "resolvent")]
        checks.append(Check("point error / Gaussian", distilled / found["Gaussian"].point, "at most", 1.0))
        ours = "relative error of the map, point error x 100: "
        ours += "; ".join(f"{mask} {outcome.relative:.3f}, {outcome.point:.2f}" for mask, outcome in found.items())
        size = f"{n} pairs, {DESCRIPTORS} descriptors, noise {NOISE:g}, k = {K}"
        numbers = {mask: outcome.to_dict() for mask, outcome in found.items()}
        images = {mask: make(problems[0]).cpu() for mask, make in masks.items() if mask != "Tikhonov"}
        what = f"maps from noisy descriptors, family {name}: each mask at the weight that is best for it"
        yield Row(f"masks {name}", what, CLAIM, tuple(checks), ours, size, numbers=numbers, exhibit=Masks(problems[0].true_map, images))
