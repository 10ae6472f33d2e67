"""Mesh and PointCloud: what they hold, what they refuse, what follows from it."""

import math

import numpy as np
import pytest
import torch
from shapes.solids import cube, sphere, tetrahedron, torus

from geospec.errors import ShapeError
from geospec.shapes import Mesh, PointCloud
from geospec.testing import grid

TRIANGLE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_areas_normals_measure(dtype):
    shape = cube().to(dtype=dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    assert shape.face_areas.tolist() == pytest.approx([0.5] * 12, abs=tolerance)
    assert float(shape.area) == pytest.approx(6, abs=10 * tolerance)
    assert float(shape.measure.sum()) == pytest.approx(6, abs=10 * tolerance)
    middle = shape.vertices[shape.faces].mean(dim=1) - 0.5
    assert ((shape.face_normals * middle).sum(dim=1) > 0.4).all()
    assert shape.face_areas.dtype == shape.measure.dtype == shape.face_normals.dtype == dtype
    ball = sphere(4).to(dtype=dtype)
    assert (ball.vertex_normals * ball.vertices).sum(dim=1).min() > 0.999
    assert float(ball.area) == pytest.approx(4 * math.pi, rel=4e-3)


def test_edges_are_sorted_and_each_once():
    assert tetrahedron().edges.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert len(torus().edges) == 3 * len(torus().faces) // 2


def test_sides_find_their_edges():
    mesh = grid(5, 4)
    ends, n_sides, of_side = mesh.edge_table
    sides = torch.stack([mesh.faces, mesh.faces.roll(-1, dims=1)], dim=2)  # side s runs from corner s to the next
    assert torch.equal(ends[of_side], sides.sort(dim=2).values)
    assert torch.equal(n_sides, torch.bincount(of_side.reshape(-1)))
    assert int((n_sides == 1).sum()) == 14


def test_area_is_differentiable():
    vertices = TRIANGLE.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: Mesh(v, [[0, 1, 2]]).area, (vertices,))
    assert torch.autograd.gradcheck(lambda v: Mesh(v, [[0, 1, 2]]).vertex_normals.sum(), (vertices,))


def test_arrays_lists_and_odd_types_are_taken():
    shape = Mesh(np.eye(3, dtype=np.float64), np.array([[0, 1, 2]], np.uint16))
    assert (shape.vertices.dtype, shape.faces.dtype) == (torch.float64, torch.int64)
    assert Mesh([[0, 0, 0]], []).faces.shape == (0, 3)
    big_endian = Mesh(np.eye(3, dtype=">f8"), np.array([[0, 1, 2]], ">i4"))
    assert torch.equal(big_endian.vertices, torch.eye(3, dtype=torch.float64))
    assert big_endian.faces.tolist() == [[0, 1, 2]]
    assert PointCloud(np.zeros((2, 3), np.float16)).points.dtype == torch.float32


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (torch.zeros(3, 2), [[0, 1, 2]], r"vertices: wanted shape \(n, 3\), got \(3, 2\)"),
        (TRIANGLE, [[0, 1, 3]], r"faces: wanted indices in \[0, 3\), got 0\.\.3"),
        (TRIANGLE, [[0, 1, -1]], r"got -1\.\.1"),
        (TRIANGLE, [[0, 1, 2, 0]], "triangulate polygons first"),
        (TRIANGLE, [[0.0, 1, 2]], "faces: wanted integers"),
        (TRIANGLE * float("nan"), [[0, 1, 2]], "2 of 3 rows with NaN|3 of 3 rows with NaN"),
        (torch.tensor([[0.0, 0, 0], [math.inf, 0, 0], [0, 1, 0]]), [[0, 1, 2]], "1 of 3 rows with NaN or infinity, the first at 1"),
        (TRIANGLE.to(torch.complex64), [[0, 1, 2]], "real numbers"),
        (None, [[0, 1, 2]], "vertices: wanted a tensor or array of numbers, got NoneType of object"),
        (TRIANGLE, "faces", "faces: wanted a tensor or array of numbers, got str"),
    ],
)
def test_mesh_refusals(vertices, faces, message):
    with pytest.raises(ShapeError, match=message):
        Mesh(vertices, faces)


def test_cloud():
    points = torch.rand(4, 2)
    assert PointCloud(points).measure.tolist() == [0.25] * 4
    assert PointCloud(points, weights=[1, 2, 3, 4]).to(dtype=torch.float64).measure.tolist() == [1, 2, 3, 4]
    for options, message in [
        ({"normals": torch.rand(3, 2)}, "one per point, 4"),
        ({"weights": [1, 2, 0, 1]}, "positive"),
        ({"weights": [1]}, "4 positive"),
    ]:
        with pytest.raises(ShapeError, match=message):
            PointCloud(points, **options)
