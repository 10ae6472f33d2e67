"""Samples: spread by area, kept apart, the same for the same seed."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.stats import chisquare, kstest
from shapes.solids import disk, grid, mesh, sphere, torus

from geospec.errors import ArgumentError, ShapeError
from geospec.shapes import Mesh, sample_surface

# Faces of very different area, and one of none.
UNEVEN = mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -9, 0], [3, 0, 0], [2, 0, 0]], [[0, 1, 2], [0, 4, 5], [0, 3, 1], [4, 1, 2]])


@pytest.mark.parametrize("method", ["uniform", "poisson-disk"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_lie_where_they_say(method, dtype):
    shape = torus().to(dtype=dtype)
    sample = sample_surface(shape, 200, method=method, seed=3)
    assert sample.cloud.points.dtype == sample.barycentric.dtype == dtype
    assert sample.cloud.points.shape == (200, 3)
    assert (sample.barycentric >= 0).all()
    assert sample.barycentric.sum(dim=1).tolist() == pytest.approx([1] * 200, abs=1e-6)
    assert torch.equal(sample.corners, shape.faces[sample.face])
    assert torch.allclose(sample.interpolate(shape.vertices), sample.cloud.points)
    assert sample.interpolate(shape.vertices[:, 0]).shape == (200,)
    assert torch.equal(sample.cloud.normals, shape.face_normals[sample.face])


def test_faces_are_drawn_by_area():
    sample = sample_surface(UNEVEN, 40000, seed=1)
    drawn = torch.bincount(sample.face, minlength=4).numpy()
    assert drawn[1] == 0
    expected = UNEVEN.face_areas.numpy() / float(UNEVEN.area) * 40000
    assert chisquare(drawn[[0, 2, 3]], expected[[0, 2, 3]]).pvalue > 1e-3
    # On a sphere each coordinate of a uniform point is uniform (Archimedes).
    ball = sample_surface(sphere(5), 20000, seed=2).cloud.points
    for axis in range(3):
        assert kstest(ball[:, axis].numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3


def test_a_triangle_is_filled_evenly():
    barycentric = sample_surface(mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]), 20000, seed=5).barycentric
    for corner in range(3):  # the distance from a side has density 2 (1 - t)
        assert kstest(barycentric[:, corner].numpy(), lambda t: 1 - (1 - t) ** 2).pvalue > 1e-3


@pytest.mark.parametrize(
    ("shape", "n"), [(disk(4, 5), 800), (sphere(4), 1000), (torus(), 3000), (sphere(3), 20), (sphere(2), 2), (disk(), 1)]
)
def test_poisson_disks_keep_their_distance_and_leave_no_hole(shape, n):
    sample = sample_surface(shape, n, method="poisson-disk", seed=4)
    tree = cKDTree(sample.cloud.points.numpy())
    assert len(sample.face) == n
    assert sample.radius > 0
    assert len(tree.query_pairs(sample.radius * (1 - 1e-9))) == 0
    if n < 100:
        return
    # Against the densest packing there is, hexagonal: random maximal sets reach about 0.75 of its distance.
    hexagonal = np.sqrt(2 * float(shape.area) / (np.sqrt(3) * n))
    assert 0.68 < sample.radius / hexagonal < 0.85
    # Near-maximal: hardly a place is left for another dart, and none for one half as large again.
    reach = tree.query(sample_surface(shape, 20000, seed=9).cloud.points.numpy())[0]
    assert (reach > sample.radius).mean() < 0.02
    assert reach.max() < 1.5 * sample.radius


def test_poisson_disks_are_evenly_spread():
    """Counts in equal squares vary far less than those of independent points, and none is favoured."""
    shape = mesh(disk(2, 2).vertices, grid(2, 2))
    counts = {}
    for method in ("uniform", "poisson-disk"):
        cell = (sample_surface(shape, 3200, method=method, seed=8).cloud.points[:, :2] * 8).long().clamp(max=7)
        counts[method] = torch.bincount(cell[:, 0] * 8 + cell[:, 1], minlength=64).double()
    assert counts["poisson-disk"].var() < counts["uniform"].var() / 3
    inner = counts["poisson-disk"].reshape(8, 8)
    # Borders hold a few more (nothing pushes from beyond): inner squares are compared.
    assert (inner[1:-1, 1:-1] - inner[1:-1, 1:-1].mean()).abs().max() < 12


def test_same_seed_same_points():
    for method in ("uniform", "poisson-disk"):
        one, two = (sample_surface(torus(), 300, method=method, seed=11).cloud.points for _ in range(2))
        assert torch.equal(one, two)
        assert not torch.equal(one, sample_surface(torus(), 300, method=method, seed=12).cloud.points)
    given = torch.Generator().manual_seed(11)
    assert torch.equal(one, sample_surface(torus(), 300, method="poisson-disk", generator=given).cloud.points)


def test_points_are_differentiable():
    vertices = torus().vertices.requires_grad_()
    sample = sample_surface(Mesh(vertices, torus().faces), 50, method="poisson-disk")
    sample.cloud.points.sum().backward()
    assert float(vertices.grad.sum()) == pytest.approx(150)


def test_refusals():
    with pytest.raises(ArgumentError, match="'uniform', 'poisson-disk', got 'blue'"):
        sample_surface(torus(), 5, method="blue")
    with pytest.raises(ArgumentError, match="at least 1, got 0"):
        sample_surface(torus(), 0)
    for shape in (mesh([[0, 0, 0]], []), mesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]])):
        with pytest.raises(ShapeError, match="area"):
            sample_surface(shape, 5)
