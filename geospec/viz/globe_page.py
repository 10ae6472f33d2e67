"""The report of fields on a sphere: a globe that turns, its flat map, data points with their errors, spectra."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import ops
from ..errors import ArgumentError, problem
from ..shapes.mesh import Mesh
from .axes import Axes
from .camera import View
from .colormaps import categories, colorize
from .page import Page, numbers_table
from .point_errors import PointErrors
from .sphere_field import Field, SphereField, by_name, directions_of, plain_array

#: Rows and columns of the ball that carries the colours; these come per pixel, so it need only be round.
_BALL = (48, 96)
_CURVES = 4


def globe_report(
    path: str | os.PathLike[str],
    fields: Mapping[str, Field],
    *,
    points: Any = None,
    targets: Any = None,
    points_name: str = "points",
    spectra: Mapping[str, ArrayLike] | None = None,
    beside: str | None = None,
    classes: Sequence[str] | None = None,
    latitudes: ArrayLike | None = None,
    colormap: str | Mapping[str, str] | None = None,
    limits: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
    center: tuple[float, float] = (10.0, 25.0),
    title: str = "A field on the globe",
    note: str = "",
    numbers: Mapping[str, Any] | None = None,
) -> Path:
    """Write an interactive page of fields on the sphere: one HTML file, no network.

    A globe turns and shows one field at a time, each pixel looked up in the field's grid; a flat map shows the whole; the place and the
    value under the cursor are told. Where there are targets, points can be coloured by what was measured or by the error, and errors are
    drawn over latitude.

    Parameters
    ----------
    fields : by name; a grid ``(n_lat, n_lon)``, rows from north to south, columns eastward from longitude 0, or a function of unit
        vectors ``(n, 3)``, which is sampled at 360 by 720 places, for classes at 720 by 1440. Whole numbers are classes. NaN is grey.
    points : unit vectors ``(m, 3)`` of data.
    targets : ``(m,)`` what was measured there, of the first field, or a mapping by the fields' names. Errors are those of the field at the
        points: a function is asked there, a grid interpolated. points_name : what they are, for the reader.
    spectra : power by degree, ``(degree + 1,)`` each, by name; as :meth:`geospec.SphericalHarmonics.power_spectrum` gives it. Up to four.
    beside : the name of a field that a second globe shows throughout: a truth, mostly.
    classes : names. latitudes : of all grids' rows, falling; by default the middles of equal steps.
    colormap, limits : of all fields of numbers, or mappings by name; chosen for each where not given.
    center : longitude and latitude that face the reader at first.
    numbers : a nested dict, listed in a table.

    Raises
    ------
    ArgumentError : no field, a field that :meth:`SphereField.of` refuses, points that are no unit vectors, targets of another length or
        not finite, names that are no field's.

    Returns the path. About 1.4 MB for each field that is a function.
    """
    if not fields:
        raise ArgumentError(problem("fields", "at least one field", "none"))
    drawn = {name: SphereField.of(f"fields[{name!r}]", f, latitudes=latitudes, classes=classes) for name, f in fields.items()}
    if beside is not None and beside not in drawn:
        raise ArgumentError(problem("beside", "the name of a field: " + ", ".join(drawn), repr(beside)))
    xyz = None if points is None else directions_of("points", points)
    errors = _errors(fields, drawn, xyz, targets)
    colormaps, scales = by_name("colormap", colormap, drawn), by_name("limits", limits, drawn)
    page = Page()
    _globes(page, beside, center)
    parts = {}
    for i, (name, field) in enumerate(drawn.items()):
        parts[name] = _part(page, f"field.{i}", name, field, colormaps.get(name), scales.get(name))
        if xyz is not None and (name in errors or not errors):
            parts[name]["dots"] = _dots(page, f"points.{i}", field, parts[name], len(xyz), errors.get(name))
    for name, part in parts.items():
        page.look(name, "", {"globe": part, **({} if beside is None else {"beside": parts[beside]})})
    page.extra["globe"] = {"points": None if xyz is None else page.array("points", xyz), "center": list(center)}
    told = {name: error.numbers() for name, error in errors.items()}
    listed = {**(numbers or {}), **({f"at the {points_name}": told if len(told) > 1 else next(iter(told.values()))} if told else {})}
    table = f"<section><h2>Numbers</h2>{numbers_table(listed)}</section>" if listed else ""
    figures = "".join(error.section(name) for name, error in errors.items())
    sizes = f"{len(drawn)} {'field' if len(drawn) == 1 else 'fields'}" + ("" if xyz is None else f", {len(xyz):,} {points_name}")
    body = f"""<header><p class="kicker">geospec globe</p><h1>{html.escape(title)}</h1>
<p class="soft">{html.escape(note or sizes)}</p></header>
{page.stage(_controls(xyz is not None, bool(errors)), _FLAT)}
<div class="columns"><div>{figures}</div><div>{_spectrum_section(spectra or {})}{table}</div>
{_HOW_TO_READ}</div>"""
    return page.write(path, title, body)


_FLAT = """<figure class="view flat"><figcaption><b>The whole at once</b><span class="soft">equal areas</span></figcaption>
<div class="sheet"><div><canvas id="flat" tabindex="0" role="img"
 aria-label="Flat map of the field in Mollweide's projection; arrow keys move the reading, Enter turns the globe there"></canvas>
<span id="flat-cursor" hidden></span></div></div><div class="legend">Click a place to turn the globe there.</div>
<output class="reading" id="flat-reading"></output></figure>"""

_HOW_TO_READ = """<section><h2>How to read this</h2><p>The globe takes its colour pixel by pixel from the field's samples; between them
numbers are interpolated, classes take the nearest. The lines are meridians and parallels every 30 degrees. The flat map is Mollweide's:
equal areas on the sphere are equal areas on the page. A click on it turns the globe to that place.</p>
<p>Errors by latitude tell whether a model knows the poles: each band's error beside the error of the whole. Power by degree tells
at which scales there is something: degree <i>l</i> has features of about <code>180° / l</code>.</p></section>"""


def _controls(points: bool, errors: bool) -> str:
    choices = [("none", "Hidden")] + ([("measured", "Measured"), ("error", "Error")] if errors else [("plain", "Shown")])
    boxes = "".join(
        f'<label><input type="radio" name="dots" value="{value}"{" checked" if i == 1 else ""}>{label}</label>'
        for i, (value, label) in enumerate(choices)
    )
    shown = f'<fieldset><legend>Points</legend><span class="choices">{boxes}</span></fieldset>' if points else ""
    return f"""{shown}<label><input type="checkbox" id="graticule" checked> graticule</label>
<label><input type="checkbox" id="turning"> turn slowly</label>"""


def _globes(page: Page, beside: str | None, center: tuple[float, float]) -> None:
    out = ops.lonlat_to_xyz(*(torch.tensor(float(angle), dtype=torch.float64) for angle in center)).numpy()
    view = View.along(out, (0, 0, 1))
    page.add_shape("globe", _ball(), "Globe", view, "drag to turn")
    if beside is not None:
        page.add_shape("beside", _ball(), beside, view, "throughout")


def _ball() -> Mesh:
    """A round surface about the origin, its box's middle, so that the page leaves it there."""
    rows, columns = _BALL
    lat, lon = torch.linspace(90, -90, rows + 1, dtype=torch.float64), torch.arange(columns, dtype=torch.float64) * (360 / columns)
    at = torch.arange((rows + 1) * columns).reshape(rows + 1, columns)
    east = at.roll(-1, dims=1)
    faces = torch.cat([torch.stack([at[:-1], at[1:], east[1:]], -1), torch.stack([at[:-1], east[1:], east[:-1]], -1)])
    return Mesh(ops.lonlat_to_xyz(lon[None], lat[:, None]).reshape(-1, 3), faces.reshape(-1, 3))


def _part(page: Page, key: str, name: str, field: SphereField, colormap: str | None, limits: tuple[float, float] | None) -> dict[str, Any]:
    """What one field looks like on a globe."""
    even = field.evenly()
    rows, columns = even.values.shape
    part: dict[str, Any] = {"kind": "field", "rows": rows, "columns": columns, "graticule": True, "caption": name}
    if field.classes is not None:
        colors = np.zeros((256, 3))
        colors[: len(field.classes)] = categories(len(field.classes))
        part |= {"nearest": True, "limits": [0, 255], "table": page.colors(f"table.{key}", colors), "classes": field.classes}
        return {**part, "values": page.array(key, even.values, "uint8")}
    colormap, limits = field.scale(colormap, limits)
    return {**part, "values": page.array(key, even.values), "nearest": False, "limits": list(limits), "table": f"table.{colormap}"}


def _dots(page: Page, key: str, field: SphereField, part: dict[str, Any], count: int, errors: PointErrors | None) -> dict[str, Any]:
    """What the points can show on this field."""
    if errors is None:
        return {"plain": {"colors": page.colors(f"{key}.plain", np.tile([0.11, 0.12, 0.15], (count, 1)))}}
    colormap = part["table"].removeprefix("table.") if field.classes is None else ""
    measured = {
        "colors": page.colors(f"{key}.measured", field.colors(errors.targets, colormap, part["limits"])),
        "values": page.array(f"{key}.targets", errors.targets),
    }
    if field.classes is None:
        limits = (0.0, float(np.percentile(errors.absolute, 98)) or 1.0)
        look = page.scalar(errors.absolute, f"{key}.error", "error", limits, "error")
    else:
        limits = (0.0, 1.0)
        ends = np.zeros((256, 3))
        ends[:2] = colorize([0.0, 1.0], "error", limits)
        look = page.scalar(errors.absolute, f"{key}.error", "error", limits)
        look |= {"table": page.colors(f"table.{key}", ends), "classes": ["right", "wrong"]}
    colors = page.colors(f"{key}.errors", colorize(errors.absolute, "error", limits))
    return {"measured": measured, "error": {**look, "colors": colors}}


def _errors(fields: Mapping[str, Field], drawn: Mapping[str, SphereField], xyz: NDArray | None, targets: Any) -> dict[str, PointErrors]:
    """The errors of every field that has targets."""
    if targets is None:
        return {}
    if xyz is None:
        raise ArgumentError(problem("points", "where the targets were measured", "none"))
    named = targets if isinstance(targets, Mapping) else {next(iter(drawn)): targets}
    unknown = [name for name in named if name not in drawn]
    if unknown:
        raise ArgumentError(problem("targets", "names of fields: " + ", ".join(drawn), repr(unknown[0])))
    return {name: PointErrors.of(f"targets[{name!r}]", drawn[name], fields[name], xyz, values) for name, values in named.items()}


def _spectrum_section(spectra: Mapping[str, ArrayLike]) -> str:
    """Power over degree, logarithmic, a curve each."""
    if not spectra:
        return ""
    if len(spectra) > _CURVES:
        raise ArgumentError(problem("spectra", f"at most {_CURVES}", len(spectra)))
    powers = {}
    for name, values in spectra.items():
        power = plain_array(values).astype(np.float64)
        if power.ndim != 1 or not len(power) or not (np.isfinite(power) & (power >= 0)).all() or not power.any():
            raise ArgumentError(
                problem(f"spectra[{name!r}]", "powers (degree + 1,), finite, not negative, not all zero", f"shape {power.shape}")
            )
        powers[name] = power
    top = max(float(power.max()) for power in powers.values())
    low = max(min(float(power[power > 0].min()) for power in powers.values()), 1e-12 * top)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(top * 1.0001))
    axes = Axes(max(len(power) - 1 for power in powers.values()), 10.0**last, 10.0**first, height=260, logarithmic=True)
    levels = [10.0**e for e in range(first, last + 1, 1 + (last - first) // 8)]
    curves, keys = [], []
    for i, (name, power) in enumerate(powers.items()):
        line, pen = "", "M"
        for degree, value in enumerate(power):  # a degree without power interrupts the curve
            line += f"{pen}{axes.x(degree):.1f} {axes.y(value):.1f}" if value > 0 else ""
            pen = "L" if value > 0 else "M"
        curves.append(f'<path class="curve c{i}" d="{line}"><title>{html.escape(name)}</title></path>')
        keys.append(f'<span class="swatch"><i class="c{i}"></i>{html.escape(name)}</span>')
    drawn = axes.svg(f"{axes.grid(levels)}{''.join(curves)}", "Power over degree", "power over degree")
    return f'<section><h2>Spectrum</h2>{drawn}<p class="keys soft">{"".join(keys)}</p></section>'
