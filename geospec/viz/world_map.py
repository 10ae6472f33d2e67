"""Flat pictures of functions on the sphere: world maps and views of one half, without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentError, problem
from .colormaps import categories, choose
from .projections import Center, aspect_of, lonlat_of, project, unproject
from .sheets import Panel, compose
from .sphere_field import Field, SphereField, by_name, directions_of

if TYPE_CHECKING:
    from PIL.Image import Image

_OUTLINE, _LINE, _RIM = (60, 66, 78, 255), (28, 31, 38, 70), (255, 255, 255, 235)
#: Samples per pixel and axis, averaged.
_SAMPLES = 2
_EVERY = 30


def world_map(
    field: Field,
    *,
    projection: str = "mollweide",
    center: Center = (0.0, 0.0),
    width: int = 1200,
    colormap: str | None = None,
    limits: tuple[float, float] | None = None,
    classes: Sequence[str] | None = None,
    latitudes: ArrayLike | None = None,
    points: Any = None,
    point_values: Any = None,
    graticule: bool = True,
    title: str = "",
    note: str = "",
) -> Image:
    """A picture of a field on the sphere, with its colour bar or the legend of its classes.

    Parameters
    ----------
    field : a grid ``(n_lat, n_lon)``, rows from north to south, columns eastward from longitude 0, or a function of unit vectors
        ``(n, 3)``; whole numbers are classes. Between samples numbers are bilinear, classes the nearest. NaN is grey.
    projection : ``"mollweide"`` (areas are true), ``"equirectangular"``, or ``"orthographic"``, a view from afar.
    center : longitude and latitude in the middle, in degrees; a latitude other than 0 for orthographic only.
    width : of the map, in pixels.
    colormap, limits : of numbers, see :func:`geospec.viz.colormaps.choose`. classes : their names.
    latitudes : ``(n_lat,)`` of the grid's rows, falling; by default the middles of equal steps.
    points : unit vectors ``(m, 3)``, drawn as dots; point_values : ``(m,)``, their colours on the field's scale, of
        classes their numbers, else NaN is grey.
    graticule : meridians and parallels every 30 degrees.

    Raises
    ------
    ArgumentError : see :meth:`SphereField.of`; points that are no unit vectors, point values without points, of another length, infinite
        or no class's number; an unknown projection.
    """
    drawn = SphereField.of("field", field, latitudes=latitudes, classes=classes)
    panel = map_panel(
        drawn,
        title,
        projection=projection,
        center=center,
        width=width,
        colormap=colormap,
        limits=limits,
        points=points,
        point_values=point_values,
        graticule=graticule,
    )
    return compose([panel], 1, note=note, unit=max(10, width // 60))


def world_maps(
    fields: Mapping[str, Field],
    *,
    columns: int = 2,
    one_scale: bool = True,
    heading: str = "",
    note: str = "",
    colormap: str | Mapping[str, str] | None = None,
    limits: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
    classes: Sequence[str] | None = None,
    latitudes: ArrayLike | None = None,
    width: int = 600,
    **rest: Any,
) -> Image:
    """Several fields side by side, each under its name.

    With ``one_scale`` fields of numbers have one, so that they can be compared. ``colormap`` and ``limits`` are of all fields, or
    mappings by name: a field with limits of its own stands outside the common scale. ``rest`` goes to each map, see :func:`world_map`.
    """
    if not fields:
        raise ArgumentError(problem("fields", "at least one field", "none"))
    if columns < 1:
        raise ArgumentError(problem("columns", "at least 1", columns))
    drawn = {name: SphereField.of(f"fields[{name!r}]", f, latitudes=latitudes, classes=classes) for name, f in fields.items()}
    own_limits, own_maps = by_name("limits", limits, drawn), by_name("colormap", colormap, drawn)
    shared = [f.values.ravel() for name, f in drawn.items() if one_scale and f.classes is None and name not in own_limits]
    common_map, common_limits = choose(np.concatenate(shared)) if shared else (None, None)
    panels = []
    for name, shown in drawn.items():
        scale = own_limits.get(name, common_limits)
        colors = own_maps.get(name) or (None if name in own_limits else common_map)
        panels.append(map_panel(shown, name, width=width, colormap=colors, limits=scale, **rest))
    return compose(panels, min(columns, len(panels)), heading, note)


def map_panel(
    field: SphereField,
    title: str = "",
    *,
    projection: str = "mollweide",
    center: Center = (0.0, 0.0),
    width: int = 600,
    colormap: str | None = None,
    limits: tuple[float, float] | None = None,
    points: Any = None,
    point_values: Any = None,
    graticule: bool = True,
) -> Panel:
    """One map as a panel of a sheet, see :func:`geospec.viz.sheets.compose`; the options are those of :func:`world_map`."""
    if width < 16:
        raise ArgumentError(problem("width", "at least 16 pixels", width))
    colormap, limits = field.scale(colormap, limits)
    canvas = _Canvas(projection, center, width)
    canvas.fill(field, colormap, limits)
    if graticule:
        canvas.graticule()
    if points is None and point_values is not None:
        raise ArgumentError(problem("points", "where the point values are", "none"))
    if points is not None:
        canvas.dots(*_dots(field, points, point_values, colormap, limits))
    canvas.outline()
    if field.classes is None:
        return Panel(canvas.pixels(), title, bar=(colormap, f"{limits[0]:.3g}", f"{limits[1]:.3g}"))
    return Panel(canvas.pixels(), title, swatches=tuple(zip(field.classes, categories(len(field.classes)), strict=True)))


def _dots(field: SphereField, points: Any, values: Any, colormap: str, limits: tuple[float, float]) -> tuple[NDArray, NDArray]:
    xyz = directions_of("points", points)
    if values is None:
        return xyz, np.broadcast_to(np.array([28, 31, 38]), (len(xyz), 3))
    array = field.at_points("point_values", values, len(xyz), unknown=True)
    return xyz, np.rint(field.colors(array, colormap, limits) * 255).astype(int)


class _Canvas:
    """A map being drawn, finer than its pixels, with a margin for the line around it."""

    def __init__(self, projection: str, center: Center, width: int) -> None:
        from PIL import Image

        self.projection, self.center = projection, center
        self.margin = 4 * _SAMPLES
        self.half = (_SAMPLES * width - 2 * self.margin) / 2
        height = round(2 * self.half * aspect_of(projection)) + 2 * self.margin
        self.size = (_SAMPLES * width, height + height % _SAMPLES)
        self.image = Image.new("RGB", self.size, "white")

    def place(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """Where on the canvas."""
        return self.size[0] / 2 + self.half * np.asarray(x), self.size[1] / 2 - self.half * np.asarray(y)

    def fill(self, field: SphereField, colormap: str, limits: tuple[float, float]) -> None:
        """Paint the field, a band of rows at a time."""
        from PIL import Image

        x = (np.arange(self.size[0]) + 0.5 - self.size[0] / 2) / self.half
        for top in range(0, self.size[1], 256):
            rows = np.arange(top, min(top + 256, self.size[1]))
            lon, lat, inside = unproject(self.projection, x[None], ((self.size[1] / 2 - 0.5 - rows) / self.half)[:, None], self.center)
            band = np.ones((*inside.shape, 3))
            band[inside] = field.colors(field.at(lon[inside], lat[inside]), colormap, limits)
            self.image.paste(Image.fromarray(np.rint(band * 255).astype(np.uint8)), (0, top))

    def graticule(self) -> None:
        """Meridians, which end ten degrees before the poles, and parallels, as a thin dark veil."""
        from PIL import Image, ImageDraw

        veil = Image.new("RGBA", self.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(veil)
        along = np.linspace(-80, 80, 161)
        lines = [(np.full_like(along, lon), along) for lon in range(-180, 180, _EVERY)]
        around = np.linspace(-180, 180, 721) + self.center[0]
        lines += [(around[1:-1], np.full(719, lat)) for lat in range(-90 + _EVERY, 90, _EVERY)]
        for lon, lat in lines:
            x, y, seen = project(self.projection, lon, lat, self.center)
            for run in np.split(np.arange(len(x)), np.flatnonzero(np.diff(seen.astype(int)) | (np.abs(np.diff(x)) > 0.5)) + 1):
                if seen[run[0]] and len(run) > 1:
                    pen.line(list(zip(*(part.tolist() for part in self.place(x[run], y[run])), strict=True)), fill=_LINE, width=_SAMPLES)
        self.image.paste(veil, (0, 0), veil)

    def dots(self, xyz: NDArray, colors: NDArray) -> None:
        """Discs with a light rim."""
        from PIL import ImageDraw

        x, y, seen = project(self.projection, *lonlat_of(xyz), self.center)
        pen, radius = ImageDraw.Draw(self.image), max(2.0, min(6.0, self.half / 160)) * _SAMPLES / 2
        for across, down, color in zip(*(part[seen] for part in (*self.place(x, y), colors)), strict=True):
            for reach, paint in ((radius + 1.2 * _SAMPLES / 2, _RIM), (radius, tuple(int(c) for c in color))):
                pen.ellipse([across - reach, down - reach, across + reach, down + reach], fill=paint)

    def outline(self) -> None:
        from PIL import ImageDraw

        (left, right), (bottom, top) = self.place([-1, 1], [-aspect_of(self.projection), aspect_of(self.projection)])
        pen, box = ImageDraw.Draw(self.image), [left - 1, top - 1, right + 1, bottom + 1]
        shape = pen.rectangle if self.projection == "equirectangular" else pen.ellipse
        shape(box, outline=_OUTLINE, width=_SAMPLES)

    def pixels(self) -> NDArray[np.uint8]:
        return np.asarray(self.image.reduce(_SAMPLES))
