"""Closed asymmetric surfaces with known correspondence, and their bases made without geospec's own solvers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geospec.bases.base import SampledBasis
from geospec.shapes.mesh import Mesh

CENTRES = np.array([[1.0, 0.2, 0.1], [-0.5, 0.9, 0.3], [-0.3, -0.6, 0.8], [0.2, 0.4, -1.0], [0.6, -0.8, -0.2]])
HEIGHTS = np.array([1.1, 0.8, 0.6, 0.5, -0.35])


def directions(n: int, turn: float = 0.0) -> np.ndarray:
    """``n`` nearly even unit vectors (Fibonacci spiral), started at another longitude by ``turn``."""
    i = np.arange(n) + 0.5
    z, longitude = 1 - 2 * i / n, np.pi * (1 + 5**0.5) * i + turn
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(longitude), r * np.sin(longitude), z], axis=1)


def blob(n: int, turn: float = 0.0) -> tuple[Mesh, np.ndarray]:
    """A sphere with four bumps and a dent, of unit area, sampled at ``n`` directions; the directions too."""
    from scipy.spatial import ConvexHull

    unit = directions(n, turn)
    faces = ConvexHull(unit).simplices
    a, b, c = (unit[faces[:, i]] for i in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    faces[inward] = faces[inward][:, ::-1]
    centres = CENTRES / np.linalg.norm(CENTRES, axis=1, keepdims=True)
    radius = 1 + np.exp((unit @ centres.T - 1) / 0.12) @ HEIGHTS
    mesh = Mesh(torch.as_tensor(unit * radius[:, None]), torch.as_tensor(faces.astype(np.int64)))
    return Mesh(mesh.vertices / mesh.area.sqrt(), mesh.faces), unit


def basis_of(mesh: Mesh, k: int) -> SampledBasis:
    import robust_laplacian
    import scipy.sparse.linalg

    stiffness, mass = robust_laplacian.mesh_laplacian(mesh.vertices.numpy(), mesh.faces.numpy())
    values, modes = scipy.sparse.linalg.eigsh(stiffness, k, mass, sigma=-1e-3, v0=np.ones(mesh.n_points))
    return SampledBasis(torch.as_tensor(modes), torch.as_tensor(mass.diagonal()), torch.as_tensor(values.clip(min=0)))


class Pair:
    """Two samplings of one surface: shapes, bases, and for each target vertex the nearest source vertex."""

    def __init__(self, n_source: int, n_target: int, k: int) -> None:
        self.source, u = blob(n_source)
        self.target, v = blob(n_target, turn=0.7)
        self.source_basis, self.target_basis = basis_of(self.source, k), basis_of(self.target, k)
        self.truth = torch.as_tensor(np.argmax(v @ u.T, axis=1))
        self.reverse_truth = torch.as_tensor(np.argmax(u @ v.T, axis=1))

    def error(self, target_to_source: torch.Tensor) -> float:
        """Mean Euclidean distance to the true image, of a surface of unit area, x 100."""
        return 100 * float((self.source.vertices[target_to_source] - self.source.vertices[self.truth]).norm(dim=1).mean())


@pytest.fixture(scope="session")
def pair() -> Pair:
    return Pair(700, 900, 60)


@pytest.fixture(scope="session")
def pair2000() -> Pair:
    return Pair(2000, 2100, 60)
