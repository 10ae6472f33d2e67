"""Descriptors of points: how heat or a quantum particle stays where it starts, and the spectral embedding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..bases.base import Basis, SampledBasis
from ..errors import ArgumentError, problem
from .spectrum import spectrum_of


def heat_kernel_signature(
    basis: Basis,
    n: int = 100,
    *,
    times: Tensor | None = None,
    scaled: bool = True,
    normalize: bool = False,
    landmarks: Tensor | None = None,
) -> Tensor:
    """``HKS(x, t) = sum_i exp(-lambda_i t) phi_i(x)^2``: heat left at ``x`` after the time ``t``.

    Parameters
    ----------
    basis : sampled, with eigenvalues. Differentiable in modes and eigenvalues, any number of times.
    n : number of times, spaced evenly in the logarithm from ``4 ln 10 / lambda_max`` to ``4 ln 10 / lambda_1``,
        with ``lambda_1`` the first non-zero eigenvalue. They are choices, not results: no gradient runs through them.
    times : (q,) positive times instead, in length squared.
    scaled : divide each time by the heat trace ``sum_i exp(-lambda_i t)``, so that all times weigh alike.
    normalize : scale each column to norm one, ``sum_x measure_x f(x)^2 = 1``.
    landmarks : (p,) indices of points. The columns are then the heat kernels ``sum_i exp(-lambda_i t) phi_i(x) phi_i(y)``
        from each landmark ``y``, all times of the first landmark first.

    Returns
    -------
    (n_points, q), or (n_points, p q) with landmarks.

    Cost: ``2 n_points k q`` flops. Source: Sun, Ovsjanikov and Guibas 2009, eq. 4 and section 4.1 (scaling).
    """
    values, mask = spectrum_of(basis)
    if times is None:
        _positive("n", n)
        found = values.detach()[mask]
        low, high = (math.log(4 * math.log(10) / float(end)) for end in (found.max(), found.min()))
        times = torch.linspace(low, high, n, dtype=torch.float64, device=values.device).exp().to(values)
    times = _one_dimensional("times", times, values)
    if not bool((times > 0).all()):
        raise ArgumentError(problem("times", "positive times", float(times.min())))
    return _filtered(basis, torch.exp(-times[:, None] * values), scaled, normalize, landmarks)


def wave_kernel_signature(
    basis: Basis,
    n: int = 100,
    *,
    energies: Tensor | None = None,
    sigma: float | None = None,
    scaled: bool = True,
    normalize: bool = False,
    landmarks: Tensor | None = None,
) -> Tensor:
    """``WKS(x, e) = sum_i exp(-(e - ln lambda_i)^2 / (2 sigma^2)) phi_i(x)^2`` over the non-zero ``lambda_i``.

    How likely a particle of energy about ``exp(e)`` is met at ``x``. Modes of eigenvalue zero have no
    energy and take no part, as many as there are.

    Parameters
    ----------
    basis, normalize, landmarks : as in :func:`heat_kernel_signature`.
    n : number of energies, spaced evenly between ``ln lambda_1 + 2 sigma`` and ``ln lambda_max - 2 sigma``.
    energies : (q,) logarithms of eigenvalues instead; ``sigma`` must then be given.
    sigma : width of the filters; by default ``7 (ln lambda_max - ln lambda_1) / n``, and an eighth of the range where
        ``n < 56``, so that half of it is left after trimming.
    scaled : divide each energy by the sum of its filter over the modes (the paper's ``C_e``).

    Returns
    -------
    (n_points, q), or (n_points, p q) with landmarks.

    Source: Aubry, Schlickewei and Cremers 2011, eq. 4 and section 5.
    """
    values, mask = spectrum_of(basis)
    logarithms = values[mask].log()
    if energies is None:
        _positive("n", n)
        low, high = float(logarithms.detach().min()), float(logarithms.detach().max())
        sigma = 7 * (high - low) / max(n, 56) if sigma is None else sigma
        energies = torch.linspace(low + 2 * sigma, high - 2 * sigma, n, dtype=torch.float64, device=values.device).to(values)
    if sigma is None or not sigma > 0:
        hint = "give sigma with energies; by default the basis needs two different non-zero eigenvalues"
        raise ArgumentError(problem("sigma", "a positive width", sigma, hint))
    energies = _one_dimensional("energies", energies, values)
    exponent = -((energies[:, None] - logarithms) ** 2) / (2 * sigma**2)
    weights = torch.zeros(len(energies), len(values), dtype=values.dtype, device=values.device)
    weights = weights.masked_scatter(mask.expand_as(weights), exponent.exp())
    return _filtered(basis, weights, scaled, normalize, landmarks)


def spectral_coordinates(basis: Basis, k: int | None = None) -> Tensor:
    """The global point signature ``phi_i(x) / sqrt(lambda_i)`` over the first ``k`` non-zero modes, ``(n_points, k)``.

    Distances between rows tend to the commute-time distance. Each column keeps the sign of its mode.
    ``k`` is all non-zero modes by default. Differentiable in modes and eigenvalues. Source: Rustamov 2007, section 4.
    """
    values, mask = spectrum_of(basis)
    available = int(mask.sum())
    k = available if k is None else k
    if not 1 <= k <= available:
        raise ArgumentError(problem("k", f"between 1 and the {available} non-zero modes at hand", k))
    kept = torch.nonzero(mask)[:k, 0]
    return _modes(basis)[:, kept] / values[kept].sqrt()


def _filtered(basis: Basis, weights: Tensor, scaled: bool, normalize: bool, landmarks: Tensor | None) -> Tensor:
    """``sum_i weights[q, i] phi_i(x) phi_i(y)`` with ``y = x`` or a landmark."""
    modes = _modes(basis)
    if scaled:
        weights = weights / weights.sum(dim=1, keepdim=True)
    if landmarks is None:
        columns = modes**2 @ weights.T
    else:
        landmarks = torch.as_tensor(landmarks, device=modes.device)
        if landmarks.dim() != 1 or landmarks.is_floating_point() or not bool(((landmarks >= 0) & (landmarks < basis.n)).all()):
            raise ArgumentError(problem("landmarks", f"a vector of indices in [0, {basis.n})", tuple(landmarks.shape)))
        rows = (modes[landmarks][:, None] * weights).reshape(-1, basis.k)  # (p q, k)
        columns = modes @ rows.T
    if normalize:
        columns = columns / (basis.measure[:, None] * columns**2).sum(dim=0).sqrt()
    return columns


def _modes(basis: Basis) -> Tensor:
    if not isinstance(basis, SampledBasis):
        raise ArgumentError(problem("basis", "a SampledBasis, which holds its modes", type(basis).__name__))
    return basis.modes


def _positive(name: str, n: int) -> None:
    if not isinstance(n, int) or n < 1:
        raise ArgumentError(problem(name, "a positive integer", repr(n)))


def _one_dimensional(name: str, given: Tensor, like: Tensor) -> Tensor:
    given = torch.as_tensor(given).to(like)
    if given.dim() != 1:
        raise ArgumentError(problem(name, "a vector", tuple(given.shape)))
    return given
