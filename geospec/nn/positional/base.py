"""What all encodings of a place on the sphere share: directions or longitude and latitude in, features out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ...errors import ArgumentError, problem
from ...ops.directions import lonlat_to_xyz
from ...ops.spherical_harmonics import LENGTH_TOLERANCE


class PositionalEncoding(nn.Module, ABC):
    """A fixed map from the sphere to ``features`` numbers. It has no weights, and its dtype and device are those of the points.

    Attributes
    ----------
    features : the width of what comes out.
    """

    features: int

    def __init__(self) -> None:
        super().__init__()

    def forward(self, xyz: Tensor) -> Tensor:
        """Features ``(..., features)`` of unit vectors ``(..., 3)``, float32 or float64; half precision is promoted to float32.

        Raises
        ------
        ArgumentError : wrong shape or type, vectors that are not of length 1 (under ``torch.compile`` lengths are not looked at).
        """
        return self._of_directions(unit_vectors(xyz))

    def at_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        """Features ``(..., features)`` of longitudes (east) and latitudes (north) in degrees, which broadcast.

        Raises
        ------
        ArgumentError : not floats, a latitude outside [-90, 90], values that are not finite.
        """
        return self._of_directions(lonlat_to_xyz(promoted("lon", lon), promoted("lat", lat)))

    def linear(self, xyz: Tensor, layer: nn.Linear) -> Tensor:
        """``layer`` of the features; an encoding that need not form them for it says so here."""
        return layer(self(xyz))

    @abstractmethod
    def _of_directions(self, xyz: Tensor) -> Tensor:
        """Features of unit vectors that were checked."""


class LongitudeLatitudeEncoding(PositionalEncoding):
    """An encoding that knows the sphere as the rectangle of longitude and latitude.

    Given directions, a pole has longitude 0. There the gradient with respect to ``x`` and ``y`` is set to 0: neither coordinate has
    one. Near a pole it grows without bound, as the derivative of the longitude does.
    """

    def at_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        lon, lat = promoted("lon", lon), promoted("lat", lat)
        lonlat_to_xyz(lon.detach(), lat.detach())  # for its checks
        # Whole turns off, as directions have them: some of these encodings know no period.
        return self._of_lonlat(*torch.broadcast_tensors(lon - 360 * (lon.detach() / 360).round(), lat))

    def _of_directions(self, xyz: Tensor) -> Tensor:
        x, y, z = xyz.unbind(dim=-1)
        pole = (x == 0) & (y == 0)
        x, y = torch.where(pole, 1.0, x), torch.where(pole, 0.0, y)
        to_axis = torch.where(pole, 0.0, torch.hypot(x, y))
        return self._of_lonlat(torch.rad2deg(torch.atan2(y, x)), torch.rad2deg(torch.atan2(z, to_axis)))

    @abstractmethod
    def _of_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        """Features of longitudes and latitudes in degrees, of one shape."""


#: How far from 1 rounding leaves a length.
HALF_TOLERANCE = {torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def promoted(name: str, values: Tensor) -> Tensor:
    """Floats in a type that is computed in: half precision becomes float32."""
    if not isinstance(values, Tensor):
        raise ArgumentError(problem(name, "a torch tensor", type(values).__name__, "convert with torch.as_tensor"))
    if values.dtype in (torch.float16, torch.bfloat16):
        return values.float()
    if values.dtype not in LENGTH_TOLERANCE:
        raise ArgumentError(problem(name, "floats", str(values.dtype), "convert with .float() or .double()"))
    return values


def unit_vectors(xyz: Tensor) -> Tensor:
    """Want unit vectors ``(..., 3)``; the same in a type that is computed in. Those in half precision get their length back."""
    half = isinstance(xyz, Tensor) and xyz.dtype in HALF_TOLERANCE
    tolerance = HALF_TOLERANCE[xyz.dtype] if half else None
    xyz = promoted("xyz", xyz)
    if xyz.dim() == 0 or xyz.shape[-1] != 3:
        hint = "longitude and latitude go through .at_lonlat" if xyz.dim() and xyz.shape[-1] == 2 else ""
        raise ArgumentError(problem("xyz", "shape (..., 3)", tuple(xyz.shape), hint))
    if not torch.compiler.is_compiling():
        length = xyz.detach().norm(dim=-1)
        wrong = ~((length - 1).abs() <= (tolerance or LENGTH_TOLERANCE[xyz.dtype]))
        if bool(wrong.any()):
            hint = "divide by the length, or use .at_lonlat for longitude and latitude"
            raise ArgumentError(problem("xyz", "unit vectors", f"one of length {float(length[wrong][0]):g}", hint))
    return xyz / xyz.norm(dim=-1, keepdim=True) if half else xyz
