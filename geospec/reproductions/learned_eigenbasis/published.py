"""What the paper and its code give: the table of cosines, and probes as the code makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ... import ops
from ..registry import Setting

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Mean |cos| to cotangent eigenvectors over the first 10, 20 and 50, and mean relative eigenvalue error, a shape a row.
COSINES = {
    "armadillo": (0.968, 0.967, 0.773, 0.200),
    "bimba": (0.964, 0.945, 0.822, 0.093),
    "botijo": (0.972, 0.955, 0.813, 0.153),
    "elephant": (0.979, 0.866, 0.687, 0.105),
    "fertility": (0.874, 0.866, 0.720, 0.083),
    "kitten": (0.993, 0.988, 0.981, 0.088),
    "laurent hand": (0.823, 0.696, 0.568, 0.066),
    "lion": (0.951, 0.908, 0.822, 0.067),
    "pegaso": (0.932, 0.797, 0.544, 0.142),
}


def code_probes(points: Tensor, m: int, setting: Setting, batches: int = 8) -> Tensor:
    """Probe functions ``(n, m)`` float64 as the paper's released code draws them, on points of largest radius 1.

    Uniform noise in [-1, 1], smoothed 20 to 40 times on the graph of 10 to 20 nearest neighbours. Weights are
    ``exp(-r^2 / s^2)`` with ``s`` drawn anew from [0.01, 0.2] at every pass. A point gathers from its neighbours, and what a point
    gives away sums to one: mass is kept, constants are not. Neighbours and number of passes are drawn anew for each of the ``batches``.
    """
    generator = setting.generator()
    n, drawn = len(points), []
    for part in torch.arange(m).chunk(batches):
        neighbours, passes = (int(torch.randint(low, low + span + 1, (1,), generator=generator)) for low, span in ((10, 10), (20, 20)))
        squared, near = (found.numpy() for found in ops.knn(points, points, neighbours, exclude_self=True))
        signal = (2 * torch.rand(n, len(part), generator=generator, dtype=torch.float64) - 1).numpy()
        for _ in range(passes):
            bandwidth = 0.01 + 0.19 * float(torch.rand(1, generator=generator))
            signal = _mass_keeping(np.exp(-squared / bandwidth**2), near) @ signal
        drawn.append(torch.from_numpy(signal))
    return torch.cat(drawn, dim=1)


def _mass_keeping(weights: NDArray[np.float64], near: NDArray[np.int64]) -> csr_matrix:
    """The sparse ``(n, n)`` matrix of weights from ``near`` points to each, its columns scaled to sum to one."""
    from scipy.sparse import csr_matrix

    n, neighbours = near.shape
    start = np.arange(0, n * neighbours + 1, neighbours)
    given = np.bincount(near.ravel(), weights.ravel(), n)
    return csr_matrix(((weights / np.maximum(given[near], np.finfo(np.float64).tiny)).ravel(), near.ravel(), start), shape=(n, n))
