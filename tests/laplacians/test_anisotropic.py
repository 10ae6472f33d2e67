"""The anisotropic Laplacian against the separable spectra of rectangle and cylinder, and the cotangent one."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from geospec import ArgumentError, Mesh, ShapeError, laplacian
from geospec.laplacians import anisotropic_laplacian
from geospec.testing import bumpy_sphere, grid, icosphere, permuted, sphere_cloud, torus


def cylinder(around: int, along: int, *, height: float = 2.0) -> Mesh:
    """Of radius one, open at both ends, its axis the z axis, normals outward."""
    flat = grid(around + 1, along, width=2 * math.pi, height=height)
    angle, z = flat.vertices[:, 0], flat.vertices[:, 1]
    count = around * along
    return Mesh(torch.stack([angle.cos(), angle.sin(), z], dim=1)[:count], flat.faces % count)


def eigenvalues(operator, k: int) -> np.ndarray:
    return scipy.linalg.eigh(operator.stiffness.to_dense().numpy(), np.diag(operator.mass.numpy()), eigvals_only=True)[:k]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mesh", [bumpy_sphere(2), torus(9, 7), grid(6)], ids=["bumpy", "torus", "grid"])
def test_form(mesh, dtype):
    mesh = mesh.to(dtype=dtype)
    cotangent = laplacian(mesh, "cotangent")
    same = laplacian(mesh, "anisotropic", alpha=0, angle=1.0)
    assert torch.equal(same.stiffness.to_dense(), cotangent.stiffness.to_dense())
    assert torch.equal(same.mass, cotangent.mass)
    operator = laplacian(mesh, "anisotropic", alpha=20, angle=0.4)
    matrix = operator.stiffness.to_dense()
    assert (operator.kind, matrix.dtype) == ("anisotropic", dtype)
    assert torch.equal(matrix, matrix.T)
    small = 200 * torch.finfo(dtype).eps * matrix.abs().max()
    assert matrix.sum(dim=1).abs().max() < small
    # Between the isotropic one and a 21st of it, in the order of quadratic forms.
    isotropic = cotangent.stiffness.to_dense()
    for part in (matrix - isotropic / 21, isotropic - matrix):
        assert torch.linalg.eigvalsh(part.double())[0] > -small
    assert (isotropic - matrix).abs().max() > 0.1


@pytest.mark.parametrize("angle", [0.0, math.pi / 2])
def test_rectangle(angle):
    """Along given directions the square's eigenvalues separate: pi^2 (i^2 / (1 + alpha) + j^2)."""
    alpha, mesh = 3.0, grid(25)
    directions = torch.tensor([[5.0, 0, 1]]).expand(len(mesh.faces), 3)  # neither length nor normal part count
    i, j = np.meshgrid(np.arange(5), np.arange(5))
    wanted = np.sort((math.pi**2 * (i**2 / (1 + alpha) + j**2)).ravel())[:8]
    operator = anisotropic_laplacian(mesh, alpha=alpha, angle=angle, directions=directions)
    np.testing.assert_allclose(eigenvalues(operator, 8), wanted, rtol=0.02, atol=1e-9)
    x, y = mesh.vertices[:, :1], mesh.vertices[:, 1:2]
    along, across = (operator.dirichlet_energy(f).item() for f in ((x, y) if angle == 0 else (y, x)))
    assert (along, across) == pytest.approx((1 / (1 + alpha), 1))


def test_oblique_angle_turns_counter_clockwise():
    """Seen from above, where the normals of the grid point: the energy of u . x is least for u at the angle."""
    mesh, angle, alpha = grid(6), 0.7, 9.0
    operator = anisotropic_laplacian(mesh, alpha=alpha, angle=angle, directions=torch.eye(3)[:1].expand(len(mesh.faces), 3))
    u = torch.tensor([[math.cos(angle)], [math.sin(angle)], [0]], dtype=torch.float64)
    assert operator.dirichlet_energy(mesh.vertices @ u).item() == pytest.approx(1 / (1 + alpha))
    v = torch.tensor([[-math.sin(angle)], [math.cos(angle)], [0]], dtype=torch.float64)
    assert operator.dirichlet_energy(mesh.vertices @ v).item() == pytest.approx(1)


@pytest.mark.parametrize("inward", [False, True], ids=["outward", "inward"])
def test_cylinder(inward):
    """The curved direction runs around: m^2 / (1 + alpha) + (pi j / h)^2, and the other way round at a right angle."""
    alpha, mesh = 3.0, cylinder(48, 17)
    if inward:
        mesh = Mesh(mesh.vertices, mesh.faces.flip(1))
    m, j = np.meshgrid(np.abs(np.arange(-5, 6)), np.arange(6))
    around, along = m**2, (math.pi * j / 2) ** 2
    for angle, wanted in ((0, around / (1 + alpha) + along), (math.pi / 2, around + along / (1 + alpha))):
        found = eigenvalues(laplacian(mesh, "anisotropic", alpha=alpha, angle=angle), 9)
        np.testing.assert_allclose(found, np.sort(wanted.ravel())[:9], rtol=0.02, atol=1e-9)


def test_principal_directions_of_the_torus():
    """Outside, it curves most around its tube: the energy of the height falls there as that of a function along u does."""
    mesh = torus(32, 24, minor=0.2)
    middle = mesh.vertices[mesh.faces].mean(dim=1)
    ring = middle[:, :2].norm(dim=1)
    tube = torch.nn.functional.normalize(torch.cat([-middle[:, :2] / ring[:, None] * middle[:, 2:], (ring - 1)[:, None]], dim=1), dim=1)
    given = anisotropic_laplacian(mesh, alpha=5, directions=tube).stiffness.to_dense()
    torch.testing.assert_close(anisotropic_laplacian(mesh, alpha=5).stiffness.to_dense(), given, rtol=0, atol=0.05)
    other = anisotropic_laplacian(mesh, alpha=5, angle=math.pi / 2).stiffness.to_dense()
    assert (other - given).abs().max() > 1


def test_invariance():
    mesh = bumpy_sphere(2)
    matrix = laplacian(mesh, "anisotropic", alpha=4, angle=0.3).stiffness.to_dense()
    other, order = permuted(mesh)
    torch.testing.assert_close(laplacian(other, "anisotropic", alpha=4, angle=0.3).stiffness.to_dense(), matrix[order][:, order])
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    rotation *= torch.linalg.det(rotation)
    for scale in (1e-8, 1e8):
        moved = Mesh(scale * mesh.vertices @ rotation.T, mesh.faces)
        torch.testing.assert_close(laplacian(moved, "anisotropic", alpha=4, angle=0.3).stiffness.to_dense(), matrix, atol=1e-6, rtol=0)
    turned = Mesh(mesh.vertices, mesh.faces.flip(1))
    torch.testing.assert_close(laplacian(turned, "anisotropic", alpha=4, angle=-0.3).stiffness.to_dense(), matrix, atol=1e-6, rtol=0)


def test_vectors_without_tangent_part_leave_a_face_as_it_is():
    mesh = icosphere(1)
    directions = mesh.face_normals.clone()
    directions[0] = 0
    found = anisotropic_laplacian(mesh, alpha=5, directions=directions).stiffness.to_dense()
    torch.testing.assert_close(found, laplacian(mesh, "cotangent").stiffness.to_dense(), atol=1e-12, rtol=0)


def test_refusals():
    mesh = grid(3)
    for alpha in (-0.1, math.inf, math.nan):
        with pytest.raises(ArgumentError, match="alpha: wanted a finite number, at least 0"):
            laplacian(mesh, "anisotropic", alpha=alpha)
    with pytest.raises(ArgumentError, match="angle"):
        laplacian(mesh, "anisotropic", angle=math.nan)
    with pytest.raises(ArgumentError, match=r"directions: wanted one vector a face, \(8, 3\), got \(9, 3\)"):
        laplacian(mesh, "anisotropic", directions=mesh.vertices)
    with pytest.raises(ArgumentError, match="directions: wanted finite vectors"):
        laplacian(mesh, "anisotropic", directions=torch.full((8, 3), math.nan))
    with pytest.raises(ArgumentError, match="'robust' or 'graph' for a point cloud, got 'anisotropic'"):
        laplacian(sphere_cloud(50), "anisotropic")
    with pytest.raises(ArgumentError, match="vertices require gradients"):
        laplacian(Mesh(mesh.vertices.requires_grad_(), mesh.faces), "anisotropic")
    with pytest.raises(ShapeError, match=r"face 1 with vertices \[0, 1, 3\].*degenerate-faces"):
        laplacian(Mesh([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]], [[0, 1, 2], [0, 1, 3]]), "anisotropic")
    with pytest.raises(ArgumentError, match="mesh: wanted a Mesh"):
        anisotropic_laplacian(mesh.vertices)
