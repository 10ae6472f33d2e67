"""What the loss and its gradient cost, by captured energies and by projection for each truncation.

Each is measured in a process of its own: ``python -m geospec.reproductions.learned_eigenbasis.loss_cost WAY N M K``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WAYS = ("captured", "direct")


def direct_loss(basis: Tensor, probes: Tensor) -> Tensor:
    """``1 / (m K) sum_k |F - Q_k Q_k^T F|^2`` of ``basis (n, K)``, orthonormal, and ``probes (n, m)``, a truncation at a time.

    Every reconstruction is formed and kept for the gradient, as the paper's code does: ``K n m`` numbers.
    """
    coefficients = basis.T @ probes
    steps = basis.T[:, :, None] * coefficients[:, None, :]
    return (probes - steps.cumsum(dim=0)).square().sum() / (basis.shape[1] * probes.shape[1])


def captured_loss(basis: Tensor, probes: Tensor) -> Tensor:
    """The same number from the energies that the columns capture; no reconstruction is formed."""
    from ...ops import captured_energy

    residuals = probes.square().sum() - captured_energy(basis, probes).cumsum(0)
    return residuals.sum() / (basis.shape[1] * probes.shape[1])


def measured(way: str, n: int, m: int, k: int) -> dict[str, Any]:
    """Seconds (median) and MiB (peak over the start) of loss and gradient, measured in a process of its own."""
    command = [sys.executable, "-m", __name__, way, str(n), str(m), str(k)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"measuring {way} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def measure(way: str, n: int, m: int, k: int, repeats: int = 5) -> dict[str, Any]:
    loss_of = {"direct": direct_loss, "captured": captured_loss}[way]
    generator = torch.Generator().manual_seed(0)
    small = torch.linalg.qr(torch.randn(64, 4, generator=generator))[0].requires_grad_()
    loss_of(small, torch.randn(64, 8, generator=generator)).backward()  # what loads at first use
    basis = torch.linalg.qr(torch.randn(n, k, generator=generator))[0].requires_grad_()
    probes = torch.randn(n, m, generator=generator)
    before = _highest_memory()
    times = []
    for _ in range(repeats):
        basis.grad = None
        start = time.perf_counter()
        loss = loss_of(basis, probes)
        loss.backward()
        times.append(time.perf_counter() - start)
        peak = _highest_memory()
    assert basis.grad is not None
    # Off the orthonormal bases the two losses differ; along them, their gradients agree.
    with torch.no_grad():
        across = basis.T @ basis.grad
        along = basis.grad - basis @ (across + across.T) / 2
    return {"loss": float(loss.detach()), "gradient": float(along.norm()), "seconds": statistics.median(times), "mib": peak - before}


def _highest_memory() -> float:
    """Highest resident size of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(measure(sys.argv[1], *(int(word) for word in sys.argv[2:]))))
