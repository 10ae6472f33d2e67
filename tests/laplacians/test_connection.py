"""The connection Laplacian against flat fields, the sphere's spectrum, cones, Gauss-Bonnet, and potpourri3d."""

import math

import numpy as np
import pytest
import torch

from geospec import ArgumentError, Mesh, ShapeError, connection_laplacian, laplacian
from geospec.laplacians.connection import tangent_edges
from geospec.testing import bumpy_sphere, disjoint_union, grid, icosphere, permuted, sphere_cloud, torus


def rough(level=3):
    """A flattened sphere with noise: obtuse faces, hundreds of flips, some of them on edges that flips made."""
    mesh = icosphere(level)
    noise = 0.03 * torch.randn(mesh.n_points, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Mesh(mesh.vertices * torch.tensor([1, 1.5, 0.3]) + noise, mesh.faces)


def skewed_grid(n):
    mesh = grid(n)
    return Mesh(mesh.vertices @ torch.tensor([[1, 0, 0], [0.9, 0.2, 0], [0, 0, 1]], dtype=torch.float64), mesh.faces)


def eigenvalues(mesh):
    stiffness, mass, _ = connection_laplacian(mesh)
    root = mass.rsqrt()
    return torch.linalg.eigvalsh(root[:, None] * stiffness.to_dense() * root)


def turning(stiffness, loop):
    """The angle by which transport along a closed walk over edges turns a vector, in (-pi, pi]."""
    steps = [-stiffness[end, start] for start, end in zip(loop, [*loop[1:], loop[0]], strict=True)]
    return torch.stack(steps).prod().angle().item()


@pytest.mark.parametrize("mesh", [grid(9), skewed_grid(9)], ids=["even", "skewed"])
def test_constant_fields_on_the_plane_are_in_the_kernel(mesh):
    stiffness, _, frames = connection_laplacian(mesh)
    constant = torch.complex(frames[:, 0, 0], frames[:, 1, 0])
    assert (stiffness @ constant[:, None]).abs().max() < 1e-12
    assert eigenvalues(mesh)[1] > 1


def test_spectrum_of_the_sphere():
    """``l (l + 1) - 1`` for ``l >= 1``, each ``2 l + 1`` times, with an error that falls as the square of the edges."""
    exact = torch.tensor([1.0] * 3 + [5.0] * 5 + [11.0] * 7, dtype=torch.float64)
    coarse, fine = (((eigenvalues(icosphere(level))[:15] - exact) / exact).abs() for level in (2, 3))
    assert coarse.max() < 0.06
    assert fine.max() < 0.015
    assert (coarse[3:] > 3.5 * fine[3:]).all()


def test_positive_and_hermitian_bit_for_bit():
    stiffness = connection_laplacian(rough()).stiffness.to_dense()
    assert torch.equal(stiffness, stiffness.mH)
    assert torch.linalg.eigvalsh(stiffness)[0] > 1e-3


@pytest.mark.parametrize("mesh", [rough(2), torus(9, 7), grid(6)], ids=["rough", "torus", "open"])
def test_eigenvalues_do_not_see_the_frames(mesh):
    """Another order of vertices, faces and corners starts the angles of every vertex elsewhere."""
    other, order = permuted(mesh)
    turned = Mesh(other.vertices, torch.stack([face.roll(i) for i, face in enumerate(other.faces.flip(0))]))
    alike = (connection_laplacian(turned).frames - connection_laplacian(mesh).frames[order]).abs().amax(dim=(1, 2)) < 1e-3
    assert alike.double().mean() < 0.5 or mesh.n_points < 50
    torch.testing.assert_close(eigenvalues(turned), eigenvalues(mesh), rtol=1e-9, atol=1e-9)


def test_turning_around_a_cone_is_its_angle_defect():
    """Five equilateral triangles around a tip, each cut into four, so that the ring around the tip is flat."""
    ring = [(math.cos(a), math.sin(a), 0.0) for a in np.arange(5) * 2 * math.pi / 5]
    side = math.dist(ring[0], ring[1])
    corners = torch.tensor([(0, 0, math.sqrt(side**2 - 1)), *ring], dtype=torch.float64)
    middles = [(corners[0] + corners[1 + i]) / 2 for i in range(5)] + [(corners[1 + i] + corners[1 + (i + 1) % 5]) / 2 for i in range(5)]
    faces = []
    for i in range(5):
        j = (i + 1) % 5
        spoke, next_spoke, rim = 6 + i, 6 + j, 11 + i
        faces += [(0, spoke, next_spoke), (spoke, 1 + i, rim), (rim, 1 + j, next_spoke), (spoke, rim, next_spoke)]
    mesh = Mesh(torch.cat([corners, torch.stack(middles)]), torch.tensor(faces))
    stiffness = connection_laplacian(mesh).stiffness.to_dense()
    assert turning(stiffness, [6, 7, 8, 9, 10]) == pytest.approx(math.pi / 3, abs=1e-12)
    assert turning(stiffness, [6, 11, 7]) == pytest.approx(0, abs=1e-12)


def test_turning_around_faces_is_the_curvature_they_enclose():
    mesh = icosphere(3)
    stiffness = connection_laplacian(mesh).stiffness.to_dense()
    found = torch.tensor([turning(stiffness, face) for face in mesh.faces.tolist()], dtype=torch.float64)
    assert found.sum().item() == pytest.approx(4 * math.pi, abs=1e-9)
    assert ((found - mesh.face_areas).abs() / mesh.face_areas).max() < 0.3
    assert ((found - mesh.face_areas).abs().mean() / mesh.face_areas.mean()) < 0.05


@pytest.mark.parametrize("mesh", [rough(), bumpy_sphere(3), torus(24, 12)], ids=["rough", "bumpy", "torus"])
def test_potpourri3d_agrees(mesh):
    potpourri3d = pytest.importorskip("potpourri3d")
    theirs = potpourri3d.MeshVectorHeatSolver(mesh.vertices.numpy(), mesh.faces.numpy()).get_connection_laplacian().toarray()
    ours = connection_laplacian(mesh).stiffness.to_dense().numpy()
    np.testing.assert_allclose(abs(ours), abs(theirs), atol=1e-11)
    np.testing.assert_allclose(np.linalg.eigvalsh(ours), np.linalg.eigvalsh(theirs), atol=1e-10)


def test_flips_reach_the_robust_laplacian():
    mesh = rough()
    edges, robust = tangent_edges(mesh), laplacian(mesh)
    assert abs(edges.scalar() - robust.to_scipy()[0]).max() < 1e-10
    np.testing.assert_allclose(edges.mass, robust.mass.numpy(), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "field"), [(torch.float32, torch.complex64), (torch.float64, torch.complex128)])
def test_frames_and_types(dtype, field):
    mesh = icosphere(2, dtype=dtype)
    stiffness, mass, frames = connection_laplacian(mesh)
    assert (stiffness.dtype, mass.dtype, frames.dtype) == (field, dtype, dtype)
    assert stiffness.layout == torch.sparse_csr
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    assert (frames @ frames.mT - torch.eye(3)).abs().max() < tolerance
    assert (torch.linalg.det(frames.double()) - 1).abs().max() < 10 * tolerance
    assert ((frames[:, 2] * mesh.vertices).sum(dim=1) > 0.999).all()
    assert mass.sum().item() == pytest.approx(mesh.area.item(), rel=1e-5)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units(scale):
    mesh = rough(2)
    moved = connection_laplacian(Mesh(scale * mesh.vertices, mesh.faces))
    here = connection_laplacian(mesh)
    torch.testing.assert_close(moved.stiffness.to_dense(), here.stiffness.to_dense(), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(moved.mass / scale**2, here.mass, rtol=1e-9, atol=0)


def test_flat_faces_and_faces_back_to_back():
    """A vertex on the middle of an edge, and a triangle with two sides, whose normals cancel."""
    tetrahedron = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, 0]], dtype=torch.float64)
    faces = torch.tensor([[0, 2, 4], [4, 2, 1], [0, 4, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    stiffness, mass, frames = connection_laplacian(Mesh(tetrahedron, faces))
    assert (mass > 0).all()
    assert torch.linalg.eigvalsh(stiffness.to_dense())[0] > -1e-9
    assert (frames @ frames.mT - torch.eye(3)).abs().max() < 1e-12
    pillow = connection_laplacian(Mesh(tetrahedron[:3], torch.tensor([[0, 1, 2], [2, 1, 0]])))
    assert torch.isfinite(pillow.stiffness.to_dense()).all()
    assert (pillow.frames @ pillow.frames.mT - torch.eye(3)).abs().max() < 1e-12
    with pytest.raises(ShapeError, match="1 faces without area"):
        connection_laplacian(Mesh(tetrahedron[[0, 1, 4]], torch.tensor([[0, 1, 2]])), mollify_factor=0)


def test_refusals():
    sphere = icosphere(1)
    a, b, c = sphere.faces[0].tolist()
    lonely = torch.cat([sphere.vertices, sphere.vertices[:1] * 2])
    two = disjoint_union(sphere, Mesh(sphere.vertices + 2, sphere.faces))
    pinched = Mesh(two.vertices, torch.where(two.faces == 42, 0, two.faces))
    with pytest.raises(ShapeError, match="1 edges of more than two faces"):
        connection_laplacian(Mesh(lonely, torch.cat([sphere.faces, torch.tensor([[b, a, 42]])])))
    with pytest.raises(ShapeError, match="3 edges between faces of opposite orientation"):
        connection_laplacian(Mesh(sphere.vertices, torch.cat([torch.tensor([[a, c, b]]), sphere.faces[1:]])))
    with pytest.raises(ShapeError, match="1 vertices where sheets touch"):
        connection_laplacian(Mesh(torch.cat([pinched.vertices[:42], pinched.vertices[43:]]), pinched.faces - (pinched.faces > 42).long()))
    with pytest.raises(ShapeError, match="1 faces that name a vertex twice"):
        connection_laplacian(Mesh(sphere.vertices, torch.cat([sphere.faces, torch.tensor([[a, a, b]])])))
    with pytest.raises(ShapeError, match="1 of 43 vertices in no face"):
        connection_laplacian(Mesh(lonely, sphere.faces))
    with pytest.raises(ShapeError, match="vertices that all coincide"):
        connection_laplacian(Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])))
    with pytest.raises(ArgumentError, match="mesh: wanted a Mesh"):
        connection_laplacian(sphere_cloud(50))
    with pytest.raises(ArgumentError, match="mollify_factor"):
        connection_laplacian(sphere, mollify_factor=-1)
    with pytest.raises(ShapeError, match="in no face"):
        connection_laplacian(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)))


@pytest.mark.parametrize("name", ["3holes.off", "alligator.obj", "homer.obj", "suzanne.obj"])
def test_real_scans(shared_data, name):
    """Manifold scans give a positive operator; the others are refused by name."""
    import geospec

    mesh = geospec.repair(geospec.load(shared_data / "hard" / name, triangulate=True), steps=("unreferenced",))
    about = geospec.report(mesh)
    if not about.manifold:
        with pytest.raises(ShapeError, match="an oriented manifold"):
            connection_laplacian(mesh)
        return
    stiffness, mass, frames = connection_laplacian(mesh.to(dtype=torch.float64))
    field = torch.randn(mesh.n_points, 2, dtype=torch.complex128)
    assert ((field.conj() * (stiffness @ field)).sum(dim=0).real > 0).all()
    assert (mass > 0).all()
    assert torch.isfinite(frames).all()
