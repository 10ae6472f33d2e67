"""The boundary of a mesh: its edges, its length as a mass, and conditions on it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import ArgumentError, ShapeError, one_of, problem
from ..shapes.mesh import Mesh
from .checks import check_mesh
from .operator import Laplacian
from .sparse import csr_from_triplets


def boundary_edges(mesh: Mesh) -> Tensor:
    """Edges of exactly one face, ``(b, 2)`` int64: each runs as its face does, the surface on its left.

    Ordered as in ``mesh.edges``. Empty for a closed mesh. Faces that name a vertex twice bound nothing and do not count.
    """
    check_mesh(mesh)
    faces = mesh.faces
    proper = (faces != faces.roll(-1, dims=1)).all(dim=1)
    if not proper.all():
        mesh = Mesh(mesh.vertices.detach(), faces[proper])
    _, count, of_side = mesh.edge_table
    side = (count[of_side.reshape(-1)] == 1).nonzero()[:, 0]
    side = side[of_side.reshape(-1)[side].argsort()]
    return torch.stack([mesh.faces.reshape(-1)[side], mesh.faces.roll(-1, dims=1).reshape(-1)[side]], dim=1)


def boundary_vertices(mesh: Mesh) -> Tensor:
    """Vertices on an edge of exactly one face, ``(m,)`` int64, ascending: where a Dirichlet condition holds."""
    return torch.unique(boundary_edges(mesh))


def boundary_mass(mesh: Mesh, kind: str = "consistent") -> Tensor:
    """The matrix ``B`` with ``f^T B g`` the integral of ``f g`` along the boundary, sparse CSR ``(n, n)``.

    Parameters
    ----------
    kind : ``"consistent"``, exact for functions linear on each edge: an edge of length ``l`` gives ``l / 3`` to each end and
        ``l / 6`` to the pair. ``"lumped"``, the diagonal of its row sums, ``l / 2`` to each end. Entries of both sum to the
        length of the boundary.

    Returns
    -------
    CSR in the float type and on the device of the mesh, in length; rows of inner vertices are empty. Differentiable in the vertices.
    """
    check_mesh(mesh)
    one_of("kind", kind, ("consistent", "lumped"))
    edges = boundary_edges(mesh)
    return _boundary_mass(mesh, edges, mesh.vertices.new_ones(len(edges)), kind)


def _boundary_mass(mesh: Mesh, edges: Tensor, weights: Tensor, kind: str) -> Tensor:
    one, other = edges.unbind(dim=1)
    lengths = weights * (mesh.vertices[one] - mesh.vertices[other]).norm(dim=1)
    shape = (mesh.n_points, mesh.n_points)
    if kind == "lumped":
        return csr_from_triplets(torch.cat([one, other]), torch.cat([one, other]), (lengths / 2).repeat(2), shape)
    rows, columns = torch.cat([one, other, one, other]), torch.cat([one, other, other, one])
    return csr_from_triplets(rows, columns, torch.cat([lengths / 3, lengths / 3, lengths / 6, lengths / 6]), shape)


def with_robin(operator: Laplacian, mesh: Mesh, coefficient: float | Tensor, *, kind: str = "consistent") -> Laplacian:
    """The Laplacian under the Robin condition ``df/dn + coefficient f = 0`` on the boundary: ``S + coefficient B``.

    Without it a Laplacian has the Neumann condition, coefficient zero. As the coefficient grows, eigenvalues rise to those
    of the Dirichlet condition, which is better imposed by leaving out :func:`boundary_vertices`.

    Parameters
    ----------
    operator : a Laplacian of the mesh, of any area kind.
    mesh : with a boundary.
    coefficient : at least 0, in 1 / length: one number, or ``(b,)``, one for each of :func:`boundary_edges`, constant along it.
        Edges with 0 stay free.
    kind : of the :func:`boundary_mass`; ``"lumped"`` adds to the diagonal alone.

    Returns
    -------
    Laplacian of the kind ``"<kind>+robin"``. Its rows no longer sum to zero. In float32 its smallest eigenvalue is off by
    rounding in the stiffness; take float64 where the coefficient is small.

    Raises
    ------
    ArgumentError : another number of points, a negative coefficient, a wrong number of them. ShapeError : no boundary.
    """
    check_mesh(mesh)
    one_of("kind", kind, ("consistent", "lumped"))
    if operator.n_points != mesh.n_points:
        raise ArgumentError(problem("operator", f"a Laplacian of the mesh's {mesh.n_points} vertices", operator.n_points))
    edges = boundary_edges(mesh)
    if not len(edges):
        raise ShapeError(problem("mesh", "a boundary", "a closed mesh", "it has no condition to set"))
    weights = torch.as_tensor(coefficient).to(mesh.vertices)
    if weights.shape not in ((), (len(edges),)):
        wanted = f"one number, or ({len(edges)},), one a boundary edge"
        raise ArgumentError(problem("coefficient", wanted, tuple(weights.shape)))
    if not bool((torch.isfinite(weights) & (weights >= 0)).all()):
        raise ArgumentError(problem("coefficient", "finite numbers, at least 0", coefficient))
    added = _boundary_mass(mesh, edges, weights.expand(len(edges)), kind).to(operator.mass)
    return replace(operator, stiffness=_sum(operator.stiffness, added), kind=f"{operator.kind}+robin", zero_rows=False)


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two CSR tensors of one size; differentiable in both."""
    rows = [torch.repeat_interleave(torch.arange(len(m), device=m.device), m.crow_indices().diff()) for m in (one, other)]
    columns, values = ([getattr(m, part)() for m in (one, other)] for part in ("col_indices", "values"))
    return csr_from_triplets(torch.cat(rows), torch.cat(columns), torch.cat(values), (one.shape[0], one.shape[1]))
