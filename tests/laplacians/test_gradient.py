"""Gradient, divergence and masses against linear functions, integrals in closed form, libigl and the cotangent stiffness."""

import math

import numpy as np
import pytest
import torch

from geospec import ArgumentError, Mesh, laplacian
from geospec.laplacians import divergence, face_gradient, gradient, mass_matrix
from geospec.testing import bumpy_sphere, grid, icosphere, tolerance, torus

both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def with_flat_faces(mesh: Mesh) -> Mesh:
    """The mesh, a face that names a vertex twice before its faces, and a face of three points on a line after them."""
    line = torch.tensor([[0, 0, 0], [1, 0, 0], [3, 0, 0]]).to(mesh.vertices)
    faces = [torch.tensor([[3, 7, 3]]), mesh.faces, torch.tensor([[0, 1, 2]]) + mesh.n_points]
    return Mesh(torch.cat([mesh.vertices, line]), torch.cat(faces))


def test_linear_functions_have_their_gradient():
    """On the plane the gradient is the slope itself, on a surface its tangent part."""
    slope = torch.tensor([[2.0, -1, 0], [0.5, 3, 0]], dtype=torch.float64)
    mesh = grid(5, 4)
    found = (gradient(mesh) @ (mesh.vertices @ slope.T)).reshape(-1, 3, 2)
    torch.testing.assert_close(found, slope.T.expand_as(found), atol=1e-12, rtol=0)
    sphere = bumpy_sphere(2)
    found = (gradient(sphere) @ sphere.vertices).reshape(-1, 3, 3)
    normals = sphere.face_normals
    torch.testing.assert_close(found, torch.eye(3) - normals[:, :, None] * normals[:, None], atol=1e-12, rtol=0)


@both_dtypes
@pytest.mark.parametrize("mesh", [bumpy_sphere(2), torus(9, 7), grid(6)], ids=["bumpy", "torus", "grid"])
def test_stiffness_is_gradient_after_divergence(mesh, dtype):
    mesh = mesh.to(dtype=dtype)
    stiffness = laplacian(mesh, "cotangent").stiffness.to_dense()
    g, d = gradient(mesh).to_dense(), divergence(mesh).to_dense()
    areas = mesh.face_areas.repeat_interleave(3)
    assert g.dtype == d.dtype == dtype
    scale = tolerance(dtype, 10) * stiffness.abs().max()
    torch.testing.assert_close(g.T @ (areas[:, None] * g), stiffness, atol=scale, rtol=0)
    torch.testing.assert_close(-d @ g, stiffness, atol=scale, rtol=0)
    torch.testing.assert_close(d, -g.T * areas, atol=scale, rtol=0)


def test_layout():
    mesh = torus(6, 5)
    g, d = gradient(mesh), divergence(mesh)
    assert (g.layout, d.layout) == (torch.sparse_csr, torch.sparse_csr)
    assert (tuple(g.shape), tuple(d.shape)) == ((180, 30), (30, 180))
    assert g.col_indices().dtype == d.col_indices().dtype == torch.int64
    assert (g.crow_indices().diff() == 3).all()
    assert g.values().numel() == d.values().numel() == 9 * len(mesh.faces)


def test_divergence_of_a_source_is_positive():
    """The position vector of the plane has divergence 2; the boundary takes in what flows out, so that the sum is zero."""
    mesh = grid(9)
    field = mesh.vertices[mesh.faces].mean(dim=1)
    found = (divergence(mesh) @ field.reshape(-1, 1))[:, 0]
    inner = ((mesh.vertices[:, :2] > 0.01) & (mesh.vertices[:, :2] < 0.99)).all(dim=1)
    torch.testing.assert_close(found[inner] / mesh.measure[inner], torch.full((49,), 2.0, dtype=torch.float64))
    assert abs(found.sum()) < 1e-12


def test_libigl_has_the_same_gradient():
    igl = pytest.importorskip("igl")
    mesh = bumpy_sphere(3)
    signal = torch.randn(mesh.n_points, 1, dtype=torch.float64)
    peer = igl.grad(mesh.vertices.numpy(), mesh.faces.numpy()) @ signal.numpy()  # all x, then all y, then all z
    np.testing.assert_allclose(face_gradient(mesh, signal)[:, :, 0].numpy(), peer.reshape(3, -1).T, atol=1e-11)


@both_dtypes
def test_flat_faces_have_no_gradient(dtype):
    mesh = with_flat_faces(torus(6, 5, dtype=dtype))
    signal = torch.randn(mesh.n_points, 2, dtype=dtype)
    found = (gradient(mesh) @ signal).reshape(-1, 3, 2)
    assert (found[[0, -1]] == 0).all()
    torch.testing.assert_close(face_gradient(mesh, signal), found, rtol=1e-4, atol=1e-5)
    whole = torus(6, 5, dtype=dtype)
    torch.testing.assert_close(found[1:-1], face_gradient(whole, signal[:30]), rtol=1e-4, atol=1e-5)
    flow = divergence(mesh) @ torch.randn(3 * len(mesh.faces), 1, dtype=dtype)
    assert torch.isfinite(flow).all()
    assert (flow[30:] == 0).all()


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_gradient_is_an_inverse_length(scale):
    mesh = bumpy_sphere(2)
    signal = torch.randn(mesh.n_points, 1, dtype=torch.float64)
    scaled = Mesh(scale * mesh.vertices, mesh.faces)
    torch.testing.assert_close(scale * face_gradient(scaled, signal), face_gradient(mesh, signal), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(scaled.face_normals, mesh.face_normals)
    torch.testing.assert_close(scaled.vertex_normals, mesh.vertex_normals)


def test_gradients_of_gradients():
    mesh = torus(4, 3)
    signal = torch.randn(mesh.n_points, 2, dtype=torch.float64, requires_grad=True)
    vertices = mesh.vertices.clone().requires_grad_()
    by_face = lambda vertices, signal: face_gradient(Mesh(vertices, mesh.faces), signal)  # noqa: E731
    assert torch.autograd.gradcheck(by_face, (vertices, signal))
    assert torch.autograd.gradgradcheck(by_face, (vertices, signal))
    for operator in (gradient, divergence, mass_matrix):
        assert torch.autograd.gradcheck(lambda vertices, make=operator: make(Mesh(vertices, mesh.faces)).values(), vertices)
    flat = with_flat_faces(mesh)
    wide = torch.randn(flat.n_points, 1, dtype=torch.float64)
    for values in (lambda m: face_gradient(m, wide), lambda m: gradient(m).values(), lambda m: divergence(m).values()):
        moved = flat.vertices.clone().requires_grad_()
        (slope,) = torch.autograd.grad(values(Mesh(moved, flat.faces)).square().sum(), moved)
        assert torch.isfinite(slope).all()


def test_mass_integrates_products_of_linear_functions():
    """Over the square the integrals of 1, x, x y and x^2 are 1, 1/2, 1/4 and 1/3; lumping is exact for the first two only."""
    mesh = grid(5, 8)
    one, x, y = torch.ones(40, dtype=torch.float64), mesh.vertices[:, 0], mesh.vertices[:, 1]
    mass, lumped = mass_matrix(mesh).to_dense(), mass_matrix(mesh, "lumped").to_dense()
    for f, g, wanted in ((one, one, 1), (one, x, 1 / 2), (x, y, 1 / 4), (x, x, 1 / 3), (y, y, 1 / 3)):
        assert (f @ mass @ g).item() == pytest.approx(wanted, rel=1e-13)
    assert (one @ lumped @ x).item() == pytest.approx(1 / 2, rel=1e-13)
    assert (x @ lumped @ x).item() > 1 / 3 + 1e-3


@both_dtypes
def test_masses(dtype):
    mesh = bumpy_sphere(2).to(dtype=dtype)
    mass, lumped = mass_matrix(mesh), mass_matrix(mesh, "lumped").to_dense()
    dense = mass.to_dense()
    assert mass.layout == torch.sparse_csr
    assert dense.dtype == lumped.dtype == dtype
    assert torch.equal(dense, dense.T)
    assert (torch.linalg.eigvalsh(dense.double()) > 0).all()
    torch.testing.assert_close(dense.sum(dim=1), mesh.measure)
    torch.testing.assert_close(lumped, torch.diag(mesh.measure))
    igl = pytest.importorskip("igl")
    peer = igl.massmatrix(mesh.vertices.double().numpy(), mesh.faces.numpy(), igl.MASSMATRIX_TYPE_FULL).toarray()
    np.testing.assert_allclose(dense.numpy(), peer, atol=10 * torch.finfo(dtype).eps)


def test_consistent_mass_converges_from_above():
    """Without lumping the eigenvalues are Ritz values: never below those of the surface, here pi^2 of the square."""
    import scipy.linalg

    values = []
    for n in (7, 13):
        mesh = grid(n)
        stiffness, mass = laplacian(mesh, "cotangent").stiffness.to_dense(), mass_matrix(mesh).to_dense()
        values.append(scipy.linalg.eigh(stiffness, mass, eigvals_only=True, subset_by_index=[1, 1])[0] - math.pi**2)
    assert values[1] > 0
    assert math.log2(values[0] / values[1]) == pytest.approx(2, abs=0.1)


def test_empty_meshes():
    mesh = Mesh(torch.zeros(2, 3), torch.zeros(0, 3, dtype=torch.int64))
    assert tuple(gradient(mesh).shape) == (0, 2)
    assert tuple(divergence(mesh).shape) == (2, 0)
    assert face_gradient(mesh, torch.zeros(2, 4)).shape == (0, 3, 4)
    assert mass_matrix(mesh).to_dense().tolist() == [[0, 0], [0, 0]]


def test_refusals():
    mesh = icosphere(1)
    for operator in (gradient, divergence, mass_matrix):
        with pytest.raises(ArgumentError, match="mesh: wanted a Mesh, got Tensor"):
            operator(mesh.vertices)
    with pytest.raises(ArgumentError, match="kind: wanted one of 'consistent', 'lumped'"):
        mass_matrix(mesh, "voronoi")
    for signal in (torch.zeros(42, dtype=torch.float64), torch.zeros(41, 1, dtype=torch.float64), torch.zeros(42, 1), [1.0]):
        with pytest.raises(ArgumentError, match=r"signal: wanted shape \(42, c\) in torch.float64"):
            face_gradient(mesh, signal)
