"""The report of shapes: a page in which they turn, with any numbers on their points as colours."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .camera import View
from .colormaps import choose, position_colors
from .page import Page, numbers_table, size_text
from .render import positions


def shape_report(
    shapes: Mesh | PointCloud | Mapping[str, Mesh | PointCloud],
    path: str | os.PathLike[str],
    *,
    fields: Mapping[str, ArrayLike | Mapping[str, ArrayLike]] | None = None,
    numbers: Mapping[str, Any] | None = None,
    title: str = "",
    view: View | None = None,
) -> Path:
    """Write an interactive page that shows shapes: one HTML file, no network.

    Parameters
    ----------
    shapes : one shape, or several by name, shown side by side with linked cameras.
    fields : colours to choose from, by name: ``(n,)`` numbers (NaN is grey) or ``(n, 3)`` sRGB in [0, 1]
        for the only shape, or such arrays by shape's name; numbers of one field share a scale.
    numbers : a nested dict, listed in a table: a validation report, say.
    title : heading of the page. view : of every shape; by default one that suits each.

    Returns the path.
    """
    named = dict(shapes) if isinstance(shapes, Mapping) else {title or "shape": shapes}
    if not named:
        raise ArgumentError(problem("shapes", "at least one shape", "none"))
    page = Page()
    for i, (name, shape) in enumerate(named.items()):
        page.add_shape(f"s{i}", shape, name, view)
    page.look("Shape", "The shape without data.", {})
    for label, field in (fields or {}).items():
        parts = field if isinstance(field, Mapping) else dict.fromkeys(list(named)[:1], field)
        page.look(label, f"{label}, as given.", _parts(page, label, named, parts))
    places = {
        f"s{i}": {"kind": "color", "colors": page.colors(f"s{i}.places", position_colors(positions(s))), "caption": "coloured by place"}
        for i, s in enumerate(named.values())
    }
    page.look("Position", "Coloured by place.", places)
    picking = page.picking({f"s{i}": [] for i in range(len(named))}, [])
    table = f"<section><h2>Numbers</h2>{numbers_table(numbers)}</section>" if numbers else ""
    sizes = "; ".join(size_text(shape) for shape in named.values())
    heading = title or ", ".join(named)
    body = f"""<header><p class="kicker">geospec show</p><h1>{html.escape(heading)}</h1><p class="soft">{sizes}</p></header>
{page.stage()}{picking}<div class="columns">{table}</div>"""
    return page.write(path, heading, body)


def _parts(page: Page, label: str, named: Mapping[str, Mesh | PointCloud], parts: Mapping[str, ArrayLike]) -> dict[str, dict[str, Any]]:
    """A field's look of each shape that has it; numbers share one scale."""
    arrays = {name: _checked(label, named, name, values) for name, values in parts.items()}
    numbers = [array for array in arrays.values() if array.ndim == 1]
    colormap, limits = choose(np.concatenate(numbers)) if numbers else (None, None)
    looks = {}
    for i, (name, array) in enumerate(arrays.items()):
        key = f"field.{len(page.looks)}.{i}"
        colored = array.ndim == 2
        look = {"kind": "color", "colors": page.colors(key, array)} if colored else page.scalar(array, key, colormap, limits)
        looks[f"s{list(named).index(name)}"] = look
    return looks


def _checked(label: str, named: Mapping[str, Mesh | PointCloud], name: str, values: Any) -> np.ndarray:
    if name not in named:
        raise ArgumentError(problem(f"fields[{label!r}]", "names of shapes: " + ", ".join(named), repr(name)))
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.float64)
    n = named[name].n_points
    if array.shape not in ((n,), (n, 3)):
        raise ArgumentError(problem(f"fields[{label!r}]", f"shape ({n},) or ({n}, 3)", array.shape))
    return array
