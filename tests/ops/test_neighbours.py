"""k nearest, radius and farthest points against SciPy's tree and brute force: every spread of points, ties, batches, scales."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.farthest_points import reference as farthest_reference
from geospec.ops.neighbours import BOXES, reference, reference_radius_search

DTYPES = [torch.float32, torch.float64]
SPREADS = ["volume", "surface", "clusters", "line", "lattice", "few places"]


def spread(kind: str, n: int, d: int, dtype=torch.float64, seed: int = 0):
    """Points (n, d) as they come: even, on a surface, in tight clusters far apart, on a line, with ties, with thousands of doubles."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, d, generator=generator, dtype=torch.float64)
    if kind == "surface":
        x = torch.nn.functional.normalize(x - 0.5, dim=1)
    elif kind == "clusters":
        x = torch.randint(0, 4, (n, 1), generator=generator) * 100.0 + 10.0 ** -torch.randint(0, 7, (n, 1), generator=generator) * x
    elif kind == "line":
        x[:, 1:] = 0.25
    elif kind == "lattice":
        x = torch.randint(0, 6, (n, d), generator=generator).double()
    elif kind == "few places":
        x = torch.where(x[:, :1] < 0.9, 0.5, x.round())
    return x.to(dtype)


def assert_equal(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


def _whole(points, offsets):
    return {"point_offsets": torch.tensor([0, len(points)])} if offsets else {}


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("kind", SPREADS)
def test_many_dimensions_are_searched_as_embeddings(kind, exclude_self):
    """The same neighbours in the same order; distances are summed in another order, so their last bit may differ."""
    points = spread(kind, 700, 40, torch.float64)
    squared, indices = ops.knn(points, points, 12, exclude_self=exclude_self)
    expected, expected_indices = reference(points, points, 12, exclude_self)
    assert torch.equal(indices, expected_indices)
    torch.testing.assert_close(squared, expected, rtol=1e-13, atol=1e-25)
    assert (indices == torch.arange(700)[:, None]).any() != exclude_self


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("kind", SPREADS)
def test_equals_brute_force_to_the_last_bit(kind, d, dtype):
    points, queries = spread(kind, 700, d, dtype), spread(kind, 90, d, dtype, seed=1)
    offsets = {} if d <= BOXES else {"query_offsets": torch.tensor([0, 90])}  # batches are searched by boxes in any dimension
    for k in (1, 16):
        assert_equal(ops.knn(queries, points, k, **offsets, **_whole(points, offsets)), reference(queries, points, k))
        offsets_of_self = {name: torch.tensor([0, 700]) for name in offsets}
        mine = ops.knn(points, points, k, exclude_self=True, **offsets_of_self, **_whole(points, offsets))
        assert_equal(mine, reference(points, points, k, True))
    radius = float(reference(queries, points, 20)[0].double().max().sqrt())
    for most in (None, 3):
        ours = ops.radius_search(queries, points, radius, most=most)
        squared, *packed = reference_radius_search(queries, points, radius, most)
        assert_equal(ours, (*packed, squared))
    assert torch.equal(ops.farthest_points(points, 100, 7), farthest_reference(points, 100, 7))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("kind", ["volume", "surface", "clusters"])
def test_agrees_with_scipy(kind, d, dtype):
    """Sizes at which the tree is built by several tasks, k above the size of a leaf."""
    points = spread(kind, 40_000, d, dtype)
    squared, indices = ops.knn(points, points, 40)
    some = slice(0, None, 37)
    distances, theirs = cKDTree(points.double().numpy()).query(points[some].double().numpy(), k=40)
    if kind != "clusters":  # there float32 has many ties, which SciPy breaks as it likes
        assert (indices[some].numpy() == theirs).mean() > 0.999
    tolerance = 4 * float(torch.finfo(dtype).eps)
    torch.testing.assert_close(squared[some], torch.from_numpy(distances).square().to(dtype), rtol=tolerance, atol=0)
    assert torch.equal(squared, (points[:, None].double() - points[indices].double()).square().sum(dim=-1).to(dtype))
    assert (squared.diff(dim=1) >= 0).all()
    assert (indices.diff(dim=1)[squared.diff(dim=1) == 0] > 0).all() or dtype == torch.float32  # rounding makes further ties


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 63, 64, 65, 97, 257])
def test_sizes_around_every_leaf(n):
    points = spread("volume", n, 3, torch.float32)
    for k in {1, (n + 1) // 2, n}:
        assert_equal(ops.knn(points, points, k), reference(points, points, k))
    if n > 1:
        assert_equal(ops.knn(points, points, n - 1, exclude_self=True), reference(points, points, n - 1, True))
    assert torch.equal(ops.farthest_points(points, n, n - 1), farthest_reference(points, n, n - 1))


@pytest.mark.parametrize("kind", ["all equal", "half equal"])
def test_thousands_of_doubles_cost_nothing(kind):
    """Compared all with all, the doubles alone would be 1e10 pairs, some minutes; what counts is that the test ends."""
    points = spread("volume", 200_000, 3, torch.float32)
    points[:: 1 if kind == "all equal" else 2] = 0.5
    squared, indices = ops.knn(points, points, 5, exclude_self=True)
    first = torch.arange(6) * (1 if kind == "all equal" else 2)
    assert torch.equal(indices[0], first[1:])
    assert torch.equal(indices[first[3]], first[[0, 1, 2, 4, 5]])
    assert torch.equal(indices[-2 if kind == "half equal" else -1], first[:5])
    assert squared[first].count_nonzero() == 0
    crow, nearest, _ = ops.radius_search(points[:8], points, 0.0, most=3)
    assert torch.equal(nearest[: crow[1]], first[:3])
    assert len(ops.farthest_points(points, 50).unique()) == 50


@pytest.mark.parametrize("exclude_self", [False, True])
def test_batches_do_not_see_each_other(exclude_self):
    sizes = [40, 0, 300, 17, 1000]
    points = spread("volume", sum(sizes), 3)
    offsets = torch.tensor([0, *np.cumsum(sizes)])
    squared, indices = ops.knn(points, points, 16, exclude_self=exclude_self, query_offsets=offsets, point_offsets=offsets)
    crow, near, _ = ops.radius_search(points, points, 0.2, exclude_self=exclude_self, query_offsets=offsets, point_offsets=offsets)
    for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if begin == end:
            continue
        part = points[begin:end]
        alone = ops.knn(part, part, 16, exclude_self=exclude_self)
        assert_equal((squared[begin:end], indices[begin:end] - begin), alone)
        alone = ops.radius_search(part, part, 0.2, exclude_self=exclude_self)
        assert torch.equal(near[crow[begin] : crow[end]] - begin, alone[1])
    queries, query_offsets = points[:5], torch.tensor([0, 2, 2, 5, 5, 5])
    assert_equal(
        ops.knn(queries, points, 7, query_offsets=query_offsets, point_offsets=offsets),
        reference(queries, points, 7, False, query_offsets, offsets),
    )
    crow, *_ = ops.radius_search(queries, points, 1.0, query_offsets=torch.tensor([0, 0, 5, 5, 5, 5]), point_offsets=offsets)
    assert not crow.any(), "a batch without points finds none"


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_offsets_do_not_cancel(offset):
    points = spread("volume", 1200, 3, torch.float32) * 100 + offset
    squared, indices = ops.knn(points, points, 8)
    expanded = points.square().sum(dim=1) + points.square().sum(dim=1)[:, None] - 2 * points @ points.T
    assert (expanded.topk(8, largest=False).indices != indices).float().mean() > 0.3, "the naive formula is wrong here"
    assert_equal((squared, indices), reference(points, points, 8))


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(torch.float32, 2.0**-62), (torch.float32, 2.0**100), (torch.float64, 2.0**-480), (torch.float64, 2.0**480), (torch.float32, 1e-44)],
)
def test_any_scale(dtype, scale):
    """Powers of two change no digit; the last rounds coordinates to a few units, so nearly all distances tie, and vanish as float32."""
    points = spread("volume", 2000, 3, dtype) * scale
    assert_equal(ops.knn(points, points, 9, exclude_self=True), reference(points, points, 9, True))
    assert torch.equal(ops.farthest_points(points, 40), farthest_reference(points, 40))


def test_huge_beside_tiny():
    """Two clusters, one so far away that its scale would round the other's differences to nothing."""
    points = torch.cat([spread("volume", 300, 3, torch.float32) * 1e-20, spread("volume", 300, 3, torch.float32) * 1e18])
    assert_equal(ops.knn(points, points, 6), reference(points, points, 6))


def test_threads_do_not_change_the_answer():
    points = spread("surface", 30_000, 3, torch.float32)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found = ops.radius_search(points, points, 0.02)
            results.append((*ops.knn(points, points, 12), *found, ops.farthest_points(points, 99)))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert_equal(result, results[0])


def test_one_query_of_many_points():
    points = spread("surface", 5000, 3)
    assert_equal(ops.knn(points[:1] * 3, points, 4), reference(points[:1] * 3, points, 4))
    far_apart = spread("volume", 20, 3) * 50
    assert_equal(ops.knn(far_apart, points, 4), reference(far_apart, points, 4))


def test_strided_views():
    points = spread("volume", 600, 6)
    assert_equal(ops.knn(points[::2, ::2], points[::3, ::2], 5), reference(points[::2, ::2], points[::3, ::2], 5))
    assert torch.equal(ops.farthest_points(points[::2, ::2], 9), farthest_reference(points[::2, ::2], 9))


def test_a_radius_includes_its_border():
    points = torch.tensor([[0.0, 0], [3, 4], [0, 5], [5.0000005, 0]])
    crow, indices, squared = ops.radius_search(points[:1], points, 5.0)
    assert crow.tolist() == [0, 3]
    assert indices.tolist() == [0, 1, 2]
    assert squared.tolist() == [0, 25, 25]
    assert ops.radius_search(points, points, 0.0)[0].tolist() == [0, 1, 2, 3, 4]


def test_gradients_twice():
    queries, points = spread("volume", 5, 3, seed=2).requires_grad_(), spread("volume", 30, 3).requires_grad_()
    squared, indices = ops.knn(queries, points, 4)
    assert not indices.requires_grad
    gradient = torch.autograd.grad(squared[:, 0].sum(), queries)[0]
    torch.testing.assert_close(gradient, 2 * (queries - points[indices[:, 0]]))
    assert torch.autograd.gradgradcheck(lambda q, p: ops.knn(q, p, 4)[0], (queries, points))
    assert torch.autograd.gradgradcheck(lambda q, p: ops.radius_search(q, p, 0.4)[2], (queries, points))


@pytest.mark.parametrize("in_dims", [(0, None), (None, 0), (0, 0), (1, 1)])
def test_vmap(in_dims):
    queries, points = spread("volume", 9, 3).reshape(3, 3, 3), spread("volume", 9, 3, seed=1).reshape(3, 3, 3)
    pick = [x.unbind(dim) if dim is not None else [x[0]] * 3 for x, dim in zip((queries, points), in_dims, strict=True)]
    given = [x if dim is not None else x[0] for x, dim in zip((queries, points), in_dims, strict=True)]
    squared, indices = torch.vmap(lambda q, p: ops.knn(q, p, 2), in_dims=in_dims)(*given)
    for i in range(3):
        assert_equal((squared[i], indices[i]), ops.knn(pick[0][i], pick[1][i], 2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["queries", "points"])
def test_what_is_not_finite_is_refused(name, bad):
    given = {"queries": torch.rand(500, 3), "points": torch.rand(700, 3)}
    given[name][4, 1] = bad
    with pytest.raises(RuntimeError, match=f"{name}: wanted finite values.*row 4"):
        ops.knn(**given, k=3)
    with pytest.raises(RuntimeError, match=f"{name}: wanted finite values.*row 4"):
        ops.radius_search(**given, radius=0.1)
    with pytest.raises(RuntimeError, match="points: wanted finite values.*row 4"):
        ops.farthest_points(given[name], 3)


def test_python_face_names_what_is_wrong():
    queries, points = torch.rand(4, 3), torch.rand(5, 3)
    offsets = torch.tensor([0, 4])
    for message, arguments, options in (
        ("queries: wanted a torch tensor, got ndarray", (queries.numpy(), points, 2), {}),
        (r"points: wanted shape \(n, d\), got \(3,\)", (queries, points[0], 2), {}),
        ("points: wanted as many columns as queries, 3, got 2", (queries, points[:, :2], 2), {}),
        ("points: wanted the type of queries, torch.float32, got torch.float64", (queries, points.double(), 2), {}),
        ("points: wanted the device of queries, cpu, got meta", (queries, points.to("meta"), 2), {}),
        ("queries: wanted at least one column, got none", (queries[:, :0], points[:, :0], 2), {}),
        ("k: wanted a whole number, got float", (queries, points, 2.0), {}),
        ("k: wanted at least 1, got 0", (queries, points, 0), {}),
        ("k: wanted at most the 5 points, got 6; lower k", (queries, points, 6), {}),
        ("k: wanted at most the 4 other points, got 5", (points, points, 5), {"exclude_self": True}),
        ("exclude_self: wanted queries that are the points, got 4 and 5 rows", (queries, points, 2), {"exclude_self": True}),
        ("point_offsets: wanted offsets for both or for neither", (queries, points, 2), {"query_offsets": offsets}),
        ("query_offsets: wanted an int64 tensor", (queries, points, 2), {"query_offsets": [0, 4], "point_offsets": offsets}),
    ):
        with pytest.raises(ArgumentError, match=message):
            ops.knn(*arguments, **options)
    with pytest.raises(ArgumentError, match="radius: wanted a finite number, at least 0, got -1"):
        ops.radius_search(queries, points, -1)
    with pytest.raises(ArgumentError, match="radius: wanted a finite number, at least 0, got nan"):
        ops.radius_search(queries, points, float("nan"))
    with pytest.raises(ArgumentError, match="most: wanted at least 1, or None for all, got 0"):
        ops.radius_search(queries, points, 1.0, most=0)
    with pytest.raises(ArgumentError, match="m: wanted between 0 and the 5 points, got 6"):
        ops.farthest_points(points, 6)
    with pytest.raises(ArgumentError, match=r"start: wanted an index in \[0, 5\), got -1"):
        ops.farthest_points(points, 2, start=-1)
