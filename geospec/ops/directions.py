"""Longitude and latitude in degrees, and unit vectors: ``x`` towards (0, 0), ``y`` towards (90, 0), ``z`` towards the north pole."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, problem


def lonlat_to_xyz(lon: Tensor, lat: Tensor) -> Tensor:
    """Unit vectors ``(..., 3)`` of longitudes (east) and latitudes (north) in degrees, which broadcast.

    Quarter turns are taken off before the sine, so multiples of 90 degrees are exact: both ends of the date line are one
    direction, and every longitude at a pole is the pole. Any longitude goes, by periodicity. Differentiable.

    Raises
    ------
    ArgumentError : not floats, shapes that do not broadcast, a latitude outside [-90, 90], or values that are not finite. Under
        ``torch.compile`` values are not looked at.
    """
    for name, value in (("lon", lon), ("lat", lat)):
        if not isinstance(value, Tensor) or not value.is_floating_point():
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(problem(name, "a tensor of floats, in degrees", got, "convert with torch.as_tensor"))
    if not torch.compiler.is_compiling():
        if not bool((lat.detach().abs() <= 90).all()):
            worst = lat.detach()[~(lat.detach().abs() <= 90)].reshape(-1)[0]
            hint = "the order is lon, lat; both are in degrees"
            raise ArgumentError(problem("lat", "latitudes from -90 to 90 degrees", f"{float(worst):g}", hint))
        if not bool(lon.detach().isfinite().all()):
            raise ArgumentError(problem("lon", "finite longitudes in degrees", "some that are not"))
    try:
        torch.broadcast_shapes(lon.shape, lat.shape)
    except RuntimeError as cause:
        raise ArgumentError(problem("lon, lat", "shapes that broadcast", f"{tuple(lon.shape)} and {tuple(lat.shape)}")) from cause
    (sin_lon, cos_lon), (sin_lat, cos_lat) = _sine_and_cosine(lon), _sine_and_cosine(lat)
    xyz = torch.stack(torch.broadcast_tensors(cos_lat * cos_lon, cos_lat * sin_lon, sin_lat), dim=-1)
    return xyz + 0.0  # -0 would put the date line at -180


def xyz_to_lonlat(xyz: Tensor) -> tuple[Tensor, Tensor]:
    """Longitude in (-180, 180] and latitude in [-90, 90], in degrees, of vectors ``(..., 3)`` of any length but zero.

    At the poles the longitude is 0. Differentiable anywhere else; there the gradient is NaN. A zero vector has latitude 0.

    Raises
    ------
    ArgumentError : not floats of shape (..., 3).
    """
    if not isinstance(xyz, Tensor) or not xyz.is_floating_point() or xyz.dim() == 0 or xyz.shape[-1] != 3:
        got = tuple(xyz.shape) if isinstance(xyz, Tensor) else type(xyz).__name__
        raise ArgumentError(problem("xyz", "floats of shape (..., 3)", got))
    x, y, z = xyz.unbind(dim=-1)
    across = torch.hypot(x, y)
    lon = torch.rad2deg(torch.atan2(y + 0.0, x))  # + 0: from -0 the date line would be at -180
    lon = torch.where(across == 0, 0.0, torch.where(lon == -180, 180.0, lon))
    return lon, torch.rad2deg(torch.atan2(z, across))


def _sine_and_cosine(degrees: Tensor) -> tuple[Tensor, Tensor]:
    turns = (degrees.detach() / 90).round()
    rest = (degrees - 90 * turns) * (math.pi / 180)
    sine, cosine = rest.sin(), rest.cos()
    quarter = turns.remainder(4)
    swapped = quarter.remainder(2) == 1
    one, other = torch.where(swapped, cosine, sine), torch.where(swapped, sine, cosine)
    return torch.where(quarter >= 2, -one, one), torch.where((quarter == 1) | (quarter == 2), -other, other)
