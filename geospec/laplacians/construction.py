"""The constructions of a Laplacian: cotangent by our own kernels, robust ones by ``robust_laplacian``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ShapeError, one_of, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .anisotropic import anisotropic_laplacian
from .checks import REPAIR, refuse_degenerate, refuse_unreferenced
from .graph import graph_laplacian
from .operator import Laplacian
from .sparse import csr

KINDS = ("robust", "cotangent", "graph", "anisotropic")
_OPTIONS = {"graph": ("weights", "bandwidth", "mass"), "anisotropic": ("alpha", "angle", "directions")}


def laplacian(
    shape: Mesh | PointCloud, kind: str = "robust", *, mollify_factor: float = 1e-5, n_neighbors: int = 30, **options: Any
) -> Laplacian:
    """Stiffness and lumped mass of a mesh or point cloud: ``f^T S f`` is the integral of ``|grad f|^2``.

    Parameters
    ----------
    shape : ``Mesh`` or ``PointCloud`` (three dimensions).
    kind : ``"robust"`` takes any mesh, non-manifold or with slivers and degenerate faces: edge lengths
        mollified, tufted cover, intrinsic Delaunay flips (weights never negative); for a cloud, local
        triangulations. Not differentiable. ``"cotangent"`` takes meshes without degenerate faces:
        ``S_ij = -(cot a + cot b) / 2``, by our own kernel, on the mesh's device, differentiable once in the vertices.
        ``"graph"`` takes meshes and clouds in any dimension, see :func:`graph_laplacian`; ``"anisotropic"``
        takes meshes, see :func:`anisotropic_laplacian`.
    mollify_factor : edge lengthening of ``"robust"``, relative to the mean edge length.
    n_neighbors : neighbours of each point in a cloud's local triangulation, at least 3, or in its graph.
    options : of ``"graph"`` (``weights``, ``bandwidth``, ``mass``) and ``"anisotropic"`` (``alpha``, ``angle``, ``directions``).

    Returns
    -------
    Laplacian in the float type and on the device of the shape (``"robust"`` computes in float64 on the
    CPU). The mass is a third of the faces' areas at each vertex: of the given faces for
    ``"cotangent"``, of the flipped ones for ``"robust"``; units of length squared. The stiffness has no unit.

    Raises
    ------
    ArgumentError : unknown kind, option of another kind; ``"cotangent"`` or ``"anisotropic"`` of a cloud;
        ``"robust"`` or ``"anisotropic"`` of vertices that require gradients.
    ShapeError : no faces or fewer points than neighbours, vertices that no face uses (their mass would be
        zero), or, for ``"cotangent"``, faces of zero area.

    Cost at 200k vertices: about 0.1 s (cotangent), 3 s (robust), 25 s (robust, cloud).
    Source: Pinkall and Polthier 1993; Sharp and Crane 2020, "A Laplacian for Nonmanifold Triangle Meshes".
    """
    one_of("kind", kind, KINDS)
    known = _OPTIONS.get(kind, ())
    if strange := options.keys() - known:
        raise ArgumentError(problem("options", f"those of {kind!r}: {', '.join(known) or 'none'}", ", ".join(sorted(strange))))
    if isinstance(shape, Mesh):
        refuse_unreferenced(shape)
        if kind == "anisotropic":
            return anisotropic_laplacian(shape, **options)
        if kind == "graph":
            return graph_laplacian(shape, n_neighbors=n_neighbors, **options)
        return _cotangent(shape) if kind == "cotangent" else _robust_mesh(shape, mollify_factor)
    if not isinstance(shape, PointCloud):
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud", type(shape).__name__))
    if kind in ("cotangent", "anisotropic"):
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
    points = _as_numpy(mesh.vertices)
    import robust_laplacian

    stiffness, mass = robust_laplacian.mesh_laplacian(points, mesh.faces.cpu().numpy(), mollify_factor=mollify_factor)
    return _from_scipy(stiffness, mass, mesh.vertices)


def _robust_cloud(cloud: PointCloud, mollify_factor: float, n_neighbors: int) -> Laplacian:
    points = _as_numpy(cloud.points)
    if points.shape[1] != 3:
        raise ShapeError(problem("shape", "points in three dimensions", f"{points.shape[1]}"))
    if n_neighbors < 3:
        raise ArgumentError(problem("n_neighbors", "at least 3", n_neighbors))
    if len(points) <= n_neighbors:
        raise ShapeError(problem("shape", f"more than n_neighbors = {n_neighbors} points", len(points), "lower n_neighbors"))
    import robust_laplacian

    try:
        stiffness, mass = robust_laplacian.point_cloud_laplacian(points, mollify_factor=mollify_factor, n_neighbors=n_neighbors)
    except RuntimeError as cause:  # no triangulation, as of points that all coincide
        raise ShapeError(problem("shape", "points that sample a surface", f"a cloud that robust_laplacian refuses ({cause})")) from cause
    return _from_scipy(stiffness, mass, cloud.points)


def _as_numpy(points: Tensor) -> np.ndarray:
    if points.requires_grad:
        raise ArgumentError(problem("kind", "'cotangent' where the vertices require gradients", "'robust'", "or pass detached vertices"))
    return points.double().cpu().numpy()


def _from_scipy(stiffness, mass, like: Tensor) -> Laplacian:
    """SciPy's CSC read as CSR: the library fills an edge's two entries alike, so the matrix is symmetric bit for bit."""
    weights = mass.diagonal()
    if not (np.isfinite(stiffness.data).all() and (weights > 0).all()):
        got = f"{int((~(weights > 0)).sum())} vertices without area"
        raise ShapeError(problem("shape", "a surface with area at every vertex", got, "see the shape's report and repair it"))
    stiffness.sort_indices()
    crow, col = (torch.from_numpy(a.astype(np.int64)).to(like.device) for a in (stiffness.indptr, stiffness.indices))
    return Laplacian(csr(crow, col, torch.from_numpy(stiffness.data).to(like)), torch.from_numpy(weights).to(like), "robust")
