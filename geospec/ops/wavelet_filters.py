"""Filters of wavelet families, by name, computed from their definitions in 50 digits or more and rounded once."""

from __future__ import annotations

import difflib
from functools import lru_cache
from math import comb
from typing import Any, NamedTuple

import mpmath
import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, ConvergenceError, problem

#: Which factors of the half-band polynomial a symlet turns outside the unit circle, ordered by the real part of their roots:
#: the choice whose phase is nearest to linear (Daubechies 1992, section 8.1.1).
_SYMLETS = {
    2: "0",
    3: "0",
    4: "10",
    5: "01",
    6: "101",
    7: "001",
    8: "1010",
    9: "0110",
    10: "10101",
    11: "00110",
    12: "010101",
    13: "011100",
    14: "0101100",
    15: "0011100",
    16: "01011001",
    17: "10001110",
    18: "101001101",
    19: "001110100",
    20: "0101100101",
}

#: Where Newton's method starts for the free polynomial of a coiflet.
_COIFLETS = {
    1: (0.823, 0.177),
    2: (2.97, 0.494, -0.33, -0.13),
    3: (11, 1.46, -2, -0.749, 0.206, 0.1),
    4: (41.4, 4.49, -9.62, -3.45, 1.68, 0.785, -0.151, -0.0827),
    5: (157, 14.1, -42.6, -14.7, 9.75, 4.4, -1.54, -0.816, 0.12, 0.0712),
}

_SPLINES = ("1.1", "1.3", "1.5", "2.2", "2.4", "2.6", "2.8", "3.1", "3.3", "3.5", "3.7", "3.9")

#: Zeros at -1 of the low pass of synthesis and of analysis, and which factor of the half-band polynomial the former takes.
_FACTORED = {"4.4": (4, 4, 0), "5.5": (6, 4, 0), "6.8": (6, 8, 1)}


class Filters(NamedTuple):
    """The four filters of a wavelet, float64, each of the same even length ``L``: low and high pass of analysis and of synthesis.

    Coefficient ``k`` is ``sum_j analysis[j] x[2 k + 1 - j]``; synthesis adds ``synthesis[j]`` at ``2 k + j - (L - 2)``. Shorter filters
    are padded by zeros so that coefficients equal PyWavelets' index by index.
    """

    analysis_low: Tensor
    analysis_high: Tensor
    synthesis_low: Tensor
    synthesis_high: Tensor


def wavelets() -> list[str]:
    """What :func:`filters` knows: ``haar``, ``db1`` to ``db20``, ``sym2`` to ``sym20``, ``coif1`` to ``coif5``, ``bior*``, ``rbio*``."""
    pairs = [*_SPLINES, *_FACTORED]
    names = ["haar", *(f"db{p}" for p in range(1, 21)), *(f"sym{p}" for p in _SYMLETS), *(f"coif{k}" for k in _COIFLETS)]
    return [*names, *(f"bior{pair}" for pair in pairs), *(f"rbio{pair}" for pair in pairs)]


def filters(wavelet: str) -> Filters:
    """The filters of ``wavelet``, normalised so that the low pass sums to ``sqrt(2)``; each tap right to the last bit or so.

    ``db<p>`` has ``p`` vanishing moments and least delay, ``sym<p>`` as many and nearly linear phase, ``coif<k>`` has ``2 k`` and its low
    pass all but one of as many. ``bior<r>.<a>`` is symmetric: its synthesis is a spline of order ``r`` up to ``bior3.9``, beyond which both
    filters are of nearly equal lengths. Its analysis high pass has ``r`` vanishing moments, that of synthesis ``a`` (``bior5.5``: 6 and 4).
    ``rbio<r>.<a>`` is ``bior<r>.<a>`` with analysis and synthesis exchanged.

    Raises
    ------
    ArgumentError : the name is not one of :func:`wavelets`.

    Cost: up to a fifth of a second at the first call for a long filter, nothing after. Source: Daubechies 1992, chapters 6 and 8; Cohen,
    Daubechies and Feauveau 1992.
    """
    if wavelet not in wavelets():
        families = "haar, db1 to db20, sym2 to sym20, coif1 to coif5, bior<r>.<a> or rbio<r>.<a>"
        near = [f"the nearest is {name!r}, and" for name in difflib.get_close_matches(str(wavelet), wavelets(), n=1)]
        raise ArgumentError(problem("wavelet", families, repr(wavelet), " ".join([*near, "geospec.ops.wavelets() lists all names"])))
    return Filters(*(taps.clone() for taps in _bank(wavelet)))


@lru_cache(maxsize=128)
def _bank(wavelet: str) -> Filters:
    with mpmath.workdps(60):
        analysis, synthesis = _low_passes(wavelet)
        low, back = (torch.tensor([float(tap) for tap in taps], dtype=torch.float64) for taps in (analysis, synthesis))
    turn = (-1.0) ** torch.arange(len(low), dtype=torch.float64)
    return Filters(low, -turn * back, back, turn * low)


def _low_passes(wavelet: str) -> tuple[Numbers, Numbers]:
    """Of analysis and of synthesis, of the same even length."""
    if wavelet.startswith("rbio"):
        analysis, synthesis = _low_passes(wavelet.replace("rbio", "bior"))
        return synthesis[::-1], analysis[::-1]
    if wavelet.startswith("bior"):
        pair = wavelet.removeprefix("bior")
        analysis, synthesis = _factored(*_FACTORED[pair]) if pair in _FACTORED else _spline(*map(int, pair.split(".")))
        length = max(len(analysis), len(synthesis)) + 1 & ~1
        # Of an odd number of taps, the middle ones of both then stand at places that add up to length - 1, as those of even ones do.
        return _padded(analysis, (length - len(analysis) + 1) // 2, length), _padded(synthesis, (length - len(synthesis)) // 2, length)
    if wavelet.startswith("coif"):
        synthesis = _coiflet(int(wavelet.removeprefix("coif")))
    elif wavelet.startswith("sym"):
        synthesis = _daubechies(p := int(wavelet.removeprefix("sym")), _SYMLETS[p])
    else:
        synthesis = _daubechies(p := 1 if wavelet == "haar" else int(wavelet.removeprefix("db")), "0" * (p // 2))
    return synthesis[::-1], synthesis


Numbers = list[Any]  # mpmath's, real or complex: a polynomial in the delay, from its constant on


def _times(a: Numbers, b: Numbers) -> Numbers:
    product = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return product


def _power(a: Numbers, n: int) -> Numbers:
    return _times(_power(a, n - 1), a) if n else [1]


def _normalised(taps: Numbers) -> Numbers:
    scale = mpmath.sqrt(2) / sum(taps)
    return [tap * scale for tap in taps]


def _padded(taps: Numbers, front: int, length: int) -> Numbers:
    return [0] * front + taps + [0] * (length - front - len(taps))


def _half_band(p: int) -> Numbers:
    """``P(y)`` of degree ``p - 1`` in ``y = sin^2(w / 2)``, with ``(1 - y)^p P(y) + y^p P(1 - y) = 1``: from its constant on."""
    return [mpmath.mpf(comb(p - 1 + k, k)) for k in range(p)]


def _in_sine_squared(weights: Numbers) -> Numbers:
    """``sum_k weights[k] sin^2k(w / 2)``, symmetric about its middle tap."""
    sine_squared = [-mpmath.mpf(1) / 4, mpmath.mpf(1) / 2, -mpmath.mpf(1) / 4]
    total = [mpmath.mpf(0)] * (2 * len(weights) - 1)
    for k, weight in enumerate(weights):
        for i, tap in enumerate(_power(sine_squared, k)):
            total[len(weights) - 1 - k + i] += weight * tap
    return total


def _factors(p: int) -> list[list[tuple[Any, Any]]]:
    """Roots of the half-band polynomial, a real one or a pair a group, by the real parts of their ``y``.

    Each is a pair: the delays inside and outside the unit circle where ``sin^2(w / 2)`` is ``y``.
    """
    if p == 1:
        return []
    polynomial, groups = _half_band(p)[::-1], []
    start = [complex(y) for y in np.roots([float(c) for c in polynomial])]
    for y in mpmath.polyroots(polynomial, maxsteps=200, extraprec=30 + 3 * p, roots_init=start):
        if y.imag < -(mpmath.mpf(10) ** -30):
            continue  # the conjugate comes with its twin
        c = 1 - 2 * y
        z = c + mpmath.sqrt(c * c - 1)
        inside, outside = (z, 1 / z) if abs(z) < 1 else (1 / z, z)
        pair = [(inside, outside)]
        if y.imag > mpmath.mpf(10) ** -30:
            pair.append((mpmath.conj(inside), mpmath.conj(outside)))
        groups.append((float(y.real), pair))
    return [pair for _, pair in sorted(groups, key=lambda group: group[0])]


def _with_zeros(at_minus_one: int, others: Numbers) -> Numbers:
    """The low pass with these zeros, of which complex ones come in pairs."""
    product = _power([mpmath.mpf(1), mpmath.mpf(1)], at_minus_one)
    for zero in others:
        product = _times(product, [1, -zero])
    return _normalised([mpmath.re(tap) for tap in product])


def _daubechies(p: int, outside: str) -> Numbers:
    """Low pass of synthesis with ``p`` vanishing moments; ``outside`` says of each factor which of its delays is taken."""
    groups = sorted(_factors(p), key=lambda group: float(mpmath.re(group[0][0])))
    return _with_zeros(p, [zero[int(out)] for group, out in zip(groups, outside, strict=True) for zero in group])


def _spline(back: int, forth: int) -> tuple[Numbers, Numbers]:
    """Low pass of analysis and of synthesis, which is a B-spline."""
    half = [mpmath.mpf(1) / 2] * 2
    long = _times(_power(half, forth), _in_sine_squared(_half_band((back + forth) // 2)))
    return _normalised(long), _normalised(_power(half, back))


def _factored(back: int, forth: int, taken: int) -> tuple[Numbers, Numbers]:
    """Low pass of analysis and of synthesis, which share out the factors of a half-band polynomial."""
    groups = [[zero for pair in group for zero in pair] for group in _factors((back + forth) // 2)]
    own = groups.pop(taken)
    return _with_zeros(forth, [zero for group in groups for zero in group]), _with_zeros(back, own)


def _coiflet(k: int) -> Numbers:
    """Low pass of synthesis by Gauss and Newton's method (Daubechies 1993).

    It is ``cos^2k(w / 2)`` times the half-band polynomial of ``k`` plus ``sin^2k(w / 2)`` times a free polynomial of ``2 k`` terms. The
    moments are right whatever that is; it makes the filter orthogonal to its even shifts.
    """
    margin = _power([mpmath.mpf(1) / 2] * 2, 2 * k)
    fixed = [0, *_times(margin, _in_sine_squared(_half_band(k))), *([0] * 2 * k)]
    free = _times(margin, _power(_in_sine_squared([0, mpmath.mpf(1)]), k))
    terms = [[0] * j + free + [0] * (2 * k - 1 - j) for j in range(2 * k)]
    unknown = mpmath.matrix([mpmath.mpf(start) for start in _COIFLETS[k]])
    for _ in range(12):
        taps = [tap + sum(unknown[j] * term[i] for j, term in enumerate(terms)) for i, tap in enumerate(fixed)]
        wrong = mpmath.matrix([_shifted(taps, taps, 2 * s) - (mpmath.mpf(1) / 2 if s == 0 else 0) for s in range(3 * k)])
        if mpmath.norm(wrong) < mpmath.mpf(10) ** -40:
            return _normalised(taps)
        slope = mpmath.matrix([[_shifted(taps, t, 2 * s) + _shifted(t, taps, 2 * s) for t in terms] for s in range(3 * k)])
        unknown -= mpmath.qr_solve(slope, wrong)[0]
    raise ConvergenceError(f"coif{k}: Newton's method left a residual of {mpmath.nstr(mpmath.norm(wrong))}")


def _shifted(a: Numbers, b: Numbers, shift: int) -> Any:
    return sum(x * y for x, y in zip(a, b[shift:], strict=False))
