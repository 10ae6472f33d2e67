"""The contract accepts a right basis and catches each kind of wrong one."""

import pytest
import torch

from geospec import ArgumentError
from geospec.bases import Basis, SampledBasis
from geospec.testing import FrameContract, OrthonormalContract


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


class TestCosines(OrthonormalContract):
    def make(self, dtype, seed):
        return Cosines(*cosines(dtype, seed))

    def make_relabelled(self, seed):
        order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
        return Cosines(*cosines(torch.float64, seed, order=order)), order

    def make_moved(self, seed):
        return self.make(torch.float64, seed)


class TwoBases(Basis):
    """All cosines, and all unit vectors beside them, each with half of the function: a frame of twice as many modes as points."""

    kind = "test-two-bases"
    eigenvalues = None

    def __init__(self, modes, measure, k=80, options=None):
        super().__init__()
        self.options = options or {"k": k}
        self.register_buffer("modes", modes)
        self.register_buffer("measure", measure)

    n = property(lambda self: len(self.modes))
    k = property(lambda self: self.options["k"])

    def analyze(self, signal):
        if signal.dim() < 2 or signal.shape[-2] != self.n:
            raise ArgumentError("signal")
        half = signal / 2
        return torch.cat([self.modes.T @ (self.measure[:, None] * half), half], dim=-2)[..., : self.k, :]

    def synthesize(self, coefficients):
        if coefficients.dim() < 2 or coefficients.shape[-2] != self.k:
            raise ArgumentError("coefficients")
        first, second = torch.nn.functional.pad(coefficients, (0, 0, 0, 2 * self.n - self.k)).split(self.n, dim=-2)
        return self.modes @ first + second

    def truncate(self, k):
        return type(self)(self.modes, self.measure, options={"k": self._checked_k(k)})

    def _arrays(self):
        return {"modes": self.modes, "measure": self.measure}

    @property
    def orthonormal(self):
        return False


def frame(dtype, seed):
    return cosines(dtype, seed, k=40)[:2]


class TestTwoBases(FrameContract):
    def make(self, dtype, seed):
        return TwoBases(*frame(dtype, seed))


class TestSampled(OrthonormalContract):
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


class Claiming(Cosines):
    kind = "test-claiming"
    orthonormal = False


class Lossy(TwoBases):
    """Loses the last coefficient: right on no function of the last point, and no pairing."""

    kind = "test-lossy"

    def synthesize(self, coefficients):
        return super().synthesize(torch.cat([coefficients[..., :-1, :], 0 * coefficients[..., -1:, :]], dim=-2))


class ClaimingOrthonormal(TwoBases):
    kind = "test-claiming-orthonormal"
    orthonormal = True


BREAKS = {
    "test_sizes_and_types": Widening,
    "test_says_that_it_is_orthonormal": Claiming,
    "test_modes_are_orthonormal": NotNormal,
    "test_synthesis_after_analysis_is_the_identity_on_the_span": NotNormal,
    "test_analysis_inverts_synthesis": NotNormal,
    "test_parseval": NotNormal,
    "test_analysis_is_the_projection": Unweighted,
    "test_eigenvalues_ascend": Descending,
    "test_truncation_keeps_the_first_modes": LastModes,
    "test_conversion_to_another_float_type": PlainTensor,
    "test_state_dict_round_trip": PlainTensor,
    "test_save_and_load": Forgetful,
    "test_wrong_shapes_are_refused": Lenient,
    "test_empty_channels_and_batches": Unbatched,
    "test_gradients_are_adjoints": Detached,
}
FRAME_BREAKS = {
    "test_says_that_it_is_a_frame": ClaimingOrthonormal,
    "test_synthesis_inverts_analysis": Lossy,
    "test_inner_products_are_pairings": Lossy,
}


def run(check, contract, tmp_path):
    """Call one check as pytest would."""
    function = getattr(contract, check)
    arguments = {"dtype": torch.float32} if any(mark.name == "parametrize" for mark in getattr(function, "pytestmark", [])) else {}
    if check == "test_save_and_load":
        arguments["tmp_path"] = tmp_path
    function(**arguments)


@pytest.mark.parametrize("check", [*BREAKS, *FRAME_BREAKS])
def test_a_broken_basis_is_caught(check, tmp_path):
    right, made, broken = (TestCosines, cosines, BREAKS) if check in BREAKS else (TestTwoBases, frame, FRAME_BREAKS)

    class Contract(right):
        def make(self, dtype, seed):
            return broken[check](*made(dtype, seed))

    (tmp_path / "right").mkdir()
    (tmp_path / "broken").mkdir()
    run(check, right(), tmp_path / "right")
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
    checks = {name for contract in (OrthonormalContract, FrameContract) for name in dir(contract) if name.startswith("test_")}
    elsewhere = {"test_relabelling_changes_nothing", "test_rigid_motion_changes_nothing", "test_the_same_seed_gives_the_same_basis"}
    assert checks == set(BREAKS) | set(FRAME_BREAKS) | elsewhere | {"test_moves_to_cuda"}
