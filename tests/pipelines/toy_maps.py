"""Functional maps for tests, in place of those that take minutes to make."""

import torch

from geospec.datasets import MAP_FAMILIES, FunctionalMaps

K = 20


def functional_maps(n, *, k=K, families=MAP_FAMILIES, seed=0, split="train", **_):
    """Maps of one of two sizes, ``n`` of them in all families alike; those of the splits differ."""
    generator = torch.Generator().manual_seed(2 * seed + (split == "train"))
    size = torch.tensor([0.1, 1.0])[torch.randint(2, (n,), generator=generator)]
    decay = torch.exp(-(torch.arange(K)[:, None] - torch.arange(K)).abs() / 4)
    maps = size[:, None, None] * decay * torch.randn(n, K, K, generator=generator)
    index, yes = torch.arange(n), torch.ones(n, dtype=torch.bool)
    return FunctionalMaps(maps, index % len(families), index // 2, index, torch.zeros(n), yes, yes, tuple(families))
