"""Discrete forms: exact sequences, Betti numbers, and the spectra that the degrees share."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from geospec import ArgumentError, LaplaceBasis, Mesh, ShapeError, laplacian
from geospec.laplacians import (
    exterior_derivative,
    face_gradient,
    hodge_laplacian,
    hodge_star,
    to_scipy,
    whitney_laplacian,
    whitney_mass,
)
from geospec.testing import bumpy_sphere, disjoint_union, grid, icosphere, permuted, tolerance, torus


def acute_torus(around: int = 36) -> Mesh:
    """A torus of nearly equilateral triangles: each ring of the lattice is shifted by half a step. ``around`` a multiple of 9."""
    across = 2 * around // 9
    i, j = torch.meshgrid(torch.arange(around), torch.arange(across), indexing="ij")
    u, v = 2 * math.pi / around * (i + 0.5 * j).double(), 2 * math.pi / across * j.double()
    ring = 3 + 0.6 * v.cos()
    vertices = torch.stack([ring * u.cos(), ring * u.sin(), 0.6 * v.sin()], dim=-1).reshape(-1, 3)
    # Once around the tube the lattice has moved on by half the number of rings.
    at = lambda i, j: ((i + (j >= across) * (across // 2)) % around) * across + j % across  # noqa: E731
    a, b, c, d = (at(i + di, j + dj).reshape(-1) for di, dj in ((0, 0), (1, 0), (0, 1), (-1, 1)))
    return Mesh(vertices, torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)]))


def double_torus() -> Mesh:
    """Two tori without a face each, glued along the holes. Its shape is odd, its genus two."""
    one = torus(8, 6)
    a, b, c = one.faces[0].tolist()
    offset = one.n_points
    faces = torch.cat([one.faces[1:], one.faces[1:] + offset])
    place = torch.arange(2 * offset)
    place[torch.tensor([a, b, c]) + offset] = torch.tensor([b, a, c])  # turned round, so that both sides agree
    used = torch.unique(place[faces])
    number = torch.full((2 * offset,), -1)
    number[used] = torch.arange(len(used))
    other = one.vertices * torch.tensor([1.1, 0.9, 1.0]) + torch.tensor([0.3, 0.2, 1.5])
    return Mesh(torch.cat([one.vertices, other])[used], number[place[faces]])


def moebius(n: int = 12) -> Mesh:
    angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    rows = []
    for w in (-0.5, 0.0, 0.5):
        ring = 2 + w * (angle / 2).cos()
        rows.append(torch.stack([ring * angle.cos(), ring * angle.sin(), w * (angle / 2).sin()], dim=1))
    index = torch.arange(3 * n).reshape(3, n)
    beyond = torch.cat([index, index.flip(0)[:, :1]], dim=1)
    a, b, c, d = (part.reshape(-1) for part in (beyond[:-1, :-1], beyond[:-1, 1:], beyond[1:, 1:], beyond[1:, :-1]))
    return Mesh(torch.cat(rows), torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)]))


def annulus() -> Mesh:
    """The square without its middle."""
    return _without(grid(7), 24)


def _without(mesh: Mesh, vertex: int) -> Mesh:
    faces = mesh.faces[~(mesh.faces == vertex).any(dim=1)]
    kept = torch.arange(mesh.n_points) != vertex
    return Mesh(mesh.vertices[kept], (kept.cumsum(0) - 1)[faces])


def eigenvalues(stiffness, mass) -> np.ndarray:
    stiffness, mass = stiffness.to_dense().numpy(), mass.to_dense().numpy()
    return scipy.linalg.eigh(stiffness, mass if mass.ndim == 2 else np.diag(mass), eigvals_only=True)


def zeros(values: np.ndarray) -> int:
    """How many are zero, with a gap above them."""
    count = int((abs(values) < 1e-9).sum())
    assert count == len(values) or values[count] > 1e-3
    return count


# name: mesh, Betti numbers of degree 0 and 1
SURFACES = {
    "sphere": (icosphere(1), 1, 0),
    "torus": (torus(8, 6), 1, 2),
    "acute torus": (acute_torus(), 1, 2),
    "double torus": (double_torus(), 1, 4),
    "disk": (grid(4), 1, 0),
    "annulus": (annulus(), 1, 1),
    "torus with two holes": (_without(_without(torus(9, 8), 40), 0), 1, 3),
    "Moebius": (moebius(), 1, 1),
    "sphere and torus": (disjoint_union(icosphere(1), torus(8, 6)), 2, 2),
    "three sheets at one edge": (Mesh(torch.eye(5)[:, :3].double(), [[0, 1, 2], [1, 0, 3], [0, 1, 4]]), 1, 0),
}
every_surface = pytest.mark.parametrize("name", SURFACES)


@every_surface
def test_the_derivative_of_a_derivative_is_zero(name):
    mesh = permuted(SURFACES[name][0])[0]
    d0, d1 = (to_scipy(exterior_derivative(mesh, degree)) for degree in (0, 1))
    assert d0.dtype == d1.dtype == np.int64
    assert d0.shape == (len(mesh.edges), mesh.n_points)
    assert d1.shape == (len(mesh.faces), len(mesh.edges))
    assert set(d0.data) == set(d1.data) == {-1, 1}
    assert abs(d1 @ d0).sum() == 0
    assert abs(d1).sum() == 3 * len(mesh.faces)
    # The ranks over the rationals give the Betti numbers without any metric.
    rank = np.linalg.matrix_rank
    assert mesh.n_points - rank(d0.toarray()) == SURFACES[name][1]
    assert len(mesh.edges) - rank(d1.toarray()) - rank(d0.toarray()) == SURFACES[name][2]


def test_signs():
    """The form dx has the integrals x_j - x_i on edges, and x dy the signed area on faces."""
    mesh = permuted(grid(4))[0]
    x, y = mesh.vertices[:, :1], mesh.vertices[:, 1]
    d0, d1 = (exterior_derivative(mesh, degree, torch.float64) for degree in (0, 1))
    i, j = mesh.edges.T
    torch.testing.assert_close(d0 @ x, x[j] - x[i])
    x_dy = ((x[i, 0] + x[j, 0]) / 2 * (y[j] - y[i]))[:, None]
    torch.testing.assert_close((d1 @ x_dy)[:, 0], mesh.face_areas)


@every_surface
def test_harmonic_forms(name):
    mesh, pieces, loops = SURFACES[name]
    assert zeros(eigenvalues(*whitney_laplacian(mesh))) == loops
    if name in ("sphere", "acute torus"):
        assert zeros(eigenvalues(*_parts(hodge_laplacian(mesh, 1)))) == loops
        assert zeros(eigenvalues(*_parts(hodge_laplacian(mesh, 2)))) == pieces
    if name != "three sheets at one edge":
        assert zeros(eigenvalues(*_parts(hodge_laplacian(mesh, 0)))) == pieces


def _parts(operator):
    return operator.stiffness, operator.mass


def test_no_harmonic_2_form_on_a_surface_with_boundary():
    """The absolute condition: on a disk constants have no derivative, and every form of degree 2 is one."""
    angle = math.pi / 3 * torch.arange(6, dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin(), 0 * angle], dim=1)
    hexagon = Mesh(torch.cat([torch.zeros(1, 3), ring]).double(), [[0, 1 + i, 1 + (i + 1) % 6] for i in range(6)])
    assert [zeros(eigenvalues(*_parts(hodge_laplacian(hexagon, degree)))) for degree in (0, 1, 2)] == [1, 0, 0]


@pytest.mark.parametrize("mesh", [icosphere(1), acute_torus(27)], ids=["sphere", "torus"])
def test_degree_1_has_the_spectra_of_degrees_0_and_2(mesh):
    zero, one, two = (eigenvalues(*_parts(hodge_laplacian(mesh, degree))) for degree in (0, 1, 2))
    kernel = int((one < 1e-9).sum())
    union = np.sort(np.concatenate([zero[1:], two[1:]]))
    assert len(one) == kernel + len(union)
    np.testing.assert_allclose(one[kernel:], union, rtol=1e-9)


def test_whitney_degree_1_holds_the_cotangent_spectrum():
    mesh = torus(8, 6)
    functions = eigenvalues(*_parts(laplacian(mesh, "cotangent")))[1:]
    forms = eigenvalues(*whitney_laplacian(mesh))
    assert abs(forms[:, None] / functions - 1).min(axis=0).max() < 1e-9


@pytest.mark.parametrize("of", ["diagonal", "whitney"])
def test_forms_of_the_sphere(of):
    """Six of l (l + 1) = 2, ten of 6: each of the function's, twice."""
    mesh = icosphere(2)
    values = (
        eigenvalues(*whitney_laplacian(mesh)) if of == "whitney" else LaplaceBasis.fit(hodge_laplacian(mesh, 1), 16).eigenvalues.numpy()
    )
    np.testing.assert_allclose(values[:16], [2] * 6 + [6] * 10, rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_form(degree, dtype):
    mesh = permuted(acute_torus())[0].to(dtype=dtype)
    operator = hodge_laplacian(mesh, degree)
    matrix = operator.stiffness.to_dense()
    assert operator.stiffness.layout == torch.sparse_csr
    assert (operator.kind, operator.mass.dtype, matrix.dtype, operator.zero_rows) == (f"hodge-{degree}", dtype, dtype, degree == 0)
    assert len(matrix) == operator.n_points == (mesh.n_points, len(mesh.edges), len(mesh.faces))[degree]
    assert torch.equal(matrix, matrix.T)
    small = tolerance(dtype, 20) * matrix.abs().max()
    assert torch.linalg.eigvalsh(matrix.double())[0] > -small
    torch.testing.assert_close(operator.mass, hodge_star(mesh, degree), rtol=1e-4 if dtype == torch.float32 else 1e-9, atol=0)
    if degree == 0:
        torch.testing.assert_close(matrix, laplacian(mesh, "cotangent").stiffness.to_dense(), atol=small, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whitney_mass(dtype):
    """Exact on constant fields of the plane, whose forms have the integrals v . (x_j - x_i): the square of v times the area."""
    mesh = permuted(grid(5, 4, width=2, dtype=dtype))[0]
    mass = whitney_mass(mesh)
    dense = mass.to_dense()
    assert (mass.layout, dense.dtype) == (torch.sparse_csr, dtype)
    assert torch.equal(dense, dense.T)
    assert torch.linalg.eigvalsh(dense.double())[0] > 0
    i, j = mesh.edges.T
    forms = (mesh.vertices[j] - mesh.vertices[i])[:, :2]
    torch.testing.assert_close(forms.T @ dense @ forms, 2 * torch.eye(2, dtype=dtype))
    d0 = exterior_derivative(mesh, 0, dtype).to_dense()
    stiffness = laplacian(mesh, "cotangent").stiffness.to_dense()
    torch.testing.assert_close(d0.T @ dense @ d0, stiffness, atol=1e-5 if dtype == torch.float32 else 1e-12, rtol=0)


def test_whitney_mass_integrates_its_fields():
    """By midpoints of the edges, exact for products of linear fields: an independent sum over the faces of a curved surface."""
    mesh = permuted(bumpy_sphere(1))[0]
    hats = face_gradient(mesh, torch.eye(mesh.n_points, dtype=torch.float64))  # (f, 3, n)
    form = torch.randn(len(mesh.edges), dtype=torch.float64)
    total = 0.0
    for t, face in enumerate(mesh.faces.tolist()):
        for weights in ((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)):
            field = torch.zeros(3, dtype=torch.float64)
            for a, b in ((0, 1), (0, 2), (1, 2)):
                i, j = sorted((face[a], face[b]))
                edge = int(((mesh.edges[:, 0] == i) & (mesh.edges[:, 1] == j)).nonzero())
                at = {face[corner]: weight for corner, weight in enumerate(weights)}
                field += form[edge] * (at[i] * hats[t, :, j] - at[j] * hats[t, :, i])
            total += mesh.face_areas[t].item() / 3 * float(field @ field)
    assert (form @ whitney_mass(mesh).to_dense() @ form).item() == pytest.approx(total, rel=1e-12)


def test_stars():
    mesh = bumpy_sphere(2)
    stiffness = laplacian(mesh, "cotangent").stiffness.to_dense()
    one, other = mesh.edges.T
    torch.testing.assert_close(hodge_star(mesh, 1), -stiffness[one, other])
    torch.testing.assert_close(hodge_star(mesh, 0), mesh.measure)
    torch.testing.assert_close(hodge_star(mesh, 2), 1 / mesh.face_areas)
    small = torus(4, 3)
    for degree in (0, 1, 2):
        star = lambda vertices, degree=degree: hodge_star(Mesh(vertices, small.faces), degree)  # noqa: E731
        assert torch.autograd.gradcheck(star, small.vertices.clone().requires_grad_())
    mass = lambda vertices: whitney_mass(Mesh(vertices, small.faces)).values()  # noqa: E731
    assert torch.autograd.gradcheck(mass, small.vertices.clone().requires_grad_())


def test_faces_turned_against_each_other_do_no_harm():
    mesh = acute_torus()
    turned = Mesh(mesh.vertices, torch.cat([mesh.faces[:100].flip(1), mesh.faces[100:]]))
    for degree in (1, 2):
        pair = (eigenvalues(*_parts(hodge_laplacian(shape, degree))) for shape in (mesh, turned))
        np.testing.assert_allclose(*pair, atol=1e-9)


def test_empty():
    mesh = Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    assert tuple(exterior_derivative(mesh, 0).shape) == (0, 0)
    assert tuple(exterior_derivative(mesh, 1).shape) == (0, 0)
    assert tuple(whitney_mass(mesh).shape) == (0, 0)
    assert hodge_laplacian(mesh, 1).n_points == 0


def test_refusals():
    for degree in (-1, 2):
        with pytest.raises(ArgumentError, match=f"degree: wanted one of 0, 1, got {degree}"):
            exterior_derivative(grid(3), degree)
    for call in (hodge_star, hodge_laplacian):
        with pytest.raises(ArgumentError, match="degree: wanted one of 0, 1, 2, got 3"):
            call(grid(3), 3)
    with pytest.raises(ShapeError, match="orientable surface for degree 2, got one with a single side"):
        hodge_laplacian(moebius(), 2)
    with pytest.raises(ShapeError, match=r"positive cotangent weights, got 4 of 16 edges at or below zero.*whitney_laplacian"):
        hodge_laplacian(grid(3), 1)
    sheets = SURFACES["three sheets at one edge"][0]
    for call in (lambda: hodge_star(sheets, 1), lambda: hodge_laplacian(sheets, 1)):
        with pytest.raises(ShapeError, match=r"at most two faces an edge, got 1 edges.*between vertices \[0, 1\].*whitney_mass"):
            call()
    twice = Mesh(sheets.vertices, [[0, 1, 2], [1, 1, 3]])
    line = Mesh([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]], [[0, 1, 2], [0, 1, 3]])
    for call in (lambda m: exterior_derivative(m, 1), lambda m: hodge_star(m, 0), whitney_mass, whitney_laplacian):
        with pytest.raises(ShapeError, match=r"three different vertices in each face, got 1 degenerate faces.*face 1.*\[1, 1, 3\]"):
            call(twice)
    for call in (lambda m: hodge_star(m, 1), lambda m: hodge_star(m, 2), whitney_mass):
        with pytest.raises(ShapeError, match=r"faces of positive area, got 1 degenerate faces.*face 1.*\[0, 1, 3\]"):
            call(line)
    bare = Mesh(torch.cat([icosphere(1).vertices, torch.zeros(2, 3)]), icosphere(1).faces)
    for call in (lambda m: hodge_laplacian(m, 0), lambda m: hodge_laplacian(m, 1), whitney_laplacian):
        with pytest.raises(ShapeError, match="2 of 44 vertices without area.*unreferenced"):
            call(bare)
    with pytest.raises(ArgumentError, match="mesh: wanted a Mesh"):
        hodge_laplacian(grid(3).vertices, 1)
