"""Networks on features of a point, each of which begins with a linear layer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ArgumentError, problem
from .encoders import _check_sizes


class PointNetwork(nn.Module, ABC):
    """A function ``(..., inputs) -> (..., outputs)`` that begins with a linear layer: ``after(first(x))``.

    Who can have ``first`` of some features at less cost than by making them calls ``after`` alone.
    """

    first: nn.Linear

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.first(x))

    @abstractmethod
    def after(self, first: Tensor) -> Tensor:
        """The outputs, given those of the first layer before any activation."""


class LinearNet(PointNetwork):
    """A linear layer and nothing after."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, outputs=outputs)
        self.first = nn.Linear(inputs, outputs)

    def after(self, first: Tensor) -> Tensor:
        return first


class SirenNet(PointNetwork):
    """``layers`` hidden layers ``sin(w0 (W x + b))`` of width ``hidden``, then a linear one; as often differentiable as asked for.

    Weights and biases start uniform: in the first layer within ``1 / inputs``, in the others within ``sqrt(6 / hidden) / w0``.

    Parameters
    ----------
    w0_first, w0 : frequencies of the first and of the other sine layers. The location encoder of Russwurm et al. has 30 and 1;
        the original SIREN has ``w0=30``.
    dropout : share of the values set to 0 before each sine, while training.

    Source: Sitzmann et al. 2020, section 3.2; Russwurm et al., ICLR 2024.
    """

    def __init__(
        self, inputs: int, hidden: int, layers: int, outputs: int, *, w0_first: float = 30.0, w0: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, hidden=hidden, layers=layers, outputs=outputs)
        for name, value in (("w0_first", w0_first), ("w0", w0)):
            if not 0 < value < math.inf:
                raise ArgumentError(problem(name, "a positive number", value))
        if not 0 <= dropout < 1:
            raise ArgumentError(problem("dropout", "a share from 0 to below 1", dropout))
        self.w0_first, self.w0, self.dropout = w0_first, w0, dropout
        self.first = nn.Linear(inputs, hidden)
        self.hidden = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(layers - 1)])
        self.last = nn.Linear(hidden, outputs)
        _uniform(self.first, 1 / inputs)
        for layer in (*self.hidden, self.last):
            _uniform(layer, math.sqrt(6 / hidden) / w0)

    def after(self, first: Tensor) -> Tensor:
        x = self._sine(first, self.w0_first)
        for layer in self.hidden:
            x = self._sine(layer(x), self.w0)
        return self.last(x)

    def _sine(self, x: Tensor, w0: float) -> Tensor:
        return torch.sin(w0 * functional.dropout(x, self.dropout, self.training))


class ResidualBlock(nn.Module):
    """``x + relu(W2 dropout(relu(W1 x)))``, half of the values dropped while training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer, self.dropout = nn.Linear(width, width), nn.Linear(width, width), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(self.dropout(self.inner(x).relu())).relu()


class FCNet(PointNetwork):
    """Linear, ReLU, four residual blocks of width ``hidden`` with dropout 0.5, and a linear layer without bias.

    Source: Mac Aodha et al., "Presence-only geographical priors for fine-grained image classification", 2019.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, hidden=hidden, outputs=outputs)
        self.first = nn.Linear(inputs, hidden)
        self.blocks = nn.Sequential(*[ResidualBlock(hidden) for _ in range(4)])
        self.last = nn.Linear(hidden, outputs, bias=False)

    def after(self, first: Tensor) -> Tensor:
        return self.last(self.blocks(first.relu()))


NETWORKS = ("linear", "fcnet", "siren")


def point_network(name: str, inputs: int, outputs: int, *, hidden: int, layers: int, **siren: Any) -> PointNetwork:
    """One of :data:`NETWORKS`; ``layers`` and what follows is of the sine network alone, ``hidden`` of all but the linear one."""
    if name == "linear":
        return LinearNet(inputs, outputs)
    if name == "fcnet":
        return FCNet(inputs, hidden, outputs)
    return SirenNet(inputs, hidden, layers, outputs, **siren)


def _uniform(layer: nn.Linear, bound: float) -> None:
    for weights in layer.parameters():
        nn.init.uniform_(weights, -bound, bound)
