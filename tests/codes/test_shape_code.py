"""Shapes and their codes: units, precision, levels of detail, packing, and shapes that are not sound."""

import pytest
import torch

import geospec
from geospec import ArgumentError, DistanceField, Grid, Mesh, PointCloud, ShapeCode, ShapeError
from geospec.codes import field_in_box, inside_iou
from geospec.codes.shape_code import half_side
from geospec.testing import icosphere


def sphere_field(grid, radius, truncation):
    axes = ((torch.arange(n) + 0.5) * s + low for n, s, low in zip(grid.shape[::-1], grid.spacing, grid.lower, strict=True))
    x, y, z = (axis.to(grid.dtype) for axis in axes)
    distance = torch.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2) - radius
    return DistanceField(distance.clamp(-truncation, truncation), grid, truncation)


def centroid(mesh):
    """Of the solid."""
    a, b, c = mesh.vertices.double()[mesh.faces].unbind(dim=1)
    volume = (a * torch.linalg.cross(b, c)).sum(dim=1, keepdim=True)
    return (volume * (a + b + c) / 4).sum(dim=0) / volume.sum()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_units_place_and_type_come_back(dtype):
    """A sphere of radius 300 about a far point: its vertices lie on it to a small part of a cell."""
    centre, unit = torch.tensor([1000.0, -2000.0, 3000.0], dtype=torch.float64), icosphere(4)
    mesh = Mesh((unit.vertices.double() * 300 + centre).to(dtype), unit.faces)
    code = geospec.encode(mesh, 64)
    decoded = code.decode()
    assert decoded.vertices.dtype == dtype
    radius = (decoded.vertices.double() - centre).norm(dim=1)
    cell = code.grid.spacing[0]
    assert abs(float(radius.mean()) - 300) < 0.02 * cell
    assert float((radius - 300).abs().max()) < 0.2 * cell
    # outwards: the volume is positive and that of the sphere
    a, b, c = (decoded.vertices.double() - centre)[decoded.faces].unbind(dim=1)
    assert float((a * torch.linalg.cross(b, c)).sum() / 6) == pytest.approx(4 / 3 * torch.pi * 300**3, rel=0.005)


def test_the_box_is_the_papers():
    """Longest side 0.9 of the box, truncation a tenth of half of it, a cube about the middle."""
    mesh = icosphere(2)
    mesh = Mesh(mesh.vertices * mesh.vertices.new_tensor([2.0, 1.0, 0.5]) + 7, mesh.faces)
    code = geospec.encode(mesh, 32)
    low, high = mesh.vertices.amin(dim=0), mesh.vertices.amax(dim=0)
    assert code.scale == pytest.approx(float(high[0] - low[0]) / 1.8, rel=1e-6)
    assert code.truncation == pytest.approx(0.1 * code.scale)
    middle = (torch.tensor(code.grid.lower) + torch.tensor(code.grid.upper)) / 2
    torch.testing.assert_close(middle, ((low + high) / 2).float(), rtol=0, atol=1e-5)
    assert code.grid.shape == (32, 32, 32)


def test_the_paper_geometry():
    field = sphere_field(Grid.box(-1, 1, 256), 0.6, 0.1)
    code = geospec.encode(field)
    assert (code.tree.levels, code.k, code.n_numbers) == (3, 16384, 1_129_528)
    assert code.pack().shape == (64, 46, 46, 46)
    assert code.saturation == pytest.approx(2.2627, abs=1e-4)
    assert float(code.code.coarse.abs().amax()) == pytest.approx(code.saturation, rel=0.06)
    assert inside_iou(field.values, code.field().values) > 0.9999


def test_all_trees_without_dropped_levels_are_the_field():
    """Nothing is lost but rounding; a field of float64 stays one."""
    grid = Grid.box((-1, -2, -1), (1, 2, 2), (30, 40, 20)).to(dtype=torch.float64)
    field = sphere_field(grid, 0.8, 0.3)
    tree = geospec.WaveletTree(grid.shape, 2, "bior6.8", drop_finest=0)
    trees = tree.filter(tree.analysis(field.values / half_side(grid)), k=10**6)
    back = ShapeCode(tree, trees, grid, 0.3).field()
    assert back.values.dtype == torch.float64
    torch.testing.assert_close(back.values, field.values, rtol=0, atol=1e-12)
    assert (back.grid.lower, back.grid.spacing, back.truncation) == (grid.lower, grid.spacing, 0.3)


def test_a_distance_field_brings_its_own_grid():
    """An oblong box: decoded where it stands."""
    grid = Grid.box((10, -2, -1), (14, 2, 1), (32, 64, 64))
    distance = (grid.points - torch.tensor([12.0, 0.0, 0.0])).norm(dim=1).reshape(grid.shape) - 0.7
    code = geospec.encode(DistanceField(distance.clamp(-0.4, 0.4), grid, 0.4))
    assert (code.grid.shape, code.truncation, code.scale) == ((32, 64, 64), 0.4, 2.0)
    radius = (code.decode().vertices - torch.tensor([12.0, 0.0, 0.0])).norm(dim=1)
    torch.testing.assert_close(radius, torch.full_like(radius, 0.7), rtol=0, atol=0.03)


@pytest.mark.parametrize("level", [1, 2])
def test_levels_of_detail_lie_where_the_finest_does(code, level):
    coarse, finest = code.decode(level), code.decode()
    cell = code.grid.spacing[0]
    assert code.field(level).grid.spacing[0] == pytest.approx(cell * 2**level)
    gaps = torch.cdist(coarse.vertices, finest.vertices).amin(dim=1)
    assert float(gaps.mean()) < 0.6 * level * cell
    torch.testing.assert_close(centroid(coarse), centroid(finest), rtol=0, atol=0.1 * cell)  # half a coarse cell off would be 2^level / 2
    assert len(coarse.faces) <= len(finest.faces) / 3**level


def brick():
    """A closed brick of sides 1, 2 and 1.5, as its six faces cut in two."""
    corners = torch.tensor([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 2.0) for z in (0.0, 1.5)])
    quads = torch.tensor([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return Mesh(corners, torch.cat([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


def volume(mesh):
    """Of what a closed mesh bounds; a mesh with an open edge fails."""
    sides = torch.cat([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    there, back = (sides @ torch.tensor(weights) for weights in ([mesh.n_points, 1], [1, mesh.n_points]))
    assert len(sides) > 0
    assert torch.equal(there.sort().values, back.sort().values)
    a, b, c = mesh.vertices.double()[mesh.faces].unbind(dim=1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("mode", ["constant", "periodization"])
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("fill", [0.9, 0.97, 1.0])
def test_shapes_that_reach_the_box_are_closed_there(mode, level, fill):
    for mesh, size in ((brick(), 3.0), (icosphere(3), 4.15)):
        code = geospec.encode(mesh, 48, fill=fill, wavelet="db2", levels=3, mode=mode)
        decoded = code.decode(level)
        assert volume(decoded) == pytest.approx(size, rel=(0.02, 0.03, 0.06)[level])
        low, high = (torch.tensor(corner) for corner in (code.grid.lower, code.grid.upper))
        assert bool(((decoded.vertices >= low - 1e-5) & (decoded.vertices <= high + 1e-5)).all())
        if fill == 1:  # flush with the box, whose cells' centres lie half a cell within
            assert float(decoded.vertices[:, 1].amin() - low[1]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("level", [0, 1])
def test_a_grid_within_the_shape_is_the_box(level):
    """Nothing but inside: the surface is the box, less its edges; the field is as it was."""
    code = geospec.encode(icosphere(2), Grid.box((-0.3, -0.2, -0.3), (0.3, 0.2, 0.3), 24))
    before = code.field(level).values
    assert volume(code.decode(level)) == pytest.approx(0.6 * 0.4 * 0.6, rel=0.02)
    assert torch.equal(code.field(level).values, before)
    assert bool((before < 0).all())


def test_the_finest_level_may_stay(mesh):
    """With all trees and all levels the code is the field; one level alone has nothing to drop."""
    field = field_in_box(mesh, 32)
    all_of_it = geospec.encode(field, k=10**6, drop_finest=0)
    assert (all_of_it.tree.levels, all_of_it.tree.drop_finest) == (2, 0)
    torch.testing.assert_close(all_of_it.field().values, field.values, rtol=0, atol=1e-5)
    assert float((geospec.encode(field, k=10**6).field().values - field.values).abs().max()) > 1e-3
    single = geospec.encode(field, levels=1)
    assert (single.tree.levels, single.tree.drop_finest) == (1, 0)
    assert inside_iou(field.values, single.field().values) > 0.999
    with pytest.raises(ArgumentError, match="drop_finest: wanted between 0 and 1"):
        geospec.encode(field, drop_finest=2)


def test_near_trees_come_first(mesh):
    """Of equally many trees those near the surface tell more of the inside than the paper's, which are the largest anywhere."""
    field = field_in_box(mesh, 64)
    near = geospec.encode(field, k=1000)
    unit = half_side(field.grid)
    largest = near.tree.filter(near.tree.analysis(field.values / unit), 1000)
    papers = ShapeCode(near.tree, largest, field.grid, field.truncation)
    assert inside_iou(field.values, near.field().values) > inside_iou(field.values, papers.field().values) + 0.0005


@pytest.mark.parametrize(("sign", "name"), [("auto", "mesh"), ("unsigned", "mesh"), ("auto", "field")])
def test_what_has_no_inside(sign, name):
    sheet = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]]))
    shape = icosphere(2) if sign == "unsigned" else sheet if name == "mesh" else field_in_box(sheet, 24)
    with pytest.raises(ShapeError, match=f"{name}: wanted one that encloses some volume, got no cell inside among 13,824"):
        geospec.encode(shape, 24, sign=sign)


def test_pack_and_unpack_are_inverse(code, deep):
    for one in (code, deep):
        back = ShapeCode.unpack(one.pack(), like=one)
        assert torch.equal(back.pack(), one.pack())
        told = one.code.values.ne(0).any(dim=1)
        assert torch.equal(back.code.index, one.code.index[told])
        assert torch.equal(back.code.values, one.code.values[told])
    with pytest.raises(ArgumentError, match="channels: wanted shape"):
        ShapeCode.unpack(code.pack()[:-1], like=code)


def test_what_is_kept(mesh):
    few, many = (geospec.encode(mesh, 64, k=k) for k in (100, 4000))
    assert (few.k, many.k) == (100, 4000)
    field = field_in_box(mesh, 64)
    assert inside_iou(field.values, few.field().values) < inside_iou(field.values, many.field().values)
    by_threshold = geospec.encode(mesh, 64, threshold=0.01)
    assert 0 < by_threshold.k < 16384
    assert float(by_threshold.code.values[:, :7].abs().amax(dim=1).min()) > 0.01
    assert geospec.encode(mesh, 64, energy=0.9).k < geospec.encode(mesh, 64, energy=0.999).k
    with pytest.raises(ArgumentError, match="one of the three"):
        geospec.encode(mesh, 32, k=5, threshold=0.1)


def test_to(code):
    double = code.to(dtype=torch.float64)
    assert double.code.coarse.dtype == double.code.values.dtype == torch.float64
    assert double.decode().vertices.dtype == torch.float64
    assert torch.equal(double.code.values.float(), code.code.values)
    assert "64 x 64 x 64 cells, bior6.8, 2 levels" in repr(code)


def test_gradients_reach_the_vertices():
    ball = icosphere(2)
    vertices = ball.vertices.clone().requires_grad_()
    geospec.encode(Mesh(vertices, ball.faces), 24, truncation=0.4).field().values.sum().backward()
    # a larger ball has smaller distances everywhere: the gradient points inwards
    assert float((vertices.grad * ball.vertices).sum()) < 0


def test_shapes_that_cannot_be_encoded():
    empty = torch.zeros(0, 3)
    with pytest.raises(ShapeError, match="at least one face"):
        geospec.encode(Mesh(torch.rand(4, 3), torch.zeros(0, 3, dtype=torch.int64)), 32)
    with pytest.raises(ShapeError, match="at least one point"):
        geospec.encode(Mesh(empty, torch.zeros(0, 3, dtype=torch.int64)), 32)
    with pytest.raises(ShapeError, match="points that are not all one"):
        geospec.encode(Mesh(torch.ones(3, 3), torch.tensor([[0, 1, 2]])), 32)
    with pytest.raises(ShapeError, match="normals"):
        geospec.encode(PointCloud(torch.rand(50, 3)), 32)
    with pytest.raises(ShapeError, match="finite"):
        Mesh(torch.full((3, 3), float("nan")), torch.tensor([[0, 1, 2]]))
    grid = Grid.box(-1, 1, 32)
    field = sphere_field(grid, 0.5, 0.2)
    field.values[3, 4, 5] = float("nan")
    with pytest.raises(ArgumentError, match="finite"):
        geospec.encode(field)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fill": 0.0}, "fill: wanted a part"),
        ({"fill": float("nan")}, "fill: wanted a part"),
        ({"truncation": -1.0}, "truncation: wanted"),
        ({"truncation": float("inf")}, "truncation: wanted"),
        ({"resolution": 0}, "resolution: wanted"),
        ({"levels": 0}, "levels: wanted 1 to 2 with bior6.8 on 16 cells"),
        ({"levels": 8}, "levels: wanted 1 to 2"),
        ({"levels": True}, "levels: wanted"),
        ({"sign": "guess"}, "sign: wanted"),
        ({"mode": "mirror"}, "mode: wanted"),
        ({"wavelet": "no"}, "wavelet"),
        ({"energy": 2.0}, "energy: wanted"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ArgumentError, match=message) if "resolution" not in options else pytest.raises(ShapeError, match=message):
        geospec.encode(icosphere(1), **{"resolution": 16, **options})


def test_unsound_meshes_have_a_code():
    """Open: winding numbers close the hole. Inside out: told as a solid all the same. Of two that overlap, the union."""
    ball = icosphere(3)
    solid = geospec.encode(ball, 48).field().values
    opened = Mesh(ball.vertices, ball.faces[30:])
    assert inside_iou(solid, geospec.encode(opened, 48).field().values) > 0.97
    turned = Mesh(ball.vertices, ball.faces.flip(1))
    assert inside_iou(solid, geospec.encode(turned, 48).field().values) > 0.999


def test_a_cloud_with_normals():
    ball = icosphere(4)
    code = geospec.encode(PointCloud(ball.vertices, ball.vertices), 48)
    assert inside_iou(geospec.encode(ball, 48).field().values, code.field().values) > 0.98
