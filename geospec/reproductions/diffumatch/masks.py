"""Maps solved from few and noisy descriptors under different masks, on shapes whose map is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ... import maps
from ...bases import SampledBasis
from ...geodesics import geodesic_distances
from ...shapes import Mesh
from .shapes import Pair

#: Modes, descriptors and their relative noise, as the note has them; and the weights tried for each mask.
K, DESCRIPTORS, NOISE = 30, 24, 0.25
#: How wide a bump is: the time of its heat in units of one over the last eigenvalue.
HEAT = 3.0
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
