"""Every real mesh at hand gives a correct basis: broken ones too, and none crashes."""

import numpy as np
import pytest
import torch

import geospec
from geospec import LaplaceBasis, Mesh, ShapeError, laplacian, repair
from geospec.testing import bumpy_sphere

K = 20
#: Components of what the faces join, after the vertices in no face are dropped.
COMPONENTS = {
    "hard/3holes.off": 1,
    "hard/alligator.obj": 1,
    "hard/beetle.obj": 2,
    "hard/homer.obj": 1,
    "hard/igea.ply": 1,  # triangle strips
    "hard/planexy.off": 1,  # 25 vertices for 20 modes
    "hard/suzanne.obj": 3,  # not manifold
    "hard/teapot.obj": 4,
    "hard/truck.obj": 50,  # not manifold; more pieces than modes are asked for
    "meshes/armadillo.obj": 1,
    "meshes/camelhead.off": 1,  # slivers: masses over six orders of magnitude
    "meshes/cheburashka.obj": 1,
    "meshes/cow.obj": 1,
    "meshes/decimated-max.obj": 1,
    "meshes/elephant.obj": 1,
    "meshes/fertility.off": 1,
    "meshes/ogre.obj": 44,
    "meshes/rocker-arm.obj": 1,
    "meshes/spot.obj": 1,
    "meshes/stanford-bunny.obj": 1,  # 1,113 vertices in no face
    "meshes/woody.obj": 1,  # flat
}


def joined(mesh):
    """Number of components by the faces' edges, without a Laplacian."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = mesh.faces[:, [0, 1, 1, 2]].reshape(-1, 2).numpy()
    links = coo_matrix((np.ones(len(ends)), ends.T), shape=(mesh.n_points,) * 2)
    return connected_components(links, directed=False)[0]


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_correct_basis(shared_data, name):
    """Zeros count the pieces; values ascend, modes are orthonormal, residuals are ours to check; SciPy finds the same values."""
    shape = geospec.load(shared_data / name, triangulate=True)
    mesh = repair(shape, steps=("unreferenced",))
    operator = laplacian(mesh, "robust")
    basis = LaplaceBasis.fit(operator, K)
    stiffness, mass_matrix = operator.to_scipy()
    values, modes, mass = basis.eigenvalues.numpy(), basis.modes.numpy(), mass_matrix.diagonal()
    scale = np.median(stiffness.diagonal()) / mass.sum()

    assert int(operator.components().max()) + 1 == joined(mesh) == COMPONENTS[name]
    assert (values >= 0).all()
    assert (np.diff(values) >= 0).all()
    assert (values < 1e-6 * scale).sum() == min(K, COMPONENTS[name])
    np.testing.assert_allclose(modes.T @ (mass[:, None] * modes), np.eye(K), rtol=0, atol=1e-9)

    left = np.linalg.norm((stiffness @ modes - mass[:, None] * modes * values) / np.sqrt(mass)[:, None], axis=0)
    # Where a vertex has next to no area, S x itself is known to no more digits than this.
    rounding = 4 * np.finfo(np.float64).eps * (stiffness.diagonal() / mass).max()
    assert (left <= 1e-8 * (values + scale) + rounding).all(), f"worst {(left / (values + scale)).max():.1e}"
    if mesh.n_points < 12_000:
        np.testing.assert_allclose(values, by_scipy(stiffness, mass, scale), rtol=1e-7, atol=1e-6 * scale)


def by_scipy(stiffness, mass, scale):
    from scipy.linalg import eigh
    from scipy.sparse import diags
    from scipy.sparse.linalg import eigsh

    if len(mass) < 1200:
        return eigh(stiffness.toarray(), np.diag(mass), eigvals_only=True)[:K]
    return np.sort(eigsh(stiffness.tocsc(), K, diags(mass).tocsc(), sigma=-0.1 * scale, which="LM", return_eigenvectors=False))


def test_no_file_is_left_out(shared_data):
    found = {f"{folder}/{path.name}" for folder in ("hard", "meshes") for path in (shared_data / folder).iterdir()}
    assert found == set(COMPONENTS)


def test_unreferenced_vertices_are_refused_with_the_way_out(shared_data):
    with pytest.raises(ShapeError, match=r"1113 of 35947 vertices in no face.*repair\(shape, steps=\('unreferenced',\)\)"):
        LaplaceBasis.fit(geospec.load(shared_data / "meshes" / "stanford-bunny.obj"), K)


@pytest.mark.parametrize("kind", ["robust", "cotangent"])
@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_tiny_and_huge_shapes(kind, factor):
    """Eigenvalues go as the inverse square of the lengths, residuals do not see the scale."""
    mesh = bumpy_sphere(3)
    plain, scaled = (LaplaceBasis.fit(Mesh(mesh.vertices * by, mesh.faces), K, kind=kind) for by in (1.0, factor))
    torch.testing.assert_close(scaled.eigenvalues[1:] * factor**2, plain.eigenvalues[1:], rtol=1e-9, atol=0)
    assert scaled.eigenvalues[0] * factor**2 < 1e-9 * plain.eigenvalues[1]
    assert scaled.residuals.max() < 1e-8


def test_every_face_on_its_own():
    """A soup, where each point comes up to six times: as many zeros as faces, then the modes of single triangles."""
    mesh = bumpy_sphere(1)
    soup = Mesh(mesh.vertices[mesh.faces.reshape(-1)], torch.arange(3 * len(mesh.faces)).reshape(-1, 3))
    values = LaplaceBasis.fit(soup, len(mesh.faces) + 10).eigenvalues
    scale = 1 / mesh.area
    assert int((values < 1e-8 * scale).sum()) == len(mesh.faces)
    assert values[len(mesh.faces)] > scale


def test_points_given_twice():
    """A cloud where one point in six comes twice has the modes of the cloud without the doubles, nearly."""
    points = bumpy_sphere(3).vertices
    plain, twice = (LaplaceBasis.fit(geospec.PointCloud(p), K) for p in (points, torch.cat([points, points[:100]])))
    assert twice.eigenvalues[0] < 1e-6 * plain.eigenvalues[1] < twice.eigenvalues[1]
    torch.testing.assert_close(twice.eigenvalues[1:], plain.eigenvalues[1:], rtol=0.05, atol=0)
    assert twice.residuals.max() < 1e-8
