"""The smallest eigenpairs of ``S phi = lambda M phi``, all solvers on one pair of matrices."""

from __future__ import annotations

import numpy as np

from .problems import Problem
from .registry import Family, Verdict, on_host

#: The shift that LaPy and pyFM use, and that the recommended call of ``eigsh`` needs: below zero, well under the first eigenvalue.
SIGMA = -0.01


def judge(problem: Problem, result) -> Verdict:
    """Worst ``|S x - lambda M x|`` in the norm of ``M^-1``, over ``lambda + s``; vectors are first scaled to ``x^T M x = 1``.

    ``s`` is the scale of the first non-zero eigenvalue. Orthonormality is ``|V^T M V g - g| / |g|`` for random ``g``: the
    matrix ``V^T M V`` itself would cost more than some solvers. A block of columns at a time, for memory.
    """
    values, vectors = (on_host(part).astype(np.float64, copy=False) for part in result)
    stiffness, mass = problem.stiffness, problem.mass
    scale = float(np.median(stiffness.diagonal()) / mass.sum())
    if not (np.isfinite(values).all() and np.isfinite(vectors).all()):
        raise ArithmeticError("eigenpairs with NaN or inf")
    worst, lengths = 0.0, np.empty(len(values))
    for start in range(0, len(values), 64):
        block = slice(start, start + 64)
        x = vectors[:, block]
        lengths[block] = np.sqrt((mass[:, None] * x**2).sum(axis=0))
        difference = (stiffness @ x - mass[:, None] * x * values[block]) / np.sqrt(mass)[:, None]
        relative = np.linalg.norm(difference, axis=0) / lengths[block] / (abs(values[block]) + scale)
        worst = max(worst, float(relative.max()))
    probe = np.random.default_rng(0).standard_normal((len(values), 4))
    again = (vectors.T @ (mass[:, None] * (vectors @ (probe / lengths[:, None])))) / lengths[:, None]
    return Verdict(np.sort(values) + scale, worst, float(np.linalg.norm(again - probe) / np.linalg.norm(probe)))


EIGENPAIRS = Family("eigenpairs", "SciPy eigsh", judge, counts=(30, 128, 500, 2_000), counted="modes", on_files=True)


@EIGENPAIRS.method("geospec")
def _ours(problem: Problem):
    import torch

    from geospec import eigenpairs

    stiffness, mass, k = problem.stiffness, problem.mass, problem.k
    if problem.device != "cpu":
        crow, col = (torch.from_numpy(index).long() for index in (stiffness.indptr, stiffness.indices))
        stiffness = torch.sparse_csr_tensor(crow, col, torch.from_numpy(stiffness.data), stiffness.shape).to(problem.device)
        mass = problem.tensor("mass")

    def solve():
        found = eigenpairs(stiffness, mass, k)
        return found.values, found.vectors

    return solve


@EIGENPAIRS.method("geospec LaplaceBasis")
def _ours_basis(problem: Problem):
    import torch

    import geospec

    stiffness = problem.stiffness
    crow, col = (torch.from_numpy(index).long() for index in (stiffness.indptr, stiffness.indices))
    matrix = torch.sparse_csr_tensor(crow, col, torch.from_numpy(stiffness.data), stiffness.shape)
    operator = geospec.Laplacian(matrix, torch.from_numpy(problem.mass), "cotangent").to(problem.device)

    def solve():
        basis = geospec.LaplaceBasis.fit(operator, problem.k)
        return basis.eigenvalues, basis.modes

    return solve


@EIGENPAIRS.method("SciPy eigsh")
def _eigsh(problem: Problem):
    from scipy.sparse.linalg import eigsh

    stiffness, mass, k = problem.stiffness.tocsc(), problem.mass_matrix, problem.k
    return lambda: eigsh(stiffness, k, mass, sigma=SIGMA, which="LM")


@EIGENPAIRS.method("eigsh, SuperLU symmetric mode")
def _eigsh_symmetric(problem: Problem):
    """The same with the ordering and pivoting that SuperLU offers for symmetric matrices."""
    from scipy.sparse.linalg import LinearOperator, eigsh, splu

    stiffness, mass, k = problem.stiffness.tocsc(), problem.mass_matrix, problem.k

    def solve():
        factor = splu(stiffness - SIGMA * mass, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        inverse = LinearOperator(stiffness.shape, factor.solve, dtype=np.float64)
        return eigsh(stiffness, k, mass, sigma=SIGMA, which="LM", OPinv=inverse)

    return solve


@EIGENPAIRS.method("LaPy")
def _lapy(problem: Problem):
    from lapy import Solver, TriaMesh

    solver = Solver(TriaMesh(problem.vertices, problem.faces), lump=True)
    solver.stiffness, solver.mass = problem.stiffness.tocsc(), problem.mass_matrix
    return lambda: solver.eigs(problem.k)


@EIGENPAIRS.method("pyFM")
def _pyfm(problem: Problem):
    from pyFM.mesh.laplacian import laplacian_spectrum

    stiffness, mass = problem.stiffness.tocsc(), problem.mass_matrix
    return lambda: laplacian_spectrum(stiffness, mass, spectrum_size=problem.k)
