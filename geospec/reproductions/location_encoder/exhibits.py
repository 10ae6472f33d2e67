"""What the picture draws of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Curves:
    """Numbers in per cent at places along an axis, by name."""

    title: str
    along: Sequence[str]
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Maps:
    """Functions of unit vectors ``(n, 3)`` by name: class numbers ``(n,)`` or logits ``(n, classes)``, else values ``(n, 1)``."""

    fields: Mapping[str, Callable[[Tensor], Tensor]]
    classes: tuple[str, ...] | None
