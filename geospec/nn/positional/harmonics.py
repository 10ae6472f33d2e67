"""Spherical harmonics as an encoding: evaluated at each point, or looked up in a grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...errors import ArgumentError, one_of, problem
from ...ops import CONVENTIONS, spherical_harmonics, spherical_harmonics_linear
from ...ops.directions import lonlat_to_xyz
from ...ops.harmonic_table import check_degree
from .base import LongitudeLatitudeEncoding, PositionalEncoding, unit_vectors

#: Bytes of features up to which a matrix product on them is as fast as the fused layer, or faster.
SMALL = 1 << 26


class SphericalHarmonicsEncoding(PositionalEncoding):
    """All real spherical harmonics of degree 0 to ``degree``: ``(degree + 1)^2`` features, harmonic ``(l, m)`` at ``l^2 + l + m``.

    The eigenfunctions of the sphere's Laplacian: smooth everywhere, with details down to about ``180 / degree`` degrees.
    The paper's ``L`` Legendre polynomials are degree ``L - 1``.

    Parameters
    ----------
    degree : the highest, up to 128 in float32.
    convention : the name of one of ``geospec.ops.CONVENTIONS``; those of published encoders are among them.

    Source: Russwurm et al., ICLR 2024.
    """

    def __init__(self, degree: int = 14, convention: str = "orthonormal") -> None:
        super().__init__()
        one_of("convention", convention, tuple(CONVENTIONS))
        self.degree, self.convention = check_degree(degree), convention
        self.features = (degree + 1) ** 2

    def linear(self, xyz: Tensor, layer: nn.Linear) -> Tensor:
        """``layer`` of the features, which are not made where they would take more than 64 MB."""
        if xyz.shape[:-1].numel() * self.features * layer.weight.element_size() <= SMALL:
            return super().linear(xyz, layer)
        return spherical_harmonics_linear(unit_vectors(xyz), layer.weight, layer.bias, convention=self.convention)

    def _of_directions(self, xyz: Tensor) -> Tensor:
        return spherical_harmonics(xyz, self.degree, convention=self.convention)


class DiscretizedSphericalHarmonics(LongitudeLatitudeEncoding):
    """Spherical harmonics looked up in a grid of longitude and latitude, bilinearly: ``(degree + 1)^2`` features.

    The grid has a row on each pole, whose columns are all the pole's value, and its columns go round: the interpolant is continuous
    across the date line and over the poles. Its error falls with the square of the resolution, as ``degree^2 h^2 / 8``; its gradient jumps
    at the lines of the grid. The published code of this name sums two of the four corners, with weights that do not add
    up to 1; it is not reproduced.

    Parameters
    ----------
    degree, convention : as of the exact encoding.
    resolution : of the grid, in degrees; a divisor of 180. The table holds ``(180 / resolution + 1)(360 / resolution)(degree + 1)^2``
        numbers in float32, 15 million at the defaults. It is made anew by the constructor, not saved.
    """

    table: Tensor

    def __init__(self, degree: int = 14, resolution: float = 1.0, convention: str = "orthonormal") -> None:
        super().__init__()
        self.rows = round(180 / resolution) if 0 < resolution <= 90 else 0
        if self.rows == 0 or not math.isclose(self.rows * resolution, 180):
            raise ArgumentError(problem("resolution", "a divisor of 180 degrees, at most 90", resolution))
        self.features = (check_degree(degree) + 1) ** 2
        lat = 90 - 180 / self.rows * torch.arange(self.rows + 1, dtype=torch.float64)
        lon = 180 / self.rows * torch.arange(2 * self.rows, dtype=torch.float64) - 180
        table = spherical_harmonics(lonlat_to_xyz(lon, lat[:, None]), degree, convention=convention)
        self.register_buffer("table", table.flatten(end_dim=-2).float(), persistent=False)

    def _of_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        columns = 2 * self.rows
        down, along = (90 - lat) * (self.rows / 180), (lon + 180) * (self.rows / 180)
        row = down.detach().floor().clamp(0, self.rows - 1)
        column = along.detach().floor()
        v, u = (down - row)[..., None], (along - column)[..., None]
        west, east = column.long() % columns, (column.long() + 1) % columns
        north = row.long() * columns
        south = north + columns
        upper, lower = ((1 - u) * self.table[row + west].to(lon) + u * self.table[row + east].to(lon) for row in (north, south))
        return (1 - v) * upper + v * lower
