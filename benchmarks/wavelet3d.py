"""3D wavelet transforms beside PyWavelets, which is single-threaded: three levels of bior6.8 in mode ``constant``.

``python -m benchmarks.wavelet3d [threads] [size]``
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from geospec import ops

from .harness import Entry, run_table

KEYS = ("daa", "ada", "dda", "aad", "dad", "add", "ddd")


def shell(n: int, dtype: torch.dtype) -> Tensor:
    """A truncated distance field: a gyroid shell within a ball, in a box of half side 1."""
    x = (torch.arange(n, dtype=torch.float64) + 0.5) * (2 / n) - 1
    z, y, x = torch.meshgrid(x, x, x, indexing="ij")
    wave = (8 * x).sin() * (8 * y).cos() + (8 * y).sin() * (8 * z).cos() + (8 * z).sin() * (8 * x).cos()
    ball = (x * x + y * y + z * z).sqrt() - 0.8
    return torch.maximum(wave.abs() / 10 - 0.05, ball).clamp(-0.1, 0.1).to(dtype)


def kept_trees(coefficients: list[Tensor], share: float = 0.17) -> list[Tensor | None]:
    """The finest level dropped, and of the next two all but the details under a share of the cells."""
    coarse, last, middle, _ = coefficients
    strength = last.abs().amax(dim=0)
    kept = strength >= strength.flatten().kthvalue(int((1 - share) * strength.numel())).values
    below = torch.nn.functional.interpolate(kept[None, None].float(), scale_factor=2)[0, 0].bool()
    margin = [(b - m) // 2 for b, m in zip(below.shape, middle.shape[1:], strict=True)]
    below = below[tuple(slice(a, a + m) for a, m in zip(margin, middle.shape[1:], strict=True))]
    return [coarse, last * kept, middle * below, None]


def entries(n: int, dtype: torch.dtype) -> list[Entry]:
    """Forward, inverse, both, and the inverse of kept trees, for which PyWavelets takes no details of the finest level either."""
    import pywt

    grid = shell(n, dtype)
    theirs = grid.numpy()
    all_of_it = ops.wavelet3d_analysis(grid, levels=3)
    trees = kept_trees(all_of_it)

    def dictionaries(coefficients: Sequence[Tensor | None]) -> list:
        coarse, *details = coefficients
        named = [{} if d is None else {k: d[i].numpy() for i, k in enumerate(KEYS)} for d in details]
        return [coarse.numpy(), *named]  # type: ignore[union-attr]

    full, sparse = dictionaries(all_of_it), dictionaries(trees)
    runs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "forward": (lambda: ops.wavelet3d_analysis(grid, levels=3), lambda: pywt.wavedecn(theirs, "bior6.8", "constant", 3)),
        "inverse": (lambda: ops.wavelet3d_synthesis(all_of_it, grid.shape), lambda: pywt.waverecn(full, "bior6.8", "constant")),
        "inverse of 17 % of the trees, finest level dropped": (
            lambda: ops.wavelet3d_synthesis(trees, grid.shape),
            lambda: pywt.waverecn(sparse, "bior6.8", "constant"),
        ),
    }
    forward, inverse = runs["forward"], runs["inverse"]
    runs["forward and inverse"] = (lambda: (forward[0](), inverse[0]()), lambda: (forward[1](), inverse[1]()))
    size = f"{n}^3, {str(dtype).removeprefix('torch.')}, {torch.get_num_threads()} thread(s)"
    return [Entry(name, size, ours, peer, "PyWavelets", 1 / 10, repeats=5) for name, (ours, peer) in runs.items()]


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    for size in [int(sys.argv[2])] if len(sys.argv) > 2 else (128, 256):
        for kind in (torch.float32, torch.float64):
            run_table(entries(size, kind))
