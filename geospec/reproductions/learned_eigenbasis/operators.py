"""A4, A5 and A6: what the probes' operator is, without any training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ...probes import HeatProbes, smoothing_graph
from ..record import Check, Row
from ..registry import Setting
from .oracles import CUTS, agreement, cotangent, cut_text, eigenvalue_errors, normalized, smoother_eigenvectors
from .published import code_probes
from .shapes import blob, uneven_sphere, voronoi_areas

#: What the note measured for A4: cosines, and the shares of the spans, over the first 10, 20 and 50.
NOTE_COSINES, NOTE_SUBSPACES, WITHIN = (0.998, 0.994, 0.942), (0.999, 0.998, 0.997), 0.01
NOTE_A4 = "cos .998 / .994 / .942, spans .999 / .998 / .997, λ error, one scale .007, corr 1.00"


def blob_spectrum(setting: Setting) -> Iterator[Row]:
    """A4 with the automatic bandwidth, with the one that the note set by hand for its blob, and with one that is too wide."""
    mesh = blob()
    eigenvalues, modes, areas = cotangent(mesh, max(CUTS))
    rows: dict[str, tuple[float | str, str, str]] = {
        "A4": ("auto", "exact eigenvectors of the smoother against cotangent modes of a blob, automatic bandwidth", NOTE_A4),
        "A4, .05": (0.05, "the same, bandwidth .05, as the note set it by hand for its own blob", NOTE_A4),
        "A4, .1": (0.10, "the same, bandwidth .1: too wide", "cos .843 / .760 / .508, λ error, one scale .017"),
    }
    for name, (bandwidth, what, claim) in rows.items():
        graph = smoothing_graph(mesh.vertices, bandwidth=bandwidth)
        factors, vectors = smoother_eigenvectors(graph, max(CUTS))
        told = agreement(vectors, normalized(modes, areas))
        errors = eigenvalue_errors(graph.eigenvalue(factors), eigenvalues)
        correlation = float(np.corrcoef(graph.measure.numpy(), areas.numpy())[0, 1])
        found = {
            "cos": (cut_text(told, "cos"), NOTE_COSINES, "cos"),
            "spans": (cut_text(told, "subspace"), NOTE_SUBSPACES, "subspace"),
        }
        checks: tuple[Check, ...] = ()
        ours = f"width {float(graph.width.mean()):.3f}; λ error as it is {errors['absolute']:.3f}"
        if name == "A4":
            limits = [(word, key, cut, note) for word, (_, notes, key) in found.items() for cut, note in zip(CUTS, notes, strict=True)]
            checks = (
                *(Check(f"{word} k<={cut}", told[f"{key}_{cut}"], "at least", note - WITHIN) for word, key, cut, note in limits),
                Check("eigenvalue error, one scale", errors["one_scale"], "at most", 0.007 + WITHIN),
                Check("corr of measure and area", correlation, "at least", 1 - WITHIN),
            )
        else:
            ours = f"cos {found['cos'][0]}; spans {found['spans'][0]}; λ error, one scale {errors['one_scale']:.3f}; {ours}"
        numbers = {
            "agreement": told,
            "eigenvalue_errors": errors,
            "measure_correlation": correlation,
            "bandwidth": float(graph.width.mean()),
        }
        yield Row(name, what, claim, checks, ours, f"n = {mesh.n_points}, k = {max(CUTS)}", numbers=numbers)


def reference_probes(setting: Setting) -> Iterator[Row]:
    """A5: probes as the paper's code draws them against ours, the same number of each, by their principal components."""
    mesh = blob()
    m = 8000
    eigenvalues, modes, areas = cotangent(mesh, max(CUTS))
    theirs = principal_components(code_probes(mesh.vertices, m, setting), max(CUTS))
    probes = HeatProbes().on(mesh.vertices, max(CUTS))
    ours = principal_components(probes.sample(m, setting.generator()), max(CUTS))
    oracle = normalized(modes, areas)
    told = {name: agreement(vectors, oracle) for name, (_, vectors) in {"code": theirs, "ours": ours}.items()}
    # The code's probes have no law of their own: -log c by one scale, as heat would have it.
    errors = {
        "code": eigenvalue_errors(-(theirs[0] / theirs[0][0]).log(), eigenvalues),
        "ours": eigenvalue_errors(probes.eigenvalue(ours[0] / ours[0][0]), eigenvalues),
    }
    checks = [Check(f"gain of cos k<={cut}", told["ours"][f"cos_{cut}"] - told["code"][f"cos_{cut}"], "at least", 0.0) for cut in CUTS]
    words = f"cos {cut_text(told['ours'], 'cos')} against {cut_text(told['code'], 'cos')}; λ error, one scale "
    words += f"{errors['ours']['one_scale']:.3f} against {errors['code']['one_scale']:.3f}"
    yield Row(
        "", "", "", tuple(checks), words, f"n = {mesh.n_points}, {m} probes", numbers={"agreement": told, "eigenvalue_errors": errors}
    )


def principal_components(fields: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest eigenvalues, falling, and eigenvectors of ``F F^T / m`` for ``fields (n, m)``, by SciPy."""
    from scipy.sparse.linalg import eigsh

    wide = fields.double()
    covariance = (wide @ wide.T / wide.shape[1]).numpy()
    values, vectors = eigsh(covariance, k, which="LM", v0=np.random.default_rng(0).standard_normal(len(covariance)))
    order = np.argsort(-values)
    return torch.from_numpy(values[order]), torch.from_numpy(vectors[:, order].copy())


def density(setting: Setting) -> Iterator[Row]:
    """A6: the measure on a sphere whose density is 1 + .9 z, against that density and against Voronoi areas; mean of several clouds."""
    n, clouds = 3000, 5
    generator = setting.generator()
    found: dict[float, list[tuple[float, float]]] = {1.0: [], 0.5: [], 0.0: []}
    for _ in range(clouds):
        points = uneven_sphere(n, generator)
        areas = voronoi_areas(points).numpy()
        true_density = (1 + 0.9 * points[:, 2]).log().numpy()
        for alpha, pairs in found.items():
            measure = smoothing_graph(points, alpha=alpha).measure
            slope = np.polyfit(true_density, measure.log().numpy(), 1)[0]
            pairs.append((float(slope), float(np.corrcoef(measure.numpy(), areas)[0, 1])))
    means = {alpha: np.mean(pairs, axis=0).tolist() for alpha, pairs in found.items()}
    checks = (
        Check("slope", means[1.0][0], "at least", -1.1),
        Check("slope", means[1.0][0], "at most", -0.7),
        Check("corr with Voronoi area", means[1.0][1], "at least", 0.85),
        Check("corr at alpha 0", means[0.0][1], "below", 0.0),
    )
    low, high = (end(corr for _, corr in found[1.0]) for end in (min, max))
    ours = f"corr {low:.3f} to {high:.3f} over {clouds} clouds; slope, corr at α=½ "
    ours += "{:.2f}, {:.2f}; at α=0 {:.2f}, {:.2f}".format(*means[0.5], *means[0.0])
    numbers = {f"alpha {alpha}": [{"slope": slope, "correlation": corr} for slope, corr in pairs] for alpha, pairs in found.items()}
    yield Row("", "", "", checks, ours, f"{clouds} clouds of {n}", numbers=numbers)
