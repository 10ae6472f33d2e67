"""A function on the sphere as pictures need it: a grid, how it is read between its samples, and its colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import ops
from ..errors import ArgumentError, problem
from .colormaps import categories, choose, colorize

#: What is drawn: numbers on a grid, or a function of unit vectors.
Field = ArrayLike | torch.Tensor | Callable[[torch.Tensor], Any]

#: Classes that one byte can tell apart.
MOST_CLASSES = 256
#: Directions for which a function is asked at a time.
_CHUNK = 1 << 16


@dataclass(frozen=True)
class SphereField:
    """Numbers or classes all over a sphere.

    ``values (n_lat, n_lon)`` are float64, NaN where unknown; rows run from north to south at ``latitudes (n_lat,)``, columns eastward
    from longitude 0. ``classes`` holds the names where the values are class numbers, else ``None``.
    """

    values: NDArray[np.float64]
    latitudes: NDArray[np.float64]
    classes: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls, name: str, field: Field, *, latitudes: ArrayLike | None = None, classes: Sequence[str] | None = None, rows: int = 360
    ) -> SphereField:
        """Of a grid ``(n_lat, n_lon)``, by default at the middle of equal steps of latitude, or of a function.

        A function takes unit vectors ``(n, 3)`` float32 and returns ``(n,)``; it is asked, without gradients, at ``rows`` by
        ``2 rows`` places, and for classes, which have edges, on twice as many rows. Whole numbers, of either, are class numbers;
        ``classes`` are their names; ``name`` is what errors call the field.

        Raises
        ------
        ArgumentError : another shape, infinite values or nothing but NaN, a class number without a name, latitudes that do not fall.
        """
        if callable(field):
            if latitudes is not None:
                raise ArgumentError(problem("latitudes", "none for a function", "some"))
            array = _sampled(name, field, rows)
        else:
            array = plain_array(field)
        if array.ndim != 2 or 0 in array.shape:
            hint = "rows are latitudes from north to south, columns longitudes eastward from 0"
            raise ArgumentError(problem(name, "a grid (n_lat, n_lon)", array.shape, hint))
        names = _class_names(name, array, classes)
        values = array.astype(np.float64)
        if np.isinf(values).any() or np.isnan(values).all():
            got = "infinite ones" if np.isinf(values).any() else "only NaN"
            raise ArgumentError(problem(name, "finite numbers, NaN where unknown", got))
        return cls(values, _latitudes(latitudes, len(values)), names)

    def at(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float64]:
        """Values at longitudes and latitudes in degrees, which broadcast: bilinear, of classes the nearest sample's.

        Columns go round; beyond the first and the last row there is the pole, whose value is the mean of that row.
        """
        lon, lat = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
        columns = self.values.shape[1]
        column = np.mod(lon * (columns / 360), columns)
        if self.classes is not None:
            row = np.rint(np.interp(-lat, -self.latitudes, np.arange(len(self.latitudes)))).astype(np.int64)
            return self.values[row, np.rint(column).astype(np.int64) % columns]
        values, latitudes = self._with_poles()
        row = np.interp(-lat, -latitudes, np.arange(len(latitudes)))
        top = np.minimum(row.astype(np.int64), len(latitudes) - 2)
        left = column.astype(np.int64) % columns
        right, down, across = (left + 1) % columns, row - top, column - np.floor(column)
        upper = values[top, left] * (1 - across) + values[top, right] * across
        return upper * (1 - down) + (values[top + 1, left] * (1 - across) + values[top + 1, right] * across) * down

    def evenly(self) -> SphereField:
        """The same on rows in the middle of equal steps of latitude; itself where they already are."""
        even = _latitudes(None, len(self.latitudes))
        if np.allclose(even, self.latitudes, rtol=0, atol=1e-6):
            return self
        lon = np.arange(self.values.shape[1]) * (360 / self.values.shape[1])
        return replace(self, values=self.at(lon[None], even[:, None]), latitudes=even)

    def scale(self, colormap: str | None = None, limits: tuple[float, float] | None = None) -> tuple[str, tuple[float, float]]:
        """The colour map and the limits of numbers, chosen where not given; unused by classes."""
        return choose(self.values, colormap, limits)

    def colors(self, values: ArrayLike, colormap: str, limits: tuple[float, float]) -> NDArray[np.float64]:
        """sRGB ``(..., 3)`` of values of this field."""
        if self.classes is None:
            return colorize(values, colormap, limits)
        return categories(len(self.classes))[np.asarray(values, dtype=np.int64)]

    def at_points(self, name: str, values: Any, count: int, *, unknown: bool = False) -> NDArray[np.float64]:
        """Values ``(count,)`` of a user's own on the scale of this field, one per point. Messages call them ``name``.

        Raises
        ------
        ArgumentError : another shape, no numbers, not finite, save NaN where numbers may be ``unknown``; of classes, other than their
            numbers.
        """
        given = plain_array(values)
        if given.shape != (count,) or given.dtype.kind not in "biuf":
            got = f"shape {given.shape}" if given.shape != (count,) else given.dtype
            raise ArgumentError(problem(name, f"one number per point, ({count},)", got))
        array = given.astype(np.float64)
        if self.classes is None:
            wanted, off = "finite numbers" + (", NaN where unknown" if unknown else ""), np.isinf(array) | (np.isnan(array) & (not unknown))
        else:
            wanted, off = f"class numbers from 0 to {len(self.classes) - 1}", ~((array >= 0) & (array < len(self.classes)))
            off |= array != np.rint(array)
        if off.any():
            raise ArgumentError(problem(name, wanted, f"{array[off][0]:g} in row {np.flatnonzero(off)[0]}"))
        return array

    def _with_poles(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        values, latitudes = self.values, self.latitudes
        if latitudes[0] < 90:
            values, latitudes = np.vstack([np.full_like(values[:1], values[0].mean()), values]), np.append(90.0, latitudes)
        if latitudes[-1] > -90:
            values, latitudes = np.vstack([values, np.full_like(values[:1], values[-1].mean())]), np.append(latitudes, -90.0)
        return values, latitudes


def plain_array(values: Any) -> NDArray:
    """Numbers as they are, of any kind, on the CPU."""
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)


def by_name(option: str, value: Any, names: Iterable[str]) -> dict[str, Any]:
    """An option given once for all fields, or as a mapping by the names of some."""
    if not isinstance(value, Mapping):
        return {} if value is None else dict.fromkeys(names, value)
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise ArgumentError(problem(option, "names of fields: " + ", ".join(names), repr(unknown[0])))
    return dict(value)


def directions_of(name: str, points: Any) -> NDArray[np.float64]:
    """Unit vectors ``(n, 3)`` given by a user, as float64.

    Raises
    ------
    ArgumentError : another shape, or a row that is not of length 1 to 1 part in 1000.
    """
    array = plain_array(points).astype(np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ArgumentError(problem(name, "unit vectors (n, 3)", array.shape, "longitudes and latitudes go through ops.lonlat_to_xyz"))
    off = np.flatnonzero(~(np.abs(np.linalg.norm(array, axis=1) - 1) < 1e-3))
    if len(off):
        raise ArgumentError(problem(name, "unit vectors", f"length {np.linalg.norm(array[off[0]]):g} in row {off[0]}"))
    return array


def asked(name: str, function: Callable[[torch.Tensor], Any], xyz: torch.Tensor) -> NDArray:
    """The numbers ``(n,)`` that a function gives for unit vectors ``(n, 3)``, a part at a time, without gradients."""
    parts = []
    for part in xyz.split(_CHUNK):
        with torch.no_grad():
            told = plain_array(function(part))
        if told.size != len(part):
            raise ArgumentError(problem(name, f"a function that returns one number per direction, ({len(part)},)", told.shape))
        parts.append(told.reshape(-1))
    return np.concatenate(parts)


def _sampled(name: str, function: Callable[[torch.Tensor], Any], rows: int) -> NDArray:
    if _whole(asked(name, function, torch.eye(3))):
        rows *= 2
    lat, lon = (torch.as_tensor(part, dtype=torch.float32) for part in (_latitudes(None, rows), np.arange(2 * rows) * (180 / rows)))
    return asked(name, function, ops.lonlat_to_xyz(lon[None].expand(rows, -1), lat[:, None]).reshape(-1, 3)).reshape(rows, 2 * rows)


def _whole(values: NDArray) -> bool:
    return values.dtype == bool or np.issubdtype(values.dtype, np.integer)


def _latitudes(given: ArrayLike | None, rows: int) -> NDArray[np.float64]:
    if given is None:
        return 90 - 180 * (np.arange(rows) + 0.5) / rows
    latitudes = plain_array(given).astype(np.float64)
    if latitudes.shape != (rows,) or not (np.abs(latitudes) <= 90).all() or not (np.diff(latitudes) < 0).all():
        raise ArgumentError(problem("latitudes", f"{rows} falling numbers in [-90, 90], one per row", f"shape {latitudes.shape}"))
    return latitudes


def _class_names(name: str, values: NDArray, classes: Sequence[str] | None) -> tuple[str, ...] | None:
    if not _whole(values):
        return None
    low, high = int(values.min()), int(values.max())
    most = MOST_CLASSES if classes is None else min(len(classes), MOST_CLASSES)
    if low < 0 or high >= most:
        hint = "numbers that are no classes go in as floats"
        raise ArgumentError(problem(name, f"class numbers from 0 to {most - 1}", f"{low} to {high}", hint))
    return tuple(str(i) for i in range(high + 1)) if classes is None else tuple(str(label) for label in classes)
