"""The way from a repaired shape's vertices back to its file's, for indices and for point maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ShapeError, problem


@dataclass(frozen=True, eq=False)
class VertexMap:
    """How the vertices of a repaired shape relate to those of the file it came from.

    Parameters
    ----------
    to_file : (n,) int64, the file's index of each vertex of the shape.
    from_file : (n_file,) int64, the vertex of the shape that stands for each vertex of the file, ``-1``
        where it was dropped. Several of the file's vertices may share one, where duplicates were merged.
    """

    to_file: Tensor
    from_file: Tensor

    def __post_init__(self) -> None:
        for name in ("to_file", "from_file"):
            index = torch.as_tensor(getattr(self, name))
            if index.dim() != 1 or index.is_floating_point():
                raise ShapeError(problem(name, "a vector of integers", f"{tuple(index.shape)} of {index.dtype}"))
            object.__setattr__(self, name, index.long())
        for name, index, low, length in (
            ("to_file", self.to_file, 0, len(self.from_file)),
            ("from_file", self.from_file, -1, len(self.to_file)),
        ):
            if index.numel() and (index.min() < low or index.max() >= length):
                raise ShapeError(problem(name, f"indices in [{low}, {length})", f"{int(index.min())}..{int(index.max())}"))

    @classmethod
    def identity(cls, n: int, device: torch.device | str | None = None) -> VertexMap:
        """The map of a shape whose ``n`` vertices are the file's own."""
        return cls(torch.arange(n, device=device), torch.arange(n, device=device))

    @classmethod
    def keeping(cls, to_file: Tensor, n_file: int) -> VertexMap:
        """The map that keeps the file's vertices ``to_file (n,)``, all different, and drops the others."""
        from_file = to_file.new_full((n_file,), -1)
        from_file[to_file] = torch.arange(len(to_file), device=to_file.device)
        return cls(to_file, from_file)

    def then(self, later: VertexMap) -> VertexMap:
        """Compose with a second repair, made on the shape that this map leads to."""
        return VertexMap(self.to_file[later.to_file], _follow(self.from_file, later.from_file))

    def to(self, device: torch.device | str | None) -> VertexMap:
        """The same map on another device."""
        return VertexMap(self.to_file.to(device), self.from_file.to(device))


def _follow(first: Tensor, second: Tensor) -> Tensor:
    """``second[first]``, with ``-1`` for what is ``-1`` in ``first``."""
    return torch.where(first >= 0, second[first.clamp(min=0)], first) if len(second) else torch.full_like(first, -1)


def point_map_to_file(target_to_source: Tensor, target: VertexMap | None, source: VertexMap | None) -> Tensor:
    """Carry a point map between two shapes to the vertices of their files.

    ``target_to_source (n_t,)`` names a source vertex for each target vertex, ``-1`` for none. The result
    ``(n_t_file,)`` names a vertex of the source's file for each vertex of the target's file, ``-1`` where the
    target's repair dropped the vertex. ``None`` stands for a shape that is its file's own.
    """
    in_source_file = target_to_source if source is None else _follow(target_to_source, source.to_file)
    return in_source_file if target is None else _follow(target.from_file, in_source_file)


def values_to_file(values: Tensor, way: VertexMap | None) -> Tensor:
    """Carry values ``(n, ...)`` at the vertices of a shape to those of its file: ``(n_file, ...)``, 0 where a vertex was dropped."""
    if way is None:
        return values
    kept = way.from_file >= 0
    out = values.new_zeros(len(way.from_file), *values.shape[1:])
    out[kept] = values[way.from_file[kept]]
    return out


def point_map_from_file(target_to_source: Tensor, target: VertexMap | None, source: VertexMap | None) -> Tensor:
    """Carry a point map between two files, such as a ground truth, to the vertices of the repaired shapes.

    The inverse direction of :func:`point_map_to_file`: ``(n_t_file,)`` in, ``(n_t,)`` out, ``-1`` where the
    source's repair dropped the image.
    """
    on_target = target_to_source if target is None else target_to_source[target.to_file]
    return on_target if source is None else _follow(on_target, source.from_file)
