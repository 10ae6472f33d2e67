"""How good a map is: against the truth, and by itself.

Lengths are geodesic, on the source, divided by the square root of its area and multiplied by 100: the unit of every
published table. A point map is ``target_to_source (n_t,)`` int64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from ..geodesics import HeatGeodesics, geodesic_distances
from .conversion import checked_point_map, embeddings

if TYPE_CHECKING:
    from ..bases.base import SampledBasis
    from ..laplacians import Laplacian
    from ..shapes.cloud import PointCloud
    from ..shapes.mesh import Mesh

#: Rows of the distance matrix held at a time; 64 rows of 50,000 doubles are 25 MB.
BLOCK = 64


def geodesic_error(
    target_to_source: Tensor,
    truth: Tensor | tuple[Tensor, Tensor],
    source: Mesh | PointCloud,
    *,
    distances: Tensor | None = None,
    method: str = "heat",
) -> Tensor:
    """Distance between where the map sends each target point and where it should: ``(m,)``, in hundredths of sqrt(area).

    Parameters
    ----------
    target_to_source : the map, ``(n_t,)``.
    truth : known correspondences as two aligned index tensors ``(target_points (m,), source_points (m,))``, or the true map
        ``(n_t,)`` with -1 where it is unknown. For an error against the mirrored truth of a symmetric shape call again
        with that truth; the literature reports the smaller of the two means.
    source : the shape whose geodesics and area count.
    distances : all distances ``(n_s, n_s)`` where the caller has them; else they are computed, for the points needed only,
        64 sources at a time, by ``method`` of :func:`geospec.geodesics.geodesic_distances`.

    ``.mean()`` is the number of the tables; :func:`error_curve` and :func:`area_under_curve` take the result as it is.
    """
    if isinstance(truth, tuple):
        on_target, on_source = truth
    elif truth.shape == target_to_source.shape:
        on_target = torch.nonzero(truth >= 0)[:, 0]
        on_source = truth[on_target]
    else:
        each = f"a source point, or -1, for each of the {len(target_to_source)} target points"
        raise ArgumentError(problem("truth", each, tuple(truth.shape)))
    if on_target.shape != on_source.shape or on_target.dim() != 1:
        raise ArgumentError(problem("truth", "two index tensors of one length", f"{tuple(on_target.shape)} and {tuple(on_source.shape)}"))
    found = checked_point_map("target_to_source", target_to_source, len(target_to_source), source.n_points)
    found = found[checked_point_map("truth, target points", on_target, len(on_target), len(found))]
    wanted = checked_point_map("truth, source points", on_source, len(on_source), source.n_points)
    return _normalised_distances(found, wanted, source, distances, method)


def bijectivity_error(
    target_to_source: Tensor,
    source_to_target: Tensor,
    source: Mesh | PointCloud,
    *,
    distances: Tensor | None = None,
    method: str = "heat",
) -> Tensor:
    """How far a round trip source, target, source ends from its start: ``(n_s,)``, in hundredths of sqrt(area of source)."""
    there = checked_point_map("source_to_target", source_to_target, source.n_points, len(target_to_source))
    back = checked_point_map("target_to_source", target_to_source, len(target_to_source), source.n_points)[there]
    return _normalised_distances(back, torch.arange(source.n_points, device=back.device), source, distances, method)


def _normalised_distances(a: Tensor, b: Tensor, shape: Mesh | PointCloud, distances: Tensor | None, method: str) -> Tensor:
    """``100 d(a_i, b_i) / sqrt(area)``: each source once, equal points for free, a block of rows at a time."""
    scale = 100 / shape.measure.sum().sqrt()
    if distances is not None:
        return distances[a, b] * scale
    a, b = a.to(scale.device), b.to(scale.device)  # a map may have been made elsewhere than the shape
    result = shape.measure.new_zeros(len(a))
    apart = torch.nonzero(a != b)[:, 0]
    # Whichever side names fewer points serves as the sources.
    (first, row), (second, other) = (torch.unique(x[apart], return_inverse=True) for x in (a, b))
    sources, row, column = (first, row, b[apart]) if len(first) <= len(second) else (second, other, a[apart])
    order = row.argsort()
    bounds = torch.searchsorted(row[order].contiguous(), torch.arange(0, len(sources) + BLOCK, BLOCK, device=row.device)).tolist()
    heat = HeatGeodesics(shape) if method == "heat" and len(sources) else None
    for i, start in enumerate(range(0, len(sources), BLOCK)):
        here, block = order[bounds[i] : bounds[i + 1]], sources[start : start + BLOCK]
        rows = geodesic_distances(shape, block, method=method) if heat is None else heat.distances(block)
        result[apart[here]] = rows[row[here] - start, column[here]].to(result.dtype)
    return result * scale


def error_curve(errors: Tensor, thresholds: Tensor) -> Tensor:
    """Fraction of points whose error is at most each threshold, ``(len(thresholds),)``: the curve of correct correspondences."""
    ordered = errors.sort().values
    return torch.searchsorted(ordered, thresholds.to(ordered.dtype), right=True) / max(len(ordered), 1)


def area_under_curve(errors: Tensor, limit: float = 20.0) -> Tensor:
    """Mean height of the :func:`error_curve` from 0 to ``limit``, exactly (no thresholds): 1 for a perfect map."""
    return (1 - errors / limit).clamp(min=0).mean()


def coverage(target_to_source: Tensor, source_measure: Tensor) -> Tensor:
    """Fraction of the source's area whose points are the image of some target point, in [0, 1]."""
    hit = torch.zeros_like(source_measure, dtype=torch.bool)
    hit[checked_point_map("target_to_source", target_to_source, len(target_to_source), len(source_measure))] = True
    return source_measure[hit].sum() / source_measure.sum()


def dirichlet_energy(target_to_source: Tensor, source: Mesh | PointCloud, target_laplacian: Laplacian) -> Tensor:
    """Stretch of the map from the target onto the source: 1 for an isometry, more for a rough or folded map.

    The Dirichlet energy of the source coordinates pulled back to the target, over twice the area of the source, which is
    its smallest value for a map onto the whole source and is reached by conformal maps.
    """
    pulled = source.points[checked_point_map("target_to_source", target_to_source, target_laplacian.n_points, source.n_points)]
    return target_laplacian.dirichlet_energy(pulled).sum() / (2 * source.measure.sum())


def orientation_agreement(target_to_source: Tensor, source: Mesh, target: Mesh) -> Tensor:
    """Fraction of the target's area that the map lays on the source outside out, in [0, 1]; a mirrored map is near 0.

    The image of a face is a triangle of source vertices; it agrees where its normal points the way of the mean normal
    of those vertices. Faces whose image is degenerate are left out, on both sides of the fraction; 1/2 where all are.
    """
    point_map = checked_point_map("target_to_source", target_to_source, target.n_points, source.n_points)
    images = point_map[target.faces]
    a, b, c = source.vertices[images].unbind(dim=1)
    facing = (torch.linalg.cross(b - a, c - a) * source.vertex_normals[images].sum(dim=1)).sum(dim=1)
    proper, area = facing != 0, target.face_areas
    total = area[proper].sum()
    return area[facing > 0].sum() / total if bool(total > 0) else total.new_tensor(0.5)


def orthogonality_residual(functional_map: Tensor) -> Tensor:
    """``||C^T C - I|| / sqrt(k)`` on the smaller side: 0 where areas are kept. ``C (..., k_t, k_s)`` between equal areas."""
    k_t, k_s = functional_map.shape[-2:]
    gram = functional_map.mT @ functional_map if k_s <= k_t else functional_map @ functional_map.mT
    return torch.linalg.matrix_norm(gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)) / gram.shape[-1] ** 0.5


def commutativity_residual(functional_map: Tensor, source_eigenvalues: Tensor, target_eigenvalues: Tensor) -> Tensor:
    """``||C L_s - L_t C|| / (||C L_s|| + ||L_t C||)``, in [0, 1]: 0 for an isometry. ``C (..., k_t, k_s)`` between equal areas."""
    k_t, k_s = functional_map.shape[-2:]
    source, target = functional_map * source_eigenvalues[..., None, :k_s], target_eigenvalues[..., :k_t, None] * functional_map
    norm = torch.linalg.matrix_norm
    return norm(source - target) / (norm(source) + norm(target))


def conformality_residual(functional_map: Tensor, source_eigenvalues: Tensor, target_eigenvalues: Tensor) -> Tensor:
    """``||L_s^-1/2 C^T L_t C L_s^-1/2 - I|| / sqrt(k)`` without the constants: 0 where angles are kept.

    The conformal shape difference of Rustamov et al. 2013, against the identity. Modes of zero eigenvalue are left out.
    """
    k_t, k_s = functional_map.shape[-2:]
    source, target = source_eigenvalues[:k_s], target_eigenvalues[:k_t]
    kept = source > 1e-6 * source[-1]
    scaled = target.clamp(min=0).sqrt()[:, None] * functional_map[..., kept] / source[kept].sqrt()
    gram = scaled.mT @ scaled
    return torch.linalg.matrix_norm(gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)) / gram.shape[-1] ** 0.5


def landmark_residual(functional_map: Tensor, source_basis: SampledBasis, target_basis: SampledBasis, landmarks: Tensor) -> Tensor:
    """How far ``C (k_t, k_s)`` carries known source points from their target points, relative: 0 where it meets them all.

    ``|| a C phi_s(q) - phi_t(p) || / || phi_t(p) ||``, the mean over the pairs ``(q, p)`` of ``landmarks (m, 2)``, in the spectral
    embedding of the target, ``a`` the ratio of the areas (see :func:`geospec.maps.functional_to_point`).
    """
    images, points = embeddings(functional_map, source_basis, target_basis, "nearest")[::-1]
    images, points = images[landmarks[:, 0]], points[landmarks[:, 1]]
    return ((images - points).norm(dim=1) / points.norm(dim=1)).mean()
