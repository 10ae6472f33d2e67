"""The Laplacian against closed forms, invariants, libigl, and itself by another construction."""

import math

import numpy as np
import pytest
import torch

import geospec
from geospec import ArgumentError, Laplacian, Mesh, PointCloud, ShapeError, laplacian
from geospec.testing import bumpy_sphere, disjoint_union, grid, icosphere, permuted, sphere_cloud, tolerance, torus

KINDS = ("robust", "cotangent", "delaunay")
MESHES = {"icosphere": icosphere(2), "torus": torus(16, 10), "grid": grid(6, 9), "bumpy": bumpy_sphere(2)}
every_kind = pytest.mark.parametrize("kind", KINDS)


def dense(operator: Laplacian) -> torch.Tensor:
    return operator.stiffness.to_dense()


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MESHES)
def test_form(name, kind, dtype):
    """CSR with int64 indices, symmetric bit for bit, rows summing to zero, semi-definite, mass summing to the area."""
    mesh = MESHES[name].to(dtype=dtype)
    operator = laplacian(mesh, kind)
    matrix = dense(operator)
    tiny = tolerance(dtype, 10)
    assert operator.stiffness.layout == torch.sparse_csr
    assert operator.stiffness.col_indices().dtype == operator.stiffness.crow_indices().dtype == torch.int64
    assert (operator.kind, operator.n_points, operator.mass.dtype, matrix.dtype) == (kind, mesh.n_points, dtype, dtype)
    assert torch.equal(matrix, matrix.T)
    assert matrix.abs().max() > 1
    assert matrix.sum(dim=1).abs().max() < tiny * matrix.abs().max()
    assert torch.linalg.eigvalsh(matrix.double())[0] > -tiny * matrix.abs().max()
    assert (operator.mass > 0).all()
    torch.testing.assert_close(operator.mass.sum(), mesh.area)


@every_kind
def test_right_angles_give_the_five_point_stencil(kind):
    matrix = dense(laplacian(grid(7), kind)).reshape(7, 7, 7, 7)
    stencil = torch.zeros(7, 7, dtype=torch.float64)
    stencil[3, 3] = 4
    stencil[2, 3] = stencil[4, 3] = stencil[3, 2] = stencil[3, 4] = -1
    torch.testing.assert_close(matrix[3, 3], stencil, atol=1e-12, rtol=0)


@every_kind
def test_sign_and_scale_of_a_linear_function(kind):
    """The Dirichlet energy of ``a . x`` on a flat square is ``|a|^2`` times the area, and positive."""
    mesh = grid(8, 5, width=2, height=3)
    signal = mesh.vertices @ torch.tensor([[2.0], [-1.0], [5.0]], dtype=torch.float64)
    assert laplacian(mesh, kind).dirichlet_energy(signal).item() == pytest.approx(5 * 6)


@every_kind
def test_coordinates_of_the_sphere_are_eigenfunctions(kind):
    """``M^-1 S x`` tends to ``2 x`` on the unit sphere, at least at first order in the mean over the area."""
    errors = []
    for level in (2, 3, 4):
        mesh = icosphere(level)
        operator = laplacian(mesh, kind)
        wrong = operator.apply(mesh.vertices) - 2 * mesh.vertices
        errors.append(((operator.mass[:, None] * wrong).norm() / operator.mass.norm()).item())
    orders = np.diff(np.log2(errors))
    assert errors[0] < 0.2
    assert (orders < -0.9).all(), f"error falls by powers {-orders} of two a level"


def test_robust_equals_cotangent_on_a_delaunay_mesh():
    for mesh in (icosphere(3), grid(9)):
        torch.testing.assert_close(dense(laplacian(mesh)), dense(laplacian(mesh, "cotangent")), atol=1e-10, rtol=0)
        torch.testing.assert_close(laplacian(mesh).mass, laplacian(mesh, "cotangent").mass, atol=1e-10, rtol=0)


def test_robust_weights_are_never_negative():
    """A flat, obtuse mesh: the cotangent form has positive off-diagonals, the robust one flips them away."""
    mesh = grid(9)
    stretched = Mesh(mesh.vertices @ torch.tensor([[1, 0, 0], [0.9, 0.2, 0], [0, 0, 1]], dtype=torch.float64), mesh.faces)
    off = lambda kind: dense(laplacian(stretched, kind)).fill_diagonal_(0).max()  # noqa: E731
    assert off("cotangent") > 0.1
    assert off("robust") < 1e-10


def test_cloud_of_a_sphere():
    cloud = sphere_cloud(2000)
    operator = laplacian(cloud)
    matrix = dense(operator)
    assert torch.equal(matrix, matrix.T)
    assert matrix.sum(dim=1).abs().max() < 1e-10
    assert operator.mass.sum().item() == pytest.approx(4 * math.pi, rel=5e-3)
    energy = operator.dirichlet_energy(cloud.points) / (operator.mass[:, None] * cloud.points**2).sum(dim=0)
    torch.testing.assert_close(energy, torch.full_like(energy, 2), rtol=1e-2, atol=0)


@every_kind
def test_relabelling(kind):
    mesh = bumpy_sphere(2)
    other, order = permuted(mesh)
    torch.testing.assert_close(dense(laplacian(other, kind)), dense(laplacian(mesh, kind))[order][:, order], atol=1e-11, rtol=0)


@every_kind
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_stiffness_has_no_unit_and_mass_is_an_area(kind, scale):
    mesh = bumpy_sphere(2)
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    moved = Mesh(scale * (mesh.vertices @ rotation.T), mesh.faces)
    torch.testing.assert_close(dense(laplacian(moved, kind)), dense(laplacian(mesh, kind)), atol=1e-9, rtol=0)
    torch.testing.assert_close(laplacian(moved, kind).mass / scale**2, laplacian(mesh, kind).mass, rtol=1e-9, atol=0)


def test_gradient_in_the_vertices():
    mesh = torus(5, 4)
    signal = torch.randn(mesh.n_points, 1, dtype=torch.float64)

    def energy(vertices):
        operator = laplacian(Mesh(vertices, mesh.faces), "cotangent")
        return operator.dirichlet_energy(signal), operator.stiffness.values(), operator.mass

    assert torch.autograd.gradcheck(energy, mesh.vertices.clone().requires_grad_())


def test_libigl_agrees_up_to_its_sign():
    igl = pytest.importorskip("igl")
    mesh = bumpy_sphere(3)
    arrays = mesh.vertices.numpy(), mesh.faces.numpy()
    operator = laplacian(mesh, "cotangent")
    np.testing.assert_allclose(dense(operator).numpy(), -igl.cotmatrix(*arrays).toarray(), atol=1e-11)
    np.testing.assert_allclose(operator.mass.numpy(), igl.massmatrix(*arrays, igl.MASSMATRIX_TYPE_BARYCENTRIC).diagonal(), rtol=1e-12)


def test_broken_meshes_pass_the_robust_way():
    """An edge with three faces, a sliver, a face that names a vertex twice, and two pieces."""
    fin = torch.tensor([[0.0, 0, 2]], dtype=torch.float64)
    sphere = icosphere(2)
    a, b = sphere.faces[0, :2].tolist()
    faces = torch.cat([sphere.faces, torch.tensor([[a, b, sphere.n_points], [3, 7, 3]])])
    broken = disjoint_union(Mesh(torch.cat([sphere.vertices, fin]), faces), grid(3))
    operator = laplacian(broken)
    assert torch.isfinite(operator.stiffness.values()).all()
    assert torch.linalg.eigvalsh(dense(operator))[:2].abs().max() < 1e-9
    assert (operator.mass > 0).all()


def test_degenerate_faces_are_named():
    vertices = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]], dtype=torch.float64)
    mesh = Mesh(vertices, torch.tensor([[0, 1, 2], [0, 1, 3]]))
    with pytest.raises(ShapeError, match=r"face 1 with vertices \[0, 1, 3\].*kind='robust'"):
        laplacian(mesh, "cotangent")
    assert (laplacian(mesh, "robust").mass > 0).all()


@every_kind
def test_unreferenced_vertices_are_counted(kind):
    mesh = grid(3)
    with pytest.raises(ShapeError, match="2 of 11 vertices in no face.*unreferenced"):
        laplacian(Mesh(torch.cat([mesh.vertices, torch.zeros(2, 3)]), mesh.faces), kind)
    with pytest.raises(ShapeError, match="PointCloud"):
        laplacian(Mesh(mesh.vertices, torch.zeros(0, 3, dtype=torch.int64)), kind)


def test_refusals():
    cloud = sphere_cloud(50)
    with pytest.raises(ArgumentError, match="kind: wanted one of 'robust', 'cotangent', 'delaunay', 'graph', 'anisotropic', got 'cotan'"):
        laplacian(grid(3), "cotan")
    with pytest.raises(ArgumentError, match="'robust' or 'graph' for a point cloud, got 'cotangent'"):
        laplacian(cloud, "cotangent")
    with pytest.raises(ArgumentError, match="'cotangent' where the vertices require gradients"):
        laplacian(Mesh(grid(3).vertices.requires_grad_(), grid(3).faces))
    with pytest.raises(ArgumentError, match="shape"):
        laplacian(grid(3).vertices)
    with pytest.raises(ShapeError, match="more than n_neighbors = 30 points, got 20"):
        laplacian(PointCloud(cloud.points[:20]))
    with pytest.raises(ArgumentError, match="n_neighbors"):
        laplacian(cloud, n_neighbors=2)
    with pytest.raises(ShapeError, match="three dimensions"):
        laplacian(PointCloud(torch.rand(50, 2)))
    with pytest.raises(ShapeError, match="sample a surface"):
        laplacian(PointCloud(torch.zeros(50, 3)))


def test_options_reach_the_library():
    cloud = sphere_cloud(300)
    assert laplacian(cloud, n_neighbors=4).stiffness.values().numel() < laplacian(cloud).stiffness.values().numel()
    sliver = Mesh(torch.tensor([[0, 0, 0], [1, 0, 0], [0.5, 1e-9, 0], [0.5, 1, 0]]), torch.tensor([[0, 1, 2], [2, 1, 3], [0, 2, 3]]))
    assert not torch.equal(laplacian(sliver).mass, laplacian(sliver, mollify_factor=1e-2).mass)


def test_conversions():
    operator = laplacian(torus(8, 6))
    stiffness, mass = operator.to_scipy()
    np.testing.assert_array_equal(stiffness.toarray(), dense(operator).numpy())
    np.testing.assert_array_equal(mass.diagonal(), operator.mass.numpy())
    stiffness_before = stiffness.toarray()
    stiffness.data[:] = 7
    np.testing.assert_array_equal(operator.to_scipy()[0].toarray(), dense(operator).numpy())
    single = operator.to(dtype=torch.float32)
    assert single.mass.dtype == single.stiffness.dtype == torch.float32
    assert "48 points" in repr(operator)
    np.testing.assert_allclose(single.to_scipy()[0].toarray(), stiffness_before, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(single.to_scipy()[0].sum(axis=1), 0, rtol=0, atol=1e-14)


def test_components_are_found_without_touching_the_operator():
    """Right angles leave weights of exactly zero, which link nothing and must stay where they are."""
    operator = laplacian(disjoint_union(grid(7), grid(3)), "cotangent")
    before = operator.stiffness.values().clone()
    assert (before == 0).any()
    assert operator.components().tolist() == 49 * [0] + 9 * [1]
    assert torch.equal(operator.stiffness.values(), before)


@pytest.mark.parametrize("name", ["3holes.off", "alligator.obj", "homer.obj", "planexy.off", "suzanne.obj", "teapot.obj"])
def test_real_scans(shared_data, name):
    """Open, non-manifold, self-intersecting: finite, and positive on random functions."""
    shape = geospec.repair(geospec.load(shared_data / "hard" / name, triangulate=True), steps=("unreferenced",))
    operator = laplacian(shape)
    assert (operator.dirichlet_energy(torch.randn(shape.n_points, 3).to(operator.mass)) > 0).all()
    assert (operator.mass > 0).all()
