"""Signatures and spectra against closed forms, traces, pyFM, and their invariances."""

import math

import numpy as np
import pytest
import torch

from geospec import ArgumentError, LaplaceBasis, Mesh, SampledBasis
from geospec.descriptors import heat_kernel_signature, nonzero, paired_signatures, shape_dna, spectral_coordinates, wave_kernel_signature
from geospec.testing import bumpy_sphere, disjoint_union, icosphere, permuted


@pytest.fixture(scope="module")
def basis():
    return LaplaceBasis.fit(bumpy_sphere(3), 40)


@pytest.fixture(scope="module")
def sphere():
    return LaplaceBasis.fit(icosphere(4), 121)


SIGNATURES = {
    "heat": heat_kernel_signature,
    "heat unscaled": lambda basis: heat_kernel_signature(basis, scaled=False),
    "wave": wave_kernel_signature,
    "wave normalised": lambda basis: wave_kernel_signature(basis, 60, normalize=True),
    "heat of landmarks": lambda basis: heat_kernel_signature(basis, 5, landmarks=torch.tensor([3, 77])),
    "wave of landmarks": lambda basis: wave_kernel_signature(basis, 5, landmarks=torch.tensor([3, 77])),
}
every_signature = pytest.mark.parametrize("name", SIGNATURES)


def test_heat_on_the_sphere(sphere):
    """``sum_l (2 l + 1) exp(-l (l + 1) t) / 4 pi`` at every point."""
    times = torch.tensor([0.1, 0.3, 1.0, 5.0], dtype=torch.float64)
    degree = torch.arange(11, dtype=torch.float64)
    exact = ((2 * degree + 1) * torch.exp(-degree * (degree + 1) * times[:, None])).sum(dim=1) / (4 * math.pi)
    found = heat_kernel_signature(sphere, times=times, scaled=False)
    torch.testing.assert_close(found, exact.expand_as(found), rtol=0.02, atol=0)


def test_heat_kernel_from_a_landmark_of_the_sphere(sphere):
    """Legendre's addition theorem: ``sum_l (2 l + 1) exp(-l (l + 1) t) P_l(cos angle) / 4 pi``."""
    vertices = icosphere(4).vertices
    coefficients = [(2 * degree + 1) * math.exp(-degree * (degree + 1) * 0.2) / (4 * math.pi) for degree in range(11)]
    exact = np.polynomial.legendre.legval((vertices @ vertices[17]).numpy(), coefficients)
    found = heat_kernel_signature(sphere, times=torch.tensor([0.2]), scaled=False, landmarks=torch.tensor([17]))[:, 0]
    np.testing.assert_allclose(found.numpy(), exact, atol=0.01 * exact.max())


def test_spectral_coordinates_of_the_sphere(sphere):
    """The first three are the coordinates up to a rotation: ``sum phi_i^2 / lambda_i = (3 / 4 pi) / 2``."""
    length = spectral_coordinates(sphere, 3).square().sum(dim=1)
    torch.testing.assert_close(length, torch.full_like(length, 3 / (8 * math.pi)), rtol=0.02, atol=0)


def test_heat_trace(basis):
    times = torch.tensor([0.01, 0.1, 1.0], dtype=torch.float64)
    trace = torch.exp(-basis.eigenvalues * times[:, None]).sum(dim=1)
    assert trace[0] > 2
    plain, scaled = (heat_kernel_signature(basis, times=times, scaled=scaled) for scaled in (False, True))
    torch.testing.assert_close(basis.measure @ plain, trace)
    torch.testing.assert_close(basis.measure @ scaled, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(basis.measure @ wave_kernel_signature(basis, 30), torch.ones(30, dtype=torch.float64))


def test_pyfm_agrees(basis):
    signatures = pytest.importorskip("pyFM.signatures")
    arrays = basis.eigenvalues.numpy(), basis.modes.numpy()
    np.testing.assert_allclose(heat_kernel_signature(basis, 30).numpy(), signatures.auto_HKS(*arrays, 30, scaled=True), rtol=1e-9)
    np.testing.assert_allclose(wave_kernel_signature(basis, 90).numpy(), signatures.auto_WKS(*arrays, 90, scaled=True), rtol=1e-9)
    marks = np.array([5, 100])
    ours = heat_kernel_signature(basis, 7, landmarks=torch.from_numpy(marks)).numpy()
    np.testing.assert_allclose(ours, signatures.auto_HKS(*arrays, 7, landmarks=marks, scaled=True), atol=1e-12)
    ours = wave_kernel_signature(basis, 60, landmarks=torch.from_numpy(marks)).numpy()
    np.testing.assert_allclose(ours, signatures.auto_WKS(*arrays, 60, landmarks=marks, scaled=True), atol=1e-12)


@every_signature
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_and_finiteness(name, dtype, basis):
    single = LaplaceBasis(basis.modes.to(dtype), basis.measure.to(dtype), basis.eigenvalues.to(dtype))
    found = SIGNATURES[name](single)
    assert found.dtype == dtype
    assert found.shape[0] == basis.n
    assert torch.isfinite(found).all()
    assert found.std(dim=0).min() > 0
    torch.testing.assert_close(found.double(), SIGNATURES[name](basis), rtol=1e-3, atol=1e-4 * float(found.abs().max()))


@every_signature
def test_signs_of_modes_do_not_matter(name, basis):
    signs = 1 - 2 * (torch.arange(basis.k) % 2).double()
    flipped = SampledBasis(basis.modes * signs, basis.measure, basis.eigenvalues)
    torch.testing.assert_close(SIGNATURES[name](flipped), SIGNATURES[name](basis))
    torch.testing.assert_close(spectral_coordinates(flipped).abs(), spectral_coordinates(basis).abs())


def test_order_of_vertices_does_not_matter():
    mesh = bumpy_sphere(3)
    other, order = permuted(mesh)
    one, two = (wave_kernel_signature(LaplaceBasis.fit(shape, 30)) for shape in (mesh, other))
    torch.testing.assert_close(two, one[order], rtol=1e-6, atol=1e-8)


def test_size_does_not_matter():
    """Default times and energies follow the shape: a scaled shape has the same scaled signature times its area."""
    mesh = bumpy_sphere(3)
    one, two = (LaplaceBasis.fit(Mesh(size * mesh.vertices, mesh.faces), 30) for size in (1.0, 7.0))
    for signature in (heat_kernel_signature, wave_kernel_signature):
        torch.testing.assert_close(signature(two) * two.measure.sum(), signature(one) * one.measure.sum(), rtol=1e-6, atol=1e-8)
    for normalize in ("area", "eigenvalue"):
        torch.testing.assert_close(shape_dna(two, normalize=normalize), shape_dna(one, normalize=normalize), rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(49 * shape_dna(two, normalize="none"), shape_dna(one, normalize="none"), rtol=1e-7, atol=1e-8)


def test_normalised_columns_have_norm_one(basis):
    for signature in (heat_kernel_signature, wave_kernel_signature):
        columns = signature(basis, 40, normalize=True)
        torch.testing.assert_close(basis.measure @ columns**2, torch.ones(40, dtype=torch.float64))


def test_gradients():
    small = LaplaceBasis.fit(bumpy_sphere(1), 6)
    times, energies = torch.tensor([0.05, 0.5]).double(), torch.tensor([0.5, 1.5]).double()

    def signatures(modes, values):
        made = SampledBasis(modes, small.measure, torch.cat([values.new_zeros(1), values]))  # a nudged zero is none
        wave = wave_kernel_signature(made, energies=energies, sigma=0.4, normalize=True)
        return heat_kernel_signature(made, times=times), wave, spectral_coordinates(made), shape_dna(made, normalize="eigenvalue")

    inputs = small.modes.clone().requires_grad_(), small.eigenvalues[1:].clone().requires_grad_()
    assert torch.autograd.gradcheck(signatures, inputs)
    made = SampledBasis(inputs[0], small.measure, torch.cat([torch.zeros(1).double(), inputs[1]]))
    wave_kernel_signature(made).sum().backward()
    assert all(torch.isfinite(given.grad).all() and given.grad.abs().max() > 0 for given in inputs)


def test_several_pieces():
    """Three zeros: none of them has an energy or a coordinate, all keep heat."""
    pieces = LaplaceBasis.fit(disjoint_union(*[Mesh(bumpy_sphere(2).vertices + 4 * i, bumpy_sphere(2).faces) for i in range(3)]), 30)
    assert nonzero(pieces.eigenvalues).sum() == 27
    assert spectral_coordinates(pieces).shape == (pieces.n, 27)
    assert torch.isfinite(spectral_coordinates(pieces)).all()
    for signature in (heat_kernel_signature, wave_kernel_signature):
        assert torch.isfinite(signature(pieces)).all()
    late = heat_kernel_signature(pieces, times=torch.tensor([1e6]), scaled=False)[:, 0]
    torch.testing.assert_close(late, torch.full_like(late, 3 / float(pieces.measure.sum())))
    assert (shape_dna(pieces)[:3] < 1e-8).all()


def test_defaults_of_the_wave_stay_in_range(basis):
    """Few energies: the filters must not be so wide that trimming turns the range around."""
    few = wave_kernel_signature(basis, 4)
    fine = wave_kernel_signature(basis, 56)
    torch.testing.assert_close(few[:, [0, -1]], fine[:, [0, -1]])


def test_shape_dna_of_the_sphere(sphere):
    exact = torch.tensor([0, 2, 2, 2, 6, 6, 6, 6, 6], dtype=torch.float64)
    torch.testing.assert_close(shape_dna(sphere, 9), exact * 4 * math.pi, rtol=0.02, atol=1e-8)
    torch.testing.assert_close(shape_dna(sphere, 9, normalize="eigenvalue"), exact / 2, rtol=0.02, atol=1e-8)
    torch.testing.assert_close(shape_dna(sphere, 9, normalize="none"), exact, rtol=0.02, atol=1e-8)


def test_refusals(basis):
    plain = SampledBasis(basis.modes, basis.measure)
    for call in (heat_kernel_signature, wave_kernel_signature, spectral_coordinates, shape_dna):
        with pytest.raises(ArgumentError, match="a basis with eigenvalues"):
            call(plain)
        with pytest.raises(ArgumentError, match="at least one non-zero eigenvalue"):
            call(basis.truncate(1))
    for call in (heat_kernel_signature, wave_kernel_signature):
        with pytest.raises(ArgumentError, match="n: wanted a positive integer, got 0"):
            call(basis, 0)
        for landmarks in (torch.tensor([642]), torch.tensor([-1]), torch.tensor([0.5]), torch.tensor(3)):
            with pytest.raises(ArgumentError, match="landmarks"):
                call(basis, landmarks=landmarks)
    with pytest.raises(ArgumentError, match="positive times"):
        heat_kernel_signature(basis, times=torch.tensor([1.0, 0]))
    with pytest.raises(ArgumentError, match="times: wanted a vector"):
        heat_kernel_signature(basis, times=torch.ones(2, 2))
    with pytest.raises(ArgumentError, match="sigma"):
        wave_kernel_signature(basis, energies=torch.ones(2))
    with pytest.raises(ArgumentError, match="two different non-zero eigenvalues"):
        wave_kernel_signature(basis.truncate(2))
    with pytest.raises(ArgumentError, match="39 non-zero modes"):
        spectral_coordinates(basis, 40)
    with pytest.raises(ArgumentError, match="k: wanted between 1 and the 40"):
        shape_dna(basis, 41)
    with pytest.raises(ArgumentError, match="normalize: wanted one of"):
        shape_dna(basis, normalize="volume")


@pytest.mark.parametrize("kind", ["wks", "hks"])
def test_paired_signatures_correspond(kind, basis):
    """The same surface known to fewer modes: equal columns, where each spectrum on its own would choose other energies."""
    coarse = basis.truncate(30)
    one, two = paired_signatures(basis, coarse, kind, n=20)
    assert one.shape == two.shape == (basis.n, 20)
    norms = basis.measure @ one**2
    torch.testing.assert_close(norms, torch.ones(20, dtype=torch.float64))
    gap = (basis.measure @ (one - two) ** 2).sqrt()
    alone = heat_kernel_signature if kind == "hks" else wave_kernel_signature
    apart = alone(basis, 20, normalize=True) - alone(coarse, 20, normalize=True)
    assert gap[10:15].max() < 0.3 * (basis.measure @ apart**2).sqrt()[10:15].min()


@pytest.mark.parametrize("kind", ["wks", "hks"])
def test_landmarks_of_a_pair(kind, basis):
    """All landmarks together weigh as the signatures do, and a pair that is written once for each shape corresponds."""
    other = permuted(bumpy_sphere(3))
    order = other[1]
    relabelled = SampledBasis(basis.modes[order], basis.measure[order], basis.eigenvalues)
    place = order.argsort()
    pairs = torch.tensor([[3, int(place[3])], [77, int(place[77])]])
    one, two = paired_signatures(basis, relabelled, kind, n=6, landmarks=pairs)
    assert one.shape == (basis.n, 18)
    torch.testing.assert_close(two, one[order])
    squares = basis.measure @ one**2
    torch.testing.assert_close(squares[6:].sum(), squares[:6].sum())


def test_paired_refusals(basis):
    with pytest.raises(ArgumentError, match="kind: wanted one of 'wks', 'hks'"):
        paired_signatures(basis, basis, "shot")
    for wrong in (torch.zeros(2, 3, dtype=torch.int64), torch.zeros(1, 2), torch.zeros(0, 2, dtype=torch.int64)):
        with pytest.raises(ArgumentError, match=r"landmarks: wanted integer pairs \(m, 2\)"):
            paired_signatures(basis, basis, landmarks=wrong)
    far = SampledBasis(basis.modes, basis.measure, 1e9 * basis.eigenvalues)
    with pytest.raises(ArgumentError, match="spectra that overlap"):
        paired_signatures(basis, far)
