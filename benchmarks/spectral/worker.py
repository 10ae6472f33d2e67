"""One measurement, alone in its process: ``python -m benchmarks.spectral --worker JSON``.

Time is that of the call alone. Imports, thread pools and copies into a method's own types come before, with a
call on a problem of a thousand points. Memory is the process's highest resident size, before and after.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .families import FAMILIES
from .problems import Problem, make


def main(text: str) -> None:
    """Do what the specification says; the answer goes to its ``answer`` file, for peers print what they like."""
    spec = json.loads(text)
    if "make" in spec:
        make(Path(spec["problem"]), *spec["make"])
        with np.load(spec["problem"]) as stored:
            answer = {"status": "ok", "n": int(max(len(stored[name]) for name in ("vertices", "points", "target_mass") if name in stored))}
    else:
        answer = measure(spec)
    Path(spec["answer"]).write_text(json.dumps(answer))


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Seconds, MiB and the verdict, or what went wrong."""
    keep_to(spec["threads"])
    family = FAMILIES[spec["family"]]
    setup = family.methods[spec["method"]]
    small, problem = (
        Problem.read(spec[name], min(spec["k"], limit), spec["threads"], spec["device"])
        for name, limit in (("warm_up", 100), ("problem", sys.maxsize))
    )
    try:
        warm_up, call = setup(small), setup(problem)
    except (ImportError, AttributeError) as cause:
        return {"status": "absent", "note": told(cause)}
    try:
        warm_up()
        before = highest_memory()
        times = [clocked(call, spec["device"])]
        after = highest_memory()
        while len(times) < spec["repeats"] and sum(t["seconds"] for t in times) < spec["patience"]:
            times.append(clocked(call, spec["device"]))
        verdict = family.judge(problem, times[-1]["result"])
    except Exception as cause:  # a benchmark reports how peers fail, whatever they raise
        return {"status": "failed", "note": told(cause)}
    np.save(spec["fingerprint"], verdict.fingerprint)
    medians = {name: statistics.median(t[name] for t in times) for name in ("seconds", "cpu")}
    memory = {"peak": after, "over": after - before, "device_peak": times[0]["device_peak"]}
    return {"status": "ok", **medians, **memory, "residual": verdict.residual, "orthonormality": verdict.orthonormality}


def keep_to(threads: int) -> None:
    """Hold the process to that many cores, before any library counts them: the one limit that all obey."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        first = os.getpid() % len(cores)
        os.sched_setaffinity(0, (cores[first:] + cores[:first])[:threads])


def clocked(call, device: str) -> dict[str, Any]:
    """One run: wall and processor seconds, the result, and MiB on the device where there is one."""
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    if device != "cpu":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = None if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20
    return {"seconds": wall, "cpu": cpu, "result": result, "device_peak": peak}


def highest_memory() -> float:
    """Highest resident size of this process so far, in MiB.

    From the kernel's own account where there is one: ``ru_maxrss`` starts at the size of the parent that forked.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def told(cause: BaseException) -> str:
    """Class and first line of an exception, for a cell of a table."""
    return f"{type(cause).__name__}: {(str(cause).strip() or 'no message').splitlines()[0]}"[:200]
