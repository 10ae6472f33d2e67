"""Graph Laplacians against spectra known in closed form, in one to five dimensions."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch

from geospec import ArgumentError, LaplaceBasis, Mesh, PointCloud, ShapeError, laplacian
from geospec.laplacians import graph_laplacian
from geospec.testing import grid, icosphere, sphere_cloud, torus

TETRAHEDRON = Mesh(torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).double(), [[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])


def eigenvalues(operator) -> np.ndarray:
    return scipy.linalg.eigh(operator.stiffness.to_dense().numpy(), np.diag(operator.mass.numpy()), eigvals_only=True)


def circle(n: int) -> PointCloud:
    angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return PointCloud(torch.stack([angle.cos(), angle.sin()], dim=1))


def test_complete_graph():
    """Of n = 4 points: n three times; a random walk leaves n / (n - 1)."""
    np.testing.assert_allclose(eigenvalues(laplacian(TETRAHEDRON, "graph", weights="unit")), [0, 4, 4, 4], atol=1e-12)
    np.testing.assert_allclose(
        eigenvalues(laplacian(TETRAHEDRON, "graph", weights="unit", mass="degree")), [0, 4 / 3, 4 / 3, 4 / 3], atol=1e-12
    )


@pytest.mark.parametrize("weights", ["unit", "gaussian"])
def test_cycle(weights):
    """Neighbours of points on a circle make a cycle: 2 - 2 cos(2 pi j / n), times the weight, by default exp(-1/2)."""
    n = 12
    operator = laplacian(circle(n), "graph", weights=weights, n_neighbors=2)
    weight = 1 if weights == "unit" else math.exp(-0.5)
    np.testing.assert_allclose(eigenvalues(operator), np.sort(weight * (2 - 2 * np.cos(2 * np.pi * np.arange(n) / n))), atol=1e-12)
    walk = graph_laplacian(circle(n), weights=weights, n_neighbors=2, mass="degree")
    np.testing.assert_allclose(eigenvalues(walk), np.sort(1 - np.cos(2 * np.pi * np.arange(n) / n)), atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_hypercube(d):
    """Corners of the cube in d dimensions, d neighbours each: 2 j, as often as j of d can be chosen."""
    corners = PointCloud(torch.tensor(list(itertools.product([0.0, 1], repeat=d)), dtype=torch.float64))
    wanted = np.repeat(2 * np.arange(d + 1), [math.comb(d, j) for j in range(d + 1)])
    np.testing.assert_allclose(eigenvalues(laplacian(corners, "graph", weights="unit", n_neighbors=d)), wanted, atol=1e-12)


def test_neighbours_are_symmetric_by_union():
    """On a line 0, 1, 3, 7 each has one nearest: 0-1, 1-0, 3-1, 7-3."""
    cloud = PointCloud(torch.tensor([[0.0], [1], [3], [7]]))
    matrix = graph_laplacian(cloud, weights="unit", n_neighbors=1).stiffness.to_dense()
    assert matrix.tolist() == [[1, -1, 0, 0], [-1, 2, -1, 0], [0, -1, 2, -1], [0, 0, -1, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [torus(9, 6), sphere_cloud(200)], ids=["mesh", "cloud"])
def test_form(shape, dtype):
    shape = shape.to(dtype=dtype)
    for mass in ("unit", "degree"):
        operator = laplacian(shape, "graph", mass=mass, n_neighbors=8)
        matrix = operator.stiffness.to_dense()
        assert operator.stiffness.layout == torch.sparse_csr
        assert (operator.kind, matrix.dtype, operator.mass.dtype) == ("graph", dtype, dtype)
        assert torch.equal(matrix, matrix.T)
        assert (matrix - torch.diag(matrix.diagonal()) <= 0).all()
        assert matrix.sum(dim=1).abs().max() < 20 * torch.finfo(dtype).eps
        torch.testing.assert_close(operator.mass, matrix.diagonal() if mass == "degree" else torch.ones_like(operator.mass))


def test_gaussian_weights_of_a_mesh():
    mesh = icosphere(1)
    one, other = mesh.edges.T
    squared = (mesh.vertices[one] - mesh.vertices[other]).square().sum(dim=1)
    found = graph_laplacian(mesh, bandwidth=0.3).stiffness.to_dense()[one, other]
    torch.testing.assert_close(found, -torch.exp(-squared / (2 * 0.09)))
    scaled = Mesh(1e6 * mesh.vertices, mesh.faces)
    torch.testing.assert_close(graph_laplacian(scaled).stiffness.to_dense(), graph_laplacian(mesh).stiffness.to_dense())


def test_the_sphere_up_to_a_factor():
    """Eigenvalues l (l + 1) of even samples, as ratios; closer with more points and more neighbours."""
    wanted = np.repeat([1.0, 3, 6], [3, 5, 7])
    errors = []
    for n, k in ((500, 20), (4000, 60)):
        basis = LaplaceBasis.fit(laplacian(sphere_cloud(n), "graph", mass="degree", n_neighbors=k), 16)
        ratios = basis.eigenvalues[1:] / basis.eigenvalues[1:4].mean()
        errors.append(abs(ratios.numpy() / wanted - 1).max())
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 2


def test_coincident_points_are_neighbours_of_each_other():
    """More copies of a point than it has neighbours: none is linked to itself, all have as many."""
    cloud = PointCloud(torch.cat([torch.zeros(9, 2), torch.eye(2), 2 * torch.eye(2)]).double())
    matrix = graph_laplacian(cloud, weights="unit", n_neighbors=2).stiffness.to_dense()
    assert (matrix.diagonal() >= 2).all()
    assert torch.equal(matrix.sum(dim=1), torch.zeros(13, dtype=torch.float64))
    assert (graph_laplacian(cloud, bandwidth=1.0, n_neighbors=2).stiffness.to_dense().diagonal() > 0).all()
    with pytest.raises(ShapeError, match="positive median distance between neighbours, got 0"):
        graph_laplacian(cloud, n_neighbors=2)


def test_broken_meshes_have_a_graph():
    mesh = grid(3)
    faces = torch.cat([mesh.faces, torch.tensor([[3, 7, 3], [0, 8, 4], [4, 4, 4]])])
    matrix = laplacian(Mesh(mesh.vertices, faces), "graph", weights="unit").stiffness.to_dense()
    assert matrix[3, 7] == matrix[0, 8] == -1
    assert matrix.sum(dim=1).abs().max() == 0
    assert matrix.diagonal()[4] == 6
    degree = laplacian(Mesh(mesh.vertices, faces), "graph", weights="unit", mass="degree")
    assert torch.equal(degree.mass, matrix.diagonal())


def test_gradient_in_the_points():
    points = torch.rand(8, 4, dtype=torch.float64, requires_grad=True)
    for mass in ("unit", "degree"):

        def parts(points, mass=mass):
            operator = graph_laplacian(PointCloud(points), n_neighbors=3, mass=mass)
            return operator.stiffness.values(), operator.mass * points.sum()  # unit masses have no gradient of their own

        assert torch.autograd.gradcheck(parts, points)


def test_refusals():
    cloud = sphere_cloud(20)
    with pytest.raises(ArgumentError, match="weights: wanted one of 'unit', 'gaussian'"):
        laplacian(cloud, "graph", weights="heat")
    with pytest.raises(ArgumentError, match="mass: wanted one of 'unit', 'degree'"):
        laplacian(cloud, "graph", mass="area")
    for bandwidth in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ArgumentError, match="bandwidth"):
            graph_laplacian(cloud, bandwidth=bandwidth)
    with pytest.raises(ArgumentError, match="n_neighbors: wanted at least 1, got 0"):
        graph_laplacian(cloud, n_neighbors=0)
    with pytest.raises(ShapeError, match="more than n_neighbors = 30 points, got 20"):
        laplacian(cloud, "graph")
    with pytest.raises(ArgumentError, match="shape"):
        graph_laplacian(cloud.points)
    with pytest.raises(ArgumentError, match="options: wanted those of 'graph': weights, bandwidth, mass, got alpha"):
        laplacian(cloud, "graph", alpha=1)
    with pytest.raises(ArgumentError, match="options: wanted those of 'robust': none, got bandwidth, weights"):
        laplacian(cloud, weights="unit", bandwidth=1)
    far = PointCloud(torch.cat([cloud.points, torch.full((1, 3), 1e4)]))
    assert graph_laplacian(far, n_neighbors=5).mass.sum() == 21
    with pytest.raises(ShapeError, match="1 points without any weight"):
        graph_laplacian(far, n_neighbors=5, mass="degree")
    with pytest.raises(ShapeError, match="in no face"):
        laplacian(Mesh(torch.rand(5, 3), [[0, 1, 2]]), "graph")
