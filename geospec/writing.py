"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def write_npz(path: str | os.PathLike[str], **arrays: Tensor) -> None:
    """Write tensors as a compressed npz, aside and renamed."""
    import numpy as np

    plain: dict[str, Any] = {name: value.detach().cpu().numpy() for name, value in arrays.items()}
    with written_aside(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **plain)
