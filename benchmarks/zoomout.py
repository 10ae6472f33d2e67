"""``ops.zoomout`` beside the same steps by single searches, and beside products of all pairs: one map and a tournament of many."""

from __future__ import annotations

import torch

from geospec import ops

from .harness import Entry
from .spectral_nearest import torus_modes

# Sizes of the maps, samples of each shape, maps: what the optimisation of a pair asks for at every step, and what the
# rounds of a tournament of rough maps do.
SINGLE = (30, 40, 1500)
ROUNDS = ((7, 12, 150, 512), (12, 20, 200, 160), (20, 40, 500, 24))


def rough_maps(b: int, k: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    signs = torch.where(torch.rand(b, k, generator=generator) < 0.5, -1.0, 1.0)
    return torch.diag_embed(signs) + 0.1 * torch.randn(b, k, k, generator=generator)


def modes(n: int, k: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(2**0.5 * torus_modes(n, k, seed)).float()


def single_entry(noise: float) -> Entry:
    first, last, n = SINGLE
    source, target = modes(n, last, 0), modes(n, last, 1)
    measure = torch.full((n,), 1 / n)
    start = torch.eye(first) + noise * torch.randn(first, first, generator=torch.Generator().manual_seed(0))
    sizes = [(k, k) for k in range(first, last + 1)]

    def searches() -> torch.Tensor:
        c = start
        for k in range(first, last):
            nearest = ops.spectral_nearest(target[:, :k], source[:, :k] @ c.T)[0]
            c = (measure[:, None] * target[:, : k + 1]).T @ source[nearest, : k + 1]
        return c

    return Entry(
        f"zoomout of one map, noise {noise}",
        f"{first} to {last} modes, {n} x {n} points",
        lambda: ops.zoomout(start[None], source, target, sizes, measure=measure),
        searches,
        "spectral_nearest, projection",
        0.5,
    )


def tournament_entry(first: int, last: int, n: int, b: int) -> Entry:
    source, target, start = modes(n, last, 0), modes(n, last, 1), rough_maps(b, first)
    sizes = [first]
    while sizes[-1] < last:
        sizes.append(min(sizes[-1] + max(1, sizes[-1] // 10), last))
    factor = torch.linalg.cholesky(target.double().T @ target.double())

    def products() -> torch.Tensor:
        maps = start
        for k, grown in zip(sizes, [*sizes[1:], last], strict=True):
            points = source[:, :k] @ maps.mT
            images = (target[:, :k] @ points.mT - points.square().sum(dim=-1)[:, None, :] / 2).argmax(dim=-1)
            right = target[:, :grown].T @ source[:, :grown][images]
            maps = torch.cholesky_solve(right.double(), factor[:grown, :grown]).float()
        return maps

    return Entry(
        "zoomout of many maps",
        f"{b} maps, {first} to {last} modes, {n} x {n} points",
        lambda: ops.zoomout(start, source, target, [(k, k) for k in [*sizes, last]], factor=factor),
        products,
        "torch, all pairs",
        0.5,
    )


def entries() -> list[Entry]:
    return [*(single_entry(noise) for noise in (0.05, 0.4)), *(tournament_entry(*size) for size in ROUNDS)]
