"""A linear layer on spherical harmonics that never stores them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, one_of, problem
from .checks import check_same_device
from .harmonic_table import HarmonicConvention, recurrence
from .sphere_interpolation import interpolated, pays
from .spherical_harmonics import checked_directions, degree_of
from .spherical_harmonics import reference as harmonics_reference

#: Points whose harmonics are held at once where a gradient is differentiated again.
_CHUNK = 1 << 14


def spherical_harmonics_linear(
    xyz: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    normalize: bool = False,
    convention: str | HarmonicConvention = "orthonormal",
    method: str = "auto",
) -> Tensor:
    """``spherical_harmonics(xyz, degree) @ weight.T + bias`` without the harmonics in memory: ``(..., 3) -> (..., h)``.

    Parameters
    ----------
    xyz, normalize, convention : as in :func:`geospec.ops.spherical_harmonics`.
    weight : (h, (degree + 1)^2) of the type of ``xyz``, float32 where that is half; its width says the degree. bias : (h,), or None.
    method : ``"direct"`` sums harmonics. ``"interpolated"`` puts the layer on a grid and interpolates (CPU, degree at most 128): the
        cost at a point does not grow with the degree. Largest error over the largest value: about 1e-6 in float32, where the direct sum's
        grows with the degree (1.4e-6 at 40, 6e-6 at 128); 2e-13 in float64; gradients 2e-6 and 1e-12. ``"auto"`` takes by sizes alone
        what was measured to be faster, and stays with the direct sum on CUDA.

    Differentiable twice in all three. What is kept for the gradients is ``xyz`` and ``weight``; harmonics are made anew. Results
    repeat exactly, whatever the number of threads.

    Raises
    ------
    ArgumentError : wrong type, shape, device or method, a width that is no square. RuntimeError : as for the harmonics.

    Cost of the direct sum: ``2 h + 3`` flops a harmonic and point, as much again for the gradient in ``weight``, and again in ``xyz``.
    Memory: the result, and for the gradient in ``weight`` up to 64 MB of sums. Interpolated: ``98 h`` flops a point in float32,
    ``392 h`` in float64, and the grid, of about ``10 degree^2 h`` numbers. Second derivatives are those of the direct sum either
    way; in ``xyz`` they hold the harmonics of 16,384 points.
    """
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and not isinstance(value, Tensor):
            raise ArgumentError(problem(name, "a torch tensor", type(value).__name__, "convert with torch.as_tensor"))
    if weight.dim() != 2 or weight.shape[1] == 0 or math.isqrt(weight.shape[1]) ** 2 != weight.shape[1]:
        raise ArgumentError(problem("weight", "shape (h, (degree + 1)^2)", tuple(weight.shape)))
    degree = math.isqrt(weight.shape[1]) - 1
    flat, leading, convention = checked_directions(xyz, degree, convention)
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.dtype != flat.dtype:
            raise ArgumentError(problem(name, f"the type of xyz, {flat.dtype}", value.dtype))
        if value is not None:
            check_same_device(name, value, "xyz", flat)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ArgumentError(problem("bias", f"shape ({weight.shape[0]},)", tuple(bias.shape)))
    one_of("method", method, ("auto", "direct", "interpolated"))
    table = recurrence(degree, convention, flat.dtype, flat.device)
    if method == "interpolated" or (method == "auto" and pays(flat, degree, weight.shape[0])):
        return interpolated(flat, weight, bias, table, convention, normalize).reshape(*leading, weight.shape[0])
    return torch.ops.geospec.spherical_harmonics_linear(flat, weight, bias, table, normalize).reshape(*leading, weight.shape[0])


def reference(xyz: Tensor, weight: Tensor, bias: Tensor | None, table: Tensor, normalize: bool) -> Tensor:
    """The op behind :func:`spherical_harmonics_linear` in plain PyTorch."""
    product = harmonics_reference(xyz, table, normalize) @ weight.T
    return product if bias is None else product + bias


def reference_xyz(grad: Tensor, xyz: Tensor, weight: Tensor, table: Tensor, normalize: bool) -> Tensor:
    """Its gradient in the directions, by automatic differentiation of the harmonics."""
    moved = xyz.detach().clone().requires_grad_()
    with torch.enable_grad():
        harmonics = harmonics_reference(moved, table, normalize)
    return torch.autograd.grad(harmonics, moved, grad @ weight)[0]


def reference_weight(grad: Tensor, xyz: Tensor, table: Tensor, normalize: bool) -> Tensor:
    """Its gradient in the weight."""
    return grad.T @ harmonics_reference(xyz, table, normalize)


@torch.library.register_fake("geospec::spherical_harmonics_linear")
def _fake(xyz: Tensor, weight: Tensor, bias: Tensor | None, table: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(xyz.shape[0], weight.shape[0])


@torch.library.register_fake("geospec::spherical_harmonics_linear_xyz")
def _fake_xyz(grad: Tensor, xyz: Tensor, weight: Tensor, table: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(xyz.shape)


@torch.library.register_fake("geospec::spherical_harmonics_linear_weight")
def _fake_weight(grad: Tensor, xyz: Tensor, table: Tensor, normalize: bool) -> Tensor:
    return xyz.new_empty(grad.shape[1], (degree_of(table) + 1) ** 2)


def _save(ctx, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.normalize = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
    (xyz, weight, bias, table), needs = ctx.saved_tensors, ctx.needs_input_grad
    ops, normalize = torch.ops.geospec, ctx.normalize
    by_xyz = ops.spherical_harmonics_linear_xyz(grad, xyz, weight, table, normalize) if needs[0] else None
    by_weight = ops.spherical_harmonics_linear_weight(grad, xyz, table, normalize) if needs[1] else None
    by_bias = grad.sum(dim=0) if bias is not None and needs[2] else None
    return by_xyz, by_weight, by_bias, None, None


def _backward_of_weight(ctx, cotangent: Tensor) -> tuple[Tensor | None, ...]:
    """``<cotangent, grad^T Y>`` is ``<grad, Y cotangent^T>``: the layer itself, with the cotangent for its weight."""
    (grad, xyz, table), needs = ctx.saved_tensors, ctx.needs_input_grad
    ops, normalize = torch.ops.geospec, ctx.normalize
    by_grad = ops.spherical_harmonics_linear(xyz, cotangent, None, table, normalize) if needs[0] else None
    by_xyz = ops.spherical_harmonics_linear_xyz(grad, xyz, cotangent, table, normalize) if needs[1] else None
    return by_grad, by_xyz, None, None


def _backward_of_xyz(ctx, tangent: Tensor) -> tuple[Tensor | None, ...]:
    """``<tangent, J^T (grad W)>`` is ``<grad, (J tangent) W^T>``; its gradient in the directions is a Hessian's product."""
    (grad, xyz, weight, table), needs = ctx.saved_tensors, ctx.needs_input_grad
    ops, normalize = torch.ops.geospec, ctx.normalize
    by_grad, by_xyz, by_weight = torch.empty_like(grad), torch.empty_like(xyz), torch.zeros_like(weight)
    for first in range(0, len(xyz), _CHUNK):
        part = slice(first, first + _CHUNK)
        if needs[0] or needs[2]:
            moved = ops.spherical_harmonics_jvp(xyz[part], tangent[part], table, normalize)
            by_grad[part] = moved @ weight.T
            by_weight += grad[part].T @ moved
        if needs[1]:
            by_xyz[part] = ops.spherical_harmonics_hvp(grad[part] @ weight, xyz[part], tangent[part], table, normalize)
    return by_grad if needs[0] else None, by_xyz if needs[1] else None, by_weight if needs[2] else None, None, None


torch.library.register_autograd("geospec::spherical_harmonics_linear", _backward, setup_context=_save)
torch.library.register_autograd("geospec::spherical_harmonics_linear_weight", _backward_of_weight, setup_context=_save)
torch.library.register_autograd("geospec::spherical_harmonics_linear_xyz", _backward_of_xyz, setup_context=_save)
