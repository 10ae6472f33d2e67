"""Conversion and checks of the tensors that make a shape."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import ShapeError, problem


def as_float(name: str, value: object, columns: int | None = None) -> Tensor:
    """A finite, contiguous float32 or float64 matrix; integers and float16 are widened to float32.

    ``columns`` fixes the width where it is given.
    """
    tensor = _as_tensor(name, value)
    if tensor.dtype not in (torch.float32, torch.float64):
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise ShapeError(problem(name, "real numbers", str(tensor.dtype)))
        tensor = tensor.to(torch.float32)
    width = "d" if columns is None else str(columns)
    if tensor.dim() != 2 or (columns is not None and tensor.shape[1] != columns):
        raise ShapeError(problem(name, f"shape (n, {width})", tuple(tensor.shape)))
    finite = torch.isfinite(tensor).all(dim=1)
    if not finite.all():
        bad = int((~finite).sum())
        raise ShapeError(
            problem(
                name, "finite coordinates", f"{bad} of {len(tensor)} rows with NaN or infinity, the first at {int(finite.long().argmin())}"
            )
        )
    return tensor.contiguous()


def as_index(name: str, value: object, device: torch.device) -> Tensor:
    """A contiguous ``(f, 3)`` int64 matrix on ``device``."""
    tensor = _as_tensor(name, value)
    if tensor.numel() == 0 and tensor.dim() < 2:
        tensor = tensor.reshape(0, 3).long()
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ShapeError(problem(name, "integers", str(tensor.dtype)))
    if tensor.dim() != 2 or tensor.shape[1] != 3:
        hint = "triangulate polygons first" if tensor.dim() == 2 and tensor.shape[1] > 3 else ""
        raise ShapeError(problem(name, "shape (f, 3)", tuple(tensor.shape), hint))
    return tensor.to(device=device, dtype=torch.int64).contiguous()


def _as_tensor(name: str, value: object) -> Tensor:
    """Arrays and lists become tensors of their own memory, in the machine's byte order."""
    if isinstance(value, Tensor):
        return value
    array = np.array(value)
    if array.dtype.kind not in "biufc":
        raise ShapeError(problem(name, "a tensor or array of numbers", f"{type(value).__name__} of {array.dtype}"))
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def unit_rows(vectors: Tensor) -> Tensor:
    """Each row ``(m, d)`` over its length, however small it is; a row of zeros stays."""
    length = vectors.norm(dim=1, keepdim=True)
    return vectors / torch.where(length > 0, length, 1)
