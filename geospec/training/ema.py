"""A moving average of the weights, which validates and ships better than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """``average <- d average + (1 - d) weights`` after each update, in float32 or better, with ``d`` warming up to ``decay``.

    Only parameters are averaged; buffers are the module's own. After ``t`` updates ``d = min(decay, (1 + t) / (10 + t))``, so
    that the first weights, which are random, are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.average: dict[str, Tensor] = {
            name: weights.detach().to(torch.promote_types(weights.dtype, torch.float32), copy=True)
            for name, weights in module.named_parameters()
        }

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take the module's weights into the average."""
        kept = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, weights in module.named_parameters():
            self.average[name].lerp_(weights.to(self.average[name]), 1 - kept)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Give the module the average for its weights."""
        for name, weights in module.named_parameters():
            weights.copy_(self.average[name])

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Within the block the module has the average for its weights; afterwards its own again, bit for bit."""
        own = {name: weights.detach().clone() for name, weights in module.named_parameters()}
        self.copy_to(module)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weights in module.named_parameters():
                    weights.copy_(own[name])
