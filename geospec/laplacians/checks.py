"""Early refusals that the operators of meshes share."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, ShapeError, problem
from ..shapes.mesh import Mesh


def check_mesh(mesh: object) -> None:
    """Want a mesh."""
    if not isinstance(mesh, Mesh):
        raise ArgumentError(problem("mesh", "a Mesh", type(mesh).__name__))


REPAIR = "geospec.repair(shape, steps=('degenerate-faces',))"


def refuse_degenerate(mesh: Mesh, cotangents: Tensor, argument: str = "mesh", hint: str = REPAIR) -> None:
    """Refuse a mesh with a face of zero area, whose cotangents are infinite or NaN."""
    refuse_faces(mesh, ~torch.isfinite(cotangents).all(dim=1), "faces of positive area", argument, hint)


def refuse_faces(mesh: Mesh, broken: Tensor, wanted: str, argument: str = "mesh", hint: str = REPAIR) -> None:
    """Refuse a mesh with faces that are ``broken (f,)``, and name the first."""
    if broken.any():
        first = int(broken.long().argmax())
        got = f"{int(broken.sum())} degenerate faces, the first is face {first} with vertices {mesh.faces[first].tolist()}"
        raise ShapeError(problem(argument, wanted, got, hint))


def refuse_unreferenced(mesh: Mesh) -> None:
    """Want a face at every vertex: the others would have no mass."""
    used = torch.zeros(mesh.n_points, dtype=torch.bool, device=mesh.faces.device)
    used[mesh.faces.reshape(-1)] = True
    missing = int((~used).sum())
    if missing or not mesh.n_points:
        drop = "drop them with geospec.repair(shape, steps=('unreferenced',)) or --repair unreferenced"
        hint = drop if len(mesh.faces) else "points without faces are a PointCloud"
        raise ShapeError(problem("shape", "a face at every vertex", f"{missing} of {mesh.n_points} vertices in no face", hint))
