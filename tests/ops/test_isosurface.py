"""Isosurfaces: manifold for any values, right to the order of the interpolation, beside scikit-image; gradients and edge cases."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from geospec.errors import ArgumentError
from geospec.ops import isosurface

DTYPES = [torch.float32, torch.float64]


def lattice(*shape: int, lower: float = -1.0, upper: float = 1.0):
    """Coordinates x, y, z of the centres of cells of a box, and the side of a cell by axis (x, y, z)."""
    axes = [lower + (torch.arange(n, dtype=torch.float64) + 0.5) * (upper - lower) / n for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return x, y, z, torch.tensor([(upper - lower) / n for n in reversed(shape)], dtype=torch.float64)


def waves(shape: tuple[int, int, int], seed: int = 0):
    """A smooth random field: two dozen plane waves of five cells and more."""
    generator = torch.Generator().manual_seed(seed)
    z, y, x = (torch.arange(n, dtype=torch.float64) for n in shape)
    k = torch.randn(3, 24, generator=generator, dtype=torch.float64) * 0.45
    phase = 2 * math.pi * torch.rand(24, generator=generator, dtype=torch.float64)
    angles = z[:, None, None, None] * k[2] + y[:, None, None] * k[1] + x[:, None] * k[0] + phase
    return angles.cos().sum(dim=-1)


def area_and_volume(points, faces):
    a, b, c = points[faces].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    return float(normal.norm(dim=1).sum() / 2), float((a * normal).sum() / 6)


def undirected(faces):
    """Sides of faces: the number of their edge, their direction, and the corners (in ``faces.flatten()``) at its lower and upper vertex."""
    corners = torch.arange(faces.numel()).view(-1, 3)
    start, end = faces.flatten(), faces.roll(-1, 1).flatten()
    rising = start < end
    here, there = corners.flatten(), corners.roll(-1, 1).flatten()
    low, high = torch.where(rising, here, there), torch.where(rising, there, here)
    return torch.minimum(start, end) * (faces.max() + 1) + torch.maximum(start, end), rising, low, high


def euler(n_vertices, faces):
    return n_vertices - len(undirected(faces)[0].unique()) + len(faces)


def border_planes(vertices, shape):
    """Bits of the border planes of a grid that each vertex lies on."""
    upper = vertices.new_tensor([n - 1 for n in reversed(shape)])
    on = torch.cat([vertices == 0, vertices == upper], dim=1)
    return (on.long() << torch.arange(6)).sum(dim=1)


def assert_manifold(faces, planes):
    """Every edge in two faces that run along it in opposite directions, or in one on the border; at every vertex one fan of faces."""
    assert torch.equal(faces.unique(), torch.arange(len(planes)))
    sides, rising, low, high = undirected(faces)
    edges, which, count = sides.unique(return_inverse=True, return_counts=True)
    assert int(count.max()) <= 2, f"an edge of {int(count.max())} faces"
    ups = torch.zeros(len(edges), dtype=torch.long).index_add(0, which, rising.long())
    assert (ups[count == 2] == 1).all(), "two faces turn the same way along their edge"
    alone = edges[count == 1]
    assert (planes[alone // len(planes)] & planes[alone % len(planes)]).all(), "the surface ends inside the grid"
    order = which.argsort(stable=True)
    first = order[torch.cat([torch.zeros(1, dtype=torch.long), count.cumsum(0)[:-1]])[count == 2]]
    second = order[(count.cumsum(0) - 1)[count == 2]]
    rows, columns = (torch.cat([low[side], high[side]]).numpy() for side in (first, second))
    n = faces.numel()
    fans, _ = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n)), directed=False)
    assert fans == len(planes), "a vertex of several fans, or of none"


@pytest.mark.parametrize("axis", range(3))
def test_all_pairs_of_neighbouring_cells_are_manifold(axis):
    shape = [2, 2, 2]
    shape[axis] = 3
    bits = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=12))).view(-1, *shape)
    all_faces, all_planes, so_far = [], [], 0
    for grid in bits:
        vertices, faces = isosurface(grid)
        all_faces.append(faces + so_far)
        all_planes.append(border_planes(vertices, shape))
        so_far += len(vertices)
    assert_manifold(torch.cat(all_faces), torch.cat(all_planes))


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_noise_is_manifold(density):
    grid = torch.where(torch.rand(24, 31, 67, generator=torch.Generator().manual_seed(0)) < density, -1.0, 1.0)
    vertices, faces = isosurface(grid)
    assert len(faces) > 10_000
    assert_manifold(faces, border_planes(vertices, grid.shape))


def test_whole_numbers_leave_no_hole():
    """Many samples equal the level: vertices coincide there, the surface is closed all the same."""
    grid = torch.randint(-2, 3, (20, 21, 22), generator=torch.Generator().manual_seed(0)).float()
    vertices, faces = isosurface(torch.nn.functional.pad(grid, (1,) * 6, value=2.0))
    assert len(vertices.unique(dim=0)) < len(vertices)
    assert_manifold(faces, torch.zeros(len(vertices), dtype=torch.long))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sphere_converges_with_order_two(dtype):
    errors = []
    for n in (16, 32, 64):
        x, y, z, side = lattice(n, n, n)
        vertices, faces = isosurface((torch.sqrt(x * x + y * y + z * z) - 0.7).to(dtype))
        assert vertices.dtype == dtype
        points = (vertices.double() + 0.5) * side - 1
        area, volume = area_and_volume(points, faces)
        off = float((points.norm(dim=1) - 0.7).abs().max())
        errors.append([off, 4 * math.pi * 0.49 - area, 4 / 3 * math.pi * 0.343 - volume])
        assert euler(len(vertices), faces) == 2
    errors = torch.tensor(errors)
    assert (errors > 0).all()  # chords are inside, and the volume counts as positive: faces turn outwards
    assert (errors[:-1] / errors[1:] > 3.4).all()
    assert errors[-1, 0] < 3e-4


def test_torus_on_an_anisotropic_grid():
    errors = []
    for n in (1, 2):
        x, y, z, side = lattice(20 * n, 31 * n, 44 * n)
        vertices, faces = isosurface(torch.sqrt((torch.sqrt(x * x + y * y) - 0.6) ** 2 + z * z) - 0.25)
        area, volume = area_and_volume((vertices + 0.5) * side - 1, faces)
        errors.append([4 * math.pi**2 * 0.6 * 0.25 - area, 2 * math.pi**2 * 0.6 * 0.0625 - volume])
        assert euler(len(vertices), faces) == 0
    errors = torch.tensor(errors)
    assert (errors[0] / errors[1] > 3.4).all()
    assert (errors[1].abs() < 0.02).all()


def test_open_surfaces_end_on_the_border():
    x, _, z, _ = lattice(9, 10, 11)
    vertices, faces = isosurface(z + 0.3 * x - 0.1)
    planes = border_planes(vertices, z.shape)
    assert_manifold(faces, planes)
    assert euler(len(vertices), faces) == 1
    a, b, c = vertices[faces].unbind(1)
    assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).all()  # upwards, where values are above
    in_index = 0.3 * 2 / 11 * vertices[:, 0] + 2 / 9 * vertices[:, 2]  # the plane, which linear interpolation keeps
    torch.testing.assert_close(in_index, torch.full_like(in_index, 0.1 + 0.3 * 10 / 11 + 8 / 9))
    assert {0, 1, 2, 8, 16} <= set(planes.tolist())  # inside and on four sides
    assert not (planes & 36).any()  # not on floor and ceiling


@pytest.mark.parametrize("level", [-3.0, 0.0, 2.5])
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_scikit_image(seed, level):
    """The same vertices. Ambiguous cells are joined otherwise and others cut along other diagonals: area and volume are near."""
    grid = waves((22, 27, 35), seed)
    grid = torch.where((grid - level).abs() < 0.05, level + 0.05, grid)  # scikit-image divides by |value - level| + 1e-7
    grid = torch.nn.functional.pad(grid, (1,) * 6, value=level + 2)
    vertices, faces = isosurface(grid, level)
    theirs, their_faces, *_ = marching_cubes(grid.numpy(), level, method="lorensen", gradient_direction="ascent")
    theirs = torch.from_numpy(theirs[:, ::-1].astype(np.float64))
    assert len(vertices) == len(theirs)
    assert len(faces) == pytest.approx(len(their_faces), rel=0.01)
    assert cKDTree(theirs).query(vertices)[0].max() < 5e-6  # theirs are in float32
    assert cKDTree(vertices).query(theirs)[0].max() < 5e-6
    assert area_and_volume(vertices, faces) == pytest.approx(area_and_volume(theirs, torch.from_numpy(their_faces).long()), rel=0.02)
    assert_manifold(faces, torch.zeros(len(vertices), dtype=torch.long))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:])
def test_axes_are_alike(order):
    grid = waves((12, 14, 70))
    vertices, faces = isosurface(grid)
    turned, turned_faces = isosurface(grid.permute(order))
    back = torch.empty_like(turned)
    for new, old in enumerate(order):
        back[:, 2 - old] = turned[:, 2 - new]
    assert torch.equal(vertices.unique(dim=0), back.unique(dim=0))
    assert abs(len(faces) - len(turned_faces)) < 0.01 * len(faces)


def test_level_is_taken_off_and_compared_in_double():
    grid = waves((9, 10, 11))
    for ours, theirs in zip(isosurface(grid, 1.3), isosurface(grid - 1.3), strict=True):
        torch.testing.assert_close(ours, theirs)
    narrow = torch.tensor([0.1, 0.2, 0.0, -0.1] * 6).view(2, 3, 4)  # 0.1 in float32 is above 0.1
    for level in (0.1, float(narrow[0, 0, 0]), 0.10000000149011613, 0.100000002, 0.0, 1e-300, -1e-300, 1e300):
        vertices, faces = isosurface(narrow, level)
        wide, wide_faces = isosurface(narrow.double(), level)
        assert torch.equal(faces, wide_faces)
        torch.testing.assert_close(vertices, wide.float())


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_values(dtype):
    most, least = torch.finfo(dtype).max, torch.finfo(dtype).smallest_normal
    ends = ((-math.inf, 1.0, 1.0), (-1.0, math.inf, 0.0), (-math.inf, math.inf, 0.5), (-most, most, 0.5), (-least, least, 0.5))
    for low, high, where in ends:
        grid = torch.tensor([low, high], dtype=dtype)[:, None, None].repeat(1, 2, 2).requires_grad_()
        vertices, faces = isosurface(grid)
        assert vertices[:, 2].tolist() == [where] * 4
        assert len(faces) == 2
        vertices.sum().backward()
        assert grid.grad[1].flatten().tolist() == pytest.approx([-where / (high - low)] * 4, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 5, 5), (5, 1, 5), (5, 5, 1), (1, 1, 1), (0, 5, 5)])
def test_grids_without_cells_have_no_surface(shape):
    grid = torch.randn(shape, requires_grad=True)
    vertices, faces = isosurface(grid)
    assert vertices.shape == faces.shape == (0, 3)
    vertices.sum().backward()
    assert torch.equal(grid.grad, torch.zeros(shape))


@pytest.mark.parametrize("sign", [-1.0, 0.0, 1.0])
def test_one_sign_has_no_surface(sign):
    vertices, faces = isosurface(torch.full((5, 6, 70), sign))
    assert vertices.shape == faces.shape == (0, 3)
    assert faces.dtype == torch.int64


def test_threads_change_nothing():
    grid = waves((40, 41, 130)).float().requires_grad_()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        vertices, faces = isosurface(grid)
        results.append((vertices, faces, *torch.autograd.grad(vertices.square().sum(), grid)))
    torch.set_num_threads(1)
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)


def test_second_derivatives():
    """Infinite ends have none; the others equal differences of the gradient."""
    grid = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grid = (grid + 0.3 * grid.sign()).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda g: isosurface(g, 0.1)[0], (grid,))
    first = torch.zeros(3, 4, 5, dtype=torch.bool)
    first[0, 0, 0] = True
    infinite = grid.detach().where(~first, -torch.inf).requires_grad_()
    (once,) = torch.autograd.grad(isosurface(infinite)[0].pow(3).sum(), infinite, create_graph=True)
    (twice,) = torch.autograd.grad(once.square().sum(), infinite)
    assert twice.isfinite().all()
    assert twice[~first].count_nonzero() > 20
    assert twice[first] == 0


def test_gradient_of_the_volume_is_the_area():
    """Raising a distance field by c moves the surface inwards by c everywhere."""
    x, y, z, side = lattice(48, 48, 48)
    grid = (torch.sqrt(x * x + y * y + z * z) - 0.7).requires_grad_()
    vertices, faces = isosurface(grid)
    a, b, c = ((vertices + 0.5) * side - 1)[faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    volume.backward()
    assert -float(grid.grad.sum()) == pytest.approx(4 * math.pi * 0.49, rel=2e-3)
    assert ((grid.grad != 0) <= (grid.detach().abs() < float(side.max()))).all()


@pytest.mark.parametrize(
    ("grid", "level", "message"),
    [
        (np.zeros((2, 2, 2)), 0.0, "grid: wanted a torch tensor, got ndarray"),
        (torch.zeros(2, 2, 2, dtype=torch.int64), 0.0, r"grid: wanted float32 or float64, got torch.int64.*\.float\(\)"),
        (torch.zeros(1, 2, 2, 2), 0.0, r"grid: wanted shape \(nz, ny, nx\), got \(1, 2, 2, 2\).*loop"),
        (torch.zeros(2, 2, 2), math.nan, "level: wanted a finite number, got nan"),
    ],
)
def test_refusals(grid, level, message):
    with pytest.raises(ArgumentError, match=message):
        isosurface(grid, level)


@pytest.mark.parametrize("dtype", DTYPES)
def test_names_the_place_of_the_first_nan(dtype):
    grid = torch.zeros(6, 7, 100, dtype=dtype)
    grid[3, 4, 97] = grid[5, 6, 31] = math.nan
    with pytest.raises(RuntimeError, match=r"grid: wanted no NaN, got one at \(3, 4, 97\)"):
        isosurface(grid)
