"""Encodings of places: their formulas written out at single points, their seams and poles, their gradients, their refusals."""

import math
from itertools import pairwise

import pytest
import torch

from geospec.errors import ArgumentError
from geospec.nn import positional_encoding
from geospec.nn.positional import ENCODINGS
from geospec.nn.positional.base import LongitudeLatitudeEncoding
from geospec.ops import lonlat_to_xyz, spherical_harmonics

SMALL = {
    **{
        name: {"scales": 3, "r_min": 2.0, "r_max": 50.0} for name in ("grid", "theory", "spherec", "spherec+", "spherem", "spherem+", "dfs")
    },
    "nerf": {"scales": 3},
    "rff": {"features": 12, "frequency": 2.0},
    "spherical-harmonics": {"degree": 4},
    "discretized-spherical-harmonics": {"degree": 4, "resolution": 5.0},
}
#: Functions of the point in space, or nearly so: one value at a pole.
ON_THE_SPHERE = ("cartesian3d", "nerf", "rff", "spherical-harmonics", "discretized-spherical-harmonics")


def small(name, **options):
    return positional_encoding(name, **{**SMALL.get(name, {}), **options})


def places(n=40, seed=0):
    draw = torch.rand(2, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 360 * draw[0] - 180, 170 * draw[1] - 85


@pytest.fixture(params=ENCODINGS)
def name(request):
    return request.param


WIDTHS = [
    ("direct", {}, 2), ("cartesian3d", {}, 3), ("wrap", {}, 4), ("grid", {"scales": 7}, 28), ("theory", {"scales": 7}, 42),
    ("spherec", {"scales": 7}, 21), ("spherec+", {"scales": 7}, 42), ("spherem", {"scales": 7}, 35), ("spherem+", {"scales": 7}, 56),
    ("dfs", {"scales": 7}, 4 * 49 + 28), ("nerf", {"scales": 7}, 42), ("rff", {"features": 7}, 7),
    ("spherical-harmonics", {"degree": 7}, 64), ("discretized-spherical-harmonics", {"degree": 3, "resolution": 30}, 16),
    ("spherec", {"scales": 7, "variant": "released"}, 42), ("spherec+", {"scales": 7, "variant": "released"}, 84),
    ("spherem", {"scales": 7, "variant": "released"}, 70), ("spherem+", {"scales": 7, "variant": "released"}, 112),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "width"), WIDTHS)
def test_widths(name, options, width):
    encoding = positional_encoding(name, **options)
    assert encoding.features == width
    for shape in ((), (5,), (2, 3), (0,)):
        xyz = torch.tensor([0.0, 0.6, 0.8]).expand(*shape, 3)
        assert encoding(xyz).shape == (*shape, width)
        assert encoding.at_lonlat(xyz[..., 0], xyz[..., 1]).shape == (*shape, width)


def test_there_is_a_width_for_each():
    assert {name for name, _, _ in WIDTHS} == set(ENCODINGS)


LON, LAT, RADII = 100.0, -35.0, (2.0, 10.0, 50.0)
sin, cos = math.sin, math.cos


def scaled():
    return [(LON / r, LAT / r) for r in RADII]


def waves(a):
    return [sin(a), cos(a)]


def grid():
    return [w for a, _ in scaled() for w in waves(a)] + [w for _, b in scaled() for w in waves(b)]


def theory():
    u = [(cos(t), sin(t)) for t in (0, 2 * math.pi / 3, 4 * math.pi / 3)]
    return [w for a, b in scaled() for x, y in u for w in waves(a * x + b * y)]


def sphere_c(extended):
    singles = [[*waves(b), *waves(a)] if extended else [sin(b)] for a, b in scaled()]
    return [f for s, (a, b) in zip(singles, scaled(), strict=True) for f in (*s, cos(b) * cos(a), cos(b) * sin(a))]


def sphere_m(extended, lon, lat):
    out = []
    for a, b in scaled():
        out += [*waves(b), *waves(a)] if extended else [sin(b)]
        out += [cos(b) * cos(lon), cos(lat) * cos(a), cos(b) * sin(lon), cos(lat) * sin(a)]
    return out


def dfs():
    a, b = zip(*scaled(), strict=True)
    out = [f(x) for angles in (b, a) for f in (sin, cos) for x in angles]
    return out + [g(y) * f(x) for g in (cos, sin) for f in (cos, sin) for y in b for x in a]


RAD = (math.radians(LON), math.radians(LAT))
POINT = (cos(RAD[1]) * cos(RAD[0]), cos(RAD[1]) * sin(RAD[0]), sin(RAD[1]))


def twice(features):
    return [f for f in features for _ in range(2)]


FORMULAS = [
    ("direct", {}, list(RAD)),
    ("direct", {"variant": "released"}, [RAD[0] - math.pi, RAD[1] - math.pi]),
    ("cartesian3d", {}, list(POINT)),
    ("wrap", {}, [cos(RAD[0]), sin(RAD[0]), cos(RAD[1]), sin(RAD[1])]),
    ("grid", {}, grid()),
    ("theory", {}, theory()),
    ("spherec", {}, sphere_c(False)),
    ("spherec+", {}, sphere_c(True)),
    ("spherem", {}, sphere_m(False, *RAD)),
    ("spherem+", {}, sphere_m(True, *RAD)),
    ("spherec", {"variant": "released"}, twice(sphere_c(False))),
    ("spherec+", {"variant": "released"}, twice(sphere_c(True))),
    ("spherem", {"variant": "released"}, twice(sphere_m(False, LON, LAT))),
    ("spherem+", {"variant": "released"}, twice(sphere_m(True, LON, LAT))),
    ("dfs", {}, dfs()),
    ("nerf", {}, [f(2**s * math.pi * x) for s in range(3) for f in (sin, cos) for x in POINT]),
]


@pytest.mark.parametrize(("name", "options", "wanted"), FORMULAS)
def test_formulas(name, options, wanted):
    encoding = small(name, **options)
    lon, lat = torch.tensor(LON, dtype=torch.float64), torch.tensor(LAT, dtype=torch.float64)
    wanted = torch.tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(encoding.at_lonlat(lon, lat), wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(encoding(lonlat_to_xyz(lon, lat)), wanted, rtol=0, atol=1e-12)


def test_harmonics_are_those_of_the_op():
    xyz = lonlat_to_xyz(*places())
    for convention in ("orthonormal", "satclip"):
        got = positional_encoding("spherical-harmonics", degree=5, convention=convention)(xyz)
        torch.testing.assert_close(got, spherical_harmonics(xyz, 5, convention=convention), rtol=0, atol=0)


def test_random_features_approach_the_gaussian_kernel_and_follow_the_seed_alone():
    state = torch.get_rng_state()
    encoding = positional_encoding("rff", features=40_000, frequency=2.0, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    u, v = lonlat_to_xyz(*places(20)), lonlat_to_xyz(*places(20, seed=1))
    kernel = torch.exp(-(2.0**2) * (u - v).square().sum(dim=1) / 2)
    inner = (encoding(u) * encoding(v)).sum(dim=1)
    assert (inner - kernel).abs().max() < 5 * math.sqrt(1.5 / 40_000)  # five standard deviations
    small_one = {"features": 8, "frequency": 1.0}
    assert torch.equal(positional_encoding("rff", seed=3, **small_one)(u), positional_encoding("rff", seed=3, **small_one)(u))
    assert not torch.equal(positional_encoding("rff", seed=3, **small_one)(u), positional_encoding("rff", seed=4, **small_one)(u))


def test_directions_and_longitude_and_latitude_agree(name):
    lon, lat = places()
    encoding = small(name)
    torch.testing.assert_close(encoding(lonlat_to_xyz(lon, lat)), encoding.at_lonlat(lon, lat), rtol=0, atol=1e-11)
    single = encoding.at_lonlat(lon.float(), lat.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), encoding.at_lonlat(lon, lat), rtol=0, atol=3e-5)


def test_the_date_line(name):
    """Both of its ends are one place for the encodings that say so, and no others."""
    lat = places()[1]
    east, west = (small(name).at_lonlat(torch.full_like(lat, end), lat) for end in (180.0, -180.0))
    alike = torch.allclose(east, west, rtol=0, atol=1e-12)
    assert alike == (name in (*ON_THE_SPHERE, "wrap"))


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_the_poles(name, pole):
    lon = places()[0]
    there = small(name).at_lonlat(lon, torch.full_like(lon, pole))
    assert torch.allclose(there, there[:1].expand_as(there), rtol=0, atol=1e-12) == (name in ON_THE_SPHERE)


def unit(v):
    return v / v.norm(dim=-1, keepdim=True)


def test_gradients_are_finite_differences(name):
    if name == "discretized-spherical-harmonics":
        places_between = torch.tensor([[12.0, 33.0], [-140.5, -61.0]], dtype=torch.float64)  # the slope jumps on the grid's lines
    else:
        places_between = torch.stack(places(2), dim=1)
    lon, lat = places_between.unbind(dim=1)
    encoding = small(name)
    assert torch.autograd.gradcheck(encoding.at_lonlat, (lon.requires_grad_(), lat.requires_grad_()))
    xyz = lonlat_to_xyz(lon, lat).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: encoding(unit(v)), xyz)


@pytest.mark.parametrize("pole", [1.0, -1.0])
def test_gradients_at_the_poles(name, pole):
    xyz = torch.tensor([[0.0, 0.0, pole]], dtype=torch.float64, requires_grad=True)
    encoding = small(name)
    jacobian = torch.autograd.functional.jacobian(encoding, xyz)[0, :, 0]
    assert jacobian.isfinite().all()
    if isinstance(encoding, LongitudeLatitudeEncoding):
        assert (jacobian[:, :2] == 0).all()
    else:
        assert jacobian[:, :2].abs().max() > 0.1
        assert torch.autograd.gradcheck(lambda v: encoding(unit(v)), xyz)


def test_discretized_harmonics_are_exact_on_the_grid_and_converge_with_its_square():
    degree = 6
    exact = positional_encoding("spherical-harmonics", degree=degree)
    lon, lat = places(4000)
    lat = torch.cat([lat, torch.tensor([90.0, -90.0, 89.9, -89.9], dtype=torch.float64)])
    lon = torch.cat([lon, torch.tensor([17.0, 17.0, 179.99, -179.99], dtype=torch.float64)])
    errors = []
    for h in (6.0, 3.0, 1.5):
        table = positional_encoding("discretized-spherical-harmonics", degree=degree, resolution=h).double()
        error = (table.at_lonlat(lon, lat) - exact.at_lonlat(lon, lat)).abs().max()
        # In each direction h^2 / 8 times the largest second derivative, which is at most degree^2 times the largest value (Bernstein).
        largest = math.sqrt((2 * degree + 1) / (2 * math.pi))
        assert error < 2 * (math.radians(h) * degree) ** 2 / 8 * largest
        errors.append(float(error))
        nodes = torch.arange(-180, 180 + h, h, dtype=torch.float64), torch.arange(-90, 90 + h, h, dtype=torch.float64)[:, None]
        torch.testing.assert_close(table.at_lonlat(*nodes), exact.at_lonlat(*nodes), rtol=0, atol=1e-6)
    assert all(3.6 < a / b < 4.4 for a, b in pairwise(errors))


def test_discretized_harmonics_lie_between_the_corners():
    """Constants are kept: weights of the corners add up to one, over the date line too."""
    table = positional_encoding("discretized-spherical-harmonics", degree=0, resolution=45.0)
    lon, lat = places(500)
    lon = torch.cat([lon, torch.tensor([540.0, -900.0, 179.9], dtype=torch.float64)])
    lat = torch.cat([lat, torch.tensor([90.0, -90.0, 0.0], dtype=torch.float64)])
    torch.testing.assert_close(
        table.at_lonlat(lon, lat), torch.full((503, 1), 0.5 / math.sqrt(math.pi), dtype=torch.float64), atol=1e-7, rtol=0
    )


def test_half_precision_is_promoted(name):
    xyz = torch.tensor([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0]])
    for dtype in (torch.float16, torch.bfloat16):
        rounded = unit(xyz).to(dtype)
        if bool(((rounded.float().norm(dim=1) - 1).abs() < 1e-4).all()):
            assert small(name)(rounded).dtype == torch.float32
        at = small(name).at_lonlat(torch.tensor([10.0], dtype=dtype), torch.tensor([20.0], dtype=dtype))
        assert at.dtype == torch.float32
        torch.testing.assert_close(at, small(name).at_lonlat(torch.tensor([10.0]), torch.tensor([20.0])))


REFUSED = [
    (lambda e: e(torch.zeros(4, 2)), r"xyz: wanted shape \(..., 3\), got \(4, 2\); longitude and latitude go through .at_lonlat"),
    (lambda e: e(torch.tensor(1.0)), "xyz: wanted shape"),
    (lambda e: e(torch.tensor([[0, 0, 1]])), "xyz: wanted floats, got torch.int64"),
    (lambda e: e([0.0, 0.0, 1.0]), "xyz: wanted a torch tensor, got list"),
    (lambda e: e(torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.01]])), "xyz: wanted unit vectors, got one of length 1.01"),
    (lambda e: e(torch.zeros(1, 3)), "xyz: wanted unit vectors, got one of length 0"),
    (lambda e: e(torch.full((1, 3), math.nan)), "xyz: wanted unit vectors, got one of length nan"),
    (lambda e: e.at_lonlat(torch.tensor([0.0]), torch.tensor([90.5])), "lat: wanted latitudes from -90 to 90 degrees, got 90.5"),
    (lambda e: e.at_lonlat(torch.tensor([math.inf]), torch.tensor([0.0])), "lon: wanted finite"),
    (lambda e: e.at_lonlat(torch.tensor([1]), torch.tensor([0.0])), "lon: wanted floats"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_places_that_are_none(name, call, message):
    with pytest.raises(ArgumentError, match=message):
        call(small(name))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sphere", {}, "name: wanted one of 'direct'"),
        ("grid", {"degree": 3}, "degree: wanted an option of 'grid': scales, r_min, r_max, got 3"),
        ("wrap", {"scales": 3}, "scales: wanted an option of 'wrap': it has none"),
        ("grid", {"scales": 0}, "scales: wanted a positive integer"),
        ("grid", {"r_min": 0}, "r_min, r_max: wanted 0 < r_min <= r_max"),
        ("theory", {"r_min": 10, "r_max": 5}, "r_min, r_max: wanted"),
        ("direct", {"variant": "code"}, "variant: wanted one of 'paper', 'released'"),
        ("spherem", {"variant": "code"}, "variant: wanted one of"),
        ("rff", {"features": 0}, "features: wanted a positive integer"),
        ("rff", {"frequency": -1.0}, "frequency: wanted a positive number"),
        ("nerf", {"scales": 1.5}, "scales: wanted a positive integer"),
        ("spherical-harmonics", {"degree": -1}, "degree: wanted an integer of 0 or more"),
        ("spherical-harmonics", {"convention": "none"}, "convention: wanted one of"),
        ("discretized-spherical-harmonics", {"resolution": 7.0}, "resolution: wanted a divisor of 180"),
        ("discretized-spherical-harmonics", {"resolution": 0.0}, "resolution: wanted a divisor of 180"),
    ],
)
def test_options_that_are_refused(name, options, message):
    with pytest.raises(ArgumentError, match=message):
        positional_encoding(name, **options)


def test_one_scale_is_the_smallest_radius():
    encoding = positional_encoding("grid", scales=1, r_min=4.0)
    got = encoding.at_lonlat(torch.tensor([2.0]), torch.tensor([1.0]))
    torch.testing.assert_close(got, torch.tensor([[sin(0.5), cos(0.5), sin(0.25), cos(0.25)]]))


@pytest.mark.parametrize("name", ENCODINGS)
def test_whole_turns_of_longitude_change_nothing(name):
    encoding = positional_encoding(name).double()
    lon, lat = torch.tensor([-90.0, 17, 150], dtype=torch.float64), torch.tensor([10.0, -80, 0], dtype=torch.float64)
    torch.testing.assert_close(encoding.at_lonlat(lon + 360, lat), encoding.at_lonlat(lon, lat), rtol=0, atol=1e-9)
    torch.testing.assert_close(encoding.at_lonlat(lon - 720, lat), encoding.at_lonlat(lon, lat), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_any_direction_in_half_precision(kind):
    xyz = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), dim=1).to(kind)
    features = positional_encoding("spherical-harmonics", degree=4)(xyz)
    assert features.dtype == torch.float32
    wanted = positional_encoding("spherical-harmonics", degree=4)(torch.nn.functional.normalize(xyz.float(), dim=1))
    torch.testing.assert_close(features, wanted, rtol=0, atol=1e-6)
