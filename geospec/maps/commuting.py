"""Maps that commute with operators: what to commute with, and the coupled least-squares solve."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..bases.base import SampledBasis
from ..errors import ArgumentError, ConvergenceError, problem

#: Largest number of unknowns ``k_t k_s`` that is solved densely; 4096 doubles squared are 128 MiB.
DENSE_UNKNOWNS = 4096


def multiplication_operators(basis: SampledBasis, functions: Tensor) -> Tensor:
    """Multiplication by each function, in the basis: ``Omega_m = Phi^T M diag(f_m) Phi``, ``(m, k, k)``, symmetric.

    ``functions (n, m)``. A map that comes from a point map intertwines the operators of corresponding functions, a
    stronger demand than carrying one function to the other (Nogneng & Ovsjanikov 2017). Cost ``2 m n k^2``.
    """
    functions = _checked(basis, functions)
    return torch.stack([basis.modes.T @ (weight[:, None] * basis.modes) for weight in (basis.measure[:, None] * functions).T])


def orientation_operators(basis: SampledBasis, faces: Tensor, functions: Tensor) -> Tensor:
    """``g -> <n, grad f_m x grad g>`` in the basis, ``(m, k, k)``, antisymmetric (Ren et al. 2018, sec. 5).

    Commuting with these tells an orientation-preserving map from a mirrored one, which descriptors alone cannot. The
    entries are ``integral of phi_i df ^ dphi_j``; on a triangle the two-form is half a determinant of differences of
    corner values, so no metric and no gradient is needed. ``faces (f, 3)`` counter-clockwise seen from outside,
    ``functions (n, m)``. On a closed surface the matrix is antisymmetric as it stands; a boundary adds a symmetric part,
    which is dropped. Shapes compared must have equal area. Cost ``2 m f k^2``.
    """
    functions = _checked(basis, functions)
    a, b, c = (basis.modes[faces[:, corner]] for corner in range(3))
    mean, along_b, along_c = (a + b + c) / 3, b - a, c - a
    f = functions[faces]
    weights_b, weights_c = (f[:, 2] - f[:, 0]).T / 2, (f[:, 1] - f[:, 0]).T / 2
    forms = torch.stack([mean.T @ (u[:, None] * along_c - v[:, None] * along_b) for u, v in zip(weights_c, weights_b, strict=True)])
    return (forms - forms.mT) / 2


def _checked(basis: SampledBasis, functions: Tensor) -> Tensor:
    if functions.dim() != 2 or len(functions) != basis.n:
        raise ArgumentError(problem("functions", f"shape ({basis.n}, m)", tuple(functions.shape)))
    return functions.to(basis.modes.dtype)


def solve_commuting(gram: Tensor, right: Tensor, penalty: Tensor | None, operators: tuple[Tensor, Tensor], weight: float) -> Tensor:
    """The minimiser ``C (..., k_t, k_s)`` of ``tr(C G C^T) - 2 tr(C R^T) + sum P C^2 + weight sum_m ||C S_m - T_m C||^2``.

    ``gram G (..., k_s, k_s)`` positive definite, ``right R (..., k_t, k_s)``, ``penalty P (..., k_t, k_s)`` or ``None``,
    ``operators (S (..., m, k_s, k_s), T (..., m, k_t, k_t))``. The operators couple the rows of ``C``. Up to 4096 unknowns the
    normal equations are formed and factorised: O((k_t k_s)^3). Beyond, conjugate gradients with the exact row
    blocks as preconditioner, to a relative residual of 1e-10; its gradient is implicit (one more solve), first order only.

    Raises
    ------
    ConvergenceError : the iteration stalled, or the system is not positive definite; the message holds the residual.
    """
    s, t = operators
    if s.shape[-1] != gram.shape[-1] or t.shape[-1] != right.shape[-2] or s.shape[-3:-2] != t.shape[-3:-2] or s.dim() < 3 or t.dim() < 3:
        wanted = f"(..., m, {gram.shape[-1]}, {gram.shape[-1]}) and (..., m, {right.shape[-2]}, {right.shape[-2]})"
        raise ArgumentError(problem("commuting", wanted, f"{tuple(s.shape)} and {tuple(t.shape)}"))
    penalty = torch.zeros_like(right) if penalty is None else penalty
    system = _NormalEquations(gram, penalty, s, t, weight)
    if right.shape[-1] * right.shape[-2] <= DENSE_UNKNOWNS:
        return system.solve_dense(right)
    with torch.no_grad():
        solution = system.solve_iteratively(right)
    # Zero in value up to the tolerance; carries d(solution) = N^-1 (dR - dN solution) to the inputs.
    return solution + _ImplicitSolve.apply(right - system.apply(solution), system)


class _NormalEquations:
    """The linear operator ``N`` of ``N C = R``: symmetric positive definite on matrices ``(..., k_t, k_s)``."""

    def __init__(self, gram: Tensor, penalty: Tensor, s: Tensor, t: Tensor, weight: float) -> None:
        self.s, self.t, self.weight, self.penalty = s, t, weight, penalty
        self.columns = gram + weight * (s @ s.mT).sum(dim=-3)
        self.rows = weight * (t.mT @ t).sum(dim=-3)

    def apply(self, c: Tensor) -> Tensor:
        wide = c[..., None, :, :]
        crossed = (self.t @ wide @ self.s.mT + self.t.mT @ wide @ self.s).sum(dim=-3)
        return c @ self.columns + self.rows @ c + self.penalty * c - self.weight * crossed

    def solve_dense(self, right: Tensor) -> Tensor:
        k_t, k_s = right.shape[-2:]
        eye_t, eye_s = (torch.eye(k, dtype=right.dtype, device=right.device) for k in (k_t, k_s))
        crossed = torch.einsum("...mia,...mjb->...ijab", self.t, self.s).flatten(-2).flatten(-3, -2)
        columns = torch.einsum("ia,...jb->...ijab", eye_t, self.columns).flatten(-2).flatten(-3, -2)
        rows = torch.einsum("...ia,jb->...ijab", self.rows, eye_s).flatten(-2).flatten(-3, -2)
        matrix = columns + rows - self.weight * (crossed + crossed.mT) + torch.diag_embed(self.penalty.flatten(-2))
        return torch.cholesky_solve(right.flatten(-2)[..., None], cholesky(matrix))[..., 0].unflatten(-1, (k_t, k_s))

    def solve_iteratively(self, right: Tensor, tolerance: float = 1e-10, most: int = 2000) -> Tensor:
        blocks = cholesky(self._row_blocks())

        def precondition(r: Tensor) -> Tensor:
            return torch.cholesky_solve(r[..., None], blocks)[..., 0]

        def inner(x: Tensor, y: Tensor) -> Tensor:
            return (x * y).sum(dim=(-2, -1), keepdim=True)

        solution = precondition(right)
        residual = right - self.apply(solution)
        direction = z = precondition(residual)
        rho, scale = inner(residual, z), inner(right, right).sqrt().clamp(min=torch.finfo(right.dtype).tiny)
        for _ in range(most):
            if bool((inner(residual, residual).sqrt() <= tolerance * scale).all()):
                return solution
            image = self.apply(direction)
            step = rho / inner(direction, image).clamp(min=torch.finfo(right.dtype).tiny)
            solution, residual = solution + step * direction, residual - step * image
            z = precondition(residual)
            rho, previous = inner(residual, z), rho
            direction = z + rho / previous.clamp(min=torch.finfo(right.dtype).tiny) * direction
        reached = float((inner(residual, residual).sqrt() / scale).max())
        raise ConvergenceError(
            problem("solve_commuting", f"a relative residual of {tolerance:g}", f"{reached:.3g} after {most} iterations", "raise ridge")
        )

    def _row_blocks(self) -> Tensor:
        """Diagonal blocks ``(..., k_t, k_s, k_s)``: the system of each row with the other rows held fixed."""
        diagonal = self.t.diagonal(dim1=-2, dim2=-1)
        crossed = torch.einsum("...mi,...mjb->...ijb", diagonal, self.s)
        own = self.rows.diagonal(dim1=-2, dim2=-1)[..., None] + self.penalty
        return self.columns[..., None, :, :] + torch.diag_embed(own) - self.weight * (crossed + crossed.mT)


class _ImplicitSolve(torch.autograd.Function):
    """``residual -> N^-1 residual`` for a residual that is already negligible: the value is zero, the gradient is not."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, system: _NormalEquations) -> Tensor:
        ctx.system = system
        return torch.zeros_like(residual)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.system.solve_iteratively(gradient), None


def cholesky(
    matrix: Tensor,
    argument: str = "source_coefficients",
    wanted: str = "non-zero finite coefficients and a non-negative mask",
    hint: str = "raise ridge",
) -> Tensor:
    """Lower factors of systems ``(..., k, k)``, or a refusal that names an argument and says how many are not positive definite."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    refuse_indefinite(info != 0, argument, wanted, hint)
    return factor


def refuse_indefinite(
    indefinite: Tensor,
    argument: str = "source_coefficients",
    wanted: str = "non-zero finite coefficients and a non-negative mask",
    hint: str = "raise ridge",
) -> None:
    """Raise, naming an argument and a count, if any system of ``indefinite`` (boolean, one entry a system) is not positive definite."""
    if bool(indefinite.any()):
        got = f"{int(indefinite.sum())} of {indefinite.numel()} systems not positive definite"
        raise ConvergenceError(problem(argument, wanted, got, hint))
