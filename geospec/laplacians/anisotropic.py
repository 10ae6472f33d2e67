"""Laplacians that conduct less along one tangent direction than across it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, problem
from ..shapes.mesh import Mesh
from .checks import check_mesh, refuse_degenerate
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
    Curvature is one quadratic form a face, fitted to the differences of its vertex normals. Where both curvatures are alike
    (planes, spheres) their directions mean nothing: rounding decides them.

    Raises
    ------
    ArgumentError : ``alpha`` negative, ``directions`` of another shape. ShapeError : faces of zero area.

    Cost at 200k vertices: 0.4 s.
    Source: Andreux, Rodola, Aubry and Cremers 2014; Boscaini et al. 2016, "Anisotropic Diffusion Descriptors", section 3; the form
    of curvature: Rusinkiewicz 2004, section 3.
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
    axes, normals = _frames(mesh)
    first = _principal_directions(mesh, axes) if directions is None else _tangent_parts(directions, axes)
    turned = first * math.cos(angle) + torch.stack([-first[:, 1], first[:, 0]], dim=1) * math.sin(angle)
    across = torch.linalg.cross(normals, (turned[:, :, None] * axes).sum(dim=1))
    # The slope of a hat along u is that of its opposite edge across u, over twice the area. So less conduction along u
    # is more "cotangent" at each corner: the product of the two edges that meet there, across u.
    edges = _edges(mesh)
    along = (edges * across[:, None]).sum(dim=2)
    product = torch.stack([along[:, 1] * along[:, 2], along[:, 2] * along[:, 0], along[:, 0] * along[:, 1]], dim=1)
    gain = alpha / (1 + alpha) * product / (2 * areas.double()[:, None])
    adjacency = ops.mesh_adjacency(mesh.faces, mesh.n_points)
    values, mass = ops.assemble_stiffness((cotangents.double() + gain).to(cotangents), areas, mesh.faces, adjacency)
    return Laplacian(csr(adjacency.crow, adjacency.col, values), mass, "anisotropic")


def _edges(mesh: Mesh) -> Tensor:
    """The edge across from each corner, ``(f, 3, 3)`` float64."""
    corners = mesh.vertices[mesh.faces].double()
    return corners.roll(-2, dims=1) - corners.roll(-1, dims=1)


def _frames(mesh: Mesh) -> tuple[Tensor, Tensor]:
    """Two orthonormal tangent axes ``(f, 2, 3)`` and the normal ``(f, 3)`` of each face, right-handed, float64."""
    edges = _edges(mesh)
    normals = torch.nn.functional.normalize(torch.linalg.cross(edges[:, 0], edges[:, 1]), dim=1, eps=0)
    first = torch.nn.functional.normalize(edges[:, 2], dim=1, eps=0)
    return torch.stack([first, torch.linalg.cross(normals, first)], dim=1), normals


def _principal_directions(mesh: Mesh, axes: Tensor) -> Tensor:
    """Unit direction ``(f, 2)`` of the curvature of larger magnitude, in the axes of each face."""
    vertex_normals = mesh.vertex_normals.double()[mesh.faces]
    steps = (_edges(mesh)[:, :, None] * axes[:, None]).sum(dim=3)  # (f, edge, axis)
    changes = ((vertex_normals.roll(-2, dims=1) - vertex_normals.roll(-1, dims=1))[:, :, None] * axes[:, None]).sum(dim=3)
    # Least squares for (a, b, c) of the form [[a, b], [b, c]]: the change of the normal along each edge, in both axes.
    x, y, zero = steps[:, :, 0], steps[:, :, 1], torch.zeros_like(steps[:, :, 0])
    rows = torch.cat([torch.stack([x, y, zero], dim=2), torch.stack([zero, x, y], dim=2)], dim=1)
    right = torch.cat([changes[:, :, 0], changes[:, :, 1]], dim=1)[:, :, None]
    a, b, c = torch.linalg.solve(rows.transpose(1, 2) @ rows, rows.transpose(1, 2) @ right)[:, :, 0].unbind(dim=1)
    towards_largest = torch.atan2(2 * b, a - c) / 2
    turn = torch.where(a + c < 0, math.pi / 2, 0.0)  # the curvatures sum to a + c: below zero the smaller one is larger in magnitude
    return torch.stack([(towards_largest + turn).cos(), (towards_largest + turn).sin()], dim=1)


def _tangent_parts(directions: Tensor, axes: Tensor) -> Tensor:
    """Unit tangent direction ``(f, 2)`` of each vector in the axes of its face; zero where it has none."""
    directions = torch.as_tensor(directions, device=axes.device).double()
    if directions.shape != (len(axes), 3):
        raise ArgumentError(problem("directions", f"one vector a face, ({len(axes)}, 3)", tuple(directions.shape)))
    if not torch.isfinite(directions).all():
        raise ArgumentError(problem("directions", "finite vectors", "NaN or infinity"))
    parts = (directions[:, None] * axes).sum(dim=2)
    length = parts.norm(dim=1, keepdim=True)
    tangent = length > 1e-12 * directions.norm(dim=1, keepdim=True)
    return torch.where(tangent, parts / torch.where(tangent, length, 1), 0)
