"""Starts workers one at a time, stops those that take too long or too much, and gathers their rounds."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .problems import MAKERS, place
from .registry import Case, Family, is_ours

ROOT = Path(__file__).resolve().parents[2]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "IGL_NUM_THREADS")


@dataclass(frozen=True)
class Limits:
    """How workers run: cores, rounds, seconds and GiB after which one is stopped, device of ours."""

    threads: int = 1
    rounds: int = 3
    timeout: float = 1800.0
    memory: float = 16.0
    device: str = "cpu"
    folder: Path = Path("build/benchmarks")
    #: A method that took longer than this has one round.
    long: float = 60.0


def start(spec: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """Run a worker to its end, or to a limit; its answer, or what became of it."""
    environment = {**os.environ, **dict.fromkeys(THREADS, str(limits.threads))}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.spectral", "--worker", json.dumps({**spec, "answer": str(answer)})]
        with open(Path(folder) / "errors", "w+") as errors:
            worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
            try:
                stopped = _watch(worker, limits)
            finally:
                worker.kill()
                worker.wait()
            if stopped:
                return {"status": "stopped", "note": stopped}
            if answer.exists():
                return json.loads(answer.read_text())
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["no message"])[-1]
    code = worker.returncode
    return {"status": "failed", "note": f"killed by {signal.Signals(-code).name}" if code < 0 else last[:200]}


def _watch(worker: subprocess.Popen, limits: Limits) -> str:
    """Wait for a worker; why it must stop, or nothing. Polls quickly at first, then every half second."""
    begun, pause = time.monotonic(), 0.01
    while worker.poll() is None:
        if time.monotonic() - begun > limits.timeout:
            return f"longer than {limits.timeout:g} s"
        if _resident(worker.pid) > limits.memory:
            return f"more than {limits.memory:g} GiB"
        time.sleep(pause)
        pause = min(0.5, 1.5 * pause)
    return ""


def _resident(pid: int) -> float:
    """GiB that a process holds now; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (OSError, IndexError):
        return 0.0


def prepared(case: Case, limits: Limits) -> tuple[Case, Path]:
    """The case's problem, made where it is not there yet; a mesh from a file tells its size."""
    path = place(limits.folder.resolve(), case.shape, case.n, case.k)
    if not path.exists() or case.n == 0:
        answer = start({"make": [case.shape, case.n, case.k], "problem": str(path)}, replace(limits, timeout=3600.0))
        if answer["status"] != "ok":
            raise RuntimeError(f"{case.shape}: {answer['note']}")
        case = replace(case, n=answer["n"])
    return case, path


def compare(family: Family, case: Case, methods: list[str], refused: dict[str, str], limits: Limits) -> list[dict[str, Any]]:
    """All methods on one case, in rounds A B C A B C ...; one row a method. ``refused`` says which not to start, and why."""
    alike = case.shape if case.shape in MAKERS else "bumpy sphere"
    _, warm_up = prepared(replace(case, shape=alike, n=1000), limits)
    case, path = prepared(case, limits)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
    prints: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        fingerprint = Path(folder) / "fingerprint.npy"
        common = {"problem": str(path), "warm_up": str(warm_up), "fingerprint": str(fingerprint), "family": family.name, "k": case.k}
        for turn in range(limits.rounds):
            for name in methods:
                done = runs[name]
                if turn and (done[0]["status"] != "ok" or done[0]["seconds"] > limits.long):
                    continue
                if name in refused:
                    done.append({"status": "not run", "note": refused[name]})
                    continue
                device = limits.device if is_ours(name) else "cpu"
                spec = {**common, "method": name, "threads": limits.threads, "device": device, "repeats": 5, "patience": 2.0}
                done.append(start(spec, limits))
                if fingerprint.exists():
                    prints[name] = np.load(fingerprint)
                    fingerprint.unlink()
    return [_row(family, case, name, runs[name], prints, limits) for name in methods]


def _row(family: Family, case: Case, name: str, runs: list[dict], prints: dict[str, np.ndarray], limits: Limits) -> dict[str, Any]:
    """Medians over the rounds, worst residual, and the distance from the reference's answer."""
    row = {"family": case.family, "shape": case.shape, "n": case.n, "k": case.k, "method": name, "threads": limits.threads}
    row["device"] = limits.device if is_ours(name) else "cpu"
    bad = next((run for run in runs if run["status"] != "ok"), None)
    if bad is not None:
        return {**row, "status": bad["status"], "note": bad["note"]}
    for key in ("seconds", "cpu", "peak", "over", "device_peak"):
        values = [run[key] for run in runs if run[key] is not None]
        row[key] = statistics.median(values) if values else None
    row["range"] = [min(run["seconds"] for run in runs), max(run["seconds"] for run in runs)]
    for key in ("residual", "orthonormality"):
        row[key] = max((run[key] for run in runs if run[key] is not None), default=None)
    mine, reference = prints[name], prints.get(family.reference)
    if reference is not None and name != family.reference:
        same_length = mine.shape == reference.shape
        row["difference"] = float(np.linalg.norm(mine - reference) / np.linalg.norm(reference)) if same_length else None
    return {**row, "status": "ok", "rounds": len(runs)}
