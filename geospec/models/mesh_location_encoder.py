"""A function on a surface: the surface's own eigenfunctions at a point, and a network on them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..bases import SampledBasis
from ..errors import ArgumentError, FileFormatError, one_of, problem
from ..nn.siren import NETWORKS, PointNetwork, point_network
from ..ops.checks import check_faces
from ..shapes.sampling import SurfaceSample
from ..weights import load_weights, save_weights
from .files import made

#: The kind under which files remember the model.
KIND = "mesh location encoder"


class MeshLocationEncoder(nn.Module):
    """A function on a triangle mesh, ``outputs`` numbers at each point: Laplace eigenfunctions, then a network.

    What spherical harmonics are to :class:`LocationEncoder`, the eigenfunctions are here. A point is a face and barycentric coordinates,
    in which the modes are interpolated: the function knows distances on the surface only. It does not change when the mesh is moved or
    bent, sheets that touch in space are far apart where they are far apart on the surface, and there is no seam.
    Features do not depend on the unit of length: they are scaled as if the area were that of the unit sphere.

    Parameters
    ----------
    basis : modes ``(n, k)`` on the vertices, such as :class:`geospec.LaplaceBasis`.
    faces : (f, 3) int64, of the mesh that they are modes of.
    network, outputs, hidden, layers, w0_first, w0, dropout : as of :class:`LocationEncoder`.
    modes : the first so many of the basis; all by default.
    damped : whether mode ``i`` is divided by ``sqrt(1 + eigenvalue_i)``, so that the first layer sees coarse modes louder.

    It computes in the float type of its weights, float32 at first. The basis and the faces are kept in its files.

    Raises
    ------
    ArgumentError : a basis that holds no modes, or no eigenvalues where they are needed; faces that do not fit it; wrong sizes or names.

    Source: the encoder of Russwurm et al., ICLR 2024, on the eigenfunctions of a mesh, as intrinsic neural fields have them
    (Koestler et al. 2022).
    """

    faces: Tensor
    scale: Tensor

    def __init__(
        self,
        basis: SampledBasis,
        faces: Tensor,
        network: str,
        outputs: int,
        *,
        modes: int | None = None,
        damped: bool = False,
        hidden: int = 64,
        layers: int = 2,
        w0_first: float = 30.0,
        w0: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        one_of("network", network, NETWORKS)
        if not isinstance(basis, SampledBasis):
            raise ArgumentError(problem("basis", "one that holds its modes, as LaplaceBasis does", type(basis).__name__))
        if damped and basis.eigenvalues is None:
            raise ArgumentError(problem("basis", "one with eigenvalues, for damped=True", "none"))
        k = basis.k if modes is None else modes
        if not isinstance(k, int) or not 1 <= k <= basis.k:
            raise ArgumentError(problem("modes", f"between 1 and the {basis.k} modes at hand", modes))
        check_faces("faces", faces)
        _check_indices("faces", faces, basis.n)
        sizes: dict[str, Any] = {"hidden": hidden, "layers": layers, "w0_first": w0_first, "w0": w0, "dropout": dropout}
        self.arguments: dict[str, Any] = {"network": network, "outputs": outputs, "damped": damped, **sizes}
        eigenvalues = None if basis.eigenvalues is None else basis.eigenvalues[:k]
        self.basis = SampledBasis(basis.modes[:, :k], basis.measure, eigenvalues)
        self.register_buffer("faces", faces)
        unit = basis.measure.sum() / (4 * math.pi)  # the square of the length that stands for the radius
        scale = unit.sqrt().repeat(k)
        if damped and eigenvalues is not None:
            scale = scale / (1 + unit * eigenvalues).sqrt()
        self.register_buffer("scale", scale)
        self.network: PointNetwork = point_network(network, k, outputs, **sizes)

    def features(self, face: Tensor, barycentric: Tensor) -> Tensor:
        """The modes ``(..., modes)`` at points, scaled; linear in the barycentric coordinates.

        Parameters
        ----------
        face : (...) int64 indices of faces. barycentric : (..., 3) weights of a face's corners, which sum to 1.

        Raises
        ------
        ArgumentError : shapes that do not belong together, weights that do not sum to 1; under ``torch.compile`` values are not looked at.
        """
        if face.dtype != torch.int64 or barycentric.shape != (*face.shape, 3):
            got = f"{face.dtype} {tuple(face.shape)} and {tuple(barycentric.shape)}"
            raise ArgumentError(problem("face, barycentric", "int64 of shape (...) and weights of shape (..., 3)", got))
        if not torch.compiler.is_compiling():
            _check_indices("face", face, len(self.faces))
            if not bool(((barycentric.detach().sum(dim=-1) - 1).abs() <= 1e-4).all()):
                raise ArgumentError(problem("barycentric", "weights that sum to 1", "some that do not"))
        corners = self.faces[face]
        first, second, third = (barycentric[..., i, None] * self.basis.modes[corners[..., i]] for i in range(3))
        modes = first + second + third
        return (modes * self.scale).to(self.network.first.weight.dtype)

    def forward(self, face: Tensor, barycentric: Tensor) -> Tensor:
        """Outputs ``(..., outputs)`` at points of faces ``(...)`` with barycentric coordinates ``(..., 3)``; see :meth:`features`."""
        return self.network(self.features(face, barycentric))

    def at_sample(self, sample: SurfaceSample) -> Tensor:
        """Outputs ``(m, outputs)`` at points that :func:`geospec.shapes.sample_surface` drew."""
        return self(sample.face, sample.barycentric)

    def at_vertices(self) -> Tensor:
        """Outputs ``(n, outputs)`` at all vertices."""
        return self.network((self.basis.modes * self.scale).to(self.network.first.weight.dtype))

    def save(self, path: str | os.PathLike[str], *, metrics: Mapping[str, Any] | None = None) -> None:
        """Write weights, arguments, modes and faces as safetensors. ``metrics``: what was measured, plain JSON."""
        save_weights(self, path, kind=KIND, arguments=self.arguments, metrics=metrics)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The model that :meth:`save` wrote, in its float type and in evaluation mode. Reading runs no code.

        Raises
        ------
        FileNotFoundError : no such file. FileFormatError : something else, or tensors that do not fit.
        """
        weights = load_weights(path, KIND)
        modes, measure, eigenvalues, faces = map(weights.tensors.get, ("basis.modes", "basis.measure", "basis.eigenvalues", "faces"))
        if modes is None or measure is None or faces is None:
            raise FileFormatError(problem(str(path), "modes, measure and faces", ", ".join(weights.tensors)))
        arguments = {**weights.arguments, "basis": SampledBasis(modes, measure, eigenvalues), "faces": faces}
        return made(replace(weights, arguments=arguments), cls)


def _check_indices(name: str, index: Tensor, count: int) -> None:
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < count:
        raise ArgumentError(problem(name, f"indices in [0, {count})", f"{int(index.min())} to {int(index.max())}"))
