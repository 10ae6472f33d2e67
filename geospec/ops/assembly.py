"""From corner cotangents to a sparse stiffness matrix and a lumped mass, deterministically."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (registers the ops)
from .checks import check_faces, check_floats, check_same_device


class Adjacency(NamedTuple):
    """Who meets whom in a mesh; it depends on the faces alone, so one serves any positions of the vertices.

    ``corners[offsets[i]:offsets[i + 1]]`` are the corners at vertex ``i``, corner ``c`` of face ``t`` being
    the number ``3 t + c``; ``crow (n + 1,), col (nnz,)`` is the CSR pattern of the edges and the diagonal,
    columns ascending. All int64.
    """

    offsets: Tensor
    corners: Tensor
    crow: Tensor
    col: Tensor


def mesh_adjacency(faces: Tensor, n_vertices: int) -> Adjacency:
    """Corners around each vertex and the sparsity pattern of the stiffness matrix.

    ``faces (f, 3)`` int64 with indices below ``n_vertices``; any mesh, manifold or not. Not
    differentiable. Cost: ``O(f)``, a counting sort (CPU) or radix sorts (CUDA).
    """
    check_faces("faces", faces)
    return Adjacency(*torch.ops.geospec.mesh_adjacency(faces, n_vertices))


def assemble_stiffness(cotangents: Tensor, areas: Tensor, faces: Tensor, adjacency: Adjacency) -> tuple[Tensor, Tensor]:
    """Stiffness values on the pattern of ``adjacency`` and the lumped mass.

    ``S_ij = -(cot a_ij + cot b_ij) / 2`` over the angles opposite to the edge ``ij``, in as many faces as
    hold it, ``S_ii = -sum_j S_ij``; ``mass_i`` is a third of the area of the faces at ``i``. The matrix is
    symmetric bit for bit, positive semi-definite up to rounding for corners of real triangles, and its rows
    sum to zero. Sums run in the order of the faces, that of the diagonal and that of the mass in double: results
    repeat exactly.

    Parameters
    ----------
    cotangents : (f, 3), areas : (f,) float32 or float64, as :func:`cotangent` gives them or from intrinsic
        edge lengths. Differentiable, any number of times (the op is linear).
    faces : (f, 3) int64.
    adjacency : of the same faces, from :func:`mesh_adjacency`.

    Returns
    -------
    values (nnz,), mass (n,).

    Cost: about 12 reads a matrix entry. Source: Pinkall and Polthier 1993; Meyer et al. 2003.
    """
    check_floats("cotangents", cotangents, columns=3)
    check_faces("faces", faces)
    if not isinstance(adjacency, Adjacency):
        raise ArgumentError(problem("adjacency", "the result of mesh_adjacency", type(adjacency).__name__))
    for name, value in (("areas", areas), ("faces", faces), ("adjacency", adjacency.col)):
        check_same_device(name, value, "cotangents", cotangents)
    return torch.ops.geospec.assemble_stiffness(cotangents, areas, faces, *adjacency)


def reference_adjacency(faces: Tensor, n_vertices: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`mesh_adjacency` by sorting, in plain PyTorch; the CUDA implementation too."""
    if faces.numel() and bool((faces.min() < 0) | (faces.max() >= n_vertices)):
        raise RuntimeError(f"faces: wanted indices in [0, {n_vertices}), got {int(faces.min())}..{int(faces.max())}")
    corner_vertex = faces.reshape(-1)
    offsets = torch.zeros(n_vertices + 1, dtype=torch.int64, device=faces.device)
    offsets[1:] = torch.bincount(corner_vertex, minlength=n_vertices).cumsum(0)
    corners = torch.argsort(corner_vertex, stable=True)
    rows = torch.cat([corner_vertex, corner_vertex, torch.arange(n_vertices, device=faces.device)])
    columns = torch.cat(
        [faces.roll(-1, dims=1).reshape(-1), faces.roll(-2, dims=1).reshape(-1), rows[-n_vertices:] if n_vertices else rows[:0]]
    )
    key = torch.unique(rows * max(n_vertices, 1) + columns)
    crow = torch.zeros_like(offsets)
    crow[1:] = torch.bincount(key // max(n_vertices, 1), minlength=n_vertices).cumsum(0)
    return offsets, corners, crow, key % max(n_vertices, 1)


def reference(
    cotangents: Tensor, areas: Tensor, faces: Tensor, offsets: Tensor, corners: Tensor, crow: Tensor, col: Tensor
) -> tuple[Tensor, Tensor]:
    """:func:`assemble_stiffness` in plain PyTorch: scatter every corner into its four entries."""
    n = len(crow) - 1
    rows = torch.repeat_interleave(torch.arange(n, device=faces.device), crow.diff())
    entry = rows * max(n, 1) + col
    i, j = faces.roll(-1, dims=1).reshape(-1), faces.roll(-2, dims=1).reshape(-1)
    half = 0.5 * cotangents.reshape(-1).double()
    values = torch.zeros(len(col), dtype=torch.float64, device=faces.device)
    for row, column, sign in ((i, j, -1), (j, i, -1), (i, i, 1), (j, j, 1)):
        values = values.index_add(0, torch.searchsorted(entry, row * max(n, 1) + column), sign * half)
    third = (areas.double() / 3).repeat_interleave(3)
    mass = torch.zeros(n, dtype=torch.float64, device=faces.device).index_add(0, faces.reshape(-1), third)
    return values.to(cotangents.dtype), mass.to(cotangents.dtype)


torch.library.impl("geospec::mesh_adjacency", "CUDA")(reference_adjacency)


@torch.library.register_fake("geospec::mesh_adjacency")
def _fake_adjacency(faces: Tensor, n_vertices: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    entries = torch.library.get_ctx().new_dynamic_size()
    return faces.new_empty(n_vertices + 1), faces.new_empty(faces.numel()), faces.new_empty(n_vertices + 1), faces.new_empty(entries)


@torch.library.register_fake("geospec::assemble_stiffness")
def _fake(
    cotangents: Tensor, areas: Tensor, faces: Tensor, offsets: Tensor, corners: Tensor, crow: Tensor, col: Tensor
) -> tuple[Tensor, Tensor]:
    return cotangents.new_empty(col.shape[0]), cotangents.new_empty(crow.shape[0] - 1)


@torch.library.register_fake("geospec::assemble_stiffness_backward")
def _fake_backward(grad_values: Tensor, grad_mass: Tensor, faces: Tensor, crow: Tensor, col: Tensor) -> tuple[Tensor, Tensor]:
    return grad_values.new_empty(faces.shape[0], 3), grad_values.new_empty(faces.shape[0])


def _setup(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    _, _, *structure = inputs
    ctx.save_for_backward(*structure)


def _backward(ctx, grad_values: Tensor, grad_mass: Tensor) -> tuple[Tensor | None, ...]:
    faces, _, _, crow, col = ctx.saved_tensors
    grad_cotangents, grad_areas = torch.ops.geospec.assemble_stiffness_backward(grad_values, grad_mass, faces, crow, col)
    wanted = ctx.needs_input_grad
    return grad_cotangents if wanted[0] else None, grad_areas if wanted[1] else None, None, None, None, None, None


torch.library.register_autograd("geospec::assemble_stiffness", _backward, setup_context=_setup)


def _setup_adjoint(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    _, _, *structure = inputs
    ctx.save_for_backward(*structure)


def _backward_adjoint(ctx, grad_cotangents: Tensor, grad_areas: Tensor) -> tuple[Tensor | None, ...]:
    """The adjoint of the adjoint is the assembly itself, so gradients of any order pass through."""
    faces, crow, _ = ctx.saved_tensors
    values, mass = torch.ops.geospec.assemble_stiffness(
        grad_cotangents, grad_areas, faces, *torch.ops.geospec.mesh_adjacency(faces, len(crow) - 1)
    )
    return values, mass, None, None, None


torch.library.register_autograd("geospec::assemble_stiffness_backward", _backward_adjoint, setup_context=_setup_adjoint)
