"""Clouds as scanners leave them: seen from some viewpoints only, denser here than there, with noise; ground truth kept.

Every cloud is a :class:`geospec.shapes.SurfaceSample`: each point remembers its face and where on it it lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, ShapeError, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from ..shapes.sampling import SurfaceSample, sample_surface

#: Distances of drawn viewpoints from the middle of the shape, in radii of the ball around it.
NEAREST, FARTHEST = 2.0, 4.0

_BATCHES = 100  # of candidates before a scan that finds nothing gives up
_CELLS_A_FACE = 2.0  # of the grid in the image plane
_SLACK, _SLACK_32 = 1e-9, 1e-5  # by which a face must be nearer than a point to hide it, for float64 and float32
_WAVES = 6
_FIELD = 0x6669656C64  # keeps the field apart from the points drawn with the same seed

Acceptance = Callable[[SurfaceSample, Tensor], Tensor]


def varying_density(mesh: Mesh, n: int, ratio: float = 10.0, seed: int = 0) -> SurfaceSample:
    """``n`` independent points whose density varies smoothly over the whole surface, highest over lowest being ``ratio``.

    The density is that of :func:`density_field` for the same seed, exactly.

    Cost: as ``ratio`` / log ``ratio`` uniform samples; a few milliseconds for 2,000 points.
    """
    return _with_density(mesh, n, density_field(mesh, ratio, seed), _generator(seed))


def density_field(mesh: Mesh, ratio: float, seed: int = 0) -> Tensor:
    """A smooth random density at the vertices ``(n_vertices,)`` float64, between 1 and ``ratio``; linear inside faces.

    Its logarithm is a sum of a few plane waves of about the shape's size, scaled so that the lowest and the highest value are
    met at some vertex.
    """
    if not ratio >= 1 or math.isinf(ratio):
        raise ArgumentError(problem("ratio", "highest over lowest density, a number from 1", ratio))
    points = mesh.vertices.detach().cpu().double()
    used = torch.unique(mesh.faces.cpu())
    if len(used) == 0:
        raise ShapeError(problem("mesh", "a surface with area", "no faces"))
    generator = _generator(seed ^ _FIELD)
    size = float((points[used] - points[used].mean(dim=0)).norm(dim=1).max()) or 1.0
    direction = torch.nn.functional.normalize(torch.randn(3, _WAVES, generator=generator, dtype=torch.float64), dim=0)
    wave, phase = torch.rand(2, _WAVES, generator=generator, dtype=torch.float64)
    height = torch.cos(points / size @ direction * (1 + 2 * wave) + 2 * math.pi * phase).sum(dim=1)
    low, high = height[used].aminmax()
    return ratio ** ((height - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)


def partial_scan(
    mesh: Mesh,
    n: int,
    *,
    seed: int = 0,
    views: int = 1,
    viewpoints: Tensor | None = None,
    density: str | float | Tensor = "scanner",
    noise: float = 0.0,
) -> SurfaceSample:
    """``n`` points of the part of a surface that is seen from some viewpoints.

    A point is seen if no other face lies between it and the viewpoint; both sides of a face count. Drawn viewpoints stand
    around the shape at 2 to 4 radii of the ball around its vertices' mean.

    Parameters
    ----------
    views, viewpoints : how many viewpoints to draw, or the viewpoints themselves ``(v, 3)``, outside that ball.
    density : ``"scanner"``, as a scanner that turns at a steady rate: in proportion to the cosine of the angle between ray and
        normal over the squared distance, summed over the viewpoints that see the point. ``"uniform"``, the same everywhere seen.
        A number from 1: a smooth random density whose highest over lowest value on the whole surface is that. A tensor
        ``(n_vertices,)``: the density at the vertices, linear inside faces.
    noise : standard deviation of a move along the normal, in units of length. ``face`` and ``barycentric`` remain those of
        the point before the move.
    seed : what viewpoints, density and points depend on.

    Raises
    ------
    ArgumentError : a viewpoint inside the ball, or from which nothing is seen. ShapeError : the mesh has no area.

    Cost: for 2,000 points of a mesh of 10,000 faces about 0.03 s a viewpoint.
    """
    generator = _generator(seed)
    eyes = _drawn_viewpoints(mesh, views, generator) if viewpoints is None else viewpoints
    if isinstance(density, int | float):
        density = density_field(mesh, density, seed)
    return _scanner(mesh, eyes, density, noise, generator)(n)


def visible(mesh: Mesh, points: Tensor, viewpoint: Tensor) -> Tensor:
    """Which points ``(m, 3)`` of a surface are seen from ``viewpoint (3,)``: bool ``(m,)``.

    A point is hidden where a face crosses its line of sight nearer to the viewpoint, by more than 1e-9 of the distance, or 1e-5
    for float32: so much lets a point lie on its own face. Exact up to that, by testing each point against the faces that share
    its cell of a grid in the image plane.

    Raises
    ------
    ArgumentError : the viewpoint lies in the ball around the vertices' mean that holds them all.

    Cost: ``O(m + f)`` where faces are of about one size.
    """
    eye = torch.as_tensor(viewpoint).detach().cpu().double()
    if eye.shape != (3,) or not bool(eye.isfinite().all()):
        raise ArgumentError(problem("viewpoint", "(3,) finite position", tuple(eye.shape)))
    slack = _SLACK if mesh.vertices.dtype == points.dtype == torch.float64 else _SLACK_32
    return torch.from_numpy(_Sight(mesh, eye, slack).sees(points.detach().cpu().double())).to(points.device)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _drawn_viewpoints(mesh: Mesh, views: int, generator: torch.Generator) -> Tensor:
    if views < 1:
        raise ArgumentError(problem("views", "at least 1", views))
    points = mesh.vertices.detach().cpu().double()
    middle = points.mean(dim=0)
    direction = torch.nn.functional.normalize(torch.randn(views, 3, generator=generator, dtype=torch.float64), dim=1)
    distance = NEAREST + (FARTHEST - NEAREST) * torch.rand(views, 1, generator=generator, dtype=torch.float64)
    return middle + direction * distance * (points - middle).norm(dim=1).max()


def _with_density(mesh: Mesh, n: int, density: Tensor, generator: torch.Generator) -> SurfaceSample:
    density = density.to(mesh.vertices.device)
    highest = density.max()
    return _accepted(mesh, n, lambda sample, _: sample.interpolate(density) / highest, generator)


def _scanner(
    mesh: Mesh, viewpoints: Tensor, density: str | Tensor, noise: float, generator: torch.Generator
) -> Callable[[int], SurfaceSample]:
    """What takes ``n`` points of what the viewpoints see; each call takes others."""
    eyes = torch.as_tensor(viewpoints).detach().cpu().double()
    if eyes.ndim != 2 or eyes.shape[1] != 3 or len(eyes) == 0 or not bool(eyes.isfinite().all()):
        raise ArgumentError(problem("viewpoints", "(v, 3) finite positions", tuple(eyes.shape)))
    if not noise >= 0 or math.isinf(noise):
        raise ArgumentError(problem("noise", "a standard deviation, from 0", noise))
    corners = mesh.vertices.detach().cpu().double()
    slack = _SLACK if mesh.vertices.dtype == torch.float64 else _SLACK_32
    sights = [_Sight(mesh, eye, slack) for eye in eyes]
    share = _share_of(mesh, eyes, density)

    def acceptance(sample: SurfaceSample, draw: Tensor) -> Tensor:
        points = torch.einsum("mc,mcd->md", sample.barycentric.detach().cpu().double(), corners[sample.corners.cpu()])
        each, total = share(sample, points)
        # Only points that would be taken if every viewpoint saw them are looked for.
        hopeful = (total(each) > draw).nonzero()[:, 0]
        seen = torch.zeros_like(each)
        for row, sight in zip(seen, sights, strict=True):
            row[hopeful] = torch.from_numpy(sight.sees(points[hopeful])).to(row)
        return total(each * seen)

    def take(n: int) -> SurfaceSample:
        sample = _accepted(mesh, n, acceptance, generator)
        if noise == 0:
            return sample
        move = noise * torch.randn(n, 1, generator=generator, dtype=torch.float64)
        points, normals = sample.cloud.points, mesh.face_normals[sample.face]
        return replace(sample, cloud=PointCloud(points + move.to(points) * normals, normals))

    return take


def _share_of(mesh: Mesh, eyes: Tensor, density: str | Tensor) -> Callable[[SurfaceSample, Tensor], tuple[Tensor, Callable]]:
    """The probability of taking a point, for each viewpoint that sees it ``(v, m)``, and how those add up to one ``(m,)``."""
    if isinstance(density, Tensor):
        if density.shape != (mesh.n_points,) or not bool((density > 0).all()) or not bool(density.isfinite().all()):
            raise ArgumentError(problem("density", f"{mesh.n_points} positive numbers, one a vertex", tuple(density.shape)))
        values = density.to(mesh.vertices.device)
        highest = values.max()

        def given(sample: SurfaceSample, points: Tensor) -> tuple[Tensor, Callable]:
            return (sample.interpolate(values) / highest).cpu().double().expand(len(eyes), -1), _most

        return given
    if density == "uniform":
        return lambda sample, points: (points.new_ones(len(eyes), len(points)), _most)
    if density != "scanner":
        raise ArgumentError(problem("density", "'scanner', 'uniform', a ratio or a value at each vertex", repr(density)))
    normals = mesh.face_normals.detach().cpu().double()
    bound = sum(1 / _least_distance(mesh, eye) ** 2 for eye in eyes)

    def turning(sample: SurfaceSample, points: Tensor) -> tuple[Tensor, Callable]:
        rays = eyes[:, None] - points
        cosine = (rays * normals[sample.face.cpu()]).sum(dim=2).abs()
        return cosine / rays.norm(dim=2) ** 3 / bound, _sum

    return turning


def _most(each: Tensor) -> Tensor:
    return each.amax(dim=0)


def _sum(each: Tensor) -> Tensor:
    return each.sum(dim=0)


def _accepted(mesh: Mesh, n: int, acceptance: Acceptance, generator: torch.Generator) -> SurfaceSample:
    """``n`` uniform points, each kept with the probability that ``acceptance(sample, draw)`` gives it; ``draw`` is in [0, 1)."""
    if n < 1:
        raise ArgumentError(problem("n", "at least 1", n))
    kept, found, tried = [], 0, 0
    for _ in range(_BATCHES):
        rate = max(found, 1) / max(tried, 4)
        count = min(int(1.1 * (n - found) / rate) + 64, 20 * n + 1000)
        sample = sample_surface(mesh, count, generator=generator)
        draw = torch.rand(count, generator=generator, dtype=torch.float64)
        taken = (draw < acceptance(sample, draw).cpu()).nonzero()[:, 0][: n - found]
        kept.append(subset(sample, taken.to(sample.face.device)))
        found, tried = found + len(taken), tried + count
        if found == n:
            return joined(kept)
    raise ArgumentError(problem("viewpoints", "places from which the surface is seen", f"{found} of {n} points after {tried} candidates"))


def subset(sample: SurfaceSample, index: Tensor) -> SurfaceSample:
    """Some points of a sample, by index."""
    normals = None if sample.cloud.normals is None else sample.cloud.normals[index]
    cloud = PointCloud(sample.cloud.points[index], normals)
    return SurfaceSample(cloud, sample.face[index], sample.corners[index], sample.barycentric[index], sample.radius)


def joined(samples: list[SurfaceSample]) -> SurfaceSample:
    """Samples of one mesh put together; no distance between points is guaranteed any more, unless there is only one."""
    if len(samples) == 1:
        return samples[0]
    points = torch.cat([sample.cloud.points for sample in samples])
    normals = torch.cat([sample.cloud.normals for sample in samples if sample.cloud.normals is not None])
    face, corners, barycentric = (torch.cat([getattr(sample, name) for sample in samples]) for name in ("face", "corners", "barycentric"))
    return SurfaceSample(PointCloud(points, normals), face, corners, barycentric, 0.0)


def _least_distance(mesh: Mesh, eye: Tensor) -> float:
    """A lower bound of the distance from the eye to the surface: to the ball around it, or to a vertex less the longest edge."""
    corners = mesh.vertices.detach().cpu().double()
    middle = corners.mean(dim=0)
    ball = (eye - middle).norm() - (corners - middle).norm(dim=1).max()
    sides = corners[mesh.faces.cpu()]
    longest = (sides - sides.roll(1, dims=1)).norm(dim=2).max()
    return float(torch.maximum(ball, (corners - eye).norm(dim=1).min() - longest))


class _Sight:
    """A mesh as a viewpoint sees it: its faces in the image plane, listed in the cells of a grid."""

    def __init__(self, mesh: Mesh, eye: Tensor, slack: float) -> None:
        if len(mesh.faces) == 0:
            raise ShapeError(problem("mesh", "a surface with area", "no faces"))
        corners = mesh.vertices.detach().cpu().double()
        middle = corners.mean(dim=0)
        if not (eye - middle).norm() > (corners - middle).norm(dim=1).max():
            raise ArgumentError(problem("viewpoint", "a place outside the ball around the shape", eye.tolist(), "move it farther away"))
        ahead = torch.nn.functional.normalize(middle - eye, dim=0)
        side = torch.linalg.cross(ahead, torch.eye(3, dtype=torch.float64)[ahead.abs().argmin()])
        side = torch.nn.functional.normalize(side, dim=0)
        self.eye, self.axes, self.slack = eye, torch.stack([side, torch.linalg.cross(ahead, side), ahead]), slack
        self.triangles = self._projected(corners)[mesh.faces.cpu().numpy()]  # (f, 3, 3)
        self.nearest = self.triangles[:, :, 2].max(1)
        place = self.triangles[:, :, :2]
        self.low, high = place.min((0, 1)), place.max((0, 1))
        self.cells = max(1, int(np.sqrt(_CELLS_A_FACE * len(place))))
        self.width = np.maximum(high - self.low, 1e-12) / self.cells
        first, last = self._cell(place.min(1)), self._cell(place.max(1))
        span = last - first + 1
        owner, nth = _repeated(span.prod(1))
        row, column = nth // span[owner, 1], nth % span[owner, 1]
        cell = (first[owner, 0] + row) * self.cells + first[owner, 1] + column
        self.listed = owner[np.argsort(cell, kind="stable")]
        self.start = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=self.cells**2))])

    def sees(self, points: Tensor) -> np.ndarray:
        """Which points ``(m, 3)`` of the surface no face hides: bool ``(m,)``."""
        at = self._projected(points)
        mine = self._cell(at[:, :2]) @ np.array([self.cells, 1])
        point, nth = _repeated(self.start[mine + 1] - self.start[mine])
        face = self.listed[self.start[mine[point]] + nth]
        ahead = self.nearest[face] > at[point, 2] * (1 + self.slack)
        point, face = point[ahead], face[ahead]
        p = at[point]
        a, b, c = self.triangles[face].transpose(1, 0, 2)
        u, v, w = (_doubled(q[:, :2] - p[:, :2], r[:, :2] - p[:, :2]) for q, r in ((b, c), (c, a), (a, b)))
        total = u + v + w
        inside = ((u >= 0) & (v >= 0) & (w >= 0) | (u <= 0) & (v <= 0) & (w <= 0)) & (total != 0)
        nearness = (u * a[:, 2] + v * b[:, 2] + w * c[:, 2]) / np.where(total == 0, 1, total)
        hides = inside & (nearness > p[:, 2] * (1 + self.slack))
        return np.bincount(point[hides], minlength=len(at)) == 0

    def _projected(self, points: Tensor) -> np.ndarray:
        """Place in the image plane and nearness, one over the depth: in these three a plane remains a plane."""
        x, y, depth = ((points - self.eye) @ self.axes.T).numpy().T
        return np.stack([x / depth, y / depth, 1 / depth], axis=1)

    def _cell(self, place: np.ndarray) -> np.ndarray:
        return np.clip(np.floor((place - self.low) / self.width).astype(np.int64), 0, self.cells - 1)


def _repeated(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each index as often as its count says, and which time it is: ``(0, 0, 1), (0, 1, 0)`` for ``(2, 1)``."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _doubled(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Twice the signed area of the triangles (0, p, q)."""
    return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
