"""Quadrature on the sphere: integrals of polynomials in closed form, NumPy's nodes, and what is refused."""

import math

import numpy as np
import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError, ShapeError
from geospec.shapes import Sphere

GRIDS = [
    (Sphere.gauss_legendre(6), 12),
    (Sphere.gauss_legendre(6, 20), 13),
    (Sphere.gauss_legendre(0), 0),
    (Sphere.equiangular(9, 16), 9),
    (Sphere.equiangular(10, 16), 9),
    (Sphere.equiangular(30, 16), 15),
    (Sphere.equiangular(9, 16, poles=True), 9),
    (Sphere.equiangular(10, 16, poles=True), 9),
    (Sphere.equiangular(2, 5, poles=True), 1),
    (Sphere.fibonacci(200).exact_to(10), 10),
]


@pytest.mark.parametrize(("sphere", "exactness"), GRIDS, ids=lambda value: repr(value))
def test_exact_to_the_degree_it_says_and_no_further(sphere, exactness):
    """A harmonic integrates to zero, but the constant, which integrates to the root of 4 pi."""
    assert sphere.exactness == exactness
    modes = ops.spherical_harmonics(sphere.points, exactness + 1)
    integrals = sphere.measure @ modes
    expected = torch.zeros_like(integrals)
    expected[0] = math.sqrt(4 * math.pi)
    known = (exactness + 1) ** 2
    torch.testing.assert_close(integrals[:known], expected[:known], rtol=0, atol=1e-12)
    assert integrals[known:].abs().max() > 1e-4
    assert (sphere.measure > 0).all()
    assert sphere.measure.sum().item() == pytest.approx(4 * math.pi, rel=1e-14)


@pytest.mark.parametrize("degree", [0, 1, 2, 7, 100])
def test_rings_of_gauss_and_legendre(degree):
    nodes, weights = np.polynomial.legendre.leggauss(degree + 1)
    rings = Sphere.gauss_legendre(degree).rings
    assert np.abs(np.cos(rings.colatitude.numpy())[::-1] - nodes).max() < 1e-14
    assert np.abs(rings.weights.numpy()[::-1] - weights).max() < 1e-13
    assert (rings.colatitude.diff() > 0).all()


def test_the_order_of_a_grid():
    """North to south, eastward from longitude 0, row by row."""
    sphere = Sphere.equiangular(4, 8)
    lon, lat = (value.reshape(4, 8) for value in sphere.lonlat)
    torch.testing.assert_close(lat, torch.tensor([67.5, 22.5, -22.5, -67.5], dtype=torch.float64)[:, None].expand(4, 8))
    torch.testing.assert_close(lon % 360, (45.0 * torch.arange(8, dtype=torch.float64)).expand(4, 8), atol=1e-12, rtol=0)
    assert (sphere.shape, sphere.n_points) == ((4, 8), 32)
    poles = Sphere.equiangular(3, 4, poles=True).lonlat[1].reshape(3, 4)
    torch.testing.assert_close(poles[:, 0], torch.tensor([90.0, 0.0, -90.0], dtype=torch.float64), atol=1e-12, rtol=0)


def test_voronoi_areas_integrate_to_first_order():
    """The octahedron's corners share the sphere alike; a smooth field on random points is integrated to their spacing."""
    corners = torch.cat([torch.eye(3), -torch.eye(3)])
    assert Sphere.at(corners).measure.tolist() == pytest.approx([4 * math.pi / 6] * 6)
    points = torch.nn.functional.normalize(torch.randn(4000, 3, dtype=torch.float64), dim=1)
    field = torch.exp(points[:, 2])
    exact = 4 * math.pi * math.sinh(1)
    assert float(Sphere.at(points).measure @ field) == pytest.approx(exact, rel=3e-3)
    lattice = Sphere.fibonacci(4000)
    assert float(lattice.measure @ torch.exp(lattice.points[:, 2])) == pytest.approx(exact, rel=1e-6)


def test_weights_made_exact_are_the_nearest():
    """Among exact weights, those of the least change: the change is ``weights`` times a polynomial of the degree."""
    points = torch.nn.functional.normalize(torch.randn(600, 3, dtype=torch.float64), dim=1)
    given = Sphere.at(points)
    found = given.exact_to(8)
    modes = ops.spherical_harmonics(points, 8)
    ratio = found.measure / given.measure - 1
    assert (ratio - modes @ torch.linalg.lstsq(modes, ratio).solution).abs().max() < 1e-10
    assert ratio.abs().max() > 1e-3
    assert found.exact_to(5) is found
    grid = Sphere.gauss_legendre(4)
    assert grid.exact_to(8) is grid


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_and_moves(dtype):
    for sphere in (Sphere.gauss_legendre(3, dtype=dtype), Sphere.fibonacci(12, dtype=dtype)):
        assert sphere.points.dtype == sphere.measure.dtype == dtype
        double = sphere.to(dtype=torch.float64)
        assert double.points.dtype == torch.float64
        assert (double.shape, double.exactness) == (sphere.shape, sphere.exactness)
    again = Sphere.gauss_legendre(3, dtype=torch.float32).to(dtype=torch.float64)
    assert torch.equal(again.points, Sphere.gauss_legendre(3).points)
    assert "4 x 7 grid, exact to degree 6, float32" in repr(Sphere.gauss_legendre(3, dtype=torch.float32))


@pytest.mark.parametrize(
    ("points", "weights", "message"),
    [
        (torch.ones(4, 3), None, "points: wanted unit vectors, got length 1.73205"),
        (torch.zeros(4, 3), None, "points: wanted unit vectors"),
        (torch.full((4, 3), torch.nan), None, "points: wanted finite coordinates"),
        (torch.eye(2), None, "points: wanted shape"),
        (torch.eye(3), None, "points: wanted four or more distinct points, not all in one plane"),
        (torch.cat([torch.eye(3), -torch.eye(3), torch.eye(3)]), None, "points: wanted four or more distinct points, not all in one plane"),
        (torch.eye(3), torch.ones(2), "measure: wanted 3 positive weights, got shape"),
        (torch.eye(3), torch.tensor([1.0, 0.0, 2.0]), "measure: wanted 3 positive weights"),
        (torch.eye(3), torch.ones(3), "measure: wanted weights that sum to 4 pi"),
    ],
)
def test_what_is_no_sphere(points, weights, message):
    with pytest.raises(ShapeError, match=message):
        Sphere.at(points, weights)


def test_points_too_few_or_too_uneven_for_exact_weights():
    with pytest.raises(ShapeError, match="at least the 121 harmonics of degree 10, got 100"):
        Sphere.fibonacci(100).exact_to(10)
    clustered = torch.nn.functional.normalize(torch.randn(150, 3, dtype=torch.float64) * torch.tensor([1.0, 1, 0.2]), dim=1)
    with pytest.raises(ShapeError, match="points even enough for degree 10"):
        Sphere.at(clustered).exact_to(10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sphere.gauss_legendre(-1),
        lambda: Sphere.gauss_legendre(3, 0),
        lambda: Sphere.equiangular(0, 4),
        lambda: Sphere.equiangular(1, 4, poles=True),
        lambda: Sphere.equiangular(4, 2.5),
        lambda: Sphere.fibonacci(0),
        lambda: Sphere.fibonacci(10).exact_to(-1),
    ],
)
def test_sizes(make):
    with pytest.raises(ArgumentError, match="wanted an integer of at least"):
        make()
