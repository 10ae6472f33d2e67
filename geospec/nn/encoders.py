"""Networks from points to columns: ``(..., n, d) -> (..., n, k)``, indifferent to the order of the points."""

from __future__ import annotations

import math
from itertools import pairwise
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ArgumentError, ShapeError, problem


class FourierFeatures(nn.Module):
    """``[x, sin(x B), cos(x B)]``: ``(..., d) -> (..., d + 2 directions)``.

    The ``directions`` columns of ``B (d, directions)`` are normal with standard deviation ``frequency`` radians per unit of
    length; they stay as they were drawn. Source: Tancik et al. 2020.
    """

    directions: Tensor

    def __init__(self, inputs: int, directions: int, frequency: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.register_buffer("directions", frequency * torch.randn(inputs, directions, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        phase = x @ self.directions
        return torch.cat([x, phase.sin(), phase.cos()], dim=-1)


class CoordinateMLP(nn.Module):
    """A function of the coordinates alone: Fourier features, ``depth`` hidden layers of ``width`` with GELU, a linear head.

    Each point is mapped for itself, so the columns extend to any other point. Cost ``2 n (depth width^2 + ...)`` flops.
    """

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 192, depth: int = 3, directions: int = 64, frequency: float = 8.0
    ) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, outputs=outputs, width=width, depth=depth)
        self.config: dict[str, Any] = {
            "inputs": inputs, "outputs": outputs, "width": width, "depth": depth, "directions": directions, "frequency": frequency
        }  # fmt: skip
        self.features = FourierFeatures(inputs, directions, frequency)
        sizes = [inputs + 2 * directions, *[width] * depth]
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.GELU())]
        self.hidden = nn.Sequential(*hidden)
        self.head = nn.Linear(sizes[-1], outputs)

    def forward(self, points: Tensor) -> Tensor:
        _check_points(points, self.config["inputs"])
        return self.head(self.hidden(self.features(points)))


class PointTransformer(nn.Module):
    """The paper's encoder: a point-wise MLP, a transformer over all points, a linear head. Attention costs ``O(n^2)`` time.

    Post-norm layers with GELU, no dropout, no position but the coordinates. Defaults are the paper's single-shape
    configuration: ``d-32-128-256``, 8 layers, 8 heads. Attention is computed in tiles, so memory stays linear in ``n``.
    Source: arXiv 2512.01103 and its configuration files.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int = 256, depth: int = 8, heads: int = 8) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, outputs=outputs, width=width, depth=depth)
        _check_heads(width, heads)
        self.config: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "width": width, "depth": depth, "heads": heads}
        sizes = [inputs, max(width // 8, 1), max(width // 2, 1), width]
        lift: list[nn.Module] = []
        for a, b in pairwise(sizes):
            lift += [nn.Linear(a, b), nn.LayerNorm(b), nn.GELU()]
        self.lift = nn.Sequential(*lift[:-2])
        layer = nn.TransformerEncoderLayer(width, heads, width, dropout=0.0, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, outputs)

    def forward(self, points: Tensor) -> Tensor:
        _check_points(points, self.config["inputs"])
        batched = points.reshape(math.prod(points.shape[:-2]), *points.shape[-2:])
        return self.head(self.layers(self.lift(batched))).reshape(*points.shape[:-1], self.config["outputs"])


class LatentAttention(nn.Module):
    """Points speak through ``tokens`` latent tokens: soft assignment, attention among tokens, the same assignment back.

    Each head assigns point ``i`` to its tokens by a softmax, gathers ``sum_i a_it x_i / sum_i a_it`` under the points' weights,
    lets tokens attend to each other, and returns ``sum_t a_it y_t``: ``O(n tokens)`` instead of ``O(n^2)``.
    Clouds are packed: rows ``offsets[b]`` to ``offsets[b + 1]`` are cloud ``b``, and no word passes between clouds.
    Source: Wu et al., Transolver, 2024, with the mass of the points as weights.
    """

    def __init__(self, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        _check_sizes(width=width, tokens=tokens)
        _check_heads(width, heads)
        self.heads, self.tokens = heads, tokens
        self.assign = nn.Linear(width, heads * tokens)
        self.value = nn.Linear(width, width)
        self.qkv = nn.Linear(width // heads, 3 * (width // heads))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        n, width = x.shape
        heads, each = self.heads, width // self.heads
        share = self.assign(x).view(n, heads, self.tokens).softmax(dim=-1)
        value = self.value(x).view(n, heads, each)
        mixed = []
        bounds = offsets.tolist()
        for begin, end in pairwise(bounds):
            part, weight = share[begin:end], weights[begin:end]
            held = part * weight[:, None, None]
            tokens = torch.einsum("nht,nhc->htc", held, value[begin:end]) / held.sum(dim=0)[..., None].clamp_min(1e-12)
            q, k, v = self.qkv(tokens).chunk(3, dim=-1)
            tokens = tokens + functional.scaled_dot_product_attention(q, k, v)
            mixed.append(torch.einsum("nht,htc->nhc", part, tokens).reshape(end - begin, width))
        return self.out(torch.cat(mixed) if mixed else x)


class LatentBlock(nn.Module):
    """Pre-norm residual block: latent attention, then a point-wise MLP."""

    def __init__(self, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = LatentAttention(width, heads, tokens)
        self.before_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        x = x + self.attention(self.before_attention(x), weights, offsets)
        return x + self.mlp(self.before_mlp(x))


class LatentTransformer(nn.Module):
    """Fourier features, ``depth`` blocks of latent-token attention, a linear head: linear in ``n`` in time and memory.

    Memory while training about ``70 n width depth`` bytes: 100k points at width 128 and depth 4 take about 4 GB.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        tokens: int = 32,
        directions: int = 64,
        frequency: float = 8.0,
    ) -> None:
        super().__init__()
        _check_sizes(inputs=inputs, outputs=outputs, width=width, depth=depth)
        self.config: dict[str, Any] = {
            "inputs": inputs, "outputs": outputs, "width": width, "depth": depth, "heads": heads, "tokens": tokens,
            "directions": directions, "frequency": frequency,
        }  # fmt: skip
        self.features = FourierFeatures(inputs, directions, frequency)
        self.lift = nn.Linear(inputs + 2 * directions, width)
        self.blocks = nn.ModuleList([LatentBlock(width, heads, tokens) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, points: Tensor) -> Tensor:
        _check_points(points, self.config["inputs"])
        n = points.shape[-2]
        packed = points.reshape(-1, points.shape[-1])
        offsets = n * torch.arange(math.prod(points.shape[:-2]) + 1)
        weights = points.new_full((len(packed),), 1 / max(n, 1))
        x = self.lift(self.features(packed))
        for block in self.blocks:
            x = block(x, weights, offsets)
        return self.head(self.norm(x)).reshape(*points.shape[:-1], self.config["outputs"])


#: Encoders by the names that :meth:`geospec.LearnedEigenbasis.fit` and files know.
ENCODERS: dict[str, type[nn.Module]] = {"mlp": CoordinateMLP, "transformer": PointTransformer, "latent": LatentTransformer}


def _check_heads(width: int, heads: int) -> None:
    _check_sizes(heads=heads)
    if width % heads:
        raise ArgumentError(problem("width", f"a multiple of heads = {heads}", width))


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ArgumentError(problem(name, "a positive integer", repr(value)))


def _check_points(points: Tensor, inputs: int) -> None:
    if points.dim() < 2 or points.shape[-1] != inputs:
        raise ShapeError(problem("points", f"shape (..., n, {inputs}), as the encoder was made for", tuple(points.shape)))


def suggested_frequency(eigenvalue: float, radius: float) -> float:
    """Standard deviation of Fourier directions, per unit of a cloud scaled to radius 1, that resolves waves of an eigenvalue."""
    return max(1.0, math.sqrt(max(eigenvalue, 0.0)) * radius / 1.5)
