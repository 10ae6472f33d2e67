"""Small shapes, a match and a basis for the tests of pictures and reports."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from geospec.bases.base import SampledBasis
from geospec.shapes.cloud import PointCloud
from geospec.shapes.mesh import Mesh


def grid(columns: int, rows: int, height: float = 0.3, dtype: torch.dtype = torch.float32) -> Mesh:
    x, y = np.meshgrid(np.linspace(0, 2, columns), np.linspace(0, 1, rows))
    points = np.stack([x, y, height * np.sin(3 * x) * np.cos(2 * y)], axis=-1).reshape(-1, 3)
    at = np.arange(columns * rows).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]))
    return Mesh(torch.tensor(points, dtype=dtype), torch.tensor(np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])))


def sample_match(columns: int = 12, rows: int = 9, **record) -> SimpleNamespace:
    source, target = grid(columns, rows), grid(columns, rows - 1, 0.1)
    generator = torch.Generator().manual_seed(0)
    return SimpleNamespace(
        source=source,
        target=target,
        target_to_source=torch.randint(source.n_points, (target.n_points,), generator=generator),
        source_to_target=torch.randint(target.n_points, (source.n_points,), generator=generator),
        functional_map=torch.randn(7, 5, generator=generator),
        confidence=torch.rand(target.n_points, generator=generator),
        record={"options": {"k": 7, "descriptor": "wks", **record}, "timings": {"solve": 0.25}, "numbers": {"coverage": 0.5}},
    )


def sample_basis(shape: Mesh | PointCloud, k: int = 6) -> SampledBasis:
    p = shape.points.double()
    modes = torch.stack([(i + 0.5) * torch.cos(i * p[:, 0]) for i in range(k)], dim=1)
    return SampledBasis(modes.to(shape.points), shape.measure, torch.arange(k).to(shape.points) ** 2, {"kind": "cosines"})
