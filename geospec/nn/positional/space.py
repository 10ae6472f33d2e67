"""Encodings of the point in space: smooth on the whole sphere, poles and date line included."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ArgumentError, problem
from ..encoders import _check_sizes
from .base import PositionalEncoding


class Cartesian3D(PositionalEncoding):
    """``(x, y, z) = (cos lat cos lon, cos lat sin lon, sin lat)``: 3 features. Source: Mac Aodha et al. 2019."""

    features = 3

    def _of_directions(self, xyz: Tensor) -> Tensor:
        return xyz


class NeRF(PositionalEncoding):
    """``sin`` and ``cos`` of ``2^s pi xyz`` for ``s = 0 .. scales - 1``: ``6 scales`` features, three of each kind at a time.

    Source: Mildenhall et al. 2020, equation 4.
    """

    def __init__(self, scales: int = 8) -> None:
        super().__init__()
        _check_sizes(scales=scales)
        self.scales, self.features = scales, 6 * scales

    def _of_directions(self, xyz: Tensor) -> Tensor:
        octaves = 2.0 ** torch.arange(self.scales, dtype=xyz.dtype, device=xyz.device) * math.pi
        phase = octaves[:, None] * xyz[..., None, :]
        return torch.stack([phase.sin(), phase.cos()], dim=-2).flatten(start_dim=-3)


class RandomFourier(PositionalEncoding):
    """``sqrt(2 / features) cos(w . xyz + b)``: inner products of features come near ``exp(-frequency^2 |u - v|^2 / 2)``.

    Parameters
    ----------
    features : how many; the error of the kernel falls with their square root.
    frequency : standard deviation of the entries of ``w``; ``b`` is uniform on a circle.
    seed : what ``w`` and ``b`` depend on, and nothing else does. They are kept with the weights.

    Source: Rahimi and Recht 2007.
    """

    directions: Tensor
    phases: Tensor

    def __init__(self, features: int = 256, frequency: float = 8.0, seed: int = 0) -> None:
        super().__init__()
        _check_sizes(features=features)
        if not 0 < frequency < math.inf:
            raise ArgumentError(problem("frequency", "a positive number", frequency))
        generator = torch.Generator().manual_seed(seed)
        self.features = features
        self.register_buffer("directions", frequency * torch.randn(3, features, generator=generator, dtype=torch.float64))
        self.register_buffer("phases", 2 * math.pi * torch.rand(features, generator=generator, dtype=torch.float64))

    def _of_directions(self, xyz: Tensor) -> Tensor:
        phase = xyz @ self.directions.to(xyz) + self.phases.to(xyz)
        return math.sqrt(2 / self.features) * phase.cos()
