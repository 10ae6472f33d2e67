"""Files of trained weights: a module's tensors, and how to make the module that takes them. Reading runs no code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import FileFormatError, problem
from .writing import read_safetensors, write_safetensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FORMAT_VERSION = 1
ModuleType = TypeVar("ModuleType", bound="nn.Module")


@dataclass(frozen=True)
class Weights:
    """A file of trained weights.

    Attributes
    ----------
    path : the file. kind : what they are weights of. arguments : of the constructor. metrics : measured when they were made.
    command : that made them. seed : of that run, or ``None``. tensors : by name, on the CPU.
    """

    path: Path
    kind: str
    arguments: dict[str, Any]
    metrics: dict[str, Any]
    command: str
    seed: int | None
    tensors: dict[str, Tensor] = field(repr=False)

    def make(self, cls: type[ModuleType]) -> ModuleType:
        """``cls(**arguments)`` with these weights, in evaluation mode.

        Raises
        ------
        FileFormatError : arguments that the class refuses; tensors that it lacks, or has in other shapes: each named.
        """
        try:
            module = cls(**self.arguments)
        except (TypeError, ValueError) as cause:
            given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
            raise FileFormatError(problem(str(self.path), f"the arguments of a {cls.__name__}", given, str(cause))) from cause
        own = module.state_dict()
        for name in dict.fromkeys([*own, *self.tensors]):
            sizes = [tuple(tensors[name].shape) if name in tensors else "absent" for tensors in (own, self.tensors)]
            if sizes[0] != sizes[1]:
                raise FileFormatError(problem(f"{self.path}, {name}", f"{sizes[0]}, as in a {cls.__name__}", sizes[1]))
        module.load_state_dict(self.tensors)
        return module.eval()


def save_weights(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    kind: str,
    arguments: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
    command: str = "",
    seed: int | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a module's parameters and buffers as safetensors, aside and renamed.

    Parameters
    ----------
    kind : the name under which :func:`load_weights` asks for them; it has its version in it where the module changed, ``"name-2"``.
    arguments : with which the constructor makes the module again: plain JSON.
    metrics, command, seed : what was measured, and what made them.
    dtype : of the floats in the file, half as large in ``torch.float16``; a module takes them in its own type.
    """
    tensors = {name: t.to(dtype) if dtype is not None and t.is_floating_point() else t for name, t in module.state_dict().items()}
    words = {"arguments": dict(arguments), "metrics": dict(metrics or {}), "seed": seed}
    header = {name: json.dumps(value, allow_nan=False) for name, value in words.items()}
    write_safetensors(path, tensors, "weights", FORMAT_VERSION, kind=kind, command=command, **header)


def load_weights(path: str | os.PathLike[str], kind: str) -> Weights:
    """Read weights of a kind; ``load_weights(path, kind).make(cls)`` is the module.

    Raises
    ------
    FileNotFoundError : no such file. FileFormatError : unreadable, no weights, another version, another kind, a broken header.
    """
    header, tensors = read_safetensors(path, "weights", FORMAT_VERSION)
    if header.get("kind") != kind:
        raise FileFormatError(problem(str(path), f"weights of kind {kind!r}", f"kind {header.get('kind')!r}"))
    try:
        words = {name: json.loads(header[name]) for name in ("arguments", "metrics", "seed")}
        if not isinstance(words["arguments"], dict):
            raise ValueError("arguments are no mapping")
    except (KeyError, ValueError) as cause:
        raise FileFormatError(
            problem(str(path), "arguments, metrics and seed as JSON in the header", ", ".join(header), str(cause))
        ) from cause
    return Weights(Path(path), kind, command=header.get("command", ""), tensors=tensors, **words)


def shipped(name: str) -> Path:
    """The file of weights that ships under a name, in an installed package as in a checkout.

    Raises
    ------
    FileNotFoundError : none of this name; the message tells which there are and where they were looked for.
    """
    package = Path(__file__).parent
    folders = (package / "data" / "weights", package.parent / "data" / "weights")  # as installed; a checkout, also an editable one
    for folder in folders:
        if (folder / f"{name}.safetensors").is_file():
            return folder / f"{name}.safetensors"
    there = sorted(path.stem for folder in folders for path in folder.glob("*.safetensors"))
    raise FileNotFoundError(
        f"no shipped weights {name!r}; there are: {', '.join(there) or 'none'}; looked in {folders[0]} and {folders[1]}"
    )
