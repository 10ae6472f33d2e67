"""Signed distances against closed forms, libigl and brute force: rows through vertices and along edges, every sign, broken meshes."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from shapes.solids import cube, disk, join, mesh, sphere, torus

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.mesh_sdf import cell_centres, reference
from geospec.shapes import Mesh

DTYPES = [torch.float32, torch.float64]
BOX = {"lower": (-1.3, -1.3, -1.3), "upper": (1.3, 1.3, 1.3)}
#: Of the box's side.
ROUNDING = {torch.float32: 2e-7, torch.float64: 1e-15}


def moved(shape: Mesh, scale: float = 1.0, shift=(0.0, 0.0, 0.0), turn: int | None = None) -> Mesh:
    matrix = np.eye(3) if turn is None else Rotation.random(random_state=turn).as_matrix()
    return Mesh(scale * shape.vertices @ torch.from_numpy(matrix) + torch.tensor(shift, dtype=torch.float64), shape.faces)


def inside_out(shape: Mesh) -> Mesh:
    return Mesh(shape.vertices, shape.faces.flip(1))


def field(shape: Mesh, resolution, truncation: float, dtype=torch.float64, **options):
    return ops.mesh_sdf(shape.vertices.to(dtype), shape.faces, resolution, truncation, **{**BOX, **options})


def points(resolution, lower=BOX["lower"], upper=BOX["upper"]):
    shape = (resolution,) * 3 if isinstance(resolution, int) else resolution
    return cell_centres(shape, lower, upper, torch.device("cpu"))


def box_distance(x, half):
    outside = x.abs() - torch.as_tensor(half, dtype=torch.float64)
    return outside.clamp_min(0).norm(dim=-1) + outside.amax(dim=-1).clamp_max(0)


def by_libigl(shape: Mesh, x):
    """Its exact distances, negative where its exact winding number is beyond 1/2, and that number."""
    import igl

    arrays = shape.vertices.double().numpy(), shape.faces.numpy()
    places = x.reshape(-1, 3).numpy()
    distances = igl.signed_distance(places, *arrays, igl.SignedDistanceType.SIGNED_DISTANCE_TYPE_UNSIGNED)[0]
    winding = igl.winding_number(*arrays, places)
    signed = np.where(np.abs(winding) > 0.5, -distances, distances)
    return tuple(torch.from_numpy(a.reshape(x.shape[:-1])) for a in (signed, winding))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("resolution", [40, 32, (17, 29, 40), (3, 5, 70)])
def test_box(resolution, dtype):
    """At 40 and 32 cells of a box of 2 a side of the cube lies in cell centres or between them, and rows meet its edges and vertices."""
    shape = moved(cube(), 2 * 0.775, (-0.775,) * 3)
    lower, upper = (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)
    x = points(resolution, lower, upper)
    expected = box_distance(x, [0.775] * 3)
    ours = field(shape, resolution, 0.3, dtype, lower=lower, upper=upper)
    assert (ours.double() - expected.clamp(-0.3, 0.3)).abs().max() < 2 * ROUNDING[dtype]
    if resolution == 40 and dtype == torch.float64:
        assert (expected.abs() < 1e-15).sum() > 1000  # cells of the surface itself


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turn", [None, 3])
def test_rows_through_vertices_and_along_edges(turn, dtype):
    """An octahedron with its corners in cell centres, its edges in planes of rows; and as a twin turned any way."""
    shape = moved(sphere(0), 0.75, turn=turn)
    x = points(33, (-1.03125,) * 3, (1.03125,) * 3)  # centres at multiples of 1/16
    ours = field(shape, 33, 0.5, dtype, lower=(-1.03125,) * 3, upper=(1.03125,) * 3)
    local = x if turn is None else x @ torch.from_numpy(Rotation.random(random_state=turn).as_matrix().T)
    inside = local.abs().sum(dim=-1) - 0.75
    doubtful = inside.abs() < 1e-7
    assert torch.equal((ours < 0) & ~doubtful, (inside < 0) & ~doubtful)
    assert (ours.abs() - by_libigl(shape, x)[0].abs().clamp_max(0.5)).abs().max() < 3 * ROUNDING[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_sphere_within_its_facets(dtype):
    """A polyhedron between two spheres: its distance lies between theirs."""
    shape = moved(sphere(4), 1.0, turn=0)
    corners = shape.vertices[shape.faces]
    normals = torch.nn.functional.normalize(torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=1)
    inner = (normals * corners[:, 0]).sum(1).min()
    length = points(48).norm(dim=-1)
    ours = field(shape, 48, 0.4, dtype).double()
    slack = 3 * ROUNDING[dtype]
    assert (ours >= (length - 1).clamp(-0.4, 0.4) - slack).all()
    assert (ours <= (length - inner).clamp(-0.4, 0.4) + slack).all()
    assert inner > 0.995


SHAPES = {
    "torus": (moved(torus(), 0.4, turn=1), "nonzero"),
    "nested, hollow": (join(moved(sphere(2), 1.1), inside_out(moved(sphere(2), 0.6))), "nonzero"),
    "overlapping": (join(moved(sphere(2), 0.7, (0.3, 0.1, 0)), moved(sphere(2), 0.7, (-0.3, 0, 0.1))), "nonzero"),
    "cubes on an edge": (join(moved(cube(), 0.5), moved(cube(), 0.5, (0.5, 0.5, 0.0))), "nonzero"),
    "open cup": (moved(mesh(sphere(3).vertices, sphere(3).faces[40:]), 1.1, turn=6), "winding"),
    "sheet": (moved(disk(), 0.3, (-0.5, -0.5, 0.1), turn=2), "winding"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SHAPES)
def test_libigl_agrees(name, dtype):
    shape, sign = SHAPES[name]
    x = points(31)
    expected = by_libigl(shape, x)[0].clamp(-0.25, 0.25)
    for asked in ("auto", sign, "winding"):
        ours = field(shape, 31, 0.25, dtype, sign=asked)
        assert (ours.double().abs() - expected.abs()).abs().max() < 3 * ROUNDING[dtype]
        assert torch.equal((ours < 0)[expected.abs() > 1e-6], (expected < 0)[expected.abs() > 1e-6])
    assert (expected < 0).any() != (name == "sheet")


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_parts_count_by_their_moments(dtype):
    """Many faces, a hole, a row of blocks away from all: winding numbers by the tree give libigl's exact signs."""
    ball = sphere(4)
    shape = Mesh(0.5 * ball.vertices + torch.tensor([-0.5, 0.2, 0.1]), ball.faces[ball.vertices[ball.faces].mean(1)[:, 0] < 0.8])
    assert 1500 < len(shape.faces) < 2000
    winding = by_libigl(shape, points(64))[1]
    ours = field(shape, 64, 0.1, dtype, sign="winding") < 0
    sure = (winding - 0.5).abs() > 0.01
    assert torch.equal(ours[sure], winding[sure] > 0.5)
    assert (~sure).sum() < 200


def test_inside_out_and_parity():
    """Turned inside out a body keeps its inside. Where two overlap, parity says outside; what does not agree is parity's."""
    body = moved(torus(), 0.4, turn=1)
    torch.testing.assert_close(field(inside_out(body), 24, 0.3), field(body, 24, 0.3), rtol=0, atol=1e-15)
    both, _ = SHAPES["overlapping"]
    nonzero, odd = (field(both, 24, 0.5, sign=sign) < 0 for sign in ("nonzero", "parity"))
    first, second = (field(moved(sphere(2), 0.7, shift), 24, 0.5) < 0 for shift in ((0.3, 0.1, 0), (-0.3, 0, 0.1)))
    assert torch.equal(nonzero, first | second)
    assert torch.equal(odd, first ^ second)
    turned = body.faces.clone()
    turned[::3] = turned[::3].flip(1)
    mixed = Mesh(body.vertices, turned)
    torch.testing.assert_close(field(mixed, 24, 0.3), field(body, 24, 0.3), rtol=0, atol=1e-15)
    assert ((field(mixed, 24, 0.3, sign="nonzero") < 0) != (field(body, 24, 0.3) < 0)).any()


def test_faces_without_common_vertices_are_closed_by_their_places():
    body = moved(torus(), 0.4, turn=1)
    apart = Mesh(body.vertices[body.faces].reshape(-1, 3), torch.arange(3 * len(body.faces)).reshape(-1, 3))
    assert torch.equal(field(apart, 24, 0.3), field(body, 24, 0.3, sign="nonzero"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_degenerate_and_thin_faces(dtype):
    """A face that is a point, one that is a line, one a hundred million times longer than high; a closed body of no thickness."""
    vertices = torch.tensor([[0, 0, 0], [1, 0.5, 0.25], [0.5, 0.25, 0.125], [-0.9, 0.8, 0], [0.9, -0.7, 0.6], [0, 0.05, 0.3 + 1e-8]])
    faces = torch.tensor([[0, 1, 2], [3, 3, 3], [3, 4, 5]])
    vertices = vertices.double()
    ours, face = ops.mesh_sdf(vertices.to(dtype), faces, 20, 3.0, **BOX, sign="unsigned", nearest=True)
    expected, _ = reference(vertices.to(dtype), faces, [20] * 3, 3.0, *BOX.values(), "unsigned", False)
    assert (ours.double() - expected.double()).abs().max() < 4 * ROUNDING[dtype]
    assert set(face.unique().tolist()) >= {0, 2}
    sheet = disk()
    flat = join(moved(sheet, 0.3), inside_out(moved(sheet, 0.3)))
    assert not (field(flat, 21, 0.4, dtype, sign="nonzero") < 0).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_faces_far_larger_than_the_box(dtype):
    """A tetrahedron of side 10^4 with the origin a little under one face."""
    corners = 1e4 * np.array([[1, 0, -0.1], [-1, 2, 0.2], [-1, -2, 0.1], [0, 0, 1.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    normal = np.cross(corners[2] - corners[0], corners[1] - corners[0])
    normal /= np.linalg.norm(normal)
    corners += normal * (0.1 - normal @ corners[0])
    ours = field(mesh(corners, faces), 16, 3.0, dtype).double()
    # The corners themselves are rounded to 1e4 * 2^-24 in float32.
    error = {torch.float32: 2e-3, torch.float64: 1e-11}[dtype]
    assert (ours - (points(16) @ torch.from_numpy(normal) - 0.1)).abs().max() < error


def test_thousands_of_faces_in_one_cell():
    small = moved(sphere(5), 0.01, (0.02, 0.03, 0.04))
    x = points(20) - torch.tensor([0.02, 0.03, 0.04], dtype=torch.float64)
    assert (field(small, 20, 0.8) - (x.norm(dim=-1) - 0.01).clamp_max(0.8)).abs().max() < 1e-5


def test_meshes_beyond_the_box():
    """Rows that begin within a body, and a mesh that is not in the box at all."""
    big = moved(sphere(3), 1.5, (-0.9, -0.7, 0.6), turn=4)
    x = points(24)
    expected = by_libigl(big, x)[0]
    assert (field(big, 24, 0.6) - expected.clamp(-0.6, 0.6)).abs().max() < 1e-14
    assert (expected[..., 0] < 0).any()
    away = moved(sphere(2), 0.5, (3.0, 0, 0))
    assert torch.equal(field(away, 8, 0.5), torch.full((8, 8, 8), 0.5, dtype=torch.float64))
    around = moved(sphere(2), 5)
    assert torch.equal(field(around, 8, 0.5), torch.full((8, 8, 8), -0.5, dtype=torch.float64))


def test_a_finer_grid_holds_the_coarse_one():
    """Three times the cells: every third centre is one of the coarse grid's."""
    shape = moved(torus(), 0.4, turn=1)
    coarse, fine = field(shape, (7, 9, 11), 0.3), field(shape, (21, 27, 33), 0.3)
    assert (fine[1::3, 1::3, 1::3] - coarse).abs().max() < 1e-15


def test_threads_change_no_bit():
    shape, _ = SHAPES["open cup"]
    try:
        torch.set_num_threads(1)
        one = [field(shape, 40, 0.2, torch.float32, sign=sign, nearest=True) for sign in ("parity", "winding")]
        torch.set_num_threads(3)
        three = [field(shape, 40, 0.2, torch.float32, sign=sign, nearest=True) for sign in ("parity", "winding")]
    finally:
        torch.set_num_threads(1)
    for a, b in zip(one, three, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


def test_nearest_faces_are_at_their_distances():
    shape = moved(torus(), 0.4, turn=1)
    values, face = field(shape, 20, 0.3, nearest=True)
    x, seen = points(20), face >= 0
    assert torch.equal(seen, values.abs() < 0.3)
    single = [
        reference(shape.vertices, shape.faces[f : f + 1], [20] * 3, 0.3, *BOX.values(), "unsigned", False)[0]
        for f in face[seen].unique().tolist()[:15]
    ]
    for f, distance in zip(face[seen].unique().tolist()[:15], single, strict=True):
        assert (distance - values.abs())[face == f].abs().max() < 1e-14
    assert x.shape == (20, 20, 20, 3)


@pytest.mark.parametrize("name", ["torus", "open cup"])
def test_gradient(name):
    """Of sums of distances over cells that no other face is as near to, along random motions of all vertices."""
    shape, _ = SHAPES[name]
    vertices = shape.vertices.clone().requires_grad_()
    weights = torch.randn(9, 8, 7, dtype=torch.float64)
    motion = torch.randn_like(shape.vertices)

    def total(v):
        return (weights * ops.mesh_sdf(v, shape.faces, (9, 8, 7), 0.4, **BOX)).sum()

    (slope,) = torch.autograd.grad(total(vertices), vertices)
    with torch.no_grad():
        step = 1e-6 * motion
        by_difference = (total(vertices + step) - total(vertices - step)) / 2e-6
    assert slope.abs().sum() > 1
    torch.testing.assert_close((slope * motion).sum(), by_difference, rtol=1e-5, atol=1e-6)


def test_gradient_follows_a_sphere_that_grows():
    """Distances in the band fall by one for each unit of radius; on facets by the cosine of their tilt, at least 0.995."""
    shape = sphere(4)
    vertices = shape.vertices.clone().requires_grad_()
    values = ops.mesh_sdf(vertices, shape.faces, 24, 0.3, **BOX)
    (slope,) = torch.autograd.grad(values.sum(), vertices)
    cells = (values.abs() < 0.3).sum()
    assert cells > 5000
    assert 0.995 * cells < -(slope * shape.vertices).sum() < cells


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 0}, "resolution: wanted a positive whole number"),
        ({"resolution": (4, 4)}, "resolution: wanted a positive whole number"),
        ({"resolution": 4.0}, "resolution: wanted a positive whole number"),
        ({"resolution": True}, "resolution: wanted a positive whole number"),
        ({"truncation": 0.0}, "truncation: wanted a positive finite distance, got 0"),
        ({"truncation": float("nan")}, "truncation: wanted a positive finite distance, got nan"),
        ({"truncation": float("inf")}, "truncation: wanted a positive finite distance, got inf"),
        ({"truncation": "0.1"}, "truncation: wanted a positive finite distance, got '0.1'"),
        ({"lower": "abc"}, "lower: wanted three finite numbers .* got 'abc'"),
        ({"lower": None}, "lower: wanted three finite numbers"),
        ({"lower": (0.0, 0.0)}, "lower: wanted three finite numbers"),
        ({"upper": (1.0, float("nan"), 1.0)}, "upper: wanted three finite numbers"),
        ({"upper": (1.0, -2.0, 1.0)}, "upper: wanted a corner above lower"),
        ({"sign": "odd"}, "sign: wanted one of 'auto', "),
        ({"faces": torch.zeros(1, 3).int()}, "faces: wanted int64"),
        ({"vertices": torch.zeros(3, 2)}, r"vertices: wanted shape \(n, 3\)"),
    ],
)
def test_refuses(change, message):
    arguments = {"vertices": torch.rand(3, 3), "faces": torch.tensor([[0, 1, 2]]), "resolution": 4, "truncation": 0.1}
    with pytest.raises(ArgumentError, match=message):
        ops.mesh_sdf(**{**arguments, **change})


def test_rows_through_shared_sides_of_any_slope():
    """Random bodies whose vertices stand in cell centres: rows meet their vertices and, often, their edges exactly."""
    generator = torch.Generator().manual_seed(5)
    ball = sphere(1)
    touched = 0
    for _ in range(40):
        corners = (6 * ball.vertices + torch.randint(-1, 2, ball.vertices.shape, generator=generator)).round() + 0.5
        ours = ops.mesh_sdf(corners, ball.faces, 17, 40.0, lower=(-8.0,) * 3, upper=(9.0,) * 3, sign="nonzero")
        x = points(17, (-8.0,) * 3, (9.0,) * 3)
        expected = by_libigl(Mesh(corners, ball.faces), x)[0]
        off = expected.abs() > 1e-9
        touched += int((~off).sum())
        assert torch.equal((ours < 0)[off], (expected < 0)[off])
    assert touched > 1000


def faces_of(shape: Mesh, *others) -> Mesh:
    return Mesh(shape.vertices, torch.cat([shape.faces, *others]))


@pytest.mark.parametrize("name", ["torus", "open cup"])
@pytest.mark.parametrize("apart", [False, True])
def test_doubled_and_two_sided_faces_count_once(name, apart):
    """As the single faces do, from common vertices or from a copy of them; asked by name, signs take every face."""
    shape, sign = SHAPES[name]
    expected = field(shape, 24, 0.3, torch.float32) < 0
    assert expected.sum() > 100
    sure = (by_libigl(shape, points(24))[1].abs() - 0.5).abs() > 2e-3  # beyond what the tree of winding numbers rounds
    assert (~sure).sum() < 20
    for twin in (shape, inside_out(shape)):
        double = join(shape, twin) if apart else faces_of(shape, twin.faces)
        values = field(double, 24, 0.3, torch.float32)
        assert torch.equal((values < 0)[sure], expected[sure])
        by_reference, _ = reference(double.vertices, double.faces, [6] * 3, 0.3, *BOX.values(), "auto", False)
        assert torch.equal(by_reference < 0, field(double, 6, 0.3) < 0)
    assert not (field(faces_of(shape, shape.faces.flip(1)), 24, 0.3, sign=sign) < 0).any()
    assert not (field(faces_of(shape, shape.faces), 24, 0.3, sign="parity") < 0).any()


def test_walls_within_a_body_count_as_none():
    """Two cubes that touch by a face: their union; a two-sided sphere beside them keeps its inside."""
    cubes = join(moved(cube(), 0.5), moved(cube(), 0.5, (0.5, 0.0, 0.0)))
    x = points(26)
    expected = box_distance(x - torch.tensor([0.5, 0.25, 0.25]), [0.5, 0.25, 0.25]) < 0
    assert torch.equal(field(cubes, 26, 0.3) < 0, expected)
    ball = moved(sphere(2), 0.4, (-0.6, -0.6, -0.6))
    ours = field(join(cubes, faces_of(ball, ball.faces.flip(1))), 26, 0.3)
    assert torch.equal(ours < 0, expected | (field(ball, 26, 0.3) < 0))


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**66, 2.0**100])
@pytest.mark.parametrize("name", ["torus", "open cup"])
def test_no_scale_changes_a_digit(name, scale):
    shape, _ = SHAPES[name]
    vertices = shape.vertices.float().requires_grad_()
    large = (scale * vertices.detach()).requires_grad_()
    corner = 1.3 * scale
    expected = ops.mesh_sdf(vertices, shape.faces, 24, 0.3, **BOX)
    ours = ops.mesh_sdf(large, shape.faces, 24, 0.3 * scale, lower=(-corner,) * 3, upper=(corner,) * 3)
    assert torch.equal(ours, expected * scale)
    (slope,), (ours_slope,) = (torch.autograd.grad(f.sum(), v) for f, v in ((expected, vertices), (ours, large)))
    torch.testing.assert_close(ours_slope, slope, rtol=1e-6, atol=1e-6)


def test_boxes_from_any_row_of_numbers():
    shape, _ = SHAPES["torus"]
    expected = field(shape, 8, 0.3)
    for number in (np.float64(1.3), torch.full((3,), 1.3, dtype=torch.float64), np.full(3, 1.3)):
        assert torch.equal(ops.mesh_sdf(shape.vertices, shape.faces, np.int64(8), np.float64(0.3), lower=-number, upper=number), expected)
    assert torch.equal(ops.mesh_sdf(shape.vertices, shape.faces, np.array([8, 8, 8]), 0.3, **BOX), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_gradients_repeat_on_cuda_where_asked():
    shape = sphere(4)
    vertices = shape.vertices.cuda().requires_grad_()
    torch.use_deterministic_algorithms(True)
    try:
        slopes = [
            torch.autograd.grad(ops.mesh_sdf(vertices, shape.faces.cuda(), 64, 0.5, **BOX).square().sum(), vertices)[0] for _ in range(4)
        ]
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(slope, slopes[0]) for slope in slopes)
