"""Names of weights in the published location encoders, and here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..errors import ArgumentError, FileFormatError, problem

#: What the harmonics were evaluated with that published weights go with.
PUBLISHED = ("locationencoder-analytic", "locationencoder-closed-form", "satclip")
#: For each network, how published names begin, and names here; ``{n}`` is the number found plus the one given.
_BEGINNINGS: dict[str, list[tuple[str, str, int]]] = {
    "linear": [(r"(?=weight|bias)", "first.", 0)],
    "siren": [(r"layers\.0\.", "first.", 0), (r"layers\.(\d+)\.", "hidden.{n}.", -1), (r"last_layer\.", "last.", 0)],
    "fcnet": [
        (r"feats\.0\.", "first.", 0),
        (r"feats\.(\d+)\.w1\.", "blocks.{n}.inner.", -2),
        (r"feats\.(\d+)\.w2\.", "blocks.{n}.outer.", -2),
        (r"class_emb\.", "last.", 0),
    ],
}


def read_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of any safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        return load_file(path)
    except SafetensorError as cause:
        hint = "the docstring of LocationEncoder.from_published shows how to convert a checkpoint"
        raise FileFormatError(problem(str(path), "a safetensors file", f"an unreadable one ({cause})", hint)) from cause


def published_network(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Which network the weights of a published state dict are of, and those weights by the names here."""
    parts = {re.fullmatch(r"(?:.*\.)?(?:neural_network|nnet)\.(.*)", name): tensor for name, tensor in state.items()}
    tails = {found[1]: tensor for found, tensor in parts.items() if found} or dict(state)
    for network, beginnings in _BEGINNINGS.items():
        tensors = {_renamed(name, beginnings): tensor for name, tensor in tails.items()}
        ends = {"first.weight"} if network == "linear" else {"first.weight", "last.weight"}
        if ends <= {name for name in tensors if name is not None} and None not in tensors:
            return network, {name: tensor for name, tensor in tensors.items() if name is not None}
    got = ", ".join(list(tails)[:6]) or "no tensors"
    raise ArgumentError(problem("weights", "those of a linear, siren or fcnet network of the published code", got))


def _renamed(name: str, beginnings: list[tuple[str, str, int]]) -> str | None:
    for pattern, new, shift in beginnings:
        found = re.match(pattern, name)
        if found:
            return new.format(n=int(found[1]) + shift if found.groups() else 0) + name[found.end() :]
    return None
