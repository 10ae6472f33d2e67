"""Local triangulations of clouds against potpourri3d, a brute-force search for empty circles, and SciPy's Delaunay."""

import itertools
import math

import numpy as np
import pytest
import torch

from geospec import ArgumentError, Mesh, PointCloud, ShapeError, laplacian
from geospec.laplacians.local_triangulation import local_triangles
from geospec.testing import bumpy_sphere, sphere_cloud


def flat_cloud(n, seed=0):
    plane = torch.rand(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return PointCloud(torch.cat([plane, torch.zeros(n, 1, dtype=torch.float64)], dim=1))


@pytest.mark.parametrize("cloud", [sphere_cloud(800), flat_cloud(500)], ids=["sphere", "plane"])
def test_potpourri3d_agrees(cloud):
    potpourri3d = pytest.importorskip("potpourri3d")
    theirs = potpourri3d.PointCloudLocalTriangulation(cloud.points.numpy(), False).get_local_triangulation().reshape(-1, 3)
    theirs, times = np.unique(np.sort(theirs[(theirs >= 0).all(axis=1)], axis=1), axis=0, return_counts=True)
    ours = {tuple(corners): int(n) for corners, n in zip(*(t.tolist() for t in local_triangles(cloud)), strict=True)}
    known = {tuple(corners): int(n) for corners, n in zip(theirs.tolist(), times, strict=True)}
    alike = sum(ours.get(corners) == n for corners, n in known.items())
    assert alike > 0.9 * max(len(known), len(ours))  # planes are fitted about another centre, ties are broken alike here


def test_the_plane_has_its_delaunay_triangulation():
    """With so many neighbours that each point sees enough; every triangle is found from all its corners."""
    from scipy.spatial import Delaunay

    cloud = flat_cloud(60)
    triangles, count = local_triangles(cloud, n_neighbors=59)
    expected = np.unique(np.sort(Delaunay(cloud.points[:, :2].numpy()).simplices, axis=1), axis=0)
    np.testing.assert_array_equal(triangles.numpy(), expected)
    assert (count == 3).all()


def test_circles_are_empty_and_all_empty_circles_are_found():
    cloud = flat_cloud(14, seed=3)
    points, found = cloud.points[:, :2].numpy(), set()
    for corners in itertools.combinations(range(14), 3):
        a, b, c = points[list(corners)]
        centre = np.linalg.solve(2 * np.stack([b - a, c - a]), [b @ b - a @ a, c @ c - a @ a])
        others = np.delete(points, corners, axis=0)
        if (np.linalg.norm(others - centre, axis=1) > np.linalg.norm(a - centre)).all():
            found.add(corners)
    assert {tuple(corner) for corner in local_triangles(cloud, n_neighbors=13)[0].tolist()} == found


def test_area_of_the_sphere():
    cloud = sphere_cloud(800)
    triangles, count = local_triangles(cloud)
    areas = Mesh(cloud.points, triangles).face_areas
    assert ((areas * count).sum() / 3).item() == pytest.approx(4 * math.pi, rel=5e-3)
    assert laplacian(cloud).mass.sum().item() == pytest.approx(((areas * count).sum() / 3).item(), rel=1e-6)


def test_lattices():
    """Four points on one circle: their stars agree on one diagonal."""
    x, y = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    lattice = PointCloud(torch.stack([x, y, 0 * x], dim=-1).reshape(-1, 3).double())
    triangles, count = local_triangles(lattice)
    assert ((Mesh(lattice.points, triangles).face_areas * count).sum() / 3).item() == pytest.approx(121, rel=1e-3)


def test_float32_and_devices():
    cloud = sphere_cloud(200, dtype=torch.float32)
    triangles, count = local_triangles(cloud)
    assert triangles.dtype == count.dtype == torch.int64
    assert torch.equal(triangles, local_triangles(PointCloud(cloud.points.double()))[0])


def test_refusals():
    with pytest.raises(ArgumentError, match="cloud: wanted a PointCloud"):
        local_triangles(bumpy_sphere(1))
    with pytest.raises(ArgumentError, match="n_neighbors: wanted at least 3"):
        local_triangles(sphere_cloud(50), n_neighbors=2)
    with pytest.raises(ShapeError, match="more than n_neighbors = 30 points, got 20"):
        local_triangles(sphere_cloud(20))
    with pytest.raises(ShapeError, match="three dimensions"):
        local_triangles(PointCloud(torch.rand(50, 2)))
    with pytest.raises(ShapeError, match="more than n_neighbors"):
        local_triangles(PointCloud(torch.zeros(0, 3)))
    assert len(local_triangles(PointCloud(torch.zeros(50, 3)))[0]) == 0
