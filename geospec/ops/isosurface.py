"""Isosurfaces of grids: placeholder that holds the interface until the kernel lands."""

from __future__ import annotations

import torch
from torch import Tensor


def isosurface(grid: Tensor, level: float = 0.0) -> tuple[Tensor, Tensor]:
    """Vertices ``(v, 3)`` in (x, y, z), counted in cells from the first sample, and faces ``(f, 3)``, counter-clockwise seen from
    where values are above the level."""
    from skimage.measure import marching_cubes

    v, f, *_ = marching_cubes(grid.detach().cpu().numpy(), level)
    return torch.from_numpy(v[:, ::-1].copy()).to(grid.dtype), torch.from_numpy(f.astype("int64"))
