"""Truncated signed distances of meshes: placeholder that holds the interface until the kernel lands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def mesh_sdf(
    vertices: Tensor,
    faces: Tensor,
    resolution: int | Sequence[int],
    truncation: float,
    *,
    lower: Sequence[float] = (-1.0, -1.0, -1.0),
    upper: Sequence[float] = (1.0, 1.0, 1.0),
    sign: str = "auto",
) -> Tensor:
    """Distances ``(nz, ny, nx)`` at the centres of the cells of a box, negative inside, clamped to the truncation."""
    import open3d as o3d

    shape = (resolution,) * 3 if isinstance(resolution, int) else tuple(resolution)
    axes = [
        np.linspace(lower[a], upper[a], n, endpoint=False) + (upper[a] - lower[a]) / n / 2 for a, n in zip((2, 1, 0), shape, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    scene = o3d.t.geometry.RaycastingScene()
    v, f = vertices.detach().float().numpy(), faces.numpy().astype("uint32")
    scene.add_triangles(o3d.core.Tensor(v), o3d.core.Tensor(f))
    d = scene.compute_signed_distance(o3d.core.Tensor(np.stack([x, y, z], -1).astype("float32"))).numpy()
    return torch.from_numpy(d).to(vertices.dtype).clamp(-truncation, truncation)
