"""Wavelet transforms of 3D grids, several levels, with the boundary modes of grids in use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ..errors import ArgumentError, one_of, problem
from .wavelet_filters import Filters, filters

#: How a signal goes on beyond its ends.
MODES = ("constant", "zero", "symmetric", "periodization")


def coefficient_length(n: int, length: int, mode: str) -> int:
    """Coefficients of ``n`` samples under filters of an even ``length``."""
    return (n + 1) // 2 if mode == "periodization" else (n + length - 1) // 2


def level_shapes(shape: Sequence[int], wavelet: str, levels: int, mode: str) -> list[tuple[int, ...]]:
    """Sizes of the grid and of the coefficients of each level, finest first: ``levels + 1`` of them."""
    length = len(filters(wavelet).analysis_low)
    shapes = [tuple(shape)]
    for _ in range(levels):
        shapes.append(tuple(coefficient_length(n, length, mode) for n in shapes[-1]))
    return shapes


def wavelet3d_analysis(grid: Tensor, wavelet: str = "bior6.8", levels: int = 1, mode: str = "constant") -> list[Tensor]:
    """Coefficients of a grid ``(..., n0, n1, n2)``, coarse to fine: ``[coarse, details of the last level, ..., of the first]``.

    Coarse is ``(..., m0, m1, m2)``, details are ``(..., 7, m0, m1, m2)``. Band ``b - 1`` of the details is high-pass in the first
    axis where bit 0 of ``b`` is set, in the second where bit 1 is, in the third where bit 2 is; low-pass elsewhere:
    daa, ada, dda, aad, dad, add, ddd in PyWavelets' words.
    """
    one_of("mode", mode, MODES)
    bank, details, coarse = filters(wavelet), [], grid
    for _ in range(levels):
        bands = reference_analysis(coarse, bank, mode)
        coarse, detail = bands[..., 0, :, :, :], bands[..., 1:, :, :, :]
        details.append(detail)
    return [coarse, *reversed(details)]


def wavelet3d_synthesis(
    coefficients: Sequence[Tensor | None], shape: Sequence[int], wavelet: str = "bior6.8", mode: str = "constant"
) -> Tensor:
    """The grid ``(..., n0, n1, n2)`` of coefficients as :func:`wavelet3d_analysis` gives them; ``None`` stands for details that are zero.

    ``shape`` is the grid's ``(n0, n1, n2)``. With fewer details than the analysis made, ``shape`` is that of the level to stop at.
    """
    one_of("mode", mode, MODES)
    levels = len(coefficients) - 1
    shapes = level_shapes(shape, wavelet, levels, mode)
    grid = coefficients[0]
    if grid is None or tuple(grid.shape[-3:]) != shapes[-1]:
        raise ArgumentError(problem("coefficients", f"a coarse grid of {shapes[-1]}", None if grid is None else tuple(grid.shape)))
    for detail, finer in zip(coefficients[1:], reversed(shapes[:-1]), strict=True):
        if detail is None:
            detail = grid.new_zeros(*grid.shape[:-3], 7, *grid.shape[-3:])
        grid = reference_synthesis(torch.cat([grid.unsqueeze(-4), detail], dim=-4), finer, filters(wavelet), mode)
    return grid


@lru_cache(maxsize=64)
def axis_matrices(n: int, wavelet_filters: Filters, mode: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The transform of ``n`` samples as matrices: low and high analysis ``(m, n)``, low and high synthesis ``(n, m)``."""
    length = len(wavelet_filters[0])
    m = coefficient_length(n, length, mode)
    period = n + n % 2
    k, j = torch.meshgrid(torch.arange(m), torch.arange(length), indexing="ij")
    place = 2 * k + 1 - j + (length // 2 - 1 if mode == "periodization" else 0)
    if mode == "periodization":
        column = (place % period).clamp(max=n - 1)
    elif mode == "symmetric":
        column = place % (2 * n)
        column = torch.where(column < n, column, 2 * n - 1 - column)
    else:
        column = place.clamp(0, n - 1)
    inside = (place >= 0) & (place < n) if mode == "zero" else torch.ones_like(place, dtype=torch.bool)
    made = []
    for taps in wavelet_filters[:2]:
        matrix = torch.zeros(m, n, dtype=torch.float64)
        made.append(matrix.index_put((k, column), torch.where(inside, taps[j], 0.0), accumulate=True))
    row = 2 * k + j - (length // 2 - 1 if mode == "periodization" else length - 2)
    row = row % period if mode == "periodization" else row
    inside = (row >= 0) & (row < n)
    for taps in wavelet_filters[2:]:
        matrix = torch.zeros(n, m, dtype=torch.float64)
        made.append(matrix.index_put((row.clamp(0, n - 1), k), torch.where(inside, taps[j], 0.0), accumulate=True))
    return tuple(made)  # type: ignore[return-value]


def reference_analysis(grid: Tensor, bank: Filters, mode: str) -> Tensor:
    """One level in plain PyTorch: ``(..., n0, n1, n2) -> (..., 8, m0, m1, m2)``, band 0 the coarse grid."""
    bands = grid.unsqueeze(-4)
    for axis in (0, 1, 2):
        low, high = (matrix.to(grid) for matrix in axis_matrices(grid.shape[axis - 3], bank, mode)[:2])
        bands = torch.cat([torch.movedim(matrix @ torch.movedim(bands, axis - 3, -2), -2, axis - 3) for matrix in (low, high)], dim=-4)
    return bands


def reference_synthesis(bands: Tensor, shape: Sequence[int], bank: Filters, mode: str) -> Tensor:
    """One level back in plain PyTorch: ``(..., 8, m0, m1, m2) -> (..., n0, n1, n2)``."""
    for axis in (2, 1, 0):
        low, high = (matrix.to(bands) for matrix in axis_matrices(shape[axis], bank, mode)[2:])
        half = bands.shape[-4] // 2
        parts = bands.narrow(-4, 0, half), bands.narrow(-4, half, half)
        bands = sum(
            torch.movedim(matrix @ torch.movedim(part, axis - 3, -2), -2, axis - 3) for matrix, part in zip((low, high), parts, strict=True)
        )
    return bands.squeeze(-4)
