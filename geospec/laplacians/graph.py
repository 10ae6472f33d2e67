"""The Laplacian of a graph: edges of a mesh, or nearest neighbours of a cloud in any dimension."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ShapeError, one_of, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from .operator import Laplacian
from .sparse import csr_from_triplets


def graph_laplacian(
    shape: Mesh | PointCloud,
    *,
    weights: str = "gaussian",
    bandwidth: float | None = None,
    mass: str = "unit",
    n_neighbors: int = 30,
) -> Laplacian:
    """``S = D - W`` with ``W`` the weights of a graph and ``D`` the diagonal of its degrees: ``f^T S f`` sums ``w_ij (f_i - f_j)^2``.

    Parameters
    ----------
    shape : a mesh, whose graph is its edges, or a cloud in any dimension, in whose graph two points are linked where either is among
        the ``n_neighbors`` nearest of the other.
    weights : ``"unit"``, 1 on each edge. ``"gaussian"``, ``exp(-|x_i - x_j|^2 / (2 h^2))``.
    bandwidth : ``h``, a length; by default the median length of the edges.
    mass : ``"unit"``, 1 at each point: the unnormalised Laplacian, whose eigenvalues reach at most twice the largest degree.
        ``"degree"``, ``D``: ``M^-1 S = I - D^-1 W`` is the identity minus the step of a random walk, and its eigenvalues, those of the
        symmetric normalised Laplacian, lie in [0, 2], 2 on bipartite parts alone.
    n_neighbors : neighbours of each point of a cloud, at least 1; not used for a mesh.

    Returns
    -------
    Laplacian of the kind ``"graph"``, without unit, in the float type and on the device of the shape; Gaussian weights
    are differentiable in the points, the choice of neighbours is not. Zero eigenvalues count the parts of the graph; few
    neighbours leave it in pieces.

    Notes
    -----
    No area enters, so eigenvalues are those of a surface at best up to a factor. For evenly sampled points the
    Gaussian one tends to it as ``n`` grows and ``h`` shrinks, slowly enough that neighbours become many (``n h^m / log n`` without
    bound in ``m`` dimensions); at a fixed number of neighbours an error stays. Uneven sampling bends the limit: with density
    ``p``, and neighbours that reach well beyond ``h``, ``"degree"`` leads to ``-div(p^2 grad f) / p^2``; where they end sooner, the
    limit mixes with that of the bare neighbour graph. Unit weights on the edges of a mesh tend to nothing of the surface.

    Raises
    ------
    ArgumentError : an unknown option, a bandwidth not above zero. ShapeError : fewer points than neighbours, a median length of zero, or
        points without weight where ``mass="degree"``.

    Cost: one neighbour search, 3 s for 200k points in space.
    Source: Chung 1997, chapter 1; Belkin and Niyogi 2008; Garcia Trillos and Slepcev 2018; Coifman and Lafon 2006 (density).
    """
    one_of("weights", weights, ("unit", "gaussian"))
    one_of("mass", mass, ("unit", "degree"))
    if bandwidth is not None and not 0 < bandwidth < float("inf"):
        raise ArgumentError(problem("bandwidth", "a positive length", bandwidth))
    if isinstance(shape, Mesh):
        edges = shape.edges
        edges = edges[edges[:, 0] != edges[:, 1]]  # sides of faces that name a vertex twice
    elif isinstance(shape, PointCloud):
        edges = _neighbour_edges(shape, n_neighbors)
    else:
        raise ArgumentError(problem("shape", "a Mesh or a PointCloud", type(shape).__name__))
    one, other = edges.unbind(dim=1)
    weight = _gaussian(shape.points, one, other, bandwidth) if weights == "gaussian" else shape.points.new_ones(len(edges)).double()
    n = shape.n_points
    degree = torch.zeros(n, dtype=torch.float64, device=weight.device).index_add(0, one, weight).index_add(0, other, weight)
    every = torch.arange(n, device=weight.device)
    rows, columns = torch.cat([one, other, every]), torch.cat([other, one, every])
    stiffness = csr_from_triplets(rows, columns, torch.cat([-weight, -weight, degree]).to(shape.points.dtype), (n, n))
    total = degree.to(shape.points.dtype)
    if mass == "degree" and not (total > 0).all():
        got = f"{int((~(total > 0)).sum())} points without any weight"
        raise ShapeError(problem("shape", "a neighbour in reach of every point", got, "raise the bandwidth, or use mass='unit'"))
    return Laplacian(stiffness, total if mass == "degree" else torch.ones_like(total), "graph")


def _gaussian(points: Tensor, one: Tensor, other: Tensor, bandwidth: float | None) -> Tensor:
    """Weights of edges in float64. The default bandwidth is the median, which stray points do not move."""
    squared = ((points[one].double() - points[other].double()) ** 2).sum(dim=1)
    if bandwidth is not None:
        return torch.exp(-squared / (2 * bandwidth**2))
    median = squared.median() if len(squared) else squared.new_ones(())
    if not median > 0:
        hint = "pass a bandwidth, or repair(shape, steps=('duplicate-vertices',))"
        raise ShapeError(problem("shape", "a positive median distance between neighbours", "0: most neighbours coincide", hint))
    return torch.exp(-squared / (2 * median))


def _neighbour_edges(cloud: PointCloud, k: int) -> Tensor:
    """Pairs ``(e, 2)`` of points, smaller index first, sorted, where one is among the ``k`` nearest of the other."""
    n = cloud.n_points
    if k < 1:
        raise ArgumentError(problem("n_neighbors", "at least 1", k))
    if n <= k:
        raise ShapeError(problem("shape", f"more than n_neighbors = {k} points", n, "lower n_neighbors"))
    points = cloud.points.detach()
    near = ops.knn(points, points, k, exclude_self=True)[1]
    point = torch.arange(n, device=near.device)[:, None]
    key = torch.unique(torch.minimum(point, near) * n + torch.maximum(point, near))
    return torch.stack([key // n, key % n], dim=1)
