"""Discrete forms: numbers on vertices (degree 0), edges (1) and faces (2) of a mesh, their derivative, their inner product.

The number of an edge is the integral of the form along it, from the smaller to the larger vertex index, in the order of ``mesh.edges``;
that of a face is the integral over it, counter-clockwise as the face is given.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ShapeError, problem
from ..shapes.connectivity import Connectivity
from ..shapes.mesh import Mesh
from .checks import check_mesh, refuse_degenerate, refuse_faces
from .operator import Laplacian
from .sparse import csr, csr_from_triplets, from_scipy, to_scipy

#: Cotangent weights up to this count as zero: those of right angles, which rounding leaves on either side.
ZERO_WEIGHT = 1e-10


def exterior_derivative(mesh: Mesh, degree: int, dtype: torch.dtype = torch.int64) -> Tensor:
    """The derivative of forms as a sparse CSR matrix of +1 and -1: ``d_1 d_0 = 0`` exactly.

    Parameters
    ----------
    mesh : any mesh whose faces have three different vertices each, oriented or not.
    degree : 0, vertices to edges ``(e, n)``, the difference along each edge; 1, edges to faces ``(f, e)``, the sum around each face.
    dtype : of the entries. Integers for topology, a float type to multiply signals.

    Raises
    ------
    ArgumentError : another degree. ShapeError : faces that name a vertex twice.

    Cost at 200k vertices: 0.2 s. Source: Desbrun, Hirani, Leok and Marsden 2005, section 3.
    """
    _check_degree(degree, (0, 1))
    _check_forms(mesh)
    table, device = mesh.edge_table, mesh.faces.device
    if degree == 0:
        signs = torch.tensor([-1, 1], device=device).repeat(len(table.ends)).to(dtype)
        return csr(torch.arange(0, 2 * len(table.ends) + 1, 2, device=device), table.ends.reshape(-1), signs, mesh.n_points)
    columns, order = table.of_side.sort(dim=1)
    values = torch.gather(_signs(mesh), 1, order).reshape(-1).to(dtype)
    return csr(torch.arange(0, 3 * len(mesh.faces) + 1, 3, device=device), columns.reshape(-1), values, len(table.ends))


def hodge_star(mesh: Mesh, degree: int) -> Tensor:
    """The diagonal inner product of forms: ``sum_i star_i a_i b_i`` is near the integral of ``<a, b>``.

    Parameters
    ----------
    mesh : without degenerate faces. For degree 1 no edge may have more than two faces: it would have no dual edge.
    degree : 0, areas ``(n,)``, a third of each face; 1, cotangent weights ``(e,)``, half the sum of the cotangents across the edge;
        2, inverse areas ``(f,)``.

    Returns
    -------
    In length to the power ``2 - 2 degree``; differentiable in the vertices, once. Weights of degree 1 are returned as they are: below
    zero on edges that are not Delaunay, zero across right angles. Where they must be positive, flip edges or refine,
    or take :func:`whitney_mass`, which needs no such thing.

    Raises
    ------
    ArgumentError : another degree. ShapeError : degenerate faces, edges of three faces and more.

    Source: Desbrun et al. 2005, section 5; Pinkall and Polthier 1993 for degree 1.
    """
    _check_degree(degree, (0, 1, 2))
    _check_forms(mesh)
    if degree == 0:
        return mesh.measure
    cotangents, areas = ops.cotangent(mesh.vertices, mesh.faces)
    refuse_degenerate(mesh, cotangents)
    if degree == 2:
        return 1 / areas
    table = mesh.edge_table
    crowded = table.n_sides > 2
    if crowded.any():
        ends = table.ends[crowded][0].tolist()
        got = f"{int(crowded.sum())} edges of three faces or more, the first between vertices {ends}"
        raise ShapeError(problem("mesh", "at most two faces an edge", got, "there is no dual edge; whitney_mass needs none"))
    across = cotangents.roll(1, dims=1).reshape(-1)  # side s runs from corner s to the next: the third one is across
    return cotangents.new_zeros(len(table.ends)).index_add(0, table.of_side.reshape(-1), across / 2)


def whitney_mass(mesh: Mesh) -> Tensor:
    """The inner product of 1-forms by Whitney's linear fields, exact: sparse CSR ``(e, e)``, symmetric positive definite.

    The form of edge ``ij`` is ``l_i grad l_j - l_j grad l_i`` with the hats ``l`` of its ends: a field linear on each face, whose
    part along each edge is constant. Five entries a row inside a manifold mesh. ``d_0^T W d_0`` is the cotangent stiffness.

    Parameters
    ----------
    mesh : without degenerate faces; any edges, non-manifold or not Delaunay.

    Returns
    -------
    CSR in the float type and on the device of the mesh, without unit; differentiable in the vertices, once.

    Raises
    ------
    ShapeError : degenerate faces.

    Cost at 200k vertices: 0.8 s. Source: Whitney 1957; Bossavit 1988; in the plane, the edge elements of Nedelec 1980.
    """
    _check_forms(mesh)
    cotangents, _ = ops.cotangent(mesh.vertices, mesh.faces)
    refuse_degenerate(mesh, cotangents)
    # Products of the hats' gradients times the area: minus half the cotangent at the third corner; rows sum to zero.
    c0, c1, c2 = (0.5 * cotangents.double()).unbind(dim=1)
    gram = torch.stack([c1 + c2, -c2, -c1, -c2, c0 + c2, -c0, -c1, -c0, c0 + c1], dim=1).reshape(-1, 3, 3)
    start = torch.tensor([0, 1, 2], device=gram.device)
    end = torch.tensor([1, 2, 0], device=gram.device)
    share = 1 + torch.eye(3, dtype=gram.dtype, device=gram.device)  # the integral of two hats, over a twelfth of the area

    def term(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        return share[a[:, None], b] * gram[:, c[:, None], d]

    # Grouped so that an entry and its mirror round alike.
    local = term(start, start, end, end) + term(end, end, start, start) - (term(start, end, end, start) + term(end, start, start, end))
    signs = _signs(mesh)
    values = (signs[:, :, None] * signs[:, None] * local / 12).to(mesh.vertices.dtype)
    of_side, count = mesh.edge_table.of_side, len(mesh.edge_table.ends)
    rows, columns = of_side[:, :, None].expand(-1, 3, 3), of_side[:, None].expand(-1, 3, 3)
    return csr_from_triplets(rows.reshape(-1), columns.reshape(-1), values.reshape(-1), (count, count))


def hodge_laplacian(mesh: Mesh, degree: int) -> Laplacian:
    """The Laplacian of forms, ``d* d + d d*``, with diagonal inner products: ``S x = lambda M x``, both symmetric.

    With ``s`` the :func:`hodge_star` of each degree and ``d`` the :func:`exterior_derivative`: degree 0 is ``d_0^T s_1 d_0``, the
    cotangent Laplacian; degree 1 is ``d_1^T s_2 d_1 + s_1 d_0 s_0^-1 d_0^T s_1``; degree 2 is ``s_2 d_1 s_1^-1 d_1^T s_2``; the mass is
    the star itself.

    The boundary condition is the absolute one (Neumann for functions, no flow through the boundary for 1-forms). Zero eigenvalues
    count the components (0), the independent loops that bound nothing (1: twice the genus on a closed surface, ``2 g + b - 1`` with ``b``
    boundaries), the closed components (2). Non-zero eigenvalues of degree 1 are those of degrees 0 and 2 together.

    Parameters
    ----------
    mesh : manifold at its edges, without degenerate faces; for degrees 1 and 2 all cotangent weights positive; orientable for degree 2
        (faces that are turned against each other may stay so).
    degree : 0, 1 or 2.

    Returns
    -------
    Laplacian of the kind ``"hodge-<degree>"`` on ``n``, ``e`` or ``f`` numbers, detached, in the float type and on the device of the
    mesh (computed in float64 on the CPU). :class:`geospec.LaplaceBasis` takes it as any other.

    Raises
    ------
    ArgumentError : another degree. ShapeError : what the mesh must not have, see above.

    Cost at 200k vertices: 2 s for degree 1. Source: Desbrun et al. 2005, section 8; Dodziuk and Patodi 1976 for the convergence.
    """
    import scipy.sparse

    _check_degree(degree, (0, 1, 2))
    _check_forms(mesh)
    if degree == 2 and not Connectivity(mesh.faces.cpu().numpy(), mesh.n_points).orientable:
        raise ShapeError(problem("mesh", "an orientable surface for degree 2", "one with a single side", "degree 1 takes it"))
    wide = Mesh(mesh.vertices.detach().double(), mesh.faces)
    if degree:
        _refuse_weights(wide, hodge_star(wide, 1))
    stars = [hodge_star(wide, d).cpu().numpy() for d in (0, 1, 2)]
    d0, d1 = (to_scipy(exterior_derivative(mesh, d, torch.float64)) for d in (0, 1))
    if degree < 2:
        _refuse_bare(stars[0])
    if degree == 0:
        stiffness = d0.T @ scipy.sparse.diags(stars[1]) @ d0
    elif degree == 1:
        up = d1.T @ scipy.sparse.diags(stars[2]) @ d1
        stiffness = up + _scaled(d0 @ scipy.sparse.diags(1 / stars[0]) @ d0.T, stars[1])
    else:
        stiffness = _scaled(d1 @ scipy.sparse.diags(1 / stars[1]) @ d1.T, stars[2])
    like = mesh.vertices.detach()
    matrix = from_scipy(stiffness).to(device=like.device, dtype=like.dtype)
    return Laplacian(matrix, torch.from_numpy(stars[degree]).to(like), f"hodge-{degree}", zero_rows=degree == 0)


def whitney_laplacian(mesh: Mesh) -> tuple[Tensor, Tensor]:
    """The Laplacian of 1-forms with Whitney's inner product: ``(S, W)``, both sparse CSR ``(e, e)``, with ``S x = lambda W x``.

    As :func:`hodge_laplacian` of degree 1 with :func:`whitney_mass` ``W`` in place of the cotangent weights: it takes meshes with any
    angles, and non-manifold ones, for a denser matrix whose mass is not diagonal. Zero eigenvalues and boundary condition are as
    there; non-zero eigenvalues hold those of the cotangent Laplacian with its lumped mass.

    Returns
    -------
    Detached, in the float type and on the device of the mesh (computed in float64 on the CPU); ``S`` symmetric bit for bit.

    Raises
    ------
    ShapeError : degenerate faces, vertices of no face.

    Cost at 200k vertices: 3 s. Source: Arnold, Falk and Winther 2006, section 7, with a lumped mass for functions.
    """
    import scipy.sparse

    _check_forms(mesh)
    wide = Mesh(mesh.vertices.detach().double(), mesh.faces)
    areas, mass = hodge_star(wide, 0).cpu().numpy(), to_scipy(whitney_mass(wide))
    _refuse_bare(areas)
    d0, d1 = (to_scipy(exterior_derivative(mesh, d, torch.float64)) for d in (0, 1))
    flux = mass @ d0 @ scipy.sparse.diags(areas**-0.5)
    stiffness = d1.T @ scipy.sparse.diags(hodge_star(wide, 2).cpu().numpy()) @ d1 + flux @ flux.T
    stiffness = (stiffness + stiffness.T) / 2
    device, dtype = mesh.vertices.device, mesh.vertices.dtype
    return from_scipy(stiffness).to(device=device, dtype=dtype), from_scipy(mass).to(device=device, dtype=dtype)


def _scaled(matrix, star):
    """``diag(star) @ matrix @ diag(star)``, both factors in one product, so that an entry and its mirror round alike."""
    matrix = matrix.tocsr()
    matrix.data *= star[matrix.indices] * star.repeat(matrix.indptr[1:] - matrix.indptr[:-1])
    return matrix


def _signs(mesh: Mesh) -> Tensor:
    """+1 where a side of a face runs as its edge does, from the smaller index to the larger; else -1. ``(f, 3)`` int64."""
    return 2 * (mesh.faces < mesh.faces.roll(-1, dims=1)).long() - 1


def _check_degree(degree: int, choices: tuple[int, ...]) -> None:
    if degree not in choices:
        raise ArgumentError(problem("degree", "one of " + ", ".join(map(str, choices)), degree))


def _check_forms(mesh: Mesh) -> None:
    check_mesh(mesh)
    repeated = (mesh.faces == mesh.faces.roll(-1, dims=1)).any(dim=1)
    refuse_faces(mesh, repeated, "three different vertices in each face")


def _refuse_weights(mesh: Mesh, weights: Tensor) -> None:
    poor = ~(weights > ZERO_WEIGHT)
    if poor.any():
        first = mesh.edge_table.ends[poor][0].tolist()
        got = f"{int(poor.sum())} of {len(weights)} edges at or below zero, the first between vertices {first}"
        raise ShapeError(problem("mesh", "positive cotangent weights", got, "whitney_laplacian takes any angles"))


def _refuse_bare(areas) -> None:
    if not (areas > 0).all():
        bare = int((~(areas > 0)).sum())
        hint = "drop them with repair(shape, steps=('unreferenced',))"
        raise ShapeError(problem("mesh", "a face at every vertex", f"{bare} of {len(areas)} vertices without area", hint))
