"""What a reader hands on: arrays as the file holds them, before they become a shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import FileFormatError, problem


@dataclass(frozen=True)
class Polygons:
    """Faces with any number of corners: ``sizes (f,)`` and, one face after another, ``corners (sum(sizes),)``."""

    sizes: np.ndarray
    corners: np.ndarray

    @classmethod
    def uniform(cls, faces: np.ndarray) -> Polygons:
        """Faces ``(f, c)`` that all have ``c`` corners."""
        return cls(np.full(len(faces), faces.shape[1] if faces.ndim == 2 else 3), faces.reshape(-1))

    def triangles(self, name: str, triangulate: bool) -> np.ndarray:
        """The faces as ``(f, 3)`` int64; larger polygons become fans around their first corner where asked.

        A fan is exact for convex polygons only. It keeps the vertices and, within a polygon's triangles,
        the winding; triangles follow the order of their polygons.
        """
        if len(self.sizes) == 0:
            return np.zeros((0, 3), np.int64)
        corners = self.corners.astype(np.int64)
        smallest, largest = int(self.sizes.min()), int(self.sizes.max())
        if smallest < 3:
            raise FileFormatError(problem(name, "faces with at least 3 corners", f"{smallest} corners in face {int(self.sizes.argmin())}"))
        if largest == 3:
            return corners.reshape(-1, 3)
        if not triangulate:
            larger = int((self.sizes > 3).sum())
            raise FileFormatError(
                problem(name, "a triangle mesh", f"{larger} faces with up to {largest} corners", "pass triangulate=True (--triangulate)")
            )
        start = np.cumsum(self.sizes) - self.sizes
        fan = self.sizes - 2
        first = np.repeat(start, fan)
        step = np.arange(fan.sum()) - np.repeat(np.cumsum(fan) - fan, fan)
        return corners[np.stack([first, first + step + 1, first + step + 2], axis=1)]


@dataclass(frozen=True)
class Contents:
    """Points ``(n, d)`` in file order; ``faces`` is ``None`` or empty where the file holds a cloud."""

    points: np.ndarray
    faces: Polygons | None = None
    normals: np.ndarray | None = None
