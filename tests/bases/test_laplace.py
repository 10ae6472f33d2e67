"""The Laplace basis: the contract, closed forms, exact multiplicities, sign, boundaries, refusals."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import geospec
from geospec import ArgumentError, ConvergenceError, FileFormatError, LaplaceBasis, Mesh, ShapeError, laplacian
from geospec.bases import eigensolvers, krylov
from geospec.bases.signs import signs
from geospec.testing import OrthonormalContract, bumpy_sphere, disjoint_union, grid, icosphere, permuted, sphere_cloud, torus


def moved(mesh):
    rotation = torch.linalg.qr(torch.tensor([[1.0, 2, 0], [0, 1, 3], [1, 0, 1]], dtype=torch.float64))[0]
    return Mesh(mesh.vertices @ rotation.T + torch.tensor([3.0, -1, 2], dtype=torch.float64), mesh.faces)


def shape_of(seed):
    """Seeds differ in proportion, not in size."""
    mesh = bumpy_sphere(3)
    return Mesh(mesh.vertices * torch.tensor([1.0, 1 + 0.1 * seed, 1], dtype=torch.float64), mesh.faces)


class TestLaplaceMesh(OrthonormalContract):
    def make(self, dtype, seed):
        return LaplaceBasis.fit(shape_of(seed).to(dtype=dtype), 24)

    def make_relabelled(self, seed):
        mesh, order = permuted(shape_of(seed))
        return LaplaceBasis.fit(mesh, 24), order

    def make_moved(self, seed):
        return LaplaceBasis.fit(moved(shape_of(seed)), 24)


class TestLaplaceDirichlet(OrthonormalContract):
    def make(self, dtype, seed):
        return LaplaceBasis.fit(grid(21, 26, height=1.3 + 0.1 * seed).to(dtype=dtype), 12, kind="cotangent", boundary="dirichlet")

    def make_moved(self, seed):
        mesh = moved(grid(21, 26, height=1.3 + 0.1 * seed))
        return LaplaceBasis.fit(mesh, 12, kind="cotangent", boundary="dirichlet")


class TestLaplaceCloud(OrthonormalContract):
    def make(self, dtype, seed):
        cloud = sphere_cloud(500, dtype=dtype)
        return LaplaceBasis.fit(type(cloud)(cloud.points * torch.tensor([1, 1.2 + 0.1 * seed, 0.7], dtype=dtype)), 16)


def degrees(k):
    """``l (l + 1)``, each ``2 l + 1`` times."""
    return torch.tensor([deg * (deg + 1) for deg in range(20) for _ in range(2 * deg + 1)][:k], dtype=torch.float64)


def test_sphere_eigenvalues_converge_at_second_order():
    exact = degrees(36)[1:]
    errors = []
    for level in (2, 3, 4):
        values = LaplaceBasis.fit(icosphere(level), 36, kind="cotangent").eigenvalues[1:]
        errors.append(((values - exact) / exact).abs().max().item())
    orders = -np.diff(np.log2(errors))
    assert errors[-1] < 0.02
    assert (orders > 1.8).all(), orders


@pytest.mark.parametrize(("boundary", "first"), [("neumann", 0), ("dirichlet", 1)])
def test_square_eigenvalues(boundary, first):
    """Closed form of the five-point stencil itself, not of its limit, under Dirichlet; the limit under Neumann."""
    n = 21
    basis = LaplaceBasis.fit(grid(n), 10, kind="cotangent", boundary=boundary)
    index = torch.arange(first, n - 1, dtype=torch.float64)
    if boundary == "dirichlet":
        line = (2 * (n - 1) * torch.sin(torch.pi * index / (2 * (n - 1)))) ** 2
        tight = 1e-9
    else:
        line, tight = (torch.pi * index) ** 2, 0.03
    exact = (line[:, None] + line).reshape(-1).sort().values[:10]
    torch.testing.assert_close(basis.eigenvalues, exact, rtol=tight, atol=1e-9)


def test_dirichlet_modes_vanish_on_the_boundary_only():
    mesh = grid(15, 19)
    modes = LaplaceBasis.fit(mesh, 5, boundary="dirichlet").modes.reshape(15, 19, 5)
    assert (modes[[0, -1]] == 0).all()
    assert (modes[:, [0, -1]] == 0).all()
    assert (modes[1:-1, 1:-1, 0].abs() > 1e-3).all()


def test_first_mode_is_constant():
    basis = LaplaceBasis.fit(torus(30, 20), 5)
    assert basis.eigenvalues[0] < 1e-10
    torch.testing.assert_close(basis.modes[:, 0], (1 / basis.measure.sum().sqrt()).expand(basis.n), rtol=1e-8, atol=0)


def test_float32_in_float32_out_from_a_float64_solve():
    mesh = bumpy_sphere(3)
    single, double = LaplaceBasis.fit(mesh.to(dtype=torch.float32), 30), LaplaceBasis.fit(mesh, 30)
    assert single.modes.dtype == single.eigenvalues.dtype == single.measure.dtype == torch.float32
    torch.testing.assert_close(single.eigenvalues.double(), double.eigenvalues, rtol=1e-5, atol=1e-5)
    assert double.residuals.max() < 1e-8
    assert single.eigenvalues[0] < 1e-10  # float32 rounding of the stiffness must not lift or sink the zero


@pytest.mark.parametrize("name", ["meshes/elephant.obj", "hard/3holes.off", "tosca_animals/cat0.off", "hard/truck.obj"])
def test_float32_scans_converge(shared_data, name):
    mesh = geospec.load(shared_data / name, dtype=torch.float32)
    assert LaplaceBasis.fit(mesh, 20).residuals.max() < 1e-6


def test_from_a_laplacian_at_hand():
    mesh = bumpy_sphere(2)
    direct, given = LaplaceBasis.fit(mesh, 10, kind="cotangent"), LaplaceBasis.fit(laplacian(mesh, "cotangent"), 10)
    assert torch.equal(direct.modes, given.modes)
    assert given.options == direct.options
    assert direct.options == {"kind": "cotangent", "boundary": "neumann", "solver": "dense", "components": 1, "counted": True}


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scale(scale):
    mesh = bumpy_sphere(3)
    basis, scaled = LaplaceBasis.fit(mesh, 20), LaplaceBasis.fit(Mesh(scale * mesh.vertices, mesh.faces), 20)
    torch.testing.assert_close(scaled.eigenvalues * scale**2, basis.eigenvalues, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(scaled.modes * scale, basis.modes, rtol=1e-5, atol=1e-6)


def test_pieces_are_solved_exactly():
    """Each piece's spectrum, merged: as many zeros as pieces, modes that live on one piece."""
    sphere = icosphere(2)
    specks = [Mesh(0.01 * icosphere(0).vertices + i, icosphere(0).faces) for i in range(3)]
    pieces = [bumpy_sphere(3), Mesh(0.5 * sphere.vertices + 5, sphere.faces), *specks]
    k = 60
    expected = torch.cat([LaplaceBasis.fit(piece, min(k, piece.n_points)).eigenvalues for piece in pieces]).sort().values[:k]
    basis = LaplaceBasis.fit(disjoint_union(*pieces), k)
    torch.testing.assert_close(basis.eigenvalues, expected, rtol=1e-8, atol=1e-8)
    assert (basis.eigenvalues < 1e-8).sum() == 5
    owner = torch.repeat_interleave(torch.arange(5), torch.tensor([piece.n_points for piece in pieces]))
    lives_on = torch.stack([basis.modes[owner == piece].abs().amax(dim=0) > 0 for piece in range(5)])
    assert (lives_on.sum(dim=0) == 1).all()


def test_a_thin_piece_has_more_modes_than_its_area_promises():
    strip = grid(200, 2, width=20, height=0.01)
    away = Mesh(strip.vertices + 3, strip.faces)
    expected = torch.cat([LaplaceBasis.fit(piece, 30).eigenvalues for piece in (icosphere(2), strip)]).sort().values[:30]
    assert expected[20] < 6, "the strip has sixteen of the first twenty-one modes"
    torch.testing.assert_close(LaplaceBasis.fit(disjoint_union(icosphere(2), away), 30).eigenvalues, expected, rtol=1e-8, atol=1e-9)


def test_more_pieces_than_modes():
    specks = disjoint_union(*[Mesh(icosphere(0).vertices + 3 * i, icosphere(0).faces) for i in range(12)])
    basis = LaplaceBasis.fit(specks, 5)
    assert basis.eigenvalues.max() < 1e-10
    torch.testing.assert_close(basis.analyze(basis.modes), torch.eye(5, dtype=torch.float64))


@pytest.mark.parametrize("k", [150, 161, 162])
def test_k_close_to_n(k):
    mesh = icosphere(2)
    basis = LaplaceBasis.fit(mesh, k)
    stiffness, mass = laplacian(mesh).to_scipy()
    root = np.sqrt(mass.diagonal())
    np.testing.assert_allclose(basis.eigenvalues.numpy(), np.linalg.eigvalsh(stiffness.toarray() / root[:, None] / root)[:k], atol=1e-9)
    torch.testing.assert_close(basis.analyze(basis.modes), torch.eye(k, dtype=torch.float64), atol=1e-10, rtol=0)


def star(legs, length):
    """The graph Laplacian of equal legs that meet in one point, and its spectrum.

    Functions that differ between legs vanish at the centre: the spectrum of one pinned leg, ``legs - 1``
    times. Functions alike on all legs: one leg and the centre, which feels the pull of ``legs``.
    """
    import scipy.sparse

    inner = np.arange(legs * length).reshape(legs, length) + 1
    starts, ends = np.hstack([np.zeros((legs, 1), int), inner[:, :-1]]).ravel(), inner.ravel()
    n = legs * length + 1
    adjacency = scipy.sparse.coo_matrix((np.ones(len(ends)), (starts, ends)), shape=(n, n))
    adjacency = (adjacency + adjacency.T).tocsr()
    leg = 2 * np.eye(length) - np.eye(length, k=1) - np.eye(length, k=-1)
    leg[-1, -1] = 1
    alike = np.zeros((length + 1, length + 1))
    alike[1:, 1:] = leg
    alike[0, 0], alike[0, 1], alike[1, 0] = legs, -np.sqrt(legs), -np.sqrt(legs)
    spectrum = np.sort(np.concatenate([np.repeat(np.linalg.eigvalsh(leg), legs - 1), np.linalg.eigvalsh(alike)]))
    return scipy.sparse.diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency, spectrum


@pytest.mark.parametrize(("legs", "length", "k"), [(8, 300, 8), (12, 100, 8), (20, 100, 16), (40, 30, 100), (1200, 1, 50)])
def test_multiple_eigenvalues_are_all_found(legs, length, k):
    """Far more copies than a block of the iteration has columns."""
    stiffness, spectrum = star(legs, length)
    found = eigensolvers.eigenpairs(stiffness, k=k)
    np.testing.assert_allclose(found.values, spectrum[:k], atol=1e-10)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(k), atol=1e-12)
    assert found.residuals.max() < 1e-8


def test_agrees_with_arpack():
    import scipy.sparse.linalg

    mesh = bumpy_sphere(4)
    basis = LaplaceBasis.fit(mesh, 80)
    stiffness, mass = laplacian(mesh).to_scipy()
    values = scipy.sparse.linalg.eigsh(stiffness.tocsc(), 80, mass.tocsc(), sigma=-1e-2, return_eigenvectors=False)
    np.testing.assert_allclose(basis.eigenvalues.numpy(), np.sort(values), rtol=1e-9, atol=1e-9)


def test_sign_does_not_depend_on_the_order_of_vertices():
    mesh = bumpy_sphere(3)
    other, order = permuted(mesh)
    basis, relabelled = LaplaceBasis.fit(mesh, 20), LaplaceBasis.fit(other, 20)
    torch.testing.assert_close(relabelled.modes, basis.modes[order], atol=1e-6, rtol=0)
    assert ((basis.measure[:, None] * basis.modes**3).sum(dim=0) >= 0).all()


def test_sign_of_an_odd_mode():
    """On a line the second mode is odd: its third moment vanishes and the first largest entry decides."""
    basis = LaplaceBasis.fit(grid(31, 2, height=0.01), 2)
    assert (basis.measure * basis.modes[:, 1] ** 3).sum().abs() < 1e-9
    assert basis.modes[0, 1] > 0
    odd = np.array([[1.0, -1], [0.5, -0.5], [-0.5, 0.5], [-1, 1]])
    for noise in (0, 1e-12, -1e-12):
        assert signs(torch.from_numpy(odd + noise), torch.ones(4).double()).tolist() == [1, -1]


def test_a_failure_to_converge_is_told(monkeypatch):
    monkeypatch.setattr(krylov, "residuals", lambda pencil, values, columns: torch.ones_like(values))
    with pytest.raises(ConvergenceError, match=r"20 eigenpairs of 2562 points.*worst relative residual"):
        LaplaceBasis.fit(bumpy_sphere(4), 20)


def test_an_indefinite_pencil_is_told():
    import scipy.sparse

    n = 500
    negative = scipy.sparse.diags([-np.ones(n - 1), np.zeros(n), -np.ones(n - 1)], [-1, 0, 1])
    with pytest.raises(ConvergenceError, match="stiffness: wanted a positive semi-definite matrix"):
        eigensolvers.eigenpairs(negative, k=5)


def test_slivers_and_tiny_masses():
    """A vertex squeezed to almost nothing: eigenvalues stay, residuals are judged by what rounding allows."""
    mesh = bumpy_sphere(3)
    vertices = mesh.vertices.clone()
    a, b, _ = mesh.faces[5].tolist()
    vertices[a] = vertices[b] + 1e-9
    basis = LaplaceBasis.fit(Mesh(vertices, mesh.faces), 20)
    torch.testing.assert_close(basis.eigenvalues, LaplaceBasis.fit(mesh, 20).eigenvalues, rtol=0.05, atol=1e-6)


def test_scaled_is_the_basis_of_the_scaled_shape():
    mesh = bumpy_sphere(2)
    scaled, direct = LaplaceBasis.fit(mesh, 8).scaled(3.0), LaplaceBasis.fit(Mesh(3 * mesh.vertices, mesh.faces), 8)
    for name in ("modes", "measure", "eigenvalues"):
        torch.testing.assert_close(getattr(scaled, name), getattr(direct, name), rtol=1e-6, atol=1e-9)
    with pytest.raises(ArgumentError, match="factor"):
        scaled.scaled(0.0)


def test_refusals():
    mesh = icosphere(1)
    for k in (0, -3, 2.5, True):
        with pytest.raises(ArgumentError, match="k: wanted a positive integer"):
            LaplaceBasis.fit(mesh, k)
    with pytest.raises(ArgumentError, match="k: wanted at most the 42 points, got 43"):
        LaplaceBasis.fit(mesh, 43)
    with pytest.raises(ArgumentError, match="at most the 4 points inside the boundary"):
        LaplaceBasis.fit(grid(4), 5, boundary="dirichlet")
    with pytest.raises(ArgumentError, match="boundary: wanted 'neumann' for a closed mesh"):
        LaplaceBasis.fit(mesh, 3, boundary="dirichlet")
    with pytest.raises(ArgumentError, match="pass a Mesh"):
        LaplaceBasis.fit(sphere_cloud(100), 3, boundary="dirichlet")
    with pytest.raises(ArgumentError, match="boundary: wanted one of"):
        LaplaceBasis.fit(mesh, 3, boundary="free")
    operator = laplacian(mesh)
    with pytest.raises(ShapeError, match="positive mass at every point, got 42 points without"):
        LaplaceBasis.fit(type(operator)(operator.stiffness, 0 * operator.mass, "robust"), 3)


def test_area_by_weyl():
    """``lambda_k`` grows as ``4 pi k / area``: the unit of an eigenvalue is one over an area."""
    mesh = bumpy_sphere(4)
    basis = LaplaceBasis.fit(mesh, 150)
    assert basis.eigenvalues[-1].item() == pytest.approx(4 * math.pi * 150 / mesh.area.item(), rel=0.1)


def test_files_that_are_no_basis(tmp_path):
    """Sound safetensors of the right kind, with arrays too few or too many."""
    header = {"geospec": "basis", "version": "1", "kind": "laplace", "options": "{}"}
    arrays = {"modes": torch.ones(2, 1), "measure": torch.ones(2), "eigenvalues": torch.zeros(1)}
    for wrong in ({"modes": arrays["modes"]}, {**arrays, "faces": torch.zeros(1, 3)}, {**arrays, "measure": torch.ones(3)}):
        save_file(wrong, tmp_path / "b.safetensors", metadata=header)
        with pytest.raises(FileFormatError, match="wanted the arrays of a basis of kind 'laplace', got"):
            LaplaceBasis.load(tmp_path / "b.safetensors")


def test_a_basis_that_cannot_be_written(tmp_path):
    basis = LaplaceBasis.fit(grid(3), 2)
    with pytest.raises(OSError, match="cannot write .*absent/b.safetensors"):
        basis.save(tmp_path / "absent" / "b.safetensors")
    with pytest.raises(ArgumentError, match=r"k: wanted between 1 and the 2 modes at hand, got 1\.5"):
        basis.truncate(1.5)
