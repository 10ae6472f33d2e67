"""Noise for magnitudes of functional maps that is made by counting, and sums over draws that make it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ArgumentError, one_of, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_same_device

FORMS = ("normal", "half", "reflected")
#: Elements 16 b + l and 16 b + 8 + l, l < 8, are the two normals of one counter.
PAIRS = 8
_LARGEST = 2**63 - 1


class MaskSums(NamedTuple):
    """Sums over draws, each ``(..., k_t, k_s)`` in float64."""

    #: ``sum (x - D)``.
    residual: Tensor
    #: ``sum x``.
    level: Tensor
    #: ``sum (x - D) / x``.
    ratio: Tensor


def noisy_magnitudes(
    clean: Tensor, sigma: float | Sequence[float] | Tensor, n: int, *, seed: int, first: int = 0, form: str = "normal"
) -> Tensor:
    """``n`` draws of ``|clean| + sigma z`` with ``z`` standard normal, each number decided by ``seed``, draw and element.

    Draws ``first`` to ``first + n - 1``: parts asked for one after another are, bit for bit, what one call gives, whatever the
    number of threads. Machines and devices agree to rounding in float64, and so in float32 but for the last bit here and there.

    Parameters
    ----------
    clean : (..., k_t, k_s), or any shape, float32 or float64. Elements are numbered in row-major order over all
        dimensions, so maps of a batch get noise of their own. **Not differentiable**: a gradient is refused.
    sigma : level of the noise, one number or ``n`` of them, one a draw.
    n : draws. seed : 0 to 2^63 - 1. first : number of the first draw.
    form : ``"normal"``; ``"half"``, ``|clean| + sigma |z|``, one-sided, never below ``|clean|``; ``"reflected"``,
        ``| |clean| + sigma z |``, as DiffuMatch's released code has it.

    Returns
    -------
    (n, ..., k_t, k_s), of the type of ``clean``. Noise is made in double, and the same in either type.

    Raises
    ------
    ArgumentError : wrong type, level, count or form.

    Cost: 32 products of words and about 70 flops for two numbers, no memory beyond the result. Source: Salmon et al. 2011
    (Philox 4x32-10); Box and Muller 1958, on 52 bits, so no number is beyond 8.6.
    """
    levels = _checked(clean, sigma, n, seed, first, form)
    return torch.ops.geospec.noisy_magnitudes(clean, levels, seed, first, form)


def mask_sums(
    clean: Tensor, denoised: Tensor, sigma: float | Sequence[float] | Tensor, *, seed: int, first: int = 0, form: str = "half"
) -> MaskSums:
    """Sums over draws that a distilled mask is made of: of ``x - D``, of ``x``, and of ``(x - D) / x``.

    ``x`` are the draws of :func:`noisy_magnitudes` with the same arguments, made again and not read: any number of draws is
    gone through in parts whose results are added, with three maps in memory instead of all ``x``.

    Parameters
    ----------
    clean, sigma, seed, first, form : as given to :func:`noisy_magnitudes`. denoised : ``D (n, ..., k_t, k_s)``, what a denoiser
        made of those ``n`` draws, of the type of ``clean``. **Not differentiable**: a gradient is refused.

    Returns
    -------
    ``residual, level, ratio``, each (..., k_t, k_s) in float64, draws added in their order. A ratio is infinite or NaN where
    a draw is exactly zero, which one-sided noise of positive level never is.

    Raises
    ------
    ArgumentError : wrong shape, type, device, level or form.

    Cost: that of the noise, and ``denoised`` read once.
    """
    if not isinstance(denoised, Tensor):
        raise ArgumentError(problem("denoised", "a torch tensor", type(denoised).__name__, "convert with torch.as_tensor"))
    levels = _checked(clean, sigma, denoised.shape[0] if denoised.dim() else 0, seed, first, form)
    if denoised.shape != (len(levels), *clean.shape):
        raise ArgumentError(problem("denoised", f"shape (n, ...) with maps {tuple(clean.shape)}", tuple(denoised.shape)))
    if denoised.dtype != clean.dtype:
        raise ArgumentError(problem("denoised", f"the type of clean, {clean.dtype}", denoised.dtype))
    check_same_device("denoised", denoised, "clean", clean)
    return MaskSums(*torch.ops.geospec.mask_sums(clean, denoised, levels, seed, first, form))


def _checked(clean: Tensor, sigma: float | Sequence[float] | Tensor, n: int, seed: int, first: int, form: str) -> Tensor:
    """The levels ``(n,)`` in float64, beside ``clean``."""
    if not isinstance(clean, Tensor):
        raise ArgumentError(problem("clean", "a torch tensor", type(clean).__name__, "convert with torch.as_tensor"))
    if clean.dtype not in (torch.float32, torch.float64):
        raise ArgumentError(problem("clean", "float32 or float64", str(clean.dtype)))
    for name, value in (("n", n), ("seed", seed), ("first", first)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
            raise ArgumentError(problem(name, "an integer from 0 to 2^63 - 1", repr(value)))
    one_of("form", form, FORMS)
    levels = torch.as_tensor(sigma, dtype=torch.float64, device="cpu")
    if levels.dim() > 1 or (levels.dim() == 1 and len(levels) != n):
        raise ArgumentError(problem("sigma", f"a number, or {n} of them, one a draw", tuple(levels.shape)))
    if not bool(((levels >= 0) & levels.isfinite()).all()):
        raise ArgumentError(problem("sigma", "finite levels, 0 or more", f"one of {float(levels.min()):g}"))
    return levels.detach().expand(n).to(clean.device)


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Philox 4x32-10 in plain PyTorch: four words for each counter, held in int64."""
    x0, x1, x2, x3 = counter
    key0, key1 = key
    low = 0xFFFFFFFF
    for _ in range(10):
        # Products of words wrap in int64; both halves of the 64 bits are right nonetheless.
        p0, p2 = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = ((p2 >> 32) & low) ^ x1 ^ key0, p2 & low, ((p0 >> 32) & low) ^ x3 ^ key1, p0 & low
        key0, key1 = (key0 + 0x9E3779B9) & low, (key1 + 0xBB67AE85) & low
    return x0, x1, x2, x3


def _normals(size: int, draws: Tensor, seed: int) -> Tensor:
    """``(n, size)`` standard normals of the given draws."""
    low = 0xFFFFFFFF
    element = torch.arange(size, device=draws.device)
    pair = element // (2 * PAIRS) * PAIRS + element % PAIRS
    pair, draw = torch.broadcast_tensors(pair, draws[:, None])
    words = philox((pair & low, pair >> 32, draw & low, draw >> 32), (seed & low, seed >> 32))
    radius, angle = (((high << 20 | low >> 12).double() + 0.5) / 2**52 for high, low in (words[:2], words[2:]))
    turn = 2 * torch.pi * angle
    return (-2 * radius.log()).sqrt() * torch.where(element // PAIRS % 2 == 0, turn.cos(), turn.sin())


def reference(clean: Tensor, sigma: Tensor, seed: int, first: int, form: str) -> Tensor:
    """:func:`noisy_magnitudes` in plain PyTorch."""
    draws = first + torch.arange(len(sigma), device=clean.device)
    noise = _normals(clean.numel(), draws, seed).reshape(len(sigma), *clean.shape)
    noise = noise * sigma.reshape(-1, *[1] * clean.dim())
    x = clean.detach().double().abs() + (noise.abs() if form == "half" else noise)
    return (x.abs() if form == "reflected" else x).to(clean.dtype)


def reference_sums(clean: Tensor, denoised: Tensor, sigma: Tensor, seed: int, first: int, form: str) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`mask_sums` in plain PyTorch, all draws at once."""
    x = reference(clean, sigma, seed, first, form).double()
    gap = x - denoised.double()
    return gap.sum(dim=0), x.sum(dim=0), (gap / x).sum(dim=0)


@torch.library.register_fake("geospec::noisy_magnitudes")
def _fake(clean: Tensor, sigma: Tensor, seed: int, first: int, form: str) -> Tensor:
    return clean.new_empty(sigma.shape[0], *clean.shape)


@torch.library.register_fake("geospec::mask_sums")
def _fake_sums(clean: Tensor, denoised: Tensor, sigma: Tensor, seed: int, first: int, form: str) -> tuple[Tensor, Tensor, Tensor]:
    residual, level, ratio = (torch.empty(clean.shape, dtype=torch.float64, device=clean.device) for _ in range(3))
    return residual, level, ratio


def _no_gradient(ctx, *grads: Tensor) -> None:
    # Without this, torch would warn and go on as if the noise did not depend on the map.
    raise RuntimeError("noisy_magnitudes and mask_sums are not differentiable; draw with clean.detach(), or under torch.no_grad()")


torch.library.register_autograd("geospec::noisy_magnitudes", _no_gradient)
torch.library.register_autograd("geospec::mask_sums", _no_gradient)
