"""The smallest eigenpairs of ``S phi = lambda M phi``: block Krylov iteration on the inverse, or dense.

The inverse ``B = D (S + s M)^-1 D`` with ``D = M^(1/2)`` is symmetric, and its largest eigenvalues
``theta = 1 / (lambda + s)`` are the wanted ones. Blocks share one triangular solve and turn the
vector work into matrix products, which is where a one-vector Lanczos iteration spends its time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import ConvergenceError

Array = npt.NDArray[np.float64]

#: Largest accepted ``|B y - theta y| / theta``; eigenvalues are then right to about its square over the relative gap.
TOLERANCE = 1e-10


def smallest_eigenpairs(stiffness, mass: Array, k: int) -> tuple[Array, Array, Array]:
    """The ``k`` smallest eigenpairs, with multiplicity, of a positive semi-definite pencil.

    Components that the stiffness does not connect are solved one by one and merged, so the zeros of
    a shape in pieces are all found.

    Parameters
    ----------
    stiffness : SciPy sparse matrix (n, n), symmetric positive semi-definite, float64.
    mass : (n,) positive diagonal.
    k : between 1 and n.

    Returns
    -------
    values (k,) ascending, non-negative; vectors (n, k) with ``vectors^T M vectors = I``; residuals
    (k,): ``|S phi - lambda M phi|`` in the norm of ``M^-1``, relative to ``lambda`` plus the scale
    ``s`` of the first non-zero eigenvalue.

    Raises
    ------
    ConvergenceError : residuals stay above what rounding explains.

    Notes
    -----
    Deterministic. Cost on a surface: one sparse factorisation, about ``4 k`` solves, ``O(n k^2)``. Runs on one
    core: the products are thin, and threads of BLAS that spin for a busy second core cost ten times the gain.
    """
    from scipy.sparse.csgraph import connected_components
    from threadpoolctl import threadpool_limits

    stiffness = stiffness.tocsr()
    n_components, label = connected_components(stiffness, directed=False)
    with threadpool_limits(1, user_api="blas"):
        if n_components == 1:
            values, vectors = _connected(stiffness, mass, k)
        else:
            values, vectors = _merged(stiffness, mass, k, [np.flatnonzero(label == c) for c in range(n_components)])
    return values, vectors, _checked_residuals(stiffness, mass, values, vectors)


def _merged(stiffness, mass: Array, k: int, components: list[npt.NDArray[np.int64]]) -> tuple[Array, Array]:
    """Solve each component for just as many modes as it has among the first ``k`` of all."""
    components.sort(key=lambda members: -mass[members].sum())  # equal eigenvalues: larger piece first
    total = mass.sum()
    wanted = [min(len(c), 1 + int(1.1 * k * mass[c].sum() / total)) for c in components]  # Weyl's law
    solved: dict[int, tuple[Array, Array]] = {}
    while True:
        for i, members in enumerate(components):
            if i not in solved or len(solved[i][0]) < wanted[i]:
                solved[i] = _connected(stiffness[members][:, members], mass[members], wanted[i])
        pairs = [solved[i] for i in range(len(components))]
        values = np.concatenate([pair[0] for pair in pairs])
        last = np.sort(values)[k - 1] if len(values) >= k else np.inf
        short = [i for i, c in enumerate(components) if wanted[i] < len(c) and pairs[i][0][-1] < last]
        if not short:
            break
        for i in short:
            wanted[i] = min(len(components[i]), 2 * wanted[i] + 4)
    owner = np.repeat(np.arange(len(components)), wanted)
    column = np.concatenate([np.arange(count) for count in wanted])
    order = np.argsort(values, kind="stable")[:k]
    vectors = np.zeros((len(mass), k))
    for j, chosen in enumerate(order):
        vectors[components[owner[chosen]], j] = pairs[owner[chosen]][1][:, column[chosen]]
    return values[order], vectors


def _connected(stiffness, mass: Array, k: int) -> tuple[Array, Array]:
    """Dense where the matrix is small or most of its spectrum is wanted, Krylov otherwise."""
    n = len(mass)
    root = np.sqrt(mass)
    if n <= 400 or k > n // 5:
        from scipy.linalg import eigh

        dense = stiffness.toarray() / root[:, None] / root
        values, vectors = eigh((dense + dense.T) / 2, subset_by_index=[0, k - 1])
    else:
        values, vectors = _block_krylov(stiffness, root, k)
    return values.clip(min=0), vectors / root[:, None]  # rounding may leave the zero slightly negative


def _shift(stiffness, mass: Array) -> float:
    """The scale of the first non-zero eigenvalue: 7 / area on a regular mesh; free of outliers."""
    return float(np.median(stiffness.diagonal()) / mass.sum()) or float(stiffness.diagonal().max(initial=0) / mass.sum()) or 1.0


def _block_krylov(stiffness, root: Array, k: int) -> tuple[Array, Array]:
    """Block Lanczos with full reorthogonalisation on ``s B``; eigenvectors of ``D^-1 S D^-1``.

    A block finds no more copies of a multiple eigenvalue than it has columns. So once all is
    converged, random columns widen the block, and the result counts when it survives them.
    """
    from scipy.linalg import eigh
    from scipy.sparse import diags
    from scipy.sparse.linalg import splu

    n, shift = len(root), _shift(stiffness, root**2)
    shifted = (stiffness + diags(shift * root**2)).tocsc()
    try:
        factor = splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError as cause:  # SuperLU's word for a singular matrix
        raise ConvergenceError(
            f"eigenpairs of {n} points: the shifted stiffness does not factor ({cause}); is it semi-definite?"
        ) from cause
    scale = np.sqrt(shift) * root[:, None]
    random = np.random.default_rng(0)
    width = int(np.clip(k // 12, 4, 32))
    limit = min(n, 12 * k + 40 * width)
    space = np.empty((n, limit), order="F")  # pages are touched only as the space grows
    projected = np.zeros((limit, limit))
    block = random.standard_normal((n, width))
    block[:, 0] = root / np.linalg.norm(root)  # the constant function: exact from the start on a closed component
    following, coupling = _orthonormalise(block, space[:, :0], random)
    before, start, stop, check, survivor = 0, 0, 0, 2 * k + 8 * width, np.zeros(k)
    while True:
        before, start, stop = start, stop, stop + following.shape[1]
        space[:, start:stop] = following
        projected[start:stop, before:start] = coupling[:, : start - before]
        projected[before:start, start:stop] = coupling[:, : start - before].T
        image = scale * factor.solve(scale * following)
        local = space[:, before:stop].T @ image
        image -= space[:, before:stop] @ local
        projected[start:stop, start:stop] = (local[start - before :] + local[start - before :].T) / 2
        following, coupling = _orthonormalise(image, space[:, :stop], random)
        if stop < check and stop + 2 * width < limit:
            continue
        theta, ritz = eigh(projected[:stop, :stop], subset_by_index=[stop - k, stop - 1])
        error = np.linalg.norm(coupling @ ritz[start:], axis=0) / theta
        converged = error.max() <= TOLERANCE
        if converged and (stop == n or np.allclose(theta, survivor, rtol=1e-8, atol=0)):
            return shift * (1 / theta[::-1] - 1), space[:, :stop] @ ritz[:, ::-1]
        if converged:
            survivor = theta
            fresh, _ = _orthonormalise(random.standard_normal((n, width)), np.hstack([space[:, :stop], following]), random)
            following = np.hstack([following, fresh])
            coupling = np.vstack([coupling, np.zeros((fresh.shape[1], coupling.shape[1]))])
        check = stop + 3 * following.shape[1] if converged else int(1.1 * stop) + width
        if stop + following.shape[1] > limit:
            raise ConvergenceError(
                f"{k} eigenpairs of {n} points: {int((error > TOLERANCE).sum())} not converged in a space of {stop}, worst relative "
                f"residual {error.max():.1e}, wanted {TOLERANCE:.0e}; look at the shape's report for degenerate faces"
            )


def _orthonormalise(block: Array, space: Array, random: np.random.Generator) -> tuple[Array, Array]:
    """``(Q, R)`` with ``block = Q R`` up to the span of ``space``, and ``Q`` orthonormal also to ``space``.

    Columns that vanish (an invariant subspace is found) are replaced by random ones with zero rows in ``R``;
    ``Q`` is narrower than the block only where ``space`` leaves no more room.
    """
    room = min(block.shape[1], len(block) - space.shape[1])
    coupling = np.eye(block.shape[1])
    for first in (True, False):  # the second turn repairs what rounding left of the first
        if not first:
            block -= space @ (space.T @ block)
        _, rotation = np.linalg.eigh(block.T @ block)
        rotation = rotation[:, : -room - 1 : -1]  # descending norms
        block = block @ rotation
        norms = np.linalg.norm(block, axis=0)
        coupling = norms[:, None] * (rotation.T @ coupling)
        lost = norms < 1e-14  # the operator has norm one
        block[:, lost] = random.standard_normal((len(block), int(lost.sum())))
        block /= np.where(lost, np.sqrt(len(block)), norms)
    return block, coupling


def _checked_residuals(stiffness, mass: Array, values: Array, vectors: Array) -> Array:
    """Residuals of the pencil itself, refused where they exceed what rounding in ``S`` explains."""
    shift = _shift(stiffness, mass)
    difference = (stiffness @ vectors - mass[:, None] * vectors * values) / np.sqrt(mass)[:, None]
    residuals = np.linalg.norm(difference, axis=0) / (values + shift)
    rounding = 1e-12 * (stiffness.diagonal() / mass).max() / (values + shift)
    if not (residuals <= 1e-6 + rounding).all():
        worst = int(np.argmax(np.nan_to_num(residuals, nan=np.inf)))
        raise ConvergenceError(
            f"eigenpairs: residual {residuals[worst]:.1e} of mode {worst}, wanted at most {1e-6 + rounding[worst]:.1e}, median "
            f"{np.median(residuals):.1e}; the mass spans {mass.min():.1e} to {mass.max():.1e}: look at the shape's report"
        )
    return residuals
