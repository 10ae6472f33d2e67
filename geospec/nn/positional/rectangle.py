"""Encodings of longitude and latitude, of one scale and of many. Most have a seam at the date line and a singularity at each pole."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from ...errors import ArgumentError, one_of, problem
from ..encoders import _check_sizes
from .base import LongitudeLatitudeEncoding

VARIANTS = ("paper", "released")


class Direct(LongitudeLatitudeEncoding):
    """``(lon, lat)`` in radians: 2 features. ``variant="released"`` takes pi off both, as the published code does."""

    features = 2

    def __init__(self, variant: str = "paper") -> None:
        super().__init__()
        one_of("variant", variant, VARIANTS)
        self.offset = math.pi if variant == "released" else 0.0

    def _of_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        return torch.deg2rad(torch.stack([lon, lat], dim=-1)) - self.offset


class Wrap(LongitudeLatitudeEncoding):
    """``(cos lon, sin lon, cos lat, sin lat)``: 4 features, without seam. Source: Mac Aodha et al. 2019."""

    features = 4

    def _of_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        lon, lat = torch.deg2rad(lon), torch.deg2rad(lat)
        return torch.stack([lon.cos(), lon.sin(), lat.cos(), lat.sin()], dim=-1)


class MultiScale(LongitudeLatitudeEncoding):
    """What the encodings of many scales share: ``lon_s = lon / r_s``, ``lat_s = lat / r_s``, for ``scales`` radii ``r_s``.

    Parameters
    ----------
    scales : number of radii, from ``r_min`` to ``r_max`` in geometric progression; a single one is ``r_min``.
    r_min, r_max : in degrees. A wave of radius ``r`` repeats after ``2 pi r`` degrees, so it closes at the date line for hardly any.
    """

    radii: Tensor
    #: Features of each scale.
    each: int

    def __init__(self, scales: int = 16, r_min: float = 1.0, r_max: float = 360.0) -> None:
        super().__init__()
        _check_sizes(scales=scales)
        if not 0 < r_min <= r_max < math.inf:
            raise ArgumentError(problem("r_min, r_max", "0 < r_min <= r_max, in degrees", f"{r_min}, {r_max}"))
        steps = torch.arange(scales, dtype=torch.float64) / max(scales - 1, 1)
        self.register_buffer("radii", r_min * (r_max / r_min) ** steps, persistent=False)
        self.features = self.each * scales

    def _scaled(self, angle: Tensor) -> Tensor:
        """``(...)`` degrees to ``(..., scales)``."""
        return angle[..., None] / self.radii.to(angle)


class Grid(MultiScale):
    """``sin, cos`` of ``lon_s`` for every scale, then of ``lat_s``: ``4 scales`` features. Source: Mai et al., Space2Vec, 2020."""

    each = 4

    def _of_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        scaled = self._scaled(torch.stack([lon, lat], dim=-1))
        return torch.stack([scaled.sin(), scaled.cos()], dim=-1).flatten(start_dim=-3)


class Theory(MultiScale):
    """``sin, cos`` of ``<(lon_s, lat_s), u>`` for unit vectors ``u`` at 0, 120 and 240 degrees, scale by scale: ``6 scales`` features.

    Source: Mai et al., Space2Vec, 2020.
    """

    each = 6

    def _of_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        half, height = -lon / 2, math.sqrt(3) / 2 * lat
        scaled = self._scaled(torch.stack([lon, half + height, half - height], dim=-1)).transpose(-1, -2)
        return torch.stack([scaled.sin(), scaled.cos()], dim=-1).flatten(start_dim=-3)


class Sphere2Vec(MultiScale):
    """What SphereC, SphereM and their extensions share: ``sin lat_s``, or all that grid has, then products; scale by scale.

    ``variant="released"`` gives every feature twice, as the code published with the spherical harmonics encoder does, and feeds SphereM's
    unscaled longitude and latitude to sine and cosine in degrees as if they were radians: for weights and figures that rest on it.

    Source: Mai et al., Sphere2Vec, 2023.
    """

    #: Whether the features of grid are among them.
    with_grid = False

    def __init__(self, scales: int = 16, r_min: float = 1.0, r_max: float = 360.0, variant: str = "paper") -> None:
        super().__init__(scales, r_min, r_max)
        one_of("variant", variant, VARIANTS)
        self.released = variant == "released"
        self.features *= 1 + self.released

    def _of_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        scaled = self._scaled(torch.stack([lon, lat]))
        (sin_lon, sin_lat), (cos_lon, cos_lat) = scaled.sin(), scaled.cos()
        single = [sin_lat, cos_lat, sin_lon, cos_lon] if self.with_grid else [sin_lat]
        unscaled = torch.stack([lon, lat])[..., None]
        products = self._products(sin_lon, cos_lon, cos_lat, *(unscaled if self.released else torch.deg2rad(unscaled)))
        columns = torch.stack([*single, *products], dim=-1)
        return (columns.repeat_interleave(2, dim=-1) if self.released else columns).flatten(start_dim=-2)

    @abstractmethod
    def _products(self, sin_lon: Tensor, cos_lon: Tensor, cos_lat: Tensor, lon: Tensor, lat: Tensor) -> list[Tensor]:
        """Products of waves ``(..., scales)``, given those and the angles ``(..., 1)``."""


class SphereC(Sphere2Vec):
    """``sin lat_s, cos lat_s cos lon_s, cos lat_s sin lon_s`` for every scale: ``3 scales`` features."""

    each = 3

    def _products(self, sin_lon: Tensor, cos_lon: Tensor, cos_lat: Tensor, lon: Tensor, lat: Tensor) -> list[Tensor]:
        return [cos_lat * cos_lon, cos_lat * sin_lon]


class SphereCPlus(SphereC):
    """Grid and SphereC: for every scale ``sin lat_s, cos lat_s, sin lon_s, cos lon_s``, then the products: ``6 scales`` features."""

    each, with_grid = 6, True


class SphereM(Sphere2Vec):
    """``sin lat_s, cos lat_s cos lon, cos lat cos lon_s, cos lat_s sin lon, cos lat sin lon_s`` for every scale: ``5 scales`` features."""

    each = 5

    def _products(self, sin_lon: Tensor, cos_lon: Tensor, cos_lat: Tensor, lon: Tensor, lat: Tensor) -> list[Tensor]:
        return [cos_lat * lon.cos(), lat.cos() * cos_lon, cos_lat * lon.sin(), lat.cos() * sin_lon]


class SphereMPlus(SphereM):
    """Grid and SphereM: for every scale ``sin lat_s, cos lat_s, sin lon_s, cos lon_s``, then the products: ``8 scales`` features."""

    each, with_grid = 8, True


class DoubleFourierSphere(MultiScale):
    """``sin, cos`` of every ``lat_s`` and every ``lon_t``, and all their products: ``4 scales^2 + 4 scales`` features.

    In this order: ``sin lat_s`` of all scales, ``cos lat_s``, ``sin lon_t``, ``cos lon_t``; then, ``(s, t)`` row by row,
    ``cos lat_s cos lon_t``, ``cos lat_s sin lon_t``, ``sin lat_s cos lon_t``, ``sin lat_s sin lon_t``. Source: Mai et al. 2023.
    """

    def __init__(self, scales: int = 8, r_min: float = 1.0, r_max: float = 360.0) -> None:
        self.each = 4 + 4 * scales
        super().__init__(scales, r_min, r_max)

    def _of_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        lon, lat = self._scaled(lon), self._scaled(lat)
        single = [lat.sin(), lat.cos(), lon.sin(), lon.cos()]
        products = [(a[..., :, None] * b[..., None, :]).flatten(-2) for a in (lat.cos(), lat.sin()) for b in (lon.cos(), lon.sin())]
        return torch.cat([*single, *products], dim=-1)
