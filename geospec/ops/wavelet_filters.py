"""Filters of wavelet families, by name."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import one_of


class Filters(NamedTuple):
    """The four filters of a wavelet, float64, each of the same even length ``L``: low and high pass of analysis and of synthesis."""

    analysis_low: Tensor
    analysis_high: Tensor
    synthesis_low: Tensor
    synthesis_high: Tensor


@lru_cache(maxsize=32)
def filters(wavelet: str) -> Filters:
    """The filters of ``wavelet``, normalised so that the low pass sums to ``sqrt(2)``."""
    one_of("wavelet", wavelet, ("bior6.8",))
    half = [0.0019088317364812906, -0.0019142861290887667, -0.016990639867602342, 0.01193456527972926, 0.04973290349094079]
    half += [-0.07726317316720414, -0.09405920349573646, 0.4207962846098268]
    low = torch.tensor([0.0, *half, 0.8259229974584023, *reversed(half)], dtype=torch.float64)
    half = [0.014426282505624435, 0.014467504896790148, -0.07872200106262882, -0.04036797903033992, 0.41784910915027457]
    back = torch.tensor([0.0, 0.0, 0.0, *half, 0.7589077294536541, *reversed(half), 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)[:18]
    turn = (-1.0) ** torch.arange(18, dtype=torch.float64)
    return Filters(low, -turn * back, back, turn * low)
