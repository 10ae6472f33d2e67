"""The smoothing graph: exact null vector, density, closed spectra, invariances, gradients, refusals."""

import math

import pytest
import torch
from scipy.spatial import SphericalVoronoi

from geospec import ops
from geospec.bases import eigenpairs
from geospec.errors import ArgumentError, ShapeError
from geospec.metrics import subspace_overlap
from geospec.probes import smoothing_graph
from geospec.probes.graph import RANDOM, REGULAR, _factor


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sphere(n, seed=0):
    points = normal(n, 3, seed)
    return points / points.norm(dim=1, keepdim=True)


def fibonacci(n):
    i = torch.arange(n, dtype=torch.float64) + 0.5
    z, turn = 1 - 2 * i / n, math.pi * (1 + 5**0.5) * i
    radius = (1 - z * z).sqrt()
    return torch.stack([radius * turn.cos(), radius * turn.sin(), z], dim=1)


def dense_sphere(n=3000, seed=0):
    """Independent points of density 1 + 0.9 z, by rejection."""
    generator = torch.Generator().manual_seed(seed)
    points = sphere(4 * n, seed)
    keep = torch.rand(len(points), generator=generator, dtype=torch.float64) * 1.9 < 1 + 0.9 * points[:, 2]
    return points[keep][:n]


def eigenvalues(graph, k):
    return graph.eigenvalue(1 - eigenpairs(graph.generator(), k=k).values)


@pytest.fixture(scope="module")
def ellipsoid():
    return sphere(500) * torch.tensor([1.0, 0.8, 0.6])


def test_the_root_of_the_measure_is_left_as_it_is(ellipsoid):
    for alpha in (0.0, 0.5, 1.0):
        graph = smoothing_graph(ellipsoid, alpha=alpha)
        root = graph.measure.sqrt()[:, None]
        assert (graph.smooth(root, 7) - root).abs().max() < 1e-13
        assert float(graph.measure.sum()) == pytest.approx(1)


def test_it_is_symmetric_with_spectrum_below_one(ellipsoid):
    graph = smoothing_graph(ellipsoid)
    dense = graph.smooth(torch.eye(500, dtype=torch.float64), 1)
    assert torch.equal(dense, dense.T)
    values = torch.linalg.eigvalsh(dense)
    assert values[-1] == pytest.approx(1)
    assert values[0] > -0.6
    torch.testing.assert_close(torch.eye(500, dtype=torch.float64) - dense, graph.generator().to_dense())


def test_the_measure_is_the_area_whatever_the_density():
    points = dense_sphere()
    areas = torch.from_numpy(SphericalVoronoi(points.numpy()).calculate_areas())
    density = (1 + 0.9 * points[:, 2]).log()

    def slope(measure):
        centred = density - density.mean()
        return float((centred * measure.log()).sum() / centred.square().sum())

    free = smoothing_graph(points).measure
    assert -1.1 < slope(free) < -0.9
    assert torch.corrcoef(torch.stack([free, areas]))[0, 1] > 0.93  # 0.92 with the density of the kernel itself, not its square
    assert slope(smoothing_graph(points, alpha=0.5).measure) == pytest.approx(0, abs=1e-9)
    assert 0.9 < slope(smoothing_graph(points, alpha=0.0).measure) < 1.1


def test_eigenvalues_of_the_sphere():
    points = fibonacci(2500)
    graph = smoothing_graph(points)
    assert graph.dimension == 2
    found = eigenpairs(graph.generator(), k=16)
    values = graph.eigenvalue(1 - found.values)
    degrees = [values[1:4].mean(), values[4:9].mean(), values[9:16].mean()]
    for degree, value in enumerate(degrees, start=1):
        assert float(value) == pytest.approx(degree * (degree + 1), rel=0.05)
        assert float(value / degrees[0]) == pytest.approx(degree * (degree + 1) / 2, rel=0.02)
    x, y, z = points.T
    for columns, harmonics in (
        (slice(1, 4), torch.stack([x, y, z], dim=1)),
        (slice(4, 9), torch.stack([x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], dim=1)),
    ):
        q = torch.linalg.qr(graph.measure.sqrt()[:, None] * harmonics)[0]
        assert subspace_overlap(found.vectors[:, columns], q) > 0.99


def test_density_leaves_the_spectrum_as_it_is():
    """The first harmonics of a sphere, three alike, from points nineteen times denser at one pole than at the other."""
    points = dense_sphere()
    graph = smoothing_graph(points)
    found = eigenpairs(graph.generator(), k=9)
    values = graph.eigenvalue(1 - found.values)
    assert float(values[3] / values[1]) < 1.1
    assert float(values[4:].mean() / values[1:4].mean()) == pytest.approx(3, rel=0.03)
    q = torch.linalg.qr(graph.measure.sqrt()[:, None] * points)[0]
    assert subspace_overlap(found.vectors[:, 1:4], q) > 0.98


def test_eigenvalues_of_a_circle_in_the_plane():
    angle = torch.arange(300, dtype=torch.float64) * 2 * math.pi / 300
    graph = smoothing_graph(torch.stack([angle.cos(), angle.sin()], dim=1))
    assert graph.dimension == 1
    torch.testing.assert_close(
        eigenvalues(graph, 9), torch.tensor([0, 1, 1, 4, 4, 9, 9, 16, 16], dtype=torch.float64), rtol=0.02, atol=1e-9
    )


def test_dimension_is_that_of_the_manifold():
    generator = torch.Generator().manual_seed(0)
    line, square, cube = (torch.rand(2000, d, generator=generator, dtype=torch.float64) for d in (1, 2, 3))
    rolled = torch.cat([square[:, :1].cos(), square[:, :1].sin(), square[:, 1:]], dim=1)
    assert [smoothing_graph(points).dimension for points in (line, square, cube, rolled)] == [1, 2, 3, 2]
    assert smoothing_graph(cube, dimension=5).dimension == 5
    assert smoothing_graph(normal(3000, 5) / normal(3000, 5).norm(dim=1, keepdim=True)).dimension == 4
    flat = torch.cat([square, torch.ones(2000, 1, dtype=torch.float64)], dim=1)  # one coordinate constant
    assert smoothing_graph(flat).dimension == 2


def test_dimension_is_at_most_that_of_the_space():
    """Corners of a simplex are all equally far: distances do not grow at all."""
    graph = smoothing_graph(torch.eye(30, dtype=torch.float64))
    assert graph.dimension == 30
    assert torch.isfinite(graph.values).all()
    torch.testing.assert_close(graph.measure, torch.full((30,), 1 / 30, dtype=torch.float64), rtol=0.5, atol=0)


def test_bandwidth_widens_where_points_are_independent():
    even = sphere(8000)
    even = even[ops.farthest_points(even, 1000)]
    factors = [_factor(ops.knn(points, points, 17)[0], 2) for points in (even, sphere(1000))]
    assert factors[0] < REGULAR + 0.2 * (RANDOM - REGULAR)
    assert factors[1] == pytest.approx(RANDOM, abs=0.05)
    assert smoothing_graph(even, bandwidth=0.2).width.unique().tolist() == [0.2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moving_scaling_and_numbering(ellipsoid, dtype):
    graph = smoothing_graph(ellipsoid.to(dtype))
    turn = torch.linalg.qr(normal(3, 3, 5))[0]
    order = torch.randperm(500, generator=torch.Generator().manual_seed(6))
    moved = smoothing_graph((7 * (ellipsoid @ turn + 2))[order].to(dtype))
    tolerance = 1e-9 if dtype == torch.float64 else 2e-3
    torch.testing.assert_close(moved.measure, graph.measure[order], rtol=tolerance, atol=0)
    assert float(moved.time) == pytest.approx(49 * float(graph.time), rel=tolerance)
    x = normal(500, 2, 7).to(dtype)
    torch.testing.assert_close(moved.smooth(x[order], 5), graph.smooth(x, 5)[order], rtol=tolerance, atol=tolerance)
    assert graph.values.dtype == dtype


def test_doubled_points_share_their_area():
    points = fibonacci(800)
    north = points[:, 2] > 0
    once, twice = smoothing_graph(points), smoothing_graph(torch.cat([points, points[north]]))
    whole = twice.measure[:800].clone()
    whole[north] += twice.measure[800:]
    inside = points[:, 2].abs() > 0.2  # away from the seam
    assert (whole / once.measure)[inside].sub(1).abs().max() < 0.25
    assert float(twice.measure[:800][north & inside].sum() * 2 / once.measure[north & inside].sum()) == pytest.approx(1, abs=0.03)


def test_gradients_in_the_points():
    points = fibonacci(40).requires_grad_()
    x = normal(40, 2)

    def smoothed(points):
        graph = smoothing_graph(points, neighbors=8, dimension=2)
        return graph.smooth(x, 2), graph.measure

    reference = smoothing_graph(points.detach(), neighbors=8, dimension=2)
    value, measure = smoothed(points)
    direction = normal(40, 3, 3)
    weights = normal(40, 1, 4)[:, 0]
    gradient = torch.autograd.grad((measure * weights).sum(), points, retain_graph=True)[0]
    step = 1e-6
    after, before = (smoothed(points.detach() + sign * step * direction)[1] for sign in (1, -1))
    numeric = ((after - before) * weights).sum() / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(numeric), rel=1e-5)
    assert torch.autograd.grad(value.sum(), points)[0].abs().max() > 0
    assert torch.equal(reference.measure, measure.detach())


def test_gradients_of_the_values_in_the_points():
    """Ratios of the entries off the diagonal: what is held is the same factor in all of them."""
    points = fibonacci(40)

    def entries(points):
        graph = smoothing_graph(points, neighbors=8, bandwidth=0.5, dimension=2)
        row = torch.arange(40).repeat_interleave(graph.crow.long().diff())
        beside = graph.values[row != graph.col]
        return beside / beside.mean()

    assert torch.autograd.gradcheck(entries, points.requires_grad_(), fast_mode=True)
    with torch.no_grad():
        assert not smoothing_graph(points).values.requires_grad


@pytest.mark.parametrize(("d", "alpha"), [(1, 1.0), (2, 1.0), (2, 0.5), (3, 0.0)])
def test_scaled_points_take_longer_steps(d, alpha):
    """Along a scaling the step's operator and the measure stay as they are, and its time grows twice as fast as lengths."""
    points = torch.rand(60, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    graph = smoothing_graph(points, dimension=d, alpha=alpha)
    weights = normal(len(graph.values), 1)[:, 0]
    for value, growth in (((graph.values * weights).sum(), 0), ((graph.measure * weights[:60]).sum(), 0), (graph.time, 2)):
        (along,) = torch.autograd.grad(value, points, retain_graph=True)
        assert float((along * points).sum().detach()) == pytest.approx(growth * float(value.detach()), rel=1e-8, abs=1e-12)


def test_pieces_are_counted():
    assert smoothing_graph(fibonacci(200)).components() == 1
    assert smoothing_graph(torch.cat([fibonacci(200), fibonacci(200) + 50])).components() == 2


def test_bad_points():
    good = fibonacci(100)
    with pytest.raises(ArgumentError, match="points: wanted a float tensor"):
        smoothing_graph(torch.ones(20, 3, dtype=torch.int64))
    with pytest.raises(ShapeError, match="more than the 16 neighbours"):
        smoothing_graph(good[:16])
    with pytest.raises(ShapeError, match="at least one coordinate"):
        smoothing_graph(good[:, :0])
    with pytest.raises(ShapeError, match="finite coordinates"):
        smoothing_graph(good.index_fill(0, torch.tensor([3]), math.nan))
    with pytest.raises(ShapeError, match="copies of a point.*remove duplicates"):
        smoothing_graph(torch.cat([good, good[:1].repeat(12, 1)]))
    with pytest.raises(ShapeError, match="an overflow; scale the points"):
        smoothing_graph((good * 1e30).float())
    with pytest.raises(ShapeError, match="remove_outliers"):
        smoothing_graph(torch.cat([good, torch.tensor([[30.0, 0, 0]])]))


@pytest.mark.parametrize(
    ("option", "value"),
    [("neighbors", 7), ("neighbors", 9.5), ("bandwidth", "wide"), ("bandwidth", 0.0), ("alpha", math.nan), ("dimension", 0)],
)
def test_bad_options(option, value):
    with pytest.raises(ArgumentError, match=option):
        smoothing_graph(fibonacci(50), **{option: value})
