"""Early refusals of the Python face of every op, before a kernel is reached."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, problem


def check_floats(name: str, value: object, columns: int | None = None) -> None:
    """Want a float32 or float64 matrix; ``columns`` fixes its width where given."""
    if not isinstance(value, Tensor):
        raise ArgumentError(problem(name, "a torch tensor", type(value).__name__, "convert with torch.as_tensor"))
    if value.dtype not in (torch.float32, torch.float64):
        raise ArgumentError(problem(name, "float32 or float64", str(value.dtype)))
    if value.dim() != 2 or (columns is not None and value.shape[1] != columns):
        raise ArgumentError(problem(name, f"shape (n, {'d' if columns is None else columns})", tuple(value.shape)))


def check_faces(name: str, value: object) -> None:
    """Want an ``(f, 3)`` int64 tensor."""
    if not isinstance(value, Tensor):
        raise ArgumentError(problem(name, "a torch tensor", type(value).__name__, "convert with torch.as_tensor"))
    if value.dtype != torch.int64:
        raise ArgumentError(problem(name, "int64 indices", str(value.dtype), "convert with .long()"))
    if value.dim() != 2 or value.shape[1] != 3:
        raise ArgumentError(problem(name, "shape (f, 3)", tuple(value.shape)))


def check_same_device(name: str, value: Tensor, like_name: str, like: Tensor) -> None:
    """Want a tensor on the device of another: a kernel cannot follow an index into other memory."""
    if value.device != like.device:
        raise ArgumentError(problem(name, f"the device of {like_name}, {like.device}", value.device, "move it with .to(device)"))


def check_queries(queries: Tensor, points: Tensor) -> None:
    """Want queries and points that one search can compare: alike in type, device and columns."""
    check_floats("queries", queries)
    check_floats("points", points)
    check_same_device("points", points, "queries", queries)
    if points.dtype != queries.dtype:
        raise ArgumentError(problem("points", f"the type of queries, {queries.dtype}", points.dtype))
    if points.shape[1] != queries.shape[1]:
        raise ArgumentError(problem("points", f"as many columns as queries, {queries.shape[1]}", points.shape[1]))
    if queries.shape[1] == 0:
        raise ArgumentError(problem("queries", "at least one column", "none"))
