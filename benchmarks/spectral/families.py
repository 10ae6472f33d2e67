"""All families in the order of the table."""

from __future__ import annotations

from .eigenpairs import EIGENPAIRS
from .laplacians import CLOUD, COTANGENT, ROBUST
from .neighbours import CONVERGED, FARTHEST, KNN, RANDOM
from .registry import Family
from .zoomout import ZOOMOUT

FAMILIES: dict[str, Family] = {
    family.name: family for family in (EIGENPAIRS, COTANGENT, ROBUST, CLOUD, KNN, FARTHEST, CONVERGED, RANDOM, ZOOMOUT)
}
