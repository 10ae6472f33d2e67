"""Noise by counting and sums that make it again, beside torch's own noise kept in memory."""

from __future__ import annotations

import torch

from geospec import ops

from .harness import Entry

DRAWS, MODES, SIGMA = 200, 50, 0.3


def entries() -> list[Entry]:
    """One map, 200 draws of 50 x 50, one-sided; the denoiser is left out: its answer is at hand."""
    table = []
    for dtype in (torch.float32, torch.float64):
        clean, denoised = torch.rand(MODES, MODES, dtype=dtype), torch.rand(DRAWS, MODES, MODES, dtype=dtype)

        def ours(clean=clean, denoised=denoised):
            ops.noisy_magnitudes(clean, SIGMA, DRAWS, seed=0, form="half")
            return ops.mask_sums(clean, denoised, SIGMA, seed=0)

        def kept(clean=clean, denoised=denoised):
            x = clean + SIGMA * torch.randn_like(denoised).abs()
            gap = (x - denoised).double()
            return gap.sum(dim=0), x.sum(dim=0, dtype=torch.float64), (gap / x).sum(dim=0)

        size = f"{DRAWS} x {MODES} x {MODES}, {str(dtype).removeprefix('torch.')}"
        table.append(Entry("draws and mask sums", size, ours, kept, "torch.randn, kept", 1.0))
    return table
