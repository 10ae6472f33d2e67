"""Trees of wavelet coefficients: each coarse cell with its details and their descendants, as channels of one grid.

Cell ``p`` of the coarsest details has the children ``fan p + o - shift`` among the details one or more levels finer, with
``o`` in ``{0..fan - 1}^3``, ``fan`` a power of two and ``shift = (fan m - q) / 2`` for ``m`` cells and ``q`` details along an axis.
Children outside the array do not exist and count as zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gather_children(detail: Tensor, cells: Sequence[int], fan: int) -> Tensor:
    """Details ``(..., b, q0, q1, q2)`` by parent: ``(..., b fan^3, m0, m1, m2)``; channel ``band fan^3 + (o0 fan + o1) fan + o2``."""
    pads: list[int] = []
    for m, q in zip(reversed(cells), reversed(detail.shape[-3:]), strict=True):
        before = (fan * m - q) // 2
        pads += [before, fan * m - q - before]
    padded = torch.nn.functional.pad(detail, pads)
    *batch, bands = detail.shape[:-3]
    m0, m1, m2 = cells
    split = padded.reshape(*batch, bands, m0, fan, m1, fan, m2, fan)
    d = len(batch)
    order = [*range(d), d, d + 2, d + 4, d + 6, d + 1, d + 3, d + 5]
    return split.permute(order).reshape(*batch, bands * fan**3, m0, m1, m2)


def scatter_children(channels: Tensor, shape: Sequence[int], fan: int) -> Tensor:
    """The inverse of :func:`gather_children`: details ``(..., b, q0, q1, q2)`` of the given shape; what lies outside is dropped."""
    *batch, count, m0, m1, m2 = channels.shape
    bands, d = count // fan**3, len(batch)
    split = channels.reshape(*batch, bands, fan, fan, fan, m0, m1, m2)
    joined = split.permute([*range(d), d, d + 4, d + 1, d + 5, d + 2, d + 6, d + 3]).reshape(*batch, bands, fan * m0, fan * m1, fan * m2)
    begin = [(fan * m - q) // 2 for m, q in zip((m0, m1, m2), shape, strict=True)]
    return joined[..., begin[0] : begin[0] + shape[0], begin[1] : begin[1] + shape[1], begin[2] : begin[2] + shape[2]]
