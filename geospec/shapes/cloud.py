"""Point clouds: samples of a surface, with normals where they are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import ShapeError, problem
from .fields import as_float


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in any dimension, samples of an unknown surface.

    Parameters
    ----------
    points : (n, d) float32 or float64 tensor or array; d = 3 for scans.
    normals : (n, d) unit normals, or ``None``.
    weights : (n,) positive measure of each point, or ``None`` for ``1 / n`` each. A Laplacian finds
        its own measure from the points; this one serves where no Laplacian is at hand.

    Raises
    ------
    ShapeError : wrong shape or type, NaN or infinity, normals or weights of another length.
    """

    points: Tensor
    normals: Tensor | None = None
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        points = as_float("points", self.points)
        object.__setattr__(self, "points", points)
        if self.normals is not None:
            normals = as_float("normals", self.normals, columns=points.shape[1]).to(points)
            if len(normals) != len(points):
                raise ShapeError(problem("normals", f"one per point, {len(points)}", len(normals)))
            object.__setattr__(self, "normals", normals)
        if self.weights is not None:
            weights = torch.as_tensor(self.weights).to(points)
            if weights.shape != (len(points),) or not bool((weights > 0).all()):
                raise ShapeError(problem("weights", f"{len(points)} positive numbers", tuple(weights.shape)))
            object.__setattr__(self, "weights", weights)

    def __repr__(self) -> str:
        normals = ", normals" if self.normals is not None else ""
        kind = f"{str(self.points.dtype)[6:]}, {self.points.device}"
        return f"PointCloud({self.n_points} points in {self.points.shape[1]}-D{normals}, {kind})"

    @property
    def n_points(self) -> int:
        """Number of points."""
        return len(self.points)

    @property
    def measure(self) -> Tensor:
        """``weights`` where given, else ``1 / n`` each: ``(n,)``, positive."""
        return self.points.new_full((self.n_points,), 1 / max(self.n_points, 1)) if self.weights is None else self.weights

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> PointCloud:
        """The same cloud on another device or in another float type."""
        moved = {name: value.to(device=device, dtype=dtype) for name, value in vars(self).items() if value is not None}
        return replace(self, **moved)
