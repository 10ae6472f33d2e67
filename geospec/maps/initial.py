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
#: Columns of the descriptors whose operators are used, and modes that these act on.
N_FUNCTIONS, N_MODES = 10, 20
#: Rounds of the tournament: size that the maps are brought to, samples of each shape, maps that go on.
ROUNDS = ((12, 150, 160), (N_MODES, 200, 24))
#: Samples in the last round, which brings the maps to the size asked for.
LAST_SAMPLES = 500
#: Terms of the score below this are as good as nothing: at some hundred samples they are noise.
SMALL_TERM = 0.05
#: The most hypotheses returned.
N_RETURNED = 8


@dataclass(frozen=True, eq=False)
class MapHypothesis:
    """A rough map ``functional_map (k, k)`` and how well it explains the pair: ``score``, lower is better, from 0.05 to about 1.

    The score is the geometric mean of the ``terms``, so that no weights need choosing: what counts is by which factor one
    map does better than another. Terms, each 0 for a perfect map and about 1 for a bad one: ``commutativity`` and
    ``orthogonality`` of the functional map; ``descriptors``, their relative distance at corresponding points; ``roughness``, the
    share of pulled-back low modes that the target's modes do not represent, which torn and folded maps raise;
    ``orientation``, 0 outside out and 1 mirrored, only where faces were given.
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
    k: int = 40,
    n_tried: int = 512,
) -> list[MapHypothesis]:
    """Distinct candidate functional maps of size ``(k, k)``, best first, to be refined by ZoomOut.

    A near-isometry takes low modes to low modes up to sign, and up to order where eigenvalues lie close. All signed
    permutations of the first six are ranked by how well they carry the descriptors, commute with multiplication by
    them (which ties signs to one another) and, given faces, with their orientation operators (which alone see a
    left-right symmetry). The best ``n_tried``, and the least-squares map under the same demands, go through three rounds: ZoomOut
    on a few samples, score, the best and distinct go on. In the spirit of MapTree (Ren et al. 2020), with the
    first levels of the tree ranked in closed form.

    Parameters
    ----------
    source_basis, target_basis : at least ``k`` modes with eigenvalues; the unit of length of each is free.
    source_descriptors, target_descriptors : ``(n_s, q)``, ``(n_t, q)``, the same functions on both, such as wave kernel
        signatures; at most ten, evenly spaced, are used.
    source_faces, target_faces : triangles ``(f, 3)``, counter-clockwise seen from outside. Without them a symmetric shape
        yields its mirrored map as a hypothesis of about equal score.
    k : size of the maps returned, at least 20. n_tried : signed permutations that are tried.

    Returns
    -------
    list of at most eight MapHypothesis, ascending score, at least one.

    Cost: ``O((n + f) k^2)`` for the operators; the trials do not depend on ``n``. Under a second at 5,000 vertices.
    """
    (source, source_eigenvalues), (target, target_eigenvalues) = (
        _unit_area(source_basis, k, "source"),
        _unit_area(target_basis, k, "target"),
    )
    functions = _contrasts(source, target, source_descriptors, target_descriptors)
    faces = None if source_faces is None or target_faces is None else (source_faces, target_faces)
    demands = _Demands.of((source.truncate(N_MODES), target.truncate(N_MODES)), functions, faces)
    trials = _Trials.of((source, target), (source_eigenvalues, target_eigenvalues), functions, faces)
    found = demands.best_signed_permutations(source_eigenvalues, target_eigenvalues, n_tried)
    for size, n_samples, n_kept in ROUNDS:
        found, images = trials.upsample(found, size, n_samples)
        if size == N_MODES:
            solved, its_images = trials.upsample(
                demands.least_squares(source_eigenvalues[:N_MODES], target_eigenvalues[:N_MODES]), size, n_samples
            )
            found, images = torch.cat([found, solved]), torch.cat([images, its_images])
        score, _ = trials.score(found, images)
        found = found[_distinct(found, score)[:n_kept]]
    found, images = trials.upsample(found, k, LAST_SAMPLES)
    score, terms = trials.score(found, images)
    carried = (found / area_ratio(source_basis, target_basis).sqrt()).to(source_basis.modes.dtype)
    order = _distinct(found, score)[:N_RETURNED]
    return [MapHypothesis(carried[i], float(score[i]), {name: float(value[i]) for name, value in terms.items()}) for i in order]


def _unit_area(basis: SampledBasis, k: int, name: str) -> tuple[SampledBasis, Tensor]:
    """The first ``k`` modes in float64, of the shape scaled to area one; their eigenvalues again, known to be there."""
    if basis.k < k or k < N_MODES or basis.eigenvalues is None:
        got = f"{basis.k} modes, eigenvalues {'absent' if basis.eigenvalues is None else 'present'}, k={k}"
        raise ArgumentError(problem(f"{name}_basis", f"at least k modes with eigenvalues, k >= {N_MODES}", got))
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


@dataclass(frozen=True, eq=False)
class _Trials:
    """Modes and descriptors at samples, farthest points first, so that leading samples are spread as well."""

    source: Tensor
    target: Tensor
    eigenvalues: tuple[Tensor, Tensor]
    source_functions: Tensor
    target_functions: Tensor
    forms: tuple[Tensor, Tensor] | None

    @staticmethod
    def of(
        bases: tuple[SampledBasis, SampledBasis],
        eigenvalues: tuple[Tensor, Tensor],
        functions: tuple[Tensor, Tensor],
        faces: tuple[Tensor, Tensor] | None,
    ) -> _Trials:
        i, j = (farthest_points(b, min(LAST_SAMPLES, b.n)) for b in bases)
        forms = None if faces is None else (_area_forms(bases[0], faces[0]), _area_forms(bases[1], faces[1]))
        return _Trials(bases[0].modes[i], bases[1].modes[j], eigenvalues, functions[0][i], functions[1][j], forms)

    def upsample(self, maps: Tensor, k: int, n_samples: int) -> tuple[Tensor, Tensor]:
        """ZoomOut of a batch of maps ``(h, k_0, k_0)`` on the first samples: maps ``(h, k, k)``, images ``(h, n_samples)`` among them.

        In float32, by products of all pairs: the samples are few, the maps rough.
        """
        source, target = self.source[:n_samples, :k].float(), self.target[:n_samples, :k].float()
        factor = cholesky(target.T.double() @ target.double(), "target_basis", "modes that are independent at a few samples", "lower k")
        size = maps.shape[-1]
        while True:
            points = source[:, :size] @ maps.float().mT
            images = (target[:, :size] @ points.mT - points.square().sum(dim=-1)[:, None, :] / 2).argmax(dim=-1)
            finished, size = size == k, min(size + max(1, size // 10), k)
            right = target[:, :size].T @ source[:, :size][images]
            maps = torch.cholesky_solve(right.double(), factor[:size, :size])
            if finished:
                return maps, images

    def score(self, maps: Tensor, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Score and terms of :class:`MapHypothesis` for each map of a batch, ``(h,)`` each."""
        k, n = maps.shape[-1], images.shape[-1]
        source, target = self.source[:, :k], self.target[:n, :k]
        source_eigenvalues, target_eigenvalues = (e[:k] for e in self.eigenvalues)
        low = slice(1, 1 + k // 2)
        weights = source_eigenvalues[low].rsqrt()
        pulled = weights * source[:, low][images]
        torn = pulled - target @ (maps[:, :, low] * weights)
        gap = self.source_functions[images] - self.target_functions[:n]
        terms = {
            "commutativity": commutativity_residual(maps, source_eigenvalues, target_eigenvalues),
            "orthogonality": orthogonality_residual(maps),
            "descriptors": gap.flatten(1).norm(dim=1) / self.target_functions[:n].norm(),
            "roughness": torn.flatten(1).norm(dim=1) / pulled.flatten(1).norm(dim=1),
        }
        if self.forms is not None:
            terms["orientation"] = _mirroring(maps, *self.forms)
        return torch.stack(list(terms.values())).clamp(min=SMALL_TERM).log().mean(dim=0).exp(), terms


def _area_forms(basis: SampledBasis, faces: Tensor) -> Tensor:
    """``integral of phi_i dphi_m ^ dphi_j`` for the low modes ``m``: ``(N_SIGNED, 20, 20)``. Changes sign under a mirror."""
    return orientation_operators(basis.truncate(N_MODES), faces, basis.modes[:, 1 : 1 + N_SIGNED])


def _mirroring(maps: Tensor, source_forms: Tensor, target_forms: Tensor) -> Tensor:
    """0 where a map carries the area forms of the source to those of the target, 1 where to their opposite, ``(h,)``."""
    k = min(maps.shape[-1], N_MODES)
    source_forms, target_forms, maps = source_forms[:, :k, :k], target_forms[:, :k, :k], maps[:, :k, :k]
    low = maps[:, 1 : 1 + N_SIGNED, 1 : 1 + N_SIGNED]
    carried = maps[:, None] @ torch.einsum("ham,mjl->hajl", low, source_forms) @ maps.mT[:, None]
    cosine = (carried * target_forms).flatten(1).sum(dim=1) / (carried.flatten(1).norm(dim=1) * target_forms.norm())
    return (1 - cosine) / 2


def _distinct(maps: Tensor, score: Tensor, apart: float = 0.1) -> list[int]:
    """Indices by ascending score, without maps whose mean squared column lies within ``apart`` of one before."""
    order = score.argsort()
    flat = maps[order].flatten(1)
    close = torch.cdist(flat, flat).square() <= apart * maps.shape[-1]
    kept: list[int] = []
    for i in range(len(order)):
        if not bool(close[i, kept].any()):
            kept.append(i)
    return order[kept].tolist()
