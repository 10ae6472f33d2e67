"""The contract at the waist: a basis analyses a function into coefficients and synthesises it back."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ..errors import ArgumentError, FileFormatError, problem
from ..writing import read_safetensors, write_safetensors

FORMAT_VERSION = 1
_KINDS: dict[str, type[Basis]] = {}


class Basis(nn.Module, ABC):
    """``k`` functions on ``n`` points, ordered coarse to fine.

    Abstract; concrete bases are final. A function is a tensor ``(..., n, c)``, its coefficients are
    ``(..., k, c)``, and the inner product is ``<f, g> = sum_i measure_i f_i g_i``.

    What every basis keeps (``geospec.testing.BasisContract``): analysis and synthesis are linear, with exact adjoints as gradients; what
    synthesis makes, synthesis after analysis leaves as it is; a truncated basis has the first coefficients and modes of the whole.

    What an orthonormal one adds (``OrthonormalContract``; :attr:`orthonormal` is True): ``k <= n``, modes orthonormal under ``measure``,
    Parseval, and analysis that inverts synthesis and projects, truncated or not.

    What a frame adds instead (``FrameContract``): synthesis after analysis is the identity on every function, so ``k >= n``; modes may
    depend on each other, and other coefficients may have the same function. Inner products are pairings: ``<f, g>`` is the analysis of
    ``f`` times the adjoint of synthesis of ``measure g``. Its truncations approximate, coarse to fine, and need not be projections.

    Attributes
    ----------
    n, k : number of points and of modes.
    measure : (n,) positive weights.
    eigenvalues : (k,) non-decreasing eigenvalues of the operator that the modes diagonalise, or
        ``None`` where there is none.
    """

    measure: Tensor
    eigenvalues: Tensor | None
    #: What made the basis: plain strings and numbers, saved with it.
    options: dict[str, Any]
    #: The name under which files remember the class; each class that is saved has one of its own.
    kind: ClassVar[str] = ""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    @property
    @abstractmethod
    def n(self) -> int:
        """Number of points."""

    @property
    @abstractmethod
    def k(self) -> int:
        """Number of modes."""

    @property
    def orthonormal(self) -> bool:
        """Whether modes are orthonormal under ``measure``, so that coefficients have the function's inner products."""
        return True

    @abstractmethod
    def analyze(self, signal: Tensor) -> Tensor:
        """Coefficients ``(..., k, c)`` of a signal ``(..., n, c)``; differentiable in the signal."""

    @abstractmethod
    def synthesize(self, coefficients: Tensor) -> Tensor:
        """The signal ``(..., n, c)`` of coefficients ``(..., k, c)``; differentiable in them."""

    @abstractmethod
    def truncate(self, k: int) -> Self:
        """The basis of the first ``k`` modes; nothing is computed again."""

    @abstractmethod
    def _arrays(self) -> dict[str, Tensor]:
        """The tensors that a file must hold, by the constructor's argument names."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the basis as safetensors: written aside, then renamed, so no partial file is left."""
        if "kind" not in type(self).__dict__:
            raise ArgumentError(problem("kind", "a name of its own for a class that is saved", f"none in {type(self).__name__}"))
        write_safetensors(path, self._arrays(), "basis", FORMAT_VERSION, kind=self.kind, options=json.dumps(self.options))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a basis that :meth:`save` wrote. Called on a concrete class, it accepts that class only."""
        header, arrays = read_safetensors(path, "basis", FORMAT_VERSION)
        made = _KINDS.get(header.get("kind", ""))
        if made is None or not issubclass(made, cls):
            raise FileFormatError(problem(str(path), f"a {cls.__name__}", f"a basis of kind {header.get('kind')!r}"))
        try:
            return made._from_arrays(arrays, json.loads(header.get("options", "{}")))
        except (TypeError, ValueError) as cause:  # arrays that the class does not know, lacks, or refuses
            wanted = f"the arrays of a basis of kind {made.kind!r}"
            raise FileFormatError(problem(str(path), wanted, ", ".join(arrays), str(cause))) from cause

    @classmethod
    def _from_arrays(cls, arrays: dict[str, Tensor], options: dict[str, Any]) -> Self:
        """The basis of what :meth:`_arrays` gave."""
        return cls(**arrays, options=options)

    def _checked_k(self, k: int) -> int:
        if not isinstance(k, Integral) or not 1 <= k <= self.k:
            raise ArgumentError(problem("k", f"between 1 and the {self.k} modes at hand", k))
        return k


class SampledBasis(Basis):
    """A basis that holds its modes as a matrix ``modes (n, k)``.

    ``measure``-orthonormal modes make analysis a product with ``modes^T diag(measure)``. Cost:
    ``2 n k c`` flops either way.
    """

    kind: ClassVar[str] = "sampled"
    modes: Tensor

    def __init__(self, modes: Tensor, measure: Tensor, eigenvalues: Tensor | None = None, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        if modes.dim() != 2:
            raise ArgumentError(problem("modes", "shape (n, k)", tuple(modes.shape)))
        if measure.shape != modes.shape[:1]:
            raise ArgumentError(problem("measure", f"shape ({len(modes)},)", tuple(measure.shape)))
        if eigenvalues is not None and eigenvalues.shape != modes.shape[1:]:
            raise ArgumentError(problem("eigenvalues", f"shape ({modes.shape[1]},)", tuple(eigenvalues.shape)))
        self.options = dict(options or {})
        self.register_buffer("modes", modes)
        self.register_buffer("measure", measure)
        self.register_buffer("eigenvalues", eigenvalues)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, k={self.k}, {str(self.modes.dtype)[6:]}, {self.modes.device})"

    @property
    def n(self) -> int:
        return self.modes.shape[0]

    @property
    def k(self) -> int:
        return self.modes.shape[1]

    def analyze(self, signal: Tensor) -> Tensor:
        if signal.dim() < 2 or signal.shape[-2] != self.n:
            raise ArgumentError(problem("signal", f"shape (..., {self.n}, c)", tuple(signal.shape)))
        return self.modes.T @ (self.measure[:, None] * signal)

    def synthesize(self, coefficients: Tensor) -> Tensor:
        if coefficients.dim() < 2 or coefficients.shape[-2] != self.k:
            raise ArgumentError(problem("coefficients", f"shape (..., {self.k}, c)", tuple(coefficients.shape)))
        return self.modes @ coefficients

    def truncate(self, k: int) -> Self:
        k = self._checked_k(k)
        eigenvalues = None if self.eigenvalues is None else self.eigenvalues[:k]
        return type(self)(self.modes[:, :k], self.measure, eigenvalues, self.options)

    def _arrays(self) -> dict[str, Tensor]:
        arrays = {"modes": self.modes, "measure": self.measure}
        return arrays if self.eigenvalues is None else {**arrays, "eigenvalues": self.eigenvalues}
