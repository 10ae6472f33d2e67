"""What the picture draws of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...shapes import Mesh


@dataclass(frozen=True)
class Sweep:
    """What is missing of an IoU of 1, for each count of trees, by name of the shape."""

    counts: Sequence[int]
    missing: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Surfaces:
    """Surfaces of one shape side by side, the input first, with a caption and a note each."""

    name: str
    panels: Sequence[tuple[str, str, Mesh]]
