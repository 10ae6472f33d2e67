"""One row an op: what it is given, what it must equal, what it must refuse. ``test_ops.py`` walks the table.

A new op joins by one row here and inherits every check: twin, gradient, opcheck, compile,
non-contiguous input, empty input, refusals, CUDA against CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from geospec.ops.assembly import reference as assembly_reference
from geospec.ops.assembly import reference_adjacency
from geospec.ops.captured_energy import reference as energy_reference
from geospec.ops.cholesky_qr import reference as qr_reference
from geospec.ops.cotangent import reference as cotangent_reference
from geospec.ops.csr_matmul import reference as csr_reference
from geospec.ops.csr_matmul import reference_filter, reference_sampled
from geospec.ops.farthest_points import reference as farthest_reference
from geospec.ops.graph_smooth import reference as smooth_reference
from geospec.ops.graph_smooth import reference_values_backward
from geospec.ops.harmonic_table import CONVENTIONS, recurrence
from geospec.ops.isosurface import reference as isosurface_reference
from geospec.ops.isosurface import reference_backward as isosurface_backward_reference
from geospec.ops.legendre_transform import reference as legendre_reference
from geospec.ops.legendre_transform import reference_synthesis
from geospec.ops.local_triangles import reference as local_triangles_reference
from geospec.ops.masked_map_solve import reference as map_solve_reference
from geospec.ops.mesh_sdf import reference as sdf_reference
from geospec.ops.mesh_sdf import reference_backward as sdf_backward_reference
from geospec.ops.neighbours import reference as knn_reference
from geospec.ops.neighbours import reference_radius_search
from geospec.ops.noisy_magnitudes import reference as noise_reference
from geospec.ops.noisy_magnitudes import reference_sums
from geospec.ops.robust_stiffness import reference as robust_reference
from geospec.ops.spectral_knn import reference as spectral_knn_reference
from geospec.ops.spectral_nearest import reference as nearest_reference
from geospec.ops.sphere_interpolation import SAMPLING, bump_pieces, reference_spread
from geospec.ops.sphere_interpolation import reference as interpolation_reference
from geospec.ops.sphere_interpolation import reference_xyz as interpolation_xyz_reference
from geospec.ops.spherical_harmonics import reference as harmonics_reference
from geospec.ops.spherical_harmonics_linear import reference as layer_reference
from geospec.ops.spherical_harmonics_linear import reference_weight as layer_weight_reference
from geospec.ops.spherical_harmonics_linear import reference_xyz as layer_xyz_reference
from geospec.ops.wavelet3d import level_shapes
from geospec.ops.wavelet3d import reference as wavelet_reference
from geospec.ops.wavelet3d import reference_synthesis as wavelet_synthesis_reference
from geospec.ops.wavelet_filters import filters
from geospec.ops.wavelet_tree import reference_gather, reference_largest, reference_pack, reference_scatter, reference_unpack
from geospec.ops.zoomout import reference as zoomout_reference

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class OpCase:
    """``make(dtype, seed)`` gives arguments of the raw op; ``differentiable`` are the positions with a gradient."""

    name: str
    make: Callable[[torch.dtype, int], Arguments]
    reference: Callable[..., Any]
    empty: Callable[[torch.dtype], Arguments]
    differentiable: tuple[int, ...] = ()
    refusals: dict[str, tuple[Callable[[Arguments], Arguments], str]] = field(default_factory=dict)
    dynamic: bool = False

    @property
    def op(self) -> Any:
        return getattr(torch.ops.geospec, self.name)

    def __repr__(self) -> str:
        return self.name


def soup(dtype: torch.dtype, seed: int, n: int = 40, f: int = 90) -> tuple[Tensor, Tensor]:
    """Random vertices and faces with distinct corners: non-manifold edges, every orientation, isolated vertices."""
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.randn(n, 3, generator=generator, dtype=torch.float64).to(dtype)
    faces = torch.stack([torch.randperm(n - 3, generator=generator)[:3] for _ in range(f)])
    return vertices, faces


def assembly_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    vertices, faces = soup(dtype, seed)
    cotangents, areas = cotangent_reference(vertices, faces)
    return cotangents, areas, faces, *reference_adjacency(faces, len(vertices))


def cotangent_adjoint(grad_cotangents: Tensor, grad_areas: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    corners = vertices[faces].detach().requires_grad_()
    each = torch.arange(corners.numel() // 3).reshape(-1, 3)
    outputs = cotangent_reference(corners.reshape(-1, 3), each)
    return torch.autograd.grad(outputs, corners, (grad_cotangents, grad_areas))[0]


def cotangent_adjoint_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    vertices, faces = soup(dtype, seed)
    return torch.randn(len(faces), 3).to(dtype), torch.randn(len(faces)).to(dtype), vertices, faces


def assembly_adjoint(grad_values: Tensor, grad_mass: Tensor, faces: Tensor, crow: Tensor, col: Tensor) -> tuple[Tensor, Tensor]:
    cotangents = torch.zeros(len(faces), 3, dtype=grad_values.dtype, requires_grad=True)
    areas = torch.zeros(len(faces), dtype=grad_values.dtype, requires_grad=True)
    offsets, corners, *_ = reference_adjacency(faces, len(crow) - 1)
    outputs = assembly_reference(cotangents, areas, faces, offsets, corners, crow, col)
    return torch.autograd.grad(outputs, (cotangents, areas), (grad_values, grad_mass))


def assembly_adjoint_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    _, _, faces, _, _, crow, col = assembly_inputs(dtype, seed)
    return torch.randn(len(col)).to(dtype), torch.randn(len(crow) - 1).to(dtype), faces, crow, col


def nearest_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    generator = torch.Generator().manual_seed(seed)
    queries, points = (torch.randn(n, 3, generator=generator, dtype=torch.float64).to(dtype) for n in (6, 60))
    return queries, points, "tree"


def robust_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """A soup so dense that most edges have three faces and more, of one to three layers."""
    vertices, faces = soup(dtype, seed, n=11, f=24)
    generator = torch.Generator().manual_seed(seed)
    return vertices, faces, torch.randint(1, 4, (len(faces),), generator=generator), 1e-3, True


def cloud_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(18, 3, generator=generator, dtype=torch.float64)
    points = (points / points.norm(dim=1, keepdim=True)).to(dtype)
    return points, torch.cdist(points, points).topk(9, largest=False).indices


def with_argument(position: int, change: Callable[[Any], Any]) -> Callable[[Arguments], Arguments]:
    return lambda arguments: tuple(change(a) if i == position else a for i, a in enumerate(arguments))


def no_faces(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return torch.zeros(4, 3, dtype=dtype), torch.zeros(0, 3, dtype=torch.int64)


def neighbour_inputs(dtype: torch.dtype, seed: int) -> tuple[Tensor, ...]:
    """Two batches and an empty one between them."""
    queries, points, _ = nearest_inputs(dtype, seed)
    return queries, points, torch.tensor([0, 4, 4, 6]), torch.tensor([0, 33, 35, 60])


def zoomout_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Three maps from (5, 6) to (19, 17) modes of samples that are not orthonormal, one size twice."""
    generator = torch.Generator().manual_seed(seed)
    source, target, maps = (torch.randn(*s, generator=generator, dtype=torch.float64).to(dtype) for s in ((47, 19), (41, 17), (3, 6, 5)))
    measure = (torch.rand(41, generator=generator, dtype=torch.float64) + 0.5).to(dtype)
    factor = torch.linalg.cholesky(target.double().T @ (measure[:, None] * target).double())
    return maps, source, target, [5, 8, 12, 19, 19], [6, 9, 12, 16, 17], measure, factor, 1.3


def csr_pattern(seed: int, n: int, m: int) -> tuple[Tensor, Tensor]:
    """Rows of 0 to 6 entries, columns in any order and sometimes repeated; int32 or int64 by the seed."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 7, (n,), generator=generator)
    lengths[n // 2] = 0
    crow = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    col = torch.randint(0, m, (int(crow[-1]),), generator=generator)
    return (crow.int(), col.int()) if seed % 2 else (crow, col)


def csr_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    crow, col = csr_pattern(seed, 20, 17)
    width = (3, 61, 24, 8, 16, 5, 40, 64)[seed]  # each width of the CPU's registers, and what is left over
    return crow, col, torch.randn(len(col), dtype=torch.float64).to(dtype), torch.randn(17, width, dtype=torch.float64).to(dtype)


def sampled_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    crow, col = csr_pattern(seed, 20, 17)
    return crow, col, *(torch.randn(rows, 5, dtype=torch.float64).to(dtype) for rows in (20, 17))


def filter_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """The graph Laplacian of a ring with chords, spectrum within [0, 8]."""
    ring = torch.eye(20, dtype=torch.float64)
    adjacent = sum(ring.roll(shift, 1) for shift in (1, -1, 5, -5))
    matrix = 4 * ring - adjacent
    rows, col = matrix.nonzero(as_tuple=True)
    crow = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(rows).cumsum(0)])
    index = torch.int32 if seed % 2 else torch.int64
    x = torch.randn(20, (2, 9, 35, 4, 8, 16, 32, 33)[seed], dtype=torch.float64).to(dtype)
    return crow.to(index), col.to(index), matrix[rows, col].to(dtype), x, seed + 1, 1.0, 8.5


def smooth_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Random symmetric weights on a ring with chords, vertices in random order, and a vertex that has no entry."""
    generator = torch.Generator().manual_seed(seed)
    n = 23
    ring = torch.eye(n - 1, dtype=torch.float64)
    pattern = torch.zeros(n, n, dtype=torch.float64)
    pattern[:-1, :-1] = ring + sum(ring.roll(shift, 1) for shift in (1, -1, 4, -4))
    weights = torch.rand(n, n, generator=generator, dtype=torch.float64)
    order = torch.randperm(n, generator=generator)
    matrix = ((weights + weights.T) * pattern / 5)[order][:, order]
    rows, col = matrix.nonzero(as_tuple=True)
    crow = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(rows, minlength=n).cumsum(0)])
    index = torch.int32 if seed % 2 else torch.int64
    width, steps = ((3, 1), (9, 7), (35, 4), (8, 2), (16, 12), (32, 3), (33, 9), (70, 5))[seed]
    x = torch.randn(n, width, generator=generator, dtype=torch.float64).to(dtype)
    return crow.to(index), col.to(index), matrix[rows, col].to(dtype), x, steps


def smooth_adjoint_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    arguments = smooth_inputs(dtype, seed)
    return torch.randn(arguments[3].shape, dtype=torch.float64).to(dtype), *arguments


def energy_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(19, width, generator=generator, dtype=torch.float64).to(dtype) for width in (4 + seed, 7 + 5 * seed))


TREE = ([2, 3, 2], 3, 2)  # cells, fan and shift of details (3, 5, 4): children are missing before the first and after the last


def tree_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Details of two shapes, their trees at cells of either, on the border and inside."""
    generator = torch.Generator().manual_seed(seed)
    detail = torch.randn(2, 2, 3, 5, 4, generator=generator, dtype=torch.float64).to(dtype)
    return detail, torch.randperm(24, generator=generator)[: 10 + 2 * seed].sort().values, *TREE


def tree_scatter_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    detail, rows, *_ = tree_inputs(dtype, seed)
    return torch.randn(len(rows), 2 * 27).to(dtype), rows, list(detail.shape), *TREE


def largest_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Few distinct values, both zeros, and what is not finite among them."""
    values = torch.randint(-3, 4, (3, 50), generator=torch.Generator().manual_seed(seed)).to(dtype)
    values[0, :4] = torch.tensor([float("inf"), float("nan"), -0.0, float("-inf")], dtype=dtype)
    return values, [7 * seed, 50 - seed, 13]


def tall_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """One block or several, square ones too, wide ones that take rows in several parts."""
    generator = torch.Generator().manual_seed(seed)
    shape = ((11, 4), (5, 3), (700, 300), (2, 3, 7, 5), (3, 9, 4), (8, 8), (5, 6, 1), (40, 17))[seed]
    return (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype),)


def map_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Maps of every remainder by lanes and tiles, none or several leading dimensions, a Gram matrix that is not quite symmetric."""
    generator = torch.Generator().manual_seed(seed)
    k_t, k_s, *leading = ((8, 12), (3, 4, 2), (9, 7, 2, 3), (17, 5, 3), (1, 33), (5, 6, 2), (20, 1), (11, 10, 2))[seed]
    features, right, penalty, skew = (
        torch.randn(*leading, rows, columns, generator=generator, dtype=torch.float64)
        for rows, columns in ((k_s, k_s + 4), (k_t, k_s), (k_t, k_s), (k_s, k_s))
    )
    gram = features @ features.mT / k_s + 0.1 * (skew - skew.mT)
    return gram.to(dtype), right.to(dtype), (0.1 + penalty.abs()).to(dtype)


def noise_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Sizes that fill blocks and that do not; draws and seeds with something in their upper words."""
    generator = torch.Generator().manual_seed(seed)
    shape = ((5, 7), (16,), (2, 3, 4), (1,), (8, 8), (3, 5), (33,), (2, 9, 11))[seed]
    clean = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    sigma = torch.rand(4 + seed, generator=generator, dtype=torch.float64)
    return clean, sigma, seed * (2**60 + 3), seed * (2**33 + 1), ("half", "normal", "reflected")[seed % 3]


def mask_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    clean, sigma, *law = noise_inputs(dtype, seed)
    # Away from zero: by a small draw a twin's rounding would be divided.
    clean = clean.sign() * (clean.abs() + 8 * sigma.max().to(dtype))
    return clean, torch.rand(len(sigma), *clean.shape, dtype=torch.float64).to(dtype), sigma, *law


def harmonic_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Directions in every octant, a pole and points of the equator among them; sizes that fill a register's lanes and that do not."""
    generator = torch.Generator().manual_seed(seed)
    degree, n = ((5, 40), (3, 5), (9, 33), (1, 7), (4, 64), (2, 20), (17, 3), (0, 9))[seed]
    xyz = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    xyz[0], xyz[1], xyz[2] = torch.eye(3, dtype=torch.float64)[[2, 0, 1]] * torch.tensor([[-1.5], [0.5], [2.0]])
    convention = ("orthonormal", "satclip", "4pi", "locationencoder-closed-form")[seed % 4]
    return xyz.to(dtype), recurrence(degree, CONVENTIONS[convention], dtype, torch.device("cpu")), True


def harmonic_rows(dtype: torch.dtype, seed: int, *columns: int | None) -> tuple[Tensor, ...]:
    """Something random for each direction of :func:`harmonic_inputs`; None is a column for each harmonic."""
    harmonics = harmonics_reference(*harmonic_inputs(dtype, seed))
    generator = torch.Generator().manual_seed(seed + 1)
    widths = [harmonics.shape[1] if c is None else c for c in columns]
    return tuple(torch.randn(len(harmonics), c, generator=generator, dtype=torch.float64).to(dtype) for c in widths)


def harmonic_tangents(dtype: torch.dtype, seed: int) -> Arguments:
    xyz, table, normalize = harmonic_inputs(dtype, seed)
    return xyz, *harmonic_rows(dtype, seed, 3), table, normalize


def harmonic_adjoint_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    return *harmonic_rows(dtype, seed, None), *harmonic_inputs(dtype, seed)


def harmonic_hessian_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    xyz, table, normalize = harmonic_inputs(dtype, seed)
    grad, tangent = harmonic_rows(dtype, seed, None, 3)
    return grad, xyz, tangent, table, normalize


def harmonic_jvp(xyz: Tensor, tangent: Tensor, table: Tensor, normalize: bool) -> Tensor:
    return torch.func.jvp(lambda x: harmonics_forward(x, table, normalize), (xyz,), (tangent,))[1]


def harmonics_forward(xyz: Tensor, table: Tensor, normalize: bool) -> Tensor:
    """The twin, with a dependence on ``xyz`` that degree 0 lacks."""
    return harmonics_reference(xyz, table, normalize) + 0 * xyz.sum()


def harmonic_adjoint(grad: Tensor, xyz: Tensor, table: Tensor, normalize: bool) -> Tensor:
    moved = xyz.detach().clone().requires_grad_()
    return torch.autograd.grad(harmonics_forward(moved, table, normalize), moved, grad)[0]


def harmonic_hessian(grad: Tensor, xyz: Tensor, tangent: Tensor, table: Tensor, normalize: bool) -> Tensor:
    moved = xyz.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(harmonics_forward(moved, table, normalize), moved, grad, create_graph=True)
    return torch.autograd.grad(gradient, moved, tangent)[0]


def layer_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    xyz, table, normalize = harmonic_inputs(dtype, seed)
    h = (5, 3, 33, 16, 17, 64, 1, 2)[seed]
    generator = torch.Generator().manual_seed(seed + 2)
    k = harmonics_reference(xyz, table, normalize).shape[1]
    weight, bias = (torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype) for shape in ((h, k), (h,)))
    return xyz, weight, bias if seed % 2 else None, table, normalize


def layer_xyz_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    xyz, weight, _, table, normalize = layer_inputs(dtype, seed)
    return *harmonic_rows(dtype, seed, len(weight)), xyz, weight, table, normalize


def layer_weight_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    xyz, weight, _, table, normalize = layer_inputs(dtype, seed)
    return *harmonic_rows(dtype, seed, len(weight)), xyz, table, normalize


def ring_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Waves of rings that mirror one another, of rings that do not, of the equator and of a pole; one channel or several."""
    generator = torch.Generator().manual_seed(seed)
    degree, channels = ((5, 1), (3, 2), (9, 5), (1, 1), (6, 4), (2, 3), (17, 1), (0, 2))[seed]
    theta = torch.rand(7 + 5 * seed, generator=generator, dtype=torch.float64) * torch.pi / 2
    theta = torch.cat([theta, torch.pi - theta[: len(theta) // 2], torch.tensor([torch.pi / 2, 0.0], dtype=torch.float64)])
    nodes = torch.stack([theta.cos(), theta.sin(), torch.rand(len(theta), generator=generator, dtype=torch.float64)], dim=1)
    waves = torch.randn(len(theta), degree + 1, channels, 2, generator=generator, dtype=torch.float64).to(dtype)
    return waves, nodes, recurrence(degree, CONVENTIONS["orthonormal"], torch.float64, torch.device("cpu")), 0.5 if seed % 2 else 1.0


def ring_coefficients(dtype: torch.dtype, seed: int) -> Arguments:
    waves, *rest = ring_inputs(dtype, seed)
    return torch.randn(waves.shape[1] ** 2, waves.shape[2], dtype=torch.float64).to(dtype), *rest


#: What both transforms on rings refuse.
RING_REFUSALS = {
    "half": (lambda a: (a[0].half(), *a[1:]), "wanted float32 or float64"),
    "nodes of two columns": (lambda a: (a[0], a[1][:, :2], *a[2:]), r"nodes: wanted shape \(n, 3\)"),
    "nodes in float32": (lambda a: (a[0], a[1].float(), *a[2:]), "nodes: wanted float64"),
    "a table in float32": (lambda a: (a[0], a[1], a[2].float(), a[3]), "table: wanted float64"),
    "rows of a table": (lambda a: (a[0], a[1], a[2][1:], a[3]), "table: wanted .* rows, got 5"),
}


def no_harmonics(dtype: torch.dtype) -> tuple[Tensor, Tensor, bool]:
    return torch.zeros(0, 3, dtype=dtype), harmonic_inputs(dtype, 1)[1], False


def sphere_inputs(dtype: torch.dtype, seed: int, parts: int = 1) -> Arguments:
    """Directions of :func:`harmonic_inputs` and of one cell, grids of few steps and of many, each width of the CPU's registers."""
    half, h = ((7, 3), (1, 16), (20, 64), (33, 21), (5, 8), (9, 64), (12, 129), (4, 32))[seed]
    generator = torch.Generator().manual_seed(seed)
    near = torch.tensor([0.3, -0.2, 0.9]) + 1e-3 * torch.randn(300, 3, generator=generator, dtype=torch.float64)
    xyz = torch.cat([harmonic_inputs(torch.float64, seed)[0], near] if seed == 2 else [harmonic_inputs(torch.float64, seed)[0]])
    width = SAMPLING[dtype][0]
    grid = torch.randn(half + width, 2 * half + width, parts * h, generator=generator, dtype=torch.float64)
    return xyz.to(dtype), grid.to(dtype), bump_pieces(dtype, torch.device("cpu")), True


def sphere_rows(dtype: torch.dtype, seed: int, parts: int) -> Arguments:
    xyz, grid, *rest = sphere_inputs(dtype, seed, parts)
    grad = torch.randn(len(xyz), grid.shape[2] // parts, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return grad.to(dtype), xyz, grid, *rest


def grid_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Noise, so that cells of every kind occur; rows of part of a word, of one word, of more."""
    generator = torch.Generator().manual_seed(seed)
    shape = ((5, 4, 70), (3, 4, 5), (2, 2, 130), (4, 3, 64), (3, 3, 65), (3, 4, 5), (6, 7, 8), (2, 5, 63))[seed]
    grid = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (grid + 0.2 * grid.sign() + 0.25).to(dtype), 0.25


def grid_adjoint_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    grid, level = grid_inputs(dtype, seed)
    vertices, _, edges = isosurface_reference(grid, level)
    return torch.randn(vertices.shape, dtype=torch.float64).to(dtype), grid, edges, level


def spread_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    grad, xyz, grid, pieces, normalize = sphere_rows(dtype, seed, 1)
    return grad, xyz, pieces, len(grid) - len(pieces), normalize


def no_points(arguments: Arguments) -> Arguments:
    """The same with rows for no point, before ``pieces`` and the grid."""
    points = len(harmonic_inputs(torch.float64, 1)[0])
    return tuple(a[:0] if isinstance(a, Tensor) and a.dim() == 2 and len(a) == points else a for a in arguments)


#: What every op on the grid of the doubled sphere refuses, by the places of ``xyz`` and ``pieces``.
def sphere_refusals(place: int, pieces: int, last: int) -> dict[str, tuple[Callable[[Arguments], Arguments], str]]:
    return {
        "two columns": (with_argument(place, lambda x: x[:, :2]), r"xyz: wanted shape \(n, 3\), got \(20, 2\)"),
        "half": (with_argument(place, lambda x: x.half()), "xyz: wanted float32 or float64"),
        "pieces of another type": (with_argument(pieces, lambda p: p.float()), "pieces: wanted the type of xyz"),
        "not finite": (with_argument(place, lambda x: x / 0), "xyz: wanted finite vectors other than zero, got .* in row 0"),
        "not on the sphere": (with_argument(last, lambda _: False), "xyz: wanted vectors of length 1, got length 1.5 in row 0"),
    }


#: What every op on directions refuses, by the place of ``xyz`` among its arguments.
def harmonic_refusals(place: int, table: int) -> dict[str, tuple[Callable[[Arguments], Arguments], str]]:
    return {
        "two columns": (with_argument(place, lambda x: x[:, :2]), r"xyz: wanted shape \(n, 3\), got \(20, 2\)"),
        "half": (with_argument(place, lambda x: x.half()), "xyz: wanted float32 or float64"),
        "rows of a table": (with_argument(table, lambda t: t[1:]), r"table: wanted \(degree \+ 1\)\(degree \+ 2\) / 2 rows, got 5"),
        "columns of a table": (with_argument(table, lambda t: t[:, :3]), r"table: wanted shape \(n, 4\)"),
        "table of another type": (with_argument(table, lambda t: t.float()), "table: wanted the type of xyz"),
        "no direction": (with_argument(place, lambda x: x * (torch.arange(20) != 4)[:, None]), "xyz: wanted finite vectors .* in row 4"),
        "not finite": (with_argument(place, lambda x: x / 0), "xyz: wanted finite vectors other than zero, got .* in row 0"),
        "not on the sphere": (with_argument(table + 1, lambda _: False), "xyz: wanted vectors of length 1, got length 1.5 in row 0"),
    }


# By the seed: sizes below a register and beyond, filters longer than the grid, one filter alone, adjoints.
WAVELET_LEVELS = [
    ((2,), (7, 12, 19), "bior6.8", "constant", 2, False),
    ((), (3, 2, 5), "bior6.8", "periodization", 2, True),
    ((1, 3), (6, 3, 5), "bior6.8", "symmetric", 1, False),
    ((), (40, 21, 16), "bior6.8", "zero", 2, False),
    ((), (9, 6, 8), "bior6.8", "constant", 2, True),
    ((), (6, 5, 4), "bior6.8", "smooth", 1, True),
    ((2,), (18, 33, 35), "bior6.8", "antireflect", 2, False),
    ((), (17, 34, 50), "bior6.8", "reflect", 2, True),
]


def analysis_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    leading, shape, wavelet, mode, bands, adjoint = WAVELET_LEVELS[seed]
    bank = filters(wavelet)
    grid = torch.randn(*leading, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    return grid, torch.stack((bank[2:] if adjoint else bank[:2])[:bands]), mode, adjoint


def synthesis_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    leading, shape, wavelet, mode, bands, adjoint = WAVELET_LEVELS[seed]
    bank = filters(wavelet)
    cells = level_shapes(shape, wavelet, 1, mode)[1]
    generator = torch.Generator().manual_seed(seed)
    coarse, details = (
        torch.randn(*leading, *some, *cells, generator=generator, dtype=torch.float64).to(dtype) for some in ((), (7 if bands == 2 else 0,))
    )
    return coarse, details, list(shape), torch.stack((bank[:2] if adjoint else bank[2:])[:bands]), mode, adjoint


def wavelet_refusals(taps: int) -> dict[str, tuple[Callable[[Arguments], Arguments], str]]:
    return {
        "odd filters": (with_argument(taps, lambda t: t[:, 1:]), r"taps: wanted shape \(1 or 2, length\) of an even length, got \(1, 17\)"),
        "filters of another type": (with_argument(taps, lambda t: t.float()), "taps: wanted float64, got another type"),
        "mode": (with_argument(taps + 1, lambda _: "edge"), "mode: wanted one of constant, zero, .*, got edge"),
    }


def sdf_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    """Closed and open octahedra that lost their symmetry, soups, one face without area; boxes and cells of unlike sides."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.cat([torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)])
    vertices = torch.cat([ends + 0.2 * torch.randn(6, 3, generator=generator, dtype=torch.float64), ends[:1] * 0.9])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5], [6, 6, 6]])
    sign = ("auto", "parity", "winding", "nonzero", "auto", "auto", "unsigned", "auto")[seed]
    if seed in (2, 4):
        faces = faces[1:]
    if seed in (3, 6):
        vertices, faces = (0.5 * x if x.is_floating_point() else x for x in soup(torch.float64, seed))
    shape = [(9, 11, 6), (4, 3, 5), (8, 7, 9), (5, 17, 3), (6, 6, 6), (2, 2, 2), (1, 20, 18), (7, 12, 10)][seed]
    return vertices.to(dtype), faces, list(shape), 0.6, [-1.1, -1.2, -1.3], [1.2, 1.4, 1.6], sign, False


def sdf_adjoint_inputs(dtype: torch.dtype, seed: int) -> Arguments:
    vertices, faces, shape, truncation, lower, upper, sign, _ = sdf_inputs(dtype, seed)
    values, nearest = sdf_reference(vertices, faces, shape, truncation, lower, upper, sign, True)
    grad = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return grad.to(dtype), vertices, faces, values, nearest, lower, upper


OPS = [
    OpCase(
        "cotangent",
        soup,
        cotangent_reference,
        no_faces,
        differentiable=(0,),
        refusals={
            "two columns": (with_argument(0, lambda v: v[:, :2]), r"vertices: wanted shape \(n, 3\), got \(40, 2\)"),
            "half": (with_argument(0, lambda v: v.half()), "vertices: wanted float32 or float64"),
            "quads": (with_argument(1, lambda f: f.repeat(1, 2)[:, :4]), r"faces: wanted shape \(n, 3\)"),
            "int32": (with_argument(1, lambda f: f.int()), "faces: wanted int64"),
            "too large": (with_argument(1, lambda f: f + 20), r"faces: wanted indices in \[0, 40\), got"),
            "negative": (with_argument(1, lambda f: f - 20), r"faces: wanted indices in \[0, 40\), got -"),
        },
    ),
    OpCase(
        "cotangent_backward",
        cotangent_adjoint_inputs,
        cotangent_adjoint,
        lambda dtype: (torch.zeros(0, 3, dtype=dtype), torch.zeros(0, dtype=dtype), *no_faces(dtype)),
        refusals={
            "rows": (with_argument(0, lambda g: g[1:]), "grad_cotangents: wanted one row per face"),
            "areas": (with_argument(1, lambda g: g[1:]), r"grad_areas: wanted shape \(90,\)"),
            "mixed types": (
                with_argument(0, lambda g: g.to(torch.float64 if g.dtype == torch.float32 else torch.float32)),
                "wanted the type of vertices",
            ),
        },
    ),
    OpCase(
        "mesh_adjacency",
        lambda dtype, seed: (soup(dtype, seed)[1], 40),
        reference_adjacency,
        lambda dtype: (no_faces(dtype)[1], 4),
        refusals={
            "too few vertices": (with_argument(1, lambda n: 5), r"faces: wanted indices in \[0, 5\)"),
            "negative": (with_argument(0, lambda f: f - 5), r"faces: wanted indices in \[0, 40\)"),
            "int32": (with_argument(0, lambda f: f.int()), "faces: wanted int64"),
        },
        dynamic=True,
    ),
    OpCase(
        "assemble_stiffness",
        assembly_inputs,
        assembly_reference,
        lambda dtype: (
            torch.zeros(0, 3, dtype=dtype),
            torch.zeros(0, dtype=dtype),
            no_faces(dtype)[1],
            *reference_adjacency(no_faces(dtype)[1], 4),
        ),
        differentiable=(0, 1),
        refusals={
            "rows": (with_argument(0, lambda c: c[1:]), "cotangents: wanted one row per face"),
            "areas": (with_argument(1, lambda a: a[1:]), r"areas: wanted shape \(90,\)"),
            "offsets": (with_argument(3, lambda o: o[1:]), r"offsets: wanted shape \(41,\)"),
            "corners": (with_argument(4, lambda c: c[1:]), r"corners: wanted shape \(270,\)"),
            "no rows": (with_argument(5, lambda c: c[:0]), "crow: wanted shape"),
        },
    ),
    OpCase(
        "assemble_stiffness_backward",
        assembly_adjoint_inputs,
        assembly_adjoint,
        lambda dtype: (torch.zeros(4, dtype=dtype), torch.zeros(4, dtype=dtype), no_faces(dtype)[1], torch.arange(5), torch.arange(4)),
        differentiable=(0, 1),
        refusals={
            "values": (with_argument(0, lambda g: g[1:]), "grad_values: wanted shape"),
            "mass": (with_argument(1, lambda g: g[1:]), r"grad_mass: wanted shape \(40,\)"),
        },
    ),
    OpCase(
        "spectral_nearest",
        nearest_inputs,
        lambda *arguments: nearest_reference(*arguments)[::-1],
        lambda dtype: (torch.zeros(0, 5, dtype=dtype), torch.zeros(3, 5, dtype=dtype)),
        differentiable=(0, 1),
        refusals={
            "vector": (with_argument(0, lambda x: x[0]), r"queries: wanted shape \(n, d\), got \(3,\)"),
            "columns": (with_argument(1, lambda x: x[:, :2]), r"points: wanted shape \(n, 3\), got \(60, 2\)"),
            "half": (with_argument(0, lambda x: x.half()), "points: wanted the type of queries"),
            "no points": (with_argument(1, lambda x: x[:0]), "points: wanted at least one row"),
            "not finite": (with_argument(1, lambda x: x / 0), "points: wanted finite values"),
            "method": (with_argument(2, lambda x: "ball"), "method: wanted one of 'auto', 'tree', 'brute', got 'ball'"),
        },
    ),
    OpCase(
        "robust_stiffness",
        robust_inputs,
        robust_reference,
        lambda dtype: (*no_faces(dtype), torch.zeros(0, dtype=torch.int64), 1e-5, True),
        refusals={
            "two columns": (with_argument(0, lambda v: v[:, :2]), r"vertices: wanted shape \(n, 3\), got \(11, 2\)"),
            "half": (with_argument(0, lambda v: v.half()), "vertices: wanted float32 or float64"),
            "not finite": (with_argument(0, lambda v: v / 0), "vertices: wanted finite coordinates, got .* in vertex 0"),
            "int32": (with_argument(1, lambda f: f.int()), "faces: wanted int64"),
            "too large": (with_argument(1, lambda f: f + 4), r"faces: wanted indices in \[0, 11\), got"),
            "negative": (with_argument(1, lambda f: f - 4), r"faces: wanted indices in \[0, 11\), got -"),
            "multiplicity": (with_argument(2, lambda m: m[1:]), r"multiplicity: wanted shape \(24,\)"),
            "no times": (with_argument(2, lambda m: m - 1), "multiplicity: wanted 1 to 255, got 0"),
            "factor": (with_argument(3, lambda x: -x), "mollify_factor: wanted a finite number of at least 0"),
            "not a surface": (with_argument(4, lambda x: False), "faces: wanted an oriented manifold mesh"),
        },
        dynamic=True,
    ),
    OpCase(
        "local_triangles",
        cloud_inputs,
        local_triangles_reference,
        lambda dtype: (torch.zeros(0, 3, dtype=dtype), torch.zeros(0, 5, dtype=torch.int64)),
        refusals={
            "two columns": (with_argument(0, lambda v: v[:, :2]), r"points: wanted shape \(n, 3\), got \(18, 2\)"),
            "not finite": (with_argument(0, lambda v: v / 0), "points: wanted finite coordinates, got .* in point 0"),
            "rows": (with_argument(1, lambda i: i[1:]), "neighbours: wanted one row per point, 18, got 17"),
            "int32": (with_argument(1, lambda i: i.int()), "neighbours: wanted int64"),
            "too large": (with_argument(1, lambda i: i + 9), r"neighbours: wanted indices in \[0, 18\), got"),
        },
        dynamic=True,
    ),
    OpCase(
        "knn",
        lambda dtype, seed: (*neighbour_inputs(dtype, seed)[:2], 4, False, *neighbour_inputs(dtype, seed)[2:]),
        knn_reference,
        lambda dtype: (torch.zeros(0, 5, dtype=dtype), torch.zeros(3, 5, dtype=dtype), 2),
        differentiable=(0, 1),
        refusals={
            "vector": (with_argument(0, lambda x: x[0]), r"queries: wanted shape \(n, d\), got \(3,\)"),
            "columns": (with_argument(1, lambda x: x[:, :2]), r"points: wanted shape \(n, 3\), got \(60, 2\)"),
            "no columns": (lambda a: (a[0][:, :0], a[1][:, :0], *a[2:]), "queries: wanted at least one column"),
            "half": (with_argument(0, lambda x: x.half()), "queries: wanted float32 or float64"),
            "mixed types": (with_argument(0, lambda x: x.float()), "points: wanted the type of queries"),
            "not finite": (with_argument(1, lambda x: x / 0), "points: wanted finite values"),
            "k of zero": (with_argument(2, lambda k: 0), "k: wanted at least 1, got 0"),
            "k too large": (with_argument(2, lambda k: 26), "k: wanted at most the 25 points of batch 2, got 26"),
            "one pair of offsets": (with_argument(4, lambda o: None), "query_offsets: wanted them together with point_offsets"),
            "offsets that end early": (
                with_argument(5, lambda o: o - 1),
                "point_offsets: wanted offsets from 0 to the 60 rows, got from -1 to 59",
            ),
            "offsets that fall": (
                with_argument(5, lambda o: o[[0, 2, 1, 3]]),
                "point_offsets: wanted offsets that never fall, got 35 before 33",
            ),
            "fewer batches": (with_argument(4, lambda o: o[[0, 3]]), "query_offsets: wanted as many as point_offsets, 4, got 2"),
            "offsets of floats": (with_argument(4, lambda o: o.double()), "query_offsets: wanted int64"),
            "self of others": (with_argument(3, lambda e: True), "exclude_self: wanted queries that are the points"),
        },
    ),
    OpCase(
        "radius_search",
        lambda dtype, seed: (*neighbour_inputs(dtype, seed)[:2], 1.5, 5, False, *neighbour_inputs(dtype, seed)[2:]),
        reference_radius_search,
        lambda dtype: (torch.zeros(0, 5, dtype=dtype), torch.zeros(3, 5, dtype=dtype), 1.0),
        differentiable=(0, 1),
        refusals={
            "columns": (with_argument(1, lambda x: x[:, :2]), r"points: wanted shape \(n, 3\), got \(60, 2\)"),
            "not finite": (with_argument(0, lambda x: x / 0), "queries: wanted finite values"),
            "negative": (with_argument(2, lambda r: -1.0), "radius: wanted a finite number, at least 0, got -1"),
            "infinite": (with_argument(2, lambda r: float("inf")), "radius: wanted a finite number"),
            "no room": (with_argument(3, lambda m: 0), "most: wanted at least 1, got 0"),
        },
        dynamic=True,
    ),
    OpCase(
        "farthest_points",
        lambda dtype, seed: (nearest_inputs(dtype, seed)[1], 20, 3),
        farthest_reference,
        lambda dtype: (torch.zeros(0, 5, dtype=dtype), 0),
        refusals={
            "vector": (with_argument(0, lambda x: x[0]), r"points: wanted shape \(n, d\), got \(3,\)"),
            "half": (with_argument(0, lambda x: x.half()), "points: wanted float32 or float64"),
            "not finite": (with_argument(0, lambda x: x / 0), "points: wanted finite values"),
            "too many": (with_argument(1, lambda m: 61), "m: wanted between 0 and the 60 points, got 61"),
            "start": (with_argument(2, lambda s: 60), r"start: wanted an index in \[0, 60\), got 60"),
        },
    ),
    OpCase(
        "spectral_knn",
        lambda dtype, seed: (*nearest_inputs(dtype, seed)[:2], 4, "tree"),
        spectral_knn_reference,
        lambda dtype: (torch.zeros(0, 5, dtype=dtype), torch.zeros(3, 5, dtype=dtype), 2),
        differentiable=(0, 1),
        refusals={
            "columns": (with_argument(1, lambda x: x[:, :2]), r"points: wanted shape \(n, 3\), got \(60, 2\)"),
            "not finite": (with_argument(0, lambda x: x / 0), "queries: wanted finite values"),
            "none": (with_argument(2, lambda k: 0), "k: wanted 1 to the number of points, 60, got 0"),
            "too many": (with_argument(2, lambda k: 61), "k: wanted 1 to the number of points, 60, got 61"),
            "method": (with_argument(3, lambda x: "ball"), "method: wanted one of 'auto', 'tree', 'brute', got 'ball'"),
        },
    ),
    OpCase(
        "zoomout",
        zoomout_inputs,
        zoomout_reference,
        lambda dtype: (*(torch.ones(s, dtype=dtype) for s in ((0, 2, 2), (3, 2), (0, 2))), [2, 2], [2, 2]),
        refusals={
            "one map": (with_argument(0, lambda c: c[0]), r"maps: wanted shape \(b, k_t, k_s\) with .*, got \(6, 5\)"),
            "half": (with_argument(0, lambda c: c.half()), "maps: wanted float32 or float64"),
            "mixed types": (with_argument(1, lambda x: x.float()), "source: wanted the type of maps"),
            "no source": (with_argument(1, lambda x: x[:0]), "source: wanted at least one row, got none"),
            "one size": (with_argument(3, lambda k: k[:1]), "source_sizes: wanted at least two sizes, got 1"),
            "another start": (with_argument(3, lambda k: [4, *k[1:]]), "source_sizes: wanted to start at the size of the maps, 5, got 4"),
            "another end": (with_argument(4, lambda k: [*k[:-1], 16]), "target_sizes: wanted to end at the number of columns, 17, got 16"),
            "falling": (with_argument(3, lambda k: [5, 12, 8, 19, 19]), "source_sizes: wanted sizes that never fall, got 8 after 12"),
            "fewer sizes": (with_argument(4, lambda k: k[1:]), "target_sizes: wanted"),
            "measure": (with_argument(5, lambda m: m[1:]), r"measure: wanted shape \(41,\), got \(40,\)"),
            "factor": (with_argument(6, lambda f: f[1:, 1:]), r"factor: wanted shape \(17, 17\), got \(16, 16\)"),
            "narrow factor": (with_argument(6, lambda f: f.float()), "factor: wanted float64"),
            "not finite": (with_argument(2, lambda x: x / 0), "target: wanted finite values"),
            "maps not finite": (with_argument(0, lambda c: c / 0), "maps: wanted finite values"),
        },
    ),
    OpCase(
        "csr_matmul",
        csr_inputs,
        csr_reference,
        lambda dtype: (torch.zeros(4, dtype=torch.int64), torch.arange(0), torch.zeros(0, dtype=dtype), torch.ones(2, 9, dtype=dtype)),
        differentiable=(2, 3),
        refusals={
            "vector": (with_argument(3, lambda x: x[0]), r"x: wanted shape \(n, d\), got \(5,\)"),
            "half": (with_argument(3, lambda x: x.half()), "x: wanted float32 or float64"),
            "mixed": (with_argument(2, lambda v: v.float()), "values: wanted the type of x"),
            "short": (with_argument(2, lambda v: v[1:]), r"values: wanted shape \(\d+,\)"),
            "floating indices": (with_argument(0, lambda c: c.double()), "crow: wanted int32 or int64"),
            "mixed indices": (with_argument(0, lambda c: c.long()), "col: wanted the type of crow"),
            "no offsets": (with_argument(0, lambda c: c[:0]), "crow: wanted shape"),
            "offsets": (with_argument(0, lambda c: c[:-1]), "crow: wanted offsets from 0 to the"),
            "descending": (with_argument(0, lambda c: torch.cat([c[:1], c[1:-1].flip(0), c[-1:]])), "crow: wanted offsets that do not"),
            "too large": (with_argument(1, lambda c: c + 9), r"col: wanted indices in \[0, 17\)"),
            "negative": (with_argument(1, lambda c: c - 9), r"col: wanted indices in \[0, 17\)"),
        },
    ),
    OpCase(
        "csr_sampled_products",
        sampled_inputs,
        reference_sampled,
        lambda dtype: (torch.zeros(4, dtype=torch.int64), torch.arange(0), torch.ones(3, 2, dtype=dtype), torch.ones(0, 2, dtype=dtype)),
        differentiable=(2, 3),
        refusals={
            "rows": (with_argument(2, lambda x: x[1:]), "left: wanted one row for each row of the matrix, 20, got 19"),
            "columns": (with_argument(3, lambda x: x[:, 1:]), r"right: wanted shape \(n, 5\), got \(17, 4\)"),
            "mixed": (with_argument(3, lambda x: x.float()), "right: wanted the type of left"),
            "too large": (with_argument(1, lambda c: c + 9), r"col: wanted indices in \[0, 17\)"),
        },
    ),
    OpCase(
        "chebyshev_filter",
        filter_inputs,
        reference_filter,
        lambda dtype: (
            *(torch.zeros(1, dtype=torch.int64), torch.arange(0)),
            *(torch.zeros(s, dtype=dtype) for s in (0, (0, 3))),
            3,
            0.0,
            1.0,
        ),
        differentiable=(3,),
        refusals={
            "rows": (with_argument(3, lambda x: x[1:]), "x: wanted one row for each row of the matrix, 20, got 19"),
            "degree": (with_argument(4, lambda degree: -1), "degree: wanted 0 or more, got -1"),
            "interval": (with_argument(6, lambda upper: 1.0), "upper: wanted more than lower, 1"),
            "not a number": (with_argument(6, lambda upper: float("nan")), "upper: wanted more than lower, 1"),
        },
    ),
    OpCase(
        "graph_smooth",
        smooth_inputs,
        smooth_reference,
        lambda dtype: (torch.zeros(1, dtype=torch.int64), torch.arange(0), *(torch.zeros(s, dtype=dtype) for s in (0, (0, 3))), 5),
        differentiable=(2, 3),
        refusals={
            "rows": (with_argument(3, lambda x: x[1:]), "x: wanted one row for each row of the matrix, 23, got 22"),
            "steps": (with_argument(4, lambda steps: -1), "steps: wanted 0 or more, got -1"),
            "mixed": (with_argument(2, lambda v: v.float()), "values: wanted the type of x"),
            "too large": (with_argument(1, lambda c: c + 9), r"col: wanted indices in \[0, 23\)"),
            "negative": (with_argument(1, lambda c: c - 9), r"col: wanted indices in \[0, 23\)"),
        },
    ),
    OpCase(
        "graph_smooth_values_backward",
        smooth_adjoint_inputs,
        reference_values_backward,
        lambda dtype: (
            torch.zeros(0, 3, dtype=dtype),
            *(torch.zeros(1, dtype=torch.int64), torch.arange(0)),
            *(torch.zeros(s, dtype=dtype) for s in (0, (0, 3))),
            5,
        ),
        refusals={
            "rows": (with_argument(0, lambda g: g[1:]), r"grad: wanted the shape of x, \(23, 32\), got \(22, 32\)"),
            "columns": (with_argument(0, lambda g: g[:, 1:]), r"grad: wanted shape \(n, 32\), got \(23, 31\)"),
            "mixed": (with_argument(0, lambda g: g.float()), "grad: wanted the type of x"),
            "steps": (with_argument(5, lambda steps: -1), "steps: wanted 0 or more, got -1"),
            "too large": (with_argument(2, lambda c: c + 9), r"col: wanted indices in \[0, 23\)"),
        },
    ),
    OpCase(
        "tree_gather",
        tree_inputs,
        reference_gather,
        lambda dtype: (torch.zeros(0, 2, 3, 5, 4, dtype=dtype), torch.arange(0), *TREE),
        differentiable=(0,),
        refusals={
            "dimensions": (with_argument(0, lambda d: d[0]), r"detail: wanted shape \(b, bands, q0, q1, q2\), got \(2, 3, 5, 4\)"),
            "half": (with_argument(0, lambda d: d.half()), "detail: wanted float32 or float64"),
            "rows": (with_argument(1, lambda rows: rows.int()), "rows: wanted int64"),
            "too large": (with_argument(1, lambda rows: rows + 23), r"rows: wanted cells in \[0, 24\)"),
            "twice": (with_argument(1, lambda rows: rows * 0), "rows: wanted cells that ascend, got 0 after 0"),
            "cells": (with_argument(2, lambda cells: cells[:2]), "cells: wanted three sizes, got 2"),
            "orphans": (with_argument(2, lambda cells: [2, 3, 1]), "cells: wanted 3 x cells, .* to cover the 4 details of axis 2"),
            "fan": (with_argument(3, lambda fan: 0), "fan: wanted 1 or more, got 0"),
            "shift": (with_argument(4, lambda shift: -1), "a shift of 0 or more"),
        },
    ),
    OpCase(
        "tree_scatter",
        tree_scatter_inputs,
        reference_scatter,
        lambda dtype: (torch.zeros(0, 54, dtype=dtype), torch.arange(0), [2, 2, 3, 5, 4], *TREE),
        differentiable=(0,),
        refusals={
            "columns": (with_argument(0, lambda v: v[:, 1:]), "values: wanted 54 columns, one a child of each band, got 53"),
            "rows": (with_argument(1, lambda rows: rows[1:]), "values: wanted a row for each of rows"),
            "twice": (with_argument(1, lambda rows: rows // 2), "rows: wanted cells that ascend"),
            "shape": (with_argument(2, lambda shape: shape[1:]), r"shape: wanted \(b, bands, q0, q1, q2\), got 4 sizes"),
        },
    ),
    OpCase(
        "tree_pack",
        lambda dtype, seed: (tree_inputs(dtype, seed)[0], *TREE),
        reference_pack,
        lambda dtype: (torch.zeros(0, 2, 3, 5, 4, dtype=dtype), *TREE),
        differentiable=(0,),
        refusals={
            "dimensions": (with_argument(0, lambda d: d[0]), "detail: wanted shape"),
            "orphans": (with_argument(1, lambda cells: [1, 3, 2]), "cells: wanted 3 x cells, .* to cover the 3 details of axis 0"),
        },
    ),
    OpCase(
        "tree_unpack",
        lambda dtype, seed: (reference_pack(tree_inputs(dtype, seed)[0], *TREE) + 1, [3, 5, 4], *TREE[1:]),
        reference_unpack,
        lambda dtype: (torch.zeros(0, 54, 2, 3, 2, dtype=dtype), [3, 5, 4], *TREE[1:]),
        differentiable=(0,),
        refusals={
            "dimensions": (with_argument(0, lambda c: c[0]), "channels: wanted shape"),
            "channels": (with_argument(0, lambda c: c[:, 1:]), "channels: wanted a multiple of 27 of them, one a child, got 53"),
            "orphans": (with_argument(1, lambda shape: [3, 5, 5]), "cells: wanted 3 x cells, .* to cover the 5 details of axis 2"),
        },
    ),
    OpCase(
        "tree_largest",
        largest_inputs,
        reference_largest,
        lambda dtype: (torch.zeros(0, 9, dtype=dtype), []),
        refusals={
            "vector": (with_argument(0, lambda v: v[0]), "values: wanted shape"),
            "counts": (with_argument(1, lambda counts: counts[1:]), "counts: wanted one for each row of values, 3, got 2"),
            "too many": (with_argument(1, lambda counts: [51, 0, 0]), "counts: wanted between 0 and the 50 values of a row, got 51"),
            "negative": (with_argument(1, lambda counts: [-1, 0, 0]), "counts: wanted between 0 and the 50 values of a row, got -1"),
        },
    ),
    OpCase(
        "captured_energy",
        energy_inputs,
        energy_reference,
        lambda dtype: (torch.zeros(0, 3, dtype=dtype), torch.zeros(0, 2, dtype=dtype)),
        differentiable=(0, 1),
        refusals={
            "vector": (with_argument(0, lambda q: q[0]), r"q: wanted shape \(n, d\), got \(9,\)"),
            "rows": (with_argument(1, lambda f: f[1:]), "f: wanted one row for each row of q, 19, got 18"),
            "half": (with_argument(0, lambda q: q.half()), "q: wanted float32 or float64"),
            "mixed": (with_argument(1, lambda f: f.float()), "f: wanted the type of q"),
        },
    ),
    OpCase(
        "cholesky_qr",
        tall_inputs,
        qr_reference,
        lambda dtype: (torch.zeros(0, 5, 3, dtype=dtype),),
        differentiable=(0,),
        refusals={
            "vector": (with_argument(0, lambda z: z[0]), r"z: wanted shape \(..., n, k\) with n >= k, got \(8,\)"),
            "wide": (with_argument(0, lambda z: z[:3]), r"z: wanted shape \(..., n, k\) with n >= k, got \(3, 8\)"),
            "half": (with_argument(0, lambda z: z.half()), "z: wanted float32 or float64"),
            "not finite": (with_argument(0, lambda z: z / 0), "z: wanted finite values, got a value that is not, in column 0"),
            "zero": (with_argument(0, lambda z: z * (torch.arange(8) != 6)), "z: wanted independent columns, got column 6,"),
            "twice": (with_argument(0, lambda z: z[:, [0, 1, 2, 1]]), "z: wanted independent columns, got column 3,"),
        },
    ),
    OpCase(
        "masked_map_solve",
        map_inputs,
        map_solve_reference,
        lambda dtype: (torch.ones(2, 3, 3, dtype=dtype), torch.zeros(2, 0, 3, dtype=dtype), torch.zeros(2, 0, 3, dtype=dtype)),
        differentiable=(0, 1, 2),
        refusals={
            "vector": (with_argument(1, lambda r: r[0, 0]), r"right: wanted shape \(..., k_t, k_s\), got \(6,\)"),
            "gram": (with_argument(0, lambda g: g[:, 1:]), r"gram: wanted shape \(..., 6, 6\) with .* right, \(2, 5, 6\), got \(2, 5, 6\)"),
            "batch": (with_argument(0, lambda g: g[:1]), r"gram: wanted shape .* got \(1, 6, 6\)"),
            "penalty": (with_argument(2, lambda p: p[:, 1:]), r"penalty: wanted the shape of right, \(2, 5, 6\), got \(2, 4, 6\)"),
            "half": (with_argument(1, lambda r: r.half()), "right: wanted float32 or float64"),
            "mixed": (with_argument(2, lambda p: p.float()), "penalty: wanted the type of right"),
        },
    ),
    OpCase(
        "noisy_magnitudes",
        noise_inputs,
        noise_reference,
        lambda dtype: (torch.zeros(0, 3, dtype=dtype), torch.ones(2, dtype=torch.float64), 0, 0, "normal"),
        refusals={
            "half": (with_argument(0, lambda c: c.half()), "clean: wanted float32 or float64"),
            "float32 levels": (with_argument(1, lambda s: s.float()), r"sigma: wanted float64 levels \(n,\), one a draw"),
            "one level": (with_argument(1, lambda s: s[0]), r"sigma: wanted float64 levels \(n,\), one a draw, got \(\)"),
            "seed": (with_argument(2, lambda seed: -1), "seed: wanted 0 or more, got -1"),
            "first": (with_argument(3, lambda first: -1), "first: wanted 0 or more, got -1"),
            "form": (with_argument(4, lambda form: "flat"), "form: wanted one of 'normal', 'half', 'reflected', got 'flat'"),
        },
    ),
    OpCase(
        "mask_sums",
        mask_inputs,
        reference_sums,
        lambda dtype: (
            torch.zeros(2, 3, dtype=dtype),
            torch.zeros(0, 2, 3, dtype=dtype),
            torch.ones(0, dtype=torch.float64),
            *(0, 0, "normal"),
        ),
        refusals={
            "draws": (
                with_argument(1, lambda d: d[1:]),
                r"denoised: wanted a map for each of the 9 levels, each \(3, 5\), got \(8, 3, 5\)",
            ),
            "map": (with_argument(1, lambda d: d[:, 1:]), r"denoised: wanted a map .* got \(9, 2, 5\)"),
            "mixed": (with_argument(1, lambda d: d.float()), "denoised: wanted the type of clean"),
            "seed": (with_argument(3, lambda seed: -1), "seed: wanted 0 or more, got -1"),
            "form": (with_argument(5, lambda form: "flat"), "form: wanted one of 'normal', 'half', 'reflected', got 'flat'"),
        },
    ),
    OpCase(
        "spherical_harmonics",
        harmonic_inputs,
        harmonics_reference,
        no_harmonics,
        differentiable=(0,),
        refusals=harmonic_refusals(0, 1),
    ),
    OpCase(
        "spherical_harmonics_jvp",
        harmonic_tangents,
        harmonic_jvp,
        lambda dtype: (no_harmonics(dtype)[0], *no_harmonics(dtype)),
        differentiable=(0, 1),
        refusals={
            **harmonic_refusals(0, 2),
            "tangents": (with_argument(1, lambda t: t[1:]), r"tangent: wanted shape \(20, 3\), got \(19, 3\)"),
        },
    ),
    OpCase(
        "spherical_harmonics_backward",
        harmonic_adjoint_inputs,
        harmonic_adjoint,
        lambda dtype: (torch.zeros(0, 16, dtype=dtype), *no_harmonics(dtype)),
        differentiable=(0, 1),
        refusals={
            **harmonic_refusals(1, 2),
            "columns": (with_argument(0, lambda g: g[:, 1:]), r"grad: wanted shape \(20, 9\), got \(20, 8\)"),
        },
    ),
    OpCase(
        "spherical_harmonics_hvp",
        harmonic_hessian_inputs,
        harmonic_hessian,
        lambda dtype: (torch.zeros(0, 16, dtype=dtype), no_harmonics(dtype)[0], *no_harmonics(dtype)),
        refusals={
            **harmonic_refusals(1, 3),
            "tangents of another type": (with_argument(2, lambda t: t.float()), "tangent: wanted the type of xyz, got another"),
        },
    ),
    OpCase(
        "spherical_harmonics_linear",
        layer_inputs,
        layer_reference,
        lambda dtype: (no_harmonics(dtype)[0], torch.zeros(2, 16, dtype=dtype), None, *no_harmonics(dtype)[1:]),
        differentiable=(0, 1, 2),
        refusals={
            **harmonic_refusals(0, 3),
            "columns": (with_argument(1, lambda w: w[:, 1:]), r"weight: wanted shape \(h, 9\), got \(64, 8\)"),
            "bias": (with_argument(2, lambda _: torch.zeros(3, dtype=torch.float64)), r"bias: wanted shape \(64,\), got \(3,\)"),
        },
    ),
    OpCase(
        "spherical_harmonics_linear_xyz",
        layer_xyz_inputs,
        layer_xyz_reference,
        lambda dtype: (torch.zeros(0, 2, dtype=dtype), no_harmonics(dtype)[0], torch.zeros(2, 16, dtype=dtype), *no_harmonics(dtype)[1:]),
        differentiable=(0, 1, 2),
        refusals={
            **harmonic_refusals(1, 3),
            "rows": (with_argument(0, lambda g: g[1:]), r"grad: wanted shape \(20, 64\), got \(19, 64\)"),
        },
    ),
    OpCase(
        "spherical_harmonics_linear_weight",
        layer_weight_inputs,
        layer_weight_reference,
        lambda dtype: (torch.zeros(0, 2, dtype=dtype), *no_harmonics(dtype)),
        differentiable=(0, 1),
        refusals={
            **harmonic_refusals(1, 2),
            "rows": (with_argument(0, lambda g: g[1:]), r"grad: wanted shape \(20, 64\), got \(19, 64\)"),
        },
    ),
    OpCase(
        "legendre_analysis",
        ring_inputs,
        legendre_reference,
        lambda dtype: (torch.zeros(0, 3, 2, 2, dtype=dtype), torch.zeros(0, 3, dtype=torch.float64), *ring_inputs(dtype, 5)[2:]),
        differentiable=(0,),
        refusals={
            **RING_REFUSALS,
            "orders": (with_argument(0, lambda w: w[:, 1:]), r"waves: wanted shape \(50, 3, c, 2\), got \(50, 2, 3, 2\)"),
            "no parts": (with_argument(0, lambda w: w[..., 0]), r"waves: wanted shape \(rings, degree \+ 1, c, 2\)"),
        },
    ),
    OpCase(
        "legendre_synthesis",
        ring_coefficients,
        reference_synthesis,
        lambda dtype: (torch.zeros(9, 2, dtype=dtype), torch.zeros(0, 3, dtype=torch.float64), *ring_inputs(dtype, 5)[2:]),
        differentiable=(0,),
        refusals={
            **RING_REFUSALS,
            "rows": (with_argument(0, lambda c: c[1:]), "coefficients: wanted 9 rows, got 8"),
            "a vector": (with_argument(0, lambda c: c[:, 0]), r"coefficients: wanted shape \(k, c\)"),
        },
    ),
    OpCase(
        "sphere_interpolate",
        sphere_inputs,
        interpolation_reference,
        lambda dtype: no_points(sphere_inputs(dtype, 1)),
        refusals={
            **sphere_refusals(0, 2, 3),
            "width": (with_argument(2, lambda p: p[1:]), r"pieces: wanted shape \(14, terms\), got \(13, 16\)"),
            "columns of the grid": (with_argument(1, lambda g: g[:, 1:]), "grid: wanted 32 columns to 23 rows"),
            "grid of another type": (with_argument(1, lambda g: g.float()), "grid: wanted the type of xyz"),
        },
    ),
    OpCase(
        "sphere_interpolate_xyz",
        lambda dtype, seed: sphere_rows(dtype, seed, 2),
        interpolation_xyz_reference,
        lambda dtype: no_points(sphere_rows(dtype, 1, 2)),
        refusals={
            **sphere_refusals(1, 3, 4),
            "rows": (with_argument(0, lambda g: g[1:]), r"grad: wanted shape \(20, 64\), got \(19, 64\)"),
            "odd": (with_argument(2, lambda g: g[..., 1:]), "slopes: wanted channels of slopes south, then as many of slopes east"),
        },
    ),
    OpCase(
        "sphere_spread",
        spread_inputs,
        reference_spread,
        lambda dtype: no_points(spread_inputs(dtype, 1)),
        refusals={
            **sphere_refusals(1, 2, 4),
            "rows": (with_argument(0, lambda g: g[1:]), r"grad: wanted shape \(20, h\), got \(19, 64\)"),
            "no step": (with_argument(3, lambda _: 0), "half: wanted 1 to 16383 steps"),
        },
    ),
    OpCase(
        "isosurface",
        grid_inputs,
        isosurface_reference,
        lambda dtype: (torch.ones(3, 0, 4, dtype=dtype), 0.0),
        differentiable=(0,),
        refusals={
            "plane": (with_argument(0, lambda g: g[0]), r"grid: wanted shape \(nz, ny, nx\), got \(4, 5\)"),
            "half": (with_argument(0, lambda g: g.half()), "grid: wanted float32 or float64"),
            "not a number": (
                with_argument(0, lambda g: g.where(torch.arange(60).view(3, 4, 5) != 33, torch.nan)),
                r"grid: wanted no NaN, got one at \(1, 2, 3\)",
            ),
            "level": (with_argument(1, lambda _: float("inf")), "level: wanted a finite number, got inf"),
        },
        dynamic=True,
    ),
    OpCase(
        "isosurface_backward",
        grid_adjoint_inputs,
        isosurface_backward_reference,
        lambda dtype: (torch.ones(0, 3, dtype=dtype), torch.ones(3, 0, 4, dtype=dtype), torch.zeros(0, dtype=torch.int64), 0.0),
        differentiable=(0, 1),
        refusals={
            "columns": (with_argument(0, lambda g: g[:, 1:]), r"grad_vertices: wanted shape \(n, 3\)"),
            "mixed": (with_argument(0, lambda g: g.float()), "grad_vertices: wanted the type of grid"),
            "fewer edges": (with_argument(2, lambda e: e[1:]), r"edges: wanted shape \(\d+,\)"),
            "int32": (with_argument(2, lambda e: e.int()), "edges: wanted int64"),
            "beyond the border": (with_argument(2, lambda e: e + 12), "edges: wanted edges of the grid, got"),
            "negative": (with_argument(2, lambda e: e - 180), "edges: wanted edges of the grid, got -"),
            "another order": (with_argument(2, lambda e: e.flip(0)), "edges: wanted them by row, as isosurface gives them"),
        },
    ),
    OpCase(
        "wavelet3d_analyze",
        analysis_inputs,
        wavelet_reference,
        lambda dtype: (torch.zeros(0, 4, 5, 6, dtype=dtype), *analysis_inputs(dtype, 0)[1:]),
        differentiable=(0,),
        refusals={
            **wavelet_refusals(1),
            "a plane": (with_argument(0, lambda g: g[0, 0]), r"grid: wanted shape \(..., n0, n1, n2\), got \(4,\)"),
            "no samples": (with_argument(0, lambda g: g[:, :0]), "grid: wanted at least one sample along each axis"),
        },
    ),
    OpCase(
        "wavelet3d_synthesize",
        synthesis_inputs,
        wavelet_synthesis_reference,
        lambda dtype: (*(t[:0] for t in synthesis_inputs(dtype, 0)[:2]), *synthesis_inputs(dtype, 0)[2:]),
        differentiable=(0, 1),
        refusals={
            **wavelet_refusals(3),
            "cells": (with_argument(0, lambda c: c[1:]), r"coarse: wanted \(..., 11, 11, 10\), got \(10, 11, 10\)"),
            "bands": (with_argument(1, lambda d: torch.zeros(7, *d.shape[1:], dtype=d.dtype)), "details: wanted .* with 0 bands"),
            "details of another type": (with_argument(1, lambda d: d.float()), "details: wanted the type of coarse, got another"),
            "shape": (with_argument(2, lambda s: s[1:]), "shape: wanted three sizes of at least 1"),
        },
    ),
    OpCase(
        "mesh_sdf",
        sdf_inputs,
        sdf_reference,
        lambda dtype: (*no_faces(dtype), [2, 3, 4], 0.5, [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], "auto", True),
        differentiable=(0,),
        refusals={
            "two columns": (with_argument(0, lambda v: v[:, :2]), r"vertices: wanted shape \(n, 3\), got \(7, 2\)"),
            "half": (with_argument(0, lambda v: v.half()), "vertices: wanted float32 or float64"),
            "not finite": (with_argument(0, lambda v: v / (torch.arange(7) != 4)[:, None]), "vertices: wanted finite values, .* in row 4"),
            "int32": (with_argument(1, lambda f: f.int()), "faces: wanted int64"),
            "too large": (with_argument(1, lambda f: f + 1), r"faces: wanted indices in \[0, 7\), got 7 in row 8"),
            "negative": (with_argument(1, lambda f: f - 1), r"faces: wanted indices in \[0, 7\), got -1 in row 0"),
            "two sizes": (with_argument(2, lambda _: [2, 2]), "shape: wanted three numbers"),
            "no cell": (with_argument(2, lambda _: [2, 0, 2]), "shape: wanted positive numbers of cells, got 0"),
            "no truncation": (with_argument(3, lambda _: 0.0), "truncation: wanted a positive distance, got 0"),
            "box inside out": (with_argument(5, lambda _: [-2.0, 1.0, 1.0]), "upper: wanted finite corners, each above lower"),
            "sign": (with_argument(6, lambda _: "odd"), "sign: wanted auto, nonzero, .* got odd"),
        },
    ),
    OpCase(
        "mesh_sdf_backward",
        sdf_adjoint_inputs,
        sdf_backward_reference,
        lambda dtype: (
            torch.ones(2, 3, 4, dtype=dtype),
            *no_faces(dtype),
            torch.ones(2, 3, 4, dtype=dtype),
            torch.full((2, 3, 4), -1, dtype=torch.int32),
            [0.0, 0.0, 0.0],
            [1.0, 1.0, 1.0],
        ),
        refusals={
            "grad": (with_argument(0, lambda g: g[1:]), r"grad: wanted the shape of values, \(2, 2, 2\), got \(1, 2, 2\)"),
            "mixed types": (with_argument(0, lambda g: g.float()), "grad: wanted the type of vertices"),
            "nearest in int64": (with_argument(4, lambda n: n.long()), "nearest: wanted int32"),
            "no such face": (with_argument(4, lambda n: torch.full_like(n, 9)), "nearest: wanted faces below 9, got 9"),
        },
    ),
]
