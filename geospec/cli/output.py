"""What the verbs share: checks before the work, a voice, a progress bar, JSON."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, problem

if TYPE_CHECKING:
    import torch
    import typer
    from rich.console import Console

    from ..shapes import Mesh, PointCloud

Progress = Callable[[str, int, int], None]


def check_output(option: str, path: Path | None, suffixes: tuple[str, ...], inputs: Sequence[Path] = ()) -> None:
    """Refuse, before any work is done, a path that could not be written in the end. Nothing is left behind.

    Raises
    ------
    ArgumentError : another suffix than ``suffixes``, a folder, or one of the inputs. OSError : no such folder, or not writable.
    """
    if path is None:
        return
    if path.suffix not in suffixes:
        raise ArgumentError(problem(option, f"a file that ends in {' or '.join(suffixes)}", str(path)))
    if path.is_dir():
        raise ArgumentError(problem(option, "a file", f"the folder {path}"))
    if any(path.exists() and given.exists() and path.samefile(given) for given in inputs):
        raise ArgumentError(problem(option, "another file than the inputs", str(path), "it would overwrite an input"))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    try:
        # Asking the permission bits is not enough: root passes them all, and a file system may be read-only.
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as cause:
        raise type(cause)(f"cannot write {path}: {cause.strerror}") from cause


def check_folder(option: str, path: Path) -> None:
    """Refuse, before any work is done, a folder that could not be written in the end. It may not exist yet; its parent has to.

    Raises
    ------
    ArgumentError : a file. OSError : no such parent, or not writable.
    """
    if path.exists() and not path.is_dir():
        raise ArgumentError(problem(option, "a folder", f"the file {path}"))
    inside = path if path.is_dir() else path.parent
    if not inside.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {inside}")
    try:
        tempfile.TemporaryFile(dir=inside).close()
    except OSError as cause:
        raise type(cause)(f"cannot write {path}: {cause.strerror}") from cause


def refuse_given(context: typer.Context, what: str, **options: str) -> None:
    """Refuse options that were given though they mean nothing to ``what``; by the parameters' names, what the user calls them."""
    for name, option in options.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ArgumentError(problem(option, f"nothing with {what}", repr(context.params[name]), "leave the option away"))


def checked_device(name: str) -> torch.device:
    """The device of a name, or a refusal where it is unknown or not in this machine."""
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise ArgumentError(problem("--device", "cpu, cuda or cuda:N", repr(name))) from None
    if device.type not in ("cpu", "cuda"):
        raise ArgumentError(problem("--device", "cpu, cuda or cuda:N", repr(name)))
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        here = f"{count} CUDA devices here" if count else "no CUDA device here, or a torch without CUDA"
        raise ArgumentError(problem("--device", "a device of this machine", repr(name), here))
    return device


def described(path: Path, shape: Mesh | PointCloud) -> str:
    """A shape in a line: its file, what it is, how large."""
    faces = getattr(shape, "faces", None)
    size = f"point cloud, {shape.n_points:,} points" if faces is None else f"mesh, {shape.n_points:,} vertices, {len(faces):,} faces"
    return f"{path} ({size})"


class Voice:
    """Prints for people: on standard output, or on standard error where JSON has the other; nothing when quiet."""

    def __init__(self, *, as_json: bool, quiet: bool = False) -> None:
        from rich.console import Console

        self.console: Console = Console(stderr=as_json, quiet=quiet, highlight=False)
        self._bars: Console = Console(stderr=True, quiet=quiet)

    def say(self, label: str, value: object, style: str = "") -> None:
        """One line: a label, and a value that may be anything (brackets in it are no markup)."""
        from rich.text import Text

        self.console.print(Text.assemble((f"{label:<12} ", "bold"), (str(value), style)), soft_wrap=True)

    def wrote(self, *paths: Path | None) -> None:
        """Say what was written; ``None`` stands for what was not asked."""
        for path in paths:
            if path is not None:
                self.say("wrote", path, "green")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A bar on standard error that names the stage; silent unless that is a terminal. A total of 0 means unknown."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bars(*columns, console=self._bars, transient=True, disable=not self._bars.is_terminal) as bars:
            bar = bars.add_task("reading")

            def advance(stage: str, done: int, total: int) -> None:
                bars.update(bar, description=stage, completed=done, total=total or None)

            yield advance


def print_json(result: dict[str, Any]) -> None:
    """The machine's answer, alone on standard output. Strict: a number that is not finite would be a defect."""
    print(json.dumps(result, indent=2, allow_nan=False, default=os.fspath))
