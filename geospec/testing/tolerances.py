"""Tolerances from the float type and the length of the sums."""

from __future__ import annotations

import torch


def tolerance(dtype: torch.dtype, terms: int = 1, factor: float = 10.0) -> float:
    """``factor * eps * sqrt(terms)``: what rounding leaves of a sum of ``terms`` numbers of size one."""
    return factor * torch.finfo(dtype).eps * terms**0.5
