"""What the row of ``zoomout`` in ``cases.py`` is too small to show: bounds, bytes, ties, extreme units, the face's refusals."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.zoomout import reference


def waves(n: int, k: int, seed: int) -> torch.Tensor:
    """The first ``k`` eigenfunctions of a flat torus at ``n`` random points, ``(n, k)`` float64."""
    angles = 2 * torch.pi * torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    reach = torch.arange(-6, 7, dtype=torch.float64)
    grid = torch.cartesian_prod(reach, reach)
    grid = grid[(grid[:, 0] > 0) | ((grid[:, 0] == 0) & (grid[:, 1] > 0))]
    phases = angles @ grid[grid.square().sum(dim=1).argsort(stable=True)][: (k + 1) // 2].T
    return 2**0.5 * torch.stack([phases.cos(), phases.sin()], dim=-1).flatten(1)[:, :k]


def rough(b: int, k: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.eye(k, dtype=torch.float64) + 0.3 * torch.randn(b, k, k, generator=generator, dtype=torch.float64)


SIZES = [(k, k) for k in range(12, 41)]


@pytest.fixture(scope="module")
def embeddings():
    """So many points that bounds are kept, so many modes that bytes are compared, and maps that settle on the way."""
    return rough(2, 12, 0), waves(900, 40, 1), waves(800, 40, 2)


def one_by_one(maps, source, target, sizes, measure):
    """The same steps by the single exact search."""
    images = []
    for c in maps:
        for (k_s, k_t), (next_s, next_t) in pairwise(sizes):
            nearest = ops.spectral_nearest(target[:, :k_t], source[:, :k_s] @ c.mT, "brute")[0]
            c = ((measure[:, None] * target[:, :next_t]).double().T @ source[nearest, :next_s].double()).to(maps.dtype)
        images.append(nearest)
    return torch.stack(images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_and_bytes_lose_no_neighbour(embeddings, dtype):
    maps, source, target = (x.to(dtype) for x in embeddings)
    measure = torch.full((len(target),), 1 / len(target), dtype=dtype)
    for last in range(2, len(SIZES) + 1, 4):  # every fourth step, so that a miss cannot heal unseen
        k = SIZES[last - 1][0]
        _, images = ops.zoomout(maps, source[:, :k], target[:, :k], SIZES[:last], measure=measure)
        assert torch.equal(images, one_by_one(maps, source[:, :k], target[:, :k], SIZES[:last], measure))


def test_recorded_start_and_end(embeddings):
    """From a rough map to the points' own places: the source is the target in another order."""
    _, source, _ = embeddings
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(3))
    measure = torch.full((len(source),), 1 / len(source), dtype=torch.float64)
    gram = source.T @ (measure[:, None] * source)
    maps, images = ops.zoomout(rough(1, 12, 5), source, source[order], SIZES, measure=measure, factor=torch.linalg.cholesky(gram))
    assert torch.equal(images[0], order)
    assert torch.allclose(maps[0], torch.eye(40, dtype=torch.float64), atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_equally_near_rows_the_first_wins(dtype):
    source = waves(20, 8, 0).to(dtype).repeat(30, 1)  # 600 rows, each thirty times
    target = waves(50, 8, 1).to(dtype)
    sizes = [(8, 8), (8, 8), (8, 8)]
    _, images = ops.zoomout(rough(1, 8, 0).to(dtype), source, target, sizes)
    assert int(images.max()) < 20


@pytest.mark.parametrize("unit", [1e-18, 1e15])
def test_units_do_not_matter(embeddings, unit):
    """Modes of a shape in other units: a power of ten that float32 squares out of its range."""
    maps, source, target = (x.float() for x in embeddings)
    measure = torch.full((len(target),), 1 / len(target))
    expected = ops.zoomout(maps, source, target, SIZES, measure=measure)[1]
    near = 2.0 ** round(torch.tensor(unit).log2().item())
    assert torch.equal(ops.zoomout(maps / near, source, near * target, SIZES, measure=measure / near**2, scale=near**2)[1], expected)


def test_threads_change_no_bit(embeddings):
    maps, source, target = (x.float() for x in embeddings)
    threads = torch.get_num_threads()
    found = []
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            found.append(ops.zoomout(maps, source, target, SIZES))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_batch_is_its_maps(embeddings):
    _, source, target = embeddings
    maps = rough(5, 12, 9)
    together = ops.zoomout(maps, source[:300], target[:200], SIZES, scale=0.7)
    alone = [reference(c[None], source[:300], target[:200], *map(list, zip(*SIZES, strict=True)), scale=0.7) for c in maps[:2]]
    for i, (one, images) in enumerate(alone):
        assert torch.equal(together[1][i], images[0])
        assert torch.allclose(together[0][i], one[0], rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: {**a, "maps": a["maps"][0]}, "maps: wanted a tensor"),
        (lambda a: {**a, "source": a["source"].float()}, "source: wanted the type of maps"),
        (lambda a: {**a, "sizes": [(12, 12)]}, "sizes: wanted at least two"),
        (lambda a: {**a, "sizes": [(11, 12), (40, 40)]}, "sizes: wanted to start"),
        (lambda a: {**a, "sizes": [(12, 12), (40, 39)]}, "sizes: wanted to end"),
        (lambda a: {**a, "sizes": [(12, 12), (20, 20), (19, 20), (40, 40)]}, "sizes: wanted each at least"),
        (lambda a: {**a, "measure": torch.ones(3)}, "measure: wanted shape"),
        (lambda a: {**a, "factor": torch.eye(40)}, "factor: wanted shape"),
        (lambda a: {**a, "source": a["source"][:0]}, "source: wanted at least one row"),
    ],
)
def test_refusals(embeddings, spoil, message):
    maps, source, target = embeddings
    with pytest.raises(ArgumentError, match=message):
        ops.zoomout(**spoil({"maps": maps, "source": source, "target": target, "sizes": SIZES}))
