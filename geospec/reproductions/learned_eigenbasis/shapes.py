"""The shapes of the runs: without symmetry, so that modes have a place in the order and a sign."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...shapes import Mesh
from ...testing import icosphere


def unit(points: Tensor) -> Tensor:
    """Points ``(n, d)`` moved and scaled to mean 0 and largest radius 1, as the paper's network takes them."""
    centred = points - points.mean(dim=0)
    return centred / centred.norm(dim=1).max()


def ellipsoid() -> Mesh:
    """A deformed ellipsoid of 642 vertices; its first 14 eigenvalues are at least 3 % apart."""
    return _bumpy(3, 0.15, 0.01, (1.0, 0.68, 0.4))


def blob() -> Mesh:
    """A bumpy body of 2,562 vertices, whose areas spread by 39 % about their mean; its first 52 eigenvalues are at least 0.4 % apart."""
    return _bumpy(4, 0.4, 0.3, (1.0, 1.0, 1.0))


def _bumpy(level: int, low: float, high: float, stretch: tuple[float, float, float]) -> Mesh:
    sphere = icosphere(level)
    x, y, z = sphere.vertices.unbind(1)
    radius = 1 + low * torch.sin(3 * x + 1) * torch.cos(3 * y) + high * torch.sin(3 * z + x - 0.5 * y)
    axes = torch.tensor(stretch, dtype=torch.float64)
    return Mesh(unit(sphere.vertices * radius[:, None] * axes), sphere.faces)


def uneven_sphere(n: int, generator: torch.Generator, slope: float = 0.9) -> Tensor:
    """``n`` random points ``(n, 3)`` on the unit sphere, of density proportional to ``1 + slope z``.

    The share below height z is ``F(z) = (z + 1) / 2 + slope (z^2 - 1) / 4``; its inverse is the root of a quadratic.
    """
    share, turn = torch.rand(2, n, generator=generator, dtype=torch.float64)
    z = (-1 + (1 - slope * (2 - slope - 4 * share)).sqrt()) / slope
    ring, angle = (1 - z**2).clamp(min=0).sqrt(), 2 * math.pi * turn
    return torch.stack([ring * angle.cos(), ring * angle.sin(), z], dim=1)


def voronoi_areas(points: Tensor) -> Tensor:
    """Areas ``(n,)`` of the spherical Voronoi cells of points on the unit sphere, by SciPy."""
    from scipy.spatial import SphericalVoronoi

    return torch.from_numpy(SphericalVoronoi(points.numpy()).calculate_areas())
