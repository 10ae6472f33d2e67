"""Sample shapes whose geometry is known in closed form. Faces are counter-clockwise seen from outside (or above)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from ..shapes.sphere import Sphere, icosphere


def grid(n: int = 10, m: int | None = None, *, width: float = 1.0, height: float = 1.0, dtype: torch.dtype = torch.float64) -> Mesh:
    """The flat rectangle ``[0, width] x [0, height]`` by ``n x m`` vertices, each cell cut along one diagonal.

    Its right angles make the cotangent Laplacian the five-point stencil. Eigenvalues tend to
    ``pi^2 ((i / width)^2 + (j / height)^2)``, ``i, j >= 0`` (Neumann) or ``>= 1`` (Dirichlet).
    Vertex ``i * m + j`` stands in column ``i``, row ``j``.
    """
    m = n if m is None else m
    x, y = torch.meshgrid(
        torch.linspace(0, width, n, dtype=torch.float64), torch.linspace(0, height, m, dtype=torch.float64), indexing="ij"
    )
    vertices = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3)
    index = torch.arange(n * m).reshape(n, m)
    a, b, c, d = (part.reshape(-1) for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    return Mesh(vertices.to(dtype), torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)]))


def torus(n: int = 24, m: int = 12, *, major: float = 1.0, minor: float = 0.4, dtype: torch.dtype = torch.float64) -> Mesh:
    """The torus around the z axis by ``n x m`` vertices: area tends to ``4 pi^2 major minor``, genus one."""
    u, v = torch.meshgrid(*(torch.arange(c, dtype=torch.float64) * (2 * math.pi / c) for c in (n, m)), indexing="ij")
    ring = major + minor * v.cos()
    vertices = torch.stack([ring * u.cos(), ring * u.sin(), minor * v.sin()], dim=-1).reshape(-1, 3)
    index = torch.arange(n * m).reshape(n, m)
    right, up, both = index.roll(-1, 0), index.roll(-1, 1), index.roll((-1, -1), (0, 1))
    a, b, c, d = (part.reshape(-1) for part in (index, right, both, up))
    return Mesh(vertices.to(dtype), torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)]))


def bumpy_sphere(level: int = 3, *, dtype: torch.dtype = torch.float64) -> Mesh:
    """A closed shape of genus zero without any symmetry: its eigenvalues are simple, its modes have a sign."""
    sphere = icosphere(level)
    x, y, z = sphere.vertices.unbind(1)
    radius = 1 + 0.2 * torch.sin(3 * x + 1) * torch.cos(4 * y) + 0.15 * torch.sin(5 * z + 2 * x - y)
    stretch = torch.tensor([1.0, 1.3, 0.8], dtype=torch.float64)
    return Mesh((sphere.vertices * radius[:, None] * stretch).to(dtype), sphere.faces)


def sphere_cloud(n: int = 1000, *, dtype: torch.dtype = torch.float64) -> PointCloud:
    """``n`` points spread evenly on the unit sphere along a golden spiral, with their normals."""
    points = Sphere.fibonacci(n, dtype=dtype).points
    return PointCloud(points, normals=points)


def disjoint_union(*meshes: Mesh) -> Mesh:
    """One mesh of several pieces, vertices end to end."""
    counts = torch.tensor([0] + [mesh.n_points for mesh in meshes]).cumsum(0)
    faces = [mesh.faces + start for mesh, start in zip(meshes, counts.tolist(), strict=False)]
    return Mesh(torch.cat([mesh.vertices for mesh in meshes]), torch.cat(faces))


def permuted(mesh: Mesh, seed: int = 0) -> tuple[Mesh, Tensor]:
    """The mesh with its vertices in another order, and the order ``(n,)``: new vertex ``i`` is old vertex ``order[i]``."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(mesh.n_points, generator=generator)
    return Mesh(mesh.vertices[order], torch.argsort(order)[mesh.faces]), order
