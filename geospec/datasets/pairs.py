"""Folders of shapes with known correspondence, as they come from the field's public collections.

Nothing is downloaded: the folder is the user's own copy. The layouts, as their publishers and the
common loaders have them:

``template``  ``off/NAME.off`` and ``corres/NAME.vts``: line i is the 1-based vertex of NAME at point i of a
    template that all shapes share (remeshed FAUST and SCAPE: Ren, Poulenard, Wonka, Ovsjanikov 2018 and
    Donati, Sharma, Ovsjanikov 2020; SMAL_r: Li, Donati, Ovsjanikov 2022).
``tosca``  the same, with one template for each category, the letters that a name begins with; meshes may lie
    beside ``corres/``; ``NAME.sym.vts`` holds the mirrored points.
``dt4d``  ``off/CATEGORY/NAME.off``, ``corres/CATEGORY/NAME.vts``, and between categories
    ``corres/cross_category_corres/A_B.vts``: line i is the 1-based template point of B for point i of A
    (DeformingThings4D-Matching: Magnet, Ren, Sorkine-Hornung, Ovsjanikov 2022).
``shrec19``  ``off/NAME.off`` and ``corres/A_B.map``: line i is the 1-based vertex of B for vertex i of A
    (Melzi et al. 2019, remeshed).
``maps``  meshes, and files ``X_to_Y`` or ``X2Y`` there or in ``maps/``: line i is the 0-based vertex of Y for vertex
    i of X; X and Y are names, beginnings of names, or the numbers that names end with.
``registered``  meshes of one vertex order (FAUST's ``tr_reg_000.ply``, original SCAPE, SMAL fits).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, FileFormatError, ShapeError, one_of, problem
from ..shapes import Mesh, PointCloud, load

LAYOUTS = ("template", "tosca", "dt4d", "shrec19", "maps", "registered")

_MESHES = (".off", ".ply", ".obj")
_TOSCA = {"cat", "centaur", "david", "dog", "gorilla", "horse", "lioness", "michael", "seahorse", "shark", "victoria", "wolf"}

Indices = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class ShapePair:
    """Two shapes on disk and what is known of their correspondence.

    ``correspondence`` is ``(source_index, target_index)``, int64 ``(m,)`` each, 0-based, aligned: vertex
    ``source_index[i]`` of the source is vertex ``target_index[i]`` of the target. ``symmetric`` is the same with
    left and right exchanged, ``landmarks`` the same for a few marked points; ``None`` where the folder has none.
    """

    name: str
    source: Path
    target: Path
    correspondence: Indices
    symmetric: Indices | None = None
    landmarks: Indices | None = None

    def load(self, dtype: torch.dtype = torch.float64) -> tuple[Mesh | PointCloud, Mesh | PointCloud]:
        """Read both shapes, and check that the correspondence names vertices that they have."""
        shapes = load(self.source, dtype=dtype), load(self.target, dtype=dtype)
        for known in (self.correspondence, self.symmetric, self.landmarks):
            for side, shape, index in zip(("source", "target"), shapes, known or (), strict=False):
                if len(index) and int(index.max()) >= shape.n_points:
                    raise ShapeError(problem(f"{side} of {self.name}", f"vertices up to {int(index.max())}", f"{shape.n_points} vertices"))
        return shapes


@dataclass(frozen=True)
class _Entry:
    """A pair that has not been read yet."""

    name: str
    source: Path
    target: Path
    read: Callable[[], tuple[Indices, Indices | None, Indices | None]]


class PairDataset:
    """Pairs of shapes, read one at a time: by position, by name (``"SOURCE TARGET"``), or one after the other."""

    def __init__(self, folder: Path, layout: str, entries: Iterable[_Entry]) -> None:
        self.folder, self.layout = folder, layout
        self._entries = {entry.name: entry for entry in entries}
        if not self._entries:
            raise FileFormatError(problem("folder", f"pairs in the layout {layout!r}", f"none in {folder}"))

    @property
    def names(self) -> list[str]:
        """Names of all pairs, in order."""
        return list(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"PairDataset({len(self)} pairs, layout {self.layout!r}, {self.folder})"

    def __iter__(self) -> Iterator[ShapePair]:
        return (self[name] for name in self._entries)

    def __getitem__(self, key: int | str) -> ShapePair:
        if isinstance(key, str) and key not in self._entries:
            raise ArgumentError(problem("key", "the name of a pair, as in .names", repr(key)))
        entry = self._entries[key] if isinstance(key, str) else list(self._entries.values())[key]
        return ShapePair(entry.name, entry.source, entry.target, *entry.read())


def load_pairs(folder: str | os.PathLike[str], layout: str = "auto", *, shapes: Iterable[str] | None = None) -> PairDataset:
    """Open a folder of shapes with known correspondence.

    Parameters
    ----------
    folder : the collection's folder, as downloaded or as in the module's description.
    layout : one of :data:`LAYOUTS`, or ``"auto"`` to tell it by the files that are there.
    shapes : names (file names without suffix) to keep, for a split such as the last 20 of FAUST; both shapes of a pair
        must be among them. All by default.

    The pairs are those of ``pairs.txt`` (two names a line) where the folder has one, those that have a map, or else all
    ordered pairs that have a ground truth. Ground truth is read when a pair is asked for.

    Raises
    ------
    NotADirectoryError : no such folder.
    FileFormatError : the folder is not laid out so, or holds no pairs.
    """
    path = Path(folder)
    if not path.is_dir():
        raise NotADirectoryError(problem("folder", "an existing folder", path))
    one_of("layout", layout, ("auto", *LAYOUTS))
    if layout == "auto":
        layout = _detect(path)
    meshes = {mesh.stem: mesh for mesh in _meshes(path)}
    kept = meshes if shapes is None else {name: meshes[name] for name in shapes if name in meshes}
    if not kept:
        raise FileFormatError(problem("folder", f"meshes ({', '.join(_MESHES)}) in it or in its off/", f"none in {path}"))
    return PairDataset(path, layout, _ENTRIES[layout](path, kept))


def _detect(folder: Path) -> str:
    corres = folder / "corres"
    if (corres / "cross_category_corres").is_dir():
        return "dt4d"
    if next(corres.glob("*.map"), None):
        return "shrec19"
    if next(corres.glob("*.vts"), None):
        return "tosca" if {_category(mesh.stem) for mesh in _meshes(folder)} <= _TOSCA else "template"
    if next(_map_files(folder), None):
        return "maps"
    raise FileFormatError(
        problem(
            "folder",
            "corres/*.vts, corres/*.map, or X_to_Y maps",
            f"{folder} without",
            'say layout="registered" if all meshes share their vertices',
        )
    )


def _meshes(folder: Path) -> list[Path]:
    home = next((folder / name for name in ("off", "shapes", "registrations") if (folder / name).is_dir()), folder)
    return sorted((file for file in home.rglob("*") if file.suffix.lower() in _MESHES), key=_natural)


def _natural(path: Path) -> list:
    """Sort key that puts cat2 before cat10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def _category(name: str) -> str:
    return re.match(r"[A-Za-z]*", name)[0].lower()  # type: ignore[index]  # the pattern matches any string


def _read_indices(path: Path, first: int) -> Tensor:
    """Vertices, counted from ``first`` in the file and from zero afterwards."""
    try:
        index = np.loadtxt(path, dtype=np.int64, ndmin=1)
    except ValueError as cause:
        raise FileFormatError(problem(str(path), "one integer a line", str(cause))) from cause
    if index.ndim != 1 or (len(index) and index.min() < first):
        raise FileFormatError(problem(str(path), f"one integer a line, from {first} on", f"shape {index.shape}, smallest {index.min()}"))
    return torch.from_numpy(index - first)


def _aligned(source: Tensor, target: Tensor, name: str) -> Indices:
    if len(source) != len(target):
        raise FileFormatError(problem(f"correspondence of {name}", "as many points on both shapes", f"{len(source)} and {len(target)}"))
    return source, target


def _by_template(folder: Path, meshes: dict[str, Path], same: Callable[[str, str], bool]) -> Iterator[_Entry]:
    corres = folder / "corres"
    known = {name: corres / f"{name}.vts" for name in meshes if (corres / f"{name}.vts").is_file()}
    for a, b in _listed(folder, known) or ((a, b) for a, b in permutations(known, 2) if same(a, b)):

        def read(a: str = a, b: str = b) -> tuple[Indices, Indices | None, None]:
            source = _read_indices(known[a], 1)
            mirrored = corres / f"{b}.sym.vts"
            symmetric = _aligned(source, _read_indices(mirrored, 1), f"{a} {b}") if mirrored.is_file() else None
            return _aligned(source, _read_indices(known[b], 1), f"{a} {b}"), symmetric, None

        yield _Entry(f"{a} {b}", meshes[a], meshes[b], read)


def _listed(folder: Path, known: dict[str, Path]) -> list[tuple[str, str]]:
    """The pairs of ``pairs.txt`` between known shapes; empty where there is no such file."""
    listing = folder / "pairs.txt"
    if not listing.is_file():
        return []
    rows = [line.split() for line in listing.read_text().splitlines() if line.strip()]
    if bad := next((row for row in rows if len(row) != 2), None):
        raise FileFormatError(problem(str(listing), "two names a line", " ".join(bad)))
    return [(a, b) for a, b in rows if a in known and b in known]


def _dt4d(folder: Path, meshes: dict[str, Path]) -> Iterator[_Entry]:
    corres = folder / "corres"
    known = {name: corres / mesh.parent.name / f"{name}.vts" for name, mesh in meshes.items()}
    known = {name: path for name, path in known.items() if path.is_file()}
    for a, b in permutations(known, 2):
        first, second = meshes[a].parent.name, meshes[b].parent.name
        across = corres / "cross_category_corres" / f"{first}_{second}.vts"
        if first == second or across.is_file():

            def read(a: str = a, b: str = b, across: Path | None = None if first == second else across) -> tuple[Indices, None, None]:
                target = _read_indices(known[b], 1)
                if across is not None:
                    target = target[_read_indices(across, 1)]
                return _aligned(_read_indices(known[a], 1), target, f"{a} {b}"), None, None

            yield _Entry(f"{a} {b}", meshes[a], meshes[b], read)


def _shrec19(folder: Path, meshes: dict[str, Path]) -> Iterator[_Entry]:
    for file in sorted((folder / "corres").glob("*.map"), key=_natural):
        a, _, b = file.stem.partition("_")
        if a in meshes and b in meshes:

            def read(file: Path = file) -> tuple[Indices, None, None]:
                target = _read_indices(file, 1)
                return (torch.arange(len(target)), target), None, None

            yield _Entry(f"{a} {b}", meshes[a], meshes[b], read)


def _map_files(folder: Path) -> Iterator[tuple[Path, str, str]]:
    home = folder / "maps" if (folder / "maps").is_dir() else folder
    for file in sorted(home.iterdir(), key=_natural):
        match = re.fullmatch(r"(.+)_to_(.+?)(?:\.txt)?", file.name) or re.fullmatch(r"([A-Za-z]+)2([A-Za-z]+)", file.name)
        if match and file.is_file():
            yield file, match[1], match[2]


def _maps(folder: Path, meshes: dict[str, Path]) -> Iterator[_Entry]:
    """Each target vertex has its image on the source: X is the target, Y the source."""
    landmarks = folder / "landmarks.txt"
    for file, x, y in _map_files(folder):
        source, target = _named(y, meshes), _named(x, meshes)
        if source is None or target is None:
            continue

        def read(file: Path = file) -> tuple[Indices, Indices | None, Indices | None]:
            image = _read_indices(file, 0)
            mirrored = file.with_name(f"{file.stem}.sym{file.suffix}")
            symmetric = (_read_indices(mirrored, 0), torch.arange(len(image))) if mirrored.is_file() else None
            marks = torch.from_numpy(np.loadtxt(landmarks, dtype=np.int64, ndmin=2)).T if landmarks.is_file() else None
            return (image, torch.arange(len(image))), symmetric, None if marks is None else (marks[0], marks[1])

        yield _Entry(f"{source.stem} {target.stem}", source, target, read)


def _named(label: str, meshes: dict[str, Path]) -> Path | None:
    """The mesh that a map's file name means."""
    if label in meshes:
        return meshes[label]
    if label.isdigit():
        fits = [name for name in meshes if (end := re.search(r"\d+$", name)) and int(end[0]) == int(label)]
    else:
        fits = [name for name in meshes if name.startswith(label)]
    return meshes[fits[0]] if len(fits) == 1 else None


def _registered(folder: Path, meshes: dict[str, Path]) -> Iterator[_Entry]:
    for a, b in permutations(meshes, 2):

        def read(a: str = a) -> tuple[Indices, None, None]:
            same = torch.arange(load(meshes[a]).n_points)
            return (same, same), None, None

        yield _Entry(f"{a} {b}", meshes[a], meshes[b], read)


_ENTRIES: dict[str, Callable[[Path, dict[str, Path]], Iterator[_Entry]]] = {
    "template": lambda folder, meshes: _by_template(folder, meshes, lambda a, b: True),
    "tosca": lambda folder, meshes: _by_template(folder, meshes, lambda a, b: _category(a) == _category(b)),
    "dt4d": _dt4d,
    "shrec19": _shrec19,
    "maps": _maps,
    "registered": _registered,
}
