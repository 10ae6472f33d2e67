"""The nearest row against brute force in double, both ways of searching, ties, offsets, scales, gradients."""

import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.spectral_nearest import METHODS, reference


def surface(n: int, d: int, seed: int, dtype=torch.float64):
    """Points of a torus in ``d`` smooth coordinates: intrinsic dimension two, as a spectral embedding has."""
    generator = torch.Generator().manual_seed(seed)
    angles = 2 * torch.pi * torch.rand(n, 2, generator=generator, dtype=torch.float64)
    waves = torch.stack(torch.meshgrid(torch.arange(-8.0, 9), torch.arange(9.0), indexing="ij"), dim=-1).reshape(-1, 2).double()
    waves = waves[waves.square().sum(dim=1).argsort()][:d]
    return (angles @ waves.T + torch.arange(d)).sin().to(dtype)


def embeddings(kind: str, n: int, d: int, dtype):
    """Queries and points as a map yields them: near the surface, off it, unrelated to it, or without a surface."""
    points = surface(n, d, 0, dtype)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(n, d, generator=generator, dtype=torch.float64)
    queries = {
        "converged": surface(n, d, 2).double(),
        "noisy": surface(n, d, 2) + 0.2 * noise,
        "random map": surface(n, d, 2) @ torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0],
        "gaussian": noise,
    }[kind]
    return queries.to(dtype), points


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 2, 21, 67])
@pytest.mark.parametrize("kind", ["converged", "noisy", "random map", "gaussian"])
def test_every_method_finds_the_nearest(kind, d, dtype):
    queries, points = embeddings(kind, 800, d, dtype)
    expected, distances = reference(queries, points)
    for method in METHODS:
        ours, ours_distances = ops.spectral_nearest(queries, points, method)
        assert torch.equal(ours, expected)
        torch.testing.assert_close(ours_distances, distances, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("p", [1, 2, 11, 12, 13, 47, 48, 49, 95, 97, 511, 513, 1000])
@pytest.mark.parametrize("q", [1, 7, 33])
def test_sizes_around_every_tile(p, q):
    points, queries = surface(p, 21, 3, torch.float32), surface(q, 21, 4, torch.float32)
    expected, _ = reference(queries, points)
    for method in METHODS:
        assert torch.equal(ops.spectral_nearest(queries, points, method)[0], expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_equal_points_the_first_wins(method, dtype):
    once = surface(300, 30, 5, dtype)
    shuffled = torch.randperm(900, generator=torch.Generator().manual_seed(6))
    points = once.repeat(3, 1)[shuffled]
    indices, distances = ops.spectral_nearest(once, points, method)
    copies = (points[:, None] == once).all(dim=-1)
    assert copies.sum(dim=0).eq(3).all(), "each query has three points at distance zero"
    assert torch.equal(indices, copies.int().argmax(dim=0))
    assert not distances.any()


@pytest.mark.parametrize("method", METHODS)
def test_all_points_equal(method):
    indices, distances = ops.spectral_nearest(torch.ones(40, 25), torch.zeros(700, 25), method)
    assert not indices.any()
    torch.testing.assert_close(distances, torch.full((40,), 5.0))


@pytest.mark.parametrize("method", METHODS)
def test_equidistant_points_of_a_grid(method):
    """Integer coordinates: squared distances are exact, so ties are, and both ways must break them alike."""
    generator = torch.Generator().manual_seed(7)
    points = torch.randint(0, 3, (2000, 12), generator=generator).float()
    queries = torch.randint(0, 3, (500, 12), generator=generator).float()
    squared = torch.cdist(queries.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist").square().round()
    least = squared.amin(dim=1, keepdim=True)
    assert (squared == least).sum(dim=1).gt(1).sum() > 100, "there are ties"
    assert torch.equal(ops.spectral_nearest(queries, points, method)[0], (squared == least).int().argmax(dim=1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_offsets_do_not_cancel(method, offset):
    """|q|^2 + |p|^2 - 2 q.p loses every digit of these distances in float32."""
    points, queries = surface(1200, 40, 8, torch.float32) + offset, surface(600, 40, 9, torch.float32) + offset
    expected, distances = reference(queries, points)
    expanded = (points.square().sum(dim=1) - 2 * queries @ points.T).argmin(dim=1)
    assert (expanded != expected).float().mean() > 0.5, "the naive formula is wrong here"
    ours, ours_distances = ops.spectral_nearest(queries, points, method)
    assert torch.equal(ours, expected)
    torch.testing.assert_close(ours_distances, distances, rtol=1e-6, atol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_shell_of_points_about_the_queries(method, dtype):
    """All distances agree to four digits, more than a coarse comparison can tell apart."""
    points = torch.nn.functional.normalize(torch.randn(3000, 30, generator=torch.Generator().manual_seed(19), dtype=torch.float64))
    points = (points * (1 + 1e-4 * torch.rand(3000, 1, generator=torch.Generator().manual_seed(20)))).to(dtype)
    queries = 1e-6 * surface(70, 30, 21, dtype)
    assert torch.equal(ops.spectral_nearest(queries, points, method)[0], reference(queries, points)[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("large", [1e2, 1e4])
def test_one_coordinate_far_larger_than_the_others(method, large):
    points, queries = surface(2000, 50, 22, torch.float32), surface(300, 50, 23, torch.float32)
    points[:, 7] *= large
    queries[:, 7] *= large
    assert torch.equal(ops.spectral_nearest(queries, points, method)[0], reference(queries, points)[0])


@pytest.mark.parametrize("method", METHODS)
def test_two_distant_clusters(method):
    """The common centre lies far from all points, so the filter alone could not tell neighbours apart."""
    points = surface(1000, 20, 10, torch.float32)
    points[500:] += 3e4
    queries = points[::5] + 1e-3
    assert torch.equal(ops.spectral_nearest(queries, points, method)[0], reference(queries, points)[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dtype", "scale"), [(torch.float32, 1e-30), (torch.float32, 1e30), (torch.float64, 1e-140), (torch.float64, 1e140)]
)
def test_any_scale(method, dtype, scale):
    points, queries = surface(700, 24, 11, dtype) * scale, surface(300, 24, 12, dtype) * scale
    expected, distances = reference(queries / scale, points / scale)
    ours, ours_distances = ops.spectral_nearest(queries, points, method)
    assert (ours == expected).float().mean() > 0.99  # dividing by the scale rounds
    torch.testing.assert_close(ours_distances / scale, distances, rtol=1e-4, atol=0)


def test_threads_do_not_change_the_answer():
    queries, points = embeddings("noisy", 3000, 50, torch.float32)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(ops.spectral_nearest(queries, points))
    finally:
        torch.set_num_threads(before)
    for indices, distances in results[1:]:
        assert torch.equal(indices, results[0][0])
        assert torch.equal(distances, results[0][1])


def test_strided_views():
    queries, points = surface(200, 40, 13), surface(900, 40, 14)
    ours = ops.spectral_nearest(queries[::3, ::2], points.T.contiguous().T[:, ::2])
    assert torch.equal(ours[0], reference(queries[::3, ::2], points[:, ::2])[0])


def test_gradient_is_zero_at_distance_zero_and_exists_twice():
    points = surface(30, 4, 15).requires_grad_()
    queries = torch.cat([points[:2].detach(), surface(5, 4, 16)]).requires_grad_()
    distances = ops.spectral_nearest(queries, points)[1]
    gradient = torch.autograd.grad(distances.sum(), queries)[0]
    assert not gradient[:2].any()
    torch.testing.assert_close(gradient[2:].norm(dim=1), torch.ones(5, dtype=torch.float64))
    apart = queries[2:].detach().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda q, p: ops.spectral_nearest(q, p)[1], (apart, points))


def test_indices_carry_no_gradient():
    queries = surface(5, 4, 17).requires_grad_()
    assert not ops.spectral_nearest(queries, surface(9, 4, 18))[0].requires_grad


@pytest.mark.parametrize("in_dims", [(0, None), (None, 0), (0, 0), (1, 1)])
def test_vmap(in_dims):
    queries, points = torch.randn(3, 3, 6, dtype=torch.float64), torch.randn(3, 3, 6, dtype=torch.float64)
    pick = [x.unbind(dim) if dim is not None else [x[0]] * 3 for x, dim in zip((queries, points), in_dims, strict=True)]
    given = [x if dim is not None else x[0] for x, dim in zip((queries, points), in_dims, strict=True)]
    indices, distances = torch.vmap(ops.spectral_nearest, in_dims=in_dims)(*given)
    for i in range(3):
        one = ops.spectral_nearest(pick[0][i], pick[1][i])
        assert torch.equal(indices[i], one[0])
        assert torch.equal(distances[i], one[1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["queries", "points"])
def test_what_is_not_finite_is_refused(name, bad):
    given = {"queries": torch.rand(5, 3), "points": torch.rand(700, 3)}
    given[name][4, 1] = bad
    with pytest.raises(RuntimeError, match=f"{name}: wanted finite values.*row 4"):
        ops.spectral_nearest(**given)


def test_python_face_names_what_is_wrong():
    queries, points = torch.rand(4, 3), torch.rand(5, 3)
    with pytest.raises(ArgumentError, match="queries: wanted a torch tensor, got ndarray"):
        ops.spectral_nearest(queries.numpy(), points)
    with pytest.raises(ArgumentError, match=r"points: wanted shape \(n, d\), got \(3,\)"):
        ops.spectral_nearest(queries, points[0])
    with pytest.raises(ArgumentError, match="points: wanted the device of queries, cpu, got meta; move it"):
        ops.spectral_nearest(torch.zeros(2, 3), torch.zeros(2, 3, device="meta"))
    with pytest.raises(ArgumentError, match="points: wanted as many columns as queries, 3, got 2"):
        ops.spectral_nearest(queries, points[:, :2])
    with pytest.raises(ArgumentError, match="points: wanted the type of queries, torch.float32, got torch.float64"):
        ops.spectral_nearest(queries, points.double())
    with pytest.raises(ArgumentError, match="queries: wanted at least one column, got none"):
        ops.spectral_nearest(queries[:, :0], points[:, :0])
    with pytest.raises(ArgumentError, match="points: wanted at least one row, got none"):
        ops.spectral_nearest(queries, points[:0])
    with pytest.raises(ArgumentError, match="method: wanted one of 'auto', 'tree', 'brute', got 'kdtree'"):
        ops.spectral_nearest(queries, points, "kdtree")
