"""Descriptors of a whole shape: its eigenvalues."""

from __future__ import annotations

import torch
from torch import Tensor

from ..bases.base import Basis
from ..errors import ArgumentError, one_of, problem

#: An eigenvalue below this share of the largest one counts as zero: one for each connected component.
ZERO = 1e-8


def nonzero(eigenvalues: Tensor) -> Tensor:
    """Mask ``(k,)`` of the eigenvalues above ``1e-8`` of the largest: the others are the zeros, one a component."""
    return eigenvalues > ZERO * eigenvalues.max()


def spectrum_of(basis: Basis, argument: str = "basis") -> tuple[Tensor, Tensor]:
    """Eigenvalues and the mask of the non-zero ones; refuses a basis that has none."""
    if basis.eigenvalues is None:
        raise ArgumentError(problem(argument, "a basis with eigenvalues", type(basis).__name__))
    eigenvalues = basis.eigenvalues.detach()
    # Zeros alone have no largest to be compared with, only rounding on either side of zero: there the area gives the scale.
    mask = nonzero(eigenvalues) & (eigenvalues * basis.measure.sum() > 1e-12)
    if not mask.any():
        got = f"{basis.k} zero modes"
        raise ArgumentError(problem(argument, "at least one non-zero eigenvalue", got, "ask for more modes than the shape has components"))
    return basis.eigenvalues, mask


def shape_dna(basis: Basis, k: int | None = None, *, normalize: str = "area") -> Tensor:
    """ShapeDNA: the first ``k`` eigenvalues, zeros kept, ascending.

    Parameters
    ----------
    basis : with eigenvalues; differentiable in them.
    k : how many, all by default.
    normalize : ``"area"`` multiplies by the total measure, which makes a surface's values independent of its
        size; ``"eigenvalue"`` divides by the first non-zero one; ``"none"`` leaves them, in 1 / length squared.

    Source: Reuter, Wolter and Peinecke 2006, section 3.
    """
    one_of("normalize", normalize, ("area", "eigenvalue", "none"))
    values, mask = spectrum_of(basis)
    k = basis.k if k is None else k
    if not 1 <= k <= basis.k:
        raise ArgumentError(problem("k", f"between 1 and the {basis.k} modes at hand", k))
    if normalize == "area":
        values = values * basis.measure.sum()
    elif normalize == "eigenvalue":
        values = values / values[torch.nonzero(mask)[0, 0]]
    return values[:k]
