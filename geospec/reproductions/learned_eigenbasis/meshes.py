"""The table of cosines: fits to farthest-point samples of real meshes against the cotangent modes of the whole mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ... import ops
from ...bases import LearnedEigenbasis
from ...errors import ArgumentError, problem
from ...probes import HeatProbes
from ...shapes import SUFFIXES, Mesh, load, repair
from ..record import Check, Row
from ..registry import Setting
from .oracles import CUTS, agreement, cotangent, cut_text, eigenvalue_errors, normalized, smoother_eigenvectors
from .published import COSINES

SAMPLES, QUICK_SAMPLES, MODES, ORACLE_MODES = 2500, 1000, 50, 60
#: What the armadillo shall reach over the first 10, 20 and 50 modes; other shapes of the paper's table, the paper's numbers. And the
#: largest error of their eigenvalues.
ASKED, ASKED_ERROR = {"armadillo": (0.98, 0.96, 0.85)}, 0.05
REPAIRS = ("duplicate-vertices", "degenerate-faces", "duplicate-faces", "unreferenced", "largest-component")


@dataclass(frozen=True)
class Exhibit:
    """What the figure draws of a mesh: the samples, the learned columns and the oracle's, and the cosine of each."""

    name: str
    points: Tensor
    learned: Tensor
    oracle: Tensor
    cosines: list[float]
    ceiling: list[float]
    paper: tuple[float, float, float, float] | None


def cosine_table(setting: Setting) -> Iterator[Row]:
    """Two rows for each mesh of the folder: index by index, as the paper counts, and matched.

    Meshes that the paper does not have are shown without a limit. The quick preset takes those of its table, on fewer points.
    """
    assert setting.data is not None
    files = sorted(path for path in setting.data.iterdir() if path.suffix.lower() in SUFFIXES)
    if setting.quick:
        files = [path for path in files if published_name(path)] or files[:1]
    if not files:
        raise ArgumentError(problem("data", "a folder with meshes", f"none in {setting.data}"))
    for path in files:
        yield from _rows(path, setting)


def published_name(path: Path) -> str | None:
    """The row of the paper's table that a file's name stands for."""
    plain = path.stem.lower().replace("-", " ").replace("_", " ")
    return plain if plain in COSINES else None


def _rows(path: Path, setting: Setting) -> Iterator[Row]:
    mesh = load(path, triangulate=True)
    what = "fit to farthest-point samples against the mesh's cotangent modes"
    if not isinstance(mesh, Mesh):
        yield Row(path.stem, what, "", ran=False, problem="a point cloud has no cotangent modes")
        return
    mesh = repair(mesh, steps=REPAIRS).to(dtype=torch.float64)
    n = min(QUICK_SAMPLES if setting.quick else SAMPLES, mesh.n_points)
    name, k = published_name(path), MODES
    setting.progress(f"{path.stem}: cotangent modes", 0, 0)
    rows = ops.farthest_points(mesh.vertices, n)
    eigenvalues, modes, _ = cotangent(mesh, ORACLE_MODES, rows)
    points = mesh.vertices[rows]
    torch.manual_seed(setting.seed)
    basis = LearnedEigenbasis.fit(points.float().to(setting.device), k, probes=HeatProbes(), seed=setting.seed, progress=setting.progress)
    graph = HeatProbes().on(points, k).graph
    factors, vectors = smoother_eigenvectors(graph, k)
    oracle = normalized(modes, graph.measure)[:, :k]
    columns = normalized(basis.modes, basis.measure).cpu().double()
    learned, ceiling = agreement(columns, oracle), agreement(vectors, oracle)
    assert basis.eigenvalues is not None
    errors = eigenvalue_errors(basis.eigenvalues, eigenvalues[:k])
    ceiling_errors = eigenvalue_errors(graph.eigenvalue(factors), eigenvalues[:k])
    paper = COSINES.get(name) if name else None
    claim = "" if paper is None else "cos {:.3f} / {:.3f} / {:.3f}, λ error {:.3f}".format(*paper)
    limits = () if paper is None or name is None else ASKED.get(name, paper[:3])
    size = f"{mesh.n_points:,} vertices, {n:,} samples, k = {k}"
    numbers = {
        "learned": learned,
        "ceiling": ceiling,
        "eigenvalue_errors": errors,
        "ceiling_eigenvalue_errors": ceiling_errors,
        "optimality_ratio": basis.optimality_ratio,
        "smallest_gap": float(((eigenvalues[2:] - eigenvalues[1:-1]) / eigenvalues[1:-1])[: k - 1].min()),
        "paper": paper,
    }
    exhibit = Exhibit(path.stem, points, columns, oracle, learned["cosines"], ceiling["cosines"], paper)
    ours = f"exact eigenvectors of the smoother {cut_text(ceiling, 'cos')}; loss / bound {basis.optimality_ratio:.4f}"
    ours = ours if limits else f"cos {cut_text(learned, 'cos')}; {ours}"
    index = tuple(Check(f"cos k<={cut}", learned[f"cos_{cut}"], "at least", limit) for cut, limit in _at_cuts(limits, learned))
    yield Row(path.stem, f"{what}, index by index", claim, index, ours, size, numbers=numbers, exhibit=exhibit)

    ours = f"exact eigenvectors {cut_text(ceiling, 'matched')}; spans {cut_text(learned, 'subspace')}; "
    ours += f"λ error, one scale {errors['one_scale']:.3f}"
    ours = ours if limits else f"matched cos {cut_text(learned, 'matched')}; λ error {errors['absolute']:.3f}; {ours}"
    matched = [Check(f"matched cos k<={cut}", learned[f"matched_{cut}"], "at least", limit) for cut, limit in _at_cuts(limits, learned)]
    error = [Check("eigenvalue error", errors["absolute"], "at most", ASKED_ERROR)] if limits else []
    yield Row(f"{path.stem}, matched", "the same, modes matched", claim, (*matched, *error), ours, size, seconds=1e-9)


def _at_cuts(limits: tuple[float, ...], told: dict) -> list[tuple[int, float]]:
    """Each cut that was measured, with its limit."""
    return [(cut, limit) for cut, limit in zip(CUTS, limits, strict=False) if f"cos_{cut}" in told]
