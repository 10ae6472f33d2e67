"""What the paper and its code give: the table of cosines, and probes as the code makes them."""

from __future__ import annotations

import torch
from torch import Tensor

from ... import ops
from ..registry import Setting

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
    ``exp(-r^2 / s^2)`` with ``s`` drawn anew from [0.01, 0.2] at every pass, and each point's outgoing weights sum to one.
    Neighbours and number of passes are drawn anew for each of the ``batches``.
    """
    generator = setting.generator()
    n, drawn = len(points), []
    for part in torch.arange(m).chunk(batches):
        neighbours, passes = (int(torch.randint(low, low + span + 1, (1,), generator=generator)) for low, span in ((10, 10), (20, 20)))
        squared, near = ops.knn(points, points, neighbours, exclude_self=True)
        signal = 2 * torch.rand(n, len(part), generator=generator, dtype=torch.float64) - 1
        for _ in range(passes):
            bandwidth = 0.01 + 0.19 * float(torch.rand(1, generator=generator))
            # An edge goes from a point to each of its neighbours; the largest exponent is taken out, or all would underflow.
            weights = torch.softmax(-squared / bandwidth**2, dim=1)
            signal = _sent(near, weights) @ signal
        drawn.append(signal)
    return torch.cat(drawn, dim=1)


def _sent(near: Tensor, weights: Tensor) -> Tensor:
    """The sparse ``(n, n)`` matrix that carries values along weighted edges, from each point to its neighbours."""
    n, neighbours = near.shape
    sender = torch.arange(n).repeat_interleave(neighbours)
    return torch.sparse_coo_tensor(torch.stack([near.reshape(-1), sender]), weights.reshape(-1), (n, n)).to_sparse_csr()
