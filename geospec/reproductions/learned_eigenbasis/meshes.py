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

SAMPLES, MODES, ORACLE_MODES = 2500, 50, 60
#: What a fit to one real shape shall reach over the first 10, 20 and 50 modes, and the error of its eigenvalues.
ASKED, ASKED_ERROR = (0.98, 0.96, 0.85), 0.05
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
    """A row for each mesh of the folder; the quick preset takes those of the paper's table that are there, on fewer points."""
    assert setting.data is not None
    files = sorted(path for path in setting.data.iterdir() if path.suffix.lower() in SUFFIXES)
    if setting.quick:
        files = [path for path in files if published_name(path)] or files[:1]
    if not files:
        raise ArgumentError(problem("data", "a folder with meshes", f"none in {setting.data}"))
    for path in files:
        yield _row(path, setting)


def published_name(path: Path) -> str | None:
    """The row of the paper's table that a file's name stands for."""
    plain = path.stem.lower().replace("-", " ").replace("_", " ")
    return plain if plain in COSINES else None


def _row(path: Path, setting: Setting) -> Row:
    mesh = load(path, triangulate=True)
    what = f"{path.stem}: fit to farthest-point samples against the mesh's cotangent modes"
    if not isinstance(mesh, Mesh):
        return Row("", what, "", ran=False, problem="a point cloud has no cotangent modes")
    mesh = repair(mesh, steps=REPAIRS).to(dtype=torch.float64)
    n = min(1000 if setting.quick else SAMPLES, mesh.n_points)
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
    ours = "; ".join(
        [
            f"cos index by index {cut_text(learned, 'cos')}",
            f"spans {cut_text(learned, 'subspace')}",
            f"λ error, one scale {errors['one_scale']:.3f}",
            f"exact eigenvectors of the smoother {cut_text(ceiling, 'cos')}, matched {cut_text(ceiling, 'matched')}",
            f"loss / bound {basis.optimality_ratio:.4f}",
        ]
    )
    checks = [Check(f"matched cos k≤{cut}", learned[f"matched_{cut}"], "at least", limit) for cut, limit in zip(CUTS, ASKED, strict=True)]
    checks.append(Check("λ error", errors["absolute"], "at most", ASKED_ERROR))
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
    size = f"{mesh.n_points:,} vertices, {n:,} samples, k = {k}"
    return Row("", what, claim, tuple(checks), ours, size, numbers=numbers, exhibit=exhibit)
