"""One sign for each mode, whatever solver or machine it came from."""

from __future__ import annotations

import torch
from torch import Tensor


def signs(modes: Tensor, mass: Tensor) -> Tensor:
    """+1 or -1 for each mode ``(k,)``, see :meth:`geospec.LaplaceBasis.fit`."""
    found = []
    for part in modes.split(16, dim=1):  # a few at a time: no second copy of all modes
        weighted = mass[:, None] * part.square()
        third, size = (weighted * part).sum(dim=0), (weighted * part.abs()).sum(dim=0)
        largest = part.abs() >= (1 - 1e-6) * part.abs().amax(dim=0)
        entry = part.gather(0, largest.to(torch.uint8).argmax(dim=0, keepdim=True))[0]
        found.append(torch.where(torch.where(third.abs() > 1e-6 * size, third, entry) < 0, -1.0, 1.0).to(modes))
    return torch.cat(found)
