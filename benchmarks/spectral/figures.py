"""The figures that the project has set itself, as data, and whether a run reaches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .registry import Case, is_ours


@dataclass(frozen=True)
class Figure:
    """``peer / ours >= wanted`` against the best of ``peers``, or without peers ``ours <= wanted``, in seconds or MiB.

    ``best`` names the quantity: ``seconds`` (or ``cpu`` by the option ``--clock``), ``over`` (MiB over the start) or ``peak``.
    """

    case: Case
    wanted: float
    peers: tuple[str, ...] = ()
    quantity: str = "seconds"
    device: str = "cpu"


def _eigen(n: int, k: int) -> Case:
    return Case("eigenpairs", "bumpy sphere", n, k)


EIGSH = ("SciPy eigsh",)
FIGURES = (
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

    Ours is the first of our methods that has an answer; where ours failed or left residuals, the figure is short.
    """
    quantity = clock if figure.quantity == "seconds" and figure.peers else figure.quantity
    case = figure.case
    here = [row for row in rows if (row["family"], row["shape"], row["n"], row["k"]) == (case.family, case.shape, case.n, case.k)]
    mine = [
        row for row in here if is_ours(row["method"]) and row["status"] != "absent" and row.get("device", figure.device) == figure.device
    ]
    peers = [row for row in here if row["method"] in figure.peers and row["status"] == "ok"]
    told: dict[str, Any] = {"figure": figure, "quantity": quantity, "verdict": "not measured"}
    if not mine or (figure.peers and not peers):
        return told
    ours = mine[0]
    if ours["status"] != "ok":
        return {**told, "verdict": "short", "note": ours["note"]}
    value = ours[quantity]
    if figure.peers:
        best = min(peers, key=lambda row: row[quantity])
        told |= {"peer": best["method"], "peer_value": best[quantity], "measured": best[quantity] / max(value, 1e-3)}
        reached = told["measured"] >= figure.wanted
    else:
        told["measured"] = value
        reached = value <= figure.wanted
    told |= {"method": ours["method"], "ours": value, "residual": ours["residual"], "threads": ours["threads"]}
    exact = ours["residual"] is None or ours["residual"] <= RESIDUAL
    return {**told, "verdict": "ok" if reached and exact else "short"}
