"""The trees of ``WaveletTree`` at the paper's geometry beside their twins in plain PyTorch, which form every tree first."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geospec import WaveletTree
from geospec.bases import WaveletCoefficients
from geospec.ops.wavelet_tree import reference_gather, reference_largest, reference_scatter

from .harness import Entry

TREES = 16384


def entries() -> list[Entry]:
    """Which trees to keep and their details; details again; channels of the coarse grid. Coefficients are random."""
    tree, generator = WaveletTree(), torch.Generator().manual_seed(0)
    coarse = torch.randn(1, *tree.cells, generator=generator)
    details = [torch.randn(1, 7, *shape, generator=generator) for shape in tree.detail_shapes]
    coefficients = WaveletCoefficients(coarse, tuple(details))
    code = tree.filter(coefficients, TREES)
    rows, fans = code.rows, ((1, 0), (2, 8))

    def kept() -> Tensor:
        index = reference_largest(details[0].abs().amax(dim=1).flatten(1), [TREES])
        return torch.cat([reference_gather(d, index, tree.cells, *fan) for d, fan in zip(details, fans, strict=False)], dim=1)

    def scattered() -> list[Tensor]:
        parts = zip(code.values.split(tree.widths, dim=1), details, fans, strict=False)
        return [reference_scatter(values, rows, d.shape, tree.cells, *fan) for values, d, fan in parts]

    def packed() -> Tensor:
        channels = code.values.new_zeros(math.prod(tree.cells), 63).index_put((rows,), code.values)
        return torch.cat([coarse[:, None], channels.T.reshape(1, 63, *tree.cells)], dim=1)

    size = f"256^3, {TREES} trees, float32"
    return [
        Entry("wavelet tree, filter", size, lambda: tree.filter(coefficients, TREES), kept, "plain PyTorch", 1 / 2),
        Entry("wavelet tree, unfilter", size, lambda: tree.unfilter(code), scattered, "plain PyTorch", 1 / 4),
        Entry("wavelet tree, pack", size, lambda: tree.pack(code), packed, "plain PyTorch", 1.0),
    ]
