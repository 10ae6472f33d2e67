"""Noise by counting: Random123's test vectors, the normal law, and that only seed, draw and element decide; sums over draws."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.noisy_magnitudes import philox, reference

COUNT = 1_000_000


def noise(seed: int, first: int = 0, n: int = 10, size: int = COUNT // 10) -> torch.Tensor:
    return ops.noisy_magnitudes(torch.zeros(size, dtype=torch.float64), 1.0, n, seed=seed, first=first)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_twin_gives_the_published_words_of_philox(counter, key, words):
    assert tuple(int(x) for x in philox(tuple(torch.tensor(c) for c in counter), key)) == words


def test_kernel_turns_the_published_words_into_two_normals():
    u, v = ((high * 2**20 + low // 2**12 + 0.5) / 2**52 for high, low in ((0x6627E8D5, 0xE169C58D), (0xBC57AC4C, 0x9B00DBD8)))
    found = noise(0, n=1, size=16)[0]
    radius = math.sqrt(-2 * math.log(u))
    assert found[0].item() == pytest.approx(radius * math.cos(2 * math.pi * v), rel=1e-14)
    assert found[8].item() == pytest.approx(radius * math.sin(2 * math.pi * v), rel=1e-14)


def test_logarithm_and_turns_are_those_of_the_twin():
    """To the rounding of double: a coefficient that is off by a millionth would pass the table of cases."""
    clean, levels = torch.zeros(20_000, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    torch.testing.assert_close(noise(6, n=1, size=20_000), reference(clean, levels, 6, 0, "normal"), rtol=1e-13, atol=1e-14)


def test_moments_and_quantiles_are_normal():
    """Each within four of its standard errors."""
    z = noise(1).flatten()
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10395 - 225)):
        assert abs(z.pow(power).mean().item() - mean) < 4 * math.sqrt(variance / COUNT)
    for level in (-4.0, -3.0, -2.0, -1.0, -0.3, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0):
        p = stats.norm.cdf(level)
        assert abs((z < level).double().mean().item() - p) < 4 * math.sqrt(p * (1 - p) / COUNT)
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3
    assert len(z.unique()) == COUNT


def test_numbers_do_not_know_of_each_other():
    """Neighbours, the two of a pair, draws and seeds: neither values nor squares nor signs correlate."""
    z = noise(2)
    other = noise(3)
    shifted = noise(2, first=2**32)  # a draw whose lower word is the same
    partners = z.unflatten(1, (-1, 2, 8))
    couples = {
        "neighbours": (z[:, :-1], z[:, 1:]),
        "pair": (partners[:, :, 0], partners[:, :, 1]),
        "draws": (z[:-1], z[1:]),
        "seeds": (z, other),
        "upper word of the draw": (z, shifted),
        "upper word of the seed": (z, noise(2 + 2**32)),
    }
    for name, (a, b) in couples.items():
        for law in (lambda x: x, lambda x: (x.square() - 1) / math.sqrt(2), torch.sign):
            assert abs((law(a) * law(b)).mean().item()) < 4 / math.sqrt(a.numel()), name


@pytest.mark.parametrize("form", ["normal", "half", "reflected"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_and_threads_change_no_bit(dtype, form):
    clean = torch.randn(3, 9, 11, generator=torch.Generator().manual_seed(0)).to(dtype)
    levels = torch.linspace(0.1, 2, 40)
    whole = ops.noisy_magnitudes(clean, levels, 40, seed=7, first=5, form=form)
    parts = [ops.noisy_magnitudes(clean, levels[a:b], b - a, seed=7, first=5 + a, form=form) for a, b in ((0, 1), (1, 18), (18, 40))]
    assert torch.equal(torch.cat(parts), whole)
    sums = ops.mask_sums(clean, whole * 0.9, levels, seed=7, first=5, form=form)
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            assert torch.equal(ops.noisy_magnitudes(clean, levels, 40, seed=7, first=5, form=form), whole)
            for again, once in zip(ops.mask_sums(clean, whole * 0.9, levels, seed=7, first=5, form=form), sums, strict=True):
                assert torch.equal(again, once)
    finally:
        torch.set_num_threads(threads)


def test_forms():
    clean = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    draw = lambda form, c=clean, s=0.8: ops.noisy_magnitudes(c, s, 50, seed=4, form=form)  # noqa: E731
    normal = draw("normal")
    assert normal.shape == (50, 2, 6, 5)
    assert (normal < 0).any()
    assert torch.equal(draw("reflected"), normal.abs())
    torch.testing.assert_close(draw("half"), clean.abs() + (normal - clean.abs()).abs(), rtol=1e-6, atol=1e-6)
    assert (draw("half") >= clean.abs()).all()
    assert torch.equal(draw("normal", -clean), normal)
    assert torch.equal(draw("normal", s=0.0), clean.abs().expand(50, -1, -1, -1))
    # Drawn in double, so float32 is what float64 rounds to.
    assert torch.equal(draw("normal", clean.double()).float(), normal)
    # The first map of a batch has the noise of that map alone, the second one has its own.
    assert torch.equal(draw("normal", clean[:1]), normal[:, :1])
    assert not torch.equal(normal[:, 0] - clean[0].abs(), normal[:, 1] - clean[1].abs())


def test_levels_one_a_draw():
    clean = torch.zeros(4, 4, dtype=torch.float64)
    levels = [0.5, 2.0, 0.0]
    found = ops.noisy_magnitudes(clean, levels, 3, seed=0, first=2)
    torch.testing.assert_close(found, noise(0, first=2, n=3, size=16).reshape(3, 4, 4) * torch.tensor(levels).double()[:, None, None])


@pytest.mark.parametrize("form", ["half", "reflected"])
def test_sums_of_a_linear_denoiser_give_the_closed_form(form):
    """Where ``D = v / (v + sigma^2) x``, both estimators of the mask are ``1 / (2 (v + sigma^2))``, whatever the map and the noise."""
    generator = torch.Generator().manual_seed(1)
    clean, variance, sigma = torch.rand(2, 7, 9, generator=generator), torch.rand(7, 9, generator=generator), 0.6
    residual = level = ratio = torch.zeros(2, 7, 9, dtype=torch.float64)
    for first in range(0, 60, 20):
        x = ops.noisy_magnitudes(clean, sigma, 20, seed=9, first=first, form=form)
        sums = ops.mask_sums(clean, variance / (variance + sigma**2) * x, sigma, seed=9, first=first, form=form)
        residual, level, ratio = residual + sums.residual, level + sums.level, ratio + sums.ratio
    expected = (0.5 / (variance + sigma**2)).double().expand(2, 7, 9)
    torch.testing.assert_close(residual / (2 * sigma**2 * level), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(ratio / (2 * sigma**2 * 60), expected, rtol=1e-5, atol=0)
    # The mean of one-sided noise is sqrt(2 / pi) sigma above the map: 60 draws, four standard errors.
    if form == "half":
        error = sigma * math.sqrt((1 - 2 / math.pi) / (60 * 126))
        assert abs((level / 60 - clean).mean().item() - math.sqrt(2 / math.pi) * sigma) < 4 * error


def test_sums_hold_no_draw():
    from torch.profiler import ProfilerActivity, profile

    clean, denoised = torch.rand(40, 40), torch.rand(300, 40, 40)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        ops.mask_sums(clean, denoised, 1.0, seed=0)
    assert sum(max(0, event.self_cpu_memory_usage) for event in trace.key_averages()) < 5 * 8 * clean.numel()


def test_gradients_are_refused():
    clean = torch.rand(3, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="not differentiable"):
        ops.noisy_magnitudes(clean, 1.0, 2, seed=0).sum().backward()
    with pytest.raises(RuntimeError, match="not differentiable"):
        ops.mask_sums(clean.detach(), torch.rand(2, 3, 3, requires_grad=True), 1.0, seed=0).residual.sum().backward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clean": [1.0]}, "clean: wanted a torch tensor, got list"),
        ({"clean": torch.ones(2, 2).half()}, "clean: wanted float32 or float64"),
        ({"sigma": -1.0}, "sigma: wanted finite levels, 0 or more, got one of -1"),
        ({"sigma": float("nan")}, "sigma: wanted finite levels"),
        ({"sigma": [1.0, 2.0]}, r"sigma: wanted a number, or 3 of them, one a draw, got \(2,\)"),
        ({"n": -1}, "n: wanted an integer from 0 to"),
        ({"seed": -1}, "seed: wanted an integer from 0 to"),
        ({"seed": 2**63}, "seed: wanted an integer from 0 to"),
        ({"first": 1.5}, "first: wanted an integer from 0 to"),
        ({"form": "uniform"}, "form: wanted one of 'normal', 'half', 'reflected', got 'uniform'"),
    ],
)
def test_face_refuses(change, message):
    given = {"clean": torch.ones(2, 2), "sigma": 1.0, "n": 3, "seed": 0} | change
    with pytest.raises(ArgumentError, match=message):
        ops.noisy_magnitudes(given.pop("clean"), given.pop("sigma"), given.pop("n"), **given)


@pytest.mark.parametrize(
    ("denoised", "message"),
    [
        (torch.ones(3, 2, 3), r"denoised: wanted shape \(n, ...\) with maps \(2, 2\), got \(3, 2, 3\)"),
        (torch.ones(()), r"denoised: wanted shape"),
        (torch.ones(3, 2, 2).double(), "denoised: wanted the type of clean, torch.float32, got torch.float64"),
        (1.0, "denoised: wanted a torch tensor, got float"),
    ],
)
def test_sums_refuse(denoised, message):
    with pytest.raises(ArgumentError, match=message):
        ops.mask_sums(torch.ones(2, 2), denoised, 1.0, seed=0)
