"""What networks that learn by diffusion and gradients on a shape read: mass, Laplacian, modes and tangent gradients, in one call."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..errors import ArgumentError, FileFormatError, ShapeError, problem
from ..laplacians import Laplacian, laplacian
from ..laplacians.sparse import csr
from ..shapes.cloud import PointCloud
from ..shapes.clouds import estimate_normals
from ..shapes.mesh import Mesh
from ..writing import read_safetensors, write_safetensors
from . import cache as disk
from .laplace import LaplaceBasis

#: Goes up whenever the same shape may give other operators; the version of the file's format too.
FORMAT_VERSION = 1
_NEIGHBORS = 16


@dataclass(frozen=True, eq=False)
class DiffusionOperators:
    """The operators of one shape of ``n`` points, see :func:`diffusion_operators`."""

    #: ``(n,)``, lumped areas.
    mass: Tensor
    #: CSR ``(n, n)``, positive semi-definite, without unit.
    stiffness: Tensor
    #: ``(k,)``, ascending, in units of 1 / length squared.
    eigenvalues: Tensor
    #: ``(n, k)``, orthonormal under the mass.
    modes: Tensor
    #: CSR ``(n, n)``: ``gradient_x @ f`` is the slope of ``f`` along each point's x axis, in units of 1 / length.
    gradient_x: Tensor
    #: CSR ``(n, n)``: the slope along the y axis, a quarter turn from x about the normal.
    gradient_y: Tensor
    #: ``(n, 3, 3)``, rows x, y, normal: a right-handed orthonormal frame at each point.
    frames: Tensor

    def __repr__(self) -> str:
        return f"DiffusionOperators(n={self.n}, k={self.k}, {str(self.mass.dtype)[6:]}, {self.mass.device})"

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.mass)

    @property
    def k(self) -> int:
        """Number of modes."""
        return len(self.eigenvalues)

    def truncate(self, k: int) -> DiffusionOperators:
        """The same operators with the first ``k`` modes; nothing is computed again."""
        if not 1 <= k <= self.k:
            raise ArgumentError(problem("k", f"between 1 and the {self.k} modes at hand", k))
        return replace(self, eigenvalues=self.eigenvalues[:k], modes=self.modes[:, :k])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> DiffusionOperators:
        """The same operators on another device or in another float type."""
        return DiffusionOperators(**{field.name: getattr(self, field.name).to(device=device, dtype=dtype) for field in fields(self)})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the operators as safetensors: written aside, then renamed."""
        s = self.stiffness
        arrays = {name: getattr(self, name) for name in ("mass", "eigenvalues", "modes", "frames")}
        arrays |= {"crow": s.crow_indices(), "col": s.col_indices(), "stiffness": s.values()}
        arrays |= {"gradient_x": self.gradient_x.values(), "gradient_y": self.gradient_y.values()}
        write_safetensors(path, arrays, "diffusion operators", FORMAT_VERSION)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DiffusionOperators:
        """Read operators that :meth:`save` wrote."""
        _, arrays = read_safetensors(path, "diffusion operators", FORMAT_VERSION)
        try:
            crow, col = arrays.pop("crow"), arrays.pop("col")
            matrices = {name: csr(crow, col, arrays.pop(name)) for name in ("stiffness", "gradient_x", "gradient_y")}
            return cls(**arrays, **matrices)
        except (KeyError, TypeError, RuntimeError) as cause:  # arrays that are missing, unknown, or of shapes that do not fit
            raise FileFormatError(problem(str(path), "the arrays of diffusion operators", ", ".join(arrays), str(cause))) from cause


def diffusion_operators(
    shape: Mesh | PointCloud, k: int = 128, *, cache: bool | str | os.PathLike[str] | None = None, kind: str = "robust"
) -> DiffusionOperators:
    """Mass, Laplacian, its first ``k`` modes, and gradients in tangent frames: all that DiffusionNet and its kin read.

    The gradient at a point is the slope of the plane through its own value that fits the values of its neighbours best,
    by least squares over the edges projected to the tangent plane; neighbours are those of the Laplacian (of a cloud: of its
    local triangulations). Linear functions on a plane have their gradient to rounding. Where all neighbours lie on one line, the slope
    across it is zero.

    Parameters
    ----------
    shape : a mesh or a point cloud. The normals of a mesh are its vertex normals, those of a cloud its own, or else
        :func:`geospec.shapes.estimate_normals` of 16 neighbours, so that frames turn the same way all over the shape.
    k : number of modes.
    cache : a folder for results, ``True`` for the user's cache folder, ``None`` for none: as of :meth:`LaplaceBasis.fit`.
        Fewer modes are served from a file of more.
    kind : construction of the Laplacian, see :func:`geospec.laplacian`.

    Returns
    -------
    DiffusionOperators in the float type and on the device of the shape; computed in float64, not differentiable.
    The x axis of a frame is the coordinate axis least along the normal, projected: the same for the same shape, not turned with it.

    Raises
    ------
    ArgumentError : ``k`` out of range, unknown kind. ShapeError : what the Laplacian refuses.

    Cost besides Laplacian and modes: about 0.5 s at 100k vertices of a mesh, 3 s for a cloud without normals.
    Source: Sharp, Attaiki, Crane and Ovsjanikov 2022, "DiffusionNet", section 3.3.
    """
    if not isinstance(shape, Mesh | PointCloud):
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud", type(shape).__name__))
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ArgumentError(problem("k", "a positive integer", repr(k)))
    points = shape.points.detach()
    shape = replace(shape, vertices=points) if isinstance(shape, Mesh) else replace(shape, points=points)
    if cache is None or cache is False:
        return _computed(shape, k, kind)
    options = {"operators": "diffusion", "version": str(FORMAT_VERSION), "kind": kind}
    if isinstance(shape, PointCloud) and shape.normals is not None:
        options["normals"] = hashlib.sha256(disk._bytes(shape.normals)).hexdigest()
    path = disk.folder(cache) / f"{disk.key(shape, **options)}.safetensors"
    stored = disk.read(path, DiffusionOperators)
    if stored is None or stored.k < k:
        stored = _computed(shape, k, kind)
        stored.save(path)
    return stored.truncate(k).to(points.device)


@torch.no_grad()
def tangent_gradients(shape: Mesh | PointCloud, operator: Laplacian) -> tuple[Tensor, Tensor, Tensor]:
    """``(gradient_x, gradient_y, frames)`` of :class:`DiffusionOperators`, over the neighbours in the pattern of the operator's stiffness.

    Each row of the stiffness must hold its diagonal, as those of Laplacians do. In the float type and on the device of the shape; computed
    in float64 on the CPU, not differentiable.
    """
    if operator.n_points != shape.n_points:
        raise ArgumentError(problem("operator", f"one on the {shape.n_points} points of the shape", f"{operator.n_points} points"))
    points = shape.points.detach()
    frames = _frames(_normals(shape))
    crow, col = operator.stiffness.crow_indices(), operator.stiffness.col_indices()
    slopes = _slopes(points.cpu().double(), frames, crow.cpu(), col.cpu()).to(points)
    return csr(crow, col, slopes[:, 0].contiguous()), csr(crow, col, slopes[:, 1].contiguous()), frames.to(points)


def _computed(shape: Mesh | PointCloud, k: int, kind: str) -> DiffusionOperators:
    operator = laplacian(shape, kind)
    basis = LaplaceBasis.fit(operator, k)
    gradient_x, gradient_y, frames = tangent_gradients(shape, operator)
    return DiffusionOperators(
        mass=operator.mass,
        stiffness=operator.stiffness,
        eigenvalues=basis.eigenvalues,
        modes=basis.modes,
        gradient_x=gradient_x,
        gradient_y=gradient_y,
        frames=frames,
    )


def _normals(shape: Mesh | PointCloud) -> Tensor:
    """Unit normals ``(n, 3)`` float64 on the CPU; the z axis where a mesh's faces cancel."""
    if isinstance(shape, Mesh):
        normals: Any = Mesh(shape.vertices.cpu().double(), shape.faces.cpu()).vertex_normals
    else:
        normals = shape.normals if shape.normals is not None else estimate_normals(shape, min(_NEIGHBORS, shape.n_points - 1)).normals
        if not bool((normals.norm(dim=1) > 0).all()):
            raise ShapeError(problem("shape", "normals of positive length", f"{int((normals.norm(dim=1) == 0).sum())} zeros"))
    normals = torch.nn.functional.normalize(normals.cpu().double(), dim=1)
    return torch.where((normals == 0).all(dim=1, keepdim=True), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), normals)


def _frames(normals: Tensor) -> Tensor:
    axis = torch.eye(3, dtype=normals.dtype)[normals.abs().argmin(dim=1)]
    x = torch.nn.functional.normalize(axis - (axis * normals).sum(dim=1, keepdim=True) * normals, dim=1)
    return torch.stack([x, torch.linalg.cross(normals, x), normals], dim=1)


def _slopes(points: Tensor, frames: Tensor, crow: Tensor, col: Tensor) -> Tensor:
    """Entries ``(m, 2)`` of the two gradients in the pattern of the stiffness, whose rows each hold their diagonal."""
    n = len(points)
    row = torch.repeat_interleave(torch.arange(n), crow.diff())
    edge = ((points[col] - points[row])[:, None] @ frames[row, :2].mT)[:, 0]
    edge[row == col] = 0
    moment = edge.new_zeros(n, 2, 2).index_add(0, row, edge[:, :, None] * edge[:, None])
    slopes = (torch.linalg.pinv(moment, rtol=1e-10, hermitian=True)[row] @ edge[:, :, None])[:, :, 0]
    slopes[row == col] = -edge.new_zeros(n, 2).index_add(0, row, slopes)
    return slopes
