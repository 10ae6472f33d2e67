"""Real spherical harmonics of many directions, with as many derivatives as are asked for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_same_device
from .harmonic_table import LARGEST_DEGREE, HarmonicConvention, check_degree, convention_of, recurrence

#: How far from 1 the length of a direction may be.
LENGTH_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}


def spherical_harmonics(
    xyz: Tensor, degree: int, *, normalize: bool = False, convention: str | HarmonicConvention = "orthonormal"
) -> Tensor:
    """All real spherical harmonics of degree 0 to ``degree`` at directions: ``(..., 3) -> (..., (degree + 1)^2)``.

    Harmonic ``(l, m)`` stands at ``l^2 + l + m``. With ``u = (x, y, z)`` of colatitude ``theta`` and longitude ``phi``,
    ``Y_lm(u) = N_l|m| P_l^|m|(cos theta)`` times ``sqrt 2 cos(m phi)`` for ``m > 0``, ``sqrt 2 sin(|m| phi)`` for ``m < 0``,
    without Condon-Shortley phase: ``Y_1 = sqrt(3 / 4 pi) (y, z, x)``. They are orthonormal on the sphere unless
    ``convention`` says otherwise.

    Parameters
    ----------
    xyz : (..., 3) float32 or float64; float16 and bfloat16 are promoted to float32. Unit vectors: another length is
        refused, unless ``normalize``, which takes a vector of any length from 1e-150 to 1e150 for its direction, and which half
        precision needs.
    degree : 0 to 128 in float32, to 1000 in float64.
    convention : the name of one of ``geospec.ops.CONVENTIONS``, or a :class:`HarmonicConvention`.

    Differentiable in ``xyz`` twice. The function is constant along a ray, so gradients are tangential: ``grad . u = 0``. They are
    computed from ``xyz`` anew; no Jacobian is kept. The poles are points like any other.

    Raises
    ------
    ArgumentError : wrong type, shape or degree. RuntimeError : a length other than 1, or a vector that is zero or not finite (CPU; on
    CUDA such a row is NaN).

    Cost: 3 flops a value, and the memory of the result. Largest error in float32: 2e-6 at degree 20, 1e-5 at 128; in float64
    2e-13 at 128.

    Source: the recurrence is ours, with differences as in Reinsch's form of Clenshaw's sum (see ``harmonic_table``);
    Cartesian harmonics as in Bigi et al. 2023.
    """
    flat, leading, convention = checked_directions(xyz, degree, convention)
    table = recurrence(degree, convention, flat.dtype, flat.device)
    return torch.ops.geospec.spherical_harmonics(flat, table, normalize).reshape(*leading, (degree + 1) ** 2)


def spherical_harmonics_jvp(
    xyz: Tensor, tangent: Tensor, degree: int, *, normalize: bool = False, convention: str | HarmonicConvention = "orthonormal"
) -> Tensor:
    """Derivatives of :func:`spherical_harmonics` as each direction moves: ``(..., 3), (..., 3) -> (..., (degree + 1)^2)``.

    Parameters
    ----------
    tangent : (..., 3), of the shape and type of ``xyz``: the velocity of each direction. What of it points along ``xyz`` counts for
        nothing. The others are those of :func:`spherical_harmonics`.

    Differentiable once in both. Cost: 8 flops a value; with the three axes for tangents it gives the Jacobian.
    """
    flat, leading, convention = checked_directions(xyz, degree, convention)
    if not isinstance(tangent, Tensor) or tangent.shape != xyz.shape:
        got = tuple(tangent.shape) if isinstance(tangent, Tensor) else type(tangent).__name__
        raise ArgumentError(problem("tangent", f"the shape of xyz, {tuple(xyz.shape)}", got))
    if tangent.dtype != xyz.dtype:
        raise ArgumentError(problem("tangent", f"the type of xyz, {xyz.dtype}", tangent.dtype))
    check_same_device("tangent", tangent, "xyz", xyz)
    table = recurrence(degree, convention, flat.dtype, flat.device)
    along = tangent.to(flat.dtype).reshape(-1, 3)
    return torch.ops.geospec.spherical_harmonics_jvp(flat, along, table, normalize).reshape(*leading, (degree + 1) ** 2)


def checked_directions(xyz: Tensor, degree: int, convention: str | HarmonicConvention) -> tuple[Tensor, torch.Size, HarmonicConvention]:
    """Directions ``(n, 3)`` in a type that is computed in, their leading dimensions, and the convention."""
    if not isinstance(xyz, Tensor):
        raise ArgumentError(problem("xyz", "a torch tensor", type(xyz).__name__, "convert with torch.as_tensor"))
    if xyz.dtype in (torch.float16, torch.bfloat16):
        xyz = xyz.float()
    if xyz.dtype not in LARGEST_DEGREE:
        raise ArgumentError(problem("xyz", "floats", str(xyz.dtype), "convert with .float() or .double()"))
    if xyz.dim() == 0 or xyz.shape[-1] != 3:
        hint = "longitude and latitude go through geospec.ops.lonlat_to_xyz" if xyz.dim() and xyz.shape[-1] == 2 else ""
        raise ArgumentError(problem("xyz", "shape (..., 3)", tuple(xyz.shape), hint))
    check_degree(degree, LARGEST_DEGREE[xyz.dtype])
    return xyz.reshape(-1, 3), xyz.shape[:-1], convention_of(convention)


def degree_of(table: Tensor) -> int:
    """The degree of a table of ``(degree + 1)(degree + 2) / 2`` rows."""
    return (math.isqrt(8 * table.shape[0] + 1) - 3) // 2


def reference_length(xyz: Tensor, normalize: bool) -> Tensor:
    """Lengths ``(n,)`` of vectors that may be taken for directions; twins refuse others in fewer words than kernels."""
    length = xyz.norm(dim=1)
    known = length.detach()
    fit = known > 0 if normalize else (known - 1).abs() <= LENGTH_TOLERANCE[xyz.dtype]
    if not bool((fit & known.isfinite()).all()):
        raise RuntimeError("xyz: wanted unit vectors")
    return length


def reference(xyz: Tensor, table: Tensor, normalize: bool) -> Tensor:
    """The op behind :func:`spherical_harmonics` in plain PyTorch, differentiable by PyTorch itself."""
    length = reference_length(xyz, normalize)[:, None]
    x, y, z = (xyz / length).unbind(dim=1)
    south = z < 0
    height = torch.where(south, -z, z)
    mirror = torch.where(south, -1.0, 1.0).to(z)
    w = (x * x + y * y) / (1 + height)
    degree = degree_of(table)
    rows = iter(table.unbind(dim=0))
    columns: list[Tensor] = [x] * (degree + 1) ** 2
    c, s = torch.ones_like(x), torch.zeros_like(x)
    for m in range(degree + 1):
        if m:
            c, s = x * c - y * s, x * s + y * c
        value, difference = torch.ones_like(x), torch.zeros_like(x)
        for l in range(m, degree + 1):  # noqa: E741
            p, q, g, _ = next(rows)
            difference = p * difference - q * (w * value) if l > m else difference
            value = g * value + difference
            here = value * mirror if (l - m) % 2 else value
            columns[l * l + l + m] = here * c
            if m:
                columns[l * l + l - m] = here * s
    return torch.stack(columns, dim=1)


@torch.library.register_fake("geospec::spherical_harmonics")
def _fake(xyz: Tensor, table: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(xyz.shape[0], (degree_of(table) + 1) ** 2)


@torch.library.register_fake("geospec::spherical_harmonics_jvp")
def _fake_jvp(xyz: Tensor, tangent: Tensor, table: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(xyz.shape[0], (degree_of(table) + 1) ** 2)


@torch.library.register_fake("geospec::spherical_harmonics_backward")
def _fake_backward(grad: Tensor, xyz: Tensor, table: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(xyz.shape)


@torch.library.register_fake("geospec::spherical_harmonics_hvp")
def _fake_hvp(grad: Tensor, xyz: Tensor, tangent: Tensor, table: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(xyz.shape)


def _save(ctx, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.normalize = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    xyz, table = ctx.saved_tensors
    return torch.ops.geospec.spherical_harmonics_backward(grad, xyz, table, ctx.normalize), None, None


def _backward_of_jvp(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    """``<grad, J t>``: by the tangent ``J^T grad``, by the direction the Hessian of ``sum grad Y`` times the tangent."""
    (xyz, tangent, table), normalize, needs = ctx.saved_tensors, ctx.normalize, ctx.needs_input_grad
    by_xyz = torch.ops.geospec.spherical_harmonics_hvp(grad, xyz, tangent, table, normalize) if needs[0] else None
    by_tangent = torch.ops.geospec.spherical_harmonics_backward(grad, xyz, table, normalize) if needs[1] else None
    return by_xyz, by_tangent, None, None


def _backward_of_backward(ctx, tangent: Tensor) -> tuple[Tensor | None, ...]:
    """``<tangent, J^T grad>``: by ``grad`` it is ``J tangent``."""
    (grad, xyz, table), normalize, needs = ctx.saved_tensors, ctx.normalize, ctx.needs_input_grad
    by_grad = torch.ops.geospec.spherical_harmonics_jvp(xyz, tangent, table, normalize) if needs[0] else None
    by_xyz = torch.ops.geospec.spherical_harmonics_hvp(grad, xyz, tangent, table, normalize) if needs[1] else None
    return by_grad, by_xyz, None, None


def _no_third(ctx, grad: Tensor) -> None:
    raise RuntimeError("spherical_harmonics: wanted at most two derivatives, got a third")


torch.library.register_autograd("geospec::spherical_harmonics", _backward, setup_context=_save)
torch.library.register_autograd("geospec::spherical_harmonics_jvp", _backward_of_jvp, setup_context=_save)
torch.library.register_autograd("geospec::spherical_harmonics_backward", _backward_of_backward, setup_context=_save)
torch.library.register_autograd("geospec::spherical_harmonics_hvp", _no_third)
