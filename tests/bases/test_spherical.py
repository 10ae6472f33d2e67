"""Spherical harmonics as a basis: on grids and points, rotations, spectra, gradients, files; against closed forms, SciPy and pyshtools."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

import geospec
from geospec import SphericalHarmonics
from geospec.errors import ArgumentError
from geospec.shapes import Sphere
from geospec.testing import OrthonormalContract


class TestGaussLegendre(OrthonormalContract):
    def make(self, dtype, seed):
        return SphericalHarmonics(9, dtype=dtype)


class TestEquiangular(OrthonormalContract):
    """With the convention of geodesy, in which the measure is a share of the sphere."""

    def make(self, dtype, seed):
        return SphericalHarmonics(6, Sphere.equiangular(14, 16), normalization="4pi", cs_phase=True, dtype=dtype)


class TestPoints(OrthonormalContract):
    def points(self):
        return Sphere.fibonacci(400).exact_to(14)

    def make(self, dtype, seed):
        return SphericalHarmonics(7, self.points(), dtype=dtype)

    def make_relabelled(self, seed):
        order = torch.randperm(400, generator=torch.Generator().manual_seed(seed))
        sphere = self.points()
        return SphericalHarmonics(7, Sphere(sphere.points[order], sphere.measure[order], exactness=14), dtype=torch.float64), order

    def make_moved(self, seed):
        sphere = self.points()
        return SphericalHarmonics(7, Sphere(sphere.points @ turn(seed).T, sphere.measure, exactness=14), dtype=torch.float64)


def turn(seed):
    return torch.from_numpy(Rotation.random(random_state=seed).as_matrix())


def directions(n, seed=0, dtype=torch.float64):
    """Random unit vectors, and among them both poles and both sides of the date line."""
    some = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    some = torch.cat([some, torch.tensor([[0.0, 0, 1], [0, 0, -1], [-1, 1e-15, 0], [-1, -1e-15, 0]], dtype=torch.float64)])
    return torch.nn.functional.normalize(some, dim=1).to(dtype)


def random_coefficients(degree, c=2, seed=0):
    return torch.randn((degree + 1) ** 2, c, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def orthonormal(degree, **options):
    return SphericalHarmonics(degree, dtype=torch.float64, **options)


# -- closed forms


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_addition_theorem(dtype, bound):
    """``sum_m Y_lm(u) Y_lm(v) = (2 l + 1) / (4 pi) P_l(u . v)``, at ``u = v`` and the poles too."""
    degree = 40
    basis = SphericalHarmonics(degree, dtype=dtype)
    u = directions(30, dtype=dtype)
    modes = basis.at(u).double()
    products = modes[:, None] * modes
    per_degree = torch.zeros(len(u), len(u), degree + 1, dtype=torch.float64).index_add(2, basis.degrees, products)
    u = torch.nn.functional.normalize(u.double(), dim=1)  # float32 directions are off the sphere, and are taken for their direction
    cosine = (u @ u.T).clamp(-1, 1).numpy()
    for l in range(degree + 1):  # noqa: E741
        expected = (2 * l + 1) / (4 * math.pi) * np.polynomial.legendre.legval(cosine, [0] * l + [1])
        assert np.abs(per_degree[..., l].numpy() - expected).max() < bound, l


def test_the_modes_are_scipys():
    basis = orthonormal(30)
    u = directions(20)
    theta, phi = torch.arccos(u[:, 2].clamp(-1, 1)).numpy(), torch.atan2(u[:, 1], u[:, 0]).numpy()
    for l, m in ((0, 0), (1, -1), (1, 1), (7, 0), (13, -5), (30, 30), (30, 17)):  # noqa: E741
        there = (-1) ** m * sph_harm_y(l, abs(m), theta, phi) * (math.sqrt(2) if m else 1)
        assert (int(basis.degrees[l * l + l + m]), int(basis.orders[l * l + l + m])) == (l, m)
        assert np.abs(basis.at(u)[:, l * l + l + m].numpy() - (there.imag if m < 0 else there.real)).max() < 1e-12


@pytest.mark.parametrize("sphere", [Sphere.gauss_legendre(64), Sphere.equiangular(129, 130, poles=True)])
def test_orthonormal_to_degree_64(sphere):
    basis = orthonormal(64, sphere=sphere)
    few = torch.cat([torch.arange(40), torch.arange(60**2, 60**2 + 20), torch.arange(basis.k - 129, basis.k)])
    unit = torch.eye(basis.k, dtype=torch.float64)[:, few]
    assert (basis.analyze(basis.synthesize(unit)) - unit).abs().max() < 1e-12
    assert (basis.analyze(basis.at(basis.sphere.points)[:, few]) - unit).abs().max() < 1e-12


@pytest.mark.parametrize(("normalization", "mean_square"), [("orthonormal", 1 / (4 * math.pi)), ("4pi", 1), ("schmidt", None)])
@pytest.mark.parametrize("cs_phase", [False, True])
def test_conventions(normalization, mean_square, cs_phase):
    """By the mean squares that define them; the phase negates odd orders of either sign."""
    basis = orthonormal(6, normalization=normalization, cs_phase=cs_phase)
    mean = basis.at(basis.sphere.points).square().T @ basis.sphere.measure / (4 * math.pi)
    expected = 1 / (2 * basis.degrees.double() + 1) if mean_square is None else torch.full((basis.k,), mean_square, dtype=torch.float64)
    torch.testing.assert_close(mean, expected)
    sign = (basis.at(directions(3)) * orthonormal(6).at(directions(3))).sum(dim=0).sign()
    assert torch.equal(sign, torch.where((basis.orders % 2 == 1) & cs_phase, -1.0, 1.0).double())
    c = random_coefficients(6)
    torch.testing.assert_close(basis.analyze(basis.synthesize(c)), c)
    torch.testing.assert_close(basis.synthesize(c), basis.at(basis.sphere.points) @ c)


@pytest.mark.parametrize("normalization", ["orthonormal", "4pi", "schmidt"])
def test_energy_by_degree(normalization):
    """Sums to the integral of the square under the measure, rotations leave it, and each degree has its own share."""
    basis = orthonormal(12, normalization=normalization)
    c = random_coefficients(12)
    energy = basis.power_spectrum(c)
    assert energy.shape == (13, 2)
    torch.testing.assert_close(energy.sum(dim=0), (basis.measure[:, None] * basis.synthesize(c) ** 2).sum(dim=0))
    torch.testing.assert_close(basis.power_spectrum(basis.rotate(c, turn(3))), energy)
    only = torch.where(basis.degrees[:, None] == 5, c, 0)
    torch.testing.assert_close(basis.power_spectrum(only)[5], energy[5])
    assert basis.power_spectrum(c.expand(3, 4, -1, -1)).shape == (3, 4, 13, 2)
    assert basis.truncate(10).power_spectrum(c[:10]).shape == (4, 2)


# -- rotations


@pytest.mark.parametrize("mirror", [1, -1])
def test_rotated_features(mirror):
    """``at(R u) = D at(u)`` with ``D`` orthogonal, a block a degree; a mirror image likewise."""
    basis, motion = orthonormal(12), mirror * turn(0)
    d = basis.rotate(torch.eye(basis.k, dtype=torch.float64), motion)
    u = directions(30)
    torch.testing.assert_close(basis.at(u @ motion.T), basis.at(u) @ d.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(d @ d.T, torch.eye(basis.k, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (d[basis.degrees[:, None] != basis.degrees] == 0).all()


def test_rotations_compose_at_degree_64():
    basis, c = orthonormal(64), random_coefficients(64)
    one, other = turn(1), turn(2)
    torch.testing.assert_close(basis.rotate(basis.rotate(c, other), one), basis.rotate(c, one @ other), rtol=0, atol=1e-11)
    torch.testing.assert_close(basis.rotate(basis.rotate(c, one), one.T), c, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "motion",
    [
        np.eye(3),
        np.diag([1.0, -1, -1]),
        np.diag([-1.0, -1, 1]),
        np.diag([1.0, 1, -1]),
        Rotation.from_euler("zyz", [1, 1e-9, 2]).as_matrix(),
    ],
    ids=["identity", "half turn about x", "half turn about z", "mirror", "nearly about z"],
)
@pytest.mark.parametrize("options", [{}, {"normalization": "schmidt", "cs_phase": True}])
def test_special_rotations_of_a_field(motion, options):
    """``g(R u) = f(u)``, where Euler angles are degenerate, and in conventions that a rotation does not keep."""
    basis, motion, u = orthonormal(20, **options), torch.from_numpy(motion), directions(10)
    c = random_coefficients(20)
    turned = basis.rotate(c, motion)
    torch.testing.assert_close(basis.synthesize_at(turned, u @ motion.T), basis.synthesize_at(c, u), rtol=0, atol=1e-11)


def test_rotation_in_batches_float32_and_its_gradient():
    basis = SphericalHarmonics(5)
    c = torch.randn(2, 3, basis.k, 4)
    turned = basis.rotate(c, turn(4).float())
    assert turned.shape == c.shape
    torch.testing.assert_close(turned[1, 2], basis.rotate(c[1, 2], turn(4).float()))
    double = c[0, 0].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: basis.double().rotate(x, turn(4)), double)


def test_what_cannot_be_rotated():
    basis = orthonormal(3)
    c = random_coefficients(3)
    for wrong in (2 * torch.eye(3), torch.eye(2), torch.full((3, 3), torch.nan), torch.eye(3).long()):
        with pytest.raises(ArgumentError, match="rotation"):
            basis.rotate(c, wrong)
    with pytest.raises(ArgumentError, match="whole degrees"):
        basis.truncate(10).rotate(c[:10], torch.eye(3))


# -- derivatives


def along_great_circle(u, direction, step):
    return math.cos(step) * u + math.sin(step) * direction


def test_gradients_along_great_circles():
    """Against central differences, at the poles and on the date line too."""
    basis, u = orthonormal(10), directions(5)
    c = random_coefficients(10)
    slope = basis.gradient(c, u)
    assert slope.shape == (*u.shape, 2)
    assert (slope * u[..., None]).sum(dim=1).abs().max() < 1e-11
    step = 1e-5
    for axis in torch.eye(3, dtype=torch.float64):
        direction = axis - (u @ axis)[:, None] * u
        length = direction.norm(dim=1, keepdim=True).clamp(min=1e-12)
        unit = direction / length
        ahead, behind = (basis.synthesize_at(c, along_great_circle(u, unit, s)) for s in (step, -step))
        kept = length[:, 0] > 1e-6
        difference = (ahead - behind) / (2 * step) - (slope * unit[..., None]).sum(dim=1)
        assert difference[kept].abs().max() < 1e-6


def test_the_gradient_is_differentiable():
    basis, u = orthonormal(4), directions(2)[:3].requires_grad_()
    c = random_coefficients(4).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: basis.gradient(c, u.detach()), c)
    assert torch.autograd.gradcheck(basis.synthesize_at, (c, u.detach()))
    assert torch.autograd.gradgradcheck(basis.synthesize_at, (c, u.detach()))
    (along,) = torch.autograd.grad(basis.synthesize_at(c, u)[:, 1].sum(), u)
    torch.testing.assert_close(along, basis.gradient(c, u)[..., 1])
    assert basis.gradient(c[:, :0], u).shape == (3, 3, 0)
    (slope,) = torch.autograd.grad(basis.synthesize_at(c, u.detach()).sum(), c)
    torch.testing.assert_close(slope[:, 0], basis.at(u.detach()).sum(dim=0))


def test_laplacian_is_minus_the_divergence_of_the_gradient():
    """Second derivatives along three circles through a point: the Laplacian of the sphere, with the house's sign."""
    basis, u = orthonormal(6), directions(3)
    c = random_coefficients(6)
    assert basis.eigenvalues.tolist() == [d * (d + 1) for d in range(7) for _ in range(2 * d + 1)]
    expected = basis.synthesize_at(basis.laplacian(c), u)
    x = u.clone().requires_grad_()
    field = basis.at(x) @ c
    (gradient,) = torch.autograd.grad(field[:, 0].sum(), x, create_graph=True)
    # at() is constant along a ray, so its Laplacian in space is that of the sphere
    second = sum(torch.autograd.grad(gradient[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(3))
    torch.testing.assert_close(-second, expected[:, 0], rtol=0, atol=1e-9)


def test_filtering_by_degree():
    basis = orthonormal(8)
    c = random_coefficients(8)
    heat = basis.filter(c, lambda d: torch.exp(-0.1 * d * (d + 1)))
    torch.testing.assert_close(heat, c * torch.exp(-0.1 * basis.eigenvalues)[:, None])
    torch.testing.assert_close(basis.filter(c, (torch.arange(9) < 3).double()), torch.where(basis.degrees[:, None] < 3, c, 0))
    with pytest.raises(ArgumentError, match="transfer: wanted one factor a degree"):
        basis.filter(c, torch.ones(8))


# -- points


def test_least_squares_on_points_that_are_not_exact():
    """It inverts synthesis and projects, whatever the weights; the normal equations are those of NumPy's least squares."""
    sphere = Sphere.at(directions(300, 1)[:300])
    basis = orthonormal(8, sphere=sphere)
    c = random_coefficients(8)
    torch.testing.assert_close(basis.analyze(basis.synthesize(c)), c, rtol=0, atol=1e-12)
    signal = torch.randn(300, 2, dtype=torch.float64)
    root = sphere.measure.sqrt()[:, None]
    expected = torch.linalg.lstsq(root * basis.at(sphere.points), root * signal).solution
    torch.testing.assert_close(basis.analyze(signal), expected, rtol=0, atol=1e-11)
    few = basis.truncate(30)
    expected = torch.linalg.lstsq(root * basis.at(sphere.points)[:, :30], root * signal).solution
    torch.testing.assert_close(few.analyze(signal), expected, rtol=0, atol=1e-11)


def test_least_squares_in_float32_is_solved_in_float64():
    basis = SphericalHarmonics(8, Sphere.at(directions(300, 1)[:300]))
    c = random_coefficients(8).float()
    assert (basis.analyze(basis.synthesize(c)) - c).abs().max() < 2e-6 * c.abs().max()


def test_a_grid_too_coarse_for_its_weights_goes_by_least_squares():
    basis = orthonormal(8, sphere=Sphere.equiangular(10, 20))
    c = random_coefficients(8)
    torch.testing.assert_close(basis.analyze(basis.synthesize(c)), c, rtol=0, atol=1e-12)


def test_points_that_do_not_determine_the_modes():
    with pytest.raises(ArgumentError, match="points: wanted at least as many as modes, 25 at degree 4, got 20"):
        SphericalHarmonics(4, Sphere.fibonacci(20))
    cap = directions(400)[:400]
    cap = torch.nn.functional.normalize(cap * torch.tensor([0.1, 0.1, 1.0]), dim=1)
    cap[:, 2] = cap[:, 2].abs()
    with pytest.raises(ArgumentError, match="points that determine degree 12, got normal equations of condition"):
        SphericalHarmonics(12, Sphere.at(cap, torch.full((400,), math.pi / 100)))


def test_smooth_regression():
    basis, u = orthonormal(10), directions(60, 5)
    c = random_coefficients(10)
    values = basis.synthesize_at(c, u)
    with pytest.raises(ArgumentError, match="at least as many as modes"):
        basis.regress(u, values)
    weights = torch.linspace(0, 1, len(u), dtype=torch.float64)
    found = basis.regress(u, values, weights=weights, smoothness=1e-3)
    modes = basis.at(u)
    normal = modes.T @ (weights[:, None] * modes) + 1e-3 * torch.diag(basis.eigenvalues**2)
    torch.testing.assert_close(found, torch.linalg.solve(normal, modes.T @ (weights[:, None] * values)), rtol=0, atol=1e-9)
    many = directions(500, 6)
    torch.testing.assert_close(basis.regress(many, basis.synthesize_at(c, many)), c, rtol=0, atol=1e-11)
    schmidt = orthonormal(10, normalization="schmidt", cs_phase=True)
    torch.testing.assert_close(schmidt.regress(many, schmidt.synthesize_at(c, many)), c, rtol=0, atol=1e-11)


def test_normal_equations_do_not_square_the_error():
    """Points on a part of the sphere: a condition of 1e8 of the equations costs its root, by refinement."""
    u = directions(600, 2)[:600]
    u = torch.nn.functional.normalize(torch.cat([u[:, :2], u[:, 2:].abs()], dim=1), dim=1)
    basis, c = orthonormal(6), random_coefficients(6)
    modes = basis.at(u)
    assert torch.linalg.cond(modes.T @ modes) > 1e8
    assert (basis.regress(u, basis.synthesize_at(c, u)) - c).abs().max() < 1e-10


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"xyz": torch.zeros(5, 2)}, "xyz, values"),
        ({"values": torch.zeros(4, 1)}, "xyz, values"),
        ({"smoothness": -1.0}, "smoothness"),
        ({"weights": torch.zeros(4)}, "weights"),
        ({"weights": -torch.ones(5)}, "weights"),
    ],
)
def test_regression_of_what_cannot_be(change, name):
    given = {"xyz": directions(1)[:5], "values": torch.zeros(5, 1, dtype=torch.float64), **change}
    with pytest.raises(ArgumentError, match=name):
        orthonormal(1).regress(**given)


# -- grids, files, bad input


def test_a_grid_of_high_degree_in_float32():
    basis, degree = SphericalHarmonics(255), 255
    c = torch.randn((degree + 1) ** 2, 1, generator=torch.Generator().manual_seed(0))
    assert (basis.analyze(basis.synthesize(c)) - c).abs().max() < 5e-6


def test_grids_flattened_and_not():
    basis = orthonormal(6)
    c = random_coefficients(6).T.expand(3, 2, -1)
    field = basis.synthesize_grid(c)
    assert field.shape == (3, 2, 7, 15)
    torch.testing.assert_close(field.reshape(3, 2, -1), basis.synthesize(c[..., None])[..., 0])
    torch.testing.assert_close(basis.analyze_grid(field), c)
    lon, lat = (part.reshape(7, 15) for part in basis.sphere.lonlat)
    torch.testing.assert_close(field[0], (basis.at_lonlat(lon, lat) @ c[0].T).movedim(-1, 0))
    with pytest.raises(ArgumentError, match="field"):
        basis.analyze_grid(field[..., :12])
    with pytest.raises(ArgumentError, match="coefficients"):
        basis.synthesize_grid(c[..., :12])
    with pytest.raises(ArgumentError, match="a basis on a grid"):
        orthonormal(2, sphere=Sphere.fibonacci(30)).analyze_grid(field)


@pytest.mark.parametrize("sphere", [Sphere.equiangular(17, 20), Sphere.fibonacci(200)], ids=["grid", "points"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_file_holds_conventions_and_points(tmp_path, sphere, dtype):
    basis = SphericalHarmonics(7, sphere, normalization="4pi", cs_phase=True, dtype=dtype).truncate(40)
    basis.save(tmp_path / "b.safetensors")
    read = geospec.SphericalHarmonics.load(tmp_path / "b.safetensors")
    c = random_coefficients(7)[:40].to(dtype)
    assert torch.equal(read.synthesize(c), basis.synthesize(c))
    assert torch.equal(read.at(basis.sphere.points), basis.at(basis.sphere.points))
    assert repr(read) == repr(basis)
    torch.testing.assert_close(read.double().sphere.measure.sum().item(), 4 * math.pi, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("degree", "options", "message"),
    [
        (-1, {}, "degree"),
        (2.0, {}, "degree"),
        (1001, {}, "degree: wanted at most 1000 in this precision"),
        (129, {"sphere": Sphere.fibonacci(40)}, "degree: wanted at most 128 in this precision"),
        (3, {"dtype": torch.float16}, "dtype"),
        (3, {"normalization": "unit"}, "normalization: wanted one of 'orthonormal'"),
        (3, {"sphere": directions(30)}, "sphere: wanted a geospec.Sphere"),
    ],
)
def test_bad_options(degree, options, message):
    with pytest.raises(ArgumentError, match=message):
        SphericalHarmonics(degree, **options)


def test_the_gradient_at_no_points_and_at_wrong_ones():
    basis = SphericalHarmonics(3)
    c = random_coefficients(3).float()
    assert basis.gradient(c, torch.zeros(0, 3)).shape == (0, 3, c.shape[1])
    for wrong in (torch.zeros(4, 2), torch.zeros(4, 3).double()):
        for call in (basis.gradient, basis.synthesize_at):
            with pytest.raises(ArgumentError, match="xyz: wanted shape .* and the type of coefficients"):
                call(c, wrong)
    high = SphericalHarmonics(129)
    with pytest.raises(ArgumentError, match="degree: wanted at most 128"):
        high.gradient(torch.zeros(high.k, 1), torch.eye(3))


def test_rotations_after_inference():
    basis, turn = SphericalHarmonics(5), torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    with torch.inference_mode():
        basis.rotate(torch.zeros(basis.k, 1), turn)
    c = torch.ones(basis.k, 1, requires_grad=True)
    assert bool(torch.autograd.grad(basis.rotate(c, turn).square().sum(), c)[0].any())
