"""Repairs, each only when asked for, with the way back to the file's vertices kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ..errors import ArgumentError, one_of, problem
from .connectivity import Connectivity
from .mesh import Mesh
from .reports import degenerate, signed_volume
from .rows import unique_rows
from .vertex_map import VertexMap


def repair(mesh: Mesh, steps: Sequence[str]) -> Mesh:
    """Apply repair steps in the order given; the result's ``vertex_map`` leads back to the file's vertices.

    Steps
    -----
    ``"duplicate-vertices"`` : vertices with exactly equal coordinates become one, the first of them.
    ``"degenerate-faces"`` : faces that name a vertex twice or have no area to speak of are dropped.
    ``"duplicate-faces"`` : of faces with the same three vertices the first stays.
    ``"unreferenced"`` : vertices of no face are dropped.
    ``"largest-component"`` : the component of largest area stays.
    ``"orientation"`` : faces are turned so that neighbours agree; a closed patch is turned outward (each alone,
        so that the inner wall of a hollow body is turned outward too), an open one as the larger part of its
        area stood. Faces keep their first corner.

    Vertices that stay keep their order and their coordinates.

    Raises
    ------
    ArgumentError : an unknown step, or not a mesh.
    """
    if not isinstance(mesh, Mesh):
        raise ArgumentError(problem("mesh", "a Mesh", type(mesh).__name__))
    if isinstance(steps, str):
        raise ArgumentError(problem("steps", "a list of steps", repr(steps), f"write ({steps!r},)"))
    for step in steps:
        one_of("steps", step, STEPS)
    for step in steps:
        mesh = _STEPS[step](mesh)
    return mesh


def _arrays(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    return mesh.vertices.detach().cpu().double().numpy(), mesh.faces.cpu().numpy()


def _with_faces(mesh: Mesh, faces: np.ndarray) -> Mesh:
    return replace(mesh, faces=torch.from_numpy(faces).to(mesh.vertices.device))


def _with_vertices(mesh: Mesh, step: VertexMap) -> Mesh:
    step = step.to(mesh.vertices.device)
    way_back = step if mesh.vertex_map is None else mesh.vertex_map.then(step)
    return Mesh(mesh.vertices[step.to_file], step.from_file[mesh.faces], way_back)


def _merge_duplicate_vertices(mesh: Mesh) -> Mesh:
    first, group = unique_rows(mesh.vertices.detach().cpu().numpy())
    return _with_vertices(mesh, VertexMap(torch.from_numpy(first), torch.from_numpy(group)))


def _drop_degenerate_faces(mesh: Mesh) -> Mesh:
    points, faces = _arrays(mesh)
    return _with_faces(mesh, faces[~degenerate(points, faces)])


def _drop_duplicate_faces(mesh: Mesh) -> Mesh:
    _, faces = _arrays(mesh)
    first, _ = unique_rows(np.sort(faces, axis=1))
    return _with_faces(mesh, faces[first])


def _drop_unreferenced(mesh: Mesh) -> Mesh:
    return _with_vertices(mesh, VertexMap.keeping(torch.unique(mesh.faces), mesh.n_points))


def _keep_largest_component(mesh: Mesh) -> Mesh:
    points, faces = _arrays(mesh)
    if len(faces) == 0:
        return mesh
    component = Connectivity(faces, len(points)).component_of_vertex
    a, b, c = points[faces.T]
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    largest = np.bincount(component[faces[:, 0]], weights=area).argmax()
    smaller = _with_faces(mesh, faces[component[faces[:, 0]] == largest])
    return _with_vertices(smaller, VertexMap.keeping(torch.from_numpy(np.flatnonzero(component == largest)), len(points)))


def _orient(mesh: Mesh) -> Mesh:
    points, faces = _arrays(mesh)
    link = Connectivity(faces, len(points))
    patch, turned = link.patches
    agreed = np.where(turned[:, None], faces[:, [0, 2, 1]], faces)
    count = int(patch.max(initial=-1)) + 1
    half_edge_patch = patch[link.half_edges // 3]
    edge_of_half_edge = np.repeat(np.arange(len(link.faces_of_edge)), link.faces_of_edge)
    open_patch = np.zeros(count, bool)
    open_patch[half_edge_patch[link.faces_of_edge[edge_of_half_edge] != 2]] = True
    a, b, c = points[faces.T]
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    mostly_turned = np.bincount(patch, weights=np.where(turned, area, -area), minlength=count) > 0
    inward = signed_volume(points, agreed, patch) < 0
    flip = np.where(open_patch, mostly_turned, inward)[patch] if count else np.zeros(0, bool)
    return _with_faces(mesh, np.where(flip[:, None], agreed[:, [0, 2, 1]], agreed))


_STEPS = {
    "duplicate-vertices": _merge_duplicate_vertices,
    "degenerate-faces": _drop_degenerate_faces,
    "duplicate-faces": _drop_duplicate_faces,
    "unreferenced": _drop_unreferenced,
    "largest-component": _keep_largest_component,
    "orientation": _orient,
}
STEPS = tuple(_STEPS)
