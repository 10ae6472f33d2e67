"""The report of a basis: its modes on the shape, its spectrum, its measure."""

from __future__ import annotations

import html
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bases.base import Basis
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .camera import View
from .page import Page, numbers_table, size_text
from .sheets import sampled_modes

#: Modes beyond this many bytes (two a value) stay out of the page, so that it opens quickly.
_MODE_BYTES = 6_000_000
#: A sentence below some of the table's names.
EXPLAINED = {
    "counted": ("counted", "whether it is certain that no mode is missing"),
    "largest residual": ("largest residual", "|Sφ − λMφ| of the worst mode, relative to its eigenvalue plus the first one's scale"),
}


def basis_report(
    shape: Mesh | PointCloud, basis: Basis, path: str | os.PathLike[str], *, name: str = "shape", view: View | None = None
) -> Path:
    """Write an interactive page about a basis: one HTML file, no network.

    A slider goes through the modes (as many of the first ones as fit in 6 MB), the spectrum is drawn
    with Weyl's law ``lambda_i ~ 4 pi i / area`` beside it (Weyl 1911; surfaces without boundary, area as
    the measure's sum), and the measure is shown as a colour. ``name`` is what the shape is called.
    Where the basis knows its residuals, the spectrum's dots and the table tell them. Returns the path.
    """
    count = max(1, min(basis.k, _MODE_BYTES // (2 * max(basis.n, 1))))
    modes = sampled_modes(shape, basis, count)
    scales = np.maximum(np.percentile(np.abs(modes), 99.8, axis=0), np.finfo(np.float32).tiny)
    page = Page()
    page.add_shape("shape", shape, name, view)
    measure = basis.measure.detach().cpu().double().numpy()
    top = float(np.percentile(measure, 99)) or 1.0
    page.look(
        "Measure",
        "The weight of each point in the inner product: its share of the area.",
        {"shape": page.scalar(measure, "measure", "sequential", (0, top), "weight")},
    )
    page.look("Shape", "The shape without data.", {})
    eigenvalues = None if basis.eigenvalues is None else basis.eigenvalues.detach().cpu().double().numpy()
    stored = np.clip(np.rint(modes / scales * 32767), -32767, 32767).T
    page.extra["modes"] = {
        "values": page.array("modes", stored, "int16"),
        "count": count,
        "scales": scales,
        "eigenvalues": None if eigenvalues is None else eigenvalues[:count],
        "view": "shape",
        "table": "table.diverging",
    }
    body = f"""<header><p class="kicker">geospec basis</p><h1>{html.escape(name)}</h1>
<p class="soft">{size_text(shape)}. {basis.k} modes, ordered coarse to fine{_kept(count, basis.k)}.</p></header>
{page.stage()}
<div class="mode-bar"><button type="button" id="mode-back" aria-label="previous mode">‹</button>
<input type="range" id="mode" min="0" max="{count - 1}" value="0" step="1" aria-label="mode">
<button type="button" id="mode-next" aria-label="next mode">›</button><span id="mode-title" aria-live="polite"></span>
<label><input type="checkbox" id="zero-line" checked> zero lines</label></div>
<div class="columns">{_spectrum_section(eigenvalues, measure, count, _residuals(basis))}
<section><h2>Numbers</h2>{numbers_table(_numbers(basis, eigenvalues, measure), EXPLAINED)}</section>
<section><h2>How to read this</h2><p>Each mode vibrates at one frequency: orange where it is positive, blue where it is negative,
white on its zero lines. Low modes tell heads from tails; high ones see fingers. The sign of a mode means nothing, and modes of equal
eigenvalue may be mixed freely.</p>
<p>Modes are orthonormal under the measure and the Laplacian is positive: eigenvalues start at zero, once per connected piece, and
grow along Weyl's line in the long run: <code>4π·index / area</code>.</p></section></div>"""
    return page.write(path, f"{name}: basis", body)


def _kept(count: int, k: int) -> str:
    return "" if count == k else f"; the first {count} can be looked at here"


def _numbers(basis: Basis, eigenvalues: NDArray | None, measure: NDArray) -> dict:
    numbers: dict = {"points": basis.n, "modes": basis.k, "total measure": float(measure.sum()), **basis.options}
    if eigenvalues is not None:
        tiny = 1e-9 * float(np.abs(eigenvalues).max(initial=0.0))
        first = eigenvalues[np.abs(eigenvalues) > tiny]
        numbers["zero eigenvalues"] = int((np.abs(eigenvalues) <= tiny).sum())
        if len(first):
            numbers["first non-zero eigenvalue"], numbers["last eigenvalue"] = float(first[0]), float(first[-1])
    residuals = _residuals(basis)
    if residuals is not None:
        numbers["largest residual"] = float(residuals.max())
    return numbers


def _residuals(basis: Basis) -> NDArray | None:
    """What the solver left of each mode, where it has told."""
    residuals = getattr(basis, "residuals", None)
    return None if residuals is None else residuals.detach().cpu().double().numpy()


def _spectrum_section(eigenvalues: NDArray | None, measure: NDArray, count: int, residuals: NDArray | None) -> str:
    if eigenvalues is None:
        return ""
    return f"<section><h2>Spectrum</h2>{spectrum_svg(eigenvalues, float(measure.sum()), count, residuals)}</section>"


def spectrum_svg(eigenvalues: NDArray, area: float, clickable: int, residuals: NDArray | None = None) -> str:
    """The eigenvalues over their index as SVG, Weyl's law dashed; the first ``clickable`` dots choose a mode."""
    width, height, left, bottom, top = 460, 280, 58, 34, 34
    k = len(eigenvalues)
    high = max(float(eigenvalues.max()), 4 * np.pi * (k - 1) / area, 1e-300) * 1.04

    def x(i: float) -> float:
        return left + (width - left - 12) * i / max(k - 1, 1)

    def y(value: float) -> float:
        return height - bottom - (height - bottom - top) * max(value, 0.0) / high

    lines = []
    for value in ticks(high):
        lines.append(f'<line class="grid" x1="{left}" x2="{width - 12}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        lines.append(f'<text x="{left - 7}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for i in ticks(max(k - 1, 1)):
        if i == int(i):
            lines.append(f'<text x="{x(i):.1f}" y="{height - 14}" text-anchor="middle">{int(i)}</text>')
    end = 4 * np.pi * (k - 1) / area
    weyl = f'<path class="weyl" d="M{x(0):.1f} {y(0):.1f}L{x(k - 1):.1f} {y(end):.1f}"/>'
    radius = 3.2 if k < 150 else 2.2
    titles = [f"mode {i}: {v:.5g}" + ("" if residuals is None else f", residual {residuals[i]:.1e}") for i, v in enumerate(eigenvalues)]
    dots = "".join(
        f'<circle data-mode="{i}" cx="{x(i):.1f}" cy="{y(float(v)):.1f}" r="{radius}"><title>{titles[i]}</title></circle>'
        for i, v in enumerate(eigenvalues)
    )
    legend = f'<text x="{left}" y="16">eigenvalue over index (click a dot); dashed: Weyl’s law</text>'
    label = f"Eigenvalues of {k} modes over their index; the first {clickable} can be chosen"
    return f'<svg id="spectrum" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(lines)}{weyl}{dots}{legend}</svg>'


def ticks(high: float) -> list[float]:
    """Round numbers from 0 to ``high``, four to eight of them."""
    step = 10.0 ** np.floor(np.log10(high / 4))
    step *= next(m for m in (5, 2, 1) if high / (step * m) >= 4)
    return [float(f"{i * step:.12g}") for i in range(int(high / step) + 1)]
