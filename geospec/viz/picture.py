"""Diagrams of straight lines, dots and words: SVG and PNG from the same marks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


class Picture:
    """Straight lines, dots and words, kept as marks so that both files show the same."""

    def __init__(self, width: float, height: float) -> None:
        self.size = width, height
        self.marks: list[tuple[str, tuple[Any, ...]]] = []

    def line(self, x: float, y: float, to_x: float, to_y: float, color: str, width: float = 1) -> None:
        self.marks.append(("line", (x, y, to_x, to_y, color, width)))

    def dot(self, x: float, y: float, radius: float, color: str) -> None:
        self.marks.append(("dot", (x, y, radius, color)))

    def text(self, x: float, y: float, words: str, color: str, anchor: str = "start", size: int = 11) -> None:
        """``y`` is the middle of the line of words."""
        self.marks.append(("text", (x, y, words, color, anchor, size)))

    def svg(self) -> str:
        """The marks as one self-contained file."""
        parts = []
        for kind, values in self.marks:
            if kind == "line":
                x, y, to_x, to_y, color, width = values
                line = f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{color}" stroke-width="{width}"/>'
                parts.append(line)
            elif kind == "dot":
                x, y, radius, color = values
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}"/>')
            else:
                x, y, words, color, anchor, size = values
                place = f'x="{x:.1f}" y="{y + 0.35 * size:.1f}" fill="{color}" text-anchor="{anchor}" font-size="{size}"'
                parts.append(f"<text {place}>{escape(words)}</text>")
        width, height = self.size
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        return f'{head} font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'

    def image(self, scale: int = 2) -> Image:
        """The same as pixels, ``scale`` to the unit."""
        from PIL import Image, ImageDraw, ImageFont

        across, down = (round(scale * side) for side in self.size)
        image = Image.new("RGB", (across, down), "white")
        draw = ImageDraw.Draw(image)
        anchors = {"start": "lm", "middle": "mm", "end": "rm"}
        for kind, values in self.marks:
            if kind == "line":
                *ends, color, width = values
                draw.line([scale * end for end in ends], fill=color, width=round(scale * width))
            elif kind == "dot":
                x, y, radius, color = values
                draw.ellipse([scale * (x - radius), scale * (y - radius), scale * (x + radius), scale * (y + radius)], fill=color)
            else:
                x, y, words, color, anchor, size = values
                font = ImageFont.load_default(scale * size)
                draw.text((scale * x, scale * y), words, fill=color, font=font, anchor=anchors[anchor])
        return image
