"""Points on a surface: independent ones, spread by area, or a Poisson-disk set that keeps its distance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, ConvergenceError, ShapeError, one_of, problem
from .cloud import PointCloud
from .mesh import Mesh

#: Candidates per wanted point of a Poisson-disk set; more of them fill gaps better and cost in proportion.
CANDIDATES = 30
#: Area per point of a random maximal set of disks of diameter r is about r^2 / 0.70 (random sequential
#: packing covers 0.547 of the plane with disks of half that radius: 0.547 * 4 / pi = 0.70).
PACKING = 0.70


@dataclass(frozen=True, eq=False)
class SurfaceSample:
    """Points of a surface and where on it they lie.

    Attributes
    ----------
    cloud : the points, with the normals of their faces; differentiable in the mesh's vertices.
    face : (m,) int64 face of each point.
    corners : (m, 3) int64 vertices of that face.
    barycentric : (m, 3) weights of the corners, non-negative, summing to 1.
    radius : smallest distance between two points that was guaranteed; 0 for independent points.
    """

    cloud: PointCloud
    face: Tensor
    corners: Tensor
    barycentric: Tensor
    radius: float

    def interpolate(self, values: Tensor) -> Tensor:
        """Values at the vertices ``(n, ...)`` carried linearly to the points ``(m, ...)``; differentiable."""
        return torch.einsum("mc,mc...->m...", self.barycentric.to(values), values[self.corners])


def sample_surface(
    mesh: Mesh, n: int, *, method: str = "uniform", seed: int = 0, generator: torch.Generator | None = None
) -> SurfaceSample:
    """Draw ``n`` points of a mesh.

    Parameters
    ----------
    n : number of points.
    method : ``"uniform"`` draws independent points, equally likely everywhere on the surface.
        ``"poisson-disk"`` draws points no two of which are nearer than ``radius`` in space (not along the
        surface) and of which hardly one more would fit: darts thrown among ``30 n`` uniform candidates, with the
        largest radius that leaves ``n``.
    seed, generator : what the points depend on, and nothing else does: the same on every device.

    Raises
    ------
    ShapeError : the mesh has no area.

    Cost: ``O(f + n log f)``; ``poisson-disk`` a few neighbour searches among ``30 n`` candidates, about two
    seconds for 10,000 points.

    Source: dart throwing, R. L. Cook, Stochastic Sampling in Computer Graphics, 1986, section 4.
    """
    one_of("method", method, ("uniform", "poisson-disk"))
    if n < 1:
        raise ArgumentError(problem("n", "at least 1", n))
    if generator is None:
        generator = torch.Generator().manual_seed(seed)
    face, barycentric = _uniform(mesh, n if method == "uniform" else CANDIDATES * n, generator)
    radius = 0.0
    if method == "poisson-disk":
        candidates = torch.einsum("mc,mcd->md", barycentric, mesh.vertices.detach().cpu().double()[mesh.faces.cpu()[face]])
        chosen, radius = _poisson_disk(candidates.numpy(), n, float(mesh.area.detach()))
        face, barycentric = face[chosen], barycentric[chosen]
    face, barycentric = face.to(mesh.vertices.device), barycentric.to(mesh.vertices)
    corners = mesh.faces[face]
    points = torch.einsum("mc,mcd->md", barycentric, mesh.vertices[corners])
    return SurfaceSample(PointCloud(points, mesh.face_normals[face]), face, corners, barycentric, radius)


def _uniform(mesh: Mesh, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces by inverting the summed areas, then ``(1 - sqrt(u), sqrt(u) (1 - v), sqrt(u) v)`` (R. Osada et al., 2002)."""
    summed = mesh.face_areas.detach().cpu().double().cumsum(dim=0)
    if len(summed) == 0 or summed[-1] <= 0:
        raise ShapeError(problem("mesh", "a surface with area", f"{len(summed)} faces of area 0"))
    draw, u, v = torch.rand(3, n, generator=generator, dtype=torch.float64)
    # "right" steps over faces without area, and rounding must not lead past the last face that has some.
    face = torch.searchsorted(summed, draw * summed[-1], right=True).clamp(max=int(torch.searchsorted(summed, summed[-1])))
    root = u.sqrt()
    return face, torch.stack([1 - root, root * (1 - v), root * v], dim=1)


def _poisson_disk(candidates: np.ndarray, n: int, area: float) -> tuple[Tensor, float]:
    """The first ``n`` darts of the radius that leaves at least ``n`` and at most one in a hundred more."""
    from scipy.spatial import cKDTree

    tree = cKDTree(candidates)
    radius, low, high = math.sqrt(PACKING * area / n), 0.0, math.inf
    for _ in range(40):
        darts = _throw(len(candidates), tree.query_pairs(radius, output_type="ndarray"))
        if n <= len(darts) <= n + max(1, n // 100):
            return torch.from_numpy(darts[:n]), radius
        low, high = (radius, high) if len(darts) > n else (low, radius)
        # The count falls with the radius squared; bisection takes over where that aims outside the bracket.
        guess = radius * math.sqrt(len(darts) / (n + n / 200))
        radius = guess if low < guess < high else (low + min(high, 2 * low + radius)) / 2
    raise ConvergenceError(f"poisson-disk: no radius leaves {n} points: {len(darts)} at {radius:.6g}; is the surface a few tiny pieces?")


def _throw(count: int, near: np.ndarray) -> np.ndarray:
    """Darts ``0..count-1`` thrown in order: those that no earlier dart on the board is near to, ascending.

    Each round lands every dart whose nearer predecessors have all been turned down, then turns down their
    neighbours: the sequential result, in about ``log(count)`` rounds.
    """
    waiting, landed = np.ones(count, bool), np.zeros(count, bool)
    near = np.sort(near, axis=1)
    while waiting.any():
        blocked = np.zeros(count, bool)
        blocked[near[:, 1]] = True
        now = waiting & ~blocked
        landed |= now
        waiting &= ~now
        waiting[near[now[near[:, 0]], 1]] = False
        near = near[waiting[near[:, 0]] & waiting[near[:, 1]]]
    return np.flatnonzero(landed)
