"""Files of landmarks and of true correspondences: plain text, vertex numbers from 0 in the files' own order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, FileFormatError, problem

if TYPE_CHECKING:
    from torch import Tensor

    from ..shapes import Mesh, PointCloud


def read_landmarks(path: Path, source: Mesh | PointCloud, target: Mesh | PointCloud) -> Tensor:
    """Pairs ``(m, 2)`` int64 of a source and a target vertex, on the shapes as they are now (repaired or not).

    The file has a pair a line, separated by blanks or a comma; ``#`` starts a comment.

    Raises
    ------
    FileFormatError : no pair, or a line that is none. ArgumentError : a vertex that the file of the shape does
        not have, or that a repair dropped.
    """
    import torch

    rows = _whole_numbers(path, 2)
    pairs = torch.tensor([numbers for _, numbers in rows], dtype=torch.int64)
    for column, (name, shape) in enumerate((("source", source), ("target", target))):
        line_of = [line for line, _ in rows]
        _refuse_outside(path, line_of, pairs[:, column], 0, _file_size(shape), name)
        way_back = getattr(shape, "vertex_map", None)
        if way_back is None:
            continue
        pairs[:, column] = way_back.from_file[pairs[:, column]]
        dropped = (pairs[:, column] < 0).nonzero()
        if len(dropped):
            got = f"{rows[int(dropped[0])][1][column]}"
            raise ArgumentError(problem(f"{path}, line {line_of[int(dropped[0])]}", f"a {name} vertex that the repair keeps", got))
    return pairs


def read_truth(path: Path, source: Mesh | PointCloud, target: Mesh | PointCloud) -> Tensor:
    """The true ``target_to_source (n_t,)`` int64 on the shapes as they are now, ``-1`` where it is not known.

    The file has a line for each vertex of the target's file: a vertex number of the source's, or ``-1``.

    Raises
    ------
    FileFormatError, ArgumentError : as for landmarks; another number of lines than the target's file has vertices; a source
        with vertices of no face, to which no distance can be measured.
    """
    import torch

    from ..shapes import point_map_from_file

    rows = _whole_numbers(path, 1)
    if len(rows) != _file_size(target):
        raise ArgumentError(problem(str(path), f"a line for each of the target's {_file_size(target)} vertices", f"{len(rows)} lines"))
    truth = torch.tensor([numbers[0] for _, numbers in rows], dtype=torch.int64)
    _refuse_outside(path, [line for line, _ in rows], truth, -1, _file_size(source), "source")
    faces = getattr(source, "faces", None)
    isolated = 0 if faces is None else source.n_points - len(torch.unique(faces))
    if isolated:
        got = f"{isolated} vertices of no face"
        raise ArgumentError(problem("--truth", "a source on which distances can be measured", got, "drop them with --repair unreferenced"))
    truth = point_map_from_file(truth, getattr(target, "vertex_map", None), getattr(source, "vertex_map", None))
    if not bool((truth >= 0).any()):
        raise ArgumentError(problem(str(path), "the source vertex of at least one target vertex", "none that is left after the repair"))
    return truth


def _whole_numbers(path: Path, count: int) -> list[tuple[int, list[int]]]:
    """The number of each line that is not blank, with the ``count`` whole numbers that it holds."""
    wanted = "a vertex number" if count == 1 else "two vertex numbers, of the source and of the target"
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise FileFormatError(problem(str(path), f"text with {wanted} a line", "a binary file")) from None
    for line, text in enumerate(lines, start=1):
        words = text.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            numbers = [int(word) for word in words]
        except ValueError:
            numbers = []
        if len(numbers) != count or not all(abs(number) < 2**63 for number in numbers):
            raise FileFormatError(problem(f"{path}, line {line}", wanted, repr(text.strip())))
        rows.append((line, numbers))
    if not rows:
        raise FileFormatError(problem(str(path), f"text with {wanted} a line", "no line that holds one"))
    return rows


def _refuse_outside(path: Path, line_of: list[int], vertices: Tensor, low: int, size: int, name: str) -> None:
    outside = ((vertices < low) | (vertices >= size)).nonzero()
    if len(outside):
        first = int(outside[0])
        wanted = f"a {name} vertex from {low} to {size - 1}"
        raise ArgumentError(problem(f"{path}, line {line_of[first]}", wanted, int(vertices[first]), "vertices are numbered from 0"))


def _file_size(shape: Mesh | PointCloud) -> int:
    way_back = getattr(shape, "vertex_map", None)
    return shape.n_points if way_back is None else len(way_back.from_file)
