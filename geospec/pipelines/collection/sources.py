"""The files of a collection: those that may hold a shape, those of other kinds, and what could not be looked into."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import ArgumentError, FileFormatError, GeospecError, problem
from ...shapes.files import SUFFIXES
from .folder import Line, failure_of


@dataclass(frozen=True)
class Sources:
    """What was found, in order of the names.

    Attributes
    ----------
    shapes : the files to encode, ``{name: path}``; names are paths below the folder that was read, or whole paths of a list.
    others : lines for files whose suffix says no shape. unread : lines for folders that were not read: links, and refused ones.
    """

    shapes: dict[str, str]
    others: tuple[Line, ...]
    unread: tuple[Line, ...]


def find_sources(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], out: Path) -> Sources:
    """Look for shapes in a folder and all below it, without hidden ones and ``out``; or take the files of a list.

    Raises
    ------
    ArgumentError : no folder, or no shape in it. OSError : the folder itself cannot be read.
    """
    unread: list[Line] = []
    if isinstance(source, (str, os.PathLike)):
        root = Path(source).absolute()
        if not root.is_dir():
            raise ArgumentError(problem("source", "a folder, or a list of files", str(source), "geospec.encode takes one shape"))
        files = {path.relative_to(root).as_posix(): str(path) for path in _below(root, out, unread)}
    else:
        files = {path.as_posix(): str(path) for path in (Path(name).absolute() for name in source)}
    shapes = {name: path for name, path in sorted(files.items()) if Path(name).suffix.lower() in SUFFIXES}
    if not shapes:
        hint = unread[0]["message"] if unread else ""
        raise ArgumentError(problem("source", "shapes: " + ", ".join(SUFFIXES), f"none among {len(files)} files", hint))
    wanted = "a file that ends in " + ", ".join(SUFFIXES)
    others = (
        failure_of(name, FileFormatError(problem(name, wanted, repr(Path(name).suffix)))) for name in sorted(files) if name not in shapes
    )
    return Sources(shapes, tuple(others), tuple(sorted(unread, key=lambda line: line["source"])))


def _below(root: Path, out: Path, unread: list[Line]) -> list[Path]:
    """Files of a folder and of those in it, and links that lead nowhere; without pipes and devices. Adds to ``unread``."""
    found: list[Path] = []

    def refused(cause: OSError) -> None:
        if Path(cause.filename) == root:
            raise cause
        unread.append(failure_of(Path(cause.filename).relative_to(root).as_posix(), cause))

    for here, folders, files in os.walk(root, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".") and Path(here, name) != out]
        for path in (Path(here, name) for name in folders):
            if path.is_symlink():
                name, hint = path.relative_to(root).as_posix(), "links to folders are not followed: encode the folder it leads to"
                unread.append(failure_of(name, GeospecError(problem(name, "a folder", f"a link to {os.readlink(path)}", hint))))
        # os.path's questions answer no where the system refuses to: such a file is taken, and the encoding says what is wrong.
        paths = [os.path.join(here, name) for name in files if not name.startswith(".")]
        found += (Path(path) for path in paths if os.path.isfile(path) or not os.path.exists(path))
    return found
