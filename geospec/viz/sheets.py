"""PNG sheets: pictures side by side with a heading, captions and colour bars."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..bases.base import Basis
from ..errors import ArgumentError, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .beside import Beside
from .camera import View, matching_turn
from .colormaps import position_colors, table
from .render import positions, render, save_image

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_INK, _SOFT, _PAPER = (28, 31, 38), (110, 115, 125), (255, 255, 255)


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet; ``bar`` is a colour map's name with the labels of its two ends, ``swatches`` name single colours."""

    image: NDArray[np.uint8]
    title: str
    note: str = ""
    bar: tuple[str, str, str] | None = None
    swatches: tuple[tuple[str, NDArray[np.float64]], ...] = ()


def compose(panels: list[Panel], columns: int, heading: str = "", note: str = "", unit: int | None = None) -> Image:
    """Lay panels of one size out in rows, captions underneath, as a Pillow image.

    Rows of pixels that are blank in every panel are cut off above and below. ``unit`` is the height of the letters, by default a part of
    a panel's width.
    """
    from PIL import Image, ImageDraw, ImageFont

    used = np.flatnonzero(np.any([(p.image < 255).any(axis=(1, 2)) for p in panels], axis=0))
    first, last = (used[0], used[-1] + 1) if len(used) else (0, len(panels[0].image))
    height, width = last - first, panels[0].image.shape[1]
    unit = unit or max(10, width // 28)
    large, small = ImageFont.load_default(1.15 * unit), ImageFont.load_default(0.85 * unit)
    caption = int(1.7 * unit) + (int(1.3 * unit) if any(p.note or p.bar or p.swatches for p in panels) else 0)
    top = int(4.6 * unit) if heading else unit // 2
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * width, top + rows * (height + caption + unit)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if heading:
        draw.text((unit, 0.8 * unit), heading, fill=_INK, font=ImageFont.load_default(1.4 * unit))
        draw.text((unit, 2.5 * unit), note, fill=_SOFT, font=small)
    for i, panel in enumerate(panels):
        x, y = i % columns * width, top + i // columns * (height + caption + unit)
        sheet.paste(Image.fromarray(panel.image[first:last]), (x, y))
        draw.text((x + width / 2, y + height + 0.2 * unit), panel.title, fill=_INK, font=large, anchor="ma")
        line = y + height + int(1.75 * unit)
        if panel.bar:
            name, low, high = panel.bar
            colors = np.rint(table(name)[None].repeat(max(4, unit // 2), axis=0) * 255).astype(np.uint8)
            strip = Image.fromarray(colors).resize((width * 2 // 5, max(4, unit // 2)))
            sheet.paste(strip, (x + width * 3 // 10, line + unit // 4))
            draw.text((x + width * 0.28, line), low, fill=_SOFT, font=small, anchor="ra")
            draw.text((x + width * 0.72, line), high, fill=_SOFT, font=small, anchor="la")
        elif panel.swatches:
            _swatches(draw, panel.swatches, (x, line, width), unit, small)
        else:
            draw.text((x + width / 2, line), panel.note, fill=_SOFT, font=small, anchor="ma")
    return sheet


def _swatches(draw: Any, swatches: tuple, place: tuple[float, float, float], unit: int, font: Any) -> None:
    """Squares with names in one centred line, as many of the first ones as fit."""
    x, y, width = place
    steps = [1.6 * unit + draw.textlength(name, font=font) for name, _ in swatches]
    fit = int(np.searchsorted(np.cumsum(steps), width - 3 * unit, side="right"))
    at = x + (width - sum(steps[:fit])) / 2
    for (name, color), step in zip(swatches[:fit], steps, strict=False):
        draw.rectangle([at, y + 0.15 * unit, at + 0.7 * unit, y + 0.85 * unit], fill=tuple(round(255 * c) for c in color))
        draw.text((at + 0.95 * unit, y), name, fill=_SOFT, font=font)
        at += step
    if fit < len(swatches):
        draw.text((at, y), f"+ {len(swatches) - fit}", fill=_SOFT, font=font)


def mode_sheet(
    shape: Mesh | PointCloud,
    basis: Basis,
    path: str | os.PathLike[str],
    n: int = 12,
    *,
    columns: int = 4,
    size: tuple[int, int] = (400, 320),
    view: View | None = None,
) -> Path:
    """Write a PNG grid of the first ``n`` modes (fewer where the basis has fewer), coarse to fine.

    Each mode has its own diverging scale about zero, white where it vanishes, and its eigenvalue
    underneath where the basis has them. Returns the path.
    """
    modes = sampled_modes(shape, basis, n)
    view = view or View.automatic(positions(shape))
    panels = []
    for i, mode in enumerate(modes.T):
        note = "" if basis.eigenvalues is None else f"eigenvalue {eigenvalue_text(basis.eigenvalues, i)}"
        reach = float(np.percentile(np.abs(mode), 99.5)) or 1.0
        picture = render(shape, colors=mode, colormap="diverging", limits=(-reach, reach), size=size, view=view)
        panels.append(Panel(picture, f"mode {i}", note))
    about = f"{basis.k} modes on {basis.n:,} points; each picture has its own scale: blue negative, white zero, orange positive"
    return save_image(compose(panels, min(columns, len(panels)), f"First {len(panels)} modes", about), path)


def mode_pairs_sheet(
    shape: Mesh | PointCloud,
    beside: Beside,
    path: str | os.PathLike[str],
    n: int = 8,
    *,
    columns: int = 4,
    size: tuple[int, int] = (400, 320),
    view: View | None = None,
) -> Path:
    """Write a PNG of the modes 1 to ``n`` of a basis, each above its partner in another basis of the same points.

    Under each partner stands ``|cos|``, 1 where the two are one function. Both of a pair have one scale, white where they vanish.
    Returns the path.
    """
    n = max(1, min(n, len(beside.partner) - 1))
    chosen = np.arange(1, n + 1) if len(beside.partner) > 1 else np.arange(1)
    ours, theirs = sampled_modes(shape, beside.basis, int(chosen[-1]) + 1), beside.modes
    ours = ours * float(beside.basis.measure.sum()) ** 0.5
    view = view or View.automatic(positions(shape))
    columns = min(columns, n)
    panels: list[Panel] = []
    for start in range(0, n, columns):
        rows: tuple[list[Panel], list[Panel]] = ([], [])
        for i in chosen[start : start + columns]:
            pair, j = (ours[:, i], theirs[:, i]), int(beside.partner[i])
            reach = float(np.percentile(np.abs(np.concatenate(pair)), 99.5)) or 1.0
            pictures = [render(shape, colors=f, colormap="diverging", limits=(-reach, reach), size=size, view=view) for f in pair]
            values = [
                "" if b.eigenvalues is None else f"eigenvalue {eigenvalue_text(b.eigenvalues, m)}"
                for b, m in ((beside.basis, int(i)), (beside.other, j))
            ]
            rows[0].append(Panel(pictures[0], f"{beside.names[0]} {i}", values[0]))
            rows[1].append(Panel(pictures[1], f"{beside.names[1]} {j}", f"|cos| {beside.cosines[i]:.3f}   {values[1]}"))
        for row in rows:
            blank = Panel(np.full((size[1], size[0], 3), 255, np.uint8), "")
            panels += row + [blank] * (columns - len(row))
    first, second = beside.names
    about = f"{beside.basis.n:,} points, {beside.basis.k} modes; mean |cos| of the first {len(beside.cosines)}: {beside.cosines.mean():.3f}"
    return save_image(compose(panels, columns, f"Modes, {first} above {second}", about), path)


def side_by_side(
    shapes: Sequence[tuple[Mesh | PointCloud, str]],
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] = (560, 460),
    view: View | None = None,
) -> Path:
    """Write a PNG of shapes beside each other, each with its title, seen from one direction: by default the automatic one of the first."""
    if not shapes:
        raise ArgumentError(problem("shapes", "at least one", "none"))
    view = view or View.automatic(positions(shapes[0][0]))
    panels = [Panel(render(shape, size=size, view=view), title) for shape, title in shapes]
    return save_image(compose(panels, len(panels)), path)


def sampled_modes(shape: Mesh | PointCloud, basis: Basis, n: int) -> NDArray[np.float64]:
    """The first ``n`` modes ``(n_points, n)`` of a basis on a shape's points, also of one that holds no matrix."""
    import torch

    if basis.n != shape.n_points:
        raise ArgumentError(problem("basis", f"one on the shape's {shape.n_points} points", f"{basis.n} points"))
    if n < 1:
        raise ArgumentError(problem("n", "at least one mode", n))
    unit = torch.eye(basis.k, min(n, basis.k), dtype=basis.measure.dtype, device=basis.measure.device)
    with torch.no_grad():
        return basis.synthesize(unit).cpu().double().numpy()


def eigenvalue_text(eigenvalues: Tensor, i: int) -> str:
    """Four digits of an eigenvalue; ``"0"`` for one that is zero to rounding, of either sign."""
    value = float(eigenvalues[i])
    return "0" if abs(value) < 1e-9 * float(eigenvalues.abs().max()) else f"{value:.4g}"


def match_image(match: Any, path: str | os.PathLike[str], *, size: tuple[int, int] = (560, 460), view: View | None = None) -> Path:
    """Write a PNG of a match: the source, the target in colours pulled back from it, the confidence.

    ``match`` has the fields of :class:`geospec.Match`. Each target point takes the colour of its image
    on the source, so equal colours mean corresponding places. Returns the path.
    """
    source, target = positions(match.source), positions(match.target)
    pull = match.target_to_source.cpu().numpy()
    view = view or View.automatic(source)
    target_view = view.turned(matching_turn(source[pull], target))
    colors = position_colors(source)
    confidence = match.confidence.detach().cpu().double().numpy()
    sure = f"mean confidence {np.nanmean(confidence):.2f}"
    panels = [
        Panel(render(match.source, colors=colors, size=size, view=view), "Source", f"{len(source):,} vertices"),
        Panel(
            render(match.target, colors=colors[pull], size=size, view=target_view), "Target, source's colours", f"{len(target):,} vertices"
        ),
        Panel(
            render(match.target, colors=confidence, colormap="sequential", limits=(0, 1), size=size, view=target_view),
            "Confidence",
            bar=("sequential", "0 unsure", "1 sure"),
        ),
    ]
    reached = len(np.unique(pull)) / max(len(source), 1)
    return save_image(compose(panels, 3, "Correspondence", f"{reached:.0%} of the source vertices are reached; {sure}"), path)
