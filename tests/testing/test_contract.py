"""The contract accepts a right basis and catches each kind of wrong one."""

import pytest
import torch

from geospec import ArgumentError
from geospec.bases import SampledBasis
from geospec.testing import BasisContract


def cosines(dtype, seed, n=40, k=8, order=None):
    """The cosine basis of an interval, at midpoints: orthonormal in closed form. Odd seeds run from right to left."""
    x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    x = 1 - x if seed % 2 else x
    if order is not None:
        x = x[order]
    j = torch.arange(k, dtype=torch.float64)
    modes = torch.cos(torch.pi * x[:, None] * j) * (1 + (j > 0).double()).sqrt()
    return modes.to(dtype), torch.full((n,), 1 / n, dtype=dtype), ((torch.pi * j) ** 2).to(dtype)


class Cosines(SampledBasis):
    kind = "test-cosines"


class TestCosines(BasisContract):
    def make(self, dtype, seed):
        return Cosines(*cosines(dtype, seed))

    def make_relabelled(self, seed):
        order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
        return Cosines(*cosines(torch.float64, seed, order=order)), order

    def make_moved(self, seed):
        return self.make(torch.float64, seed)


class TestSampled(BasisContract):
    """Modes from anywhere, without a class of their own."""

    def make(self, dtype, seed):
        return SampledBasis(*cosines(dtype, seed)[:2], options={"seed": seed})


def test_a_class_without_a_name_is_not_saved(tmp_path):
    class Nameless(Cosines):
        pass

    with pytest.raises(ArgumentError, match="kind: wanted a name of its own for a class that is saved, got none in Nameless"):
        Nameless(*cosines(torch.float64, 0)).save(tmp_path / "b.safetensors")
    assert list(tmp_path.iterdir()) == []


class NotNormal(Cosines):
    kind = "test-not-normal"

    def synthesize(self, coefficients):
        return 1.01 * super().synthesize(coefficients)


class Unweighted(Cosines):
    kind = "test-unweighted"

    def analyze(self, signal):
        return self.modes.T @ super().synthesize(super().analyze(signal))


class Detached(Cosines):
    kind = "test-detached"

    def analyze(self, signal):
        return super().analyze(signal.detach())


class Widening(Cosines):
    kind = "test-widening"

    def analyze(self, signal):
        return super().analyze(signal).double()


class LastModes(Cosines):
    kind = "test-last-modes"

    def truncate(self, k):
        k = self._checked_k(k)
        return type(self)(self.modes[:, -k:], self.measure, self.eigenvalues[-k:], self.options)


class Forgetful(Cosines):
    kind = "test-forgetful"

    def _arrays(self):
        return {"modes": self.modes, "measure": self.measure}


class Lenient(Cosines):
    kind = "test-lenient"

    def analyze(self, signal):
        return super().analyze(signal[..., : self.n, :] if signal.dim() > 1 else signal[:, None])


class PlainTensor(Cosines):
    """Modes kept as a plain attribute: neither moved nor stored."""

    kind = "test-plain"

    def __init__(self, modes, measure, eigenvalues=None, options=None):
        super().__init__(modes, measure, eigenvalues, options)
        del self.modes
        self.modes = modes


class Descending(Cosines):
    kind = "test-descending"

    def __init__(self, modes, measure, eigenvalues=None, options=None):
        super().__init__(modes, measure, None if eigenvalues is None else eigenvalues.sort(descending=True).values, options)


class Unbatched(Cosines):
    kind = "test-unbatched"

    def analyze(self, signal):
        return (
            torch.einsum("nk,n,nc->kc", self.modes, self.measure, signal.reshape(self.n, -1))
            if signal.dim() > 2
            else super().analyze(signal)
        )


BREAKS = {
    "test_sizes_and_types": Widening,
    "test_modes_are_orthonormal": NotNormal,
    "test_synthesis_after_analysis_is_the_identity_on_the_span": NotNormal,
    "test_parseval": NotNormal,
    "test_analysis_is_the_projection": Unweighted,
    "test_eigenvalues_ascend": Descending,
    "test_truncation_keeps_the_first_modes": LastModes,
    "test_conversion_to_another_float_type": PlainTensor,
    "test_state_dict_round_trip": PlainTensor,
    "test_save_and_load": Forgetful,
    "test_wrong_shapes_are_refused": Lenient,
    "test_empty_channels_and_batches": Unbatched,
    "test_gradients_flow": Detached,
}


def run(check, contract, tmp_path):
    """Call one check as pytest would."""
    function = getattr(contract, check)
    arguments = {"dtype": torch.float32} if any(mark.name == "parametrize" for mark in getattr(function, "pytestmark", [])) else {}
    if check == "test_save_and_load":
        arguments["tmp_path"] = tmp_path
    function(**arguments)


@pytest.mark.parametrize("check", BREAKS, ids=lambda check: f"{check}-{BREAKS[check].__name__}")
def test_a_broken_basis_is_caught(check, tmp_path):
    class Contract(TestCosines):
        def make(self, dtype, seed):
            return BREAKS[check](*cosines(dtype, seed))

    (tmp_path / "right").mkdir()
    (tmp_path / "broken").mkdir()
    run(check, TestCosines(), tmp_path / "right")
    with pytest.raises((AssertionError, RuntimeError, pytest.fail.Exception)):
        run(check, Contract(), tmp_path / "broken")


def test_a_changed_projector_is_caught():
    class Contract(TestCosines):
        def make_relabelled(self, seed):
            basis, order = super().make_relabelled(seed)
            return basis, order.flip(0)

        def make_moved(self, seed):
            modes, measure, eigenvalues = cosines(torch.float64, seed)
            return Cosines(modes.roll(1, 0), measure, eigenvalues)

    for check in ("test_relabelling_changes_nothing", "test_rigid_motion_changes_nothing"):
        with pytest.raises(AssertionError):
            getattr(Contract(), check)()


def test_chance_is_caught():
    class Contract(TestCosines):
        def make(self, dtype, seed):
            modes, measure, eigenvalues = cosines(dtype, seed)
            return Cosines(modes * (2 * torch.randint(2, (modes.shape[1],)) - 1), measure, eigenvalues)

    torch.manual_seed(3)
    with pytest.raises(AssertionError):
        Contract().test_the_same_seed_gives_the_same_basis()


def test_every_check_is_known_to_bite():
    checks = {name for name in dir(BasisContract) if name.startswith("test_")}
    elsewhere = {"test_relabelling_changes_nothing", "test_rigid_motion_changes_nothing", "test_the_same_seed_gives_the_same_basis"}
    assert checks == set(BREAKS) | elsewhere | {"test_moves_to_cuda"}
