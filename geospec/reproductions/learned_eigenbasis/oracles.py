"""What learned bases are held against: eigenvectors by SciPy, cotangent modes of meshes, and how two bases agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...bases import LaplaceBasis
from ...metrics import matched_cosine, subspace_overlap
from ...probes import SmoothingGraph
from ...shapes import Mesh

#: The cuts at which the paper quotes mean cosines.
CUTS = (10, 20, 50)


def smoother_eigenvectors(graph: SmoothingGraph, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest eigenvalues ``(k,)``, falling, and eigenvectors ``(n, k)`` of a graph's smoother, by SciPy's ARPACK.

    They come from ``S`` itself and from no training: the ceiling of any basis fitted to probes that ``S`` has smoothed.
    """
    from scipy.sparse import csr_matrix, identity
    from scipy.sparse.linalg import eigsh

    n = graph.n
    matrix = csr_matrix(tuple(part.cpu().numpy() for part in (graph.values.double(), graph.col, graph.crow)), shape=(n, n))
    start = np.random.default_rng(0).standard_normal(n)
    lowest, vectors = eigsh(identity(n, format="csc") - matrix, k, sigma=-1e-3, which="LM", v0=start)
    order = np.argsort(lowest)
    return torch.from_numpy(1 - lowest[order]), torch.from_numpy(vectors[:, order].copy())


def cotangent(mesh: Mesh, k: int, rows: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Cotangent eigenvalues ``(k,)``, modes and vertex areas of a mesh; of the modes and areas, ``rows`` alone where given."""
    basis = LaplaceBasis.fit(mesh.to(dtype=torch.float64), k, kind="cotangent")
    modes, measure = (basis.modes, basis.measure) if rows is None else (basis.modes[rows], basis.measure[rows])
    return basis.eigenvalues, modes, measure


def normalized(modes: Tensor, measure: Tensor) -> Tensor:
    """Modes in the domain of the learned columns: times the root of the measure, each of length one."""
    columns = modes * measure.clamp(min=0).sqrt()[:, None]
    return columns / columns.norm(dim=0)


def agreement(found: Tensor, oracle: Tensor, cuts: tuple[int, ...] = CUTS) -> dict[str, Any]:
    """How columns ``(n, K)`` agree with an oracle's, over the first columns up to each cut, as plain numbers.

    ``cos`` index by index, as the paper counts; ``matched`` after the best assignment among the columns of the cut, which forgives
    two modes of nearly one eigenvalue that change places; ``subspace`` the share of the span that is common, which forgives
    any rotation. ``cosines`` has the value of each column.
    """
    k = min(found.shape[1], oracle.shape[1])
    a, b = found.double().cpu()[:, :k], oracle.double().cpu()[:, :k]
    a = a / a.norm(dim=0)
    plain = matched_cosine(a, b, match=False)
    told: dict[str, Any] = {"cosines": plain.tolist()}
    for cut in [cut for cut in cuts if cut <= k]:
        told[f"cos_{cut}"] = float(plain[:cut].mean())
        told[f"matched_{cut}"] = float(matched_cosine(a[:, :cut], b[:, :cut]).mean())
        told[f"subspace_{cut}"] = float(subspace_overlap(a[:, :cut], torch.linalg.qr(b[:, :cut])[0]))
    return told


def eigenvalue_errors(found: Tensor, oracle: Tensor) -> dict[str, float]:
    """Mean relative error of eigenvalues without the first: as they are, and after the one scale that fits them best."""
    k = min(len(found), len(oracle))
    a, b = found.double().cpu()[1:k], oracle.double().cpu()[1:k]
    ratio = a / b
    scale = float(ratio.sum() / ratio.square().sum())  # least squares of the relative errors
    return {"absolute": float((ratio - 1).abs().mean()), "one_scale": float((scale * ratio - 1).abs().mean()), "scale": scale}


def cut_text(told: dict[str, Any], what: str) -> str:
    """``".998 / .994 / .942"``: the numbers of one kind, over the cuts that there are."""
    return " / ".join(f"{told[f'{what}_{cut}']:.3f}" for cut in CUTS if f"{what}_{cut}" in told)
