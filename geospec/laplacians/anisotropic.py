"""Laplacians that conduct less along one tangent direction than across it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, problem
from ..shapes.fields import unit_rows
from ..shapes.mesh import Mesh
from .checks import check_mesh, refuse_degenerate
from .gradient import _slopes
from .operator import Laplacian
from .sparse import csr


def anisotropic_laplacian(mesh: Mesh, *, alpha: float = 1.0, angle: float = 0.0, directions: Tensor | None = None) -> Laplacian:
    """The Laplacian ``-div(K grad)`` with the conductivity ``1 / (1 + alpha)`` along ``u`` and 1 across it.

    On each face ``u`` is the principal direction of larger curvature (in magnitude), turned by ``angle`` counter-clockwise seen from
    the side that the face's normal points to. At angle 0 heat thus runs along a cylinder more freely than around it.

    Parameters
    ----------
    mesh : without degenerate faces, vertices that do not require gradients.
    alpha : at least 0. 0 is the cotangent Laplacian bit for bit; conduction along ``u`` vanishes as it grows.
    angle : radians; ``angle + pi`` is the same.
    directions : (f, 3), vectors that take the place of the principal directions. Their tangent part counts, their length
        does not; a vector without tangent part leaves its face isotropic.

    Returns
    -------
    Laplacian of the kind ``"anisotropic"``, with the mass of the cotangent one, in the float type and on the device of the mesh.
    Positive semi-definite.

    Notes
    -----
    The principal directions of a face are those of the symmetric part of the gradient of its vertex normals. Where both curvatures
    are alike (planes, spheres) they mean nothing: rounding decides.

    Raises
    ------
    ArgumentError : ``alpha`` negative, ``directions`` of another shape. ShapeError : faces of zero area.

    Cost at 200k vertices: 0.5 s.
    Source: Andreux, Rodola, Aubry and Cremers 2014; Boscaini et al. 2016, "Anisotropic Diffusion Descriptors", section 3;
    compare Rusinkiewicz 2004 for the curvatures.
    """
    check_mesh(mesh)
    if not 0 <= alpha < math.inf:
        raise ArgumentError(problem("alpha", "a finite number, at least 0", alpha))
    if not math.isfinite(angle):
        raise ArgumentError(problem("angle", "a finite number of radians", angle))
    if mesh.vertices.requires_grad:
        raise ArgumentError(
            problem("kind", "'cotangent' where the vertices require gradients", "'anisotropic'", "or pass detached vertices")
        )
    cotangents, areas = ops.cotangent(mesh.vertices, mesh.faces)
    refuse_degenerate(mesh, cotangents)
    slopes = _slopes(mesh.vertices, mesh.faces)[0]
    wide = mesh.to(dtype=torch.float64)
    first = _principal_directions(wide, slopes) if directions is None else _tangent_parts(directions, wide.face_normals)
    turned = first * math.cos(angle) + torch.linalg.cross(wide.face_normals, first) * math.sin(angle)
    # Hats i and j lose alpha / (1 + alpha) of their slopes' product along u: that much more "cotangent" at the third corner.
    along = (slopes * turned[:, None]).sum(dim=2)
    loss = 2 * alpha / (1 + alpha) * areas.double()[:, None] * along.roll(-1, dims=1) * along.roll(-2, dims=1)
    adjacency = ops.mesh_adjacency(mesh.faces, mesh.n_points)
    values, mass = ops.assemble_stiffness((cotangents.double() + loss).to(cotangents), areas, mesh.faces, adjacency)
    return Laplacian(csr(adjacency.crow, adjacency.col, values), mass, "anisotropic")


def _principal_directions(mesh: Mesh, slopes: Tensor) -> Tensor:
    """Unit tangent ``(f, 3)`` along which the normal turns most."""
    first = unit_rows(slopes[:, 0])
    axes = torch.stack([first, torch.linalg.cross(mesh.face_normals, first)], dim=1)
    # The gradient of the normals, linear on the face, in its two axes.
    turns = mesh.vertex_normals[mesh.faces] @ axes.transpose(1, 2)
    form = turns.transpose(1, 2) @ (slopes @ axes.transpose(1, 2))
    a, b, c = form[:, 0, 0], form[:, 0, 1] + form[:, 1, 0], form[:, 1, 1]  # [[a, b / 2], [b / 2, c]] is its symmetric part
    to_largest = torch.atan2(b, a - c) / 2
    # The two curvatures sum to a + c: below zero the smaller is the larger in magnitude.
    to_strongest = to_largest + torch.where(a + c < 0, math.pi / 2, 0.0)
    return to_strongest.cos()[:, None] * axes[:, 0] + to_strongest.sin()[:, None] * axes[:, 1]


def _tangent_parts(directions: Tensor, normals: Tensor) -> Tensor:
    """Unit tangent ``(f, 3)`` of each vector on its face; zero where it has none."""
    directions = torch.as_tensor(directions, device=normals.device).double()
    if directions.shape != normals.shape:
        raise ArgumentError(problem("directions", f"one vector a face, ({len(normals)}, 3)", tuple(directions.shape)))
    if not torch.isfinite(directions).all():
        raise ArgumentError(problem("directions", "finite vectors", "NaN or infinity"))
    parts = directions - (directions * normals).sum(dim=1, keepdim=True) * normals
    rounding = 1e-12 * directions.norm(dim=1, keepdim=True)
    return unit_rows(torch.where(parts.norm(dim=1, keepdim=True) > rounding, parts, 0))
