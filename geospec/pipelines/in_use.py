"""The part of a shape that a Laplacian can see, and the way back to all its vertices."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .. import ops
from ..laplacians import Laplacian
from ..shapes import Mesh, PointCloud, repair


@dataclass(frozen=True, eq=False)
class InUse:
    """A shape without the vertices that no face uses.

    ``shape`` is what remains; ``to_given (n,)`` the given shape's index of each of its points; ``nearest (n_given,)`` the point
    of ``shape`` that stands for each given one: itself, or the nearest; ``dropped (n_given,)`` says which have none of their own.
    """

    shape: Mesh | PointCloud
    to_given: Tensor
    nearest: Tensor
    dropped: Tensor

    @classmethod
    def of(cls, given: Mesh | PointCloud) -> InUse:
        """Drop what no face uses; a point cloud stays whole."""
        everyone = torch.arange(given.n_points, device=given.points.device)
        used = torch.zeros_like(everyone, dtype=torch.bool)
        if isinstance(given, Mesh):
            used[given.faces.reshape(-1)] = True
        if isinstance(given, PointCloud) or bool(used.all()):
            return cls(given, everyone, everyone, torch.zeros_like(used))
        shape = repair(Mesh(given.points, given.faces), ("unreferenced",))
        assert shape.vertex_map is not None
        nearest = shape.vertex_map.from_file.clone()
        nearest[~used] = ops.spectral_nearest(given.points[~used].detach(), shape.vertices.detach())[0]
        return cls(shape, shape.vertex_map.to_file, nearest, ~used)

    def measured_by(self, operator: Laplacian) -> InUse:
        """The same part with the mass of its Laplacian as a cloud's weights: without faces only that knows areas."""
        if isinstance(self.shape, Mesh):
            return self
        return replace(self, shape=replace(self.shape, weights=operator.mass))


def to_given(point_map: Tensor, domain: InUse, image: InUse) -> Tensor:
    """Carry a point map between the parts in use to the given shapes: dropped points follow the nearest one in use."""
    return image.to_given[point_map[domain.nearest]]
