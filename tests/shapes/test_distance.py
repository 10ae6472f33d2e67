"""Distance fields of meshes and clouds, the grids they stand on, and their files."""

import itertools

import numpy as np
import pytest
import torch
from shapes.solids import cube, disk, sphere

import geospec
from geospec.errors import ArgumentError, FileFormatError, ShapeError
from geospec.shapes import DistanceField, Grid, Mesh, PointCloud, distance_field


def spiral(n: int, radius: float = 0.7) -> PointCloud:
    """Points spread evenly on a sphere."""
    i = torch.arange(n, dtype=torch.float64) + 0.5
    z, angle = 1 - 2 * i / n, torch.pi * (1 + 5**0.5) * i
    ring = (1 - z.square()).sqrt()
    normals = torch.stack([ring * angle.cos(), ring * angle.sin(), z], dim=1)
    return PointCloud(radius * normals, normals)


def test_grid_around_a_shape():
    grid = Grid.around(cube(), (4, 5, 8), fill=0.8)
    assert grid.shape == (4, 5, 8)
    np.testing.assert_allclose([grid.lower, grid.upper], [[-0.125] * 3, [1.125] * 3])
    np.testing.assert_allclose(grid.spacing, [1.25 / 8, 1.25 / 5, 1.25 / 4])
    assert grid.dtype == torch.float64
    first = grid.points.reshape(4, 5, 8, 3)[1, 2, 3]
    np.testing.assert_allclose(first, [-0.125 + 3.5 * 1.25 / 8, 0.5, -0.125 + 1.5 * 1.25 / 4])
    torch.testing.assert_close(grid.to_index(first), torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))


def test_a_field_is_that_of_its_grid():
    """A field scales with its shape, and stands where the grid says."""
    shape = sphere(3)
    grid = Grid.around(shape, 20)
    small = distance_field(shape, grid, 0.3)
    moved = Mesh(100 * shape.vertices + 7, shape.faces)
    large = distance_field(moved, Grid.around(moved, 20), 30)
    torch.testing.assert_close(large.values, 100 * small.values)
    assert large.truncation == 30
    expected = (grid.points.norm(dim=1) - 1).clamp(-0.3, 0.3).reshape(grid.shape)
    assert (small.values - expected).abs().max() < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_are_kept(dtype):
    for shape in (sphere(1).to(dtype=dtype), spiral(100).to(dtype=dtype)):
        field = distance_field(shape, Grid.box(-1.0, 1.0, 9), 0.2)
        assert field.values.dtype == field.grid.dtype == dtype


def test_a_field_is_differentiable_in_the_vertices():
    vertices = sphere(1).vertices.requires_grad_()
    distance_field(Mesh(vertices, sphere(1).faces), Grid.box(-1.3, 1.3, 8), 0.3).values.sum().backward()
    assert (vertices.grad * vertices.detach()).sum() < -10


def test_clouds_converge_with_the_square_of_their_spacing():
    grid = Grid.box(-1.0, 1.0, 32)
    exact = (grid.to(dtype=torch.float64).points.norm(dim=1) - 0.7).clamp(-0.15, 0.15).reshape(grid.shape)
    errors = [(distance_field(spiral(n), grid, 0.15).values - exact).abs().max() for n in (1000, 4000, 16000)]
    assert errors[2] < 5e-4
    for coarse, fine in itertools.pairwise(errors):
        assert 3.4 < coarse / fine < 4.6


def test_clouds_close_gaps():
    """Half a ball, cut across: the winding number closes it by a sheet over the rim, in both ways of the normals' signs."""
    cloud = spiral(4000)
    half = cloud.points[:, 2] < 0
    grid = Grid.box(-1.0, 1.0, 32)
    x = grid.points
    for turn in (1, -1):
        values = distance_field(PointCloud(cloud.points[half], turn * cloud.normals[half]), grid, 0.1).values.reshape(-1)
        deep, above = (x.norm(dim=1) < 0.55) & (x[:, 2] < -0.15), x[:, 2] > 0.4
        assert (values[deep] < 0).all()
        assert (values[above] > 0).all()


def test_files(tmp_path):
    field = distance_field(sphere(1).to(dtype=torch.float32), Grid.box(-1.5, 1.5, (4, 5, 6)), 0.3)
    field.save(tmp_path / "field.npz")
    again = DistanceField.load(tmp_path / "field.npz")
    assert torch.equal(again.values, field.values)
    assert (again.grid, again.truncation) == (again.grid, field.truncation)
    assert (again.grid.shape, again.grid.lower, again.grid.spacing) == (field.grid.shape, field.grid.lower, field.grid.spacing)
    assert [path.name for path in tmp_path.iterdir()] == ["field.npz"]


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "field.npz"
    distance_field(sphere(1), Grid.box(-1.5, 1.5, 8), 0.3).save(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:100] + b"\0\0\0\0" + whole[104:], b"", b"not an archive"):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"field.npz: wanted a distance field saved by geospec, version 1"):
            DistanceField.load(path)
    np.savez(path, values=np.zeros((2, 2, 2)), numbers=np.zeros(3), version=1)
    with pytest.raises(FileFormatError, match="wanted a distance field"):
        DistanceField.load(path)
    np.savez(path, values=np.zeros((2, 2, 2)), numbers=np.ones(7), version=2)
    with pytest.raises(FileFormatError, match="got version 2"):
        DistanceField.load(path)
    with pytest.raises(FileNotFoundError):
        DistanceField.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"values": np.zeros((2, 2, 2), ">f4")},
        {"values": np.zeros((2, 2, 2), np.float16)},
        {"values": np.zeros((2, 2, 2), np.longdouble)},
        {"values": np.zeros((0, 2, 2))},
        {"numbers": np.array(["1"] * 7)},
        {"numbers": np.full(7, np.nan)},
        {"numbers": np.array([1.0] * 6 + [-1.0])},
        {"numbers": np.array([1.0] * 6 + [np.inf])},
    ],
)
def test_files_of_other_kinds_are_refused(tmp_path, change):
    path = tmp_path / "field.npz"
    np.savez(path, **{"values": np.zeros((2, 2, 2)), "numbers": np.ones(7), "version": 1, **change})
    with pytest.raises(FileFormatError, match=r"field.npz: wanted a distance field saved by geospec, version 1"):
        DistanceField.load(path)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: distance_field(Mesh(np.zeros((3, 3)), np.zeros((0, 3), np.int64)), Grid.box(-1, 1, 4), 0.1), ShapeError, "one face"),
        (lambda: distance_field(cube().vertices, Grid.box(-1, 1, 4), 0.1), ArgumentError, "shape: wanted a Mesh or a PointCloud"),
        (lambda: distance_field(cube(), Grid.box(-1, 1, 4), -0.1), ArgumentError, "truncation: wanted a positive"),
        (lambda: distance_field(cube(), Grid.box(-1, 1, 4), float("nan")), ArgumentError, "truncation: wanted a positive"),
        (lambda: distance_field(cube(), Grid.box(-1, 1, 4), 0.1, sign="in"), ArgumentError, "sign: wanted one of"),
        (lambda: distance_field(spiral(50), Grid.box(-1, 1, 4), 0.1, sign="parity"), ArgumentError, "sign: wanted 'auto' for a cloud"),
        (lambda: distance_field(spiral(12), Grid.box(-1, 1, 4), 0.1), ShapeError, "shape: wanted more than 12 points, got 12"),
        (lambda: distance_field(PointCloud(np.zeros((20, 3))), Grid.box(-1, 1, 4), 0.1), ShapeError, "wanted a cloud with normals"),
        (lambda: distance_field(PointCloud(np.zeros((20, 2))), Grid.box(-1, 1, 4), 0.1), ShapeError, "three dimensions"),
        (lambda: Mesh(np.full((3, 3), np.nan), [[0, 1, 2]]), ShapeError, "vertices: wanted finite"),
        (lambda: Grid.around(cube(), 0), ShapeError, "resolution: wanted a positive whole number"),
        (lambda: Grid.around(cube(), 2.5), ShapeError, "resolution: wanted a positive whole number"),
        (lambda: Grid.around(cube(), 8, fill=0), ArgumentError, "fill: wanted a part"),
        (lambda: Grid.around(PointCloud(np.ones((5, 3))), 8), ShapeError, "not all one"),
        (lambda: Grid.around(PointCloud(np.ones((0, 3))), 8), ShapeError, "at least one point"),
        (lambda: Grid.around(PointCloud(np.ones((5, 2))), 8), ShapeError, "three dimensions"),
        (lambda: Grid((4, 4, 0), (0, 0, 0), (1, 1, 1)), ShapeError, "shape: wanted a positive whole number"),
        (lambda: Grid((4, 4, 4), (0, 0, 0), (1, -1, 1)), ShapeError, "spacing: wanted positive"),
        (lambda: Grid((4, 4, 4), (0, np.inf, 0), 1.0), ShapeError, "lower: wanted three finite"),
        (lambda: DistanceField(torch.zeros(2, 2, 3), Grid.box(0, 1, 2), 1.0), ShapeError, "values: wanted the grid's shape"),
        (lambda: DistanceField(torch.zeros(2, 2, 2), Grid.box(0, 1, 2), np.inf), ArgumentError, "truncation: wanted a positive"),
        (lambda: DistanceField(torch.zeros(2, 2, 2), Grid.box(0, 1, 2), np.nan), ArgumentError, "truncation: wanted a positive"),
        (lambda: DistanceField(torch.zeros(2, 2, 2), Grid.box(0, 1, 2), 0.0), ArgumentError, "truncation: wanted a positive"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_surface_stands_where_the_shape_stood():
    shape = sphere(4)
    field = distance_field(Mesh(2 * shape.vertices + torch.tensor([1.0, 2.0, 3.0]), shape.faces), Grid.box(-2.0, 6.0, 40), 0.9)
    again = field.surface()
    distance = (again.vertices - torch.tensor([1.0, 2.0, 3.0])).norm(dim=1)
    assert (distance - 2).abs().max() < 0.02
    corners = again.vertices[again.faces].double()
    volume = torch.linalg.det(corners - torch.tensor([1.0, 2.0, 3.0])).sum() / 6
    assert abs(volume - 4 / 3 * np.pi * 8) < 0.6


def test_sheets_have_no_inside():
    field = distance_field(disk(), Grid.around(disk(), 12), 0.4)
    assert (field.values >= 0).all()
    assert geospec.shapes.DistanceField is DistanceField
