"""Triangle meshes: two tensors, a measure, and the way back to the file's own vertices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from .. import ops
from ..errors import ShapeError, problem
from .edges import EdgeTable, edge_table
from .fields import as_float, as_index, unit_rows
from .vertex_map import VertexMap


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh in three dimensions.

    Parameters
    ----------
    vertices : (n, 3) float32 or float64 tensor or array. May require gradients.
    faces : (f, 3) integer tensor or array, 0-based, counter-clockwise seen from outside. Stored as int64.
    vertex_map : how the vertices relate to a file's, where a repair has changed them; ``None`` where
        they are the file's own.

    Raises
    ------
    ShapeError : wrong shape or type, NaN or infinite coordinates, a face that names no vertex.
    """

    vertices: Tensor
    faces: Tensor
    vertex_map: VertexMap | None = None

    def __post_init__(self) -> None:
        vertices = as_float("vertices", self.vertices, columns=3)
        faces = as_index("faces", self.faces, vertices.device)
        if faces.numel() and (faces.min() < 0 or faces.max() >= len(vertices)):
            raise ShapeError(
                problem(
                    "faces",
                    f"indices in [0, {len(vertices)})",
                    f"{int(faces.min())}..{int(faces.max())}",
                    "the file may be truncated or 1-based",
                )
            )
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)

    def __repr__(self) -> str:
        return f"Mesh({self.n_points} vertices, {len(self.faces)} faces, {str(self.vertices.dtype)[6:]}, {self.vertices.device})"

    @property
    def n_points(self) -> int:
        """Number of vertices."""
        return len(self.vertices)

    @property
    def points(self) -> Tensor:
        """The vertices ``(n, 3)``, under the name that every shape has."""
        return self.vertices

    @cached_property
    def face_areas(self) -> Tensor:
        """Area of each face ``(f,)``; differentiable in the vertices."""
        return ops.cotangent(self.vertices, self.faces)[1]

    @property
    def area(self) -> Tensor:
        """Total area, a scalar tensor."""
        return self.face_areas.sum()

    @cached_property
    def measure(self) -> Tensor:
        """Lumped area of each vertex ``(n,)``: a third of its faces' areas. Sums to the area."""
        third = (self.face_areas / 3).repeat_interleave(3)
        return self.vertices.new_zeros(self.n_points).index_add(0, self.faces.reshape(-1), third)

    @cached_property
    def face_normals(self) -> Tensor:
        """Unit normal of each face ``(f, 3)``; zero on degenerate faces."""
        return unit_rows(self._double_area_normals)

    @cached_property
    def vertex_normals(self) -> Tensor:
        """Area-weighted unit normal of each vertex ``(n, 3)``; zero where no face meets it."""
        spread = self._double_area_normals.repeat_interleave(3, dim=0)
        total = torch.zeros_like(self.vertices).index_add(0, self.faces.reshape(-1), spread)
        return unit_rows(total)

    @property
    def edges(self) -> Tensor:
        """Undirected edges ``(e, 2)``, each once, smaller index first, sorted."""
        return self.edge_table.ends

    @cached_property
    def edge_table(self) -> EdgeTable:
        """Edges, their numbers of faces, and the edge of each side of each face."""
        return edge_table(self.faces, self.n_points)

    @property
    def _double_area_normals(self) -> Tensor:
        a, b, c = self.vertices[self.faces].unbind(dim=1)
        return torch.linalg.cross(b - a, c - a)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Mesh:
        """The same mesh on another device or in another float type; shares memory where nothing changes."""
        vertex_map = None if self.vertex_map is None else self.vertex_map.to(device)
        return replace(
            self, vertices=self.vertices.to(device=device, dtype=dtype), faces=self.faces.to(device=device), vertex_map=vertex_map
        )
