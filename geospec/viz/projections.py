"""Flat maps of a sphere: where a longitude and latitude come to lie, and back.

A map is one wide at most half way: ``x`` runs over [-1, 1] eastward and ``y`` over [-aspect, aspect] northward, where
``aspect`` is 1/2 for maps of the whole sphere and 1 for a view of one half.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentError, one_of, problem
from ..ops import xyz_to_lonlat

PROJECTIONS = ("equirectangular", "mollweide", "orthographic")

Center = tuple[float, float]


def aspect_of(projection: str) -> float:
    """Height over width of the map."""
    one_of("projection", projection, PROJECTIONS)
    return 1.0 if projection == "orthographic" else 0.5


def project(projection: str, lon: ArrayLike, lat: ArrayLike, center: Center = (0.0, 0.0)) -> tuple[NDArray, NDArray, NDArray]:
    """``x``, ``y`` and whether the place is seen, of longitudes and latitudes in degrees.

    ``center`` is the longitude and latitude in the middle; only the orthographic view can be tilted to a latitude.

    Mollweide: ``2 t + sin 2 t = pi sin lat``, by Newton's method from the poles: with ``u = pi - 2 |t|`` the equation is
    ``u - sin u = 2 pi sin^2((90 - |lat|) / 2)``, convex, and the start ``(6 c)^(1/3)`` from the sine's series is exact at the pole, where
    the usual form divides by zero.
    """
    _checked(projection, center)
    lon, lat = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
    across = np.mod(lon - center[0] + 180, 360) - 180
    seen = np.ones(lon.shape, dtype=bool)
    if projection == "equirectangular":
        return across / 180, lat / 180, seen
    if projection == "mollweide":
        sine, cosine = _mollweide_angle(lat)
        return across / 180 * cosine, sine / 2, seen
    right, up, out = _axes(center)
    p = _directions(lon, lat)
    return p @ right, p @ up, p @ out >= 0


def unproject(projection: str, x: ArrayLike, y: ArrayLike, center: Center = (0.0, 0.0)) -> tuple[NDArray, NDArray, NDArray]:
    """Longitude in [-180, 180], latitude, and whether the place lies on the map, of places on it."""
    _checked(projection, center)
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    if projection == "orthographic":
        right, up, out = _axes(center)
        deep = 1 - x**2 - y**2
        p = x[..., None] * right + y[..., None] * up + np.sqrt(np.maximum(deep, 0))[..., None] * out
        return *lonlat_of(p), deep >= 0
    across, inside = 180 * x, (np.abs(x) <= 1) & (np.abs(y) <= 0.5)
    lat = 180 * y
    if projection == "mollweide":
        sine = np.clip(2 * y, -1, 1)
        angle, cosine = np.arcsin(sine), np.sqrt(1 - sine**2)
        lat = np.degrees(np.arcsin(np.clip((2 * angle + 2 * sine * cosine) / np.pi, -1, 1)))
        across = 180 * np.divide(x, cosine, out=np.zeros_like(x), where=cosine > 0)
        inside = x**2 + 4 * y**2 <= 1
    return np.mod(across + center[0] + 180, 360) - 180, np.where(inside, lat, 0.0), inside


def lonlat_of(xyz: NDArray) -> tuple[NDArray, NDArray]:
    """:func:`geospec.ops.xyz_to_lonlat` of an array ``(..., 3)``."""
    lon, lat = xyz_to_lonlat(torch.from_numpy(xyz))
    return lon.numpy(), lat.numpy()


def _checked(projection: str, center: Center) -> None:
    one_of("projection", projection, PROJECTIONS)
    longitude, latitude = center
    if not (np.isfinite(longitude) and abs(latitude) <= 90):
        raise ArgumentError(problem("center", "a longitude and a latitude in degrees", center))
    if latitude and projection != "orthographic":
        raise ArgumentError(problem("center", f"latitude 0 with {projection}", center, "only the orthographic view can be tilted"))


def _mollweide_angle(lat: NDArray) -> tuple[NDArray, NDArray]:
    """Sine and cosine of the auxiliary angle."""
    c = 2 * np.pi * np.sin(np.radians(90 - np.abs(lat)) / 2) ** 2
    u = np.cbrt(6 * c)
    for _ in range(6):
        slope = 2 * np.sin(u / 2) ** 2
        u = u - np.divide(u - np.sin(u) - c, slope, out=np.zeros_like(u), where=slope > 1e-8)  # nearer the pole the start is exact
    return np.sign(lat) * np.cos(u / 2), np.sin(u / 2)


def _directions(lon: ArrayLike, lat: ArrayLike) -> NDArray:
    a, b = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)], axis=-1)


def _axes(center: Center) -> tuple[NDArray, NDArray, NDArray]:
    """East, north and outward at the middle."""
    a = np.radians(center[0])
    east, out = np.array([-np.sin(a), np.cos(a), 0.0]), _directions(*np.asarray(center, dtype=np.float64))
    return east, np.cross(out, east), out
