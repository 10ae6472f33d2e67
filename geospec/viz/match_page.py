"""The report of a match: both shapes, what the map carries over, the functional map, the numbers."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentError, problem
from .camera import View, matching_turn
from .colormaps import position_colors
from .page import Page, numbers_table, size_text
from .render import positions

#: Names that a record may hold, with a title and what the number says.
EXPLAINED = {
    "coverage": ("Coverage", "Share of the source's area that is the image of some target point; 1 is onto."),
    "dirichlet_energy": ("Dirichlet energy", "Stretch of the map: 1 for an isometry, more for a rough or folded map."),
    "orientation_agreement": ("Orientation agreement", "Share of the area laid on outside out; near 0 the map is a mirror image."),
    "orthogonality_residual": ("Orthogonality residual", "Distance of C from an orthogonal matrix; 0 where areas are kept."),
    "commutativity_residual": ("Commutativity residual", "How far C is from respecting both Laplacians; 0 for an isometry."),
    "mean_confidence": ("Mean confidence", "Over the target's vertices: the share that should lie within 5 % of the root of the area."),
    "plausibility": ("Plausibility", "Share of true maps that are less likely under the prior; near 0 no true map looks like this one."),
    "k": ("modes (k)", ""),
    "first_map": ("first map: what speaks for it, 0 is best", ""),
    "next_score": ("score of the next best first map", ""),
    "bases": ("what the bases are", ""),
    "optimality_ratio": ("optimality ratio, 1 is the best basis", ""),
    "seconds": ("seconds, stage by stage", ""),
    "error_mean": ("mean", ""),
    "error_median": ("median", ""),
}

HOW_TO_READ = """<section class="prose"><h2>How to read this</h2>
<p><b>Equal colours mean corresponding places.</b> Each point of the target takes the colour of its image on the source. Where colours
flow as smoothly as on the source, the map is smooth; a patch of a foreign hue is a wrong patch; two halves in
exchanged colours are a left-right mix-up.</p>
<p><b>Checker</b> paints a pattern on the source and carries it over: stretched squares are stretched places, broken ones are tears.
<b>Confidence</b> is
the probability, by the method's own estimate, that a point's
image lies within 5 % of the root of the area of the true one; it is not measured. <b>Round trip</b>
is how far a point lands from itself after going
to the other shape and back.</p>
<p><b>Direction.</b> The point map <code>target_to_source</code> gives each target vertex its source vertex. The functional map
<code>C</code> goes the other way, with functions: it takes the coefficients of a function on the source to those of the same function
on the target. Rows are target modes, columns source modes, both from coarse (top left) to fine. For two poses of one body it is close to a
diagonal of ±1; a funnel about the diagonal is usual between different bodies.</p></section>"""


def match_report(
    match: Any,
    path: str | os.PathLike[str],
    *,
    ground_truth: ArrayLike | None = None,
    error: ArrayLike | None = None,
    names: tuple[str, str] = ("source", "target"),
    view: View | None = None,
) -> Path:
    """Write an interactive page about a match: one HTML file, no network, opened by any browser with WebGL 2.

    Parameters
    ----------
    match : what has the fields of :class:`geospec.Match`: ``source``, ``target``, ``target_to_source
        (n_t,)``, ``source_to_target (n_s,)``, ``functional_map (k_t, k_s)``, ``confidence (n_t,)`` and
        ``record``, a nested dict of options, timings and numbers, all of which is listed.
    ground_truth : (n_t,) the true source vertex of each target vertex, -1 where unknown; adds the error
        as a colour, in straight-line distance on the source, percent of its bounding box's diagonal.
    error : (n_t,) the error of each target vertex where the caller has measured it, in hundredths of the
        root of the source's area as :func:`geospec.maps.geodesic_error` gives it, NaN where unknown; it is
        shown instead.
    names : what the two shapes are called, file names mostly.
    view : of the source, and of the target turned to stand like it; by default :meth:`View.automatic`.

    Returns
    -------
    The path. About 6 MB for two shapes of 50k vertices.
    """
    source, target = positions(match.source), positions(match.target)
    pull, push = _index(match.target_to_source), _index(match.source_to_target)
    confidence = _floats(match.confidence)
    for name, got, wanted in (("target_to_source", pull, target), ("source_to_target", push, source), ("confidence", confidence, target)):
        if len(got) != len(wanted):
            raise ArgumentError(problem(f"match.{name}", f"{len(wanted)} entries", len(got)))
    page = Page()
    view = page.add_shape("source", match.source, f"Source: {names[0]}", view)
    page.add_shape("target", match.target, f"Target: {names[1]}", view.turned(matching_turn(source[pull], target)))
    page.array("target_to_source", pull, "uint32")
    page.array("source_to_target", push, "uint32")
    _position_looks(page, source)
    _confidence_look(page, confidence)
    _coverage_look(page, pull, push)
    columns = [("Confidence", "target", "confidence"), *_round_trip_look(page, source, target, pull, push)]
    numbers = dict(match.record.get("numbers", {}))
    if error is not None:
        columns += _error_look(page, _floats(error), len(target), numbers, "along the surface", "% of the root of the source's area")
    elif ground_truth is not None:
        straight = _straight_error(source, pull, _index(ground_truth))
        columns += _error_look(page, straight, len(target), numbers, "in a straight line", "% of the source's diagonal")
    picking = page.picking({"source": [_image("target", "source_to_target")], "target": [_image("source", "target_to_source")]}, columns)
    body = f"""{_header(match, names, pull, confidence)}
{page.stage()}
{picking}
<div class="columns"><div>{_matrix(page, _floats(match.functional_map))}</div>{_tables(match.record, numbers)}</div>
{HOW_TO_READ}"""
    return page.write(path, f"{names[0]} to {names[1]}: correspondence", body)


def _index(values: Any) -> NDArray[np.int64]:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.int64)


def _floats(values: Any) -> NDArray[np.float64]:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.float64)


def _image(view: str, by: str) -> dict[str, str]:
    return {"view": view, "by": by}


def _position_looks(page: Page, source: NDArray) -> None:
    page.colors("source.colors", position_colors(source))
    page.gathered("target.colors", "source.colors", "target_to_source")
    centred = source - source.mean(axis=0)
    principal = np.linalg.svd(centred.T @ centred)[0][:, :2]
    along = centred @ principal
    page.array("source.places", along * (18 / np.ptp(along[:, 0]) if np.ptp(along) else 1.0))
    page.gathered("target.places", "source.places", "target_to_source")
    for label, kind, note in (
        ("Position", "color", "The source is coloured by place; each target point shows the colour of its image on the source."),
        ("Checker", "checker", "A checker along the source's two longest axes, carried to the target by the map."),
    ):
        parts = {name: {"kind": kind, "colors": f"{name}.colors", "places": f"{name}.places"} for name in ("source", "target")}
        parts["source"]["caption"], parts["target"]["caption"] = "coloured by place", "colours carried over by target_to_source"
        page.look(label, note, parts)


def _confidence_look(page: Page, confidence: NDArray) -> None:
    page.array("confidence", confidence)
    page.gathered("source.confidence", "confidence", "source_to_target")
    page.look(
        "Confidence",
        "How probable each target point's image is to be about right. On the source: the confidence at the image of each source point.",
        {
            "target": page.scalar("confidence", colormap="sequential", limits=(0, 1), caption="unsure to sure"),
            "source": page.scalar("source.confidence", colormap="sequential", limits=(0, 1), caption="at the image"),
        },
    )


def _coverage_look(page: Page, pull: NDArray, push: NDArray) -> None:
    parts = {}
    for name, images, n, other in (("source", pull, len(push), "target"), ("target", push, len(pull), "source")):
        hits = np.bincount(images, minlength=n)
        top = max(2.0, float(np.percentile(hits, 95)))
        parts[name] = page.scalar(hits, f"{name}.hits", "sequential", (0, top), f"{other} points on each point")
    page.look("Coverage", "How many points of the other shape have each point as their image; dark places are the image of none.", parts)


def _round_trip_look(page: Page, source: NDArray, target: NDArray, pull: NDArray, push: NDArray) -> list[tuple[str, str, str]]:
    there = _percent_of_diagonal(target[push[pull]] - target, target)
    back = _percent_of_diagonal(source[pull[push]] - source, source)
    top = max(1.0, float(np.percentile(np.concatenate([there, back]), 98)))
    caption = "% of the diagonal"
    page.look(
        "Round trip",
        "Straight-line distance between a point and where the two maps, there and back, bring it.",
        {
            "target": page.scalar(there, "target.round_trip", "error", (0, top), caption),
            "source": page.scalar(back, "source.round_trip", "error", (0, top), caption),
        },
    )
    return [("Round trip from the target, %", "target", "target.round_trip")]


def _straight_error(source: NDArray, pull: NDArray, truth: NDArray) -> NDArray:
    if truth.shape != pull.shape or truth.min(initial=0) < -1 or truth.max(initial=0) >= len(source):
        wanted = f"{len(pull)} source vertices in [0, {len(source)}) or -1"
        raise ArgumentError(problem("ground_truth", wanted, f"shape {truth.shape}, {truth.min(initial=0)}..{truth.max(initial=0)}"))
    return np.where(truth >= 0, _percent_of_diagonal(source[pull] - source[truth], source), np.nan)


def _error_look(page: Page, error: NDArray, n: int, numbers: dict[str, Any], way: str, unit: str) -> list[tuple[str, str, str]]:
    if error.shape != (n,):
        raise ArgumentError(problem("error", f"one number per target vertex, {n}", error.shape))
    known = error[np.isfinite(error)]
    top = max(1.0, float(np.percentile(known, 98))) if len(known) else 1.0
    note = f"Distance on the source, {way}, between a target point's image and its true image. Grey where the truth is unknown."
    page.look("Error", note, {"target": page.scalar(error, "error", "error", (0, top), unit)})
    if len(known):
        numbers[f"error {way}, {unit}"] = {"error_mean": known.mean(), "error_median": np.median(known)}
    return [("Error, %", "target", "error")]


def _percent_of_diagonal(step: NDArray, points: NDArray) -> NDArray:
    return 100 * np.linalg.norm(step, axis=1) / (float(np.linalg.norm(np.ptp(points, axis=0))) or 1.0)


def verdict(confidence: NDArray, reached: float) -> tuple[str, str]:
    """``(class, words)`` of a map, by the method's own confidence.

    Good: at least 80 % of the target's points have confidence 0.5 or more. Poor: less than half have,
    or their images are less than a fifth of as many vertices as they could be. Fair: between.
    """
    sure = float(np.mean(confidence >= 0.5)) if len(confidence) else 0.0
    if sure < 0.5 or reached < 0.2:
        return "poor", "Mostly unsure."
    return ("good", "Mostly confident.") if sure >= 0.8 else ("fair", "Confident in parts.")


def _header(match: Any, names: tuple[str, str], pull: NDArray, confidence: NDArray) -> str:
    images = len(np.unique(pull))
    grade, words = verdict(confidence, images / max(min(len(pull), match.source.n_points), 1))
    sure = f"{np.mean(confidence >= 0.5):.0%}" if len(confidence) else "none"
    first, second = (html.escape(name) for name in names)
    rows, columns = match.functional_map.shape
    return f"""<header><p class="kicker">geospec match</p><h1>{first} → {second}</h1>
<p class="soft">Source: {size_text(match.source)}. Target: {size_text(match.target)}. Functional map: {rows} × {columns}.</p>
<p class="verdict {grade}"><b>{words}</b> <span>{sure} of the target's points have a confidence of 0.5 or more; their images are
{images:,} different vertices of the source.</span></p>{_warnings(match.record)}</header>"""


def _warnings(record: Mapping[str, Any]) -> str:
    """What the method itself found doubtful about the map as a whole."""
    rows = "".join(f"<li>{html.escape(str(warning))}</li>" for warning in record.get("warnings", ()))
    return f'<ul class="warnings" role="alert">{rows}</ul>' if rows else ""


def _matrix(page: Page, functional_map: NDArray) -> str:
    rows, columns = functional_map.shape
    finite = np.abs(functional_map[np.isfinite(functional_map)])
    limit = float(np.percentile(finite, 99.8)) if finite.size else 1.0
    page.array("functional_map", functional_map)
    page.extra["matrix"] = {"values": "functional_map", "rows": rows, "columns": columns, "limit": limit or 1.0, "table": "table.diverging"}
    return f"""<section><h2>Functional map C</h2>
<div class="axis"><span>source modes →</span><span>blue −{limit:.2g} · white 0 · orange {limit:.2g}</span></div>
<div class="matrix"><div class="matrix-holder"><canvas id="matrix" tabindex="0" role="img"
 aria-label="Heat map of the functional map, {rows} target modes by {columns} source modes; arrow keys move the reading"></canvas>
<div id="matrix-cursor" hidden></div></div></div>
<div class="axis"><span>target modes ↓, both from coarse to fine</span></div>
<output id="matrix-value">Point at a cell to read it.</output></section>"""


def _tables(record: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    first = f"<section><h2>Numbers</h2>{numbers_table(numbers, EXPLAINED)}</section>" if numbers else ""
    rest = {key: value for key, value in record.items() if key not in ("numbers", "warnings")}
    second = f"<div><section><h2>What was done</h2>{numbers_table(rest, EXPLAINED)}</section></div>" if rest else ""
    return f"<div>{first}</div>{second}"
