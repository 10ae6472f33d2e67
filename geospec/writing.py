"""Files that appear whole or not at all, and safetensors of which the header tells what they hold."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import FileFormatError, problem

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside ``path`` to write to, which takes the place of ``path`` when the block ends well.

    When it does not, what was written is removed, and an older file stays as it was. Each process and thread has a
    name of its own. What the system refuses is an OSError that names ``path``.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        yield aside
        os.replace(aside, path)
    except OSError as cause:
        named = None if cause.filename is None else os.fspath(cause.filename)
        if cause.errno is None or named not in (None, os.fspath(aside)):
            raise
        raise type(cause)(cause.errno, cause.strerror, os.fspath(path)) from cause
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def folder_written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder beside ``path`` to fill, which takes the place of ``path`` when the block ends well; else it is removed.

    An older folder ``path`` is moved away first and removed last, so that no reader finds a mixture of both.
    """
    path = Path(path)
    aside, older = (path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.{end}") for end in ("partial", "older"))
    aside.mkdir(parents=True)
    try:
        yield aside
        if path.exists():
            os.replace(path, older)
        os.replace(aside, path)
    finally:
        for left in (aside, older):
            shutil.rmtree(left, ignore_errors=True)


def write_npz(path: str | os.PathLike[str], **arrays: Tensor) -> None:
    """Write tensors as a compressed npz, aside and renamed."""
    import numpy as np

    plain: dict[str, Any] = {name: value.detach().cpu().numpy() for name, value in arrays.items()}
    with written_aside(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **plain)


def write_safetensors(path: str | os.PathLike[str], arrays: Mapping[str, Tensor], what: str, version: int, **header: str) -> None:
    """Write tensors as safetensors, aside and renamed. The header says ``what`` they are, in which version, and the words given."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous() for name, value in arrays.items()}
    seen: set[int] = set()
    for name, value in plain.items():  # safetensors refuses arrays that share memory, as tied weights do
        if value.untyped_storage().data_ptr() in seen:
            plain[name] = value.clone()
        seen.add(value.untyped_storage().data_ptr())
    with written_aside(path) as aside:
        try:
            save_file(plain, aside, metadata={"geospec": what, "version": str(version), **header})
        except SafetensorError as cause:  # its word for what the system refuses: no folder, no space
            raise OSError(f"cannot write {path}: {cause}") from cause


def read_safetensors(path: str | os.PathLike[str], what: str, version: int) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors, on the CPU, of a file that :func:`write_safetensors` wrote as ``what`` in this version. Runs no code.

    Raises
    ------
    FileNotFoundError : no such file. FileFormatError : unreadable, truncated, something else, another version.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    wanted = f"{what} saved by geospec, version {version}"
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as cause:
        raise FileFormatError(problem(str(path), wanted, f"an unreadable file ({cause})")) from cause
    if (header.get("geospec"), header.get("version")) != (what, str(version)):
        got = f"{header.get('geospec', 'another kind of file')}, version {header.get('version', 'none')}"
        raise FileFormatError(problem(str(path), wanted, got))
    return header, arrays
