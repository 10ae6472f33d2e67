"""Runs ours and a peer in turn, in one process, and reports medians and their ratio.

Machines are shared and drift, so a time alone says little: runs alternate (A B A B ...), the figure to
quote is the ratio of the medians, and the spread of the ratio stands beside it.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One comparison. ``limit`` is the ratio ours / peer that the project asks for, at most."""

    name: str
    size: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    peer_name: str
    limit: float
    repeats: int = 7


@dataclass(frozen=True)
class Timing:
    """Medians in seconds; ``low`` and ``high`` are the extreme ratios of neighbouring runs."""

    entry: Entry
    ours: float
    peer: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call, with the garbage collector out of the way."""
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    run()
    elapsed = time.perf_counter() - start
    gc.enable()
    return elapsed


def measure(entry: Entry) -> Timing:
    """One warm-up of each, then alternating runs."""
    entry.ours()
    entry.peer()
    pairs = [(seconds(entry.ours), seconds(entry.peer)) for _ in range(entry.repeats)]
    ours, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = [a / b for a, b in pairs]
    return Timing(entry, ours, peer, min(ratios), max(ratios))


HEADER = "| what | size | ours | peer | ours / peer | range | asked | |\n| --- | --- | --- | --- | --- | --- | --- | --- |"


def row(timing: Timing) -> str:
    """A line of the table, Markdown."""
    entry = timing.entry
    verdict = "ok" if timing.ratio <= entry.limit else "**short**"
    return (
        f"| {entry.name} | {entry.size} | {timing.ours:.4g} s | {entry.peer_name} {timing.peer:.4g} s | **{timing.ratio:.2f}** "
        f"| {timing.low:.2f} to {timing.high:.2f} | <= {entry.limit:.2f} | {verdict} |"
    )


def run_table(entries: list[Entry]) -> list[Timing]:
    """Measure every entry and print the table as it grows."""
    print(HEADER, flush=True)
    timings = []
    for entry in entries:
        timings.append(measure(entry))
        print(row(timings[-1]), flush=True)
    return timings
