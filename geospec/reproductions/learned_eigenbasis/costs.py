"""A10: what the loss costs."""

from __future__ import annotations

from collections.abc import Iterator

from ..record import Check, Row
from ..registry import Setting
from . import loss_cost


def loss_and_gradient(setting: Setting) -> Iterator[Row]:
    """Captured energies against a projection for each truncation: the same number, its time and its memory."""
    n, m, k = (1000, 300, 30) if setting.quick else (2500, 1000, 50)
    found = {way: loss_cost.measured(way, n, m, k) for way in loss_cost.WAYS}
    ours, direct = found["captured"], found["direct"]
    # What is allocated may fit into memory that the process already held: then its own result is the least it can take.
    least = n * k * 4 / 2**20
    faster, smaller = direct["seconds"] / ours["seconds"], direct["mib"] / max(ours["mib"], least)
    differ = max(abs(ours[name] / direct[name] - 1) for name in ("loss", "gradient"))
    checks = (
        Check("times faster", faster, "at least", 10),
        Check("times smaller", smaller, "at least", 20),
        Check("relative difference of loss and gradient", differ, "at most", 1e-3),
    )
    words = " against ".join(f"{1000 * cost['seconds']:.1f} ms and {max(cost['mib'], least):.1f} MiB" for cost in (ours, direct))
    yield Row("", "", "", checks, words, f"n = {n}, m = {m}, K = {k}, float32, one thread", numbers=found)
