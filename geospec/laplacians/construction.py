"""The constructions of a Laplacian: cotangent, intrinsic Delaunay, and the robust ones for meshes and clouds of any kind."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ShapeError, one_of, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .anisotropic import anisotropic_laplacian
from .checks import REPAIR, refuse_degenerate, refuse_unreferenced
from .graph import graph_laplacian
from .local_triangulation import local_triangles
from .operator import Laplacian
from .sparse import csr

KINDS = ("robust", "cotangent", "delaunay", "graph", "anisotropic")
_OPTIONS = {"graph": ("weights", "bandwidth", "mass"), "anisotropic": ("alpha", "angle", "directions")}


def laplacian(
    shape: Mesh | PointCloud, kind: str = "robust", *, mollify_factor: float = 1e-5, n_neighbors: int = 30, **options: Any
) -> Laplacian:
    """Stiffness and lumped mass of a mesh or point cloud: ``f^T S f`` is the integral of ``|grad f|^2``.

    Parameters
    ----------
    shape : ``Mesh`` or ``PointCloud`` (three dimensions).
    kind : ``"robust"`` takes any mesh, non-manifold or with slivers and degenerate faces: edge lengths
        mollified, tufted cover, intrinsic Delaunay flips (weights never below ``-1e-6``); for a cloud, local
        triangulations. Not differentiable. ``"cotangent"`` takes meshes without degenerate faces:
        ``S_ij = -(cot a + cot b) / 2``, by our own kernel, on the mesh's device, differentiable once in the vertices.
        ``"delaunay"`` takes oriented manifold meshes without degenerate faces: the cotangent form after
        intrinsic Delaunay flips inside, boundary kept; not differentiable.
        ``"graph"`` takes meshes and clouds in any dimension, see :func:`graph_laplacian`; ``"anisotropic"``
        takes meshes, see :func:`anisotropic_laplacian`.
    mollify_factor : edge lengthening of ``"robust"``, at least 0, relative to the mean edge length.
    n_neighbors : neighbours of each point in a cloud's local triangulation, at least 3, or in its graph.
    options : of ``"graph"`` (``weights``, ``bandwidth``, ``mass``) and ``"anisotropic"`` (``alpha``, ``angle``, ``directions``).

    Returns
    -------
    Laplacian in the float type and on the device of the shape (``"robust"`` and ``"delaunay"`` flip in float64
    on the CPU). The mass is a third of the faces' areas at each vertex: of the given faces for
    ``"cotangent"``, of the flipped ones else; units of length squared. The stiffness has no unit.

    Raises
    ------
    ArgumentError : unknown kind, option of another kind; another than ``"robust"`` or ``"graph"`` of a cloud;
        ``"robust"``, ``"delaunay"`` or ``"anisotropic"`` of vertices that require gradients.
    ShapeError : no faces or fewer points than neighbours, vertices that no face uses (their mass would be
        zero), points that span no triangle with their neighbours, or, but for ``"robust"``, faces of zero area.

    Cost at 200k vertices, one thread: about 0.1 s (cotangent), 0.3 s (robust), 1 s (robust, cloud).
    Source: Pinkall and Polthier 1993; Sharp and Crane 2020, "A Laplacian for Nonmanifold Triangle Meshes". For clouds the
    triangles of one place are glued apart, not to each other as there: see docs/concepts/laplacian.md.
    """
    one_of("kind", kind, KINDS)
    if not (math.isfinite(mollify_factor) and mollify_factor >= 0):
        raise ArgumentError(problem("mollify_factor", "a finite number of at least 0", mollify_factor))
    known = _OPTIONS.get(kind, ())
    if strange := options.keys() - known:
        raise ArgumentError(problem("options", f"those of {kind!r}: {', '.join(known) or 'none'}", ", ".join(sorted(strange))))
    if isinstance(shape, Mesh):
        refuse_unreferenced(shape)
        if kind == "anisotropic":
            return anisotropic_laplacian(shape, **options)
        if kind == "graph":
            return graph_laplacian(shape, n_neighbors=n_neighbors, **options)
        if kind == "robust":
            return _robust_mesh(shape, mollify_factor)
        return _cotangent(shape) if kind == "cotangent" else _delaunay(shape)
    if not isinstance(shape, PointCloud):
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud", type(shape).__name__))
    if kind not in ("robust", "graph"):
        raise ArgumentError(problem("kind", "'robust' or 'graph' for a point cloud", repr(kind), "a cloud has no faces"))
    if kind == "graph":
        return graph_laplacian(shape, n_neighbors=n_neighbors, **options)
    return _robust_cloud(shape, mollify_factor, n_neighbors)


def _cotangent(mesh: Mesh) -> Laplacian:
    cotangents, areas = ops.cotangent(mesh.vertices, mesh.faces)
    refuse_degenerate(mesh, cotangents, "shape", f"use kind='robust', or {REPAIR}")
    adjacency = ops.mesh_adjacency(mesh.faces, mesh.n_points)
    values, mass = ops.assemble_stiffness(cotangents, areas, mesh.faces, adjacency)
    return Laplacian(csr(adjacency.crow, adjacency.col, values), mass, "cotangent")


def _robust_mesh(mesh: Mesh, mollify_factor: float) -> Laplacian:
    found = ops.robust_stiffness(_plain(mesh.vertices), mesh.faces, mollify_factor=mollify_factor)
    return _checked(*found, "robust")


def _delaunay(mesh: Mesh) -> Laplacian:
    try:
        found = ops.robust_stiffness(_plain(mesh.vertices), mesh.faces, mollify_factor=0, tufted=False)
    except RuntimeError as cause:
        got = f"one that kind='delaunay' refuses ({cause})"
        raise ShapeError(problem("shape", "an oriented manifold mesh", got, "use kind='robust', which takes any mesh")) from cause
    return _checked(*found, "delaunay")


def _robust_cloud(cloud: PointCloud, mollify_factor: float, n_neighbors: int) -> Laplacian:
    points, n = _plain(cloud.points), cloud.n_points
    triangles, multiplicity = local_triangles(cloud, n_neighbors)
    alone = torch.ones(n, dtype=torch.bool, device=points.device)
    alone[triangles.reshape(-1)] = False
    if alone.any():
        got = (
            f"{int(alone.sum())} of {n} points that span no triangle with their neighbours, the first is point {int(alone.long().argmax())}"
        )
        hint = "drop points that coincide or lie on a line, or raise n_neighbors"
        raise ShapeError(problem("shape", "points that sample a surface", got, hint))
    crow, col, values, mass = ops.robust_stiffness(points, triangles, multiplicity, mollify_factor=mollify_factor)
    return _checked(crow, col, values / 3, mass / 3, "robust")  # each triangle is seen from its three corners


def _plain(points: Tensor) -> Tensor:
    if points.requires_grad:
        raise ArgumentError(problem("kind", "'cotangent' where the vertices require gradients", "'robust'", "or pass detached vertices"))
    return points


def _checked(crow: Tensor, col: Tensor, values: Tensor, mass: Tensor, kind: str) -> Laplacian:
    broken = ~(mass > 0)
    if broken.any() or not torch.isfinite(values).all():
        got = f"{int(broken.sum())} vertices without area" if broken.any() else "triangles without area"
        raise ShapeError(problem("shape", "a surface with area at every vertex", got, "see the shape's report and repair it"))
    return Laplacian(csr(crow, col, values), mass, kind)
