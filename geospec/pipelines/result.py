"""What a match returns, and how it is kept on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..bases.base import SampledBasis
from ..errors import ArgumentError, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from ..shapes.vertex_map import point_map_to_file, values_to_file
from ..writing import write_npz


@dataclass(frozen=True, eq=False)
class Match:
    """A dense correspondence between two shapes.

    Attributes
    ----------
    source, target : the shapes, as they were given.
    target_to_source : (n_t,) int64, the source vertex of every target vertex. It pulls functions back: see :meth:`transfer`.
    source_to_target : (n_s,) int64, the other point map.
    functional_map : (k_t, k_s), carries coefficients of a function on the source to the target, in ``source_basis`` and
        ``target_basis``, those that ``LaplaceBasis.fit`` gives for the two shapes as they are unless others were asked for:
        ``C = Phi_t^T M_t Phi_s[target_to_source]``.
    confidence : (n_t,) in [0, 1], one where a walk to the source and back ends where it began.
    source_basis, target_basis : what the functional map speaks of, on the vertices that faces use; not saved. ``None`` in a match
        that was made by hand.
    record : what was done (options, sizes, seconds a stage, numbers that describe the map), as plain values.
    """

    source: Mesh | PointCloud
    target: Mesh | PointCloud
    target_to_source: Tensor
    source_to_target: Tensor
    functional_map: Tensor
    confidence: Tensor
    source_basis: SampledBasis | None = None
    target_basis: SampledBasis | None = None
    record: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        size, confidence = "{} x {}".format(*self.functional_map.shape), float(self.confidence.mean())
        return f"Match({self.source!r} -> {self.target!r}, {size} functional map, mean confidence {confidence:.2f})"

    def transfer(self, signal: Tensor) -> Tensor:
        """Carry a signal on the source ``(n_s, ...)`` to the target ``(n_t, ...)``, point by point."""
        if len(signal) != self.source.n_points:
            raise ArgumentError(problem("signal", f"one row per source vertex, {self.source.n_points}", len(signal)))
        return signal[self.target_to_source.to(signal.device)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``target_to_source``, ``source_to_target``, ``functional_map`` and ``confidence`` as npz.

        Indices and rows are those of the files that the shapes came from. A vertex that a repair dropped has
        image -1 and confidence 0. Written aside, then renamed.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ArgumentError(problem("path", "a name that ends in .npz", path.name))
        source, target = (getattr(shape, "vertex_map", None) for shape in (self.source, self.target))
        arrays: dict[str, Tensor] = {
            "target_to_source": point_map_to_file(self.target_to_source, target, source),
            "source_to_target": point_map_to_file(self.source_to_target, source, target),
            "functional_map": self.functional_map,
            "confidence": values_to_file(self.confidence, target),
        }
        write_npz(path, **arrays)
