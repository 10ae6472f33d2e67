"""The constructions of a Laplacian: cotangent, intrinsic Delaunay, and the robust ones for meshes and clouds of any kind."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ShapeError, one_of, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .operator import Laplacian

KINDS = ("robust", "cotangent", "delaunay")


def laplacian(shape: Mesh | PointCloud, kind: str = "robust", *, mollify_factor: float = 1e-5, n_neighbors: int = 30) -> Laplacian:
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
    mollify_factor : edge lengthening of ``"robust"``, at least 0, relative to the mean edge length.
    n_neighbors : neighbours of each point in a cloud's local triangulation, at least 3.

    Returns
    -------
    Laplacian in the float type and on the device of the shape (``"robust"`` and ``"delaunay"`` flip in float64
    on the CPU). The mass is a third of the faces' areas at each vertex: of the given faces for
    ``"cotangent"``, of the flipped ones else; units of length squared. The stiffness has no unit.

    Raises
    ------
    ArgumentError : unknown kind; another than ``"robust"`` of a cloud; flips of vertices that require gradients.
    ShapeError : no faces or fewer points than neighbours, vertices that no face uses (their mass would be
        zero), points that span no triangle with their neighbours, or, but for ``"robust"``, faces of zero area.

    Cost at 200k vertices, one thread: about 0.1 s (cotangent), 0.2 s (robust), 4 s (robust, cloud: most of it the neighbours).
    Source: Pinkall and Polthier 1993; Sharp and Crane 2020, "A Laplacian for Nonmanifold Triangle Meshes". For clouds the
    triangles of one place are glued apart, not to each other as there: see docs/concepts/laplacian.md.
    """
    one_of("kind", kind, KINDS)
    if not (math.isfinite(mollify_factor) and mollify_factor >= 0):
        raise ArgumentError(problem("mollify_factor", "a finite number of at least 0", mollify_factor))
    if isinstance(shape, Mesh):
        _refuse_unreferenced(shape)
        if kind == "robust":
            return _robust_mesh(shape, mollify_factor)
        return _cotangent(shape) if kind == "cotangent" else _delaunay(shape)
    if not isinstance(shape, PointCloud):
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud", type(shape).__name__))
    if kind != "robust":
        raise ArgumentError(problem("kind", "'robust' for a point cloud", repr(kind), "a cloud has no faces"))
    return _robust_cloud(shape, mollify_factor, n_neighbors)


def _refuse_unreferenced(mesh: Mesh) -> None:
    used = torch.zeros(mesh.n_points, dtype=torch.bool, device=mesh.faces.device)
    used[mesh.faces.reshape(-1)] = True
    missing = int((~used).sum())
    if missing or not mesh.n_points:
        drop = "drop them with geospec.repair(shape, steps=('unreferenced',)) or --repair unreferenced"
        hint = drop if len(mesh.faces) else "points without faces are a PointCloud"
        raise ShapeError(problem("shape", "a face at every vertex", f"{missing} of {mesh.n_points} vertices in no face", hint))


def _cotangent(mesh: Mesh) -> Laplacian:
    cotangents, areas = ops.cotangent(mesh.vertices, mesh.faces)
    broken = ~torch.isfinite(cotangents).all(dim=1)
    if broken.any():
        first = int(broken.long().argmax())
        raise ShapeError(
            problem(
                "shape",
                "faces of positive area",
                f"{int(broken.sum())} degenerate faces, the first is face {first} with vertices {mesh.faces[first].tolist()}",
                "use kind='robust', or geospec.repair(shape, steps=('degenerate-faces',))",
            )
        )
    adjacency = ops.mesh_adjacency(mesh.faces, mesh.n_points)
    values, mass = ops.assemble_stiffness(cotangents, areas, mesh.faces, adjacency)
    return Laplacian(_csr(adjacency.crow, adjacency.col, values), mass, "cotangent")


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
    if points.shape[1] != 3:
        raise ShapeError(problem("shape", "points in three dimensions", f"{points.shape[1]}"))
    if n_neighbors < 3:
        raise ArgumentError(problem("n_neighbors", "at least 3", n_neighbors))
    if n <= n_neighbors:
        raise ShapeError(problem("shape", f"more than n_neighbors = {n_neighbors} points", n, "lower n_neighbors"))
    triangles, multiplicity = ops.local_triangles(points, _neighbours(points, n_neighbors + 1))
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


def _neighbours(points: Tensor, k: int) -> Tensor:
    """The ``k`` nearest points of each, itself among them unless more share its place, ``(n, k)`` int64."""
    from scipy.spatial import cKDTree

    places = points.double().cpu().numpy()
    return torch.from_numpy(cKDTree(places).query(places, k, workers=-1)[1]).to(points.device)


def _plain(points: Tensor) -> Tensor:
    if points.requires_grad:
        raise ArgumentError(problem("kind", "'cotangent' where the vertices require gradients", "'robust'", "or pass detached vertices"))
    return points


def _checked(crow: Tensor, col: Tensor, values: Tensor, mass: Tensor, kind: str) -> Laplacian:
    broken = ~(mass > 0)
    if broken.any() or not torch.isfinite(values).all():
        got = f"{int(broken.sum())} vertices without area" if broken.any() else "triangles without area"
        raise ShapeError(problem("shape", "a surface with area at every vertex", got, "see the shape's report and repair it"))
    return Laplacian(_csr(crow, col, values), mass, kind)


def _csr(crow: Tensor, col: Tensor, values: Tensor) -> Tensor:
    n = len(crow) - 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # said once a process, nothing to act on
        return torch.sparse_csr_tensor(crow, col, values, size=(n, n), check_invariants=True)
