"""The report of a basis: its modes on the shape, its spectrum, its measure."""

from __future__ import annotations

import html
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bases.base import Basis
from ..bases.learned import LearnedEigenbasis
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .axes import Axes, ticks
from .beside import Beside
from .camera import View
from .page import Page, numbers_table, size_text
from .sheets import sampled_modes

#: Modes beyond this many bytes (two a value) stay out of the page, so that it opens quickly.
_MODE_BYTES = 6_000_000
#: A sentence below some of the table's names.
EXPLAINED = {
    "counted": ("counted", "whether it is certain that no mode is missing"),
    "optimality ratio": ("optimality ratio", "the loss at the end of training over its lower bound: 1 is the best basis there is"),
    "largest residual": ("largest residual", "|Sφ − λMφ| of the worst mode, relative to its eigenvalue plus the first one's scale"),
}


def basis_report(
    shape: Mesh | PointCloud,
    basis: Basis,
    path: str | os.PathLike[str],
    *,
    name: str = "shape",
    view: View | None = None,
    beside: Beside | None = None,
) -> Path:
    """Write an interactive page about a basis: one HTML file, no network.

    A slider goes through the modes (as many of the first ones as fit in 6 MB), the spectrum is drawn
    with Weyl's law ``lambda_i ~ 4 pi i / area`` beside it (Weyl 1911; surfaces without boundary, area as
    the measure's sum), and the measure is shown as a colour. ``name`` is what the shape is called.
    Where the basis knows its residuals, the spectrum's dots and the table tell them; of a learned basis, how its training went and
    the estimated errors of its eigenvalues.

    ``beside`` puts another basis of the same points next to it: each mode by its partner with their ``|cos|``, both spectra in
    one figure, both measures on one scale. Returns the path.
    """
    count = max(1, min(basis.k, _MODE_BYTES // ((4 if beside else 2) * max(basis.n, 1))))
    page = Page()
    view = page.add_shape("shape", shape, name if beside is None else f"{name}: {beside.names[0]}", view)
    if beside is not None:
        page.add_shape("beside", shape, f"{name}: {beside.names[1]}", view)
    measure = basis.measure.detach().cpu().double().numpy()
    _measure_look(page, measure, beside)
    page.look("Shape", "The shape without data.", {})
    eigenvalues = None if basis.eigenvalues is None else basis.eigenvalues.detach().cpu().double().numpy()
    page.extra["modes"] = {
        **_stored_modes(page, "modes", sampled_modes(shape, basis, count)),
        "count": count,
        "eigenvalues": None if eigenvalues is None else eigenvalues[:count],
        "view": "shape",
        "table": "table.diverging",
        "beside": None if beside is None else _stored_partners(page, beside, count),
    }
    body = f"""<header><p class="kicker">geospec basis</p><h1>{html.escape(name)}</h1>
<p class="soft">{size_text(shape)}. {basis.k} modes, ordered coarse to fine{_kept(count, basis.k)}.</p></header>
{page.stage()}
<div class="mode-bar"><button type="button" id="mode-back" aria-label="previous mode">‹</button>
<input type="range" id="mode" min="0" max="{count - 1}" value="0" step="1" aria-label="mode">
<button type="button" id="mode-next" aria-label="next mode">›</button><span id="mode-title" aria-live="polite"></span>
<label><input type="checkbox" id="zero-line" checked> zero lines</label></div>
<div class="columns"><div>{_spectrum_section(basis, count, beside)}{_cosine_section(beside, count)}{_learning_section(basis)}</div>
<section><h2>Numbers</h2>{numbers_table(_numbers(basis, eigenvalues, measure, beside), EXPLAINED)}</section>
{_HOW_TO_READ if beside is None else _how_to_read(beside)}</div>"""
    return page.write(path, f"{name}: basis", body)


_HOW_TO_READ = """<section><h2>How to read this</h2><p>Each mode vibrates at one frequency: orange where it is positive, blue where it is
negative, white on its zero lines. Low modes tell heads from tails; high ones see fingers. The sign of a mode means nothing, and modes of
equal eigenvalue may be mixed freely.</p>
<p>Modes are orthonormal under the measure and the Laplacian is positive: eigenvalues start at zero, once per connected piece, and
grow along Weyl's line in the long run: <code>4π·index / area</code>.</p></section>"""


def _how_to_read(beside: Beside) -> str:
    ours, theirs = (html.escape(name) for name in beside.names)
    return f"""<section><h2>How to read this</h2><p>Left the {ours} basis, right the {theirs} basis of the same points. Each {ours} mode
stands beside its partner, turned to the same sign; the number is <b>|cos|</b>, 1 where the two are one function. Where
eigenvalues lie close, modes may be mixed or swap places: there |cos| falls although the span, and all that is computed from it, is the
same. The overlap in the table tells the two cases apart.</p>
<p>The {ours} measure is a share of the whole: it is drawn as a multiple of the mean, like the other. Where points lie densely each stands
for little. Dashed: Weyl's law <code>4π·index / area</code>.</p></section>"""


def _stored_modes(page: Page, name: str, modes: NDArray) -> dict[str, Any]:
    """Modes ``(n, count)`` as integers with a scale each."""
    scales = np.maximum(np.percentile(np.abs(modes), 99.8, axis=0), np.finfo(np.float32).tiny)
    return {"values": page.array(name, np.clip(np.rint(modes / scales * 32767), -32767, 32767).T, "int16"), "scales": scales}


def _stored_partners(page: Page, beside: Beside, count: int) -> dict[str, Any]:
    count = min(count, len(beside.partner))
    values = beside.other.eigenvalues
    return {
        **_stored_modes(page, "modes.beside", beside.modes[:, :count]),
        "view": "beside",
        "count": count,
        "names": list(beside.names),
        "partner": beside.partner[:count],
        "cosines": beside.cosines[:count],
        "eigenvalues": None if values is None else values.detach().cpu().double().numpy()[beside.partner[:count]],
    }


def _measure_look(page: Page, measure: NDArray, beside: Beside | None) -> None:
    note = "The weight of each point in the inner product: its share of the area."
    if beside is None:
        top = float(np.percentile(measure, 99)) or 1.0
        page.look("Measure", note, {"shape": page.scalar(measure, "measure", "sequential", (0, top), "weight")})
        return
    shares = {"shape": measure / measure.mean(), "beside": beside.share / beside.share.mean()}
    top = float(np.percentile(np.concatenate(list(shares.values())), 99)) or 1.0
    caption = "times the mean weight"
    looks = {view: page.scalar(values, f"measure.{view}", "sequential", (0, top), caption) for view, values in shares.items()}
    page.look("Measure", note, looks)


def _kept(count: int, k: int) -> str:
    return "" if count == k else f"; the first {count} can be looked at here"


def _numbers(basis: Basis, eigenvalues: NDArray | None, measure: NDArray, beside: Beside | None) -> dict:
    numbers: dict = {"points": basis.n, "modes": basis.k, "total measure": float(measure.sum())}
    numbers |= {name: value for name, value in basis.options.items() if name != "history"}
    if eigenvalues is not None:
        tiny = 1e-9 * float(np.abs(eigenvalues).max(initial=0.0))
        first = eigenvalues[np.abs(eigenvalues) > tiny]
        numbers["zero eigenvalues"] = int((np.abs(eigenvalues) <= tiny).sum())
        if len(first):
            numbers["first non-zero eigenvalue"], numbers["last eigenvalue"] = float(first[0]), float(first[-1])
    residuals = _of_each_mode(basis, "residuals")
    if residuals is not None:
        numbers["largest residual"] = float(residuals.max())
    ratio = getattr(basis, "optimality_ratio", None)
    if ratio is not None:
        numbers["optimality ratio"] = ratio
    if beside is not None:
        numbers[f"beside the {beside.names[1]} basis"] = beside.numbers()
    return numbers


def _of_each_mode(basis: Basis, name: str) -> NDArray | None:
    """What a basis tells of each mode, where it does."""
    values = getattr(basis, name, None)
    return None if values is None else values.detach().cpu().double().numpy()


def _spectrum_section(basis: Basis, count: int, beside: Beside | None) -> str:
    if basis.eigenvalues is None:
        return ""
    eigenvalues = basis.eigenvalues.detach().cpu().double().numpy()
    # A learned measure is a share of the whole, in no unit of length: areas must come from elsewhere.
    owner: Basis | None = None if isinstance(basis, LearnedEigenbasis) else basis
    others = None
    if beside is not None:
        owner = next((b for b in (beside.other, owner) if b is not None and not isinstance(b, LearnedEigenbasis)), None)
        if beside.other.eigenvalues is not None:
            others = beside.other.eigenvalues.detach().cpu().double().numpy()
    area = None if owner is None else float(owner.measure.sum())
    drawn = spectrum_svg(
        eigenvalues,
        area,
        count,
        _of_each_mode(basis, "residuals"),
        errors=_of_each_mode(basis, "eigenvalue_errors"),
        others=others,
        names=("", "") if beside is None else beside.names,
    )
    return f"<section><h2>Spectrum</h2>{drawn}</section>"


def spectrum_svg(
    eigenvalues: NDArray,
    area: float | None,
    clickable: int,
    residuals: NDArray | None = None,
    *,
    errors: NDArray | None = None,
    others: NDArray | None = None,
    names: tuple[str, str] = ("", ""),
) -> str:
    """The eigenvalues over their index as SVG, Weyl's law dashed; the first ``clickable`` dots choose a mode.

    ``errors`` are drawn as strokes below and above the dots, ``others`` as rings: another basis's eigenvalues, index by index.
    """
    k = len(eigenvalues)
    others = None if others is None else others[:k]
    tops = [float(eigenvalues.max()), *([] if others is None else [float(others.max())])]
    end = None if area is None else 4 * np.pi * (k - 1) / area
    axes = Axes(max(k - 1, 1), max(*tops, end or 0.0, 1e-300) * 1.04)
    lines = axes.grid(ticks(axes.high))
    weyl = "" if end is None else f'<path class="weyl" d="M{axes.x(0):.1f} {axes.y(0):.1f}L{axes.x(k - 1):.1f} {axes.y(end):.1f}"/>'
    radius = 3.2 if k < 150 else 2.2
    titles = [f"mode {i}: {v:.5g}" + ("" if residuals is None else f", residual {residuals[i]:.1e}") for i, v in enumerate(eigenvalues)]
    strokes = rings = ""
    if errors is not None:
        titles = [f"{title}, error about {error:.2g}" for title, error in zip(titles, errors, strict=True)]
        strokes = "".join(
            f'<line class="error" x1="{axes.x(i):.1f}" x2="{axes.x(i):.1f}" y1="{axes.y(v - e):.1f}" y2="{axes.y(v + e):.1f}"/>'
            for i, (v, e) in enumerate(zip(eigenvalues, errors, strict=True))
        )
    if others is not None:
        rings = "".join(
            f'<circle class="other" cx="{axes.x(i):.1f}" cy="{axes.y(float(v)):.1f}" r="{radius + 1.6}"/>' for i, v in enumerate(others)
        )
    dots = "".join(
        f'<circle data-mode="{i}" cx="{axes.x(i):.1f}" cy="{axes.y(float(v)):.1f}" r="{radius}"><title>{titles[i]}</title></circle>'
        for i, v in enumerate(eigenvalues)
    )
    legend = "eigenvalue over index (click a dot)"
    if others is not None:
        legend = f"eigenvalue over index: dots {html.escape(names[0])}, rings {html.escape(names[1])}"
    legend += "" if end is None else "; dashed: Weyl’s law"
    label = f"Eigenvalues of {k} modes over their index; the first {clickable} can be chosen"
    return axes.svg(lines + weyl + rings + strokes + dots, label, legend, 'id="spectrum"')


def _cosine_section(beside: Beside | None, count: int) -> str:
    """The ``|cos|`` of each pair as bars; a bar chooses its mode."""
    if beside is None:
        return ""
    cosines = beside.cosines
    axes = Axes(len(cosines), 1.0, height=180)
    bars = []
    for i, (cosine, partner) in enumerate(zip(cosines, beside.partner, strict=True)):
        left, right, y = axes.x(i + 0.1), axes.x(i + 0.9), axes.y(float(cosine))
        title = f"mode {i} and {beside.names[1]} mode {partner}: |cos| {cosine:.3f}"
        choice = f' data-mode="{i}"' if i < count else ""
        shape = f'x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{axes.y(0) - y:.1f}"'
        bars.append(f"<rect{choice} {shape}><title>{html.escape(title)}</title></rect>")
    drawn = axes.svg(
        axes.grid([0, 0.25, 0.5, 0.75, 1.0]) + "".join(bars),
        f"Cosine between each of {len(cosines)} modes and its partner",
        f"|cos| of each mode with its {html.escape(beside.names[1])} partner; mean {cosines.mean():.3f}",
        'id="cosines"',
    )
    return f"<section><h2>Mode by mode</h2>{drawn}</section>"


def _learning_section(basis: Basis) -> str:
    """How the optimality ratio came down, where the basis was trained: the excess over 1 on a logarithmic scale."""
    history = getattr(basis, "history", None)
    if not history:
        return ""
    steps = [check["step"] for check in history]
    excess = [max(check["optimality_ratio"] - 1, 1e-6) for check in history]
    low, high = 10 ** math.floor(math.log10(min(excess))), 10 ** math.ceil(math.log10(max(excess) * 1.0001))
    axes = Axes(steps[-1], high, low, height=180, logarithmic=True)
    levels = [10.0**e for e in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    points = [f"{axes.x(step):.1f} {axes.y(value):.1f}" for step, value in zip(steps, excess, strict=True)]
    dots = "".join(
        '<circle class="check" cx="{}" cy="{}" r="2.6"><title>{}</title></circle>'.format(
            *point.split(), f"step {check['step']}: ratio {check['optimality_ratio']:.4f}"
        )
        for point, check in zip(points, history, strict=True)
    )
    drawn = axes.svg(
        f'{axes.grid(levels)}<path class="curve" d="M{"L".join(points)}"/>{dots}',
        f"Optimality ratio less one over {steps[-1]} training steps",
        f"ratio less 1 over training steps; the ratio in the end: {history[-1]['optimality_ratio']:.4f}",
    )
    return f"<section><h2>Learning</h2>{drawn}</section>"
