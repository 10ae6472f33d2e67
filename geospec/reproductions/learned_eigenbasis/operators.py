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


def blob_spectrum(setting: Setting) -> Iterator[Row]:
    """A4, with the note's bandwidth, with one that is too wide, and with the automatic one."""
    mesh = blob()
    eigenvalues, modes, areas = cotangent(mesh, max(CUTS))
    rows = {
        "A4": (
            0.05,
            "exact eigenvectors of the smoother, bandwidth .05",
            "cos .998/.994/.942, spans .999/.998/.997; one-scale λ error .007",
        ),
        "A4 wide": (0.10, "the same, bandwidth .1: too wide", "cos .843/.760/.508, λ error .017"),
        "A4 auto": ("auto", "the same, automatic bandwidth", "must be automatic"),
    }
    for name, (bandwidth, what, claim) in rows.items():
        graph = smoothing_graph(mesh.vertices, neighbors=20, bandwidth=bandwidth)
        factors, vectors = smoother_eigenvectors(graph, max(CUTS))
        told = agreement(vectors, normalized(modes, areas))
        errors = eigenvalue_errors(graph.eigenvalue(factors), eigenvalues)
        correlation = float(np.corrcoef(graph.measure.numpy(), areas.numpy())[0, 1])
        checks = []
        if name != "A4 wide":
            checks = [
                Check(f"cos k≤{cut}", told[f"cos_{cut}"], "at least", note - WITHIN) for cut, note in zip(CUTS, NOTE_COSINES, strict=True)
            ]
            spans = zip(CUTS, NOTE_SUBSPACES, strict=True)
            checks += [Check(f"span k≤{cut}", told[f"subspace_{cut}"], "at least", note - WITHIN) for cut, note in spans]
            checks.append(Check("λ error, one scale", errors["one_scale"], "at most", 0.007 + WITHIN))
            checks.append(Check("corr of measure and area", correlation, "at least", 1 - WITHIN))
        ours = f"λ error as it is {errors['absolute']:.3f}; matched {cut_text(told, 'matched')}"
        if not checks:
            ours = f"cos {cut_text(told, 'cos')}, λ error, one scale {errors['one_scale']:.3f}; {ours}"
        numbers = {
            "agreement": told,
            "eigenvalue_errors": errors,
            "measure_correlation": correlation,
            "bandwidth": float(graph.width.mean()),
        }
        yield Row(name, what, claim, tuple(checks), ours, f"n = {mesh.n_points}, k = {max(CUTS)}", numbers=numbers)


def reference_probes(setting: Setting) -> Iterator[Row]:
    """A5: probes as the paper's code draws them against ours, the same number of each, by their principal components."""
    mesh = blob()
    m = 2000 if setting.quick else 8000
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
    checks = [Check(f"gain of cos k≤{cut}", told["ours"][f"cos_{cut}"] - told["code"][f"cos_{cut}"], "at least", 0.0) for cut in CUTS]
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
    """A6: the measure on a sphere whose density is 1 + .9 z, against that density and against Voronoi areas."""
    n = 3000
    points = uneven_sphere(n, setting.generator())
    areas = voronoi_areas(points)
    true_density = (1 + 0.9 * points[:, 2]).log()
    found = {}
    for alpha in (1.0, 0.5, 0.0):
        measure = smoothing_graph(points, alpha=alpha).measure
        slope = float(np.polyfit(true_density.numpy(), measure.log().numpy(), 1)[0])
        found[alpha] = slope, float(np.corrcoef(measure.numpy(), areas.numpy())[0, 1])
    (slope, correlation), failing = found[1.0], found[0.0]
    checks = (
        Check("slope", slope, "at least", -1.1),
        Check("slope", slope, "at most", -0.7),
        Check("corr with Voronoi area", correlation, "at least", 0.85),
        Check("corr at α=0", failing[1], "below", 0.0),
    )
    ours = "slope, corr at α=½ {:.2f}, {:.2f}; at α=0 {:.2f}, {:.2f}".format(*found[0.5], *failing)
    numbers = {f"alpha {alpha}": {"slope": pair[0], "correlation": pair[1]} for alpha, pair in found.items()}
    yield Row("", "", "", checks, ours, f"n = {n}", numbers=numbers)
