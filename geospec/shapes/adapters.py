"""To and from the mesh classes of other libraries, each imported when it is asked for. Order and number of vertices stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ArgumentError, problem, require_package
from .cloud import PointCloud
from .mesh import Mesh


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array))  # a copy: the other library keeps its own


def _wrong(name: str, wanted: str, value: object) -> ArgumentError:
    return ArgumentError(problem(name, wanted, f"{type(value).__module__}.{type(value).__name__}"))


def to_trimesh(shape: Mesh | PointCloud) -> Any:
    """A ``trimesh.Trimesh`` or ``trimesh.PointCloud``, unprocessed: nothing merged, nothing reordered."""
    trimesh = require_package("trimesh", "to_trimesh", "trimesh")
    if isinstance(shape, Mesh):
        return trimesh.Trimesh(_array(shape.vertices), _array(shape.faces), process=False)
    if isinstance(shape, PointCloud):
        return trimesh.PointCloud(_array(shape.points))
    raise _wrong("shape", "a Mesh or a PointCloud", shape)


def from_trimesh(shape: Any) -> Mesh | PointCloud:
    """From a ``trimesh.Trimesh`` or ``trimesh.PointCloud``; float64, as trimesh holds them."""
    trimesh = require_package("trimesh", "from_trimesh", "trimesh")
    if isinstance(shape, trimesh.Trimesh):
        return Mesh(_tensor(shape.vertices), _tensor(shape.faces))
    if isinstance(shape, trimesh.PointCloud):
        return PointCloud(_tensor(shape.vertices))
    raise _wrong("shape", "a trimesh.Trimesh or trimesh.PointCloud", shape)


def require_open3d(purpose: str) -> Any:
    """Import open3d, or say what it needs."""
    return require_package("open3d", f"{purpose} (besides its wheel, open3d needs the system's libusb-1.0)", "geospec[open3d]")


def to_open3d(shape: Mesh | PointCloud) -> Any:
    """An ``open3d.geometry.TriangleMesh`` or ``PointCloud`` (float64), with the cloud's normals."""
    o3d = require_open3d("to_open3d")
    if isinstance(shape, Mesh):
        vertices = o3d.utility.Vector3dVector(_array(shape.vertices).astype(np.float64))
        return o3d.geometry.TriangleMesh(vertices, o3d.utility.Vector3iVector(_array(shape.faces).astype(np.int32)))
    if not isinstance(shape, PointCloud):
        raise _wrong("shape", "a Mesh or a PointCloud", shape)
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(_array(shape.points).astype(np.float64)))
    if shape.normals is not None:
        cloud.normals = o3d.utility.Vector3dVector(_array(shape.normals).astype(np.float64))
    return cloud


def from_open3d(shape: Any) -> Mesh | PointCloud:
    """From an ``open3d.geometry.TriangleMesh`` or ``PointCloud``; float64. A mesh without triangles becomes a cloud."""
    o3d = require_open3d("from_open3d")
    if isinstance(shape, o3d.geometry.TriangleMesh):
        vertices, faces = _tensor(shape.vertices), _tensor(shape.triangles)
        return Mesh(vertices, faces) if len(faces) else PointCloud(vertices)
    if isinstance(shape, o3d.geometry.PointCloud):
        return PointCloud(_tensor(shape.points), _tensor(shape.normals) if shape.has_normals() else None)
    raise _wrong("shape", "an open3d.geometry.TriangleMesh or PointCloud", shape)


def to_pytorch3d(*shapes: Mesh | PointCloud) -> Any:
    """One batch, ``pytorch3d.structures.Meshes`` or ``Pointclouds``, of shapes of one kind.

    Tensors are handed on as they are: device, float type and gradients stay.
    """
    if not shapes:
        raise ArgumentError(problem("shapes", "at least one shape", "none"))
    structures = require_package("pytorch3d.structures", "to_pytorch3d", "pytorch3d")
    meshes = [shape for shape in shapes if isinstance(shape, Mesh)]
    clouds = [shape for shape in shapes if isinstance(shape, PointCloud)]
    if len(meshes) == len(shapes):
        return structures.Meshes(verts=[mesh.vertices for mesh in meshes], faces=[mesh.faces for mesh in meshes])
    if len(clouds) < len(shapes):
        raise ArgumentError(problem("shapes", "meshes only or clouds only", ", ".join(type(shape).__name__ for shape in shapes)))
    normals = [cloud.normals for cloud in clouds if cloud.normals is not None]
    if 0 < len(normals) < len(clouds):
        raise ArgumentError(problem("shapes", "normals on all clouds or on none", f"{len(normals)} of {len(clouds)}"))
    return structures.Pointclouds(points=[cloud.points for cloud in clouds], normals=normals or None)


def from_pytorch3d(batch: Any) -> list[Mesh] | list[PointCloud]:
    """The shapes of a ``pytorch3d.structures.Meshes`` or ``Pointclouds``, one each; tensors as they are, with gradients."""
    structures = require_package("pytorch3d.structures", "from_pytorch3d", "pytorch3d")
    if isinstance(batch, structures.Meshes):
        return [Mesh(vertices, faces) for vertices, faces in zip(batch.verts_list(), batch.faces_list(), strict=True)]
    if isinstance(batch, structures.Pointclouds):
        normals = batch.normals_list() or [None] * len(batch)
        return [PointCloud(points, normal) for points, normal in zip(batch.points_list(), normals, strict=True)]
    raise _wrong("batch", "a pytorch3d Meshes or Pointclouds", batch)
