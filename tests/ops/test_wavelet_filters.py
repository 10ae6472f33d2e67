"""Filters against PyWavelets' tables and against what defines them."""

import pytest
import pywt
import torch

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.wavelet_filters import wavelets


def shifted_products(a, b):
    """``sum_n a[n] b[n + 2 s]`` for every shift at which they meet, none in the middle."""
    length = len(a)
    return torch.stack([a @ torch.nn.functional.pad(b, (length, length))[length + s :][:length] for s in range(2 - length, length - 1, 2)])


def moments(taps, count):
    """``sum_n (n - c)^j taps[n]`` about the middle, scaled by the size of its terms."""
    place = torch.arange(len(taps), dtype=torch.float64) - (len(taps) - 1) / 2
    return torch.stack([(place**j * taps).sum() / (place.abs() ** j * taps.abs()).sum() for j in range(count)])


def vanishing(wavelet):
    """Vanishing moments of the high pass of analysis and of synthesis."""
    order = wavelet.lstrip("abcdefghijklmnopqrstuvwxyz")
    if wavelet == "haar":
        return 1, 1
    if wavelet[:4] in ("bior", "rbio"):
        back, forth = {"5.5": (6, 4)}.get(order, tuple(map(int, order.split("."))))
        return (back, forth) if wavelet.startswith("bior") else (forth, back)
    return (2 * int(order),) * 2 if wavelet.startswith("coif") else (int(order),) * 2


@pytest.mark.parametrize("wavelet", wavelets())
def test_equals_pywavelets_tap_by_tap(wavelet):
    for ours, theirs in zip(ops.filters(wavelet), pywt.Wavelet(wavelet).filter_bank, strict=True):
        torch.testing.assert_close(ours, torch.tensor(theirs, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize("wavelet", wavelets())
def test_biorthogonal_to_rounding(wavelet):
    bank = ops.filters(wavelet)
    low, high = (taps.flip(0) for taps in (bank.analysis_low, bank.analysis_high))
    one = torch.eye(len(low) - 1, dtype=torch.float64)[len(low) // 2 - 1]
    for analysis, synthesis, wanted in (
        (low, bank.synthesis_low, one),
        (high, bank.synthesis_high, one),
        (low, bank.synthesis_high, 0 * one),
        (high, bank.synthesis_low, 0 * one),
    ):
        torch.testing.assert_close(shifted_products(analysis, synthesis), wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("wavelet", wavelets())
def test_vanishing_moments_and_no_more(wavelet):
    bank = ops.filters(wavelet)
    for taps, count in zip((bank.analysis_high, bank.synthesis_high), vanishing(wavelet), strict=True):
        assert moments(taps, count).abs().max() < 1e-15
        assert moments(taps, count + 1)[-1].abs() > 1e-7
    assert bank.analysis_low.sum().item() == pytest.approx(2**0.5, rel=1e-15)
    assert bank.synthesis_low.sum().item() == pytest.approx(2**0.5, rel=1e-15)


@pytest.mark.parametrize("k", range(1, 6))
def test_coiflets_have_moments_of_the_low_pass_too(k):
    low = ops.filters(f"coif{k}").synthesis_low
    place = torch.arange(len(low), dtype=torch.float64) - low.abs().argmax()
    for j in range(1, 2 * k):
        assert abs((place**j * low).sum()) < 1e-15 * (place.abs() ** j * low.abs()).sum()


def test_a_caller_cannot_change_the_filters_of_another():
    ops.filters("db2").analysis_low.zero_()
    assert ops.filters("db2").analysis_low.abs().sum() > 1


@pytest.mark.parametrize(
    ("name", "hint"), [("db99", "the nearest is 'db9', and .* lists all"), ("bior6,8", "the nearest is 'bior6.8'"), ("", "geospec.* lists")]
)
def test_unknown_name_tells_families_and_the_nearest(name, hint):
    with pytest.raises(ArgumentError, match=f"^wavelet: wanted haar, db1 to db20, .* or rbio<r>.<a>, got '{name}'; {hint}"):
        ops.filters(name)
