"""Spherical harmonics of a million random directions beside sphericart, and transforms on grids beside torch-harmonics and healpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from geospec import SphericalHarmonics, ops

from .harness import Entry


def directions(n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Unit vectors, alike in every direction."""
    return torch.nn.functional.normalize(torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=dtype), dim=1)


def entries(n: int = 1_000_000) -> list[Entry]:
    """Values, values and gradients, and the fused layer with 64 outputs. sphericart is wrong in float32 from degree 19."""
    import sphericart.torch

    xyz, found = directions(n), []
    for degree in (10, 20):
        peer = sphericart.torch.SphericalHarmonics(degree)
        above = torch.randn(n, (degree + 1) ** 2, generator=torch.Generator().manual_seed(1))
        size = f"{n:,} directions, degree {degree}, float32"
        found.append(
            Entry(
                "harmonics",
                size,
                lambda d=degree: ops.spherical_harmonics(xyz, d),
                lambda p=peer: p(xyz),
                "sphericart-torch",
                1 / 3,
                repeats=5,
            )
        )
        found.append(
            Entry(
                "harmonics and gradient",
                size,
                lambda d=degree, a=above: _gradient(lambda x: ops.spherical_harmonics(x, d), xyz, a),
                lambda p=peer, a=above: _gradient(p, xyz, a),
                "sphericart-torch",
                1 / 15,
                repeats=3,
            )
        )
    for degree in (10, 20, 40):
        found += layer_entries(xyz, degree, 64)
    return found


def layer_entries(xyz: Tensor, degree: int, outputs: int) -> list[Entry]:
    """A linear layer on harmonics, alone and with the gradient in its weight."""
    import sphericart.torch

    peer = sphericart.torch.SphericalHarmonics(degree)
    weight = torch.randn(outputs, (degree + 1) ** 2, generator=torch.Generator().manual_seed(1)) / (degree + 1)
    size = f"{len(xyz):,} directions, degree {degree}, {outputs} outputs, float32"

    def ours(x: Tensor, w: Tensor) -> Tensor:
        return ops.spherical_harmonics_linear(x, w)

    def theirs(x: Tensor, w: Tensor) -> Tensor:
        return torch.nn.functional.linear(peer(x), w)

    def trained(layer):
        w = weight.clone().requires_grad_()
        layer(xyz, w).sum().backward()

    return [
        Entry("fused layer", size, lambda: ours(xyz, weight), lambda: theirs(xyz, weight), "sphericart-torch and linear", 1 / 8, repeats=3),
        Entry(
            "fused layer and gradient in the weight",
            size,
            lambda: trained(ours),
            lambda: trained(theirs),
            "sphericart-torch and linear",
            1,
            repeats=3,
        ),
    ]


def transform_entries() -> list[Entry]:
    """One map on a Gauss-Legendre grid, both ways; healpy's grid has as many modes and two thirds of the points."""
    import healpy
    import torch_harmonics

    found = []
    for degree in (63, 127, 255):
        n = degree + 1
        for dtype in (torch.float32, torch.float64):
            basis = SphericalHarmonics(degree, dtype=dtype)
            field = torch.randn(n, basis.n // n, generator=torch.Generator().manual_seed(0), dtype=dtype)
            sizes = {"lmax": n, "mmax": n, "grid": "legendre-gauss"}
            there, back = (kind(n, field.shape[1], **sizes).to(dtype) for kind in (torch_harmonics.RealSHT, torch_harmonics.InverseRealSHT))
            ours, theirs = basis.analyze_grid(field), there(field)
            size, name = f"lmax {degree}, {str(dtype)[6:]}", "torch-harmonics"
            found.append(
                Entry("grid analysis", size, lambda b=basis, f=field: b.analyze_grid(f), lambda t=there, f=field: t(f), name, 1, repeats=15)
            )
            found.append(
                Entry(
                    "grid synthesis", size, lambda b=basis, c=ours: b.synthesize_grid(c), lambda t=back, c=theirs: t(c), name, 1, repeats=15
                )
            )
        side = n // 2
        pixels = np.random.default_rng(0).normal(size=12 * side * side)
        alm = healpy.map2alm(pixels, lmax=degree, iter=0)
        size = f"lmax {degree}, float64"
        found.append(
            Entry(
                "grid analysis",
                size,
                lambda b=basis, f=field: b.analyze_grid(f),
                lambda p=pixels, d=degree: healpy.map2alm(p, lmax=d, iter=0),
                "healpy",
                2,
                repeats=15,
            )
        )
        found.append(
            Entry(
                "grid synthesis",
                size,
                lambda b=basis, c=ours: b.synthesize_grid(c),
                lambda a=alm, s=side, d=degree: healpy.alm2map(a, s, lmax=d),
                "healpy",
                2,
                repeats=15,
            )
        )
    return found


def _gradient(harmonics: Callable[[Tensor], Tensor], xyz: Tensor, above: Tensor) -> None:
    x = xyz.clone().requires_grad_()
    harmonics(x).backward(above)
