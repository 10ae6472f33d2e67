"""The last refinement of a map: bend each shape elastically onto the other, and look for nearest points in space."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log10
from typing import Any

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, problem
from ..factor import SparsePattern
from ..laplacians import Laplacian
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .conversion import checked_point_map

#: Lengths over which the shapes stay rigid, from the first step to the last, over the square root of the area.
LENGTHS = (0.1, 0.01)
#: Steps of :func:`elastic_refinement`: alternations of bending and search.
STEPS = 8
#: Two opposite normals count as points at most twice this far apart, over the square root of the area, and by less where normals
#: differ more from shape to shape than positions, whose scatter is this much.
NORMAL, SCATTER = 0.1, 0.02
#: Local scales come from so many rings of neighbours, and lie between the inverse of the most and the most.
WIDENINGS, MOST_SCALE = 10, 2.0
#: So much of the moments of the next ring counts for a point's rotation, and so many rings.
BESIDE, RINGS = 0.01, 4
#: Local rotations and positions are solved for in turn, so many times a step.
ROUNDS = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class ElasticPair:
    """What :func:`elastic_refinement` returns.

    ``target_to_source (n_t,)`` and ``source_to_target (n_s,)`` int64; ``source_on_target (n_s, 3)``, the points of the source bent
    onto the target, and ``target_on_source (n_t, 3)``, both in the units and the place of the shape that they lie on; ``record``.
    """

    target_to_source: Tensor
    source_to_target: Tensor
    source_on_target: Tensor
    target_on_source: Tensor
    record: dict[str, Any] = field(default_factory=dict)


def elastic_refinement(
    target_to_source: Tensor,
    source_to_target: Tensor,
    source: Mesh | PointCloud,
    target: Mesh | PointCloud,
    source_laplacian: Laplacian,
    target_laplacian: Laplacian,
    *,
    steps: int = STEPS,
    lengths: tuple[float, float] = LENGTHS,
    normal: float = NORMAL,
) -> ElasticPair:
    """Sharpen a map that is right in the large, by what spectral coordinates cannot see: that shapes bend more easily than they stretch.

    Each shape is bent onto the other: positions ``y`` minimise
    ``sum_i m_i |y_i - x_T(i)|^2 + l^2 sum_ij w_ij |y_i - y_j - R_ij (x_i - x_j)|^2 / 2``, with ``m`` and ``w`` the mass and the
    weights of its Laplacian and ``R`` rotations that are fitted in turn, as rigid as possible (Sorkine and Alexa 2007), but that
    they scale by a factor that varies slowly, since one animal's head is larger than another's. Then both maps are searched anew among
    positions on both shapes at once and normals, so that each point has one place for either direction; ``l`` falls geometrically.

    Parameters
    ----------
    target_to_source, source_to_target : the maps to start from, ``(n_t,)`` and ``(n_s,)`` int64, right up to a tenth of the square
        root of the area or so; a mirrored or a torn map stays what it is.
    source, target : in three dimensions, in any units and poses. A cloud's normals are used where both shapes have some.
    source_laplacian, target_laplacian : of the shapes, in their units; negative weights count as none.
    steps : at least 1. lengths : the first and the last ``l``, over the square root of the area. normal : the most that normals weigh;
        0 for none.

    Cost: a sparse factor of each shape and ``4 steps`` solves; 0.1 s of one core a step at 5,000 points, linear in the points. Runs on
    the CPU in float64.
    """
    if steps < 1:
        raise ArgumentError(problem("steps", "at least 1", steps))
    if not (lengths[0] >= lengths[1] > 0):
        raise ArgumentError(problem("lengths", "two positive numbers, the first not the smaller", lengths))
    if not normal >= 0:
        raise ArgumentError(problem("normal", "a number that is not negative", normal))
    shapes = {"source": source, "target": target}
    for (name, shape), laplacian in zip(shapes.items(), (source_laplacian, target_laplacian), strict=True):
        if shape.points.shape[1] != 3:
            raise ArgumentError(problem(name, "points in three dimensions", tuple(shape.points.shape)))
        if laplacian.n_points != shape.n_points:
            raise ArgumentError(problem(f"{name}_laplacian", f"that of the {shape.n_points} points of the {name}", repr(laplacian)))
    to_source = checked_point_map("target_to_source", target_to_source, target.n_points, source.n_points).cpu()
    to_target = checked_point_map("source_to_target", source_to_target, source.n_points, target.n_points).cpu()
    bodies = [_Body.of(shape, laplacian) for shape, laplacian in ((source, source_laplacian), (target, target_laplacian))]
    first, second = bodies
    normals = None if normal == 0 or first.normals is None or second.normals is None else (first.normals, second.normals)
    on_target, on_source = second.rest[to_target], first.rest[to_source]
    moved = []
    for length in torch.logspace(log10(lengths[0]), log10(lengths[1]), steps, dtype=torch.float64).tolist():
        on_target, turned_source = first.bent(second.rest[to_target], on_target, length)
        on_source, turned_target = second.bent(first.rest[to_source], on_source, length)
        here, there = [first.rest, on_target], [on_source, second.rest]
        if normals is not None:
            facing = _directions(turned_source, normals[0])
            weight = min(normal, SCATTER / max(float((facing - normals[1][to_target]).norm(dim=1).median()), 1e-12))
            here += [weight * normals[0], weight * facing]
            there += [weight * _directions(turned_target, normals[1]), weight * normals[1]]
        of_source, of_target = torch.cat(here, dim=1), torch.cat(there, dim=1)
        before = to_source
        to_source, to_target = ops.knn(of_target, of_source, 1)[1][:, 0], ops.knn(of_source, of_target, 1)[1][:, 0]
        moved.append(float((first.rest[to_source] - first.rest[before]).norm(dim=1).mean()))
    record = {"method": "elastic", "steps": steps, "lengths": list(lengths), "normals": normals is not None, "moved": moved}
    return ElasticPair(
        target_to_source=to_source.to(target_to_source.device),
        source_to_target=to_target.to(source_to_target.device),
        source_on_target=second.given(on_target, target),
        target_on_source=first.given(on_source, source),
        record=record,
    )


@dataclass(frozen=True, eq=False)
class _Body:
    """A shape at unit area as a net of springs: rest positions, who hangs on whom by how much, the factor's pattern."""

    rest: Tensor
    normals: Tensor | None
    mass: Tensor
    size: Tensor
    rows: Tensor
    columns: Tensor
    weights: Tensor
    pattern: SparsePattern
    values: Tensor

    @staticmethod
    def of(shape: Mesh | PointCloud, laplacian: Laplacian) -> _Body:
        wide = laplacian.in_float64().to("cpu")
        area = wide.mass.sum()
        crow, columns, values = wide.stiffness.crow_indices(), wide.stiffness.col_indices(), wide.stiffness.values()
        rows = torch.repeat_interleave(torch.arange(len(wide.mass)), crow.diff())
        pattern = SparsePattern(crow, columns)
        weights = torch.where(rows == columns, 0, -values).clamp(min=0)
        values = (-weights).index_add(0, pattern.diagonal, torch.zeros_like(wide.mass).index_add(0, rows, weights))
        normals = shape.vertex_normals if isinstance(shape, Mesh) else shape.normals
        normals = None if normals is None else normals.detach().cpu().double()
        rest = shape.points.detach().cpu().double() / area.sqrt()
        hung = weights > 0
        return _Body(rest, normals, wide.mass / area, area.sqrt(), rows[hung], columns[hung], weights[hung], pattern, values)

    def given(self, points: Tensor, shape: Mesh | PointCloud) -> Tensor:
        """Positions at unit area in the units and the type of the shape."""
        return (points * self.size).to(shape.points)

    def bent(self, wanted: Tensor, start: Tensor, length: float) -> tuple[Tensor, Tensor]:
        """Positions ``(n, 3)`` near the wanted ones, reached as rigidly as possible, and the rotations ``(n, 3, 3)``."""
        values = length**2 * self.values
        values[self.pattern.diagonal] += self.mass
        factor = self.pattern.factor(values)
        edges = self.rest[self.rows] - self.rest[self.columns]
        pulled = self.mass[:, None] * wanted
        positions = start
        for _ in range(ROUNDS):
            rotations = self._similarities(positions, edges)
            turned = _turn((rotations[self.rows] + rotations[self.columns]) / 2, edges)
            forces = torch.zeros_like(positions).index_add_(0, self.rows, self.weights[:, None] * turned)
            positions = factor.solve(pulled + length**2 * forces)
        return positions, self._similarities(positions, edges)

    def _similarities(self, positions: Tensor, edges: Tensor) -> Tensor:
        """The rotation and scale that best carry the edges at each point to what they have become; scales from a wider neighbourhood."""
        now = positions[self.rows] - positions[self.columns]
        outer = (self.weights[:, None] * now)[:, :, None] * edges[:, None, :]
        moments = outer.new_zeros(len(positions), 3, 3).index_add_(0, self.rows, outer)
        hold = self._sum(self.weights)
        # Where a map sends a whole neighbourhood to one point or a line, its own edges leave the rotation open: the rings around decide.
        for _ in range(RINGS):
            beside = (self.weights / hold[self.rows])[:, None, None] * moments[self.columns]
            moments = moments + BESIDE * torch.zeros_like(moments).index_add_(0, self.rows, beside)
        u, _, vh = torch.linalg.svd(moments)
        sign = torch.linalg.det(u @ vh)  # of +-1: a reflection is turned into the nearest rotation by its weakest direction
        u = torch.cat([u[:, :, :2], u[:, :, 2:] * sign[:, None, None]], dim=2)
        rotations = u @ vh
        kept = self._sum(self.weights * (_turn(rotations[self.rows], edges) * now).sum(dim=1))
        before = self._sum(self.weights * edges.square().sum(dim=1))
        for _ in range(WIDENINGS):
            kept, before = (x + self._sum(self.weights * x[self.columns]) / hold for x in (kept, before))
        return (kept / before).clamp(1 / MOST_SCALE, MOST_SCALE)[:, None, None] * rotations

    def _sum(self, of_edges: Tensor) -> Tensor:
        """Sums over the edges at each point, ``(n,)``."""
        return torch.zeros_like(self.mass).index_add(0, self.rows, of_edges)


def _directions(similarities: Tensor, normals: Tensor) -> Tensor:
    return torch.nn.functional.normalize(_turn(similarities, normals), dim=1)


def _turn(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices @ vectors[:, :, None])[:, :, 0]
