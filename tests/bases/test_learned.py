"""The learned eigenbasis of one cloud: against dense eigenvectors and the mesh's, by probes, off its samples, and on bad input."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from geospec import ArgumentError, ConvergenceError, FileFormatError, LaplaceBasis, LearnedEigenbasis, Mesh, PointCloud, ShapeError, ops
from geospec.bases.learned.fitting import Bound
from geospec.metrics import matched_cosine, subspace_overlap
from geospec.probes import (
    CallableProbes,
    FreeFieldProbes,
    HeatProbes,
    PiecewiseConstantProbes,
    PolynomialProbes,
    SchrodingerProbes,
    smoothing_graph,
)
from geospec.testing import OrthonormalContract, icosphere

fit = LearnedEigenbasis.fit


def blob(level, dtype=torch.float64):
    """A deformed ellipsoid without a symmetry."""
    sphere = icosphere(level, dtype=torch.float64)
    v = sphere.vertices * torch.tensor([1.4, 1.0, 0.7], dtype=torch.float64)
    bump = 1 + 0.15 * torch.sin(2 * v[:, :1] + v[:, 1:2]) + 0.1 * torch.cos(3 * v[:, 2:])
    return Mesh((v * bump).to(dtype), sphere.faces)


def on_blob(n, seed, dtype=torch.float64):
    """Independent points of the surface that :func:`blob` triangulates."""
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    v = x / x.norm(dim=1, keepdim=True) * torch.tensor([1.4, 1.0, 0.7], dtype=torch.float64)
    return (v * (1 + 0.15 * torch.sin(2 * v[:, :1] + v[:, 1:2]) + 0.1 * torch.cos(3 * v[:, 2:]))).to(dtype)


def exact(points, k, potential=None):
    """Eigenvalues and vectors of the smoother of heat probes, dense."""
    graph = smoothing_graph(points.double())
    step = torch.eye(graph.n, dtype=torch.float64) - graph.generator().to_dense()
    if potential is not None:
        damping = torch.exp(-0.5 * graph.time * potential)
        step = damping[:, None] * step * damping
    factors, vectors = torch.linalg.eigh(step)
    return graph.eigenvalue(factors.flip(0)[:k]), vectors.flip(1)[:, :k], graph


def orthonormal(basis):
    modes = basis.modes
    return bool((modes.T @ (basis.measure[:, None] * modes) - torch.eye(basis.k)).abs().max() < 1e-9)


def spread(n, seed):
    """Evenly spread points of the same surface."""
    points = on_blob(4 * n, seed)
    return points[ops.farthest_points(points, n)]


class TestLearned(OrthonormalContract):
    def make(self, dtype, seed):
        return fit(on_blob(300, 0, dtype), 8, max_steps=3, seed=seed)


class Waves(nn.Module):
    """A caller's own encoder: fixed waves, a linear layer."""

    def __init__(self, outputs, dtype=torch.float32):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.register_buffer("waves", 2 * torch.randn(3, 60, generator=generator).to(dtype))
        self.layer = nn.Linear(60, outputs, dtype=dtype)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(outputs, 60, generator=generator))

    def forward(self, points):
        return self.layer(torch.sin(points @ self.waves + 1))


@pytest.fixture(scope="module")
def trained():
    """Trained well and not refined: what the encoder itself has learned."""
    mesh = blob(3)
    told = []
    basis = fit(mesh.vertices, 12, refine=None, target=1.003, progress=lambda *words: told.append(words))
    return mesh, basis, told


@pytest.fixture(scope="module")
def refined():
    """Of evenly spread points, with the usual target."""
    return fit(spread(600, 1), 8)


# -- quality


def test_training_alone_finds_the_eigenbasis(trained):
    mesh, basis, told = trained
    _, vectors, graph = exact(mesh.vertices, 12)
    torch.testing.assert_close(basis.measure, graph.measure)
    assert matched_cosine(basis.normalized_modes, vectors).mean() > 0.99
    assert subspace_overlap(basis.normalized_modes, vectors) > 0.999
    assert 1 - 1e-6 <= basis.optimality_ratio <= 1.005
    assert basis.options["reached"]
    assert basis.history[-1]["log_ratio"] <= 1.003 < basis.history[-2]["log_ratio"]
    assert basis.history[-1]["step"] == basis.options["steps"] < 400
    assert told[0] == (f"learning, ratio {basis.history[0]['optimality_ratio']:.4f}", 20, 400)
    assert told[-1][1] == basis.options["steps"]


def test_refined_modes_are_those_of_the_graph_and_of_the_mesh(trained):
    mesh, _, _ = trained
    basis = fit(mesh.vertices, 12)
    values, vectors, _ = exact(mesh.vertices, 12)
    assert matched_cosine(basis.normalized_modes, vectors, match=False).min() > 0.995
    laplace = LaplaceBasis.fit(mesh, 12, kind="cotangent")
    cosines = matched_cosine(basis.modes, laplace.modes, laplace.measure, match=False)
    assert cosines.min() > 0.98
    assert cosines.mean() > 0.99
    assert ((basis.eigenvalues[1:] - laplace.eigenvalues[1:]) / laplace.eigenvalues[1:]).abs().max() < 0.05
    # The estimate from above holds what is left, and is not idle.
    left = basis.eigenvalues - values
    assert (left.abs() <= basis.eigenvalue_errors + 1e-9).all()
    assert (basis.eigenvalue_errors < 0.02 * values.clamp_min(0.1)).all()
    assert basis.eigenvalue_errors[1:].min() > 0


def test_fields_at_random_teach_the_same():
    mesh = blob(2)
    taught = fit(mesh.vertices, 6, exact=False, samples=100, max_steps=100)
    assert subspace_overlap(taught.normalized_modes, exact(mesh.vertices, 6)[1]) > 0.995
    # The check knows the covariance even where training does not: never below the bound.
    ratios = [check["optimality_ratio"] for check in taught.history]
    assert 1 - 1e-4 <= min(ratios) < 1.15 < ratios[0]


def test_the_log_teaches_high_modes_sooner():
    points = blob(3).vertices
    vectors = exact(points, 40)[1]
    found = [fit(points, 40, refine=None, loss=loss, max_steps=80, target=1.0) for loss in ("log", "plain")]
    log, plain = (subspace_overlap(basis.normalized_modes, vectors) for basis in found)
    assert log > plain + 0.05
    assert not found[0].options["reached"]


def test_the_published_loss_descends():
    basis = fit(blob(2).vertices, 4, loss="published", samples=40, max_steps=60, mass="learned", refine=None)
    assert basis.history[-1]["optimality_ratio"] < 0.9 * basis.history[0]["optimality_ratio"]


def test_seeds_repeat_bit_for_bit():
    first, again, other = (fit(on_blob(200, 0), 5, max_steps=20, exact=False, samples=20, seed=seed, refine=None) for seed in (3, 3, 4))
    assert torch.equal(first.modes, again.modes)
    assert first.history == again.history
    assert (first.modes - other.modes).abs().max() > 1e-6
    begun = [fit(on_blob(200, 0), 5, max_steps=1, refine=None, seed=seed).modes for seed in (3, 4)]  # what is not sampled is drawn too
    assert (begun[0] - begun[1]).abs().max() > 1e-3
    state = torch.get_rng_state()
    fit(on_blob(200, 0), 5, max_steps=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_learned_measure_tends_to_the_graphs():
    points = blob(2).vertices
    graph = smoothing_graph(points)
    basis = fit(points, 4, mass="learned", max_steps=150, target=1.0)
    assert float(basis.measure.sum()) == pytest.approx(1)
    error = (basis.measure / graph.measure - 1).abs().mean()
    spread = (graph.measure * graph.n - 1).abs().mean()
    assert error < 0.3 * spread
    assert (basis.modes[:, 0].abs() - 1).abs().max() < 1e-9
    assert orthonormal(basis)
    torch.testing.assert_close(basis.at(points), basis.modes)


def test_a_measure_that_vanishes():
    class Half(Waves):
        def forward(self, points):
            return super().forward(points) * (points[:, :1] > 0)

    with pytest.raises(ConvergenceError, match="learned measure vanishes at"):
        fit(on_blob(200, 0), 4, mass="learned", encoder=Half(12), max_steps=1, refine=None)


# -- other probes


def test_a_potential_gathers_the_modes():
    points = blob(2).vertices
    basis = fit(points, 6, probes=SchrodingerProbes(potential=lambda p: p[:, 0] - p[:, 0].min(), beta=5.0), max_steps=150)
    values, vectors, graph = exact(points, 6, 5.0 * (points[:, 0] - points[:, 0].min()))
    assert matched_cosine(basis.normalized_modes, vectors, match=False).min() > 0.995
    torch.testing.assert_close(basis.eigenvalues, values, rtol=2e-3, atol=1e-3)
    # The ground state is not constant: it lies where the potential is low.
    assert (graph.measure * basis.modes[:, 0] ** 2 * points[:, 0]).sum() < -0.3


def test_free_fields_have_the_heats_modes():
    points = blob(2).vertices
    vectors = exact(points, 6)[1]
    basis = fit(points, 6, probes=FreeFieldProbes(), max_steps=150, refine=None, target=1.005)
    assert subspace_overlap(basis.normalized_modes, vectors) > 0.99
    assert basis.options["steps"] > 20  # a long tail does not stop it
    refined = basis.extend(points)
    torch.testing.assert_close(refined.eigenvalues, exact(points, 6)[0], rtol=5e-3, atol=5e-3)


def test_polynomials_give_orthogonal_polynomials():
    points = torch.linspace(-1, 1, 120, dtype=torch.float64)[:, None]
    basis = fit(points, 4, probes=PolynomialProbes(degree=3), max_steps=150, target=1.0)
    legendre = torch.from_numpy(np.linalg.qr(np.vander(points[:, 0].numpy(), 4, increasing=True))[0])
    assert subspace_overlap(basis.normalized_modes, legendre) > 0.999
    assert basis.eigenvalues is None
    assert basis.eigenvalue_errors is None
    torch.testing.assert_close(basis.measure, torch.full((120,), 1 / 120, dtype=torch.float64))
    # Not more than the four that there are, whatever is asked for after them: the bound of a fifth column is met by any.
    with pytest.raises(ArgumentError, match="degree"):
        fit(points, 5, probes=PolynomialProbes(degree=3))


def steps_of(points, count, generator):
    """Fields that are constant on either side of one plane: two dimensions."""
    return torch.randn(2, count, generator=generator, dtype=torch.float64)[(points[:, 0] > 0).long()]


@pytest.mark.parametrize("probes", [PiecewiseConstantProbes(cells=5), CallableProbes(steps_of)], ids=["cells", "callable"])
def test_probes_known_by_samples_alone(probes):
    basis = fit(on_blob(200, 0), 2, probes=probes, samples=50, max_steps=60, target=1.0)
    ratios = [check["optimality_ratio"] for check in basis.history]
    assert ratios[-1] - 1 < 0.6 * (ratios[0] - 1)
    assert basis.eigenvalues is None
    assert orthonormal(basis)
    again = LearnedEigenbasis(basis.modes, basis.measure, options=basis.options)
    assert again.optimality_ratio == basis.optimality_ratio


# -- off the samples


def test_at_is_the_basis_on_its_samples(refined, trained):
    torch.testing.assert_close(refined.at(spread(600, 1)), refined.modes)
    mesh, basis, _ = trained
    torch.testing.assert_close(basis.at(mesh.vertices), basis.modes)
    with pytest.raises(ArgumentError, match=r"points: wanted shape \(m, 3\), got .*2"):
        basis.at(torch.zeros(4, 2))


def test_functions_off_the_samples_are_differentiable(refined):
    """By central differences; the encoder reckons in float32."""
    points = on_blob(5, 9).requires_grad_()
    weights = torch.randn(5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((refined.at(points) * weights).sum(), points)
    direction = torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    step = 3e-3
    with torch.no_grad():
        ahead, behind = ((refined.at(points + s * direction) * weights).sum() for s in (step, -step))
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / (2 * step), rel=2e-2)


def test_two_samples_of_a_surface_agree_on_a_third(refined):
    third = spread(500, 3)
    one, other = (basis.extend(third) for basis in (refined, fit(spread(600, 2), 8)))
    assert matched_cosine(one.modes, other.modes, one.measure, match=False).min() > 0.98
    assert orthonormal(one)
    assert not torch.equal(one.modes, other.modes)
    torch.testing.assert_close(one.eigenvalues, other.eigenvalues, rtol=2e-2, atol=1e-2)
    plain = refined.extend(third, refine=None)
    assert subspace_overlap(plain.normalized_modes, one.normalized_modes) > 0.98
    assert (plain.options["refine"], plain.eigenvalue_errors, plain.history) == (None, None, refined.history)
    again = one.extend(spread(600, 1))
    assert matched_cosine(again.modes, refined.modes, refined.measure, match=False).min() > 0.999


def test_a_cloud_larger_than_training():
    points = on_blob(1500, 4)
    basis = fit(points, 8, training_points=400, max_steps=120)
    assert (basis.n, basis.k) == (1500, 8)
    assert orthonormal(basis)
    assert subspace_overlap(basis.normalized_modes, exact(points, 8)[1]) > 0.97
    torch.testing.assert_close(basis.at(points), basis.modes)
    few = basis.extend(points[:20], refine=None)  # fewer than the columns that were learned
    assert orthonormal(few)


def test_scaling_and_truncating(refined):
    twice = refined.scaled(2.0)
    torch.testing.assert_close(twice.eigenvalues, refined.eigenvalues / 4)
    one, large = (fit(factor * on_blob(200, 0), 5, max_steps=5) for factor in (1.0, 2.0))
    torch.testing.assert_close(large.eigenvalues, one.scaled(2.0).eigenvalues)
    with pytest.raises(ArgumentError, match="encoder: wanted a basis that holds its encoder"):
        twice.at(on_blob(3, 0))
    with pytest.raises(ArgumentError, match="factor"):
        refined.scaled(0.0)
    short = refined.truncate(4)
    assert torch.equal(short.at(on_blob(3, 0)), refined.at(on_blob(3, 0))[:, :4])
    assert short.extend(on_blob(300, 5)).k == 4
    assert torch.equal(short.eigenvalue_errors, refined.eigenvalue_errors[:4])


# -- files


def rewritten(path, change):
    with safe_open(path, "pt") as file:
        header, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    options = json.loads(header["options"])
    change(arrays, options)
    save_file(arrays, path, {**header, "options": json.dumps(options)})


@pytest.mark.parametrize("way", ["plain", "double", "polynomials"])
def test_what_is_read_goes_on_off_the_samples(tmp_path, refined, way):
    if way == "polynomials":
        basis = fit(on_blob(100, 0), 4, probes=PolynomialProbes(2), encoder="latent", max_steps=2)
    else:
        basis = fit(on_blob(200, 0, torch.float32), 5, max_steps=2) if way == "double" else refined
    basis = basis.double() if way == "double" else basis
    basis.save(tmp_path / "b.safetensors")
    read = LearnedEigenbasis.load(tmp_path / "b.safetensors")
    there = on_blob(200, 7)
    assert torch.equal(read.at(there), basis.at(there))
    assert torch.equal(read.extend(there).modes, basis.extend(there).modes)
    assert read.history == basis.history
    if basis.eigenvalue_errors is not None:
        assert torch.equal(read.eigenvalue_errors, basis.eigenvalue_errors)


def test_an_encoder_of_the_callers_is_not_stored(tmp_path):
    module = Waves(12)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    basis = fit(on_blob(200, 0), 6, encoder=module, max_steps=10)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(weight.requires_grad for weight in module.parameters())
    assert orthonormal(basis)
    assert basis.extend(on_blob(250, 3)).n == 250
    basis.save(tmp_path / "b.safetensors")
    read = LearnedEigenbasis.load(tmp_path / "b.safetensors")
    assert torch.equal(read.modes, basis.modes)
    for call in (read.extend, read.at):
        with pytest.raises(ArgumentError, match="encoder: wanted a basis that holds its encoder, got one without; it came from a module"):
            call(on_blob(250, 3))


def test_probes_with_a_function_are_not_stored(tmp_path):
    basis = fit(on_blob(100, 0), 2, probes=CallableProbes(steps_of), samples=20, max_steps=2)
    basis.save(tmp_path / "b.safetensors")
    read = LearnedEigenbasis.load(tmp_path / "b.safetensors")
    assert torch.equal(read.at(on_blob(30, 1)), basis.at(on_blob(30, 1)))
    with pytest.raises(ArgumentError, match="extend: wanted the probes"):
        read.extend(on_blob(30, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, options: options["encoder"].update(name="posix.system"),
        lambda arrays, options: options["encoder"]["config"].update(outputs=3),
        lambda arrays, options: options["encoder"]["config"].update(surprise=3),
        lambda arrays, options: options.pop("encoder"),
        lambda arrays, options: arrays.pop("reader.turn"),
        lambda arrays, options: arrays.pop("reader.encoder.head.bias"),
        lambda arrays, options: arrays.update({"reader.stray": torch.zeros(1)}),
        lambda arrays, options: options["probes"].update(stray=1),
    ],
    ids=["name", "size", "argument", "description", "turn", "bias", "stray", "probes"],
)
def test_files_that_do_not_fit(tmp_path, change):
    path = tmp_path / "b.safetensors"
    fit(on_blob(100, 0), 3, max_steps=1).save(path)
    rewritten(path, change)
    with pytest.raises(FileFormatError, match="wanted the arrays of a basis of kind 'learned'"):
        LearnedEigenbasis.load(path)


# -- any dimension, any cloud


def test_a_segment_has_cosines():
    x = (torch.arange(128, dtype=torch.float64)[:, None] + 0.5) / 128
    basis = fit(x, 6, max_steps=120)
    cosines = torch.cos(math.pi * x * torch.arange(6))
    assert matched_cosine(basis.modes, cosines, basis.measure, match=False).min() > 0.99
    torch.testing.assert_close(basis.eigenvalues, (math.pi * torch.arange(6, dtype=torch.float64)) ** 2, rtol=0.1, atol=1e-6)
    assert basis.options["dimension"] == 1


def test_a_torus_in_four_dimensions():
    """Flat, of radii 1 and 0.6: eigenvalues ``a^2 + (b / 0.6)^2``."""
    u, v = (2 * math.pi * torch.arange(count, dtype=torch.float64) / count for count in (40, 24))
    u, v = (x.reshape(-1) for x in torch.meshgrid(u, v, indexing="ij"))
    points = torch.stack([u.cos(), u.sin(), 0.6 * v.cos(), 0.6 * v.sin()], dim=1)
    basis = fit(points, 9, max_steps=80)
    closed = torch.tensor([0, 1, 1, 1 / 0.36, 1 / 0.36, *[1 + 1 / 0.36] * 4], dtype=torch.float64)
    torch.testing.assert_close(basis.eigenvalues[:5], closed[:5], rtol=0.05, atol=1e-6)
    first = torch.stack([torch.ones_like(u), u.cos(), u.sin(), v.cos(), v.sin()], dim=1)
    spans = [first[:, :1] / 960**0.5, first[:, 1:] / 480**0.5]
    assert subspace_overlap(basis.normalized_modes[:, :1], spans[0]) > 0.999
    # cos 2u, sin 2u of eigenvalue 4 and the four products of 3.8 follow; the first five are apart.
    assert subspace_overlap(basis.normalized_modes[:, 1:5], spans[1]) > 0.995
    assert basis.options["dimension"] == 2


def annulus(n=500):
    generator = torch.Generator().manual_seed(0)
    radius = (0.25 + 0.75 * torch.rand(n, generator=generator, dtype=torch.float64)).sqrt()
    angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


def test_a_flat_region_and_a_constant_coordinate():
    """A coordinate that does not change changes nothing but the network."""
    flat = annulus()
    vectors = exact(flat, 5)[1]
    for points in (flat, torch.cat([flat, torch.full((500, 1), 7.0, dtype=torch.float64)], dim=1)):
        assert subspace_overlap(fit(points, 5, max_steps=100).normalized_modes, vectors) > 0.99


@pytest.mark.parametrize("k", [1, 2, 20])
def test_few_modes_and_as_many_as_points(k):
    points = on_blob(20, 0)
    basis = fit(points, k, max_steps=30, refine="rayleigh-ritz")
    assert basis.k == k
    assert orthonormal(basis)
    assert (basis.modes[:, 0] - 1).abs().max() < 1e-6
    assert basis.optimality_ratio < 1.25  # the last truncation leaves nothing and must not speak
    if k == 20:  # all of space: the refinement is the eigenproblem itself
        torch.testing.assert_close(basis.eigenvalues[:10], exact(points, 20)[0][:10], rtol=1e-4, atol=1e-6)


def test_two_pieces_have_two_zeros():
    one = on_blob(200, 0)
    basis = fit(torch.cat([one, one + torch.tensor([30.0, 0, 0], dtype=torch.float64)]), 5, max_steps=60)
    assert basis.options["components"] == 2
    assert basis.eigenvalues[1] < 1e-2 * basis.eigenvalues[2]
    inside = basis.modes[:200, 1]
    assert (inside - inside.mean()).abs().max() < 0.1 * inside.mean().abs()


def test_copies_share_a_points_measure():
    points = on_blob(300, 0)
    basis = fit(torch.cat([points, points[:5]]), 6, max_steps=40)
    assert orthonormal(basis)
    torch.testing.assert_close(basis.modes[:5], basis.modes[300:])
    with pytest.raises(ShapeError, match="at most 8 copies of a point"):
        fit(torch.cat([points, points[:1].expand(20, 3)]), 6)


def test_outliers_are_named():
    far = torch.tensor([[40.0, 0, 0]], dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"a neighbour within reach.*first point 300; drop outliers"):
        fit(torch.cat([on_blob(300, 0), far]), 6)


# -- refusals


def test_points_that_cannot_be():
    points = on_blob(50, 0)
    with pytest.raises(ArgumentError, match=r"points: wanted points or a PointCloud, got a Mesh; pass mesh.vertices"):
        fit(blob(1), 4)
    with pytest.raises(ShapeError, match="points: wanted"):
        fit(torch.zeros(0, 3), 1)
    bad = points.clone()
    bad[3, 1] = float("nan")
    with pytest.raises(ShapeError, match="finite"):
        fit(bad, 4)
    assert fit(PointCloud(points.float()), 2, max_steps=1).modes.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"k": 51}, "k: wanted at most the 50 points to learn from, got 51"),
        ({"k": 21, "training_points": 20}, "k: wanted at most the 20 points"),
        ({"k": 0}, "k: wanted a positive integer"),
        ({"k": True}, "k: wanted a positive integer"),
        ({"k": 2.5}, "k: wanted a positive integer"),
        ({"max_steps": 0}, "max_steps: wanted a positive integer"),
        ({"samples": 0}, "samples: wanted a positive integer"),
        ({"training_points": 0}, "training_points: wanted a positive integer"),
        ({"loss": "whitened"}, "loss: wanted 'log', 'plain' or 'published'.*piling"),
        ({"loss": "square"}, "loss: wanted one of"),
        ({"mass": "given"}, "mass: wanted one of 'graph', 'learned'"),
        ({"refine": "ritz"}, "refine: wanted one of 'rayleigh-ritz'"),
        ({"encoder": "cnn"}, "encoder: wanted one of 'mlp', 'transformer', 'latent'"),
        ({"encoder": Waves(2)}, "encoder: wanted a module from .* with 3 to 49 columns"),
        ({"encoder": Waves(50)}, "encoder: wanted a module from .* with 3 to 49 columns"),
        ({"encoder": nn.Flatten(0)}, "encoder: wanted a module with parameters"),
        ({"probes": "heat"}, "probes: wanted a family of geospec.probes, got str"),
        ({"loss": "published", "exact": True}, "exact: wanted False for the published loss"),
        ({"probes": CallableProbes(steps_of), "exact": True}, "exact: wanted False for probes that can only be sampled"),
        ({"probes": CallableProbes(lambda *_: torch.zeros(3, 2))}, r"probes: wanted \(50, 1000\) fields"),
    ],
    ids=[f"refused {i}" for i in range(20)],
)
def test_options_that_cannot_be(options, wanted):
    with pytest.raises(ArgumentError, match=wanted):
        fit(on_blob(50, 0), **{"k": 4, **options})


def test_columns_that_are_the_same():
    class Twins(Waves):
        def forward(self, points):
            return super().forward(points)[:, [0, 0, 1, 1, 2, 2, 3]]

    points = on_blob(100, 0)
    basis = fit(points, 4, encoder=Twins(4), max_steps=3)
    assert orthonormal(basis)
    torch.testing.assert_close(basis.at(points), basis.modes)
    with pytest.raises(ConvergenceError, match="5 independent columns on 100 points, 6 are needed"):
        fit(points, 6, encoder=Twins(4), max_steps=3)


def test_a_rate_that_is_too_high():
    with pytest.raises(ConvergenceError, match="NaN or infinity; lower learning_rate"):
        fit(on_blob(50, 0), 4, learning_rate=1e30, max_steps=20, target=0.5)


def test_the_bound_is_that_of_the_covariance():
    """Energies and trace against the dense covariance."""
    points = blob(2).vertices
    probes = HeatProbes(steps=6).on(points, 5)
    graph = probes.graph
    step = torch.eye(graph.n, dtype=torch.float64) - graph.generator().to_dense()
    covariance = torch.linalg.matrix_power(step, 12)
    bound = Bound(probes, 5, 0)
    torch.testing.assert_close(bound.energies, torch.linalg.eigvalsh(covariance).flip(0)[:5])
    assert bound.total == pytest.approx(float(covariance.trace()), rel=0.03)
    best = torch.linalg.eigh(covariance)[1].flip(1)[:, :5]
    check = bound.check(1, bound.captured(best), 0.0)
    assert (check.optimality_ratio, check.log_ratio) == (pytest.approx(1), pytest.approx(1))
    assert bound.check(1, bound.captured(best.flip(1)), 0.0).optimality_ratio > 1.01
