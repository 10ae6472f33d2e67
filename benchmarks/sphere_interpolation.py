"""The fused layer on spherical harmonics by interpolation beside the direct sum and sphericart-torch with a linear layer.

``python -m benchmarks.sphere_interpolation [threads]``
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from geospec import ops

from .harness import Entry, run_table


def entries(n: int = 1_000_000, outputs: int = 64, degrees: tuple[int, ...] = (10, 20, 40)) -> list[Entry]:
    """Forward, and forward with the gradient in the weight. sphericart is wrong in float32 from degree 19: its time alone counts."""
    import sphericart.torch

    generator = torch.Generator().manual_seed(0)
    xyz = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=1)
    found = []
    for degree in degrees:
        weight = torch.randn(outputs, (degree + 1) ** 2, generator=generator) / (degree + 1)
        peer = sphericart.torch.SphericalHarmonics(degree)
        layers: dict[str, Callable[[Tensor], Tensor]] = {
            method: lambda w, m=method: ops.spherical_harmonics_linear(xyz, w, method=m) for method in ("interpolated", "direct")
        }
        layers["sphericart-torch and linear"] = lambda w, p=peer: torch.nn.functional.linear(p(xyz), w)
        size = f"{n:,} directions, degree {degree}, {outputs} outputs, float32, {torch.get_num_threads()} thread(s)"
        for other, limit in (("sphericart-torch and linear", 1 / 8), ("direct", 1.0)):
            for name, run in (("layer", _value), ("layer and gradient in the weight", _trained)):
                ours, theirs = (lambda f=run, layer=layers[key], w=weight: f(layer, w) for key in ("interpolated", other))
                found.append(Entry(name, size, ours, theirs, other, limit, repeats=3))
    return found


def _value(layer: Callable[[Tensor], Tensor], weight: Tensor) -> None:
    layer(weight)


def _trained(layer: Callable[[Tensor], Tensor], weight: Tensor) -> None:
    weight = weight.clone().requires_grad_()
    layer(weight).sum().backward()


def extra_memory(n: int = 1_000_000, outputs: int = 64, degree: int = 40) -> float:
    """MB by which the peak grows in one interpolated layer, its result left out."""
    xyz = torch.nn.functional.normalize(torch.randn(n, 3), dim=1)
    weight = torch.randn(outputs, (degree + 1) ** 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ops.spherical_harmonics_linear(xyz, weight, method="interpolated")
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 - n * outputs * 4 / 2**20


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(f"peak memory of the layer beyond its result, degree 40: {extra_memory():.0f} MB")
    run_table(entries())
