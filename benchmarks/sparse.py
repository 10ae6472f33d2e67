"""``ops.csr_matmul`` beside torch and SciPy, a step of ``ops.chebyshev_filter`` beside a copy, and the eigensolver beside ARPACK."""

from __future__ import annotations

import torch

from geospec import Mesh, laplacian, ops
from geospec.bases.chebyshev import chebyshev_eigenpairs

from .harness import Entry

WIDTHS = (8, 16, 32, 64)
DEGREE = 10


def product_entries(level: int) -> list[Entry]:
    """Both peers get the same matrix, float64; ours and torch's with the index type that each likes best."""
    from .ops import bumpy_sphere

    operator = laplacian(Mesh(*bumpy_sphere(level)), "cotangent")
    stiffness, matrix = operator.stiffness, operator.to_scipy()[0]
    crow, col, values = stiffness.crow_indices().int(), stiffness.col_indices().int(), stiffness.values()
    table = []
    for width in WIDTHS:
        x = torch.randn(operator.n_points, width, dtype=torch.float64)
        size = f"{operator.n_points} vertices, {width} columns"

        def ours(x=x):
            return ops.csr_matmul(crow, col, values, x)

        def theirs(x=x):
            return stiffness @ x

        def scipy(x=x):
            return matrix @ x.numpy()

        table += [Entry("csr_matmul", size, ours, theirs, "torch", 1.0), Entry("csr_matmul", size, ours, scipy, "SciPy", 1.0)]
        block, out = x.repeat(1, 3), torch.empty(operator.n_points, 3 * width, dtype=torch.float64)

        def filtered(x=x):
            return ops.chebyshev_filter(crow, col, values, x, DEGREE, 1.0, 9.0)

        def copies(block=block, out=out):  # three blocks read and three written: twice the bytes that a step must move
            for _ in range(DEGREE):
                out.copy_(block)

        table.append(Entry(f"chebyshev_filter, {DEGREE} steps", size, filtered, copies, "copy of twice the bytes", 1.5))
    return table


def eigenpair_entry(level: int, k: int) -> Entry:
    """The whole solve, residual 1e-8, beside SciPy's shift-invert Lanczos in its default."""
    from scipy.sparse.linalg import eigsh

    from .ops import bumpy_sphere

    operator = laplacian(Mesh(*bumpy_sphere(level)), "cotangent")
    stiffness, mass = operator.to_scipy()
    shift = -1e-2 / mass.diagonal().sum()
    return Entry(
        "chebyshev_eigenpairs",
        f"{operator.n_points} vertices, {k} modes",
        lambda: chebyshev_eigenpairs(operator.stiffness, operator.mass, k),
        lambda: eigsh(stiffness, k=k, M=mass, sigma=shift),
        "SciPy eigsh",
        0.5,
        repeats=3,
    )


def entries() -> list[Entry]:
    """Blocks that fit a cache and blocks that do not."""
    return [*product_entries(5), *product_entries(7), eigenpair_entry(5, 128), eigenpair_entry(6, 128)]
