"""The k nearest rows: brute force in double, every way of searching, ties, sizes, gradients, refusals."""

import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.spectral_knn import reference
from geospec.ops.spectral_nearest import METHODS

from .test_spectral_nearest import embeddings, surface


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [2, 7, 60])
@pytest.mark.parametrize("kind", ["converged", "noisy", "random map", "gaussian"])
def test_every_method_finds_the_nearest(kind, k, dtype):
    queries, points = embeddings(kind, 900, 34, dtype)
    squared, expected = reference(queries, points, k)
    for method in METHODS:
        ours, indices = ops.spectral_knn(queries, points, k, method)
        assert torch.equal(indices, expected)
        torch.testing.assert_close(ours, squared, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_one_neighbour_is_the_nearest(method):
    queries, points = embeddings("noisy", 1500, 50, torch.float32)
    squared, indices = ops.spectral_knn(queries, points, 1, method)
    nearest, distances = ops.spectral_nearest(queries, points, method)
    assert torch.equal(indices[:, 0], nearest)
    torch.testing.assert_close(squared[:, 0].sqrt(), distances)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("p", [1, 5, 13, 47, 49, 600])
def test_all_points_in_order(p, method):
    queries, points = surface(9, 10, 1, torch.float32), surface(p, 10, 2, torch.float32)
    squared, indices = ops.spectral_knn(queries, points, p, method)
    assert torch.equal(indices, reference(queries, points, p)[1])
    assert (squared.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_of_equal_points_the_first_come_first(method):
    generator = torch.Generator().manual_seed(3)
    points = torch.randint(0, 2, (3000, 9), generator=generator).float()
    queries = torch.randint(0, 2, (400, 9), generator=generator).float()
    squared, indices = ops.spectral_knn(queries, points, 12, method)
    everyone = torch.cdist(queries.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist").square().round()
    in_order = everyone.sort(dim=1, stable=True)
    assert (in_order.values[:, 11] == in_order.values[:, 12]).float().mean() > 0.5, "there are ties at the end of the list"
    assert torch.equal(indices, in_order.indices[:, :12])
    assert torch.equal(squared.double(), in_order.values[:, :12])


@pytest.mark.parametrize("method", METHODS)
def test_a_shell_of_points_about_the_queries(method):
    points = torch.nn.functional.normalize(torch.randn(3000, 30, generator=torch.Generator().manual_seed(4), dtype=torch.float64))
    points = (points * (1 + 1e-4 * torch.rand(3000, 1, generator=torch.Generator().manual_seed(5)))).float()
    queries = 1e-6 * surface(70, 30, 6, torch.float32)
    assert torch.equal(ops.spectral_knn(queries, points, 5, method)[1], reference(queries, points, 5)[1])


def test_gradients_twice():
    queries, points = surface(6, 5, 7).requires_grad_(), surface(20, 5, 8).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda q, p: ops.spectral_knn(q, p, 3)[0], (queries, points))


@pytest.mark.parametrize("in_dims", [(0, None), (None, 0), (0, 0), (1, 1)])
def test_vmap(in_dims):
    queries, points = torch.randn(3, 3, 6, dtype=torch.float64), torch.randn(3, 3, 6, dtype=torch.float64)
    pick = [x.unbind(dim) if dim is not None else [x[0]] * 3 for x, dim in zip((queries, points), in_dims, strict=True)]
    given = [x if dim is not None else x[0] for x, dim in zip((queries, points), in_dims, strict=True)]
    squared, indices = torch.vmap(lambda q, p: ops.spectral_knn(q, p, 2), in_dims=in_dims)(*given)
    for i in range(3):
        one = ops.spectral_knn(pick[0][i], pick[1][i], 2)
        assert torch.equal(squared[i], one[0])
        assert torch.equal(indices[i], one[1])


def test_python_face_names_what_is_wrong():
    queries, points = torch.rand(4, 3), torch.rand(5, 3)
    for k in (0, 6, 2.0, True):
        with pytest.raises(ArgumentError, match="k: wanted an integer from 1 to the number of points, 5, got"):
            ops.spectral_knn(queries, points, k)
    with pytest.raises(ArgumentError, match="points: wanted as many columns as queries, 3, got 2"):
        ops.spectral_knn(queries, points[:, :2], 1)
    with pytest.raises(ArgumentError, match="method: wanted one of 'auto', 'tree', 'brute', got 'kdtree'"):
        ops.spectral_knn(queries, points, 1, "kdtree")
