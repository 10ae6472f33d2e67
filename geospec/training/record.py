"""The record of a run: one line of JSON a step."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, problem
from ..writing import written_aside


class Record:
    """Appends to ``metrics.jsonl``; begun again after step ``done``, it drops the lines of later steps, which will be repeated."""

    def __init__(self, path: str | os.PathLike[str], done: int = 0) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_record(path) if line["step"] <= done] if done and path.exists() else []
        with written_aside(path) as aside:
            aside.write_text("".join(_line(entry) for entry in kept))
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def add(self, entry: dict[str, Any]) -> None:
        self._file.write(_line(entry))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_record(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The entries of ``metrics.jsonl``, one a step: step (from 1), loss, learning_rate, gradient_norm, seconds, whatever else
    the loss returned, ``"skipped": true`` where the gradient was not finite, and ``"validation"`` where there was one. A number that
    was not finite is ``None``. A last line that was cut off is left out.

    Raises
    ------
    FileFormatError : a line before the last that is no entry.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            entries.append({"step": int(entry["step"]), **entry})
        except (ValueError, TypeError, KeyError) as cause:
            if number < len(lines):
                raise FileFormatError(problem(f"{path}, line {number}", "an entry of a training record", repr(line[:80]))) from cause
    return entries


def plain(value: Any) -> Any:
    """The value with ``None`` for each number that is not finite: JSON has no word for those."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(plain(entry), allow_nan=False) + "\n"
