"""The functional map of a pair from matching coefficients: masks, and the regularised least-squares solve.

Direction, here and everywhere: ``C (k_t, k_s)`` carries the coefficients of a function on the *source* to the
*target*. Rows belong to target modes, columns to source modes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ArgumentError, one_of, problem
from ..ops.masked_map_solve import masked_map_solve_ex
from .commuting import cholesky, refuse_indefinite, solve_commuting

#: Weights under which the literature uses the two masks: Donati et al. 2020, Ren et al. 2019.
MASK_WEIGHTS = {"laplacian": 1e-3, "resolvent": 100.0}


def laplacian_mask(source_eigenvalues: Tensor, target_eigenvalues: Tensor) -> Tensor:
    """``D_ij = (mu_i - lambda_j)^2``, the mask of ``||C diag(lambda) - diag(mu) C||^2``.

    Eigenvalues ``(..., k_s)`` and ``(..., k_t)`` are first divided by the larger of the two largest, so the mask
    ``(..., k_t, k_s)`` lies in [0, 1] whatever the unit of length; both shapes must have the same area. It vanishes on
    the pair of constants and wherever two eigenvalues agree.
    """
    source, target = _by_joint_maximum(source_eigenvalues, target_eigenvalues)
    return (target[..., :, None] - source[..., None, :]).square()


def resolvent_mask(source_eigenvalues: Tensor, target_eigenvalues: Tensor, gamma: float = 0.5) -> Tensor:
    """Mask ``(..., k_t, k_s)`` of commutation with the resolvents of ``Delta^gamma`` (Ren et al. 2019, eq. 9).

    With ``e`` the eigenvalues over their joint maximum, to the power ``gamma``, and ``R(e) = (e + i) / (e^2 + 1)`` (a complex
    number), ``D_ij = |R(mu_i) - R(lambda_j)|^2``. Bounded, unlike the Laplacian mask, for the unbounded operator.
    """
    if not gamma > 0:
        raise ArgumentError(problem("gamma", "a positive exponent", gamma))
    # Squares of real and imaginary part, kept apart: complex autograd would be slower and no shorter.
    source, target = (e.clamp(min=0).pow(gamma) for e in _by_joint_maximum(source_eigenvalues, target_eigenvalues))
    real = (target / (target**2 + 1))[..., :, None] - (source / (source**2 + 1))[..., None, :]
    imaginary = (1 / (target**2 + 1))[..., :, None] - (1 / (source**2 + 1))[..., None, :]
    return real.square() + imaginary.square()


def _by_joint_maximum(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    largest = torch.maximum(source.amax(dim=-1), target.amax(dim=-1))[..., None]
    if not bool((largest > 0).all()):
        raise ArgumentError(problem("source_eigenvalues, target_eigenvalues", "at least one positive eigenvalue", "none"))
    return source / largest, target / largest


def solve_functional_map(
    source_coefficients: Tensor,
    target_coefficients: Tensor,
    *,
    source_eigenvalues: Tensor | None = None,
    target_eigenvalues: Tensor | None = None,
    mask: str | Tensor | None = "laplacian",
    weight: float | None = None,
    commuting: tuple[Tensor, Tensor] | None = None,
    commuting_weight: float = 1.0,
    ridge: float = 1e-9,
) -> Tensor:
    """The ``C`` that minimises ``||C A - B||^2 + weight sum_ij D_ij C_ij^2 + commuting_weight sum_m ||C S_m - T_m C||^2``.

    Parameters
    ----------
    source_coefficients : ``A (..., k_s, q)``, coefficients of ``q`` functions in the source basis (``basis.analyze``).
    target_coefficients : ``B (..., k_t, q)``, coefficients of the corresponding functions on the target.
    source_eigenvalues, target_eigenvalues : ``(..., k_s)`` and ``(..., k_t)``, needed by the two named masks; of shapes
        of equal area.
    mask : ``"laplacian"`` (:func:`laplacian_mask`), ``"resolvent"`` (:func:`resolvent_mask`), non-negative weights
        ``D (..., k_t, k_s)`` of the caller, or ``None``.
    weight : of the mask term. Default: 1e-3 for the Laplacian mask, 100 for the resolvent mask, 1 for the caller's own.
    commuting : operators that the map should intertwine, ``(S (..., m, k_s, k_s), T (..., m, k_t, k_t))``:
        :func:`multiplication_operators`, :func:`orientation_operators`, or both concatenated.
    commuting_weight : weight of their sum.
    ridge : ``ridge * trace(A A^T) / k_s`` is added to the diagonal of every system. Few or dependent functions make
        ``A A^T`` singular, and the Laplacian mask does not help on equal eigenvalues.

    Returns
    -------
    ``C (..., k_t, k_s)`` in the dtype of the input. Leading dimensions broadcast. Differentiable in ``A``, ``B``, the mask
    and the operators. Solved in float64 always: forming ``A A^T`` squares the condition number.

    Raises
    ------
    ArgumentError : shapes that do not fit, eigenvalues missing, unknown mask.
    ConvergenceError : a system that is not positive definite (all coefficients zero, NaN, negative mask).

    Notes
    -----
    Without commuting operators the rows of ``C`` decouple (Ovsjanikov et al. 2012; row form, Donati et al. 2020): ``k_t``
    systems of size ``k_s``, solved side by side and never stored (:func:`geospec.ops.masked_map_solve`), O(k_t k_s^3) time and
    O(k_s^2) memory a thread. For operators see :func:`solve_commuting`.
    """
    source, target = _checked_coefficients(source_coefficients, target_coefficients)
    gram = source @ source.mT
    right = target @ source.mT
    k_s = gram.shape[-1]
    level = ridge * gram.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None]
    gram = gram + level * torch.eye(k_s, dtype=gram.dtype, device=gram.device)
    penalty = _penalty(mask, weight, source_eigenvalues, target_eigenvalues, right)
    if commuting is not None:
        s, t = commuting
        solution = solve_commuting(gram, right, penalty, (s.double(), t.double()), commuting_weight)
    elif penalty is None:
        solution = torch.cholesky_solve(right.mT, cholesky(gram)).mT
    else:
        solution, indefinite = masked_map_solve_ex(gram, right, penalty)
        refuse_indefinite(indefinite)
    return solution.to(source_coefficients.dtype)


def _checked_coefficients(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    for name, value in (("source_coefficients", source), ("target_coefficients", target)):
        if value.dim() < 2 or not value.is_floating_point():
            raise ArgumentError(problem(name, "a float tensor (..., k, q)", f"{tuple(value.shape)} {value.dtype}"))
    if source.shape[-1] != target.shape[-1]:
        got = f"{source.shape[-1]} and {target.shape[-1]} columns"
        raise ArgumentError(problem("target_coefficients", "as many functions as source_coefficients", got))
    return source.double(), target.double()


def _penalty(mask: str | Tensor | None, weight: float | None, source: Tensor | None, target: Tensor | None, like: Tensor) -> Tensor | None:
    """``weight * D``, of a shape that broadcasts with ``like (..., k_t, k_s)``, or ``None``."""
    if mask is None:
        return None
    if isinstance(mask, Tensor):
        if mask.shape[-2:] != like.shape[-2:]:
            raise ArgumentError(problem("mask", f"shape (..., {like.shape[-2]}, {like.shape[-1]})", tuple(mask.shape)))
        values = mask.double()
        weight = 1.0 if weight is None else weight
    else:
        one_of("mask", mask, tuple(MASK_WEIGHTS))
        if source is None or target is None:
            raise ArgumentError(problem("source_eigenvalues, target_eigenvalues", f"both, for mask={mask!r}", "None", "or pass mask=None"))
        if source.shape[-1:] != like.shape[-1:] or target.shape[-1:] != like.shape[-2:-1]:
            wanted = f"lengths {like.shape[-1]} and {like.shape[-2]}, as many as coefficients"
            raise ArgumentError(problem("source_eigenvalues, target_eigenvalues", wanted, f"{tuple(source.shape)}, {tuple(target.shape)}"))
        make = laplacian_mask if mask == "laplacian" else resolvent_mask
        values = make(source.double(), target.double())
        weight = MASK_WEIGHTS[mask] if weight is None else weight
    return (weight * values).expand(torch.broadcast_shapes(values.shape, like.shape))
