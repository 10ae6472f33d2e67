"""Two families of bumpy bodies with known maps, as the note of this project makes them, and pairs of shapes as the runs take them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ... import maps
from ...bases import LaplaceBasis, SampledBasis
from ...datasets import ShapePair, load_pairs
from ...errors import ArgumentError, FileFormatError, problem
from ...geodesics import geodesic_distances
from ...shapes import Mesh
from ...testing import icosphere

#: Bumps of the note's families. Neither is among those that the shipped prior was trained on.
FAMILIES = {"A": 5, "B": 7}
#: How much a shape of a family differs from the others: direction, amplitude and axes of its bumps, twist in radians a unit of height.
JITTER, SWELL, STRETCH, TWIST = 0.18, 0.08, 0.05, 0.3


@dataclass(frozen=True, eq=False)
class Pair:
    """Two shapes of unit area and what is known: ``truth`` as :func:`geospec.maps.geodesic_error` takes it, ``mirrored`` likewise."""

    name: str
    source: Mesh
    target: Mesh
    truth: tuple[Tensor, Tensor]
    mirrored: tuple[Tensor, Tensor] | None = None

    @staticmethod
    def of(pair: ShapePair, points: int, seed: int = 0) -> Pair:
        """A pair from disk; errors are counted at ``points`` of its known correspondences, the same ones for truth and mirror."""
        source, target = pair.load()
        if not isinstance(source, Mesh) or not isinstance(target, Mesh):
            raise ArgumentError(problem(f"pair {pair.name}", "two meshes", f"{source!r} and {target!r}"))
        chosen = torch.randperm(len(pair.correspondence[0]), generator=torch.Generator().manual_seed(seed))[:points]
        known = [None if index is None else (index[1][chosen], index[0][chosen]) for index in (pair.correspondence, pair.symmetric)]
        assert known[0] is not None
        return Pair(pair.name, unit_area(source), unit_area(target), known[0], known[1])

    @staticmethod
    def registered(name: str, source: Mesh, target: Mesh) -> Pair:
        """Two meshes of one vertex order, whose map is the identity."""
        same = torch.arange(source.n_points)
        return Pair(name, unit_area(source), unit_area(target), (same, same))

    def bases(self, k: int) -> tuple[SampledBasis, SampledBasis]:
        source, target = (LaplaceBasis.fit(shape, k) for shape in (self.source, self.target))
        return source, target

    @cached_property
    def _distances(self) -> list[tuple[Tensor, Tensor]]:
        """For truth and mirror: the target points, and the distances ``(m, n_s)`` of all source points from their true images."""
        known = [self.truth] if self.mirrored is None else [self.truth, self.mirrored]
        return [(on_target, geodesic_distances(self.source, on_source)) for on_target, on_source in known]

    def errors(self, target_to_source: Tensor) -> Tensor:
        """Geodesic error at each known point, in hundredths of the root of the area, ``(m,)``."""
        return self.both_errors(target_to_source)[0]

    def mean_errors(self, target_to_source: Tensor) -> tuple[float, float]:
        """Mean error against the truth, and against the nearer of truth and mirror."""
        means = [float(errors.mean()) for errors in self.both_errors(target_to_source)]
        return means[0], min(means)

    def both_errors(self, target_to_source: Tensor) -> list[Tensor]:
        """The errors against the truth and, where it is known, against its mirror, ``(m,)`` each."""
        return [100 * rows.gather(1, target_to_source[points][:, None])[:, 0] for points, rows in self._distances]


def unit_area(shape: Mesh) -> Mesh:
    """The mesh in float64, scaled to area one and moved so that its centre of area is the origin."""
    vertices = shape.vertices.double()
    areas = shape.measure.double()
    centre = (areas[:, None] * vertices).sum(dim=0) / areas.sum()
    return Mesh((vertices - centre) / areas.sum().sqrt(), shape.faces)


def bumpy_bodies(bumps: int, n: int, *, seed: int = 0, level: int = 3) -> list[Mesh]:
    """``n`` shapes of one family and one vertex order: an icosphere with ``bumps`` bumps, of unit area.

    The family's bumps have fixed random directions, heights and widths; a shape moves and swells them a little, stretches the axes and
    twists about the vertical. Bumps differ from one another, so that no shape is symmetric.
    """
    sphere = icosphere(level)
    family = torch.Generator().manual_seed(1000 + bumps)
    directions = _spread_directions(bumps, family)
    heights = 0.35 + 0.5 * torch.rand(bumps, generator=family, dtype=torch.float64)
    widths = 0.3 + 0.25 * torch.rand(bumps, generator=family, dtype=torch.float64)
    own = torch.Generator().manual_seed(seed)
    draw = lambda *size: torch.randn(*size, generator=own, dtype=torch.float64)  # noqa: E731
    shapes = []
    for _ in range(n):
        moved = torch.nn.functional.normalize(directions + JITTER * draw(bumps, 3), dim=1)
        bump = torch.exp((sphere.vertices @ moved.T - 1) / widths.square())
        vertices = sphere.vertices * (1 + bump @ (heights * (1 + SWELL * draw(bumps))))[:, None] * (1 + STRETCH * draw(3))
        angle = TWIST * draw(1) * vertices[:, 2]
        x, y = vertices[:, 0], vertices[:, 1]
        turned = torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y, vertices[:, 2]], dim=1)
        shapes.append(unit_area(Mesh(turned, sphere.faces)))
    return shapes


def _spread_directions(n: int, generator: torch.Generator) -> Tensor:
    """Unit vectors ``(n, 3)``, drawn one by one, each the farthest of 20 from those before it."""
    found = torch.zeros(0, 3, dtype=torch.float64)
    for _ in range(n):
        tried = torch.nn.functional.normalize(torch.randn(20, 3, generator=generator, dtype=torch.float64), dim=1)
        nearest = (tried @ found.T).amax(dim=1) if len(found) else torch.zeros(20, dtype=torch.float64)
        found = torch.cat([found, tried[nearest.argmin()][None]])
    return found


def true_maps(shapes: Sequence[Mesh], k: int) -> Tensor:
    """The true maps ``(2 n, k, k)`` of shapes of one vertex order, each from the one before it and back, in a circle; float64."""
    bases = [LaplaceBasis.fit(shape, k) for shape in shapes]
    same = torch.arange(bases[0].n)
    around = [(basis, bases[(i + 1) % len(bases)]) for i, basis in enumerate(bases)]
    return torch.stack([maps.point_to_functional(same, a, b) for pair in around for a, b in (pair, pair[::-1])])


def collections(folder: Path) -> dict[str, list[ShapePair]]:
    """The pairs with ground truth in a folder, or in the folders in it and in those, by the folder's name.

    A pair of different animals is taken both ways.
    """
    found: dict[str, list[ShapePair]] = {}
    for place in [folder, *sorted(path for depth in ("*", "*/*") for path in folder.glob(depth) if path.is_dir())]:
        try:
            known = load_pairs(place)
        except FileFormatError:  # a folder of something else
            continue
        found[place.name] = [side for pair in known for side in ([pair] if of_one_class(pair) else [pair, turned(pair)])]
    if not found:
        raise ArgumentError(problem("data", "a folder with pairs of shapes and their correspondence", f"none in {folder}"))
    return found


def of_one_class(pair: ShapePair) -> bool:
    """Whether the names of both shapes begin with the same letters, as poses of one body do in the field's collections."""
    source, target = (re.match(r"[A-Za-z]*", path.stem) for path in (pair.source, pair.target))
    assert source is not None
    assert target is not None
    return source[0] == target[0]


def turned(pair: ShapePair) -> ShapePair:
    """The pair with source and target exchanged."""
    source, target = pair.name.split()
    symmetric, landmarks = (None if known is None else known[::-1] for known in (pair.symmetric, pair.landmarks))
    return ShapePair(f"{target} {source}", pair.target, pair.source, pair.correspondence[::-1], symmetric, landmarks)
