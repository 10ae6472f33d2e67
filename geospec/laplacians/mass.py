"""Inner products of functions on a mesh as sparse matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import ops
from ..errors import one_of
from ..shapes.mesh import Mesh
from .checks import check_mesh
from .sparse import csr, diagonal


def mass_matrix(mesh: Mesh, kind: str = "consistent") -> Tensor:
    """The matrix ``M`` with ``f^T M g`` the integral of ``f g``, sparse CSR ``(n, n)``.

    Parameters
    ----------
    mesh : any mesh. Vertices of no face get empty or zero rows.
    kind : ``"consistent"``, exact for functions linear on each face: a face of area ``A`` gives ``A / 6`` to each of
        its vertices and ``A / 12`` to each pair. ``"lumped"``, the diagonal of its row sums, a third of the area
        each: the mass of :class:`Laplacian`. Entries of both sum to the area.

    Returns
    -------
    CSR in the float type and on the device of the mesh, in length squared; differentiable in the vertices, once.

    Cost at 200k vertices: 0.1 s. Source: the element of Courant; Strang and Fix 1973, section 1.3.
    """
    check_mesh(mesh)
    one_of("kind", kind, ("consistent", "lumped"))
    if kind == "lumped":
        return diagonal(mesh.measure)
    areas = mesh.face_areas
    adjacency = ops.mesh_adjacency(mesh.faces, mesh.n_points)
    # A "cotangent" of -A / 6 at each corner puts A / 12 on each pair, and minus their sum on the diagonal: A / 6 but for its sign.
    values, _ = ops.assemble_stiffness((-areas / 6)[:, None].expand(-1, 3), areas, mesh.faces, adjacency)
    row = torch.repeat_interleave(torch.arange(mesh.n_points, device=values.device), adjacency.crow.diff())
    return csr(adjacency.crow, adjacency.col, torch.where(row == adjacency.col, -values, values))
