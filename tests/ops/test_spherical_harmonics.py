"""Spherical harmonics against SciPy, closed forms and identities; what every op owes stands in ``cases.py``."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, sph_harm_y_all
from torch import Tensor

from geospec import ops
from geospec.errors import ArgumentError


def directions(n: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    """Random directions, the poles and the axes of the equator, and some within 1e-3 and 1e-7 of a pole."""
    xyz = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    xyz[:6] = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    xyz[6:12, :2] *= 1e-3 * xyz[6:12, 2:]
    xyz[12:18, :2] *= 1e-7 * xyz[12:18, 2:]
    return torch.nn.functional.normalize(xyz, dim=1).to(dtype)


def by_scipy(xyz: Tensor, degree: int) -> Tensor:
    """Real orthonormal harmonics without Condon-Shortley phase, in double, at the directions of given vectors."""
    x, y, z = xyz.double().numpy().T
    complex_ones = sph_harm_y_all(degree, degree, np.arctan2(np.hypot(x, y), z), np.arctan2(y, x))
    out = torch.empty(len(xyz), (degree + 1) ** 2, dtype=torch.float64)
    for l in range(degree + 1):  # noqa: E741
        for m in range(l + 1):
            value = complex_ones[l, m] * (-1) ** m * (math.sqrt(2) if m else 1)
            out[:, l * l + l - m] = torch.from_numpy(value.imag.copy())
            out[:, l * l + l + m] = torch.from_numpy(value.real.copy())
    return out


@pytest.mark.parametrize(("dtype", "degree", "bound"), [
    (torch.float32, 20, 2e-6), (torch.float32, 40, 5e-6), (torch.float32, 128, 2e-5),
    (torch.float64, 20, 1e-14), (torch.float64, 128, 3e-13),
])  # fmt: skip
def test_equal_scipy(dtype, degree, bound):
    # SciPy loses digits within 1e-3 of a pole, by the square of the degree: the next test goes there.
    xyz = torch.cat([directions(60, dtype)[:6], directions(60, dtype)[18:]])
    error = (ops.spherical_harmonics(xyz, degree).double() - by_scipy(xyz, degree)).abs().max()
    assert error < bound


@pytest.mark.parametrize("degree", [20, 128])
def test_near_the_poles(degree):
    """Against the recurrence in 40 digits, at vectors that double holds exactly."""
    with mpmath.workdps(40):
        for vector in directions(18)[6:]:
            ours = ops.spherical_harmonics(vector[None], degree)[0]
            x, y, z = (mpmath.mpf(float(v)) for v in vector)
            length = mpmath.sqrt(x * x + y * y + z * z)
            for m in (0, 1, 3):
                # Legendre functions over sin^m, from l = m on.
                before, value = (
                    mpmath.mpf(0),
                    mpmath.sqrt(mpmath.fprod(1 + mpmath.mpf(1) / (2 * i) for i in range(1, m + 1)) / (4 * mpmath.pi)),
                )
                for l in range(m + 1, degree + 1):  # noqa: E741
                    a = mpmath.sqrt(mpmath.mpf(4 * l * l - 1) / (l * l - m * m))
                    b = mpmath.sqrt(mpmath.mpf((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
                    before, value = value, a * (z / length * value - b * before)
                wanted = value * (mpmath.mpc(x / length, y / length) ** m).real * (mpmath.sqrt(2) if m else 1)
                assert abs(float(ours[degree * degree + degree + m]) - float(wanted)) < 1e-13


def test_first_degrees_in_closed_form():
    x, y, z = directions(40).unbind(dim=1)
    wanted = [0.5 * math.sqrt(1 / math.pi) * torch.ones_like(x)]
    wanted += [math.sqrt(3 / (4 * math.pi)) * u for u in (y, z, x)]
    wanted += [math.sqrt(15 / (4 * math.pi)) * u for u in (x * y, y * z)]
    wanted += [math.sqrt(5 / (16 * math.pi)) * (3 * z * z - 1), math.sqrt(15 / (4 * math.pi)) * x * z]
    wanted += [math.sqrt(15 / (16 * math.pi)) * (x * x - y * y)]
    torch.testing.assert_close(ops.spherical_harmonics(directions(40), 2), torch.stack(wanted, dim=1), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("dtype", "degree", "bound"), [(torch.float32, 128, 1e-4), (torch.float64, 1000, 1e-10)])
def test_addition_theorem(dtype, degree, bound):
    """``sum_m Y_lm(u) Y_lm(v) = (2 l + 1) / (4 pi) P_l(u . v)``, of every degree, with ``u = v`` and poles among the pairs."""
    u, v = directions(24, dtype), directions(24, dtype, seed=1)
    v[18:] = u[18:]
    degrees = np.arange(degree + 1)
    starts = torch.from_numpy(np.r_[degrees**2, (degree + 1) ** 2]).diff()
    products = ops.spherical_harmonics(u, degree).double() * ops.spherical_harmonics(v, degree).double()
    sums = torch.stack([part.sum(dim=1) for part in products.split(starts.tolist(), dim=1)], dim=1)
    cosine = (torch.nn.functional.normalize(u.double(), dim=1) * torch.nn.functional.normalize(v.double(), dim=1)).sum(dim=1)
    scale = (2 * degrees + 1) / (4 * math.pi)
    wanted = torch.from_numpy(eval_legendre(degrees[None], cosine.clamp(-1, 1).numpy()[:, None]))
    # P_l itself moves by l (l + 1) / 2 times the rounding of its argument.
    assert ((sums / torch.from_numpy(scale) - wanted).abs() < bound).all()


def test_conventions():
    xyz, degree = directions(30), 6
    l = torch.arange(degree + 1).repeat_interleave(2 * torch.arange(degree + 1) + 1)  # noqa: E741
    m = torch.arange((degree + 1) ** 2) - l * l - l
    plain = ops.spherical_harmonics(xyz, degree)
    phase, opposite = 1.0 - 2 * (m % 2).double(), ops.spherical_harmonics(-xyz, degree)
    zonal = torch.where(m == 0, math.pi, torch.ones((), dtype=torch.float64))
    wanted = {
        "4pi": plain * math.sqrt(4 * math.pi),
        "schmidt": plain * (4 * math.pi / (2 * l.double() + 1)).sqrt(),
        "locationencoder-analytic": opposite,
        "locationencoder-closed-form": opposite * phase,
        "satclip": opposite * zonal,
    }
    for name, values in wanted.items():
        torch.testing.assert_close(ops.spherical_harmonics(xyz, degree, convention=name), values.double(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(plain * ops.CONVENTIONS[name].factors(degree), values.double(), rtol=1e-12, atol=1e-12)
    own = ops.HarmonicConvention("schmidt", cs_phase=True)
    torch.testing.assert_close(ops.spherical_harmonics(xyz, degree, convention=own), wanted["schmidt"] * phase, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2, 7, 40])
def test_gradient_along_great_circles(degree):
    """At the poles, on the date line and anywhere; the circle's own formula is the oracle."""
    u = directions(30)
    tangent = torch.nn.functional.normalize(torch.linalg.cross(u, torch.randn(30, 3, dtype=torch.float64)), dim=1)
    step = 1e-6
    ahead, behind = (math.cos(step) * u + s * math.sin(step) * tangent for s in (1, -1))
    slope = (ops.spherical_harmonics(ahead, degree) - ops.spherical_harmonics(behind, degree)) / (2 * step)
    moved = ops.spherical_harmonics_jvp(u, tangent, degree)
    assert (moved - slope).abs().max() < 1e-8 * degree**2
    x = u.clone().requires_grad_()
    weight = torch.randn((degree + 1) ** 2, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((ops.spherical_harmonics(x, degree) @ weight).sum(), x)
    torch.testing.assert_close((gradient * tangent).sum(dim=1), moved @ weight, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close((gradient * u).sum(dim=1), torch.zeros(30, dtype=torch.float64), rtol=0, atol=1e-10)


def test_laplacian_by_two_derivatives():
    """``Delta Y_lm = -l (l + 1) Y_lm``: the function is constant along rays, so the Laplacian of space is the sphere's."""
    degree, u = 8, directions(20).requires_grad_()
    values = ops.spherical_harmonics(u, degree)
    for column in range((degree + 1) ** 2):
        (gradient,) = torch.autograd.grad(values[:, column].sum(), u, create_graph=True)
        second = sum(torch.autograd.grad(gradient[:, i].sum(), u, retain_graph=True)[0][:, i] for i in range(3))
        l = math.isqrt(column)  # noqa: E741
        torch.testing.assert_close(second, -l * (l + 1) * values[:, column], rtol=1e-9, atol=1e-9)


def test_a_third_derivative_is_refused():
    u = directions(20).requires_grad_()
    (first,) = torch.autograd.grad(ops.spherical_harmonics(u, 3)[:, 7].sum(), u, create_graph=True)
    (second,) = torch.autograd.grad(first[:, 0].sum(), u, create_graph=True)
    with pytest.raises(RuntimeError, match="at most two derivatives, got a third"):
        second.sum().backward()


def test_vectors_taken_for_directions():
    u = directions(30)
    lengths = torch.logspace(-30, 30, 30, dtype=torch.float64)[:, None]
    torch.testing.assert_close(ops.spherical_harmonics(u * lengths, 9, normalize=True), ops.spherical_harmonics(u, 9), rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_promoted(kind):
    u = directions(30).to(kind)
    values = ops.spherical_harmonics(u, 4, normalize=True)
    assert values.dtype == torch.float32
    assert torch.equal(values, ops.spherical_harmonics(u.float(), 4, normalize=True))


def test_leading_dimensions():
    u = directions(24).reshape(2, 3, 4, 3)
    values = ops.spherical_harmonics(u, 3)
    assert values.shape == (2, 3, 4, 16)
    assert torch.equal(values[1, 2, 3], ops.spherical_harmonics(u[1, 2, 3], 3))
    assert ops.spherical_harmonics(u[:, :0], 3).shape == (2, 0, 4, 16)
    weight = torch.randn(5, 16, dtype=torch.float64)
    torch.testing.assert_close(ops.spherical_harmonics_linear(u, weight), values @ weight.T)


def test_the_fused_layer_repeats_on_any_number_of_threads():
    u, weight = directions(9000, torch.float32), torch.randn(6, 441, requires_grad=True)
    held, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            x = u.clone().requires_grad_()
            out = ops.spherical_harmonics_linear(x, weight)
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), (x, weight))))
    finally:
        torch.set_num_threads(held)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_the_fused_layer_in_float32_sums_in_double():
    """A gradient that is a sum over 100,000 points of the same sign keeps its digits."""
    u = directions(100_000, torch.float32)
    weight = torch.zeros(1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(ops.spherical_harmonics_linear(u, weight).sum(), weight)
    assert abs(float(gradient[0, 0]) / (100_000 / math.sqrt(4 * math.pi)) - 1) < 1e-6


def test_longitudes_and_latitudes():
    lon = torch.tensor([0.0, 90, 180, -180, -90, 270, 360, 37, 123])
    lat = torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 90, -90])
    x, y, z = torch.eye(3)
    assert torch.equal(ops.lonlat_to_xyz(lon, lat), torch.stack([x, y, -x, -x, -y, -y, x, z, -z]) + 0.0)
    u = directions(200)
    torch.testing.assert_close(ops.lonlat_to_xyz(*ops.xyz_to_lonlat(u)), u, rtol=0, atol=1e-14)
    edges = torch.tensor([[-1, 0.0, 0], [-1, -0.0, 0], [-1, -1e-30, 0], [-0.0, 0, 1], [0, -0.0, -1], [0, -1, 0]])
    assert ops.xyz_to_lonlat(edges)[0].tolist() == [180, 180, 180, 0, 0, -90]
    angles = (
        (torch.rand(20, dtype=torch.float64) * 300 - 150).requires_grad_(),
        (torch.rand(20, dtype=torch.float64) * 170 - 85).requires_grad_(),
    )
    assert torch.autograd.gradcheck(ops.lonlat_to_xyz, angles)
    radians = torch.deg2rad(angles[0]), torch.deg2rad(angles[1])
    wanted = torch.stack([radians[1].cos() * radians[0].cos(), radians[1].cos() * radians[0].sin(), radians[1].sin()], dim=1)
    torch.testing.assert_close(ops.lonlat_to_xyz(*angles), wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: ops.spherical_harmonics([0, 0, 1], 2), "xyz: wanted a torch tensor, got list"),
    (lambda: ops.spherical_harmonics(torch.zeros(4, 2), 2), r"xyz: wanted shape \(..., 3\), got \(4, 2\); longitude"),
    (lambda: ops.spherical_harmonics(torch.zeros(4, 3, dtype=torch.int64), 2), "xyz: wanted floats, got torch.int64"),
    (lambda: ops.spherical_harmonics(torch.zeros(0, 3), -1), "degree: wanted an integer of 0 or more, got -1"),
    (lambda: ops.spherical_harmonics(torch.zeros(0, 3), 2.0), "degree: wanted an integer"),
    (lambda: ops.spherical_harmonics(torch.zeros(0, 3), 129), "degree: wanted at most 128 in this precision, got 129; float64"),
    (lambda: ops.spherical_harmonics(torch.zeros(0, 3).double(), 1001), "degree: wanted at most 1000"),
    (lambda: ops.spherical_harmonics(torch.zeros(0, 3), 2, convention="geodesy"), "convention: wanted one of 'orthonormal'"),
    (lambda: ops.HarmonicConvention("none"), "normalization: wanted one of"),
    (lambda: ops.HarmonicConvention(zonal_factor=0.0), "zonal_factor: wanted a finite number other than 0"),
    (lambda: ops.spherical_harmonics_jvp(torch.zeros(4, 3), torch.zeros(3, 3), 2), r"tangent: wanted the shape of xyz, \(4, 3\)"),
    (lambda: ops.spherical_harmonics_linear(torch.zeros(4, 3), torch.zeros(2, 10)), r"weight: wanted shape \(h, \(degree \+ 1\)\^2\)"),
    (lambda: ops.spherical_harmonics_linear(torch.zeros(4, 3), torch.zeros(2, 9).double()), "weight: wanted the type of xyz"),
    (lambda: ops.spherical_harmonics_linear(torch.zeros(4, 3), torch.zeros(2, 9), torch.zeros(3)), r"bias: wanted shape \(2,\)"),
    (lambda: ops.lonlat_to_xyz(torch.zeros(2), torch.tensor([0.0, 90.5])), "lat: wanted latitudes from -90 to 90 degrees, got 90.5"),
    (lambda: ops.lonlat_to_xyz(torch.tensor([torch.nan]), torch.zeros(1)), "lon: wanted finite longitudes"),
    (lambda: ops.lonlat_to_xyz(1.0, torch.zeros(1)), "lon: wanted a tensor of floats"),
    (lambda: ops.lonlat_to_xyz(torch.zeros(2), torch.zeros(3)), r"lon, lat: wanted shapes that broadcast, got \(2,\) and \(3,\)"),
    (lambda: ops.xyz_to_lonlat(torch.zeros(4, 2)), r"xyz: wanted floats of shape \(..., 3\)"),
])  # fmt: skip
def test_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


RINGS = torch.tensor([0.3, 1.2, 2.8], dtype=torch.float64)


def test_no_rings_and_no_channels():
    assert ops.ring_analysis(torch.zeros(0, 9, 2), RINGS[:0], RINGS[:0], 4).shape == (25, 2)
    assert ops.ring_analysis(torch.zeros(3, 9, 0), RINGS, RINGS, 4).shape == (25, 0)
    assert ops.ring_synthesis(torch.zeros(25, 2), RINGS[:0], 9).shape == (0, 9, 2)
    assert ops.ring_synthesis(torch.zeros(25, 0), RINGS, 9).shape == (3, 9, 0)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: ops.ring_analysis(torch.zeros(3, 9), RINGS, RINGS, 4), r"field: wanted floats of shape \(n_lat, n_lon, c\)"),
    (lambda: ops.ring_analysis(torch.zeros(2, 9, 1), RINGS, RINGS, 4), "field: wanted 3 rings, got 2"),
    (lambda: ops.ring_analysis(torch.zeros(3, 8, 1), RINGS, RINGS, 4), "field: wanted more than 8 points on a ring for degree 4, got 8"),
    (lambda: ops.ring_analysis(torch.zeros(3, 9, 1), RINGS, [1.0] * 3, 4), r"weights: wanted float64 of shape \(n_lat,\), got list"),
    (lambda: ops.ring_analysis(torch.zeros(3, 9, 1), RINGS.float(), RINGS, 4), "colatitude: wanted float64"),
    (lambda: ops.ring_analysis(torch.zeros(3, 9, 1), RINGS.clone().requires_grad_(), RINGS, 4), "colatitude: .* without gradient"),
    (lambda: ops.ring_synthesis(torch.zeros(24, 1), RINGS, 9), r"coefficients: wanted \(degree \+ 1\)\^2 rows, got 24"),
    (lambda: ops.ring_synthesis(torch.zeros(25, 1), RINGS, 8), "n_lon: wanted more than 8 points"),
    (lambda: ops.ring_synthesis(torch.zeros(25, 1), RINGS, 9.0), "n_lon: wanted more than 8 points"),
])  # fmt: skip
def test_ring_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
