"""How one shape may lie on another: rotations of frames, improved by closest points, best first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations, product

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ShapeError, one_of, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh

FRAMES = ("principal", "given", "both")
#: Samples of each shape that candidates are compared on.
N_SAMPLES = 300
#: Rounds of closest points for each candidate.
ICP_STEPS = 5
#: Two opposite normals count as points this far apart, in units of the square root of the area.
OPPOSITE = 0.2
#: Candidates closer than this turn of one another, in degrees, are one.
APART = 20.0


@dataclass(frozen=True, eq=False)
class Alignments:
    """Candidate motions ``x -> rotation (x - source_centre) scale + target_centre`` from a source to a target, best first.

    Attributes
    ----------
    rotations : (h, 3, 3) orthogonal; of determinant -1 where reflections were asked for.
    residuals : (h,) root mean square distance of samples to the nearest of the other shape, over both directions, in units of
        the square root of the target's area; normals, where both shapes have them, count as further coordinates.
    source_centre, target_centre : (3,) centroids of the areas. ``scale`` : of lengths, target over source.
    """

    rotations: Tensor
    residuals: Tensor
    source_centre: Tensor
    target_centre: Tensor
    scale: float

    def __len__(self) -> int:
        return len(self.rotations)

    def __call__(self, points: Tensor, candidate: int = 0) -> Tensor:
        """Move points ``(n, 3)`` of the source by one of the candidates."""
        centred = (points - self.source_centre.to(points)) * self.scale
        return centred @ self.rotations[candidate].to(points).T + self.target_centre.to(points)


def rigid_alignments(
    source: Mesh | PointCloud,
    target: Mesh | PointCloud,
    *,
    frames: str = "principal",
    reflections: bool = False,
    icp_steps: int = ICP_STEPS,
    n_samples: int = N_SAMPLES,
) -> Alignments:
    """The ways in which the source may lie on the target, whatever frames the two come in; at least one.

    Both shapes are brought to unit area about the centroid of their area. Candidates carry the principal axes of the source to those of
    the target, in each of the 24 right-handed orders and directions: so the list turns with either shape. The axes as
    given add the 24 rotations by right angles, for shapes that share an upright. Each is improved by a few rounds of
    closest points; those that then agree to 20 degrees are one. A cloud without weights knows no area: then both shapes are brought
    to unit root mean square distance from the centroid.

    Parameters
    ----------
    source, target : in three dimensions, with at least four points.
    frames : ``"principal"``, ``"given"`` or ``"both"``.
    reflections : also the mirror image of every candidate, 48 in place of 24.
    icp_steps : rounds of closest points; 0 leaves the candidates as they are.
    n_samples : points of each shape that are compared, spread by :func:`geospec.ops.farthest_points`.

    Cost: ``O(n log n)`` for the samples; ``48 n_samples^2`` distances a round, about 0.1 s of one core in all.
    """
    one_of("frames", frames, FRAMES)
    for name, shape in (("source", source), ("target", target)):
        if not isinstance(shape, Mesh | PointCloud):
            raise ArgumentError(problem(name, "a Mesh or a PointCloud", type(shape).__name__))
        if shape.points.shape[1] != 3 or shape.n_points < 4:
            raise ShapeError(problem(name, "at least four points in three dimensions", tuple(shape.points.shape)))
    if n_samples < 4 or icp_steps < 0:
        raise ArgumentError(problem("n_samples, icp_steps", "at least 4, at least 0", (n_samples, icp_steps)))
    knows_area = all(isinstance(shape, Mesh) or shape.weights is not None for shape in (source, target))
    placed = [
        Placed.of(shape.points.detach(), shape.measure.detach(), _normals(shape), _size(shape) if knows_area else None)
        for shape in (source, target)
    ]
    with_normals = all(part.normals is not None for part in placed)
    samples = [part.at(ops.farthest_points(part.points, min(n_samples, len(part.points))), with_normals) for part in placed]
    starts = start_rotations(placed[0].frame, placed[1].frame, frames, reflections)
    rotations, residuals, _ = settle(samples[0], samples[1], starts, icp_steps)
    order = distinct(rotations, residuals)
    first, second = placed
    return Alignments(rotations[order], residuals[order], first.centre, second.centre, float(second.size / first.size))


def _normals(shape: Mesh | PointCloud) -> Tensor | None:
    normals = shape.vertex_normals if isinstance(shape, Mesh) else shape.normals
    return None if normals is None else normals.detach()


def _size(shape: Mesh | PointCloud) -> Tensor:
    return shape.measure.detach().sum().sqrt()


@dataclass(frozen=True, eq=False)
class Placed:
    """A shape about its centroid and at unit size: points ``(n, 3)``, normals, principal ``frame (3, 3)`` with its axes as columns, the
    longest first, right-handed; and where and how large it was."""

    points: Tensor
    normals: Tensor | None
    frame: Tensor
    centre: Tensor
    size: Tensor

    @staticmethod
    def of(points: Tensor, measure: Tensor, normals: Tensor | None, size: Tensor | None = None) -> Placed:
        """``size`` is the length that becomes one; by default the root mean square distance from the centroid."""
        points, share = points.double(), (measure / measure.sum()).double()
        centre = share @ points
        centred = points - centre
        size = (share @ centred.square().sum(dim=1)).sqrt() if size is None else size.double()
        frame = torch.linalg.eigh(centred.T @ (share[:, None] * centred)).eigenvectors.flip(1)
        frame[:, 2] = torch.linalg.cross(frame[:, 0], frame[:, 1])
        return Placed(centred / size, None if normals is None else normals.double(), frame, centre, size)

    def at(self, index: Tensor, normals: bool) -> Tensor:
        """Points and, as further coordinates, normals at some of the points: ``(m, 3)`` or ``(m, 6)``."""
        if not normals or self.normals is None:
            return self.points[index]
        return torch.cat([self.points[index], OPPOSITE / 2 * self.normals[index]], dim=1)


def right_angles(like: Tensor, halves: bool = False) -> Tensor:
    """The 24 rotations that carry the axes to one another, ``(24, 3, 3)``; ``halves`` adds to each half a right angle about
    one of the axes, 96 in all."""
    eye = torch.eye(3, dtype=like.dtype, device=like.device)
    orders = torch.stack([eye[list(order)] for order in permutations(range(3))])
    signs = torch.tensor(list(product((1.0, -1.0), repeat=3)), dtype=like.dtype, device=like.device)
    signed = (signs[:, None, :, None] * orders).flatten(0, 1)
    turns = signed[torch.linalg.det(signed) > 0]
    if not halves:
        return turns
    eighths = eye.repeat(4, 1, 1)
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        eighths[1 + axis, [i, j], [i, j]] = 0.5**0.5
        eighths[1 + axis, i, j], eighths[1 + axis, j, i] = -(0.5**0.5), 0.5**0.5
    return (turns @ eighths[:, None]).flatten(0, 1)


def start_rotations(source: Tensor, target: Tensor, frames: str, reflections: bool) -> Tensor:
    """Rotations ``(h, 3, 3)`` by right angles between the principal frames ``(3, 3)`` of two shapes, about the given axes, or both."""
    turns = right_angles(source)
    principal = target @ turns @ source.T
    starts = {"principal": principal, "given": turns, "both": torch.cat([principal, turns])}[frames]
    return torch.cat([starts, -starts]) if reflections else starts


def best_rotations(covariance: Tensor, handed: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """The orthogonal ``R (h, 3, 3)`` of determinant ``handed`` that make ``tr(R^T covariance)`` largest, and that trace ``(h,)``."""
    u, values, vh = torch.linalg.svd(covariance)
    last = torch.ones_like(values)
    last[:, 2] = handed * torch.linalg.det(u @ vh).sign()
    return u @ (last[:, :, None] * vh), (last * values).sum(dim=1)


def turned(samples: Tensor, rotations: Tensor) -> Tensor:
    """Points ``(m, 3)``, with normals ``(m, 6)``, under each of the rotations: ``(h, m, 3 or 6)``."""
    return torch.cat([block @ rotations.mT for block in samples.split(3, dim=-1)], dim=-1)


def settle(source: Tensor, target: Tensor, rotations: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Closest points, then the best rotation about the centroid, ``steps`` times, for all candidates at once.

    ``source (m, 3 or 6)``, ``target (m', 3 or 6)`` : points and weighted normals, ``rotations (h, 3, 3)``, whose determinants are kept.
    Both shapes look for partners. Returns rotations, residuals ``(h,)``, and the nearest source sample of each target sample ``(h, m')``.
    """
    handed = torch.linalg.det(rotations).sign()
    for _ in range(steps):
        squared = _squared_distances(source, target, rotations)
        to_target, to_source = squared.argmin(dim=2), squared.argmin(dim=1)
        both = target[to_target].mT @ source + target.T @ source[to_source]
        # Points and normals turn alike: each has a block of its own on the diagonal.
        blocks = [both[:, i : i + 3, i : i + 3] for i in range(0, source.shape[1], 3)]
        rotations, _ = best_rotations(torch.stack(blocks).sum(dim=0), handed)
    squared = _squared_distances(source, target, rotations)
    nearest = squared.min(dim=1)
    residuals = ((nearest.values.mean(dim=1) + squared.amin(dim=2).mean(dim=1)) / 2).sqrt()
    return rotations, residuals, nearest.indices


def _squared_distances(source: Tensor, target: Tensor, rotations: Tensor) -> Tensor:
    """``(h, m, m')``, of the turned source samples to the target's."""
    moved = turned(source, rotations)
    return (moved.square().sum(dim=-1)[:, :, None] - 2 * moved @ target.T + target.square().sum(dim=-1)).clamp(min=0)


def distinct(rotations: Tensor, residuals: Tensor) -> Tensor:
    """Indices by ascending residual, without those within ``APART`` degrees of one before."""
    order = residuals.argsort()
    flat = rotations[order].flatten(1)
    # |R - Q|^2 = 6 - 2 tr(R^T Q), and that trace is 1 + 2 cos of the angle between two of like hand.
    close = torch.cdist(flat, flat).square() <= 4 - 4 * math.cos(math.radians(APART))
    kept: list[int] = []
    for i in range(len(order)):
        if not bool(close[i, kept].any()):
            kept.append(i)
    return order[kept]
