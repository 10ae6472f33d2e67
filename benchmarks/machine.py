"""What a table of timings was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def describe(packages: tuple[str, ...]) -> str:
    """One line: processor, threads, versions of Python, torch and the named packages."""
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} absent")
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    versions = ", ".join([f"Python {platform.python_version()}", f"torch {torch.__version__}", *found])
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; {versions}"
