"""Rows as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .registry import is_ours

HEADER = (
    "| what | shape | n | k | threads | method | seconds (range) | CPU s | / ours | peak MiB (over start) | residual | differs by | |\n"
    "| --- | --- | --: | --: | --: | --- | --: | --: | --: | --: | --: | --: | --- |"
)
FIGURE_HEADER = "| figure | case | asked | measured | ours | best peer | threads | |\n| --- | --- | --- | --: | --: | --- | --: | --- |"


def lines(rows: list[dict[str, Any]], clock: str) -> list[str]:
    """The rows of one case; times over the first of ours that has one."""
    ours = next((row for row in rows if is_ours(row["method"]) and row["status"] == "ok"), None)
    return [_line(row, ours, clock) for row in rows]


def _line(row: dict[str, Any], ours: dict[str, Any] | None, clock: str) -> str:
    shape = Path(row["shape"]).name
    method = row["method"] + f" on {row['device']}" * (row["device"] != "cpu")
    start = f"| {row['family']} | {shape} | {row['n']:,} | {row['k'] or ''} | {row['threads']} | {method} |"
    if row["status"] != "ok":
        return f"{start} | | | | | | {row['status']}: {row['note']} |".replace("\n", " ")
    low, high = row["range"]
    time = f"{row['seconds']:.3g}" + (f" ({low:.3g} to {high:.3g})" if row["rounds"] > 1 else "")
    ratio = "" if ours is None else f"**{row[clock] / ours[clock]:.2f}**"
    memory = f"{row['peak']:.0f} ({row['over']:.0f})" + (f", device {row['device_peak']:.0f}" if row.get("device_peak") else "")
    residual = "" if row["residual"] is None else f"{row['residual']:.0e}"
    differs = "" if row.get("difference") is None else f"{row['difference']:.0e}"
    crooked = row["orthonormality"] is not None and row["orthonormality"] > 1e-6
    note = f"not orthonormal: {row['orthonormality']:.0e}" if crooked else ""
    return f"{start} {time} | {row['cpu']:.3g} | {ratio} | {memory} | {residual} | {differs} | {note} |"


UNITS = {"seconds": "s", "cpu": "CPU s", "over": "MiB over start", "peak": "MiB"}


def figure_line(found: dict[str, Any]) -> str:
    """One figure: what is wanted, what came."""
    figure, unit = found["figure"], UNITS[found["quantity"]]
    case = figure.case
    count = f", k = {case.k}" if case.k else ""
    peers = "best of " * (len(figure.peers) > 1) + "; ".join(figure.peers)
    asked = (
        f"{peers} / ours >= {figure.wanted:g}" if peers else f"ours <= {figure.wanted:g} {unit}" + " on a GPU" * (figure.device != "cpu")
    )
    start = f"| {case.family} | {case.n:,}{count} | {asked} |"
    verdict = found["verdict"] if found["verdict"] == "ok" else f"**{found['verdict']}** {found.get('note', '')}"
    if "measured" not in found:
        return f"{start} | | | | {verdict} |"
    measured = f"**{found['measured']:.2f}**" if peers else f"{found['measured']:.3g} {unit}"
    peer = f"{found['peer']}, {found['peer_value']:.3g} {unit}" if peers else ""
    return f"{start} {measured} | {found['ours']:.3g} {unit} | {peer} | {found['threads']} | {verdict} |"
