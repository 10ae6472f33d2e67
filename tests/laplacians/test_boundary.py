"""Boundaries: edges in order, lengths, and Robin conditions against transcendental equations of interval, square and disk."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.optimize import brentq
from scipy.spatial import Delaunay
from scipy.special import j0, j1, jn_zeros

from geospec import ArgumentError, LaplaceBasis, Mesh, ShapeError, laplacian
from geospec.laplacians import boundary_edges, boundary_mass, boundary_vertices, with_robin
from geospec.testing import disjoint_union, grid, icosphere, torus


def disk(rings: int) -> Mesh:
    """The unit disk, its rim a regular polygon of ``6 rings`` corners."""
    angle = [2 * math.pi * np.arange(6 * r) / (6 * r) for r in range(1, rings + 1)]
    points = np.concatenate([[[0, 0]], *(r / rings * np.stack([np.cos(a), np.sin(a)], 1) for r, a in enumerate(angle, 1))])
    faces = Delaunay(points).simplices.astype(np.int64)
    a, b, c = (points[faces[:, i]] for i in range(3))
    inverted = (b - a)[:, 0] * (c - a)[:, 1] < (b - a)[:, 1] * (c - a)[:, 0]
    faces[inverted] = faces[inverted][:, ::-1]
    return Mesh(np.concatenate([points, np.zeros((len(points), 1))], axis=1), faces)


def eigenvalues(operator, k: int) -> np.ndarray:
    return scipy.linalg.eigh(operator.stiffness.to_dense().numpy(), np.diag(operator.mass.numpy()), eigvals_only=True)[:k]


def interval(c: float, k: int) -> np.ndarray:
    """Square roots of the eigenvalues on [0, 1] with ``-f' + c f = 0`` at 0 and ``f' + c f = 0`` at 1: one between multiples of pi."""

    def equation(x: float) -> float:
        return (x**2 - c**2) * math.sin(x) - 2 * x * c * math.cos(x)

    return np.array([brentq(equation, max(i * math.pi, 1e-6), (i + 1) * math.pi) for i in range(k)])


def test_edges_run_as_their_faces_do():
    mesh = grid(4, 3)
    edges = boundary_edges(mesh)
    assert len(edges) == 10
    assert torch.equal(edges[:, 0].sort().values, edges[:, 1].sort().values)
    start, end = (mesh.vertices[edges[:, i]] - torch.tensor([0.5, 0.5, 0]) for i in (0, 1))
    assert (torch.linalg.cross(start, end)[:, 2] > 0).all()  # counter-clockwise around the middle
    key = edges.sort(dim=1).values
    assert torch.equal(torch.unique(key, dim=0), key)
    assert boundary_vertices(mesh).tolist() == [0, 1, 2, 3, 5, 6, 8, 9, 10, 11]


def test_what_has_no_boundary_and_what_bounds_nothing():
    assert boundary_edges(torus(5, 4)).shape == (0, 2)
    assert boundary_vertices(icosphere(1)).shape == (0,)
    mesh = grid(3)
    doubled = Mesh(mesh.vertices, torch.cat([torch.tensor([[4, 4, 4], [0, 4, 0]]), mesh.faces]))
    assert torch.equal(boundary_edges(doubled), boundary_edges(mesh))
    fin = Mesh(torch.eye(5)[:, :3], torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))  # three faces on the edge 0-1
    assert [0, 1] not in boundary_edges(fin).sort(dim=1).values.tolist()
    assert len(boundary_edges(fin)) == 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_boundary_mass(dtype):
    """Along the rim of the square, twice from 0 to 1, once at 0 and once at 1, x^2 integrates to 2/3 + 1."""
    mesh = grid(4, 3, dtype=dtype)
    x = mesh.vertices[:, 0]
    consistent, lumped = boundary_mass(mesh).to_dense(), boundary_mass(mesh, "lumped").to_dense()
    assert consistent.dtype == lumped.dtype == dtype
    assert torch.equal(consistent, consistent.T)
    assert (x @ consistent @ x).item() == pytest.approx(5 / 3, rel=1e-6)
    assert (x @ lumped @ x).item() > 5 / 3 + 0.01
    torch.testing.assert_close(consistent.sum(dim=1), lumped.diagonal())
    assert lumped.sum().item() == pytest.approx(4, rel=1e-6)
    assert boundary_mass(torus(5, 4)).values().numel() == 0


@pytest.mark.parametrize("kind", ["consistent", "lumped"])
@pytest.mark.parametrize("c", [0.3, 4.0])
def test_robin_on_the_square(c, kind):
    """Sums of two of the interval's eigenvalues, at second order."""
    one = interval(c, 3) ** 2
    exact = np.sort((one[:, None] + one).ravel())[:4]
    errors = []
    for n in (9, 17):
        mesh = grid(n)
        found = eigenvalues(with_robin(laplacian(mesh, "cotangent"), mesh, c, kind=kind), 4)
        errors.append(abs(found - exact) / exact)
    assert errors[1].max() < 0.01
    assert np.log2(errors[0] / errors[1]).min() > 1.8


def test_robin_at_the_ends_of_a_strip():
    """Coefficients an edge: Robin at both ends, free along the sides, so modes are those of an interval."""
    mesh = grid(41, 2, height=0.02)
    middle = mesh.vertices[boundary_edges(mesh)].mean(dim=1)[:, 0]
    coefficient = 2.0 * ((middle < 1e-9) | (middle > 1 - 1e-9))
    assert int((coefficient > 0).sum()) == 2
    found = eigenvalues(with_robin(laplacian(mesh), mesh, coefficient), 3)
    np.testing.assert_allclose(found, interval(2.0, 3) ** 2, rtol=3e-3)


def test_robin_on_the_disk():
    """Radial modes J0(k r) with k J1(k) = c J0(k)."""
    c = 1.5
    exact = [brentq(lambda x: x * j1(x) - c * j0(x), *ends) ** 2 for ends in ((0.1, 2.4), (3.5, 5.5))]
    errors = []
    for rings in (6, 12):
        mesh = disk(rings)
        operator = with_robin(laplacian(mesh), mesh, c)
        basis = LaplaceBasis.fit(operator, 8)
        center = basis.modes[0].abs() > 1e-3 * basis.modes.abs().max()  # the other modes vanish in the middle
        errors.append(abs(basis.eigenvalues[center][:2].numpy() / exact - 1))
    assert errors[1].max() < 0.01
    assert np.log2(errors[0] / errors[1]).min() > 1.8


def test_robin_lies_between_neumann_and_dirichlet():
    mesh = disk(8)
    free = laplacian(mesh)
    inner = np.setdiff1d(np.arange(mesh.n_points), boundary_vertices(mesh).numpy())
    stiffness = free.stiffness.to_dense().numpy()[np.ix_(inner, inner)]
    held = scipy.linalg.eigh(stiffness, np.diag(free.mass.numpy()[inner]), eigvals_only=True)[:5]
    assert held[0] == pytest.approx(jn_zeros(0, 1)[0] ** 2, rel=0.02)
    nothing = with_robin(free, mesh, 0)
    torch.testing.assert_close(nothing.stiffness.to_dense(), free.stiffness.to_dense(), atol=0, rtol=0)
    rising = np.array([eigenvalues(with_robin(free, mesh, c), 5) for c in (0, 1e-3, 1, 1e3, 1e7)])
    assert (np.diff(rising, axis=0) > -1e-9).all()
    np.testing.assert_allclose(rising[-1], held, rtol=1e-5)
    assert rising[1, 0] == pytest.approx(1e-3 * boundary_mass(mesh).values().sum().item() / mesh.area.item(), rel=1e-2)


def test_robin_in_float32_keeps_its_coefficient():
    """The diagonal of a float32 stiffness is taken anew for SciPy, which must not undo the condition."""
    mesh = grid(9)
    single = with_robin(laplacian(mesh, "cotangent").to(dtype=torch.float32), mesh, 2.0)
    assert single.stiffness.dtype == torch.float32
    double = with_robin(laplacian(mesh, "cotangent"), mesh, 2.0)
    np.testing.assert_allclose(single.to_scipy()[0].toarray(), double.stiffness.to_dense().numpy(), atol=1e-5)
    assert (single.kind, single.zero_rows) == ("cotangent+robin", False)


def test_gradient_of_robin():
    mesh = disjoint_union(grid(3), torus(4, 3))

    def values(vertices, coefficient):
        moved = Mesh(vertices, mesh.faces)
        return with_robin(laplacian(moved, "cotangent"), moved, coefficient).stiffness.values(), boundary_mass(moved, "lumped").values()

    coefficient = torch.rand(8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(values, (mesh.vertices.clone().requires_grad_(), coefficient))


def test_refusals():
    mesh = grid(4)
    operator = laplacian(mesh)
    with pytest.raises(ShapeError, match="mesh: wanted a boundary, got a closed mesh"):
        with_robin(laplacian(torus(5, 4)), torus(5, 4), 1)
    with pytest.raises(ArgumentError, match="operator: wanted a Laplacian of the mesh's 9 vertices, got 16"):
        with_robin(operator, grid(3), 1)
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ArgumentError, match="coefficient: wanted finite numbers, at least 0"):
            with_robin(operator, mesh, wrong)
    with pytest.raises(ArgumentError, match=r"coefficient: wanted one number, or \(12,\).*got \(16,\)"):
        with_robin(operator, mesh, torch.ones(16))
    with pytest.raises(ArgumentError, match="kind"):
        with_robin(operator, mesh, 1, kind="galerkin")
    with pytest.raises(ArgumentError, match="kind"):
        boundary_mass(mesh, "galerkin")
    with pytest.raises(ArgumentError, match="mesh: wanted a Mesh"):
        boundary_edges(mesh.vertices)
