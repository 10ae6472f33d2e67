"""The wavelet tree: the contracts, trees against their definition, levels of detail, the paper's claims, noise."""

import itertools
import math

import numpy as np
import pytest
import torch

from geospec.bases import TreeCode, WaveletCoefficients, WaveletTree
from geospec.errors import ArgumentError
from geospec.ops import filters
from geospec.ops.wavelet_tree import largest_cells
from geospec.shapes.grid import DistanceField, Grid
from geospec.testing import FrameContract, OrthonormalContract

MODES = ["constant", "zero", "symmetric", "periodization"]


class TestConstant(FrameContract):
    def make(self, dtype, seed):
        return WaveletTree((5, 4, 7), 2, "bior2.2").to(dtype)


class TestZero(FrameContract):
    def make(self, dtype, seed):
        return WaveletTree((6, 5, 4), 1, "bior2.2", "zero", drop_finest=0).to(dtype)


class TestPeriodic(FrameContract):
    """As many coefficients as samples, and still not orthonormal."""

    def make(self, dtype, seed):
        return WaveletTree((8, 4, 12), 2, mode="periodization").to(dtype)


class TestOrthogonal(OrthonormalContract):
    def make(self, dtype, seed):
        return WaveletTree((8, 4, 12), 2, "db3", "periodization").to(dtype)


class TestTruncated(OrthonormalContract):
    """Cut within a band of the finest level."""

    def make(self, dtype, seed):
        return WaveletTree((8, 4, 12), 2, "sym4", "periodization").to(dtype).truncate(100)


def random_grid(tree, *batch, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, *tree.shape, dtype=torch.float64, generator=generator).to(dtype)


def assert_equal(a, b):
    assert torch.equal(a.coarse, b.coarse)
    for x, y in zip(a.details, b.details, strict=True):
        assert (x is None) == (y is None)
        assert x is None or torch.equal(x, y)


def coordinates(*shape):
    """Centres of the cells of [-1, 1]^3, one array an axis."""
    return torch.meshgrid(*((torch.arange(n) + 0.5) * (2 / n) - 1 for n in shape), indexing="ij")


def box(n=256):
    """Truncated distance to a box, turned a little so that no face lies along the grid."""
    z, y, x = coordinates(n, n, n)
    q = torch.stack([0.96 * x + 0.28 * y, -0.28 * x + 0.96 * y, z]).abs() - torch.tensor([0.6, 0.4, 0.5])[:, None, None, None]
    return (q.clamp(min=0).square().sum(dim=0).sqrt() + q.amax(dim=0).clamp(max=0)).clamp(-0.1, 0.1)


def sphere(n=256, radius=0.6):
    return (torch.stack(coordinates(n, n, n)).square().sum(dim=0).sqrt() - radius).clamp(-0.1, 0.1)


def overlap(a, b):
    """Intersection of the insides over their union."""
    return float(((a < 0) & (b < 0)).sum() / ((a < 0) | (b < 0)).sum())


# -- the basis


def test_orders_coefficients_coarse_to_fine():
    tree = WaveletTree((11, 9, 8), 2).double()
    grid = random_grid(tree)
    found = tree.analysis(grid)
    flat = tree.analyze(grid.reshape(-1, 1))[:, 0]
    ends = tree.level_ends
    assert ends[-1] == tree.k == len(flat)
    assert torch.equal(flat[: ends[0]], found.coarse.flatten())
    assert torch.equal(flat[ends[0] : ends[1]], found.details[0].flatten())
    assert torch.equal(flat[ends[1] :], found.details[1].flatten())
    assert torch.equal(
        tree.truncate(ends[1]).synthesize(flat[: ends[1], None])[:, 0].reshape(tree.shape),
        tree.synthesis(WaveletCoefficients(found.coarse, (found.details[0], None))),
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
def test_round_trip(mode, dtype, bound):
    tree = WaveletTree((21, 16, 19), 2, mode=mode)
    grid = random_grid(tree, 2, 3, dtype=dtype)
    again = tree.synthesis(tree.analysis(grid))
    assert again.dtype == dtype
    assert (again - grid).abs().max() < bound * grid.abs().max()


def test_sizes_at_the_papers_geometry():
    tree = WaveletTree()
    assert tree.shapes == [(256,) * 3, (136,) * 3, (76,) * 3, (46,) * 3]
    assert tree.level_ends[0] + 16384 * sum(tree.widths) == 1129528
    assert WaveletTree(64, 2).cells == (28, 28, 28)


def test_only_orthogonal_wavelets_on_even_periods_are_orthonormal():
    assert WaveletTree(16, 2, "db4", "periodization").orthonormal
    assert not WaveletTree(12, 3, "db4", "periodization").orthonormal  # 12 -> 6 -> 3 -> 2
    assert not WaveletTree(16, 2, "bior6.8", "periodization").orthonormal
    assert not WaveletTree(16, 2, "db4").orthonormal


@pytest.mark.parametrize("drop_finest", [0, 1, 2])
def test_analysis_without_the_levels_that_trees_drop(drop_finest):
    tree = WaveletTree((21, 32, 18), 3, drop_finest=drop_finest)
    grid = random_grid(tree, 2)
    every, fewer = tree.analysis(grid), tree.analysis(grid, finest=False)
    assert [d is None for d in fewer.details] == [False] * (3 - drop_finest) + [True] * drop_finest
    a, b = (tree.filter(c, k=50) for c in (every, fewer))
    assert torch.equal(a.index, b.index)
    torch.testing.assert_close(a.values, b.values, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(a.coarse, b.coarse, rtol=1e-12, atol=1e-13)


# -- trees


def tree_by_definition(tree, coefficients, cell):
    """All details under a cell, one by one, by the recursion of the paper: child ``2 q + o - 8`` of ``q``, band by band."""
    shift = 0 if tree.mode == "periodization" else 8
    places, values = {(0, 0, 0): tuple(cell)}, []
    for level, detail in enumerate(coefficients.details[: tree.levels - tree.drop_finest]):
        if level:
            steps = [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
            places = {
                tuple(2 * o + s for o, s in zip(offset, step, strict=True)): tuple(
                    2 * q + s - shift for q, s in zip(place, step, strict=True)
                )
                for offset, place in places.items()
                for step in steps
            }
        for band in range(7):
            for offset in sorted(places):
                inside = all(0 <= q < size for q, size in zip(places[offset], detail.shape[1:], strict=True))
                values.append(float(detail[(band, *places[offset])]) if inside else 0.0)
    return values


@pytest.mark.parametrize("shape", [(32, 32, 32), (21, 18, 27)])
@pytest.mark.parametrize("mode", ["constant", "periodization"])
def test_trees_are_the_papers(shape, mode):
    """At the border, where children are missing, and inside; odd sizes too; three levels."""
    tree = WaveletTree(shape, 3, mode=mode, drop_finest=0)
    coefficients = tree.analysis(random_grid(tree))
    code = tree.filter(coefficients, math.prod(tree.cells))
    assert code.values.shape[1] == 511
    last = tuple(m - 1 for m in tree.cells)
    for cell in ((0, 0, 0), last, (0, last[1], 1), tuple(m // 2 for m in tree.cells)):
        row = (cell[0] * tree.cells[1] + cell[1]) * tree.cells[2] + cell[2]
        assert code.values[row].tolist() == tree_by_definition(tree, coefficients, cell)


@pytest.mark.parametrize("wavelet", ["bior6.8", "bior4.4", "db2", "haar"])
@pytest.mark.parametrize("mode", ["constant", "periodization"])
def test_an_impulse_is_found_in_one_tree(wavelet, mode):
    """The largest detail of the coarse level and that of the finer one are cell and child, or next to it."""
    tree = WaveletTree(64, 2, wavelet, mode, drop_finest=0)
    shift = 0 if mode == "periodization" else len(filters(wavelet).analysis_low) // 2 - 1
    for place in ((30, 31, 32), (25, 38, 33), (17, 44, 20)):
        grid = torch.zeros(tree.shape, dtype=torch.float64)
        grid[place] = 1
        coarse, fine = (torch.tensor(cell_of(int(d.abs().amax(dim=0).argmax()), d.shape[1:])) for d in tree.analysis(grid).details)
        inside = fine - (2 * coarse - shift)
        assert ((inside >= -2) & (inside <= 3)).all(), (place, coarse, fine)


def cell_of(flat, shape):
    return flat // (shape[1] * shape[2]), flat // shape[2] % shape[1], flat % shape[2]


def test_a_shift_by_a_cell_shifts_the_trees():
    """By 2^levels samples, away from the border."""
    tree = WaveletTree(96, 3)
    grid = torch.zeros(tree.shape, dtype=torch.float64)
    grid[40:48, 42:50, 44:52] = random_grid(WaveletTree(8, 1, drop_finest=0))
    first, second = (tree.pack(tree.filter(tree.analysis(g))) for g in (grid, grid.roll((8, 8, -8), (0, 1, 2))))
    assert first.abs().max() > 0
    assert torch.allclose(first.roll((1, 1, -1), (2, 3, 4)), second, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("drop_finest", [0, 1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_all_trees_are_all_coefficients(dtype, drop_finest, mode):
    """Bit for bit, by either way back: every detail has a parent, and border children are neither lost nor made up."""
    tree = WaveletTree((21, 32, 18), 3, mode=mode, drop_finest=drop_finest)
    coefficients = tree.analysis(random_grid(tree, 2, dtype=dtype))
    kept = WaveletCoefficients(coefficients.coarse, (*coefficients.details[: 3 - drop_finest], *[None] * drop_finest))
    code = tree.filter(coefficients, k=math.prod(tree.cells))
    packed = tree.pack(code)
    assert packed.shape == (2, (512, 64, 8)[drop_finest], *tree.cells)
    assert_equal(tree.unfilter(code), kept)
    assert_equal(tree.unpack(packed), kept)
    assert torch.equal(packed[:, 0], coefficients.coarse)
    assert torch.equal(packed[:, -7:], coefficients.details[0])


@pytest.mark.parametrize("drop_finest", [0, 1])
def test_the_order_of_the_checkpoints(drop_finest):
    """Theirs comes of NumPy's ``meshgrid`` of bands and offsets, which by default exchanges its first two axes."""
    tree = WaveletTree(20, 3, drop_finest=drop_finest)
    labels = [0]
    theirs = [np.zeros(1)]
    for fan in (4, 2, 1)[drop_finest:]:
        band, o0, o1, o2 = np.meshgrid(np.arange(7), *[np.arange(fan)] * 3)
        theirs.append((fan * 1000 + band * 100 + o0 * 25 + o1 * 5 + o2).flatten())
        offsets = itertools.product(range(7), range(fan), range(fan), range(fan))
        labels += [fan * 1000 + band * 100 + o0 * 25 + o1 * 5 + o2 for band, o0, o1, o2 in offsets]
    ours = torch.tensor(labels)
    assert ours[tree.channel_order("make-a-shape")].tolist() == np.concatenate(theirs).tolist()
    with pytest.raises(ArgumentError, match="layout: wanted one of 'make-a-shape', got 'wala'"):
        tree.channel_order("wala")


def test_batches_keep_their_own_numbers_of_trees():
    tree = WaveletTree((21, 32, 18), 2)
    grids = random_grid(tree, 3)
    code = tree.filter(tree.analysis(grids), k=[5, 0, 40])
    assert code.counts.tolist() == [5, 0, 40]
    assert code.offsets.tolist() == [0, 5, 5, 45]
    packed, back = tree.pack(code), tree.unfilter(code)
    assert_equal(tree.unpack(packed), back)
    for i, k in enumerate((5, 0, 40)):
        alone = tree.filter(tree.analysis(grids[i]), k=k)
        rows = slice(int(code.offsets[i]), int(code.offsets[i + 1]))
        assert torch.equal(alone.index, code.index[rows])
        assert torch.equal(alone.values, code.values[rows])
        assert torch.equal(tree.pack(alone)[0], packed[i])
        assert torch.equal(tree.unfilter(alone).details[0][0], back.details[0][i])


def few_details(tree, cells, magnitude=1.0):
    details = torch.zeros(7, *tree.cells, dtype=torch.float64)
    for band, cell in enumerate(cells):
        details[band % 7].view(-1)[cell] = magnitude * (-1) ** band
    return WaveletCoefficients(torch.ones(tree.cells, dtype=torch.float64), (details, None))


def test_ties_go_to_the_first_cells_and_zeros_fill_up():
    tree = WaveletTree(16, 2)
    coefficients = few_details(tree, [700, 30, 250, 31])
    assert tree.filter(coefficients, k=3).index.tolist() == [30, 31, 250]
    more = tree.filter(coefficients, k=6)  # more than are not zero: the first of the others
    assert more.index.tolist() == [0, 1, 30, 31, 250, 700]
    assert not more.values[:2].any()
    everything = tree.filter(coefficients, k=10**9)
    assert len(everything.index) == math.prod(tree.cells)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zeros_of_either_sign_are_ties(dtype):
    values = torch.tensor([[-1.0, -0.0, 0.0, 1.0, -0.0], [0.0, -0.0, -2.0, 0.0, -0.0]], dtype=dtype)
    assert largest_cells(values, [2, 2]).tolist() == [1, 3, 0, 1]
    assert largest_cells(values, [4, 4]).tolist() == [1, 2, 3, 4, 0, 1, 3, 4]


def test_threshold_and_energy():
    tree = WaveletTree(16, 2)
    details = torch.zeros(7, *tree.cells, dtype=torch.float64)
    details.view(7, -1)[2, 50], details.view(7, -1)[5, 60], details.view(7, -1)[0, 70] = 3.0, -2.0, 1.0
    children = torch.zeros(7, *tree.detail_shapes[1], dtype=torch.float64)
    cell = cell_of(70, tree.cells)
    coefficients = WaveletCoefficients(torch.ones(tree.cells, dtype=torch.float64), (details, children))
    assert tree.filter(coefficients, threshold=1.0).index.tolist() == [50, 60]
    assert tree.filter(coefficients, threshold=0.0).index.tolist() == [50, 60, 70]
    assert tree.filter(coefficients, energy=9 / 14).index.tolist() == [50]
    assert tree.filter(coefficients, energy=0.65).index.tolist() == [50, 60]
    assert tree.filter(coefficients, energy=1.0).index.tolist() == [50, 60, 70]
    full = WaveletTree(16, 2, drop_finest=0)
    children[(3, *(min(max(2 * p - 8, 0), q - 1) for p, q in zip(cell, full.detail_shapes[1], strict=True)))] = 10.0
    found = full.filter(coefficients, energy=0.8)  # now the child tells
    assert len(found.index) == 1
    assert float(found.values.square().sum()) >= 100
    nothing = full.filter(WaveletCoefficients(coefficients.coarse, (None, None)), energy=0.5)
    assert len(nothing.index) == 0
    assert tree.filter(WaveletCoefficients(coefficients.coarse, (None, None)), threshold=0.0).counts.tolist() == [0]


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_energy_keeps_the_fewest_trees(share):
    tree = WaveletTree((21, 32, 18), 2, drop_finest=0)
    coefficients = tree.analysis(random_grid(tree))
    code = tree.filter(coefficients, energy=share)
    total = sum(float(d.square().sum()) for d in coefficients.details)
    each = code.values.square().sum(dim=1)
    assert float(each.sum()) >= share * total * (1 - 1e-12)
    assert float(each.sum() - each.min()) < share * total


def test_trees_near_the_surface_tell_more():
    """At equal numbers of trees, and by any rule; the weight by its definition."""
    grid, tree = box(128), WaveletTree(128)
    coefficients = tree.analysis(grid)
    plain, near = (tree.filter(coefficients, 600, truncation=t) for t in (None, 0.1))
    kept = [overlap(tree.synthesis(tree.unfilter(code))[0], grid) for code in (plain, near)]
    assert kept[1] > kept[0] + 0.0005
    weight = (1 - 8 * coefficients.coarse.flatten().abs() / 2**4.5).clamp(min=0)
    told = coefficients.details[0].abs().amax(dim=0).flatten() * weight
    assert torch.equal(near.index, told.topk(600).indices.sort().values)
    assert tree.filter(coefficients, threshold=0.01, truncation=0.1).counts.tolist() == [int((told > 0.01).sum())]
    each = tree.filter(coefficients, math.prod(tree.cells)).values.double().square().sum(dim=1) * weight.double().square()
    held = each[tree.filter(coefficients, energy=0.99, truncation=0.1).index]
    assert 0 <= float(held.sum() / each.sum()) - 0.99 < float(held.min() / each.sum()) + 1e-6  # enough, and not without the least


def test_gradients_of_filter_and_back():
    """Filtering is a projection of the coefficients, so pairings tell its whole adjoint; ways back are each other's too."""
    tree = WaveletTree((18, 21, 16), 2, drop_finest=0)
    grid = random_grid(tree, 2).requires_grad_()
    code = tree.filter(tree.analysis(grid), k=[30, 70])
    for way in (lambda c: tree.synthesis(tree.unfilter(c)), lambda c: tree.synthesis(tree.unpack(tree.pack(c)))):
        out = way(code)
        weights = random_grid(tree, 2, seed=1)
        (gradient,) = torch.autograd.grad((out * weights).sum(), grid, retain_graph=True)
        torch.testing.assert_close((gradient * grid).sum(), (out * weights).sum())
        step = 1e-3 * random_grid(tree, 2, seed=2)
        moved = tree.analysis(grid + step)
        rows = TreeCode(moved.coarse, code.index, tree_values(tree, moved, code), code.offsets)
        torch.testing.assert_close((gradient * step).sum(), ((way(rows) - out) * weights).sum())


def tree_values(tree, coefficients, code):
    """Values at the cells of another code."""
    everything = tree.filter(coefficients, k=math.prod(tree.cells))
    return everything.values[code.rows]


# -- levels of detail


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", ["bior6.8", "db3", "haar", "bior3.1"])
def test_levels_of_detail_keep_linear_signals_in_place(wavelet, mode):
    """What each level holds is the signal at the places that it names, away from the ends; a constant everywhere but under zeros."""
    tree = WaveletTree((64, 60, 67), 2, wavelet, mode)
    z, y, x = (torch.arange(n, dtype=torch.float64) for n in tree.shape)
    grid = 2 * z[:, None, None] - y[:, None] + 0.5 * x + 3
    coefficients, flat = tree.analysis(grid), tree.analysis(torch.full(tree.shape, 0.7, dtype=torch.float64))
    for level in (0, 1, 2):
        found = tree.synthesis(coefficients, level)
        assert tuple(found.shape) == tree.shapes[level]
        places = [tree.to_finest(torch.arange(n, dtype=torch.float64), level) for n in found.shape]
        expected = 2 * places[0][:, None, None] - places[1][:, None] + 0.5 * places[2] + 3
        reach = [(p > 25) & (p < n - 26) for p, n in zip(places, tree.shape, strict=True)]
        inside = reach[0][:, None, None] & reach[1][:, None] & reach[2]
        inside = inside if level else torch.ones_like(inside)
        assert inside.any()
        assert (found - expected)[inside].abs().max() < 1e-9
        if mode != "zero":
            assert (tree.synthesis(flat, level) - 0.7).abs().max() < 1e-10


def test_the_grid_of_a_level():
    tree = WaveletTree((32, 20, 24), 2)
    grid = Grid((32, 20, 24), (-1.0, 2.0, 0.5), (0.1, 0.2, 0.3), dtype=torch.float64)
    for level in (0, 1, 2):
        coarse = tree.level_grid(grid, level)
        assert coarse.shape == tree.shapes[level]
        index = torch.tensor([[0.0, 0, 0], [3, 1, 2]], dtype=torch.float64)
        torch.testing.assert_close(coarse.from_index(index), grid.from_index(tree.to_finest(index, level)))


def test_surfaces_of_all_levels_lie_in_one_place():
    """A ball in an uneven box: no level moves it by more than a tenth of its cells, where a slip of half a cell would show fivefold."""
    tree = WaveletTree((96, 88, 104), 2)
    grid = Grid((96, 88, 104), (-1.1, -0.9, -1.0), 0.02)
    distances = (grid.points.norm(dim=1) - 0.6).clamp(-0.2, 0.2).reshape(tree.shape)
    coefficients = tree.analysis(distances)
    for level in (0, 1, 2):
        coarse = tree.level_grid(grid, level)
        surface = DistanceField(tree.synthesis(coefficients, level), coarse, 0.2).surface()
        assert len(surface.vertices) > 500
        assert (surface.vertices.norm(dim=1) - 0.6).abs().max() < 0.1 * coarse.spacing[0]


# -- the paper's claims


def test_a_constant_has_no_details():
    tree = WaveletTree(64, 3)
    found = tree.analysis(torch.full((64, 64, 64), 0.1, dtype=torch.float64))
    assert (found.coarse - 0.1 * 2**4.5).abs().max() < 1e-12  # the border included
    assert all(d.abs().max() < 1e-12 for d in found.details)
    zero = WaveletTree(64, 3, mode="zero").analysis(torch.full((64, 64, 64), 0.1, dtype=torch.float64))
    assert (zero.coarse - 0.1 * 2**4.5).abs().max() > 1


def test_zero_boundary_wastes_the_trees_on_the_border():
    """A box of 256^3 at 1 129 528 numbers: the paper's mean magnitude and overlap, and what is left of it under zeros."""
    grid = box()
    tree = WaveletTree()
    coefficients = tree.analysis(grid)
    assert abs(float(coefficients.coarse.abs().mean()) - 2.2) < 0.06
    assert overlap(tree.synthesis(tree.unfilter(tree.filter(coefficients))), grid) > 0.995
    zero = WaveletTree(mode="zero")
    coefficients = zero.analysis(grid)
    kept = overlap(zero.synthesis(zero.unfilter(zero.filter(coefficients))), grid)
    coarse = overlap(zero.synthesis(WaveletCoefficients(coefficients.coarse, (None, None, None))), grid)
    assert 0 < kept - coarse < 0.01


# -- noise


@pytest.mark.parametrize("mode", ["constant", "periodization"])
@pytest.mark.parametrize("wavelet", ["bior6.8", "db2"])
def test_noise_level(wavelet, mode):
    """Of white noise, on a batch of two sizes of it; and the norms behind it, at every level."""
    tree = WaveletTree(64, 2, wavelet, mode)
    grid = random_grid(tree, 2) * torch.tensor([0.1, 3.0])[:, None, None, None]
    found = tree.analysis(grid)
    torch.testing.assert_close(tree.noise_level(found), torch.tensor([0.1, 3.0]).double(), rtol=0.03, atol=0)


def test_noise_level_of_distances_that_were_cut():
    """Most of the box is constant, and boxes end near a surface; the finest details may be missing, and all but a few trees."""
    tree, cut = WaveletTree(64, 2), 0.3
    clean = (sphere(64).double()).clamp(-cut, cut)
    noisy = torch.stack([(clean + size * random_grid(tree)).clamp(-cut, cut) for size in (0.005, 0.02)])
    found, wanted = tree.analysis(noisy), torch.tensor([0.005, 0.02]).double()
    torch.testing.assert_close(tree.noise_level(found, truncation=cut), wanted, rtol=0.05, atol=0)
    few = tree.unfilter(tree.filter(found, k=10**6))
    assert few.details[-1] is None
    torch.testing.assert_close(tree.noise_level(few, truncation=cut), wanted, rtol=0.05, atol=0)
    flat = tree.analysis(torch.full((64, 64, 64), cut))
    assert float(tree.noise_level(flat, truncation=cut)) == 0


@pytest.mark.parametrize("wavelet", ["bior6.8", "db2"])
def test_what_white_noise_becomes_in_each_band(wavelet):
    """On periods, where the border repeats no sample."""
    tree = WaveletTree(64, 2, wavelet, "periodization")
    for detail, norms in zip(tree.analysis(random_grid(tree)).details, tree._band_norms(), strict=True):
        torch.testing.assert_close(detail.flatten(1).std(dim=1), norms.double(), rtol=0.05, atol=0)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_shrinking_lowers_noise(kind):
    tree = WaveletTree(64, 3)
    clean = sphere(64).double()
    noisy = clean + 0.02 * random_grid(tree)
    shrunk = tree.synthesis(tree.shrink(tree.analysis(noisy), kind=kind))
    assert (shrunk - clean).square().mean().sqrt() < 0.4 * 0.02


def test_shrinking_by_definition():
    tree = WaveletTree(16, 1, "haar", "periodization", drop_finest=0)
    found = tree.analysis(random_grid(tree, 2))
    bar = torch.tensor([0.5, 1.0], dtype=torch.float64)
    each = bar[:, None, None, None, None]
    soft, hard = (tree.shrink(found, bar, kind).details[0] for kind in ("soft", "hard"))
    torch.testing.assert_close(soft, found.details[0].sign() * (found.details[0].abs() - each).clamp(min=0))
    torch.testing.assert_close(hard, found.details[0] * (found.details[0].abs() > each))
    assert tree.shrink(found, bar).coarse is found.coarse
    assert tree.shrink(WaveletCoefficients(found.coarse, (None,))).details == (None,)


# -- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": 0}, "shape: wanted a positive size"),
        ({"shape": (4, 4)}, "shape: wanted a positive size"),
        ({"levels": 0}, "levels: wanted 1 or more"),
        ({"levels": 1}, "drop_finest: wanted between 0 and 0"),
        ({"drop_finest": 3}, "drop_finest: wanted between 0 and 2"),
        ({"mode": "mirror"}, "mode: wanted one of"),
        ({"wavelet": "bior9.9"}, "wavelet: wanted haar"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ArgumentError, match=message):
        WaveletTree(**{"shape": 16, **options})


def test_input_is_checked():
    tree = WaveletTree(20, 2)
    found = tree.analysis(random_grid(tree))
    code = tree.filter(found, 3)
    spoilt = tree.analysis(torch.full(tree.shape, math.nan))
    wrong = [
        (lambda: tree.analysis(torch.zeros(20, 20, 19)), "grid: wanted shape"),
        (lambda: tree.synthesis(found, 3), "level: wanted between 0, the finest, and 2"),
        (lambda: tree.synthesis(WaveletCoefficients(found.coarse, found.details[:1])), "coefficients: wanted .* 2 levels"),
        (lambda: tree.filter(WaveletCoefficients(found.coarse, found.details[::-1])), "coefficients: wanted details"),
        (lambda: tree.filter(found, 3, threshold=0.1), "k, threshold, energy: wanted one of the three"),
        (lambda: tree.filter(found, -1), "k: wanted 0 or more"),
        (lambda: tree.filter(found, [1, 2]), "k: wanted 0 or more, or such a number for each of 1 shapes"),
        (lambda: tree.filter(found, threshold=math.nan), "threshold: wanted 0 or more"),
        (lambda: tree.filter(found, energy=1.5), r"energy: wanted a share in \(0, 1\]"),
        (lambda: tree.filter(found, truncation=0.0), "truncation: wanted a positive distance"),
        (lambda: tree.filter(spoilt), "coefficients: wanted finite details"),
        (lambda: tree.filter(spoilt, energy=0.5), "coefficients: wanted finite details"),
        (lambda: tree.shrink(found, -1.0), "threshold: wanted 0 or more"),
        (lambda: tree.noise_level(found, truncation=0.0), "truncation: wanted a positive distance"),
        (lambda: tree.shrink(found, kind="firm"), "kind: wanted one of"),
        (lambda: tree.unpack(torch.zeros(64, 3, 3, 3)), "channels: wanted shape"),
        (lambda: WaveletTree(20, 2, drop_finest=0).unfilter(code), "code: wanted a coarse grid of .* and 63 values"),
        (lambda: TreeCode(code.coarse[0], code.index, code.values, code.offsets), "coarse: wanted shape"),
        (lambda: TreeCode(code.coarse, code.index.int(), code.values, code.offsets), "index: wanted shape"),
        (lambda: TreeCode(code.coarse, code.index, code.values[1:], code.offsets), "values: wanted a row for each of the 3 cells"),
        (lambda: TreeCode(code.coarse, code.index, code.values, code.offsets[1:]), r"offsets: wanted shape \(2,\)"),
        (lambda: tree.level_grid(Grid.box(-1, 1, 17), 1), "grid: wanted"),
    ]
    for call, message in wrong:
        with pytest.raises(ArgumentError, match=message):
            call()
    twice = TreeCode(code.coarse, code.index[[0, 0, 1]], code.values, code.offsets)
    with pytest.raises(RuntimeError, match="rows: wanted cells that ascend"):
        tree.unfilter(twice)
