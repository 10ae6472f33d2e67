"""Geodesic distances against the plane, the sphere, each other, and bounds that every distance keeps."""

import math
import sys

import numpy as np
import pytest
import torch

import geospec
from geospec import ArgumentError, Mesh, MissingDependencyError, PointCloud, ShapeError, geodesic_distances
from geospec.geodesics import HeatGeodesics
from geospec.testing import bumpy_sphere, disjoint_union, grid, icosphere, permuted, sphere_cloud

METHODS = ("heat", "dijkstra", "exact")


@pytest.fixture(autouse=True)
def _needs_libigl(request):
    if "exact" in request.node.name:
        pytest.importorskip("igl")


def great_circles(mesh, sources):
    return (mesh.points[sources] @ mesh.points.T).clamp(-1, 1).acos()


every_method = pytest.mark.parametrize("method", METHODS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_method
def test_bounds(method, dtype):
    """Zero at the source, never below the straight line (up to the heat method's error), finite, of the asked type."""
    mesh = bumpy_sphere(3).to(dtype=dtype)
    sources = torch.tensor([5, 300])
    found = geodesic_distances(mesh, sources, method=method)
    straight = torch.cdist(mesh.vertices[sources].double(), mesh.vertices.double())
    assert (found.shape, found.dtype) == ((2, mesh.n_points), dtype)
    assert (found[[0, 1], sources] == 0).all()
    assert torch.isfinite(found).all()
    assert (found >= straight - (0.1 if method == "heat" else 1e-5)).all()
    assert found.max() > straight.max()


def test_heat_on_the_plane_converges():
    """First order at a fixed time, around the middle of a square, where the boundary does not bend the level sets."""
    errors = []
    for n in (17, 33, 65):
        mesh, middle = grid(n), n * n // 2
        mean_edge = (2 + math.sqrt(2)) / 3 / (n - 1)  # nearly: two sides and one diagonal a cell, and the outline
        exact = (mesh.vertices - mesh.vertices[middle]).norm(dim=1)
        found = HeatGeodesics(mesh, time_scale=(0.03 / mean_edge) ** 2).distances(middle)[0]
        errors.append((found - exact)[exact < 0.3].abs().mean().item())
    orders = -np.diff(np.log2(errors))
    assert errors[-1] < 0.003
    assert (orders > 0.9).all(), orders


def test_default_time_on_the_plane():
    mesh = grid(33)
    middle = 33 * 33 // 2
    exact = (mesh.vertices - mesh.vertices[middle]).norm(dim=1)
    assert (geodesic_distances(mesh, middle)[0] - exact)[exact < 0.3].abs().mean().item() < 0.03 * 0.3


def test_heat_on_the_sphere():
    errors = []
    for level in (3, 4):
        mesh = icosphere(level)
        sources = torch.arange(0, mesh.n_points, 50)
        exact = great_circles(mesh, sources)
        found = geodesic_distances(mesh, sources)
        errors.append(((found - exact).abs().mean() / exact.mean()).item())
        assert (found[:, sources] - found[:, sources].T).abs().max() < 0.03
    assert errors[0] < 0.015
    assert errors[1] < 0.75 * errors[0]


def test_exact_on_the_plane():
    mesh = grid(13)
    torch.testing.assert_close(geodesic_distances(mesh, [0, 84], method="exact"), torch.cdist(mesh.vertices[[0, 84]], mesh.vertices))


def test_exact_is_below_dijkstra_and_near_heat():
    mesh = bumpy_sphere(3)
    sources = torch.arange(0, mesh.n_points, 80)
    heat, edges, exact = (geodesic_distances(mesh, sources, method=method) for method in METHODS)
    assert (exact <= edges * (1 + 1e-9)).all()
    assert ((heat - exact).abs().mean() / exact.mean()).item() < 0.03
    assert 0.03 < ((edges - exact).mean() / exact.mean()).item() < 0.12
    torch.testing.assert_close(exact[:, sources], exact[:, sources].T)


def test_dijkstra_walks_edges():
    """On the grid: every cell is crossed along its diagonal in one direction, around its corner in the other."""
    mesh = grid(6)
    i, j = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    along, across = geodesic_distances(mesh, [0, 5], method="dijkstra") * 5
    torch.testing.assert_close(along, (torch.minimum(i, j) * math.sqrt(2) + (i - j).abs()).reshape(-1).double())
    torch.testing.assert_close(across, (i + (5 - j)).reshape(-1).double())


@pytest.mark.parametrize("method", ["heat", "dijkstra"])
def test_clouds(method):
    cloud = sphere_cloud(1500)
    sources = torch.tensor([0, 700])
    exact = great_circles(cloud, sources)
    found = geodesic_distances(cloud, sources, method=method)
    assert found.shape == (2, 1500)
    assert ((found - exact).abs().mean() / exact.mean()).item() < (0.04 if method == "heat" else 0.12)
    assert (found[[0, 1], sources].abs() < 1e-6).all()


def test_heat_on_clouds_beside_potpourri3d():
    """Even and random points of the sphere: nearer to the great circles than theirs, and nearer with more points."""
    potpourri3d = pytest.importorskip("potpourri3d")
    random = torch.nn.functional.normalize(torch.randn(3000, 3, dtype=torch.float64), dim=1)
    sources = torch.arange(0, 500, 100)
    errors = []
    for cloud in (sphere_cloud(1000), sphere_cloud(3000), PointCloud(random)):
        exact = great_circles(cloud, sources)
        solver = potpourri3d.PointCloudHeatSolver(cloud.points.numpy())
        theirs = torch.from_numpy(np.stack([solver.compute_distance(int(i)) for i in sources]))
        ours = geodesic_distances(cloud, sources)
        errors.append(((ours - exact).abs().mean() / exact.mean()).item())
        assert errors[-1] < 0.9 * ((theirs - exact).abs().mean() / exact.mean()).item()
    assert errors[1] < 0.7 * errors[0]
    assert errors[1] < 0.008


@every_method
def test_other_pieces_are_infinitely_far(method):
    pieces = disjoint_union(icosphere(2), Mesh(icosphere(1).vertices + 5, icosphere(1).faces), grid(4))
    n = [162, 42, 16]
    found = geodesic_distances(pieces, torch.tensor([3, 170, 210]), method=method)
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor(n))
    assert torch.equal(torch.isfinite(found), owner == torch.arange(3)[:, None])
    alone = geodesic_distances(icosphere(2), 3, method=method)[0]
    torch.testing.assert_close(found[0, :162], alone, rtol=0.05, atol=0.05)  # the time of the heat is shared by the pieces


@pytest.mark.parametrize("method", ["heat", "dijkstra"])
def test_other_pieces_of_a_cloud_are_infinitely_far(method):
    cloud = sphere_cloud(300)
    pieces = PointCloud(torch.cat([cloud.points, cloud.points + 20]))
    found = geodesic_distances(pieces, [3, 400], method=method)
    assert torch.equal(torch.isfinite(found), (torch.arange(600) < 300) == torch.tensor([[True], [False]]))


@every_method
def test_units_and_order_of_vertices(method):
    mesh = bumpy_sphere(2)
    other, order = permuted(mesh)
    base = geodesic_distances(mesh, order[7], method=method)[0]
    torch.testing.assert_close(geodesic_distances(other, 7, method=method)[0], base[order], rtol=1e-7, atol=1e-9)
    for scale in (1e-6, 1e6):
        scaled = geodesic_distances(Mesh(scale * mesh.vertices, mesh.faces), order[7], method=method)[0]
        torch.testing.assert_close(scaled / scale, base, rtol=1e-6, atol=1e-8)


def test_many_sources_equal_one_by_one():
    """More sources than a block holds."""
    solver = HeatGeodesics(bumpy_sphere(2))
    together = solver.distances(torch.arange(70))
    torch.testing.assert_close(together[[0, 40, 69]], torch.cat([solver.distances(i) for i in (0, 40, 69)]))
    assert solver.distances([]).shape == (0, 162)


def test_more_time_is_smoother():
    mesh = grid(21)
    base, long = HeatGeodesics(mesh).distances(0), HeatGeodesics(mesh, time_scale=100).distances(0)
    exact = mesh.vertices.norm(dim=1)
    assert (long - exact).abs().mean() > 2 * (base - exact).abs().mean()


def test_broken_meshes_take_the_heat_method():
    """An edge of three faces, a face without area, a vertex where two sheets touch."""
    mesh = bumpy_sphere(3)
    a, b, c = mesh.faces[0].tolist()
    vertices = torch.cat([mesh.vertices, mesh.vertices[[a]] * 1.3])
    broken = Mesh(vertices, torch.cat([mesh.faces, torch.tensor([[a, b, mesh.n_points], [c, c, b], [a, b, a]])]))
    found = geodesic_distances(broken, [0, 99])
    assert torch.isfinite(found).all()
    clean = geodesic_distances(mesh, [0, 99])
    assert (found[:, : mesh.n_points] - clean).abs().mean() < 0.02 * clean.mean()
    pytest.importorskip("igl")
    with pytest.raises(ShapeError, match="manifold mesh for method='exact', got 1 edges"):
        geodesic_distances(broken, 0, method="exact")


@every_method
def test_no_path_leads_to_a_vertex_of_no_face(method):
    mesh = bumpy_sphere(2)
    lonely = Mesh(torch.cat([mesh.vertices[:1] + 5, mesh.vertices]), mesh.faces + 1)
    found = geodesic_distances(lonely, [8, 0], method=method)
    assert torch.equal(found[:, 0], torch.tensor([torch.inf, 0]).double())
    assert torch.isinf(found[1, 1:]).all()
    torch.testing.assert_close(found[0, 1:], geodesic_distances(mesh, 7, method=method)[0])


def test_exact_refuses_pinched_vertices():
    two = disjoint_union(icosphere(1), Mesh(icosphere(1).vertices + 2, icosphere(1).faces))
    faces = torch.where(two.faces == 42, 0, two.faces)
    pinched = geospec.repair(Mesh(two.vertices, faces), steps=("unreferenced",))
    with pytest.raises(ShapeError, match="0 edges and 1 vertices"):
        geodesic_distances(pinched, 0, method="exact")
    assert torch.isfinite(geodesic_distances(pinched, 0, method="heat")).all()


@pytest.mark.parametrize("name", ["homer.obj", "suzanne.obj", "teapot.obj", "alligator.obj"])
def test_real_scans(shared_data, name):
    mesh = geospec.repair(geospec.load(shared_data / "hard" / name, triangulate=True), steps=("unreferenced",))
    sources = torch.arange(0, mesh.n_points, mesh.n_points // 5)
    heat, edges = geodesic_distances(mesh, sources), geodesic_distances(mesh, sources, method="dijkstra")
    reached = torch.isfinite(edges)
    assert torch.equal(torch.isfinite(heat), reached)
    assert ((heat - edges)[reached].abs().mean() / edges[reached].mean()).item() < 0.15


@pytest.mark.parametrize("method", ["heat", "dijkstra"])
def test_vertices_that_require_gradients(method):
    for shape in (icosphere(1), sphere_cloud(100)):
        followed = type(shape)(shape.points.clone().requires_grad_(), *([shape.faces] if isinstance(shape, Mesh) else []))
        found = geodesic_distances(followed, 0, method=method)
        assert not found.requires_grad
        torch.testing.assert_close(found, geodesic_distances(shape, 0, method=method))


def test_a_surface_without_area_is_refused():
    line = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), torch.tensor([[0, 1, 2]]))
    with pytest.raises(ShapeError, match="a surface with area"):
        geodesic_distances(line, 0)


def test_refusals(monkeypatch):
    mesh = icosphere(1)
    with pytest.raises(ArgumentError, match="method: wanted one of"):
        geodesic_distances(mesh, 0, method="fast")
    for sources in (42, -1, [0, 42], torch.tensor([0.5]), torch.zeros(2, 2, dtype=torch.int64), torch.tensor([True])):
        with pytest.raises(ArgumentError, match="sources"):
            geodesic_distances(mesh, sources)
    with pytest.raises(ArgumentError, match="for a point cloud, got 'exact'"):
        geodesic_distances(PointCloud(mesh.vertices), 0, method="exact")
    with pytest.raises(ArgumentError, match="shape"):
        geodesic_distances(mesh.vertices, 0)
    with pytest.raises(ArgumentError, match="time_scale"):
        HeatGeodesics(mesh, time_scale=0)
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'geospec\[exact\]'"):
        geodesic_distances(mesh, 0, method="exact")
