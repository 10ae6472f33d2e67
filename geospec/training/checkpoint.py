"""Checkpoints: a folder of safetensors and one JSON each, whole or absent, from which a run goes on bit for bit.

Nothing here loads code: a checkpoint from elsewhere can be wrong, but it cannot run anything.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ArgumentError, FileFormatError, problem
from ..writing import folder_written_aside, read_safetensors, write_safetensors

FORMAT_VERSION = 1
_NAME = re.compile(r"step-(\d{9})")

Tensors = Mapping[str, Mapping[str, Tensor]]


class Checkpoints:
    """The checkpoints of one run: ``folder/step-000000500`` and so on, of which the last ``keep`` stay.

    Each holds a ``.safetensors`` file for each group of tensors and ``state.json`` for numbers and words.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        self.folder = Path(folder)
        self.keep = keep

    def steps(self) -> list[int]:
        """Steps of the checkpoints at hand, ascending."""
        if not self.folder.is_dir():
            return []
        found = (_NAME.fullmatch(path.name) for path in self.folder.iterdir() if path.is_dir())
        return sorted(int(name[1]) for name in found if name)

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}"

    def save(self, step: int, tensors: Tensors, state: Mapping[str, Any]) -> Path:
        """Write the checkpoint of a step, aside and renamed, then remove those that are too many."""
        path = self.path(step)
        with folder_written_aside(path) as aside:
            for group, arrays in tensors.items():
                write_safetensors(aside / f"{group}.safetensors", arrays, f"checkpoint {group}", FORMAT_VERSION)
            (aside / "state.json").write_text(json.dumps({"version": FORMAT_VERSION, **state}, indent=1, allow_nan=False))
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self.path(old))
        return path

    def state(self, step: int) -> dict[str, Any]:
        """The numbers and words of the checkpoint of a step."""
        path = self.path(step) / "state.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as cause:
            raise FileFormatError(problem(str(path), "the state of a checkpoint", f"no JSON ({cause})")) from cause
        if not isinstance(state, dict) or state.get("version") != FORMAT_VERSION:
            got = state.get("version", "none") if isinstance(state, dict) else "something else"
            raise FileFormatError(problem(str(path), f"the state of a checkpoint, version {FORMAT_VERSION}", got))
        return state

    def tensors(self, step: int, groups: tuple[str, ...]) -> dict[str, dict[str, Tensor]]:
        """The tensors of these groups, on the CPU."""
        paths = {group: self.path(step) / f"{group}.safetensors" for group in groups}
        return {group: read_safetensors(path, f"checkpoint {group}", FORMAT_VERSION)[1] for group, path in paths.items()}


def same_settings(path: Path, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than the checkpoint's, and name each that differs."""
    given = json.loads(json.dumps(given))
    differ = [name for name in sorted({*stored, *given}) if stored.get(name) != given.get(name)]
    if differ:
        was = ", ".join(f"{name} {stored.get(name)!r}" for name in differ)
        now = ", ".join(f"{name} {given.get(name)!r}" for name in differ)
        raise ArgumentError(problem(", ".join(differ), f"as in the checkpoint {path}: {was}", now, "start again in another folder"))


def same_sizes(path: Path, stored: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Refuse to go on with another module than the checkpoint's, and name the first few tensors that differ."""

    def size(tensors: Mapping[str, Tensor], name: str) -> str:
        return f"{tuple(tensors[name].shape)} {str(tensors[name].dtype)[6:]}" if name in tensors else "absent"

    differ = [name for name in dict.fromkeys([*given, *stored]) if size(stored, name) != size(given, name)]
    if differ:
        was = ", ".join(f"{name} {size(stored, name)}" for name in differ[:3])
        now = ", ".join(f"{name} {size(given, name)}" for name in differ[:3])
        more = f"; {len(differ)} tensors differ" if len(differ) > 3 else ""
        raise ArgumentError(problem("module", f"the sizes of the checkpoint {path}: {was}", now + more, "start again in another folder"))
