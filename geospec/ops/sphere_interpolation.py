"""The linear layer on spherical harmonics by local interpolation: its cost at a point does not grow with the degree.

On the doubled sphere, colatitude and longitude both on a full circle, a function of degree ``L`` is a trigonometric polynomial of
degree ``L`` in each. Its values on a grid twice as fine as that needs, with the Fourier transform of a bump divided out, times the
bump give the function between the nodes: a nonuniform FFT (Dutt and Rokhlin 1993; Barnett et al. 2019), here with products of
matrices for the FFTs, which are small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .constant import constant_result
from .harmonic_table import HarmonicConvention, recurrence
from .spherical_harmonics import degree_of, reference_length

#: Nodes under the bump on a side, terms of its polynomials, and how much finer the grid is than the degree needs.
SAMPLING = {torch.float32: (7, 9, 2.25), torch.float64: (14, 16, 2.0)}

#: Cost of a point, alone and for each output, in steps of the direct sum, which takes ``h + 6`` a harmonic: measured with AVX-512.
COST = {torch.float32: (5500, 25), torch.float64: (19000, 170)}
#: Degree to which tables are made: there those of the slopes hold 80 MB.
LARGEST = 128


@dataclass(frozen=True)
class Tables:
    """What turns weights of a degree into values on the grid, and the bump.

    Node ``(t, p)`` lies at colatitude ``(t - width / 2) step`` and longitude ``(p - width / 2) step - pi``, with ``step = pi / half``:
    the grid reaches over the poles and the date line, so that no sum wraps.

    by_degree : (parts, degree + 1, half + width, degree + 1) float64, from degrees to colatitudes for each order; the parts are those
        of the function, or those of its slopes southward and eastward. by_order : (parts, 2 half + width, 2 (degree + 1)) float64, from
        cosines and sines to longitudes.
    """

    by_degree: Tensor
    by_order: Tensor
    half: int


def _bump(width: int, oversampling: float) -> float:
    """The parameter of the Kaiser-Bessel bump that is as wide as ``width`` nodes."""
    return math.pi * width * (1 - 0.5 / oversampling)


@constant_result
def bump_pieces(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The bump on each of the steps between nodes that it covers: ``(width, terms)`` coefficients, the highest power first, of
    polynomials in ``2 s - 1``, where ``s`` in [0, 1) is the place within a step."""
    return _bump_pieces(dtype, device)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _bump_pieces(dtype: torch.dtype, device: torch.device) -> Tensor:
    width, terms, oversampling = SAMPLING[dtype]
    beta = _bump(width, oversampling)
    s = np.cos(np.pi * (np.arange(4 * terms) + 0.5) / (4 * terms))
    across = (2 * np.arange(width)[:, None] + s + 1) / width - 1
    # The integral of the bump is width sinh(beta) / beta.
    values = np.i0(beta * np.sqrt(np.maximum(1 - across**2, 0))) * beta / (width * math.sinh(beta))
    fits = [np.polynomial.Chebyshev.fit(s, row, terms - 1, domain=(-1, 1)) for row in values]
    pieces = np.stack([fit.convert(kind=np.polynomial.Polynomial).coef[::-1] for fit in fits])
    return torch.from_numpy(pieces).to(dtype=dtype, device=device)


def _sharpening(degree: int, half: int, width: int, oversampling: float) -> NDArray:
    """One over the Fourier transform of the bump at frequencies 0 to ``degree``."""
    beta = _bump(width, oversampling)
    root = np.sqrt(beta**2 - (np.pi * width * np.arange(degree + 1) / (2 * half)) ** 2)
    return math.sinh(beta) / beta * root / np.sinh(root)


@constant_result
def grid_tables(degree: int, convention: HarmonicConvention, dtype: torch.dtype, device: torch.device, slopes: bool) -> Tables:
    """Tables of a degree; with ``slopes`` those of ``df/dtheta`` and ``df/dphi / sin(theta)``, polynomials of degree ``L`` like ``f``."""
    return _grid_tables(degree, convention, dtype, device, slopes)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _grid_tables(degree: int, convention: HarmonicConvention, dtype: torch.dtype, device: torch.device, slopes: bool) -> Tables:
    width, _, oversampling = SAMPLING[dtype]
    half = math.ceil(oversampling * (degree + 0.5))
    orders, sharpen = np.arange(degree + 1), _sharpening(degree, half, width, oversampling)
    node = (np.arange(2 * half + width) - width / 2) * np.pi / half
    # Harmonics on a whole meridian, sampled off the poles; south to north it is that of the opposite longitude.
    samples = 2 * degree + 2
    meridian = (np.arange(samples) + 0.5) * 2 * np.pi / samples
    xyz = torch.from_numpy(np.stack([np.sin(meridian), np.zeros(samples), np.cos(meridian)], axis=1))
    table = recurrence(degree, convention, torch.float64, torch.device("cpu"))
    harmonics = torch.ops.geospec.spherical_harmonics(xyz, table, True)
    l, m = orders[None, :], orders[:, None]  # noqa: E741
    legendre = torch.where(torch.from_numpy(l >= m)[:, None, :], harmonics[:, np.where(l >= m, l * l + l + m, 0)].transpose(0, 1), 0.0)
    # Fourier series through the samples, sharpened, at the colatitudes of the grid.
    weights = sharpen * np.where(orders > 0, 2, 1) / samples
    south, sampled = orders * node[: half + width, None], orders * meridian[:, None]
    value = (np.cos(south) * weights) @ np.cos(sampled).T + (np.sin(south) * weights) @ np.sin(sampled).T
    slope = (np.cos(south) * (orders * weights)) @ np.sin(sampled).T - (np.sin(south) * (orders * weights)) @ np.cos(sampled).T
    angle = orders * (node - np.pi)[:, None]
    cosine, sine = np.cos(angle) * sharpen, np.sin(angle) * sharpen
    if slopes:
        steep = torch.from_numpy(orders[:, None, None] / np.sin(meridian)[None, :, None])
        by_degree = torch.stack([torch.from_numpy(slope) @ legendre, torch.from_numpy(value) @ (steep * legendre)])
        by_order = np.stack([np.stack([cosine, sine], axis=-1), np.stack([-sine, cosine], axis=-1)])
    else:
        by_degree = (torch.from_numpy(value) @ legendre)[None]
        by_order = np.stack([cosine, sine], axis=-1)[None]
    return Tables(by_degree.to(device), torch.from_numpy(by_order).flatten(-2).to(device), half)


def _places(degree: int) -> tuple[Tensor, Tensor]:
    """For each order, degree and (cosine, sine) its column in a weight, one past the last where there is none; and the inverse."""
    l, m = torch.arange(degree + 1)[None, :], torch.arange(degree + 1)[:, None]  # noqa: E741
    columns = torch.stack([l * l + l + m, l * l + l - m], dim=-1)
    columns = torch.where((l >= m)[..., None], columns, (degree + 1) ** 2)
    columns[0, :, 1] = (degree + 1) ** 2
    inverse = torch.empty((degree + 1) ** 2 + 1, dtype=torch.int64)
    inverse[columns.flatten()] = torch.arange(columns.numel())
    return columns, inverse[:-1]


def to_grid(weight: Tensor, tables: Tables) -> Tensor:
    """Values of the layer on the grid, ``(h, k) -> (half + width, 2 half + width, parts h)``."""
    parts, orders, rows, _ = tables.by_degree.shape
    h = len(weight)
    columns, _ = _places(orders - 1)
    padded = torch.cat([weight.T.double(), weight.new_zeros(1, h, dtype=torch.float64)])
    with torch.autocast(weight.device.type, enabled=False):  # lower precision would be seen in every output
        waves = tables.by_degree @ padded[columns.to(weight.device)].flatten(2)  # (parts, orders, rows, 2 h)
        waves = waves.unflatten(-1, (2, h)).permute(0, 2, 1, 3, 4).reshape(parts, rows, 2 * orders, h)
        grid = tables.by_order.to(weight.dtype)[:, None] @ waves.to(weight.dtype)
    return grid[0] if parts == 1 else torch.cat(grid.unbind(), dim=-1)


def from_grid(grad: Tensor, tables: Tables) -> Tensor:
    """The adjoint of :func:`to_grid` for one part: ``(half + width, 2 half + width, h) -> (h, k)``, in double."""
    _, orders, rows, _ = tables.by_degree.shape
    h = grad.shape[-1]
    _, inverse = _places(orders - 1)
    with torch.autocast(grad.device.type, enabled=False):
        waves = tables.by_order[0].T @ grad.double()  # (rows, 2 orders, h)
        waves = waves.reshape(rows, orders, 2 * h).transpose(0, 1)
        degrees = tables.by_degree[0].mT @ waves  # (orders, degrees, 2 h)
    return degrees.reshape(2 * orders * orders, h)[inverse.to(grad.device)].T


def _taps(xyz: Tensor, pieces: Tensor, half: int, normalize: bool) -> tuple[Tensor, Tensor]:
    """Nodes ``(n, width, width)`` around each direction, and their weights."""
    reference_length(xyz, normalize)
    x, y, z = (xyz.double() + 0.0).unbind(dim=1)  # zeros without a sign
    angles = torch.stack([torch.atan2(torch.hypot(x, y), z), torch.atan2(y, x) + math.pi])
    place = angles * (half / math.pi)
    first = place.ceil().clamp_max(torch.tensor([[half], [2 * half]], device=xyz.device))
    within = (2 * (first - place) - 1).to(pieces.dtype)
    weights = torch.zeros(2, len(xyz), len(pieces), dtype=pieces.dtype, device=xyz.device)
    for coefficient in pieces.T:
        weights = weights * within[..., None] + coefficient
    nodes = first.long()[..., None] + torch.arange(len(pieces), device=xyz.device)
    flat = nodes[0][:, :, None] * (2 * half + len(pieces)) + nodes[1][:, None, :]
    return flat, weights[0][:, :, None] * weights[1][:, None, :]


def reference(xyz: Tensor, grid: Tensor, pieces: Tensor, normalize: bool) -> Tensor:
    """``sphere_interpolate`` in plain PyTorch."""
    nodes, weights = _taps(xyz, pieces, grid.shape[0] - len(pieces), normalize)
    return torch.einsum("nab,nabh->nh", weights, grid.flatten(0, 1)[nodes])


def reference_xyz(grad: Tensor, xyz: Tensor, slopes: Tensor, pieces: Tensor, normalize: bool) -> Tensor:
    """``sphere_interpolate_xyz`` in plain PyTorch."""
    south, east = reference(xyz, slopes, pieces, normalize).double().unflatten(1, (2, -1)).mul(grad[:, None]).sum(dim=2).unbind(dim=1)
    length = xyz.double().norm(dim=1)
    x, y, z = (xyz.double() / length[:, None]).unbind(dim=1)
    across = torch.hypot(x, y)
    c, s = torch.where(across > 0, x / across, 1.0), torch.where(across > 0, y / across, 0.0)
    moved = torch.stack([south * z * c - east * s, south * z * s + east * c, -south * across], dim=1)
    return (moved / length[:, None]).to(xyz.dtype)


def reference_spread(grad: Tensor, xyz: Tensor, pieces: Tensor, half: int, normalize: bool) -> Tensor:
    """``sphere_spread`` in plain PyTorch."""
    nodes, weights = _taps(xyz, pieces, half, normalize)
    width, h = len(pieces), grad.shape[1]
    each = weights.double()[..., None] * grad.double()[:, None, None, :]
    grid = torch.zeros((half + width) * (2 * half + width), h, dtype=torch.float64, device=xyz.device)
    return grid.index_add(0, nodes.flatten(), each.reshape(nodes.numel(), h)).reshape(half + width, 2 * half + width, h)


def _on_cpu(op: Any) -> Any:
    def copied(first: Tensor, *rest: Any) -> Tensor:
        return op(first.cpu(), *(a.cpu() if isinstance(a, Tensor) else a for a in rest)).to(first.device)

    return copied


for _name in ("sphere_interpolate", "sphere_interpolate_xyz", "sphere_spread"):
    torch.library.impl(f"geospec::{_name}", "CUDA")(_on_cpu(getattr(torch.ops.geospec, _name)))


@torch.library.register_fake("geospec::sphere_interpolate")
def _fake(xyz: Tensor, grid: Tensor, pieces: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(xyz.shape[0], grid.shape[2])


@torch.library.register_fake("geospec::sphere_interpolate_xyz")
def _fake_xyz(grad: Tensor, xyz: Tensor, slopes: Tensor, pieces: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(xyz.shape)


@torch.library.register_fake("geospec::sphere_spread")
def _fake_spread(grad: Tensor, xyz: Tensor, pieces: Tensor, half: int, normalize: bool) -> Tensor:
    return xyz.new_empty(half + pieces.shape[0], 2 * half + pieces.shape[0], grad.shape[1], dtype=torch.float64)


class _Layer(torch.autograd.Function):
    """The layer without its bias. Second derivatives are those of the direct ops."""

    @staticmethod
    def forward(ctx, xyz: Tensor, weight: Tensor, table: Tensor, convention: HarmonicConvention, normalize: bool) -> Tensor:
        ctx.save_for_backward(xyz, weight, table)
        ctx.convention, ctx.normalize = convention, normalize
        tables = grid_tables(degree_of(table), convention, xyz.dtype, xyz.device, False)
        return torch.ops.geospec.sphere_interpolate(xyz, to_grid(weight, tables), bump_pieces(xyz.dtype, xyz.device), normalize)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (xyz, weight, table), needs, rest = ctx.saved_tensors, ctx.needs_input_grad, (ctx.convention, ctx.normalize)
        by_xyz = _ByXyz.apply(grad, xyz, weight, table, *rest) if needs[0] else None
        by_weight = _ByWeight.apply(grad, xyz, table, *rest) if needs[1] else None
        return by_xyz, by_weight, None, None, None


class _ByXyz(torch.autograd.Function):
    """The gradient in the directions."""

    @staticmethod
    def forward(ctx, grad: Tensor, xyz: Tensor, weight: Tensor, table: Tensor, convention: HarmonicConvention, normalize: bool) -> Tensor:
        ctx.save_for_backward(grad, xyz, weight, table)
        ctx.normalize = normalize
        slopes = to_grid(weight, grid_tables(degree_of(table), convention, xyz.dtype, xyz.device, True))
        return torch.ops.geospec.sphere_interpolate_xyz(grad, xyz, slopes, bump_pieces(xyz.dtype, xyz.device), normalize)

    @staticmethod
    def backward(ctx, tangent: Tensor) -> tuple[Tensor | None, ...]:
        return *_direct(torch.ops.geospec.spherical_harmonics_linear_xyz, ctx, tangent), None, None, None


class _ByWeight(torch.autograd.Function):
    """The gradient in the weight."""

    @staticmethod
    def forward(ctx, grad: Tensor, xyz: Tensor, table: Tensor, convention: HarmonicConvention, normalize: bool) -> Tensor:
        ctx.save_for_backward(grad, xyz, table)
        ctx.normalize = normalize
        tables = grid_tables(degree_of(table), convention, xyz.dtype, xyz.device, False)
        nodes = torch.ops.geospec.sphere_spread(grad, xyz, bump_pieces(xyz.dtype, xyz.device), tables.half, normalize)
        return from_grid(nodes, tables).to(xyz.dtype)

    @staticmethod
    def backward(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        return *_direct(torch.ops.geospec.spherical_harmonics_linear_weight, ctx, cotangent), None, None, None


def _direct(op: Any, ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of a direct op, in all that is saved but the table, which comes last. They differentiate as that op's do."""
    *moved, table = ctx.saved_tensors
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, where this gradient stops: what is saved may depend on one another.
        inputs = [value.view_as(value) for value in moved]
        output = op(*inputs, table, ctx.normalize)
    found = iter(torch.autograd.grad(output, [value for value in inputs if value.requires_grad], cotangent, create_graph=again))
    return tuple(next(found) if value.requires_grad else None for value in inputs)


def pays(xyz: Tensor, degree: int, h: int) -> bool:
    """Whether interpolation is faster than the direct sum, by sizes alone: ``n`` points, and the making of the grid."""
    alone, each = COST[xyz.dtype]
    width, _, oversampling = SAMPLING[xyz.dtype]
    nodes = 2 * (oversampling * (degree + 0.5) + width) ** 2
    interpolation = len(xyz) * (alone + each * h) + 4 * nodes * (degree + 1) * h + 1e7
    return xyz.device.type == "cpu" and degree <= LARGEST and interpolation < len(xyz) * (degree + 1) ** 2 * (h + 6)


def interpolated(
    xyz: Tensor, weight: Tensor, bias: Tensor | None, table: Tensor, convention: HarmonicConvention, normalize: bool
) -> Tensor:
    """:func:`geospec.ops.spherical_harmonics_linear` by interpolation, for arguments that have been checked."""
    degree = degree_of(table)
    if xyz.device.type != "cpu":
        raise ArgumentError(
            problem("xyz", "a tensor on the CPU for the method 'interpolated'", str(xyz.device), "method='direct' runs there")
        )
    if degree > LARGEST:
        hint = "method='direct' takes any degree"
        raise ArgumentError(problem("weight", f"degree at most {LARGEST} for the method 'interpolated'", degree, hint))
    product = _Layer.apply(xyz, weight, table, convention, normalize)
    return product if bias is None else product + bias
