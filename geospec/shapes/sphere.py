"""The unit sphere as a domain: directions, and weights under which sums over them are integrals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, ShapeError, problem
from ..ops.directions import xyz_to_lonlat
from ..ops.harmonic_sums import harmonic_adjoint, harmonic_gram, harmonic_synthesis
from .fields import as_float
from .mesh import Mesh
from .remesh import subdivide

AREA = 4 * math.pi


@dataclass(frozen=True, eq=False)
class Rings:
    """Circles of latitude with ``n_lon`` points each, eastward from longitude 0, north to south.

    Float64 whatever the sphere's own type, so that a transform knows its nodes to rounding.

    Parameters
    ----------
    colatitude : (n_lat,) angles from the north pole in radians, ascending.
    weights : (n_lat,) of each ring's mean; they sum to 2, the length of the axis.
    n_lon : points on each ring.
    """

    colatitude: Tensor
    weights: Tensor
    n_lon: int

    @property
    def points(self) -> Tensor:
        """Unit vectors ``(n_lat * n_lon, 3)``, ring by ring."""
        theta = self.colatitude[:, None]
        phi = torch.arange(self.n_lon, dtype=torch.float64, device=theta.device) * (2 * math.pi / self.n_lon)
        parts = theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos().expand(-1, self.n_lon)
        return torch.stack(parts, dim=-1).reshape(-1, 3)

    @property
    def measure(self) -> Tensor:
        """Area of each point ``(n_lat * n_lon,)``."""
        return (self.weights * (2 * math.pi / self.n_lon)).repeat_interleave(self.n_lon)


@dataclass(frozen=True, eq=False)
class Sphere:
    """Directions on the unit sphere with the area that each stands for.

    Made by :meth:`gauss_legendre`, :meth:`equiangular`, :meth:`fibonacci` or :meth:`at`. Grids run north to south, and
    eastward from longitude 0; a function on one is its cells flattened, ``(n_lat * n_lon, c)``.

    Parameters
    ----------
    points : (n, 3) unit vectors, float32 or float64 tensor or array.
    measure : (n,) positive quadrature weights that sum to 4 pi.
    rings : the circles of latitude of a grid, else ``None``.
    exactness : the sum ``sum_i measure_i f(points_i)`` is the integral for every polynomial ``f`` up to this degree; 0 where
        no more is known than the area.

    Raises
    ------
    ShapeError : wrong shape or type, NaN, vectors that are not of length 1, weights that are not positive or do not sum to
        4 pi.
    """

    points: Tensor
    measure: Tensor
    rings: Rings | None = None
    exactness: int = 0

    def __post_init__(self) -> None:
        points = as_float("points", self.points, columns=3)
        _check_unit(points)
        measure = torch.as_tensor(self.measure).to(points)
        if measure.shape != (len(points),) or not bool((measure > 0).all()):
            raise ShapeError(problem("measure", f"{len(points)} positive weights", _weights_seen(measure)))
        total = float(measure.double().sum())
        if abs(total / AREA - 1) > _slack(points.dtype):
            hint = "multiply by 4 * pi / measure.sum()"
            raise ShapeError(problem("measure", "weights that sum to 4 pi, the area of the sphere", f"{total:.9g}", hint))
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "measure", measure)

    def __repr__(self) -> str:
        grid = f"{self.shape[0]} x {self.shape[1]} grid" if self.shape else f"{self.n_points} points"
        return f"Sphere({grid}, exact to degree {self.exactness}, {str(self.points.dtype)[6:]}, {self.points.device})"

    @property
    def n_points(self) -> int:
        """Number of points."""
        return len(self.points)

    @property
    def shape(self) -> tuple[int, int] | None:
        """``(n_lat, n_lon)`` of a grid, else ``None``."""
        return None if self.rings is None else (len(self.rings.weights), self.rings.n_lon)

    @property
    def lonlat(self) -> tuple[Tensor, Tensor]:
        """Longitude in (-180, 180] and latitude, in degrees, ``(n,)`` each."""
        return xyz_to_lonlat(self.points)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Sphere:
        """The same sphere on another device or in another float type."""
        points = self.points if self.rings is None or dtype is None else self.rings.points  # not rounded twice
        return replace(self, points=points.to(device=device, dtype=dtype), measure=self.measure.to(device=device, dtype=dtype))

    @classmethod
    def gauss_legendre(cls, degree: int, n_lon: int | None = None, *, dtype: torch.dtype = torch.float64) -> Sphere:
        """The smallest grid that integrates products of two functions of ``degree``: ``degree + 1`` rings of ``n_lon`` points.

        Rings stand at the nodes of Gauss and Legendre. ``n_lon`` is ``2 degree + 1`` by default, the fewest that hold
        ``degree``; more are as exact in longitude, fewer less.
        """
        _positive("degree", degree, least=0)
        n_lon = 2 * degree + 1 if n_lon is None else n_lon
        _positive("n_lon", n_lon)
        return cls._of_rings(Rings(*_gauss_legendre(degree + 1), n_lon), 2 * degree + 1, dtype)

    @classmethod
    def equiangular(cls, n_lat: int, n_lon: int, *, poles: bool = False, dtype: torch.dtype = torch.float64) -> Sphere:
        """A grid of even steps in latitude and longitude, exact to degree ``min(n_lat, n_lon) - 1``.

        Rings stand at the middles of ``n_lat`` bands of equal width, with Fejer's weights; with ``poles`` they include both
        poles, at ``n_lat - 1`` steps of ``180 / (n_lat - 1)`` degrees, with the weights of Clenshaw and Curtis. Products of two
        functions of degree ``l`` need ``n_lat`` and ``n_lon`` of at least ``2 l + 1``.
        """
        _positive("n_lat", n_lat, least=2 if poles else 1)
        _positive("n_lon", n_lon)
        # Both rules are symmetric: with an odd number of nodes the next, odd, degree comes out right as well.
        return cls._of_rings(Rings(*(_clenshaw_curtis if poles else _fejer)(n_lat), n_lon), n_lat - 1 + n_lat % 2, dtype)

    @classmethod
    def fibonacci(cls, n: int, *, dtype: torch.dtype = torch.float64) -> Sphere:
        """``n`` points spread evenly along a golden spiral from north to south, of equal weight ``4 pi / n``."""
        _positive("n", n)
        i = torch.arange(n, dtype=torch.float64)
        z = 1 - (2 * i + 1) / n
        angle = i * (math.pi * (3 - math.sqrt(5)))
        ring = (1 - z**2).sqrt()
        points = torch.stack([ring * angle.cos(), ring * angle.sin(), z], dim=1)
        return cls(points.to(dtype), torch.full((n,), AREA / n, dtype=dtype))

    @classmethod
    def at(cls, points: Tensor, weights: Tensor | None = None) -> Sphere:
        """Given unit vectors ``(n, 3)``, with given weights ``(n,)`` or the area of each point's Voronoi cell.

        Voronoi cells are SciPy's (``O(n log n)``, float64), and need at least four distinct points, not all in one plane.

        Raises
        ------
        ShapeError : as the class, and points without Voronoi cells.
        """
        points = as_float("points", points, columns=3)
        _check_unit(points)
        return cls(points, _voronoi_areas(points) if weights is None else weights)

    def exact_to(self, degree: int) -> Sphere:
        """The same points with the nearest weights that integrate every polynomial up to ``degree`` exactly.

        The change ``d`` of the weights ``w`` has the smallest ``sum d_i^2 / w_i``. With ``degree = 2 l`` the harmonics up to
        ``l`` are orthonormal on the points. Points as even as a Fibonacci lattice want about
        ``1.2 (degree + 1)^2`` of them.

        Raises
        ------
        ShapeError : fewer points than harmonics, or points so uneven that a weight would not be positive.

        Cost: ``n (degree + 1)^4`` flops, ``8 (degree + 1)^4`` bytes; float64.
        """
        _positive("degree", degree, least=0)
        if degree <= self.exactness:
            return self
        count = (degree + 1) ** 2
        if self.n_points < count:
            raise ShapeError(problem("points", f"at least the {count} harmonics of degree {degree}", self.n_points))
        points, measure = self.points.double(), self.measure.double()
        points = points / points.norm(dim=1, keepdim=True)
        wanted = points.new_zeros(count, 1)
        wanted[0] = math.sqrt(AREA)
        factor, failed = torch.linalg.cholesky_ex(harmonic_gram(points, measure, degree))
        exact = measure
        for _ in range(2):  # the second takes off the rounding of the first
            if int(failed):
                break
            lack = wanted - harmonic_adjoint(exact[:, None], points, degree)
            exact = exact + measure * harmonic_synthesis(torch.cholesky_solve(lack, factor), points, degree)[:, 0]
        if int(failed) or not bool((exact > 0).all()):
            got = "dependent harmonics" if int(failed) else f"{int((~(exact > 0)).sum())} weights below zero"
            raise ShapeError(
                problem("points", f"points even enough for degree {degree}", got, "ask for a lower degree or give more points")
            )
        return Sphere(self.points, exact.to(self.measure), exactness=degree)

    @classmethod
    def _of_rings(cls, rings: Rings, exact_in_latitude: int, dtype: torch.dtype) -> Sphere:
        # Order n_lon looks like order 0 on n_lon points: up to degree n_lon - 1 nothing does.
        return cls(rings.points.to(dtype), rings.measure.to(dtype), rings, min(exact_in_latitude, rings.n_lon - 1))


def icosphere(level: int = 2, *, radius: float = 1.0, dtype: torch.dtype = torch.float64) -> Mesh:
    """The unit sphere by ``level`` subdivisions of the icosahedron: ``10 * 4**level + 2`` vertices on it.

    Eigenvalues tend to ``l (l + 1) / radius^2`` with multiplicity ``2 l + 1``, the area to ``4 pi radius^2``.
    """
    t = (1 + math.sqrt(5)) / 2
    corners = [(0, 1, t), (0, -1, t), (0, 1, -t), (0, -1, -t)]
    vertices = torch.tensor([c[i:] + c[:i] for i in range(3) for c in corners], dtype=torch.float64)
    distance = torch.cdist(vertices, vertices)
    near = distance < 2.01  # the icosahedron's edges have length 2
    faces = torch.tensor([(i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]])
    flipped = torch.linalg.det(vertices[faces]) < 0
    faces[flipped] = faces[flipped].flip(1)
    mesh = Mesh(torch.nn.functional.normalize(vertices, dim=1), faces)
    for _ in range(level):
        mesh = subdivide(mesh)
        mesh = Mesh(torch.nn.functional.normalize(mesh.vertices, dim=1), mesh.faces)
    return Mesh((radius * mesh.vertices).to(dtype), mesh.faces)


# -- quadrature in the colatitude: angles ascending, and weights that sum to 2


def _gauss_legendre(n: int) -> tuple[Tensor, Tensor]:
    """Roots of the Legendre polynomial of degree ``n`` by Newton's method in the angle, where they are evenly spaced.

    The recurrence runs in differences (Reinsch), which keep their digits near the pole.
    """
    i = np.arange(1, (n + 1) // 2 + 1)  # the north, and the equator where n is odd
    angle = np.pi * (4 * i - 1) / (4 * n + 2)
    angle = angle + (n - 1) / (8 * n**3) / np.tan(angle)  # Tricomi's guess is right to O(1 / n^4)
    slope = np.ones_like(angle)
    for _ in range(4):
        drop = 2 * np.sin(angle / 2) ** 2  # 1 - z
        value, difference = np.ones_like(angle), np.zeros_like(angle)
        for l in range(1, n + 1):  # noqa: E741
            difference = ((l - 1) * difference - (2 * l - 1) * drop * value) / l
            value = value + difference
        slope = n * (difference - drop * value) / np.sin(angle)
        angle = angle - value / slope
    weights = 2 / slope**2
    south = angle[: n // 2][::-1]
    both = np.concatenate([weights, weights[: n // 2][::-1]])
    return torch.from_numpy(np.concatenate([angle, np.pi - south])), torch.from_numpy(2 * both / both.sum())


def _fejer(n: int) -> tuple[Tensor, Tensor]:
    """The midpoints of ``n`` equal parts (Fejer's first rule)."""
    angle = (np.arange(n) + 0.5) * (np.pi / n)
    j = np.arange(1, n // 2 + 1)
    return torch.from_numpy(angle), torch.from_numpy(2 / n * (1 - 2 * np.cos(2 * angle[:, None] * j) @ (1 / (4 * j**2 - 1))))


def _clenshaw_curtis(n: int) -> tuple[Tensor, Tensor]:
    """The ends of ``n - 1`` equal parts."""
    angle = np.arange(n) * (np.pi / (n - 1))
    j = np.arange(1, (n - 1) // 2 + 1)
    share = np.where(2 * j == n - 1, 1.0, 2.0) / (4 * j**2 - 1)
    weights = 2 / (n - 1) * (1 - np.cos(2 * angle[:, None] * j) @ share)
    weights[[0, -1]] /= 2
    return torch.from_numpy(angle), torch.from_numpy(weights)


# -- checks


def _check_unit(points: Tensor) -> None:
    off = (points.double().norm(dim=1) - 1).abs()
    if len(points) and float(off.max()) > _slack(points.dtype):
        hint = "divide by the norm; longitude and latitude go through geospec.ops.lonlat_to_xyz"
        raise ShapeError(problem("points", "unit vectors", f"length {1 + float(off.max()):.6g} or its like at {int(off.argmax())}", hint))


def _slack(dtype: torch.dtype) -> float:
    return 1e-4 if dtype == torch.float32 else 1e-6


def _weights_seen(measure: Tensor) -> str:
    low = f", the smallest {float(measure.min()):.3g}" if measure.numel() else ""
    return f"shape {tuple(measure.shape)}{low}"


def _voronoi_areas(points: Tensor) -> Tensor:
    from scipy.spatial import QhullError, SphericalVoronoi

    directions = points.detach().double().cpu()
    directions = (directions / directions.norm(dim=1, keepdim=True)).numpy()
    wanted, hint = "four or more distinct points, not all in one plane", "give weights=, or merge points that coincide"
    try:
        areas = SphericalVoronoi(directions, threshold=1e-10).calculate_areas()
    except (ValueError, QhullError) as cause:
        raise ShapeError(problem("points", wanted, f"{len(points)} points: {str(cause).splitlines()[0]}", hint)) from cause
    if not abs(areas.sum() / AREA - 1) < 1e-9:
        raise ShapeError(problem("points", wanted, f"cells of total area {areas.sum():.6g}", hint))
    return torch.from_numpy(areas)


def _positive(name: str, value: object, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(problem(name, f"an integer of at least {least}", repr(value)))
