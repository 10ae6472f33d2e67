"""What no rotation changes: bispectra against Gaunt's integrals, spectra of shells and neighbourhoods."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from geospec import SphericalHarmonics, descriptors, ops
from geospec.errors import ArgumentError, ShapeError
from geospec.shapes import Mesh, PointCloud, Sphere
from geospec.testing import bumpy_sphere, icosphere, torus


def turn(seed):
    return torch.from_numpy(Rotation.random(random_state=seed).as_matrix())


def turned(mesh, seed, shift=0.0):
    return Mesh(mesh.vertices @ turn(seed).T + shift, mesh.faces)


# -- bispectrum


def test_bispectrum_of_zonal_fields_is_the_square_of_a_3j_symbol():
    """``int P_a P_b P_c = 2 (a b c; 0 0 0)^2`` over the axis."""
    sympy_3j = {(1, 1, 2): 2 / 15, (2, 2, 2): 2 / 35, (0, 2, 2): 1 / 5, (1, 2, 3): 3 / 35}
    basis = SphericalHarmonics(3, normalization="schmidt", dtype=torch.float64)  # zonal modes are P_l
    zonal = (basis.orders == 0).double()[:, None]
    found = descriptors.bispectrum(basis, zonal)[:, 0]
    triples = [tuple(t) for t in descriptors.bispectrum_degrees(3).tolist()]
    assert found.shape == (len(triples),)
    for triple, square in sympy_3j.items():
        assert found[triples.index(triple)].item() == pytest.approx(2 * math.pi * 2 * square, rel=1e-12)


def test_bispectrum_holds_every_triple_that_does_not_vanish():
    degree = 4
    sphere = Sphere.gauss_legendre(6, 13)
    modes = ops.spherical_harmonics(sphere.points, degree)
    fields = torch.stack([modes[:, d * d : (d + 1) ** 2] @ torch.randn((2 * d + 1), dtype=torch.float64) for d in range(degree + 1)])
    integrals = torch.einsum("n,an,bn,cn->abc", sphere.measure, fields, fields, fields)
    expected = [[a, b, c] for a in range(5) for b in range(a, 5) for c in range(b, 5) if abs(integrals[a, b, c]) > 1e-12]
    assert descriptors.bispectrum_degrees(degree).tolist() == expected


@pytest.mark.parametrize("mirror", [1, -1])
def test_bispectrum_is_invariant_and_sees_what_the_power_spectrum_does_not(mirror):
    basis = SphericalHarmonics(6, dtype=torch.float64)
    c = torch.randn(basis.k, 2, dtype=torch.float64)
    found = descriptors.bispectrum(basis, c)
    torch.testing.assert_close(descriptors.bispectrum(basis, basis.rotate(c, mirror * turn(1))), found, rtol=0, atol=1e-11)
    one_degree = torch.where(basis.degrees[:, None] == 4, basis.rotate(c, turn(2)), c)
    torch.testing.assert_close(basis.power_spectrum(one_degree), basis.power_spectrum(c))
    assert (descriptors.bispectrum(basis, one_degree) - found).abs().max() > 0.1
    phase = SphericalHarmonics(6, normalization="4pi", cs_phase=True, dtype=torch.float64)
    same = phase.analyze(basis.synthesize(c))
    torch.testing.assert_close(descriptors.bispectrum(phase, same), found)


def test_bispectrum_is_differentiable():
    basis = SphericalHarmonics(3, dtype=torch.float64)
    c = torch.randn(basis.k, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: descriptors.bispectrum(basis, c), c)


# -- shells and neighbourhoods


def test_a_sphere_has_one_shell_and_one_degree():
    found = descriptors.shell_spectra(icosphere(3), 8, shells=4)
    assert found.shape == (4, 9)
    assert found[3, 0].item() == pytest.approx(1 / math.sqrt(4 * math.pi), rel=1e-9)
    assert found[:3].abs().max() < 1e-9
    assert found[3, 1:].max() < 2e-2 * found[3, 0]


def test_shells_of_two_points_in_closed_form():
    """Point masses at distances 1 and 1/2 on one axis; the inner one lies between two shells."""
    cloud = PointCloud(torch.tensor([[0.0, 0, 1], [0, 0, 0.5]], dtype=torch.float64))
    found = descriptors.shell_spectra(cloud, 3, shells=3, center=torch.zeros(3))
    point = torch.tensor([(2 * d + 1) / (4 * math.pi) for d in range(4)], dtype=torch.float64).sqrt()
    expected = torch.stack([0.25 * point, 0.25 * point, 0.5 * point])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("mesh", [bumpy_sphere(2), torus(20, 10)], ids=["star-shaped", "torus"])
def test_motions_and_scale_change_nothing(mesh):
    found = descriptors.shell_spectra(mesh, 10)
    moved = turned(mesh, 3, shift=2.0)
    torch.testing.assert_close(descriptors.shell_spectra(moved, 10), found, rtol=0, atol=1e-10)
    torch.testing.assert_close(descriptors.shell_spectra(Mesh(3 * moved.vertices, mesh.faces), 10), found, rtol=0, atol=1e-10)
    around = descriptors.neighbourhood_spectra(mesh, 0.8)
    torch.testing.assert_close(descriptors.neighbourhood_spectra(moved, 0.8), around, rtol=0, atol=1e-10)
    assert around.shape == (mesh.n_points, 21)
    assert (around.std(dim=0) > 1e-3 * around.mean()).any()


def test_shapes_differ():
    one, other = (descriptors.shell_spectra(mesh, 10) for mesh in (bumpy_sphere(2), torus(20, 10)))
    assert (one - other).norm() > 0.2 * one.norm()


def test_density_of_sampling_matters_little():
    levels = [descriptors.neighbourhood_spectra(icosphere(level), 0.7, 4)[0] for level in (2, 3, 4)]
    assert (levels[2] - levels[1]).norm() < 0.5 * (levels[1] - levels[0]).norm()
    assert (levels[2] - levels[1]).norm() < 0.1 * levels[2].norm()
    ball = icosphere(3)
    north = ball.vertices[:, 2] > 0
    measure = torch.where(north, ball.measure / 2, ball.measure)
    cloud = PointCloud(torch.cat([ball.vertices, ball.vertices[north]]), weights=torch.cat([measure, measure[north]]))
    found = descriptors.neighbourhood_spectra(cloud, 0.7, 4)[: ball.n_points][~north]
    torch.testing.assert_close(found, descriptors.neighbourhood_spectra(ball, 0.7, 4)[~north], rtol=0, atol=1e-12)


def test_points_alone_and_gradients():
    far = PointCloud(torch.tensor([[0.0, 0, 0], [1, 0, 0], [9, 9, 9]], dtype=torch.float64))
    found = descriptors.neighbourhood_spectra(far, 2.0, 2)
    assert (found[2] == 0).all()
    assert (found[:2].abs().sum(dim=1) > 0).all()
    points = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    whole = {"center": torch.zeros(3), "radius": 2.0, "shells": 2}
    assert torch.autograd.gradcheck(lambda p: descriptors.shell_spectra(PointCloud(p), 2, **whole), points)
    assert torch.autograd.gradcheck(lambda p: descriptors.neighbourhood_spectra(PointCloud(p), 3.0, 2), points)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda mesh: descriptors.shell_spectra(mesh, -1), "degree"),
        (lambda mesh: descriptors.shell_spectra(mesh, 2, shells=0), "shells"),
        (lambda mesh: descriptors.shell_spectra(mesh, 2, radius=0.0), "radius"),
        (lambda mesh: descriptors.shell_spectra(mesh, 2, center=torch.zeros(2)), "center"),
        (lambda mesh: descriptors.neighbourhood_spectra(mesh, math.inf), "radius"),
        (lambda mesh: descriptors.neighbourhood_spectra(mesh.vertices, 1.0), "shape: wanted a Mesh or a PointCloud"),
        (lambda mesh: descriptors.shell_spectra(PointCloud(torch.zeros(0, 3))), "shape: wanted points with a positive measure"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        call(icosphere(1))
