"""A transformer over the patches of a small image, told how noisy the image is: the network of a diffusion model."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ArgumentError, ShapeError, problem
from .encoders import _check_heads, _check_sizes


class DiffusionTransformer(nn.Module):
    """``(b, c, h, w)`` and noise levels ``(b,)`` to ``(b, out, h, w)``, for images of any size.

    Images are cut into patches of ``patch x patch`` (zeros fill up the last row and column of patches), patches become tokens with
    the sines and cosines of their place, counted from the upper left corner, so that one network serves all sizes. Each of
    ``depth`` blocks scales, shifts and gates its two parts, attention and MLP, by what it is told of the noise (adaLN-Zero); gates and
    output start at zero. Heads of ``width / heads``, MLPs of ``4 width``. Noise is given to the network times ``noise_scale``, as
    sines and cosines of frequencies 1 down to 1e-4.

    Cost: about ``2 t (12 width^2 + 2 t width) depth`` flops an image of ``t`` tokens. Parameters: ``18 width^2`` a block.
    Source: Peebles and Xie 2023, "Scalable diffusion models with transformers".
    """

    def __init__(
        self,
        channels: int = 1,
        out: int = 1,
        *,
        width: int = 128,
        depth: int = 6,
        heads: int = 4,
        patch: int = 5,
        noise_scale: float = 100.0,
    ) -> None:
        super().__init__()
        _check_sizes(channels=channels, out=out, width=width, depth=depth, patch=patch)
        _check_heads(width, heads)
        if width % 4:
            raise ArgumentError(problem("width", "a multiple of 4, for sines and cosines in two directions", width))
        self.config: dict[str, Any] = {
            "channels": channels, "out": out, "width": width, "depth": depth, "heads": heads, "patch": patch, "noise_scale": noise_scale
        }  # fmt: skip
        self.embed = nn.Linear(channels * patch**2, width)
        self.noise = nn.Sequential(nn.Linear(2 * NOISE_WAVES, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList([_Block(width, heads) for _ in range(depth)])
        self.last = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.head = nn.Linear(width, out * patch**2)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for layer in self.noise:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
        for part in (self.last, *(block.modulate for block in self.blocks)):
            nn.init.zeros_(part[1].weight)  # type: ignore[index, union-attr]
        nn.init.zeros_(self.head.weight)

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        channels, patch = self.config["channels"], self.config["patch"]
        if image.dim() != 4 or image.shape[1] != channels or noise.shape != image.shape[:1]:
            wanted = f"(b, {channels}, h, w) and levels (b,)"
            raise ShapeError(problem("image, noise", wanted, f"{tuple(image.shape)} and {tuple(noise.shape)}"))
        h, w = image.shape[2:]
        rows, columns = math.ceil(h / patch), math.ceil(w / patch)
        padded = functional.pad(image, (0, columns * patch - w, 0, rows * patch - h))
        x = self.embed(functional.pixel_unshuffle(padded, patch).flatten(2).mT)
        x = x + _positions(rows, columns, x.shape[-1]).to(x)
        told = self.noise(_waves(noise * self.config["noise_scale"]).to(x))
        for block in self.blocks:
            x = block(x, told)
        shift, scale = self.last(told)[:, None].chunk(2, dim=-1)
        x = self.head(_normalised(x) * (1 + scale) + shift)
        image = functional.pixel_shuffle(x.mT.unflatten(2, (rows, columns)), patch)
        return image[:, :, :h, :w]


#: Frequencies of the noise embedding.
NOISE_WAVES = 128


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulate = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.modulate(told)[:, None].chunk(6, dim=-1)
        q, k, v = self.qkv(_normalised(x) * (1 + scale) + shift).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + gate * self.out(attended)
        return x + gate_mlp * self.mlp(_normalised(x) * (1 + scale_mlp) + shift_mlp)


def _normalised(x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], eps=1e-6)


def _waves(noise: Tensor) -> Tensor:
    frequency = torch.exp(-math.log(1e4) / NOISE_WAVES * torch.arange(NOISE_WAVES, device=noise.device, dtype=noise.dtype))
    phase = noise[:, None] * frequency
    return torch.cat([phase.cos(), phase.sin()], dim=-1)


def _positions(rows: int, columns: int, width: int) -> Tensor:
    """``(rows columns, width)``: half of the features for the row, half for the column."""
    frequency = 1e4 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))

    def along(n: int) -> Tensor:
        phase = torch.arange(n, dtype=torch.float64)[:, None] * frequency
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    half = width // 2
    down, across = along(rows)[:, None].expand(rows, columns, half), along(columns)[None].expand(rows, columns, half)
    return torch.cat([down, across], dim=-1).flatten(0, 1)
