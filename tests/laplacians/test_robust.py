"""The robust Laplacian against robust_laplacian, libigl, its invariants, and surfaces whose spectrum is known."""

import math

import numpy as np
import pytest
import scipy.sparse.linalg
import scipy.spatial
import torch

import geospec
from geospec import ArgumentError, Mesh, PointCloud, ShapeError, laplacian, ops
from geospec.testing import bumpy_sphere, disjoint_union, grid, icosphere, permuted, sphere_cloud, torus


def dense(operator):
    return operator.stiffness.to_dense()


def stretched(n, factor):
    """A flat grid whose cells are sheared and long: every edge must flip, many times over."""
    shear = torch.tensor([[1, 0, 0], [0.9, 1 / factor, 0], [0, 0, 1]], dtype=torch.float64)
    return Mesh(grid(n).vertices @ shear, grid(n).faces)


def noisy(mesh, amount, seed=0):
    noise = torch.randn(mesh.vertices.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Mesh(mesh.vertices + amount * noise, mesh.faces)


def moebius(n=30):
    """A band with one twist: no orientation agrees with itself all around."""
    turn = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    rows = [torch.stack([(1 + w * (turn / 2).cos()) * turn.cos(), (1 + w * (turn / 2).cos()) * turn.sin(), w * (turn / 2).sin()], 1)
            for w in (-0.3, 0.0, 0.3)]  # fmt: skip
    a = torch.arange(n)
    faces = []
    for low, high in ((0, 1), (1, 2)):
        right_low, right_high = low * n + (a + 1) % n, high * n + (a + 1) % n
        right_low[-1], right_high[-1] = (2 - low) * n, (2 - high) * n  # the seam joins each rim to the other
        faces += [torch.stack([low * n + a, right_low, right_high], 1), torch.stack([low * n + a, right_high, high * n + a], 1)]
    return Mesh(torch.cat(rows), torch.cat(faces))


def fan(sheets=5, n=6, seed=3):
    """Sheared, bumpy half-planes around one axis: each of its edges has five faces, and wants a flip between some of them."""
    generator = torch.Generator().manual_seed(seed)
    flat = grid(n, width=0.2)
    x, y = flat.vertices[:, 0], flat.vertices[:, 1]
    vertices = []
    for angle in torch.rand(sheets, generator=generator, dtype=torch.float64) * 6:
        turn = angle + 0.3 * torch.rand(n * n, generator=generator, dtype=torch.float64)
        shear = 3 * torch.rand(1, generator=generator, dtype=torch.float64)
        vertices.append(torch.stack([x * turn.cos(), x * turn.sin(), y + shear * x], 1))
    faces = torch.cat([flat.faces + s * n * n for s in range(sheets)])
    joined, index = torch.unique(torch.cat(vertices).round(decimals=12), dim=0, return_inverse=True)
    return Mesh(joined, index[faces])


def mixed_orientation(mesh, seed=0):
    turned = torch.rand(len(mesh.faces), 1, generator=torch.Generator().manual_seed(seed)) < 0.5
    return Mesh(mesh.vertices, torch.where(turned, mesh.faces.flip(1), mesh.faces))


def fin():
    sphere = icosphere(2)
    a, b = sphere.faces[0, :2].tolist()
    tip = torch.tensor([[0.0, 0, 2]], dtype=torch.float64)
    return Mesh(torch.cat([sphere.vertices, tip]), torch.cat([sphere.faces, torch.tensor([[a, b, 162], [3, 7, 3]])]))


def sliver():
    vertices = torch.tensor([[0, 0, 0], [1, 0, 0], [0.5, 0, 0], [0.5, 1, 0]], dtype=torch.float64)
    return Mesh(vertices, torch.tensor([[0, 1, 2], [2, 1, 3], [0, 2, 3]]))


MESHES = {
    "closed": bumpy_sphere(3),
    "noisy": noisy(torus(40, 20), 0.03),
    "boundary": noisy(grid(20), 0.02),
    "stretched": stretched(12, 30),
    "mixed": mixed_orientation(noisy(icosphere(3), 0.03)),
    "moebius": moebius(),
    "fan": fan(),
    "fin": fin(),
    "zero area": sliver(),
    "pieces": disjoint_union(noisy(icosphere(2), 0.05), stretched(5, 9)),
}
every_mesh = pytest.mark.parametrize("name", MESHES)


def assert_equals_peer(mesh, operator, tolerance=1e-10):
    peer = pytest.importorskip("robust_laplacian")
    stiffness, mass = peer.mesh_laplacian(mesh.vertices.double().numpy(), mesh.faces.numpy())
    assert abs(operator.to_scipy()[0] - stiffness).max() < tolerance * abs(stiffness).max()
    np.testing.assert_allclose(operator.mass.numpy(), mass.diagonal(), rtol=0, atol=tolerance * mass.diagonal().max())


@every_mesh
def test_equals_robust_laplacian(name):
    """Faces around an edge are glued in the order of their angles, so the numbers agree on non-manifold meshes too."""
    assert_equals_peer(MESHES[name], laplacian(MESHES[name]))


@pytest.mark.parametrize("name", ["3holes.off", "alligator.obj", "beetle.obj", "homer.obj", "suzanne.obj", "teapot.obj", "truck.obj"])
def test_equals_robust_laplacian_on_real_scans(shared_data, name):
    mesh = geospec.repair(geospec.load(shared_data / "hard" / name, triangulate=True), steps=("unreferenced",)).to(dtype=torch.float64)
    assert_equals_peer(mesh, laplacian(mesh))


@every_mesh
def test_invariants(name):
    operator = laplacian(MESHES[name])
    matrix = dense(operator)
    largest = matrix.abs().max()
    assert torch.equal(matrix, matrix.T)
    assert matrix.sum(dim=1).abs().max() < 1e-13 * largest
    assert torch.linalg.eigvalsh(matrix)[0] > -1e-12 * largest
    assert (matrix - matrix.diag().diag()).max() <= 1e-6
    assert (operator.mass > 0).all()


@pytest.mark.parametrize("name", ["closed", "noisy", "boundary", "stretched", "mixed", "moebius", "fan"])
def test_flips_keep_the_area(name):
    torch.testing.assert_close(laplacian(MESHES[name]).mass.sum(), MESHES[name].area, rtol=1e-12, atol=0)


def test_mollification_adds_area_to_what_has_none():
    line = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]], dtype=torch.float64), torch.tensor([[0, 1, 2]]))
    _, _, values, mass = ops.robust_stiffness(line.vertices, line.faces, mollify_factor=1e-3)
    # Edges 1, 1, 2 of mean 4/3: each grows by what the longest lacks, 1e-3 * 4/3.
    longer = 1e-3 * 4 / 3
    a, c = 1 + longer, 2 + longer
    torch.testing.assert_close(mass.sum().item(), c / 2 * math.sqrt(a * a - c * c / 4), rtol=1e-12, atol=0)
    assert torch.isfinite(values).all()
    assert (ops.robust_stiffness(line.vertices, line.faces, mollify_factor=0)[3] == 0).all()


@pytest.mark.parametrize("name", ["noisy", "moebius", "fan", "fin"])
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scale(name, scale):
    mesh = MESHES[name]
    base, scaled = laplacian(mesh), laplacian(Mesh(scale * mesh.vertices, mesh.faces))
    torch.testing.assert_close(dense(scaled), dense(base), rtol=0, atol=1e-9 * dense(base).abs().max().item())
    torch.testing.assert_close(scaled.mass / scale**2, base.mass, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["mixed", "moebius", "fan", "fin"])
def test_order_and_orientation_do_not_matter(name):
    mesh = MESHES[name]
    matrix, mass = dense(laplacian(mesh)), laplacian(mesh).mass
    turned = laplacian(mixed_orientation(mesh, seed=1))
    torch.testing.assert_close(dense(turned), matrix, rtol=0, atol=1e-12 * matrix.abs().max().item())
    other, order = permuted(mesh)
    torch.testing.assert_close(dense(laplacian(other)), matrix[order][:, order], rtol=0, atol=1e-12 * matrix.abs().max().item())
    torch.testing.assert_close(laplacian(other).mass, mass[order])


def test_both_sides_of_a_closed_surface_equal_one():
    """The fast way of closed oriented meshes, one sheet, against the whole cover, which one turned face calls for."""
    mesh = noisy(icosphere(3), 0.03)
    faces = mesh.faces.clone()
    faces[5] = faces[5].flip(0)
    once, twice = laplacian(mesh), laplacian(Mesh(mesh.vertices, faces))
    torch.testing.assert_close(dense(twice), dense(once), rtol=0, atol=1e-12)
    torch.testing.assert_close(twice.mass, once.mass, rtol=1e-12, atol=0)


@pytest.mark.parametrize("mesh", [icosphere(2), noisy(grid(8), 0.03), fan()], ids=["closed", "boundary", "fan"])
def test_layers_are_glued_each_for_itself(mesh):
    """Two of three layers hold every face, one holds half of them: the sum of three meshes, not one of thick edges."""
    half = torch.arange(len(mesh.faces)) % 2
    n = mesh.n_points

    def matrix(faces, multiplicity=None):
        crow, col, values, mass = ops.robust_stiffness(mesh.vertices, faces, multiplicity)
        return torch.sparse_csr_tensor(crow, col, values, (n, n)).to_dense(), mass

    together = matrix(mesh.faces, 2 + half)
    parts = [matrix(mesh.faces), matrix(mesh.faces), matrix(mesh.faces[half == 1])]
    for whole, apart in zip(together, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(whole, sum(apart), rtol=0, atol=1e-5)  # edges are lengthened by their common mean


def test_threads_do_not_change_a_bit():
    mesh = mixed_orientation(noisy(icosphere(5), 0.005))
    points = torch.nn.functional.normalize(torch.randn(6000, 3, dtype=torch.float64), dim=1)
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            operators = laplacian(mesh), laplacian(noisy(icosphere(5), 0.005)), laplacian(PointCloud(points))
            results.append([part for o in operators for part in (o.stiffness.col_indices(), o.stiffness.values(), o.mass)])
    finally:
        torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("name", ["closed", "noisy", "boundary", "stretched"])
def test_delaunay_equals_libigl(name):
    igl = pytest.importorskip("igl")
    mesh = MESHES[name]
    expected = -igl.intrinsic_delaunay_cotmatrix(mesh.vertices.numpy(), mesh.faces.numpy())[0].toarray()
    np.testing.assert_allclose(dense(laplacian(mesh, "delaunay")).numpy(), expected, rtol=0, atol=1e-9 * abs(expected).max())


def test_delaunay_keeps_the_boundary():
    """An obtuse angle at the boundary stays in the plain Delaunay form; the cover flips its edge away."""
    vertices = torch.tensor([[0.0, 0, 0], [4, 0, 0], [2, 1, 0]], dtype=torch.float64)
    mesh = Mesh(vertices, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(dense(laplacian(mesh, "delaunay"))[0, 1].item(), 3 / 8, rtol=1e-12, atol=0)
    # Its double, cut along the height of 1 over halves of 2: right triangles of cotangents 2 and 1/2.
    robust = dense(laplacian(mesh))
    assert robust[0, 1] == 0
    torch.testing.assert_close(robust[0, 2].item(), -0.25, rtol=1e-12, atol=0)
    torch.testing.assert_close(laplacian(mesh).mass, torch.tensor([1 / 3, 1 / 3, 4 / 3], dtype=torch.float64))


def test_delaunay_refuses_what_is_no_surface():
    for name in ("mixed", "moebius", "fan", "fin"):
        with pytest.raises(ShapeError, match="an oriented manifold mesh.*use kind='robust'"):
            laplacian(MESHES[name], "delaunay")
    with pytest.raises(ShapeError, match="a surface with area at every vertex, got triangles without area"):
        laplacian(sliver(), "delaunay")
    with pytest.raises(ArgumentError, match="kind: wanted 'robust' or 'graph' for a point cloud, got 'delaunay'"):
        laplacian(sphere_cloud(50), "delaunay")


def test_mollify_factor_is_checked():
    for factor in (-1e-5, math.nan, math.inf):
        with pytest.raises(ArgumentError, match="mollify_factor: wanted a finite number of at least 0"):
            laplacian(grid(3), mollify_factor=factor)


def random_sphere(n, seed=0):
    points = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(points, dim=1)


def lowest(operator, k):
    stiffness, mass = operator.to_scipy()
    return np.sort(scipy.sparse.linalg.eigsh(stiffness, k, mass, sigma=-0.1, return_eigenvectors=False, v0=np.ones(len(operator.mass))))


def test_spectrum_of_a_randomly_sampled_sphere_converges():
    """``l (l + 1)``, at first order in the area of a triangle, that is in 1 / n."""
    exact = np.array([degree * (degree + 1) for degree in range(1, 5) for _ in range(2 * degree + 1)])
    errors = [np.abs(lowest(laplacian(PointCloud(random_sphere(n))), 25)[1:] / exact - 1).mean() for n in (500, 2000, 8000)]
    assert errors[0] < 0.06
    assert errors[2] < 0.006
    assert errors[2] < errors[0] / 8


def test_clouds_agree_with_robust_laplacian():
    """The same area, and on an even sampling, where no triangle is obtuse, the same spectrum."""
    peer = pytest.importorskip("robust_laplacian")
    even, uneven = sphere_cloud(2000), PointCloud(random_sphere(2000))
    for cloud in (even, uneven):
        stiffness, mass = peer.point_cloud_laplacian(cloud.points.numpy())
        ours = laplacian(cloud)
        assert ours.mass.sum().item() == pytest.approx(mass.diagonal().sum(), rel=5e-3)
        if cloud is even:
            theirs = np.sort(scipy.sparse.linalg.eigsh(stiffness, 16, mass, sigma=-0.1, return_eigenvectors=False))
            np.testing.assert_allclose(lowest(ours, 16), theirs, rtol=5e-3, atol=1e-9)


def test_clouds_know_no_origin_and_no_unit():
    points = random_sphere(1000)
    base = laplacian(PointCloud(points))
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    moved = laplacian(PointCloud(points @ rotation.T + 100))
    torch.testing.assert_close(dense(moved), dense(base), rtol=0, atol=1e-8)
    for scale in (1e-8, 1e8):
        scaled = laplacian(PointCloud(scale * points))
        torch.testing.assert_close(dense(scaled), dense(base), rtol=0, atol=1e-8)
        torch.testing.assert_close(scaled.mass / scale**2, base.mass, rtol=1e-9, atol=0)


def test_order_of_points_does_not_matter():
    points = random_sphere(800, seed=4)
    order = torch.randperm(800)
    base, other = laplacian(PointCloud(points)), laplacian(PointCloud(points[order]))
    changed = (dense(other) - dense(base)[order][:, order]).abs() > 1e-9
    assert changed.sum() < 0.05 * base.stiffness.values().numel()  # four on a circle take the diagonal at the smallest index
    np.testing.assert_allclose(lowest(other, 25), lowest(base, 25), rtol=1e-2, atol=1e-9)


@pytest.mark.parametrize("n", [9, 30])
def test_a_flat_grid_is_covered_once(n):
    """All its cells have their corners on a circle: four stars must agree on one diagonal each."""
    points = grid(n).vertices
    operator = laplacian(PointCloud(points))
    torch.testing.assert_close(operator.mass.sum().item(), 1.0, rtol=1e-12, atol=0)
    signal = points @ torch.tensor([[2.0], [-1.0], [5.0]], dtype=torch.float64)
    assert operator.dirichlet_energy(signal).item() == pytest.approx(5)


def test_a_sampled_grid_on_a_curved_surface_is_covered_once():
    points = torus(90, 60).vertices
    neighbours = torch.from_numpy(scipy.spatial.cKDTree(points.numpy()).query(points.numpy(), 31)[1])
    assert (ops.local_triangles(points, neighbours)[1] == 3).double().mean() > 0.99
    assert laplacian(PointCloud(points)).mass.sum().item() == pytest.approx(4 * math.pi**2 * 0.4, rel=5e-3)


def test_coincident_points_share_their_place():
    points = random_sphere(1500)
    doubled = torch.cat([points, points[:300], points[:100]])
    operator = laplacian(PointCloud(doubled))
    assert (operator.mass > 0).all()
    assert operator.mass.sum().item() == pytest.approx(4 * math.pi, rel=0.02)
    np.testing.assert_allclose(lowest(operator, 16)[1:], lowest(laplacian(PointCloud(points)), 16)[1:], rtol=0.08)


def test_clouds_without_a_surface_are_refused():
    line = torch.linspace(0, 1, 60, dtype=torch.float64)[:, None] * torch.tensor([[1.0, 2, 3]], dtype=torch.float64)
    crowd = torch.cat([random_sphere(500), torch.ones(40, 3, dtype=torch.float64)])
    for points, missing in ((line, "60 of 60"), (torch.zeros(50, 3), "50 of 50"), (crowd, "40 of 540")):
        with pytest.raises(ShapeError, match=f"points that sample a surface, got {missing} points that span no triangle"):
            laplacian(PointCloud(points))


def test_star_of_a_corner_is_open():
    """A square's corner sees its two neighbours and, across, the corner that the tie leaves it."""
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1.1, 1.2, 0]])
    triangles, multiplicity = ops.local_triangles(points, torch.arange(4).expand(4, 4))
    assert triangles.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert multiplicity.tolist() == [3, 3]


def test_python_faces_name_what_is_wrong():
    vertices, faces = torch.rand(4, 3), torch.tensor([[0, 1, 2]])
    with pytest.raises(ArgumentError, match=r"multiplicity: wanted shape \(1,\), one number a face, got \(2,\)"):
        ops.robust_stiffness(vertices, faces, torch.ones(2, dtype=torch.int64))
    with pytest.raises(ArgumentError, match="faces: wanted the device of vertices"):
        ops.robust_stiffness(vertices, faces.to("meta"))
    with pytest.raises(ArgumentError, match="neighbours: wanted an int64 tensor, got torch.float32"):
        ops.local_triangles(vertices, vertices)
    with pytest.raises(ArgumentError, match=r"neighbours: wanted shape \(4, k\), one row a point, got \(1, 3\)"):
        ops.local_triangles(vertices, faces)
