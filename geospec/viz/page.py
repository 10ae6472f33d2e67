"""The page that every report is: one HTML file that carries its data, its viewer and its looks.

Nothing is fetched: the page's own security policy forbids it. Text that came from a user or a file is
escaped on its way in; numbers go in as JSON without NaN, arrays as base64 of little-endian bytes.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from ..writing import written_aside
from .camera import View
from .colormaps import COLORMAPS, MARKERS, choose, hex_to_rgb, table
from .render import cloud_surface, given_normals, positions

#: In the order in which they need each other.
SCRIPTS = ("geometry.js", "viewer.js", "globe.js", "report.js")


class Page:
    """Collects what a report shows, then writes it.

    ``arrays`` are numbers by name; ``views`` the shapes on the page, each beside the others; ``looks``
    what their colours can mean; ``extra`` what only one kind of report has.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, dict[str, Any]] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.looks: list[dict[str, Any]] = []
        self.extra: dict[str, Any] = {}
        self._captions: dict[str, tuple[str, str]] = {}

    def array(self, name: str, values: ArrayLike, dtype: str = "float32") -> str:
        """Keep an array under a name, as ``dtype``; returns the name."""
        stored = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
        self.arrays[name] = {"dtype": dtype, "shape": list(stored.shape), "base64": base64.b64encode(stored.tobytes()).decode()}
        return name

    def gathered(self, name: str, source: str, by: str) -> str:
        """Name the rows ``by`` of another array without storing them twice; returns the name."""
        shape = self.arrays[source]["shape"]
        self.arrays[name] = {"gather": source, "by": by, "width": shape[1] if len(shape) > 1 else 1}
        return name

    def colors(self, name: str, rgb: NDArray) -> str:
        """Keep sRGB colours in [0, 1] as bytes; returns the name."""
        return self.array(name, np.rint(np.clip(np.nan_to_num(rgb, nan=0.6), 0, 1) * 255), "uint8")

    def add_shape(self, name: str, shape: Mesh | PointCloud, caption: str, view: View | None = None, size: str | None = None) -> View:
        """Show a shape under a caption and its ``size``, by default its counts; returns the view it starts from.

        The page holds positions about the middle of the shape's box, in halves of its diagonal: float32
        serves there whatever the shape's place and unit.
        """
        points = positions(shape)
        view = view or View.automatic(points)
        scaled = _unit_box(points)
        entry: dict[str, Any] = {"positions": self.array(f"{name}.positions", scaled), "faces": None, "normals": None, "radii": None}
        if isinstance(shape, Mesh) and len(shape.faces):
            entry["faces"] = self.array(f"{name}.faces", shape.faces.detach().cpu().numpy(), "uint32")
        else:
            estimated, radii = cloud_surface(scaled)
            known = given_normals(shape)
            entry["normals"] = self.array(f"{name}.normals", estimated if known is None else known)
            entry["radii"] = self.array(f"{name}.radii", radii)
        self.views[name] = {**entry, "rotation": view.rotation.ravel().tolist(), "up": np.asarray(view.up).tolist()}
        self._captions[name] = (caption, size_text(shape) if size is None else size)
        return view

    def scalar(
        self, values: str | ArrayLike, name: str = "", colormap: str | None = None, limits=None, caption: str = ""
    ) -> dict[str, Any]:
        """A look of one view that colours numbers; ``values`` is an array's name or an array to keep as ``name``."""
        if not isinstance(values, str):
            colormap, limits = choose(values, colormap, limits)
            values = self.array(name, values)
        return {"kind": "scalar", "values": values, "limits": list(limits), "table": f"table.{colormap}", "caption": caption}

    def look(self, label: str, note: str, views: dict[str, dict[str, Any]]) -> None:
        """Offer a meaning of the colours, view by view; views left out are grey."""
        plain_view = {"kind": "plain", "caption": "not coloured"}
        self.looks.append({"label": label, "note": note, "views": {name: views.get(name, plain_view) for name in self.views}})

    def write(self, path: str | os.PathLike[str], title: str, body: str) -> Path:
        """Write the page aside and rename it. Returns the path."""
        for name in COLORMAPS:
            self.array(f"table.{name}", np.rint(table(name) * 255), "uint8")
        sections = dict.fromkeys(("matrix", "modes", "picks", "globe"))
        data = {"arrays": self.arrays, "views": self.views, "looks": self.looks, **sections, **self.extra}
        parts = {
            "title": html.escape(title),
            "style": _asset("style.css"),
            "body": body,
            "data": safe_json(data),
            "scripts": "\n".join(_asset(name) for name in SCRIPTS),
        }
        text = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))
        path = Path(path)
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8", errors="replace")  # a file's name may be no text
        return path

    def stage(self, controls: str = "", more: str = "") -> str:
        """HTML of the views and of the controls above them; ``controls`` and ``more`` are put among either."""
        offered = [("modes", "Modes")] if "modes" in self.extra else []
        offered += [(str(i), look["label"]) for i, look in enumerate(self.looks)]
        choices = "".join(
            f'<label><input type="radio" name="look" value="{value}"{" checked" if i == 0 else ""}>{html.escape(label)}</label>'
            for i, (value, label) in enumerate(offered)
        )
        linked = '<label><input type="checkbox" id="link" checked> linked cameras</label>' if len(self.views) > 1 else ""
        figures = "".join(self._figure(name) for name in self.views)
        return f"""<div class="toolbar">
<fieldset><legend>Colours show</legend><span class="choices">{choices}</span></fieldset>
{controls}{linked}<button type="button" id="reset">Reset view</button>
</div>
<p class="note" id="look-note" aria-live="polite"></p>
<div class="stage">{figures}{more}</div>
<p class="hint">Drag to turn, wheel or pinch to zoom, right-drag, shift-drag or two fingers to move, double-click to reset.
With the keyboard: arrows turn, shift and arrows move, + and − zoom, 0 resets.</p>"""

    def _figure(self, name: str) -> str:
        caption, size = (html.escape(text) for text in self._captions[name])
        return f"""<figure class="view" data-view="{html.escape(name)}">
<figcaption><b>{caption}</b><span class="soft">{size}</span><button type="button" data-save>Save PNG</button></figcaption>
<div class="frame"><canvas tabindex="0" role="img" aria-label="{caption}, {size}: interactive three-dimensional view"></canvas>
<div class="labels" aria-hidden="true"></div></div>
<div class="legend"></div></figure>"""

    def picking(self, others: dict[str, list[dict[str, str]]], columns: list[tuple[str, str, str]]) -> str:
        """Let points be picked; HTML of their list.

        ``others`` says for each view which views show the image and by which index array; ``columns``
        are (heading, view, array) of numbers to list for each pick.
        """
        self.extra["picks"] = {
            "colors": [hex_to_rgb(code) for code in MARKERS],
            "others": others,
            "columns": [{"view": view, "values": values} for _, view, values in columns],
        }
        heads = [self._captions[name][0] for name in self.views] + [heading for heading, _, _ in columns]
        head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in heads)
        options = "".join(f'<option value="{html.escape(name)}">{html.escape(self._captions[name][0])}</option>' for name in others)
        images = ": its image lights up on the other, in the same colour" if any(others.values()) else " to mark it"
        table = f'<table id="picks" hidden><thead><tr><th scope="col">Point</th>{head}</tr></thead><tbody></tbody></table>'
        return f"""<section class="picks"><h2>Picked points</h2>
<p class="soft" id="no-picks">Click a point of a shape{images}. Up to {len(MARKERS)} are kept.</p>
<div class="scroll">{table}</div>
<form id="pick-form" novalidate>
<label>Vertex <input type="number" name="vertex" min="0" step="1" placeholder="number"></label>
<label>of <select name="view">{options}</select></label>
<button>Mark</button><button type="button" id="clear">Clear all</button></form></section>"""


def _unit_box(points: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(points):
        return points
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low / 2 + high / 2)) / (float(np.linalg.norm(high / 2 - low / 2)) or 1.0)


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def safe_json(value: Any) -> str:
    """JSON that may stand in a script element: NaN and infinity become null, ``<``, ``>`` and ``&`` are escaped."""
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plain(value: Any) -> Any:
    """Nested dicts, lists, strings, numbers and ``None``: tensors and arrays as lists, what is not finite as ``None``."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def number_text(value: Any) -> str:
    """A value as a reader wants it: four digits, thousands apart, words for what is not a number."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "not a number" if math.isnan(value) else ("infinite" if value > 0 else "minus infinite")
        return f"{value:.4g}"
    if hasattr(value, "tolist"):
        return number_text(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(number_text(item) for item in value[:12])
        return shown + (f", … ({len(value)} in all)" if len(value) > 12 else "")
    return str(value)


def numbers_table(values: Mapping[str, Any], explained: Mapping[str, tuple[str, str]] | None = None) -> str:
    """HTML table of a nested dict, names on the left; ``explained`` gives some names a title and a sentence."""
    explained = explained or {}

    def rows(part: Mapping[str, Any], path: str) -> str:
        made = []
        for key, value in sorted(part.items(), key=lambda item: isinstance(item[1], Mapping)):  # groups after single values
            title, sentence = explained.get(key, (str(key).replace("_", " "), ""))
            if isinstance(value, Mapping):
                group = f"{path} › {title}" if path else title
                made.append(f'<tr class="group"><th colspan="2" scope="rowgroup">{html.escape(group)}</th></tr>{rows(value, group)}')
                continue
            small = f"<small>{html.escape(sentence)}</small>" if sentence else ""
            made.append(
                f'<tr><th scope="row">{html.escape(title)}{small}</th><td class="value">{html.escape(number_text(value))}</td></tr>'
            )
        return "".join(made)

    return f"<table><tbody>{rows(values, '')}</tbody></table>"


def size_text(shape: Mesh | PointCloud) -> str:
    """``"7,207 vertices, 14,410 faces"``."""
    if isinstance(shape, Mesh):
        return f"{shape.n_points:,} vertices, {len(shape.faces):,} faces"
    return f"{shape.n_points:,} points"
