"""What every Basis promises, as tests that a new producer inherits by writing one method."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ..bases.base import Basis
from ..errors import ArgumentError
from .tolerances import tolerance

both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


class BasisContract(ABC):
    """What every basis keeps. Derive from :class:`OrthonormalContract` or :class:`FrameContract`, which add what theirs keep.

    Subclass one in a test file, under a name that pytest collects, and say how to make the basis::

        class TestLaplace(OrthonormalContract):
            def make(self, dtype, seed):
                return LaplaceBasis.fit(bumpy_sphere(3, dtype=dtype), 20)

    The other hooks return ``None`` where the domain knows no such change, and their checks are skipped.
    Only the public methods are called, so a basis that never forms its modes takes part.
    """

    #: Slack on tolerances that rounding alone explains; give the reason where it is raised.
    factor: float = 100.0
    #: Largest change of a projector under relabelling and rigid motion, in float64.
    invariance_tolerance: float = 1e-6

    @abstractmethod
    def make(self, dtype: torch.dtype, seed: int) -> Basis:
        """A small basis, with fewer modes than points where it can have. Another seed should give other modes, of the same sizes."""

    def make_relabelled(self, seed: int) -> tuple[Basis, Tensor] | None:
        """The basis of ``make(float64, seed)`` on the same points in another order, and the order: new point ``i`` is old ``order[i]``."""
        return None

    def make_moved(self, seed: int) -> Basis | None:
        """The basis of ``make(float64, seed)`` after a rotation and a translation of the domain."""
        return None

    # -- helpers

    def _tolerance(self, basis: Basis) -> float:
        return tolerance(basis.measure.dtype, basis.n, self.factor)

    @staticmethod
    def _random(basis: Basis, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(basis.measure)

    @staticmethod
    def _modes(basis: Basis) -> Tensor:
        return basis.synthesize(torch.eye(basis.k).to(basis.measure))

    @staticmethod
    def _before_a_gap(basis: Basis) -> Basis:
        """Cut where the eigenvalues leave the widest relative gap: elsewhere the span may be anyone's choice."""
        if basis.eigenvalues is None or basis.k < 3:
            return basis
        gaps = basis.eigenvalues.diff()[1:] / basis.eigenvalues[2:]
        return basis.truncate(2 + int(gaps.argmax()))

    # -- the contract

    @both_dtypes
    def test_sizes_and_types(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        assert isinstance(basis, Basis)
        assert basis.k >= 1
        assert basis.measure.shape == (basis.n,)
        assert basis.measure.dtype == dtype
        assert (basis.measure > 0).all()
        assert basis.analyze(self._random(basis, basis.n, 2)).dtype == dtype
        assert basis.synthesize(self._random(basis, basis.k, 2)).dtype == dtype
        assert basis.eigenvalues is None or basis.eigenvalues.dtype == dtype

    @both_dtypes
    def test_synthesis_after_analysis_is_the_identity_on_the_span(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        signal = basis.synthesize(self._random(basis, basis.k, 3))
        again = basis.synthesize(basis.analyze(signal))
        assert (again - signal).abs().max() < self._tolerance(basis) * signal.abs().max()

    @both_dtypes
    def test_eigenvalues_ascend(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        if basis.eigenvalues is None:
            pytest.skip("a basis without eigenvalues")
        assert basis.eigenvalues.shape == (basis.k,)
        assert torch.isfinite(basis.eigenvalues).all()
        assert (basis.eigenvalues.diff() >= 0).all()

    @both_dtypes
    def test_truncation_keeps_the_first_modes(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        kept = max(1, basis.k // 2)
        shorter = basis.truncate(kept)
        assert type(shorter) is type(basis)
        assert (shorter.n, shorter.k) == (basis.n, kept)
        signal = self._random(basis, basis.n, 2)
        torch.testing.assert_close(shorter.analyze(signal), basis.analyze(signal)[:kept])
        torch.testing.assert_close(self._modes(shorter), self._modes(basis)[:, :kept])
        assert (shorter.eigenvalues is None) == (basis.eigenvalues is None)
        if basis.eigenvalues is not None and shorter.eigenvalues is not None:
            assert torch.equal(shorter.eigenvalues, basis.eigenvalues[:kept])

    def test_relabelling_changes_nothing(self) -> None:
        basis, other = self.make(torch.float64, 0), self.make_relabelled(0)
        if other is None:
            pytest.skip("no relabelling given")
        relabelled, order = other
        signal = self._random(basis, basis.n, 4)
        cut = self._before_a_gap(basis)
        cut_relabelled = relabelled.truncate(cut.k)
        assert not torch.equal(order, torch.arange(basis.n)), "the relabelling must move points"
        torch.testing.assert_close(relabelled.measure, basis.measure[order])
        self._same_projection(cut.synthesize(cut.analyze(signal))[order], cut_relabelled.synthesize(cut_relabelled.analyze(signal[order])))
        self._same_eigenvalues(basis, relabelled)

    def test_rigid_motion_changes_nothing(self) -> None:
        basis, moved = self.make(torch.float64, 0), self.make_moved(0)
        if moved is None:
            pytest.skip("no rigid motion given")
        signal = self._random(basis, basis.n, 4)
        cut = self._before_a_gap(basis)
        cut_moved = moved.truncate(cut.k)
        self._same_projection(cut.synthesize(cut.analyze(signal)), cut_moved.synthesize(cut_moved.analyze(signal)))
        self._same_eigenvalues(basis, moved)

    def _same_projection(self, one: Tensor, other: Tensor) -> None:
        assert one.abs().max() > 0
        assert (one - other).abs().max() < self.invariance_tolerance * one.abs().max()

    def _same_eigenvalues(self, basis: Basis, other: Basis) -> None:
        if basis.eigenvalues is not None:
            torch.testing.assert_close(other.eigenvalues, basis.eigenvalues, rtol=self.invariance_tolerance, atol=self.invariance_tolerance)

    def test_the_same_seed_gives_the_same_basis(self) -> None:
        first, second = self.make(torch.float64, 0), self.make(torch.float64, 0)
        assert torch.equal(self._modes(first), self._modes(second))

    def test_conversion_to_another_float_type(self) -> None:
        basis = self.make(torch.float32, 0).to(torch.float64)
        assert {value.dtype for value in basis.state_dict().values() if value.is_floating_point()} == {torch.float64}
        assert basis.analyze(self._random(basis, basis.n, 1)).dtype == torch.float64

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_moves_to_cuda(self) -> None:
        basis = self.make(torch.float64, 0)
        signal = self._random(basis, basis.n, 2)
        there = copy.deepcopy(basis).to("cuda").analyze(signal.cuda())
        assert there.is_cuda
        torch.testing.assert_close(there.cpu(), basis.analyze(signal))

    def test_state_dict_round_trip(self) -> None:
        basis = self.make(torch.float64, 0)
        blank = self.make(torch.float64, 1)
        for value in blank.state_dict().values():
            value.zero_()
        signal = self._random(basis, basis.n, 2)
        blank.load_state_dict(basis.state_dict())
        assert torch.equal(blank.analyze(signal), basis.analyze(signal))
        assert torch.equal(blank.measure, basis.measure)

    @both_dtypes
    def test_save_and_load(self, dtype: torch.dtype, tmp_path: Path) -> None:
        basis = self.make(dtype, 0)
        basis.save(tmp_path / "basis.safetensors")
        assert [path.name for path in tmp_path.iterdir()] == ["basis.safetensors"]
        signal = self._random(basis, basis.n, 2)
        for loaded in (Basis.load(tmp_path / "basis.safetensors"), type(basis).load(tmp_path / "basis.safetensors")):
            assert type(loaded) is type(basis)
            assert loaded.options == basis.options
            assert torch.equal(loaded.analyze(signal), basis.analyze(signal))
            assert torch.equal(loaded.measure, basis.measure)
            assert (loaded.eigenvalues is None) == (basis.eigenvalues is None)
            if basis.eigenvalues is not None and loaded.eigenvalues is not None:
                assert torch.equal(loaded.eigenvalues, basis.eigenvalues)

    def test_wrong_shapes_are_refused(self) -> None:
        basis = self.make(torch.float64, 0)
        for wrong in (torch.zeros(basis.n + 1, 2), torch.zeros(basis.n)):
            with pytest.raises(ArgumentError, match="signal"):
                basis.analyze(wrong.double())
        for wrong in (torch.zeros(basis.k + 1, 2), torch.zeros(basis.k)):
            with pytest.raises(ArgumentError, match="coefficients"):
                basis.synthesize(wrong.double())
        for k in (0, basis.k + 1):
            with pytest.raises(ArgumentError, match="k"):
                basis.truncate(k)

    def test_empty_channels_and_batches(self) -> None:
        basis = self.make(torch.float64, 0)
        assert basis.analyze(self._random(basis, basis.n, 0)).shape == (basis.k, 0)
        assert basis.synthesize(self._random(basis, basis.k, 0)).shape == (basis.n, 0)
        signal = self._random(basis, 2, 3, basis.n, 2)
        coefficients = basis.analyze(signal)
        assert coefficients.shape == (2, 3, basis.k, 2)
        torch.testing.assert_close(coefficients[1, 2], basis.analyze(signal[1, 2]))
        torch.testing.assert_close(basis.synthesize(coefficients)[0, 1], basis.synthesize(coefficients[0, 1]))

    def test_gradients_are_adjoints(self) -> None:
        """Both ways are linear: the gradient of ``<way(x), w>`` paired with any other input is ``<way(other), w>``."""
        basis = self.make(torch.float64, 0)
        for way, size, out in ((basis.analyze, basis.n, basis.k), (basis.synthesize, basis.k, basis.n)):
            given, other = self._random(basis, 2, size, 2).unbind(0)
            given.requires_grad_()
            weights = self._random(basis, out, 2)
            (gradient,) = torch.autograd.grad((way(given) * weights).sum(), given)
            assert gradient.abs().max() > 0
            torch.testing.assert_close((gradient * other).sum(), (way(other) * weights).sum())


class OrthonormalContract(BasisContract):
    """What a basis adds whose modes are orthonormal under its measure."""

    @both_dtypes
    def test_says_that_it_is_orthonormal(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        assert basis.orthonormal
        assert basis.k <= basis.n

    @both_dtypes
    def test_modes_are_orthonormal(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        modes = self._modes(basis).double()
        gram = modes.T @ (basis.measure.double()[:, None] * modes)
        error = (gram - torch.eye(basis.k).to(gram)).abs().max()
        assert error < self._tolerance(basis), f"modes are off orthonormal by {error:.1e}"

    @both_dtypes
    def test_analysis_inverts_synthesis(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        coefficients = self._random(basis, basis.k, 3)
        again = basis.analyze(basis.synthesize(coefficients))
        assert (again - coefficients).abs().max() < self._tolerance(basis) * coefficients.abs().max()

    @both_dtypes
    def test_parseval(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        a, b = self._random(basis, 2, basis.k, 1).unbind(0)
        on_points = (basis.measure[:, None] * basis.synthesize(a) * basis.synthesize(b)).sum()
        assert abs(on_points - (a * b).sum()) < self._tolerance(basis) * a.norm() * b.norm()

    @both_dtypes
    def test_analysis_is_the_projection(self, dtype: torch.dtype) -> None:
        """What is left of a signal after its projection is orthogonal to every mode."""
        basis = self.make(dtype, 0)
        signal = self._random(basis, basis.n, 2)
        rest = signal - basis.synthesize(basis.analyze(signal))
        size = (basis.measure[:, None] * signal**2).sum().sqrt()
        assert basis.analyze(rest).abs().max() < self._tolerance(basis) * size


class FrameContract(BasisContract):
    """What a frame adds: synthesis inverts analysis, and inner products are pairings."""

    @both_dtypes
    def test_says_that_it_is_a_frame(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        assert not basis.orthonormal
        assert basis.k >= basis.n

    @both_dtypes
    def test_synthesis_inverts_analysis(self, dtype: torch.dtype) -> None:
        basis = self.make(dtype, 0)
        signal = self._random(basis, basis.n, 3)
        again = basis.synthesize(basis.analyze(signal))
        assert (again - signal).abs().max() < self._tolerance(basis) * signal.abs().max()

    @both_dtypes
    def test_inner_products_are_pairings(self, dtype: torch.dtype) -> None:
        """Parseval's place: analysis of one function against the adjoint of synthesis of the other."""
        basis = self.make(dtype, 0)
        f, g = self._random(basis, 2, basis.n, 1).unbind(0)
        unit = self._random(basis, basis.k, 1).requires_grad_()
        (dual,) = torch.autograd.grad(basis.synthesize(unit), unit, basis.measure[:, None] * g)
        on_points = (basis.measure[:, None] * f * g).sum()
        assert abs((basis.analyze(f) * dual).sum() - on_points) < self._tolerance(basis) * f.norm() * g.norm()
