"""For tests of one's own code: sample shapes with closed forms, tolerances, and the contracts of a Basis.

The contracts need ``pytest``; shapes and tolerances do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .shapes import bumpy_sphere, disjoint_union, grid, icosphere, permuted, sphere_cloud, torus
from .tolerances import tolerance

if TYPE_CHECKING:
    from .contract import BasisContract, FrameContract, OrthonormalContract

__all__ = [
    "BasisContract",
    "FrameContract",
    "OrthonormalContract",
    "bumpy_sphere",
    "disjoint_union",
    "grid",
    "icosphere",
    "permuted",
    "sphere_cloud",
    "tolerance",
    "torus",
]


def __getattr__(name: str) -> Any:
    if name in ("BasisContract", "FrameContract", "OrthonormalContract"):
        from . import contract

        return getattr(contract, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
