"""What the pictures of all reproductions share: colours, sheets one above the other, and the list of checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..viz.picture import Picture
from .record import Check, Row, number

if TYPE_CHECKING:
    from PIL.Image import Image

INK, SOFT, GRID, GOOD, BAD = "#1c1f26", "#6e737d", "#dddddd", "#2f76b2", "#c8442b"
COLORS = ("#0b62a4", "#d1495b", "#3f8f5f", "#8d6cab", "#edae49", "#2e4057", "#15c3d6", "#8c3410")
WIDTH = 1200


def stacked(parts: list[Image]) -> Image:
    """The parts one below the other, each as wide as the sheet."""
    from PIL import Image

    scaled = [part.resize((2 * WIDTH, round(part.height * 2 * WIDTH / part.width))) if part.width != 2 * WIDTH else part for part in parts]
    sheet = Image.new("RGB", (2 * WIDTH, sum(part.height for part in scaled)), "white")
    top = 0
    for part in scaled:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


def check_list(rows: Sequence[Row]) -> Picture:
    """A line for each check, in two columns: what was found against what is asked. Rows that ask nothing are in the table alone."""
    lines: list[tuple[Row, Check | None]] = [
        (row, check) for row in rows if row.verdict in ("pass", "FAIL") for check in (row.checks or (None,))
    ]
    step, half = 18, -(-len(lines) // 2)
    picture = Picture(WIDTH, 56 + step * half + 16)
    picture.text(20, 18, "Every check: the found number, and the limit it is held against", INK, size=16)
    for i, (row, check) in enumerate(lines):
        x, y = 20 + WIDTH // 2 * (i // half), 50 + step * (i % half)
        if i % half == 0 or lines[i - 1][0] is not row:
            picture.line(x, y - step / 2, x + WIDTH / 2 - 40, y - step / 2, GRID)
            picture.text(x, y, row.run, INK, size=12)
        if check is None:
            picture.text(x + 130, y, row.problem[:60], BAD, size=12)
            continue
        color = GOOD if check.passed else BAD
        picture.text(x + 130, y, check.what, INK, size=12)
        picture.text(x + 420, y, number(check.value), color, "end", size=12)
        picture.text(x + 435, y, check.wanted.removeprefix(check.what).strip(), SOFT, size=12)
        picture.dot(x + 505, y, 4, color)
        picture.text(x + 515, y, "" if check.passed else "short", color, size=12)
    return picture
