"""Descriptors of two shapes that correspond column by column."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..bases.base import SampledBasis
from ..errors import ArgumentError, one_of, problem
from .signatures import heat_kernel_signature, wave_kernel_signature
from .spectrum import spectrum_of

KINDS = ("wks", "hks")


def paired_signatures(
    source_basis: SampledBasis, target_basis: SampledBasis, kind: str = "wks", *, n: int = 100, landmarks: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Signatures of two shapes at the *same* energies or times, ``(n_s, q)`` and ``(n_t, q)``, columns of norm one.

    Energies or times span what both spectra hold, spaced as for a single shape (:func:`wave_kernel_signature`,
    :func:`heat_kernel_signature`). They mean the same on both shapes only at equal areas: :meth:`geospec.LaplaceBasis.scaled`.

    Parameters
    ----------
    kind : ``"wks"`` or ``"hks"``. n : number of energies or times.
    landmarks : (m, 2) int64 pairs (source point, target point) that correspond; each adds ``n`` columns, the wave or heat
        kernels from that point, weighed so that all landmarks together count as much as the signatures.
    """
    one_of("kind", kind, KINDS)
    spectra = [spectrum_of(basis) for basis in (source_basis, target_basis)]
    logs = [values.detach()[mask].log() for values, mask in spectra]
    low, high = max(float(x.min()) for x in logs), min(float(x.max()) for x in logs)
    if not low < high:
        got = f"from {low:.3g} to {high:.3g} in the logarithm"
        raise ArgumentError(problem("source_basis, target_basis", "spectra that overlap", got, "ask for more modes"))
    pairs = None if landmarks is None else torch.as_tensor(landmarks)
    if pairs is not None and (pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point() or not len(pairs)):
        raise ArgumentError(problem("landmarks", "integer pairs (m, 2)", f"{tuple(pairs.shape)} {pairs.dtype}"))
    columns = []
    for side, basis in enumerate((source_basis, target_basis)):
        points = [None] if pairs is None else [None, pairs[:, side]]
        found = [_signatures(basis, kind, n, low, high, at) for at in points]
        if pairs is not None:
            found[1] = found[1] / math.sqrt(len(pairs))
        columns.append(torch.cat(found, dim=1))
    return columns[0], columns[1]


def _signatures(basis: SampledBasis, kind: str, n: int, low: float, high: float, landmarks: Tensor | None) -> Tensor:
    if kind == "wks":
        sigma = 7 * (high - low) / max(n, 56)
        energies = torch.linspace(low + 2 * sigma, high - 2 * sigma, n, dtype=torch.float64)
        return wave_kernel_signature(basis, energies=energies, sigma=sigma, normalize=True, landmarks=landmarks)
    ends = math.log(4 * math.log(10))
    times = torch.linspace(ends - high, ends - low, n, dtype=torch.float64).exp()
    return heat_kernel_signature(basis, times=times, normalize=True, landmarks=landmarks)
