"""Finer and coarser meshes of the same surface."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, one_of, problem, require_package
from .mesh import Mesh
from .vertex_map import VertexMap


def subdivide(mesh: Mesh, times: int = 1, *, method: str = "midpoint") -> Mesh:
    """Cut each face into four, ``times`` times over.

    Old vertices come first and keep their order, then one vertex an edge, in the order of ``mesh.edges``; the
    faces of a face stand together. Differentiable in the vertices. The result has no ``vertex_map``: its
    vertices are no file's.

    Parameters
    ----------
    method : ``"midpoint"`` leaves the surface as it is; ``"loop"`` smooths it towards the box spline of C. Loop,
        Smooth Subdivision Surfaces Based on Triangles, 1987, with cubic B-splines along edges that do not have
        exactly two faces.
    """
    one_of("method", method, ("midpoint", "loop"))
    if times < 0:
        raise ArgumentError(problem("times", "at least 0", times))
    for _ in range(times):
        edges, count, edge_of_side = mesh.edge_table
        old, new = mesh.vertices, mesh.vertices[edges].mean(dim=1)
        if method == "loop":
            old, new = _loop_points(mesh, edges, count, edge_of_side, new)
        a, b, c = mesh.faces.T
        ab, bc, ca = (mesh.n_points + edge_of_side).T
        faces = torch.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], dim=1).reshape(-1, 3)
        mesh = Mesh(torch.cat([old, new]), faces)
    return mesh


def _loop_points(mesh: Mesh, edges: Tensor, count: Tensor, edge_of_side: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
    points, n = mesh.vertices, mesh.n_points
    inner = count == 2
    # New points: 3/8 of each end and 1/8 of each opposite corner.
    opposite = torch.zeros_like(middle).index_add(0, edge_of_side.reshape(-1), points[mesh.faces[:, [2, 0, 1]].reshape(-1)])
    new = torch.where(inner[:, None], 0.75 * middle + opposite / 8, middle)

    def around(chosen: Tensor) -> tuple[Tensor, Tensor]:
        one, other = edges[chosen].T
        total = torch.zeros_like(points).index_add(0, one, points[other]).index_add(0, other, points[one])
        return total, torch.bincount(edges[chosen].reshape(-1), minlength=n)

    total, valence = around(torch.ones_like(inner))
    crease_total, crease = around(~inner)
    degree = valence.clamp(min=1).to(points)
    beta = (5 / 8 - (3 / 8 + torch.cos(2 * math.pi / degree) / 4) ** 2) / degree
    smooth = (1 - degree * beta)[:, None] * points + beta[:, None] * total
    curve = 0.75 * points + crease_total / 8
    old = torch.where((crease == 0)[:, None], smooth, torch.where((crease == 2)[:, None], curve, points))
    return torch.where((valence == 0)[:, None], points, old), new


def decimate(mesh: Mesh, *, n_faces: int | None = None, n_vertices: int | None = None) -> Mesh:
    """Collapse edges by quadric error (M. Garland and P. Heckbert, 1997) until a target is reached, through ``fast_simplification``.

    Vertices move; ``vertex_map.from_file`` says into which vertex each old one was collapsed, and ``to_file`` names,
    for each new vertex, the nearest of the old ones it stands for. Vertices of no face are dropped. The result is
    detached from the graph of the vertices.

    Parameters
    ----------
    n_faces, n_vertices : exactly one of them. Faces may miss the target by one or two; vertices are turned into faces by
        two a collapse, which is exact on closed manifold meshes. Meshes with many boundaries or non-manifold
        edges may stop above the target.

    Raises
    ------
    MissingDependencyError : ``fast_simplification`` is not installed.
    """
    package = require_package("fast_simplification", "decimate", "geospec[decimate]")
    if (n_faces is None) == (n_vertices is None):
        raise ArgumentError(problem("n_faces, n_vertices", "exactly one of them", "both" if n_faces is not None else "neither"))
    if n_vertices is not None:
        n_faces = len(mesh.faces) - 2 * (len(torch.unique(mesh.faces)) - n_vertices)
    if n_faces is None or not 4 <= n_faces <= len(mesh.faces):
        wanted = f"a target between 4 and {len(mesh.faces)} faces"
        raise ArgumentError(problem("n_faces" if n_vertices is None else "n_vertices", wanted, n_faces))
    vertices, faces = mesh.vertices.detach().cpu().double(), mesh.faces.cpu().int()
    points, triangles, collapses = package.simplify(vertices.numpy(), faces.numpy(), target_count=n_faces, return_collapses=True)
    from_file = torch.from_numpy(package.replay_simplification(vertices.numpy(), faces.numpy(), collapses)[2]).long()
    points = torch.from_numpy(points)
    step = VertexMap(_nearest_in_cluster(vertices, points, from_file), from_file).to(mesh.vertices.device)
    way_back = step if mesh.vertex_map is None else mesh.vertex_map.then(step)
    return Mesh(points.to(mesh.vertices), torch.from_numpy(triangles).long().to(mesh.vertices.device), way_back)


def _nearest_in_cluster(old: Tensor, new: Tensor, cluster: Tensor) -> Tensor:
    """For each new point, which of the old ones in its cluster lies nearest; ``cluster`` is -1 for dropped ones."""
    kept = (cluster >= 0).nonzero()[:, 0]
    distance = (old[kept] - new[cluster[kept]]).norm(dim=1)
    by_distance = kept[distance.argsort(descending=True, stable=True)]
    nearest = torch.full((len(new),), -1, dtype=torch.int64)
    # Assignments happen in order, so the nearest, which comes last, stays.
    nearest.numpy()[cluster[by_distance].numpy()] = by_distance.numpy()
    return nearest
