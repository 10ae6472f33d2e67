"""Where a match takes the basis of a shape from, and the operator that measures its maps: a Laplacian, or the points alone."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..bases import EigenbasisNetwork, LaplaceBasis, LearnedEigenbasis, SampledBasis
from ..errors import ArgumentError, one_of, problem
from ..laplacians import KINDS, Laplacian
from ..laplacians import laplacian as make_laplacian
from ..laplacians.local_triangulation import local_triangles
from ..laplacians.sparse import csr
from ..probes import smoothing_graph
from ..shapes import Mesh, PointCloud
from .in_use import InUse

Shape = Mesh | PointCloud
Progress = Callable[[str, int, int], None]

#: What ``basis`` can name, and the modes of the final map by default.
MODES = {"laplace": 100, "learned": 60, "network": 60}
#: Training steps of a basis that is learned in order to be matched: the refinement of the map forgives what more would mend.
STEPS = 120
#: Points that such a basis is trained on; all take part in its refinement.
TRAINING_POINTS = 2000
#: The kind of operators that come from a smoothing graph.
SMOOTHING = "smoothing"
#: Neighbours among which the triangles of a cloud are sought.
NEIGHBORS = 30


class Spectra(ABC):
    """How the two shapes of a match get their operators and bases."""

    #: The measures of both bases are areas in the unit of their eigenvalues; else areas are read off the spectra.
    same_area: bool = False

    def check(self, source: Shape, target: Shape, k: int | None) -> int:
        """The number of modes: as asked, or the default of the kind."""
        k = self._modes() if k is None else k
        if not isinstance(k, Integral) or isinstance(k, bool) or k < 3:
            raise ArgumentError(problem("k", "an integer of at least 3", repr(k)))
        return int(k)  # NumPy's integers are taken too, but are no JSON

    def seen(self, shape: Shape) -> Shape:
        """The shape as far as it takes part."""
        return shape

    @abstractmethod
    def _modes(self) -> int:
        """The default number of modes."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What was chosen, as plain values."""

    @abstractmethod
    def operator(self, shape: Shape) -> Laplacian:
        """What tells pieces apart and measures maps."""

    @abstractmethod
    def basis(self, side: int, part: InUse, operator: Laplacian, k: int, progress: Progress | None) -> SampledBasis:
        """``k`` modes with eigenvalues on the points of ``part.shape``, on the CPU; side 0 is the source."""

    def area(self, basis: SampledBasis) -> float:
        """The area that the eigenvalues of a basis speak of."""
        assert basis.eigenvalues is not None
        return float(basis.measure.sum()) if self.same_area else weyl_area(basis.eigenvalues)


@dataclass(frozen=True)
class LaplaceSpectra(Spectra):
    """Eigenbases of a Laplacian."""

    kind: str
    cache: bool | str | os.PathLike[str] | None = None
    same_area = True

    def _modes(self) -> int:
        return MODES["laplace"]

    def options(self) -> dict[str, Any]:
        return {"basis": "laplace", "laplacian": self.kind}

    def operator(self, shape: Shape) -> Laplacian:
        return make_laplacian(shape, self.kind)

    def basis(self, side: int, part: InUse, operator: Laplacian, k: int, progress: Progress | None) -> SampledBasis:
        return LaplaceBasis.fit(operator, k, cache=self.cache)


@dataclass(frozen=True)
class PointSpectra(Spectra):
    """Bases of the points alone, learned or by the network that ships; of faces only the normals serve, to tell left from right."""

    name: str

    def _modes(self) -> int:
        return MODES[self.name]

    def options(self) -> dict[str, Any]:
        return {"basis": self.name}

    def seen(self, shape: Shape) -> Shape:
        return PointCloud(shape.points, shape.vertex_normals) if isinstance(shape, Mesh) else shape

    def operator(self, shape: Shape) -> Laplacian:
        return smoothing_laplacian(shape.points)

    def basis(self, side: int, part: InUse, operator: Laplacian, k: int, progress: Progress | None) -> SampledBasis:
        points = part.shape.points.detach()
        if self.name == "network":
            with torch.no_grad():
                return EigenbasisNetwork.pretrained()(points, k)
        return LearnedEigenbasis.fit(points, k, max_steps=STEPS, training_points=max(TRAINING_POINTS, k), progress=progress)


@dataclass(frozen=True)
class GivenSpectra(Spectra):
    """The caller's bases. Meshes are measured by their Laplacian; so are clouds if both bases are of Laplacians, else by their graph."""

    bases: tuple[SampledBasis, SampledBasis]
    kind: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "same_area", all(isinstance(basis, LaplaceBasis) for basis in self.bases))

    def check(self, source: Shape, target: Shape, k: int | None) -> int:
        k = super().check(source, target, k)
        for name, shape, basis in zip(("source", "target"), (source, target), self.bases, strict=True):
            if basis.n != shape.n_points:
                raise ArgumentError(problem("basis", f"one on the {shape.n_points} points of the {name}", f"{basis.n} points"))
        if k > self._modes():
            raise ArgumentError(problem("k", f"at most the {self._modes()} modes that both bases have", k))
        return k

    def _modes(self) -> int:
        return min(basis.k for basis in self.bases)

    def options(self) -> dict[str, Any]:
        return {"basis": "the caller's"}

    def operator(self, shape: Shape) -> Laplacian:
        return make_laplacian(shape, self.kind) if isinstance(shape, Mesh) or self.same_area else smoothing_laplacian(shape.points)

    def basis(self, side: int, part: InUse, operator: Laplacian, k: int, progress: Progress | None) -> SampledBasis:
        given = self.bases[side]
        assert given.eigenvalues is not None
        modes, measure, eigenvalues = (x.detach().to(part.shape.points) for x in (given.modes, given.measure, given.eigenvalues))
        return SampledBasis(modes[part.to_given, :k], measure[part.to_given], eigenvalues[:k], given.options)


def spectra_of(basis: str | tuple[SampledBasis, SampledBasis], laplacian: str, cache: bool | str | os.PathLike[str] | None) -> Spectra:
    """What ``basis`` of :func:`geospec.match` asks for."""
    one_of("laplacian", laplacian, KINDS)
    if isinstance(basis, str):
        one_of("basis", basis, tuple(MODES))
        return LaplaceSpectra(laplacian, cache) if basis == "laplace" else PointSpectra(basis)
    if not isinstance(basis, tuple | list) or len(basis) != 2 or not all(isinstance(b, SampledBasis) for b in basis):
        raise ArgumentError(problem("basis", f"one of {', '.join(MODES)}, or two sampled bases", type(basis).__name__))
    for name, given in zip(("source", "target"), basis, strict=True):
        if given.eigenvalues is None:
            raise ArgumentError(problem("basis", "bases with eigenvalues", f"none on the {name}", "probes of a graph have them"))
    return GivenSpectra((basis[0], basis[1]), laplacian)


def smoothing_laplacian(points: Tensor) -> Laplacian:
    """The operator of the points' smoothing graph, in their unit, for a total mass of one: no mesh, any dimension.

    ``S = I - t L`` to first order in the step's time ``t``, so the stiffness is ``M^1/2 (I - S) M^1/2 / t``.
    """
    graph = smoothing_graph(points.detach().cpu().double())
    step = graph.generator()
    crow, col = step.crow_indices(), step.col_indices()
    row = torch.repeat_interleave(torch.arange(graph.n), crow.diff())
    root = graph.measure.sqrt()
    stiffness = csr(crow, col, step.values() * (root[row] * root[col]) / float(graph.time))
    operator = Laplacian(stiffness, graph.measure, SMOOTHING)
    return replace(operator, stiffness=stiffness.to(points.dtype), mass=graph.measure.to(points.dtype))


def with_area(operator: Laplacian, area: float) -> Laplacian:
    """The operator for a surface of ``area`` where it is one of :func:`smoothing_laplacian`; another as it is."""
    return replace(operator, stiffness=operator.stiffness * area, mass=operator.mass * area) if operator.kind == SMOOTHING else operator


def weyl_area(eigenvalues: Tensor) -> float:
    """The area of a surface by its spectrum: Weyl's law ``lambda_i ~ 4 pi i / area``, fitted in the logarithm above the first quarter.

    For bases whose measure is a share of the whole. Right to some percent for a closed surface whose eigenvalues are; what matters to a
    match is that the rule scales as an area does and knows neither the density nor the number of points: of two samples of one
    surface, ten times denser here than there, the ratio comes out right to a few percent. Source: Weyl 1911.
    """
    values = eigenvalues.detach().double().cpu()
    first = max(1, len(values) // 4)
    if len(values) <= first or not bool((values[first:] > 0).all()):
        got = f"{int((values > 0).sum())} of {len(values)}"
        raise ArgumentError(problem("basis", "positive eigenvalues beyond the first", got, "ask for more modes, of a shape in one piece"))
    index = torch.arange(first, len(values), dtype=torch.float64)
    return 4 * math.pi * float((index / values[first:]).log().mean().exp())


def at_unit_area(basis: SampledBasis, area: float) -> SampledBasis:
    """The basis with a measure that sums to one and eigenvalues of the shape scaled to area one, where those of two shapes compare."""
    assert basis.eigenvalues is not None
    total = basis.measure.sum()
    return SampledBasis(basis.modes * total.sqrt(), basis.measure / total, basis.eigenvalues * area)


def oriented_triangles(shape: Shape, device: torch.device) -> Tensor | None:
    """Triangles ``(f, 3)`` that know outside from inside: a mesh's faces, or of a cloud with normals those that its neighbourhoods
    agree on, turned along the normals; ``None`` where nothing tells."""
    if isinstance(shape, Mesh):
        return shape.faces.to(device)
    if shape.normals is None or shape.points.shape[1] != 3 or shape.n_points <= NEIGHBORS:
        return None
    triangles, found = local_triangles(shape, NEIGHBORS)
    triangles = triangles[found >= 2]
    a, b, c = shape.points.detach()[triangles].unbind(dim=1)
    outward = (torch.linalg.cross(b - a, c - a) * shape.normals[triangles].sum(dim=1)).sum(dim=1)
    return torch.where((outward < 0)[:, None], triangles.flip(1), triangles).to(device)


def described(basis: SampledBasis, area: float) -> dict[str, Any]:
    """What a record tells of a basis."""
    told: dict[str, Any] = {"kind": basis.kind, "area": area}
    if isinstance(basis, LearnedEigenbasis) and basis.optimality_ratio is not None:
        told |= {"optimality_ratio": basis.optimality_ratio, "steps": basis.options["steps"]}
    return told
