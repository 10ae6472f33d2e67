"""Where to start: rough functional maps found by trying what an isometry may do to the lowest modes, and how the shapes may lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import Protocol

import torch
from torch import Tensor

from .. import ops
from ..bases.base import SampledBasis
from ..errors import ArgumentError, problem
from .alignment import Placed, best_rotations, right_angles, settle, turned
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
#: Modes of a map read off two shapes laid on one another: more would only tell how far they bend apart.
N_LAID = 5
#: What points, at unit root mean square distance from the centroid, and normals count beside modes of unit norm in a guided search.
POINTS_COUNT, NORMALS_COUNT = 0.5, 1.0
#: Times of the smoothing that relief is measured against, for shapes of area one.
RELIEF_TIMES = (0.001, 0.003, 0.01)
#: Maps within this factor of the best score, so many at most, are decided by what they become with more modes, on more samples.
CLOSE, N_CLOSE, CLOSE_MODES, CLOSE_SAMPLES = 1.1, 4, 100, 1000
#: Terms of the score below this are as good as nothing: at some hundred samples they are noise.
SMALL_TERM = 0.05
#: And those above this are as bad as can be: the norm of a torn map may be anything.
LARGE_TERM = 2.0
#: Modes of the maps that a prior judges.
N_JUDGED = 30
#: The most hypotheses returned.
N_RETURNED = 8


class Judge(Protocol):
    """What :class:`FunctionalMapPrior` tells a tournament: how plausible maps ``(..., k, k)``, ``k`` at most its own, are, in [0, 1]."""

    k: int

    def plausibility(self, functional_map: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class MapHypothesis:
    """A rough map ``functional_map (k, k)`` and how well it explains the pair: ``score``, lower is better, from 0.05 to about 1.

    The score is the geometric mean of the ``terms``, so that no weights need choosing: what counts is by which factor one
    map does better than another. Terms, each 0 for a perfect map and about 1 for a bad one: ``commutativity`` and
    ``orthogonality`` of the functional map; ``descriptors``, their relative distance at corresponding points; ``roughness``, the
    share of pulled-back low modes that the target's modes do not represent, which torn and folded maps raise;
    ``orientation``, 0 outside out and 1 mirrored, only where faces were given; ``relief``, the relative distance of what stands out and
    what lies deep, only where faces and points were given: it tells the front of a body from its back, which lengths within the
    surface hardly do; ``motion``, where there are points but no faces: what the best turned and scaled copy of the source leaves, relative,
    which is the only cue that tells left from right then; ``implausibility``, only where a prior was given.
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
    source_points: Tensor | None = None,
    target_points: Tensor | None = None,
    prior: Judge | None = None,
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

    Given points, nothing of which depends on how the shapes are turned, moved or scaled: the nearest points of the two, laid on one
    another by their principal axes in 96 ways, start further maps; and in the second round each map also goes on by a
    search that compares points and normals besides modes, the source turned by the rotation that brings it closest under the map so
    far. Low modes know thin limbs as curves; the normals say which way round they go, as in smooth shells (Eisenberger et al. 2020).

    Parameters
    ----------
    source_basis, target_basis : at least ``k`` modes with eigenvalues; the unit of length of each is free.
    source_descriptors, target_descriptors : ``(n_s, q)``, ``(n_t, q)``, the same functions on both, such as wave kernel
        signatures; at most ten, evenly spaced, are used.
    source_faces, target_faces : triangles ``(f, 3)``, counter-clockwise seen from outside. Without them and without points, a
        symmetric shape yields its mirrored map as a hypothesis of about equal score.
    source_points, target_points : positions ``(n_s, 3)``, ``(n_t, 3)``, in any units and poses.
    prior : a :class:`FunctionalMapPrior`, which adds a term to the scores of those that are returned.
    k : size of the maps returned, at least 20. n_tried : signed permutations that are tried.

    Returns
    -------
    list of at most eight MapHypothesis, best first, at least one.

    Scores ascend, but for the first few: maps whose scores lie within a tenth of the best are brought to all modes of the bases, up to
    100, and stand in the order of their scores there.

    Cost: ``O((n + f) k^2)`` for the operators; the trials do not depend on ``n``. About a second at 5,000 vertices.
    """
    for name, basis in (("source_basis", source_basis), ("target_basis", target_basis)):
        if basis.k < k or k < N_MODES or basis.eigenvalues is None:
            got = f"{basis.k} modes, eigenvalues {'absent' if basis.eigenvalues is None else 'present'}, k={k}"
            raise ArgumentError(problem(name, f"at least k modes with eigenvalues, k >= {N_MODES}", got))
    finest = max(k, min(source_basis.k, target_basis.k, source_basis.n // 5, target_basis.n // 5, CLOSE_MODES))
    (source, source_eigenvalues), (target, target_eigenvalues) = (
        _unit_area(source_basis, finest),
        _unit_area(target_basis, finest),
    )
    functions = _contrasts(source, target, source_descriptors, target_descriptors)
    faces = None if source_faces is None or target_faces is None else (source_faces, target_faces)
    demands = _Demands.of((source.truncate(N_MODES), target.truncate(N_MODES)), functions, faces)
    bodies = _bodies((source, target), (source_points, target_points), faces)
    trials = _Trials.of((source, target), (source_eigenvalues, target_eigenvalues), functions, faces, bodies)

    size, n_samples, n_kept = ROUNDS[0]
    pools = [trials.upsample(demands.best_signed_permutations(source_eigenvalues, target_eigenvalues, n_tried), size, n_samples)]
    if bodies is not None:
        pools.append(trials.upsample(trials.laid_on(bodies, N_LAID, n_samples), size, n_samples))
    found, images = trials.best(pools, n_kept if bodies is None else n_kept // 2)

    size, n_samples, n_kept = ROUNDS[1]
    least_squares = demands.least_squares(source_eigenvalues[:size], target_eigenvalues[:size])
    pools = [trials.upsample(maps, size, n_samples) for maps in (found, least_squares)]
    if bodies is not None:
        pools.append(trials.upsample(found, size, n_samples, images))
    found, _ = trials.best(pools, n_kept)

    found, images = trials.upsample(found, k, LAST_SAMPLES)
    kept = _distinct(found, trials.score(found, images)[0])[:N_RETURNED]
    found, images = found[kept], images[kept]
    score, terms = trials.score(found, images, prior)
    carried = (found / area_ratio(source_basis, target_basis).sqrt()).to(source_basis.modes.dtype)
    order = score.argsort().tolist()
    close = [i for i in order[:N_CLOSE] if float(score[i]) <= CLOSE * float(score[order[0]])]
    if len(close) > 1 and finest > k:
        finer = trials.score(*trials.upsample(found[close], finest, CLOSE_SAMPLES), prior)[0]
        order[: len(close)] = [close[i] for i in finer.argsort()]
    return [MapHypothesis(carried[i], float(score[i]), {name: float(value[i]) for name, value in terms.items()}) for i in order]


def _unit_area(basis: SampledBasis, k: int) -> tuple[SampledBasis, Tensor]:
    """The first ``k`` modes in float64, of the shape scaled to area one; their eigenvalues again, known to be there."""
    assert basis.eigenvalues is not None
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


def _bodies(
    bases: tuple[SampledBasis, SampledBasis], points: tuple[Tensor | None, Tensor | None], faces: tuple[Tensor, Tensor] | None
) -> tuple[Placed, Placed] | None:
    """Both shapes in space, at unit size, with normals where there are faces."""
    placed = []
    for i, (name, basis, given) in enumerate(zip(("source_points", "target_points"), bases, points, strict=True)):
        if given is None:
            continue
        if given.shape != (basis.n, 3):
            raise ArgumentError(problem(name, f"shape ({basis.n}, 3)", tuple(given.shape)))
        placed.append(Placed.of(given.detach(), basis.measure, None if faces is None else _normals(given.detach(), faces[i])))
    return (placed[0], placed[1]) if len(placed) == 2 else None


def _normals(points: Tensor, faces: Tensor) -> Tensor:
    """Unit normals ``(n, 3)`` of the faces about each point, each counting by its area; zero where there are none."""
    a, b, c = points.double()[faces].unbind(dim=1)
    normals = torch.zeros_like(points, dtype=torch.float64)
    normals.index_add_(0, faces.flatten(), torch.linalg.cross(b - a, c - a).repeat_interleave(3, dim=0))
    return torch.nn.functional.normalize(normals, dim=1)


def _relief(body: Placed, basis: SampledBasis) -> Tensor:
    """How far each point stands out of the smoothed surface, along its normal, at a few scales: ``(n, 3)``, of mean zero.

    The surface is smoothed by the heat flow of its coordinates, ``sum_i exp(-lambda_i t) <x, phi_i> phi_i``. Rotations leave relief as
    it is, and so does, away from the joints, a pose. What the modes given do not represent is smoothed away, on both shapes.
    """
    assert body.normals is not None
    assert basis.eigenvalues is not None
    coefficients = basis.analyze(body.points)
    smooth = [basis.modes @ ((-basis.eigenvalues * t).exp()[:, None] * coefficients) for t in RELIEF_TIMES]
    relief = torch.stack([((body.points - x) * body.normals).sum(dim=1) for x in smooth], dim=1)
    return relief - basis.measure @ relief


@dataclass(frozen=True, eq=False)
class _Trials:
    """Modes and descriptors at samples, farthest points first, so that leading samples are spread as well.

    ``places`` are points, with normals where they are known, weighted as in a guided search, ``(m, 3 or 6)``.
    """

    source: Tensor
    target: Tensor
    eigenvalues: tuple[Tensor, Tensor]
    source_functions: Tensor
    target_functions: Tensor
    forms: tuple[Tensor, Tensor] | None
    places: tuple[Tensor, Tensor] | None = None
    reliefs: tuple[Tensor, Tensor] | None = None

    @staticmethod
    def of(
        bases: tuple[SampledBasis, SampledBasis],
        eigenvalues: tuple[Tensor, Tensor],
        functions: tuple[Tensor, Tensor],
        faces: tuple[Tensor, Tensor] | None,
        bodies: tuple[Placed, Placed] | None = None,
    ) -> _Trials:
        i, j = (farthest_points(b, min(CLOSE_SAMPLES, b.n)) for b in bases)
        forms = None if faces is None else (_area_forms(bases[0], faces[0]), _area_forms(bases[1], faces[1]))
        places = reliefs = None
        if bodies is not None:
            places = _places(bodies[0], i), _places(bodies[1], j)
            if faces is not None:
                reliefs = _relief(bodies[0], bases[0])[i], _relief(bodies[1], bases[1])[j]
        return _Trials(bases[0].modes[i], bases[1].modes[j], eigenvalues, functions[0][i], functions[1][j], forms, places, reliefs)

    def laid_on(self, bodies: tuple[Placed, Placed], k: int, n_samples: int) -> Tensor:
        """Maps ``(96, k, k)`` of nearest samples of the shapes laid on one another by their principal axes."""
        assert self.places is not None
        turns = bodies[1].frame @ right_angles(bodies[0].frame, halves=True) @ bodies[0].frame.T
        source, target = (place[:n_samples, :3] for place in self.places)
        images = settle(source, target, turns, 0)[2]
        return torch.linalg.pinv(self.target[:n_samples, :k]) @ self.source[:n_samples, :k][images]

    def upsample(self, maps: Tensor, k: int, n_samples: int, images: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """ZoomOut of a batch of maps ``(h, k_0, k_0)`` on the first samples: maps ``(h, k, k)``, images ``(h, n_samples)`` among them.

        In float32: the samples are few, the maps rough. Given ``images (h, m)`` of the first samples under these maps, the search is guided
        by the places of the samples as well, by products of all pairs.
        """
        source, target = self.source[:n_samples, :k].float(), self.target[:n_samples, :k].float()
        factor = cholesky(target.T.double() @ target.double(), "target_basis", "modes that are independent at a few samples", "lower k")
        size = maps.shape[-1]
        if images is None:
            sizes = [size]
            while sizes[-1] < k:
                sizes.append(min(sizes[-1] + max(1, sizes[-1] // 10), k))
            grown, images = ops.zoomout(maps.float(), source, target, [(s, s) for s in [*sizes, k]], factor=factor)
            return grown.double(), images
        while True:
            beside, place = self._turned_places(images, n_samples)
            points = torch.cat([source[:, :size] @ maps.float().mT, beside.float()], dim=-1)
            queries = torch.cat([target[:, :size], place.float()], dim=-1)
            images = (queries @ points.mT - points.square().sum(dim=-1)[:, None, :] / 2).argmax(dim=-1)
            finished, size = size == k, min(size + max(1, size // 10), k)
            right = target[:, :size].T @ source[:, :size][images]
            maps = torch.cholesky_solve(right.double(), factor[:size, :size])
            if finished:
                return maps, images

    def _turned_places(self, images: Tensor, n_samples: int) -> tuple[Tensor, Tensor]:
        """Places of the source ``(h, n_samples, d)``, turned to lie closest to the target's under each map; and the target's."""
        assert self.places is not None
        source, target = self.places
        covariance = target[: images.shape[1], :3].T @ _centred(source[:, :3][images])
        return turned(source[:n_samples], best_rotations(covariance)[0]), target[:n_samples]

    def _motion(self, images: Tensor) -> Tensor:
        """What the best turned and scaled copy of the images leaves of the target's points, relative, ``(h,)``."""
        assert self.places is not None
        moving, fixed = _centred(self.places[0][:, :3][images]), _centred(self.places[1][: images.shape[1], :3])
        trace = best_rotations(fixed.T @ moving)[1]
        cosine = trace / (moving.flatten(1).norm(dim=1) * fixed.norm()).clamp(min=1e-300)
        return (1 - cosine.clamp(min=0, max=1).square()).sqrt()

    def best(self, pools: list[tuple[Tensor, Tensor]], n: int) -> tuple[Tensor, Tensor]:
        """The best and distinct of several batches of maps and images on the same samples."""
        maps, images = (torch.cat(parts) for parts in zip(*pools, strict=True))
        kept = _distinct(maps, self.score(maps, images)[0])[:n]
        return maps[kept], images[kept]

    def score(self, maps: Tensor, images: Tensor, prior: Judge | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Score and terms of :class:`MapHypothesis` for each map of a batch, ``(h,)`` each."""
        k, n = maps.shape[-1], images.shape[-1]
        source, target = self.source[:, :k], self.target[:n, :k]
        source_eigenvalues, target_eigenvalues = (e[:k] for e in self.eigenvalues)
        low = slice(1, 1 + k // 2)
        weights = source_eigenvalues[low].rsqrt()
        pulled = weights * source[:, low][images]
        torn = pulled - target @ (maps[:, :, low] * weights)
        terms = {
            "commutativity": commutativity_residual(maps, source_eigenvalues, target_eigenvalues),
            "orthogonality": orthogonality_residual(maps),
            "descriptors": _mismatch(self.source_functions, self.target_functions, images),
            "roughness": torn.flatten(1).norm(dim=1) / pulled.flatten(1).norm(dim=1),
        }
        if self.forms is not None:
            terms["orientation"] = _mirroring(maps, *self.forms)
        if self.reliefs is not None:
            terms["relief"] = _mismatch(*self.reliefs, images)
        elif self.places is not None:
            terms["motion"] = self._motion(images)
        if prior is not None:
            size = min(k, prior.k, N_JUDGED)
            terms["implausibility"] = 1 - prior.plausibility(maps[:, :size, :size].float()).to(maps.dtype)
        return torch.stack(list(terms.values())).clamp(min=SMALL_TERM, max=LARGE_TERM).log().mean(dim=0).exp(), terms


def _places(body: Placed, index: Tensor) -> Tensor:
    """Points and normals as a guided search weighs them."""
    points = POINTS_COUNT * body.points[index]
    return points if body.normals is None else torch.cat([points, NORMALS_COUNT * body.normals[index]], dim=1)


def _centred(points: Tensor) -> Tensor:
    return points - points.mean(dim=-2, keepdim=True)


def _mismatch(on_source: Tensor, on_target: Tensor, images: Tensor) -> Tensor:
    """Distance of functions at corresponding samples over their norm on the target, ``(h,)``."""
    on_target = on_target[: images.shape[1]]
    return (on_source[images] - on_target).flatten(1).norm(dim=1) / on_target.norm()


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
