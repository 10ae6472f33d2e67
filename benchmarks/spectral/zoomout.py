"""ZoomOut from 20 to ``k`` modes, one a step, on one pair of bases."""

from __future__ import annotations

from .problems import Problem
from .registry import Family, Verdict, on_host


def judge(problem: Problem, target_to_source) -> Verdict:
    """Where each target point lands on the source."""
    return Verdict(problem.source_vertices[on_host(target_to_source)].ravel())


ZOOMOUT = Family("ZoomOut", "pyFM", judge, "pair of creatures", (5_000, 10_000), (100,), "modes")


@ZOOMOUT.method("geospec")
def _ours(problem: Problem):
    from geospec.bases import SampledBasis
    from geospec.maps import zoomout

    source, target = (
        SampledBasis(problem.tensor(f"{side}_modes"), problem.tensor(f"{side}_mass"), problem.tensor(f"{side}_values"))
        for side in ("source", "target")
    )
    first = problem.tensor("first")
    return lambda: zoomout(first, source, target, k_final=problem.k, step=1).target_to_source


@ZOOMOUT.method("pyFM")
def _pyfm(problem: Problem):
    from pyFM.refine.zoomout import zoomout_refine
    from scipy.sparse import diags

    first, area = problem.first, diags(problem.target_mass).tocsc()
    modes = problem.source_modes, problem.target_modes
    steps = problem.k - len(first)
    return lambda: zoomout_refine(first, *modes, nit=steps, step=1, A2=area, return_p2p=True, n_jobs=problem.threads)[1]
