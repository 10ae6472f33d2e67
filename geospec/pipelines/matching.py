"""Two shapes in, a dense correspondence out: operators, eigenbases, descriptors, a first map, refinement."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import maps
from ..bases import SampledBasis
from ..descriptors import PAIRED_KINDS, paired_signatures
from ..descriptors.spectrum import spectrum_of
from ..errors import ArgumentError, ShapeError, one_of, problem
from ..laplacians import Laplacian
from ..maps.conversion import area_ratio
from ..shapes import Mesh, PointCloud
from .in_use import InUse, to_given
from .result import Match
from .spectra import Progress, Shape, Spectra, at_unit_area, described, oriented_triangles, spectra_of, with_area

#: Modes of the first map.
K_FIRST = 40
#: Points of each shape that carry the refinement; all points take part in its last step. Measured on real pairs, more
#: points leave the error as it is and take longer.
N_SAMPLES = 2000
FAST = ("Laplacians", "eigenbases", "descriptors", "first map", "refinement", "evaluation")
STAGES = {"fast": FAST, "best": (*FAST[:4], "features", *FAST[4:])}
#: Modes of the map that the prior judges, and fewest.
K_PRIOR, FEWEST_PRIOR = 30, 15


def match(
    source: Shape,
    target: Shape,
    *,
    basis: str | tuple[SampledBasis, SampledBasis] = "laplace",
    k: int | None = None,
    laplacian: str = "robust",
    descriptors: str | tuple[Tensor, Tensor] = "wks",
    landmarks: Tensor | None = None,
    prior: str | maps.FunctionalMapPrior | None = "functional-maps",
    quality: str = "fast",
    step: int | str = "auto",
    seed: int = 0,
    cache: bool | str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Match:
    """Find the point of the source that corresponds to each point of the target, and the other way round.

    Works best on whole, connected shapes that bend and stretch into each other without tearing.

    Parameters
    ----------
    source, target : meshes or point clouds, in any units and poses, each in one piece. Vertices that no face uses take
        the image of the nearest vertex in use, with confidence 0.
    basis : ``"laplace"``, eigenbases of a Laplacian; ``"learned"``, of the points alone by :meth:`geospec.LearnedEigenbasis.fit`: no
        mesh, any density; of faces, where a shape has them, only the normals serve, to tell left from right; ``"network"``, the same by
        :class:`geospec.EigenbasisNetwork` without training; or a pair of bases with eigenvalues, one on each shape's points.
    k : modes of the final functional map, at least 3, at most the points of either shape; ``None`` is 100 for ``"laplace"``, 60 for
        ``"learned"`` and ``"network"``, all that both bases of a pair have. From 20 on the first map is the best of many
        hypotheses; below, there is only the least-squares map of the descriptors.
    laplacian : construction of the Laplacian, see :func:`geospec.laplacian`; of no account to ``"learned"`` and ``"network"``.
    descriptors : ``"wks"``, ``"hks"``, or the caller's own functions ``((n_s, q), (n_t, q))`` that correspond column by column.
    landmarks : (m, 2) int64 pairs (source vertex, target vertex) that are known to correspond, or ``None``. They add descriptors
        and choose among the hypotheses; the result need not pass through them exactly.
    prior : what true functional maps look like: the name of one that ships, a :class:`geospec.FunctionalMapPrior`, or ``None``. It takes
        part in the choice of the first map and tells of the result how plausible it is.
    quality : ``"fast"``, hypotheses, ZoomOut and elastic refinement; ``"best"`` also optimises a network's features on this pair under
        the prior (:func:`geospec.maps.optimise_map`), some ten seconds of one core, and keeps the map that the prior finds likelier.
    step : modes added at each step of ZoomOut, or ``"auto"``, see :func:`geospec.maps.zoomout`.
    seed : of the draws of noise and the network's weights.
    cache : keep the eigenbases of ``"laplace"`` on disk, see :meth:`geospec.LaplaceBasis.fit`.
    device : where maps are solved and refined; default the source's. Laplacians and eigenbases are computed on the CPU.
    progress : called as ``progress(stage, done, total)`` before each stage and once at the end; while a basis is learned also with its
        training steps.

    Returns
    -------
    Match, on the CPU.

    Raises
    ------
    ArgumentError : an option out of range; ShapeError : a shape in several pieces, empty, or without area.

    Cost at 5k vertices, k = 100: about 3 s of one core, ``"best"`` 15 s; at 50k: a minute and less than 3 GB. ``"learned"`` adds 7 to
    10 s of one core for each cloud of 2,000 points or more.
    Source: Ovsjanikov et al. 2012; Melzi et al. 2019; Ren et al. 2018 and 2020.
    """
    one_of("quality", quality, tuple(STAGES))
    judge = _prior(prior, quality)
    spectra = spectra_of(basis, laplacian, cache)
    k = _check(source, target, k, spectra, descriptors)
    used = [InUse.of(spectra.seen(shape.to("cpu"))) for shape in (source, target)]
    pairs = None if landmarks is None else _in_use_landmarks(landmarks, source, target, used)
    place = source.points.device if device is None else torch.device(device)
    watch = _Watch(STAGES[quality], progress)

    with watch("Laplacians"):
        operators = [spectra.operator(part.shape) for part in used]
        for name, operator in zip(("source", "target"), operators, strict=True):
            _refuse_pieces(name, operator, k)
    with watch("eigenbases"):
        bases = [
            spectra.basis(side, part, operator, k, progress) for side, (part, operator) in enumerate(zip(used, operators, strict=True))
        ]
        # Maps are made at unit area, where the eigenvalues of two shapes mean the same.
        areas = [spectra.area(basis) for basis in bases]
        unit = [at_unit_area(basis, area).to(place) for basis, area in zip(bases, areas, strict=True)]
        operators = [with_area(operator, area) for operator, area in zip(operators, areas, strict=True)]
        used = [part.measured_by(operator) for part, operator in zip(used, operators, strict=True)]
    with watch("descriptors"):
        functions = _functions(unit, used, descriptors, pairs)
    with watch("first map"):
        first = _first_map(unit, used, functions, pairs, judge)
    starts = [first.functional_map]
    if judge is not None and quality == "best":
        with watch("features"):
            sides = [maps.MapSide.of(*parts) for parts in zip((part.shape for part in used), bases, operators, strict=True)]
            learned = _features_map(first.functional_map, sides, judge, seed, progress)
            starts.append(learned.functional_map.to(first.functional_map))
    with watch("refinement"):
        to_source, to_target, kept = _refined(starts, unit, used, operators, k, step, judge)
    with watch("evaluation"):
        functional_map = maps.point_to_functional(to_source, *bases)
        numbers = _numbers(to_source, used, operators[1], bases, unit, functional_map)
        if judge is not None and k >= FEWEST_PRIOR:
            numbers["plausibility"] = float(judge.plausibility(_low(functional_map * area_ratio(*bases).sqrt(), judge)))
        told_first = {"score": first.evidence.get("score"), "next_score": first.evidence.get("next_score")}
        confidence = maps.vertex_confidence(
            to_source,
            to_target,
            used[0].shape,
            used[1].shape,
            bases[0],
            bases[1],
            numbers=numbers | told_first,
            descriptors=(functions[0].cpu(), functions[1].cpu()),
            rival=None if first.rival is None else maps.functional_to_point(first.rival, unit[0], unit[1]).cpu(),
        )
        numbers["mean_confidence"] = float(confidence.mean())
        warnings = maps.map_warnings(numbers | told_first)

    options = {**spectra.options(), "k": k, "step": step, "landmarks": 0 if landmarks is None else len(landmarks)}
    options |= {"quality": quality, "prior": None if judge is None else repr(judge), "seed": seed}
    options["descriptors"] = "the caller's" if isinstance(descriptors, tuple) else descriptors
    told = {name: described(basis, area) for name, basis, area in zip(("source", "target"), bases, areas, strict=True)}
    return Match(
        source,
        target,
        target_to_source=to_given(to_source, used[1], used[0]),
        source_to_target=to_given(to_target, used[0], used[1]),
        functional_map=functional_map,
        confidence=torch.where(used[1].dropped, 0, confidence[used[1].nearest]),
        source_basis=bases[0],
        target_basis=bases[1],
        record={
            "options": options,
            "numbers": numbers,
            "warnings": warnings,
            "first_map": first.evidence | ({} if len(starts) == 1 else {"feature_steps": learned.steps_done, "features_kept": kept == 1}),
            "bases": told,
            "seconds": watch.finish(),
            "device": str(place),
        },
    )


@dataclass(frozen=True, eq=False)
class _FirstMap:
    """Where the refinement starts, the best map that lost, if there was one, and what speaks for the choice."""

    functional_map: Tensor
    rival: Tensor | None
    evidence: dict[str, Any]


class _Watch:
    """Times the stages and tells the caller about each."""

    def __init__(self, stages: tuple[str, ...], progress: Progress | None) -> None:
        self.stages, self.progress = stages, progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(stage, len(self.seconds), len(self.stages))
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 4)

    def finish(self) -> dict[str, float]:
        if self.progress is not None:
            self.progress("done", len(self.stages), len(self.stages))
        return {**self.seconds, "total": round(sum(self.seconds.values()), 4)}


def _check(source: Shape, target: Shape, k: int | None, spectra: Spectra, descriptors: object) -> int:
    """The number of modes, once all arguments make sense."""
    for name, shape in (("source", source), ("target", target)):
        if not isinstance(shape, Mesh | PointCloud):
            raise ArgumentError(problem(name, "a Mesh or a PointCloud", type(shape).__name__, "read files with geospec.load"))
        if shape.n_points == 0 or (isinstance(shape, Mesh) and len(shape.faces) == 0):
            raise ShapeError(problem(name, "a shape with points and, for a mesh, faces", repr(shape)))
        if isinstance(shape, Mesh) and not float(shape.area.detach()) > 0:
            raise ShapeError(problem(name, "a surface", "a mesh without area"))
    k = spectra.check(source, target, k)
    for name, shape in (("source", source), ("target", target)):
        if k > shape.n_points:
            raise ArgumentError(problem("k", f"at most the {shape.n_points} points of the {name}", k, "ask for fewer modes"))
    if source.points.dtype != target.points.dtype:
        hint = "give both one float type with .to(dtype=...)"
        raise ArgumentError(problem("target", f"the source's float type, {source.points.dtype}", target.points.dtype, hint))
    if not isinstance(descriptors, tuple):
        one_of("descriptors", descriptors, PAIRED_KINDS)
    return k


def _in_use_landmarks(landmarks: Tensor, source: Shape, target: Shape, used: list[InUse]) -> Tensor:
    pairs = torch.as_tensor(landmarks).cpu()
    if pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.is_floating_point() or not len(pairs):
        wanted = "integer pairs (m, 2), source vertex and target vertex"
        raise ArgumentError(problem("landmarks", wanted, f"{tuple(pairs.shape)} {pairs.dtype}"))
    for column, (name, shape) in enumerate((("source", source), ("target", target))):
        index = pairs[:, column]
        if int(index.min()) < 0 or int(index.max()) >= shape.n_points:
            got = f"{int(index.min())}..{int(index.max())}"
            raise ArgumentError(problem(f"landmarks, column {column}", f"{name} vertices in [0, {shape.n_points})", got))
    return torch.stack([part.nearest[pairs[:, i]] for i, part in enumerate(used)], dim=1)


def _refuse_pieces(name: str, operator: Laplacian, k: int) -> None:
    pieces = int(operator.components().max()) + 1
    if pieces > 1:
        hint = "keep the largest with geospec.repair(shape, steps=('largest-component',)) or --repair largest-component"
        raise ShapeError(problem(name, "a shape in one piece", f"{pieces} connected components", hint))
    if k > operator.n_points:
        raise ArgumentError(problem("k", f"at most the {operator.n_points} points of the {name} that faces use", k))


def _functions(
    unit: list[SampledBasis], used: list[InUse], wanted: str | tuple[Tensor, Tensor], pairs: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Functions that should correspond, ``((n_s, q), (n_t, q))``, on the parts in use."""
    if isinstance(wanted, str):
        return paired_signatures(unit[0], unit[1], wanted, landmarks=pairs)
    for name, part, given in zip(("source", "target"), used, wanted, strict=True):
        if given.dim() != 2 or len(given) != len(part.nearest) or given.shape[1] != wanted[0].shape[1]:
            raise ArgumentError(problem("descriptors", f"({len(part.nearest)}, q) functions on the {name}", tuple(given.shape)))
    on_source, on_target = (given.to(basis.modes)[part.to_given] for basis, part, given in zip(unit, used, wanted, strict=True))
    return on_source, on_target


def _prior(prior: str | maps.FunctionalMapPrior | None, quality: str) -> maps.FunctionalMapPrior | None:
    if prior is None and quality == "best":
        raise ArgumentError(problem("prior", "a prior, for quality='best'", None, "leave it at its default, or ask for quality='fast'"))
    if isinstance(prior, str):
        return maps.FunctionalMapPrior.pretrained(prior)
    if not isinstance(prior, maps.FunctionalMapPrior | None):
        raise ArgumentError(problem("prior", "a name, a FunctionalMapPrior, or None", type(prior).__name__))
    return prior


def _first_map(
    unit: list[SampledBasis],
    used: list[InUse],
    functions: tuple[Tensor, Tensor],
    pairs: Tensor | None,
    prior: maps.FunctionalMapPrior | None,
) -> _FirstMap:
    """The best of several rough maps, by its score or by the landmarks; of few modes, the least-squares map.

    Landmarks leave no rival: they know better than scores.
    """
    source, target = unit
    if source.k < maps.FEWEST_MODES:
        a, b = source.analyze(functions[0]), target.analyze(functions[1])
        solved = maps.solve_functional_map(a, b, source_eigenvalues=source.eigenvalues, target_eigenvalues=target.eigenvalues)
        return _FirstMap(solved, None, {"method": "least squares"})
    faces = [oriented_triangles(part.shape, source.modes.device) for part in used]
    k = min(source.k, K_FIRST)
    points = [part.shape.points.to(source.modes) if part.shape.points.shape[1] == 3 else None for part in used]
    found = maps.map_hypotheses(
        source,
        target,
        *functions,
        source_faces=faces[0],
        target_faces=faces[1],
        source_points=points[0],
        target_points=points[1],
        prior=prior,
        k=k,
    )
    best, rival = found[0], next(iter(found[1:]), None)
    if pairs is not None:
        best, rival = min(found, key=lambda h: float(maps.landmark_residual(h.functional_map, source, target, pairs))), None
    evidence = {"method": "hypotheses", "score": best.score, "next_score": rival and rival.score, **best.terms}
    return _FirstMap(best.functional_map, None if rival is None else rival.functional_map, evidence)


def _features_map(
    start: Tensor, sides: list[maps.MapSide], prior: maps.FunctionalMapPrior, seed: int, progress: Progress | None
) -> maps.OptimisedMap:
    """The map of features that are learned on this pair, from a first map on."""
    source, target = sides
    k = min(K_PRIOR, prior.k, *start.shape)
    return maps.optimise_map(source, target, prior, k=k, start=start[:k, :k], seed=seed, progress=progress)


def _refined(
    starts: list[Tensor],
    unit: list[SampledBasis],
    used: list[InUse],
    operators: list[Laplacian],
    k: int,
    step: int | str,
    prior: maps.FunctionalMapPrior | None,
) -> tuple[Tensor, Tensor, int]:
    """Both point maps, on the CPU, and which of the starts led to them: of several, the one whose end the prior finds likeliest."""
    samples = N_SAMPLES if min(basis.n for basis in unit) > N_SAMPLES else None
    ends = [maps.bijective_zoomout(start, unit[0], unit[1], k_final=k, step=step, subsample=samples) for start in starts]
    kept = 0
    if prior is not None and len(ends) > 1:
        kept = max(range(len(ends)), key=lambda i: float(prior.log_likelihood(_low(ends[i].functional_map, prior))))
    to_source, to_target = ends[kept].target_to_source.cpu(), ends[kept].source_to_target.cpu()
    source, target = (part.shape for part in used)
    if source.points.shape[1] == target.points.shape[1] == 3:
        bent = maps.elastic_refinement(to_source, to_target, source, target, operators[0], operators[1])
        to_source, to_target = bent.target_to_source, bent.source_to_target
    return to_source, to_target, kept


def _low(functional_map: Tensor, prior: maps.FunctionalMapPrior) -> Tensor:
    """What the prior judges of a map between shapes of equal area: its leading block, in float32 on the CPU."""
    k = min(K_PRIOR, prior.k)
    return functional_map[:k, :k].float().cpu()


def _numbers(
    to_source: Tensor,
    used: list[InUse],
    target_operator: Laplacian,
    bases: list[SampledBasis],
    unit: list[SampledBasis],
    functional_map: Tensor,
) -> dict[str, float]:
    """What describes the map without the truth, as plain numbers."""
    source, target = (part.shape for part in used)
    at_unit_area = functional_map * area_ratio(*bases).sqrt()
    numbers = {
        "coverage": maps.coverage(to_source, bases[0].measure),
        "dirichlet_energy": maps.dirichlet_energy(to_source, source, target_operator),
        "orthogonality_residual": maps.orthogonality_residual(at_unit_area),
        "commutativity_residual": maps.commutativity_residual(at_unit_area, *(spectrum_of(basis)[0].cpu() for basis in unit)),
    }
    if isinstance(source, Mesh) and isinstance(target, Mesh):
        numbers["orientation_agreement"] = maps.orientation_agreement(to_source, source, target)
    return {name: float(value) for name, value in numbers.items()}
