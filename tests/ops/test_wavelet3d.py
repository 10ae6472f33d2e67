"""Transforms of 3D grids against PyWavelets, and against what the representation of shapes by their coefficients rests on."""

import math

import numpy as np
import pytest
import pywt
import torch

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.wavelet3d import MODES, level_shapes, reference

pytestmark = pytest.mark.filterwarnings("ignore:Level value of")  # PyWavelets', of grids smaller than the filter

KEYS = ("daa", "ada", "dda", "aad", "dad", "add", "ddd")
SHAPES = [(19, 32, 45), (6, 70, 3)]


def noise(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def to_pywt(coefficients):
    coarse, *details = coefficients
    return [coarse.numpy(), *({key: band.numpy() for key, band in zip(KEYS, detail, strict=True)} for detail in details)]


def dot(a, b):
    return sum((x * y).sum() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("wavelet", ["bior6.8", "db3", "sym8", "coif2", "rbio1.3", "bior5.5", "haar"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_pywavelets_both_ways(shape, mode, wavelet):
    grid = noise(*shape)
    ours = ops.wavelet3d_analysis(grid, wavelet, 2, mode)
    theirs = pywt.wavedecn(grid.numpy(), wavelet, mode, 2)
    largest = max(np.abs(theirs[0]).max(), 1)
    assert np.abs(ours[0].numpy() - theirs[0]).max() < 1e-10 * largest
    for detail, expected in zip(ours[1:], theirs[1:], strict=True):
        assert np.abs(detail.numpy() - np.stack([expected[key] for key in KEYS])).max() < 1e-10 * largest
    free = [noise(*c.shape, seed=1) for c in ours]  # not of any grid, so that nothing cancels
    expected = pywt.waverecn(to_pywt(free), wavelet, mode)[tuple(slice(n) for n in shape)]
    assert np.abs(ops.wavelet3d_synthesis(free, shape, wavelet, mode).numpy() - expected).max() < 1e-10


@pytest.mark.parametrize("shape", [(20, 33, 20), (33, 20, 20), (20, 20, 33), (20, 20, 20)])
def test_axes_of_one_length_among_others(shape):
    grid = noise(*shape)
    ours, theirs = ops.wavelet3d_analysis(grid), pywt.wavedecn(grid.numpy(), "bior6.8", "constant", 1)
    assert np.abs(ours[0].numpy() - theirs[0]).max() < 1e-10
    assert np.abs(ours[1].numpy() - np.stack([theirs[1][key] for key in KEYS])).max() < 1e-10
    assert (ops.wavelet3d_synthesis(ours, shape) - grid).abs().max() < 1e-13


def test_float32_equals_pywavelets():
    grid = noise(80, 64, 96, dtype=torch.float32)
    theirs = pywt.wavedecn(grid.numpy(), "bior6.8", "constant", 3)
    ours = ops.wavelet3d_analysis(grid, levels=3)
    for a, b in zip(ours, [theirs[0], *(np.stack([d[key] for key in KEYS]) for d in theirs[1:])], strict=True):
        assert a.dtype == torch.float32
        assert np.abs(a.numpy() - b).max() < 1e-6 * np.abs(b).max()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.float64, 3e-15)])
def test_round_trip(mode, dtype, error):
    """PyWavelets' own filters leave 1e-12."""
    grid = noise(2, 35, 28, 41, dtype=dtype)
    back = ops.wavelet3d_synthesis(ops.wavelet3d_analysis(grid, "bior6.8", 3, mode), grid.shape[1:], "bior6.8", mode)
    largest = max(c.abs().max() for c in ops.wavelet3d_analysis(grid, "bior6.8", 3, mode))  # smooth borders grow
    assert (back - grid).abs().max() < error * largest


@pytest.mark.parametrize("wavelet", ["bior6.8", "db4"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_the_exact_adjoints(shape, mode, wavelet):
    """``<W x, y> = <x, W^T y>`` for both transforms; the adjoint's own gradient is the transform again."""
    grid = noise(*shape, seed=1).requires_grad_()
    made = ops.wavelet3d_analysis(grid, wavelet, 2, mode)
    other = [noise(*c.shape, seed=2).requires_grad_() for c in made]
    (back,) = torch.autograd.grad(made, grid, other, create_graph=True)
    assert abs(dot(made, other) - dot([grid], [back])) < 1e-12 * dot(made, made).sqrt() * dot(other, other).sqrt()
    twice = torch.autograd.grad(back, other, grid)
    for a, b in zip(twice, made, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)

    made = ops.wavelet3d_synthesis(other, shape, wavelet, mode)
    back = torch.autograd.grad(made, other, grid, create_graph=True)
    assert abs(dot([made], [grid]) - dot(other, back)) < 1e-12 * made.norm() * grid.norm()
    torch.testing.assert_close(torch.autograd.grad(back, grid, other)[0], made, rtol=1e-12, atol=1e-12)


def test_constant_grid_has_a_constant_coarse_grid_up_to_its_border():
    grid = torch.full((64, 40, 33), -0.1, dtype=torch.float64)
    coarse, *details = ops.wavelet3d_analysis(grid, "bior6.8", 3)
    assert (coarse + 0.1 * math.sqrt(2) ** 9).abs().max() < 1e-13
    assert max(d.abs().max() for d in details) < 1e-14
    assert max(d.abs().max() for d in ops.wavelet3d_analysis(grid, "bior6.8", 3, "zero")[1:]) > 0.05


@pytest.mark.parametrize("mode", ["constant", "symmetric", "reflect", "antireflect", "periodic", "smooth", "periodization"])
def test_one_sample_goes_on_as_a_constant(mode):
    """There is no other to mirror or to draw a line through."""
    coarse, details = ops.wavelet3d_analysis(torch.full((1, 1, 1), 0.7, dtype=torch.float64), "bior2.2", 1, mode)
    assert (coarse - 0.7 * math.sqrt(2) ** 3).abs().max() < 1e-15
    assert details.abs().max() < 1e-15


@pytest.mark.parametrize(("degree", "vanishes"), [(5, True), (6, False)])
def test_polynomials_have_no_details_inside(degree, vanishes):
    x = torch.linspace(-1, 1, 48, dtype=torch.float64)
    grid = x[:, None, None] ** degree + (x[:, None] * x) ** degree * x[:, None, None]
    _, details = ops.wavelet3d_analysis(grid)
    inside = details[:, 9:-9, 9:-9, 9:-9].abs().max()
    assert inside < 1e-14 if vanishes else inside > 1e-9


def test_shift_by_eight_is_one_cell_of_the_third_level():
    """Cell 14 is the first that sees no border, cell 17 the last: each looks at 120 samples."""
    whole = noise(152, 152, 152)
    here, there = (ops.wavelet3d_analysis(whole[s : s + 144, s : s + 144, s : s + 144], levels=3) for s in (0, 8))
    inside, moved = slice(14, 17), slice(15, 18)
    torch.testing.assert_close(there[0][inside, inside, inside], here[0][moved, moved, moved], rtol=0, atol=1e-13)
    torch.testing.assert_close(there[1][:, inside, inside, inside], here[1][:, moved, moved, moved], rtol=0, atol=1e-13)
    assert (there[0] - here[0])[inside, inside, inside].abs().max() > 1


def test_no_details_are_zero_details_and_get_no_gradient():
    shape = (33, 20, 26)
    coarse, first, second, _ = [c.requires_grad_() for c in ops.wavelet3d_analysis(noise(3, *shape), "bior4.4", 3)]
    sizes = level_shapes(shape, "bior4.4", 3, "constant")
    ours = ops.wavelet3d_synthesis([coarse, first, second, None], shape, "bior4.4")
    zeros = ops.wavelet3d_synthesis([coarse, first, second, torch.zeros(3, 7, *sizes[1], dtype=torch.float64)], shape, "bior4.4")
    torch.testing.assert_close(ours, zeros, rtol=0, atol=1e-13)
    grads = [torch.autograd.grad(made, (coarse, first, second), torch.ones_like(made)) for made in (ours, zeros)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    half = ops.wavelet3d_synthesis([coarse, first, second], sizes[1], "bior4.4")
    torch.testing.assert_close(ops.wavelet3d_synthesis([half, None], shape, "bior4.4"), ours, rtol=0, atol=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("skipped", [1, 3])
def test_skipping_the_finest_details_changes_nothing_else(skipped, mode):
    """Values and gradients to rounding: the sums are the same, in another order at most."""
    grid = noise(2, 33, 20, 26).requires_grad_()
    every, fewer = (ops.wavelet3d_analysis(grid, "bior4.4", 3, mode, skip_finest=skip) for skip in (0, skipped))
    assert [c is None for c in fewer] == [False] * (4 - skipped) + [True] * skipped
    kept = slice(4 - skipped)
    for a, b in zip(fewer[kept], every[kept], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    other = [noise(*c.shape, seed=3) for c in fewer[kept]]
    (a,), (b,) = (torch.autograd.grad(made[kept], grid, other) for made in (fewer, every))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_details_that_are_mostly_zero():
    shape = (70, 64, 150)
    coarse, details = ops.wavelet3d_analysis(noise(*shape, dtype=torch.float32))
    kept = torch.zeros_like(details)
    kept[2, 5, 7, 60:70] = details[2, 5, 7, 60:70]
    kept[6, 40, 39, 3] = 1
    expected = pywt.waverecn(to_pywt([coarse, kept]), "bior6.8", "constant")
    assert np.abs(ops.wavelet3d_synthesis([coarse, kept], shape).numpy() - expected).max() < 1e-5


def test_what_is_not_finite_stays_within_its_filters():
    grid = noise(40, 37, 50)
    before = ops.wavelet3d_analysis(grid)
    grid[20, 18, 25] = math.nan
    after = ops.wavelet3d_analysis(grid)
    near = [slice((i + 1) // 2, (i + 17) // 2 + 1) for i in (20, 18, 25)]
    for a, b in zip(after, before, strict=True):
        assert a[..., near[0], near[1], near[2]].isnan().any()
        a[..., near[0], near[1], near[2]] = b[..., near[0], near[1], near[2]]
        assert torch.equal(a, b)


def test_a_batch_is_its_grids():
    grids = noise(2, 3, 17, 24, 30, dtype=torch.float32)
    batched = ops.wavelet3d_analysis(grids, "db2", 2)
    for i in range(2):
        for j in range(3):
            for a, b in zip(batched, ops.wavelet3d_analysis(grids[i, j], "db2", 2), strict=True):
                assert torch.equal(a[i, j], b)
    back = ops.wavelet3d_synthesis(batched, (17, 24, 30), "db2")
    assert torch.equal(back[1, 2], ops.wavelet3d_synthesis([c[1, 2] for c in batched], (17, 24, 30), "db2"))


def test_vmap():
    grids = noise(17, 4, 12, 15)
    mapped = torch.vmap(lambda g: tuple(ops.wavelet3d_analysis(g, "db2", 1)), in_dims=1)(grids)
    expected = ops.wavelet3d_analysis(grids.movedim(1, 0), "db2", 1)
    assert all(torch.equal(a, b) for a, b in zip(mapped, expected, strict=True))
    back = torch.vmap(lambda c: ops.wavelet3d_synthesis([c, expected[1][0]], (17, 12, 15), "db2"))(expected[0])
    assert torch.equal(back[3], ops.wavelet3d_synthesis([expected[0][3], expected[1][0]], (17, 12, 15), "db2"))


def test_threads_do_not_change_a_bit():
    grid, threads = noise(64, 72, 80, dtype=torch.float32), torch.get_num_threads()
    made = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        made.append(ops.wavelet3d_analysis(grid, levels=2))
        made[-1].append(ops.wavelet3d_synthesis(made[-1], grid.shape))
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for others in made[1:] for a, b in zip(made[0], others, strict=True))


def test_first_use_under_inference_mode_does_not_spoil_later_gradients():
    from geospec.ops import wavelet3d, wavelet_filters

    wavelet_filters._bank.cache_clear()
    wavelet3d._taps.cache_clear()
    with torch.inference_mode():
        ops.filters("db7")
        ops.wavelet3d_analysis(noise(6, 5, 4), "db7")
    assert not ops.filters("db7").analysis_low.is_inference()
    grid = noise(6, 5, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(ops.wavelet3d_analysis(grid, "db7")[0].sum(), grid)
    assert gradient.abs().max() > 0


def test_bands_of_one_filter_are_equal():
    """Twice the same taps, over a period of two samples: all rows of either band repeat each other."""
    taps, grid = noise(1, 18).expand(2, 18), noise(3, 4, 2, seed=1)
    coarse, details = torch.ops.geospec.wavelet3d_analyze(grid, taps, "periodic", False)
    torch.testing.assert_close(coarse, reference(grid, taps, "periodic")[0], rtol=0, atol=1e-11)
    for band in details:
        torch.testing.assert_close(band, coarse, rtol=0, atol=1e-12)


def test_compiles_whole():
    grid = noise(12, 13, 14).requires_grad_()

    def round_trip(g):
        coefficients = ops.wavelet3d_analysis(g, "bior4.4", 2)
        return ops.wavelet3d_synthesis([*coefficients[:-1], None], (12, 13, 14), "bior4.4").square().sum()

    compiled = torch.compile(round_trip, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(grid), round_trip(grid))
    torch.testing.assert_close(torch.autograd.grad(compiled(grid), grid), torch.autograd.grad(round_trip(grid), grid))


@pytest.mark.parametrize("n", [1, 8, 17, 33, 256, 300])
def test_max_level(n):
    for wavelet in ("haar", "db4", "bior6.8"):
        assert ops.max_level(n, wavelet) == pywt.dwt_max_level(n, wavelet)


REFUSALS = {
    "a plane": (
        lambda: ops.wavelet3d_analysis(torch.zeros(4, 4)),
        r"grid: wanted float32 or float64 of shape \(..., n0, n1, n2\), got \(4, 4\)",
    ),
    "integers": (lambda: ops.wavelet3d_analysis(torch.zeros(4, 4, 4, dtype=torch.int64)), "grid: wanted float32 or float64"),
    "no samples": (lambda: ops.wavelet3d_analysis(torch.zeros(4, 0, 4)), "grid: wanted at least one sample along each axis"),
    "levels": (lambda: ops.wavelet3d_analysis(torch.zeros(4, 4, 4), levels=-1), "levels: wanted an integer of 0 or more, got -1"),
    "levels to skip": (
        lambda: ops.wavelet3d_analysis(torch.zeros(4, 4, 4), levels=1, skip_finest=2),
        "skip_finest: wanted an integer between 0 and the 1 levels, got 2",
    ),
    "mode": (lambda: ops.wavelet3d_analysis(torch.zeros(4, 4, 4), mode="edge"), "mode: wanted one of 'constant'.* got 'edge'"),
    "wavelet": (lambda: ops.wavelet3d_analysis(torch.zeros(4, 4, 4), "bior9.9"), "wavelet: wanted haar, .* got 'bior9.9'"),
    "no coarse grid": (lambda: ops.wavelet3d_synthesis([None], (4, 4, 4)), "coefficients: wanted a coarse grid"),
    "coarse sizes": (
        lambda: ops.wavelet3d_synthesis([torch.zeros(4, 4, 4), None], (4, 4, 4)),
        r"coefficients: wanted a coarse grid of \(10, 10, 10\) for shape \(4, 4, 4\), got \(4, 4, 4\)",
    ),
    "details": (
        lambda: ops.wavelet3d_synthesis([torch.zeros(10, 10, 10), torch.zeros(7, 10, 10, 9)], (4, 4, 4)),
        r"coefficients: wanted details \(7, 10, 10, 10\) of torch.float32, or None, got \(7, 10, 10, 9\)",
    ),
    "details elsewhere": (
        lambda: ops.wavelet3d_synthesis([torch.zeros(10, 10, 10), torch.zeros(7, 10, 10, 10, device="meta")], (4, 4, 4)),
        "coefficients: wanted the device of the coarse grid",
    ),
    "skip, a truth value": (
        lambda: ops.wavelet3d_analysis(torch.zeros(4, 4, 4), skip_finest=True),
        "skip_finest: wanted an integer between 0 and the 1 levels, got True",
    ),
    "shape": (lambda: ops.wavelet3d_synthesis([torch.zeros(4, 4, 4)], (4, 4)), r"shape: wanted three sizes of 1 or more, got \(4, 4\)"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refuses(refusal):
    call, message = REFUSALS[refusal]
    with pytest.raises(ArgumentError, match=message):
        call()
