"""Conventions of spherical harmonics, and the table of a recurrence that has them built in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ArgumentError, one_of, problem
from .constant import constant_result

#: Beyond these the recurrence leaves the range of the type near the poles.
LARGEST_DEGREE = {torch.float32: 128, torch.float64: 1000}


@dataclass(frozen=True)
class HarmonicConvention:
    """What a harmonic is multiplied by, against the orthonormal real one without Condon-Shortley phase.

    Parameters
    ----------
    normalization : ``"orthonormal"``, integral of the square 1; ``"4pi"``, of geodesy, its mean 1; ``"schmidt"``, of
        geomagnetism, its mean ``1 / (2 l + 1)``.
    cs_phase : whether order ``m`` carries the Condon-Shortley phase ``(-1)^m``.
    antipode : whether the harmonic is that of the opposite direction, ``(-1)^l``.
    zonal_factor : a factor of the harmonics of order 0.
    """

    normalization: str = "orthonormal"
    cs_phase: bool = False
    antipode: bool = False
    zonal_factor: float = 1.0

    def __post_init__(self) -> None:
        one_of("normalization", self.normalization, NORMALIZATIONS)
        if not (math.isfinite(self.zonal_factor) and self.zonal_factor != 0):
            raise ArgumentError(problem("zonal_factor", "a finite number other than 0", self.zonal_factor))

    def factors(self, degree: int) -> Tensor:
        """What this convention multiplies each orthonormal harmonic by: ``((degree + 1)^2,)`` float64, in the order ``l^2 + l + m``."""
        return _factors(self, degree).clone()

    def _factor(self, l: NDArray, m: NDArray) -> NDArray:  # noqa: E741
        factor = {"orthonormal": 1.0, "4pi": math.sqrt(4 * math.pi), "schmidt": np.sqrt(4 * math.pi / (2 * l + 1))}[self.normalization]
        sign = np.where((l % 2 == 1) & self.antipode, -1.0, 1.0) * np.where((m % 2 == 1) & self.cs_phase, -1.0, 1.0)
        return factor * sign * np.where(m == 0, self.zonal_factor, 1.0)


NORMALIZATIONS = ("orthonormal", "4pi", "schmidt")
#: Ready-made conventions. The last three are those of published encoders, so that weights trained on them can be used:
#: the two evaluators of Russwurm et al. 2024 and that of SatCLIP, whose zonal harmonics are pi times too large.
CONVENTIONS = {
    "orthonormal": HarmonicConvention(),
    "4pi": HarmonicConvention("4pi"),
    "schmidt": HarmonicConvention("schmidt"),
    "locationencoder-analytic": HarmonicConvention(antipode=True),
    "locationencoder-closed-form": HarmonicConvention(antipode=True, cs_phase=True),
    "satclip": HarmonicConvention(antipode=True, zonal_factor=math.pi),
}


def convention_of(convention: str | HarmonicConvention) -> HarmonicConvention:
    """The convention of a name, or the one given."""
    if isinstance(convention, HarmonicConvention):
        return convention
    one_of("convention", convention, tuple(CONVENTIONS))
    return CONVENTIONS[convention]


def check_degree(degree: object, largest: int | None = None) -> int:
    """Want a degree of 0 or more."""
    if isinstance(degree, bool) or not isinstance(degree, int) or degree < 0:
        raise ArgumentError(problem("degree", "an integer of 0 or more", repr(degree)))
    if largest is not None and degree > largest:
        hint = "float64 goes to 1000" if largest < 1000 else ""
        raise ArgumentError(problem("degree", f"at most {largest} in this precision", degree, hint))
    return degree


def degrees_and_orders(degree: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Degree ``l`` and order ``m`` of each harmonic, ``((degree + 1)^2,)`` int64 each, in the order ``l^2 + l + m``."""
    each = torch.arange(degree + 1, device=device)
    l = each.repeat_interleave(2 * each + 1)  # noqa: E741
    return l, torch.arange(len(l), device=device) - l * l - l


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _factors(convention: HarmonicConvention, degree: int) -> Tensor:
    l, m = (index.numpy() for index in degrees_and_orders(degree))  # noqa: E741
    return torch.from_numpy(convention._factor(l, np.abs(m)))


@constant_result
def recurrence(degree: int, convention: HarmonicConvention, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Coefficients of the recurrence in the degree, ``((degree + 1)(degree + 2) / 2, 4)``: rows by order ``m``, then degree ``l``.

    With ``w = 1 - |z|`` and ``Q_l`` the normalised Legendre function of ``(l, m)`` over ``sin^m``, at ``|z|``,
    ``E_l = p E_{l-1} - q w Q_{l-1}``, ``Q_l = g Q_{l-1} + E_l``, from ``E_m = 0`` and ``Q_m = g`` of the first row. The fourth
    column is ``d``, with ``dQ_{l,m}/dz = d Q_{l,m+1}``. The differences ``E`` keep what a recurrence in ``z`` loses near the
    poles (Reinsch's device): the error stays that of rounding, where the usual form's grows with the square of the degree.
    """
    return _recurrence(degree, convention, dtype, device)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # or the table would be refused by every gradient from then on
def _recurrence(degree: int, convention: HarmonicConvention, dtype: torch.dtype, device: torch.device) -> Tensor:
    with np.errstate(divide="ignore", invalid="ignore"):
        m = np.repeat(np.arange(degree + 1), degree + 1 - np.arange(degree + 1))
        first = np.repeat(np.cumsum(np.r_[0, degree + 1 - np.arange(degree)]), degree + 1 - np.arange(degree + 1))
        n = np.arange(len(m)) - first  # l - m
        l = n + m  # noqa: E741
        # Legendre functions that are 1 at the pole obey R_n = a z R_{n-1} - (a - 1) R_{n-2}, so with differences D of R:
        # D_n = (a - 1) D_{n-1} - a w R_{n-1}. Q is R times its value at the pole, whose ratios are g.
        a = (2 * n + 2 * m - 1) / (n + 2 * m)
        scale = np.where(m > 0, math.sqrt(2), 1.0) * convention._factor(l, m)
        before = np.where(n > 0, np.r_[1.0, scale[:-1]], 1.0)
        g = np.sqrt((2 * l + 1) / (2 * l - 1) * (l + m) / (l - m)) * scale / before
        starts = np.sqrt(np.cumprod(np.r_[1.0, 1 + 1 / (2 * np.arange(1, degree + 1))]) / (4 * math.pi))
        g = np.where(n == 0, starts[m] * scale, g)
        p = np.where(n > 1, (n - 1) / (n + 2 * m) * g, 0.0)
        q = np.where(n > 0, a * g, 0.0)
        above = np.where(n > 0, scale[np.minimum(first + degree + 1 - m + n - 1, len(m) - 1)], 1.0)
        d = np.where(n > 0, np.sqrt((l - m) * (l + m + 1.0)) * scale / above, 0.0)
    return torch.from_numpy(np.stack([p, q, g, d], axis=1)).to(device=device, dtype=dtype)
