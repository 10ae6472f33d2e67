"""The figures that the project has set itself, as data, and whether a run reaches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .registry import Case, is_ours


@dataclass(frozen=True)
class Figure:
    """``peer / ours >= wanted`` for the best of ``peers``; without peers ``ours <= wanted``, in seconds or MiB.

    ``quantity`` is ``seconds`` (or ``cpu`` by the option ``--clock``), ``over`` (MiB over the start) or ``peak``.
    """

    case: Case
    wanted: float
    peers: tuple[str, ...] = ()
    quantity: str = "seconds"
    device: str = "cpu"


def _eigen(n: int, k: int) -> Case:
    return Case("eigenpairs", "bumpy sphere", n, k)


EIGSH = ("SciPy eigsh",)
FIGURES: tuple[Figure, ...] = (
    Figure(_eigen(10_000, 128), 4, EIGSH),
    Figure(_eigen(50_000, 128), 5, EIGSH),
    Figure(_eigen(200_000, 128), 6, EIGSH),
    Figure(_eigen(10_000, 128), 1, EIGSH, "over"),
    Figure(_eigen(50_000, 128), 1, EIGSH, "over"),
    Figure(_eigen(200_000, 128), 1, EIGSH, "over"),
    Figure(_eigen(50_000, 500), 8, EIGSH),
    Figure(_eigen(1_000_000, 128), 600),
    Figure(_eigen(1_000_000, 128), 16 * 1024, (), "peak"),
    Figure(_eigen(200_000, 128), 2, (), "seconds", "cuda"),
    Figure(Case("mesh Laplacian, robust", "bumpy sphere", 50_000, 0), 5, ("robust_laplacian",)),
    Figure(Case("mesh Laplacian, robust", "bumpy sphere", 200_000, 0), 5, ("robust_laplacian",)),
    Figure(Case("cloud Laplacian", "bumpy sphere", 50_000, 30), 5, ("robust_laplacian",)),
    Figure(Case("cloud Laplacian", "bumpy sphere", 200_000, 30), 5, ("robust_laplacian",)),
    Figure(
        Case("3D neighbours of every point", "bumpy sphere", 1_000_000, 16),
        1.5,
        ("cKDTree", "pynanoflann, float32", "Open3D, float32", "scikit-learn KDTree"),
    ),
    *(Figure(Case("spectral nearest, converged map", "converged map", 50_000, k), 2, ("cKDTree",)) for k in (50, 128)),
    *(
        Figure(Case("spectral nearest, random map", "random map", 50_000, k), 2, ("faiss flat", "torch, blocks of products"))
        for k in (50, 128)
    ),
    Figure(Case("ZoomOut", "pair of creatures", 5_000, 100), 10, ("pyFM",)),
)
#: A solver's answer counts when its worst relative residual is at most this.
RESIDUAL = 1e-8


def check(figure: Figure, rows: list[dict[str, Any]], clock: str) -> dict[str, Any]:
    """The figure as a row: what was measured, and ``ok``, ``short`` or ``not measured``.

    At the lowest number of threads at which both sides ran. Ours is the first of our methods that is there; where it
    failed or left residuals, the figure is short.
    """
    case, told = figure.case, {"figure": figure, "quantity": clock if figure.quantity == "seconds" and figure.peers else figure.quantity}
    here = [row for row in rows if (row["family"], row["shape"], row["n"], row["k"]) == (case.family, case.shape, case.n, case.k)]
    for threads in sorted({row["threads"] for row in here}):
        alike = [row for row in here if row["threads"] == threads]
        mine = [row for row in alike if is_ours(row["method"]) and row["device"] == figure.device and row["status"] != "absent"]
        peers = [row for row in alike if row["method"] in figure.peers and row["status"] == "ok"]
        if mine and (peers or not figure.peers):
            return {**told, "threads": threads, **_verdict(figure, mine[0], peers, told["quantity"])}
    return {**told, "verdict": "not measured"}


def _verdict(figure: Figure, ours: dict[str, Any], peers: list[dict[str, Any]], quantity: str) -> dict[str, Any]:
    if ours["status"] != "ok":
        return {"verdict": "short", "note": ours["note"]}
    found = {"method": ours["method"], "ours": ours[quantity], "measured": ours[quantity]}
    reached = found["measured"] <= figure.wanted
    if peers:
        best = min(peers, key=lambda row: row[quantity])
        ratio = best[quantity] / max(ours[quantity], 1e-3)  # less than a page more than at the start counts as a kilobyte
        found |= {"peer": best["method"], "peer_value": best[quantity], "measured": ratio}
        reached = ratio >= figure.wanted
    exact = ours["residual"] is None or ours["residual"] <= RESIDUAL
    return {**found, "verdict": "ok" if reached and exact else "short", "note": "" if exact else f"residual {ours['residual']:.0e}"}
