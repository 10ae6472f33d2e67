"""Where to start: rough functional maps found by trying what an isometry may do to the lowest modes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import torch
from torch import Tensor

from ..bases.base import SampledBasis
from ..errors import ArgumentError, problem
from .commuting import cholesky, multiplication_operators, orientation_operators
from .conversion import area_ratio
from .functional_map import solve_functional_map
from .metrics import commutativity_residual, orthogonality_residual
from .refinement import farthest_points

#: Lowest non-constant modes that are permuted and signed: 720 x 64 combinations.
N_SIGNED = 6
#: Eigenvalues that differ by more than this factor are not exchanged.
EXCHANGE_FACTOR = 2.0
#: Columns of the descriptors whose operators are used.
N_FUNCTIONS = 10


@dataclass(frozen=True, eq=False)
class MapHypothesis:
    """A rough map ``functional_map (k, k)`` and how well it explains the pair: ``score``, the sum of ``terms``, lower is better.

    Terms, each about 0 for a perfect map and 1 for a bad one: ``commutativity`` and ``orthogonality`` of the functional map,
    ``descriptors`` (relative distance of descriptors at corresponding points), ``orientation`` (0 outside out, 1 mirrored;
    only where faces were given).
    """

    functional_map: Tensor
    score: float
    terms: dict[str, float]


def map_hypotheses(
    source_basis: SampledBasis,
    target_basis: SampledBasis,
    source_descriptors: Tensor,
    target_descriptors: Tensor,
    *,
    source_faces: Tensor | None = None,
    target_faces: Tensor | None = None,
    k: int = 20,
    n_tried: int = 64,
    n_samples: int = 300,
) -> list[MapHypothesis]:
    """Distinct candidate functional maps of size ``(k, k)``, best first, to be refined by ZoomOut.

    A near-isometry takes low modes to low modes up to sign, and up to order where eigenvalues lie close. All signed
    permutations of the first six are ranked by how well they carry the descriptors, commute with multiplication by
    them (which ties signs to one another) and, given faces, with their orientation operators (which alone sees a left-right
    symmetry). The best ``n_tried`` of them, and the least-squares map under the same demands, are upsampled by ZoomOut on
    ``n_samples`` points, scored, and freed of duplicates. In the spirit of MapTree (Ren et al. 2020), with the tree's
    leaves ranked in closed form first.

    Parameters
    ----------
    source_basis, target_basis : at least ``k`` modes with eigenvalues; the unit of length of each is free.
    source_descriptors, target_descriptors : ``(n_s, q)``, ``(n_t, q)``, the same functions on both, such as wave kernel signatures.
    source_faces, target_faces : triangles ``(f, 3)``, counter-clockwise seen from outside. Without them a symmetric shape
        yields its mirrored map as a hypothesis of about equal score.

    Returns
    -------
    list of MapHypothesis, ascending score, at least one. Cost: ``O(q f k^2)`` for the operators and ``O(n_tried n_samples^2 k^2)``
    for the trials, about a second for 5,000 vertices.
    """
    (source, source_eigenvalues), (target, target_eigenvalues) = (
        _unit_area(source_basis, k, "source"),
        _unit_area(target_basis, k, "target"),
    )
    functions = _contrasts(source, target, source_descriptors, target_descriptors)
    faces = None if source_faces is None or target_faces is None else (source_faces, target_faces)
    demands = _Demands.of((source, target), functions, faces)
    eigenvalues = source_eigenvalues, target_eigenvalues
    starts = demands.least_squares(*eigenvalues), demands.best_signed_permutations(*eigenvalues, n_tried)
    chosen = [farthest_points(b, min(n_samples, b.n)) for b in (source, target)]
    sampled = source.modes[chosen[0]], target.modes[chosen[1]]
    maps, images = (torch.cat(parts) for parts in zip(*(_upsample(start, *sampled) for start in starts), strict=True))
    terms = {
        "commutativity": commutativity_residual(maps, *eigenvalues),
        "orthogonality": orthogonality_residual(maps),
        "descriptors": _descriptor_residual(images, functions[0][chosen[0]], functions[1][chosen[1]]),
    }
    if faces is not None:
        terms["orientation"] = _mirroring(maps, _area_forms(source, faces[0]), _area_forms(target, faces[1]))
    score = torch.stack(list(terms.values())).sum(dim=0)
    best = _distinct(maps, score.argsort().tolist())
    maps = (maps / area_ratio(source_basis, target_basis).sqrt()).to(source_basis.modes.dtype)
    return [MapHypothesis(maps[i], float(score[i]), {name: float(value[i]) for name, value in terms.items()}) for i in best]


def _unit_area(basis: SampledBasis, k: int, name: str) -> tuple[SampledBasis, Tensor]:
    """The first ``k`` modes in float64, of the shape scaled to area one; their eigenvalues again, known to be there."""
    if basis.k < k or k <= N_SIGNED or basis.eigenvalues is None:
        got = f"{basis.k} modes, eigenvalues {'absent' if basis.eigenvalues is None else 'present'}, k={k}"
        raise ArgumentError(problem(f"{name}_basis", f"at least k modes with eigenvalues, k > {N_SIGNED}", got))
    area = basis.measure.double().sum()
    eigenvalues = basis.eigenvalues[:k].double() * area
    return SampledBasis(basis.modes[:, :k].double() * area.sqrt(), basis.measure.double() / area, eigenvalues), eigenvalues


def _contrasts(source: SampledBasis, target: SampledBasis, on_source: Tensor, on_target: Tensor) -> tuple[Tensor, Tensor]:
    """A few evenly spaced descriptors, each of mean zero and of norm one on the two shapes together."""
    if on_source.dim() != 2 or len(on_source) != source.n or on_target.shape != (target.n, on_source.shape[-1]):
        got = f"{tuple(on_source.shape)} and {tuple(on_target.shape)}"
        raise ArgumentError(problem("source_descriptors, target_descriptors", f"shapes ({source.n}, q) and ({target.n}, q)", got))
    q = on_source.shape[1]
    columns = torch.linspace(0, q - 1, min(q, N_FUNCTIONS)).round().long()
    f, g = (x[:, columns].double() for x in (on_source, on_target))
    f, g = f - source.measure @ f, g - target.measure @ g
    norm = (source.measure @ f.square() + target.measure @ g.square()).sqrt().clamp(min=1e-300)
    return f / norm, g / norm


@dataclass(frozen=True, eq=False)
class _Demands:
    """What a map should do: ``C A = B`` and ``C S_m = T_m C``, on the first ``k`` modes of each shape."""

    source_coefficients: Tensor
    target_coefficients: Tensor
    source_operators: Tensor
    target_operators: Tensor

    @staticmethod
    def of(bases: tuple[SampledBasis, SampledBasis], functions: tuple[Tensor, Tensor], faces: tuple[Tensor, Tensor] | None) -> _Demands:
        s, t = (multiplication_operators(b, f) for b, f in zip(bases, functions, strict=True))
        if faces is not None:
            turn_s, turn_t = (orientation_operators(b, corners, f) for b, corners, f in zip(bases, faces, functions, strict=True))
            scale = t.norm() / turn_t.norm()  # the two kinds of operator weigh alike
            s, t = torch.cat([s, scale * turn_s]), torch.cat([t, scale * turn_t])
        return _Demands(bases[0].analyze(functions[0]), bases[1].analyze(functions[1]), s, t)

    def least_squares(self, source_eigenvalues: Tensor, target_eigenvalues: Tensor) -> Tensor:
        """The regularised least-squares map, as a batch of one: ``(1, k, k)``."""
        solution = solve_functional_map(
            self.source_coefficients,
            self.target_coefficients,
            source_eigenvalues=source_eigenvalues,
            target_eigenvalues=target_eigenvalues,
            commuting=(self.source_operators, self.target_operators),
        )
        return solution[None]

    def best_signed_permutations(self, source_eigenvalues: Tensor, target_eigenvalues: Tensor, n: int) -> Tensor:
        """The ``n`` signed permutations of the low modes with the smallest residual, ``(n, 1 + N_SIGNED, 1 + N_SIGNED)``.

        For ``C = diag(s) P`` the residual is a constant minus twice ``s^T Q s + q^T s``, with
        ``Q_ij = sum_m (P S_m P^T)_ij (T_m)_ij`` and ``q_i = <(P A)_i, B_i>``: one small matrix for each permutation serves all signs.
        """
        device = source_eigenvalues.device
        orders = torch.tensor(list(permutations(range(1, 1 + N_SIGNED))), device=device)
        orders = torch.cat([torch.zeros_like(orders[:, :1]), orders], dim=1)
        ratio = (source_eigenvalues[orders[:, 1:]] / target_eigenvalues[1 : 1 + N_SIGNED]).log().abs()
        unmoved = orders[:, 1:] == torch.arange(1, 1 + N_SIGNED, device=device)
        orders = orders[((ratio <= torch.tensor(EXCHANGE_FACTOR).log()) | unmoved).all(dim=1)]
        size = 1 + N_SIGNED
        t, b = self.target_operators[:, :size, :size], self.target_coefficients[:size]
        moved = self.source_operators[:, orders[:, :, None], orders[:, None, :]]
        quadratic = torch.einsum("mpij,mij->pij", moved, t) / t.square().sum()
        linear = torch.einsum("piq,iq->pi", self.source_coefficients[orders], b) / b.square().sum()
        signs = torch.tensor(list(product((1.0, -1.0), repeat=N_SIGNED)), dtype=t.dtype, device=device)
        signs = torch.nn.functional.pad(signs, (1, 0), value=1.0)
        agreement = torch.einsum("si,pij,sj->ps", signs, quadratic, signs) + linear @ signs.T
        best = agreement.flatten().topk(min(n, agreement.numel())).indices
        rows = torch.nn.functional.one_hot(orders[best // len(signs)], size).to(t.dtype)
        return signs[best % len(signs)][:, :, None] * rows


def _upsample(maps: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """ZoomOut of a batch of maps ``(h, k_0, k_0)`` on samples ``(m, k)``: maps ``(h, k, k)`` and images ``(h, m)`` in the samples.

    In float32, by products of all pairs: the samples are few, the maps rough.
    """
    factor = cholesky(target.T @ target)
    narrow_source, narrow_target = source.float(), target.float()
    size, k = maps.shape[-1], target.shape[-1]
    while True:
        points = narrow_source[:, :size] @ maps.float().mT
        images = (narrow_target[:, :size] @ points.mT - points.square().sum(dim=-1)[:, None, :] / 2).argmax(dim=-1)
        finished, size = size == k, min(size + 1, k)
        right = narrow_target[:, :size].T @ narrow_source[:, :size][images]
        maps = torch.cholesky_solve(right.double(), factor[:size, :size])
        if finished:
            return maps, images


def _descriptor_residual(images: Tensor, on_source: Tensor, on_target: Tensor) -> Tensor:
    """``||f(T(p)) - g(p)|| / ||g||`` over the samples, for each map, ``(h,)``."""
    return (on_source[images] - on_target).flatten(1).norm(dim=1) / on_target.norm()


def _area_forms(basis: SampledBasis, faces: Tensor) -> Tensor:
    """``integral of phi_i dphi_m ^ dphi_j`` for the low modes ``m``: ``(N_SIGNED, k, k)``. Changes sign under a mirror."""
    return orientation_operators(basis, faces, basis.modes[:, 1 : 1 + N_SIGNED])


def _mirroring(maps: Tensor, source_forms: Tensor, target_forms: Tensor) -> Tensor:
    """0 where a map carries the area forms of the source to those of the target, 1 where to their opposite, ``(h,)``."""
    low = maps[:, 1 : 1 + N_SIGNED, 1 : 1 + N_SIGNED]
    carried = torch.einsum("ham,hij,mjl,hnl->hain", low, maps, source_forms, maps)
    cosine = (carried * target_forms).flatten(1).sum(dim=1) / (carried.flatten(1).norm(dim=1) * target_forms.norm())
    return (1 - cosine) / 2


def _distinct(maps: Tensor, order: list[int], apart: float = 0.1) -> list[int]:
    """Indices from ``order`` whose mean squared column differs from those of all kept before by more than ``apart``."""
    kept: list[int] = []
    for i in order:
        if all(float((maps[i] - maps[j]).square().sum()) > apart * maps.shape[-1] for j in kept):
            kept.append(i)
    return kept
