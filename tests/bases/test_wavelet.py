"""The wavelet tree: the contracts, trees against their definition, levels of detail, the paper's claims, noise."""

import torch

from geospec.bases import WaveletTree
from geospec.testing import FrameContract

MODES = ["constant", "zero", "symmetric", "periodization"]


class TestConstant(FrameContract):
    def make(self, dtype, seed):
        return WaveletTree((9, 12, 7), 2).to(dtype)


class TestZero(FrameContract):
    def make(self, dtype, seed):
        return WaveletTree((6, 5, 8), 1, mode="zero", drop_finest=0).to(dtype)


class TestPeriodic(FrameContract):
    """As many coefficients as samples, and still not orthonormal."""

    def make(self, dtype, seed):
        return WaveletTree((8, 12, 16), 2, mode="periodization").to(dtype)


def random_grid(tree, *batch, dtype=torch.float64, seed=0):
    return torch.randn(*batch, *tree.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def same(a, b):
    assert torch.equal(a.coarse, b.coarse)
    for x, y in zip(a.details, b.details, strict=True):
        assert (x is None) == (y is None)
        assert x is None or torch.equal(x, y)
