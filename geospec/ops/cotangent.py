"""Corner cotangents and areas of triangles: all that the Laplacian needs to know of a mesh's metric."""

from __future__ import annotations

import torch
from torch import Tensor

from . import library  # noqa: F401  (registers the ops)
from .checks import check_faces, check_floats, check_same_device


def cotangent(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Cotangent of the angle at every corner, and the area, of each triangle.

    With ``u, v`` the edges that leave a corner, ``cot = u.v / |u x v|`` and ``area = |u x v| / 2``.
    A triangle of zero area has infinite or NaN cotangents.

    Parameters
    ----------
    vertices : (n, 3) float32 or float64. Differentiable, once. Edge arithmetic is done in double.
    faces : (f, 3) int64.

    Returns
    -------
    cotangents (f, 3): of the angle at each corner, in the order of ``faces``; areas (f,).

    Raises
    ------
    ArgumentError : wrong shape or type. RuntimeError : a face names no vertex (CPU; on CUDA such a face gives NaN).

    Cost: about 60 flops and 120 bytes a face. Source: Pinkall and Polthier 1993, eq. 4.
    """
    check_floats("vertices", vertices, columns=3)
    check_faces("faces", faces)
    check_same_device("faces", faces, "vertices", vertices)
    return torch.ops.geospec.cotangent(vertices, faces)


def reference(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`cotangent` in plain PyTorch: the specification that the kernels are tested against."""
    corners = vertices[faces].double()
    u = corners.roll(-1, dims=1) - corners
    v = corners.roll(-2, dims=1) - corners
    double_area = torch.linalg.cross(u, v).norm(dim=-1)
    cotangents = (u * v).sum(dim=-1) / double_area
    return cotangents.to(vertices.dtype), (0.5 * double_area[:, 0]).to(vertices.dtype)


@torch.library.register_fake("geospec::cotangent")
def _fake(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    return vertices.new_empty(faces.shape[0], 3), vertices.new_empty(faces.shape[0])


@torch.library.register_fake("geospec::cotangent_backward")
def _fake_backward(grad_cotangents: Tensor, grad_areas: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    return vertices.new_empty(faces.shape[0], 3, 3)


def _setup(ctx, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx, grad_cotangents: Tensor, grad_areas: Tensor) -> tuple[Tensor | None, None]:
    vertices, faces = ctx.saved_tensors
    if not ctx.needs_input_grad[0]:
        return None, None
    corners = torch.ops.geospec.cotangent_backward(grad_cotangents, grad_areas, vertices, faces)
    # index_add honours torch.use_deterministic_algorithms, which atomics of our own would not.
    return torch.zeros_like(vertices).index_add(0, faces.reshape(-1), corners.reshape(-1, 3)), None


torch.library.register_autograd("geospec::cotangent", _backward, setup_context=_setup)


def _no_second(ctx, grad: Tensor) -> None:
    # Without this, torch would warn and go on with a second derivative that lacks terms.
    raise RuntimeError(
        "cotangent is differentiable once; for second derivatives there is its twin in plain PyTorch: "
        "from geospec.ops.cotangent import reference"
    )


torch.library.register_autograd("geospec::cotangent_backward", _no_second)


@torch.library.register_vmap("geospec::cotangent")
def _vmap(info, in_dims: tuple[int | None, int | None], vertices: Tensor, faces: Tensor):
    """A batch is one larger mesh: the vertices end to end, the faces shifted."""
    size = info.batch_size
    vertices = vertices.expand(size, *vertices.shape) if in_dims[0] is None else vertices.movedim(in_dims[0], 0)
    faces = faces.expand(size, *faces.shape) if in_dims[1] is None else faces.movedim(in_dims[1], 0)
    shift = vertices.shape[1] * torch.arange(size, device=faces.device)[:, None, None]
    cotangents, areas = torch.ops.geospec.cotangent(vertices.reshape(-1, 3), (faces + shift).reshape(-1, 3))
    return (cotangents.reshape(size, -1, 3), areas.reshape(size, -1)), (0, 0)
