"""Two bases on one shape, mode by mode: which belongs to which, and how near they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..bases.base import SampledBasis
from ..errors import ArgumentError, problem
from ..metrics import subspace_overlap

#: Counts of modes that tables speak of, as the literature's do.
COUNTS = (10, 20, 50)


@dataclass(frozen=True, eq=False)
class Beside:
    """A basis with another one of the same points.

    Modes are paired so that the sum of ``|cos|`` is largest, under the other's measure as shares of the whole: that of a mesh knows the
    areas. Signs of the other's modes are turned to those of their partners.
    """

    basis: SampledBasis
    other: SampledBasis
    #: What the two are called, in captions.
    names: tuple[str, str] = ("learned", "Laplace")

    def __post_init__(self) -> None:
        for name, basis in (("basis", self.basis), ("other", self.other)):
            if not isinstance(basis, SampledBasis):
                raise ArgumentError(problem(name, "a basis that holds its modes", type(basis).__name__))
        if self.basis.n != self.other.n:
            raise ArgumentError(problem("other", f"a basis on the same {self.basis.n} points", f"{self.other.n} points"))

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """The other's measure, summing to one ``(n,)``."""
        measure = _array(self.other.measure)
        return measure / measure.sum()

    @cached_property
    def _cosines(self) -> NDArray[np.float64]:
        a, b = (_array(basis.modes) for basis in (self.basis, self.other))
        a, b = (x / np.sqrt(self.share @ x**2) for x in (a, b))
        return a.T @ (self.share[:, None] * b)

    @cached_property
    def partner(self) -> NDArray[np.int64]:
        """For each of the first ``k`` modes of the basis the mode of the other, ``k`` the fewer of both."""
        from scipy.optimize import linear_sum_assignment

        k = min(self._cosines.shape)
        return linear_sum_assignment(-np.abs(self._cosines[:k, :k]))[1]

    @cached_property
    def cosines(self) -> NDArray[np.float64]:
        """``|cos|`` of each pair ``(k,)``."""
        return np.abs(self._cosines[np.arange(len(self.partner)), self.partner])

    @cached_property
    def modes(self) -> NDArray[np.float64]:
        """The partners of the first modes ``(n, k)``, of the same sign and norm."""
        sign = np.where(self._cosines[np.arange(len(self.partner)), self.partner] < 0, -1.0, 1.0)
        return _array(self.other.modes)[:, self.partner] * sign * np.sqrt(_array(self.other.measure).sum())

    def numbers(self) -> dict[str, float]:
        """Mean ``|cos|`` of pairs, subspace overlap and mean relative difference of the eigenvalues over the first 10, 20, 50
        modes, as far as there are so many; correlation of the measures."""
        told: dict[str, float] = {}
        k = len(self.partner)
        root = np.sqrt(self.share)[:, None]
        ours, theirs = (np.linalg.qr(root * _array(basis.modes)[:, :k])[0] for basis in (self.basis, self.other))
        values = [None if basis.eigenvalues is None else _array(basis.eigenvalues) for basis in (self.basis, self.other)]
        for count in sorted({min(c, k) for c in COUNTS}):
            told[f"mean |cos| of the first {count}"] = float(self.cosines[:count].mean())
            told[f"subspace overlap of the first {count}"] = subspace_overlap(*_tensors(ours[:, :count], theirs[:, :count]))
            if values[0] is not None and values[1] is not None and count > 1:
                a, b = values[0][1:count], values[1][1:count]
                told[f"eigenvalues of the first {count}, mean relative difference"] = float(np.mean(np.abs(a - b) / np.maximum(b, 1e-300)))
        measure = _array(self.basis.measure)
        if np.ptp(measure) and np.ptp(self.share):
            told["correlation of the measures"] = float(np.corrcoef(measure, self.share)[0, 1])
        return told


def _array(values) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()


def _tensors(*arrays):
    import torch

    return [torch.from_numpy(array) for array in arrays]
