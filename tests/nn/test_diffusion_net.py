"""DiffusionNet: closed forms of its parts, a plain second network in NumPy, and what features must not depend on."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geospec import ArgumentError, Mesh, ShapeError, diffusion_operators
from geospec.bases import SampledBasis
from geospec.descriptors import heat_kernel_signature
from geospec.nn import DiffusionNet, SurfaceModes
from geospec.nn.diffusion_net import DiffusionBlock, GradientFeatures
from geospec.testing import bumpy_sphere, grid, icosphere, permuted

DOUBLE = {"dtype": torch.float64}


def network(inputs=3, outputs=5, seed=0, **options):
    torch.manual_seed(seed)
    return DiffusionNet(inputs, outputs, **{"width": 12, "blocks": 2, **options}).double()


def turned(points, seed=3):
    """A rotation, no mirror, and a shift."""
    q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), **DOUBLE))[0]
    return points @ (q * torch.det(q)).T + 0.3


def signatures(operators):
    basis = SampledBasis(operators.modes, operators.mass, operators.eigenvalues)
    found = heat_kernel_signature(basis, times=torch.tensor([0.1, 0.3, 1.0], **DOUBLE))
    return 3 * (found - found.mean(dim=0)) / found.std(dim=0)


@pytest.fixture(scope="module")
def mesh():
    return bumpy_sphere(3)


@pytest.fixture(scope="module")
def operators(mesh):
    return diffusion_operators(mesh, 40)


def test_one_block_diffuses_like_heat_on_the_sphere():
    """Spherical harmonics of degree one decay by ``exp(-2 t)``; the eigenvalue of the mesh is 2 to within its spacing."""
    sphere = icosphere(3)
    surface = SurfaceModes.of(diffusion_operators(sphere, 9))
    block = DiffusionBlock(3, 0.0, None, (0.3, 0.3)).double()
    heat = surface.modes @ block.diffuse(sphere.vertices, surface)
    torch.testing.assert_close(heat, np.exp(-0.6) * sphere.vertices, rtol=0, atol=2e-3)


def test_each_channel_has_a_time_of_its_own(operators):
    surface = SurfaceModes.of(operators)
    block = DiffusionBlock(2, 0.0, None, (0.3, 0.3)).double()
    times = torch.tensor([0.02, 0.7], **DOUBLE)
    block.log_times.data = times.log()
    x = torch.randn(operators.n, 2, generator=torch.Generator().manual_seed(0), **DOUBLE)
    phi, mass = operators.modes.numpy(), operators.mass.numpy()
    for c in range(2):
        kernel = phi @ np.diag(np.exp(-operators.eigenvalues.numpy() * float(times[c]))) @ phi.T
        np.testing.assert_allclose((phi @ block.diffuse(x, surface).detach().numpy())[:, c], kernel @ (mass * x[:, c].numpy()), atol=1e-12)


def test_gradient_features_of_linear_functions_on_a_plane():
    """Two functions of slopes ``g`` and ``h``: ``tanh <g, A-and-B of both>``, all over the plane."""
    plane = grid(9)
    operators = diffusion_operators(plane, 30)
    slope = torch.tensor([[0.7, -0.4], [0.2, 0.9]], **DOUBLE)  # rows: functions
    signal = plane.vertices[:, :2] @ slope.T
    features = GradientFeatures(2).double()
    real, imaginary = features.real.weight.detach().numpy(), features.imaginary.weight.detach().numpy()
    z = slope[:, 0].numpy() + 1j * slope[:, 1].numpy()
    wanted = np.tanh((z.conj() * ((real + 1j * imaginary) @ z)).real)
    found = features(operators.gradient_x @ signal, operators.gradient_y @ signal).detach()
    np.testing.assert_allclose(found, np.tile(wanted, (len(signal), 1)), atol=1e-10)


def test_only_rotation_features_are_free_of_the_axes():
    x, y = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0), **DOUBLE)
    c, s = np.cos(0.8), np.sin(0.8)
    torch.manual_seed(0)
    rotation, anisotropic = (GradientFeatures(4, kind).double() for kind in ("rotation", "anisotropic"))
    torch.testing.assert_close(rotation(c * x - s * y, s * x + c * y), rotation(x, y))
    assert (anisotropic(c * x - s * y, s * x + c * y) - anisotropic(x, y)).abs().max() > 0.1
    assert (rotation(x, -y) - rotation(x, y)).abs().max() > 0.1  # seen from inside
    # A mixture of the slopes along each axis by itself, both with the same two matrices.
    a, b = anisotropic.real.weight, anisotropic.imaginary.weight
    torch.testing.assert_close(anisotropic(x, y), torch.tanh((x + y) * (x @ a.T) + (y - x) * (y @ b.T)))


@pytest.mark.parametrize("kind", ["rotation", "anisotropic", None])
def test_a_second_network_in_numpy(mesh, operators, kind):
    """One channel after another, with dense operators applied to values, not to modes."""
    net = network(gradient_features=kind)
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    layer = lambda name, x: x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]  # noqa: E731
    phi, values = operators.modes.numpy(), operators.eigenvalues.numpy()
    gradients = [gradient.to_dense().numpy() for gradient in (operators.gradient_x, operators.gradient_y)]
    h = layer("first", mesh.vertices.numpy())
    for b in range(2):
        heat = np.empty_like(h)
        for c in range(h.shape[1]):
            time = np.exp(weights[f"blocks.{b}.log_times"][c])
            heat[:, c] = phi @ (np.exp(-time * values) * (phi.T @ (operators.mass.numpy() * h[:, c])))
        parts = [h, heat]
        if kind is not None:
            real, imaginary = (weights[f"blocks.{b}.gradient_features.{name}.weight"] for name in ("real", "imaginary"))
            x, y = (gradient @ heat for gradient in gradients)
            mixed = x @ real.T - y @ imaginary.T, (y if kind == "rotation" else x) @ real.T + (x if kind == "rotation" else y) @ imaginary.T
            parts.append(np.tanh(x * mixed[0] + y * mixed[1]))
        inner = np.concatenate(parts, axis=1)
        for i in (0, 3):
            inner = np.maximum(layer(f"blocks.{b}.mlp.{i}", inner), 0)
        h = h + layer(f"blocks.{b}.mlp.6", inner)
    np.testing.assert_allclose(net(mesh.vertices, operators).detach(), layer("last", h), atol=1e-11)


def test_rigid_motion_leaves_features_of_intrinsic_inputs(mesh, operators):
    moved = diffusion_operators(Mesh(turned(mesh.vertices), mesh.faces), 40)
    net = network()
    torch.testing.assert_close(net(signatures(moved), moved), net(signatures(operators), operators), rtol=0, atol=1e-6)
    assert (net(turned(mesh.vertices), moved) - net(mesh.vertices, operators)).abs().max() > 0.1


def test_a_mirror_changes_them(mesh, operators):
    """Faces are turned over with the mirror, so that normals point outwards again."""
    mirrored = diffusion_operators(Mesh(mesh.vertices * torch.tensor([-1.0, 1, 1]), mesh.faces.flip(1)), 40)
    inputs = signatures(operators)
    for kind, seen in (("rotation", True), (None, False)):
        net = network(gradient_features=kind)
        found = net(inputs, operators).detach()
        apart = float((net(signatures(mirrored), mirrored).detach() - found).abs().max() / found.std())
        assert apart > 0.05 if seen else apart < 1e-6


def test_vertices_in_another_order(mesh, operators):
    shuffled, order = permuted(mesh)
    net = network()
    again = net(shuffled.vertices, diffusion_operators(shuffled, 40))
    torch.testing.assert_close(again, net(mesh.vertices, operators)[order], rtol=0, atol=1e-6)


def test_two_meshings_agree_ever_more_closely():
    """Vertices of a coarse mesh are vertices of the finer ones, in the same places."""
    net = network()
    found = [net(mesh.vertices, diffusion_operators(mesh, 40))[:162] for mesh in map(bumpy_sphere, (2, 3, 4))]
    spread = found[2].std(dim=0)
    coarse, fine = (((f - found[2]) / spread).square().mean().sqrt() for f in found[:2])
    assert fine < 0.05
    assert fine < 0.4 * coarse


def samples(mesh, m):
    from geospec.ops import farthest_points, knn

    index = farthest_points(mesh.vertices, m)
    owner = knn(mesh.vertices, mesh.vertices[index], 1)[1][:, 0]
    return index, torch.zeros(m, **DOUBLE).index_add(0, owner, mesh.measure)


def test_a_thinned_surface_keeps_the_span_and_the_slopes(mesh, operators):
    surface = SurfaceModes.of(operators)
    index, measure = samples(mesh, 120)
    thin = surface.sampled(index, measure)
    torch.testing.assert_close(thin.analysis @ thin.modes, torch.eye(40, **DOUBLE), rtol=0, atol=1e-10)
    torch.testing.assert_close(thin.modes, operators.modes[index])
    torch.testing.assert_close(thin.slopes_x, (operators.gradient_x @ operators.modes)[index])
    weights = measure[:, None] * thin.modes
    signal = torch.randn(120, 2, generator=torch.Generator().manual_seed(0), **DOUBLE)
    residual = signal - thin.modes @ (thin.analysis @ signal)
    assert (weights.T @ residual).abs().max() < 1e-10  # the best fit under the measure


def test_a_network_on_a_thinned_surface(mesh, operators):
    net, surface = network(), SurfaceModes.of(operators)
    full = net(mesh.vertices, surface).detach()
    errors = []
    for m in (80, 320):
        index, measure = samples(mesh, m)
        found = net(mesh.vertices[index], surface.sampled(index, measure)).detach()
        errors.append(float(((found - full[index]) / full.std(dim=0)).square().mean().sqrt()))
    assert errors[1] < 0.1
    assert errors[1] < 0.5 * errors[0]


def test_surfaces_packed_and_batches(mesh, operators):
    small = bumpy_sphere(2)
    other = diffusion_operators(small, 20)
    net = network()
    packed = net(torch.cat([mesh.vertices, small.vertices]), [operators, SurfaceModes.of(other)])
    torch.testing.assert_close(packed, torch.cat([net(mesh.vertices, operators), net(small.vertices, other)]))
    batch = torch.stack([mesh.vertices, mesh.vertices.flip(1)])
    torch.testing.assert_close(net(batch, operators)[1], net(batch[1], operators))
    assert net(batch[:0], operators).shape == (0, mesh.n_points, 5)
    with pytest.raises(ArgumentError, match="surfaces: wanted at least one"):
        net(mesh.vertices[:0], [])


def test_gradients():
    mesh = icosphere(0)
    surface = SurfaceModes.of(diffusion_operators(mesh, 6))
    for kind in ("rotation", "anisotropic", None):
        net = network(outputs=2, width=3, blocks=2, gradient_features=kind)
        names, weights = zip(*net.named_parameters(), strict=True)

        def output(x, *values, net=net, names=names):
            return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (x, surface))

        assert torch.autograd.gradcheck(output, (mesh.vertices.clone().requires_grad_(), *weights))


def test_every_weight_learns_and_the_configuration_makes_it_again(mesh, operators):
    net = network()
    net(mesh.vertices, operators).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in net.parameters())
    again = DiffusionNet(**net.config).double()
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(mesh.vertices, operators), net(mesh.vertices, operators))
    assert not torch.equal(network(seed=1).first.weight, net.first.weight)
    assert all(torch.equal(a, b) for a, b in zip(network().parameters(), net.parameters(), strict=True))


def test_times_start_in_their_range():
    torch.manual_seed(0)
    times = DiffusionNet(3, 3, width=500, blocks=1, times=(0.01, 1.0)).blocks[0].log_times.detach().exp()
    assert 0.01 <= float(times.min()) < 0.012
    assert 0.8 < float(times.max()) <= 1.001
    assert 0.08 < float(times.median()) < 0.125


def test_dropout_is_for_training(mesh, operators):
    net, sure = network(dropout=0.5), network()
    assert not torch.equal(net(mesh.vertices, operators), net(mesh.vertices, operators))
    assert torch.equal(net.eval()(mesh.vertices, operators), sure(mesh.vertices, operators))


def test_single_precision(mesh, operators):
    net = network()
    exact = net(mesh.vertices, operators)
    found = net.float()(mesh.vertices.float(), operators.to(dtype=torch.float32))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5)
    assert SurfaceModes.of(operators).to(dtype=torch.float32).analysis.dtype == torch.float32


def test_truncation(operators):
    few = SurfaceModes.of(operators).truncate(7)
    wanted = SurfaceModes.of(operators.truncate(7))
    for name in ("eigenvalues", "modes", "analysis", "slopes_x", "slopes_y"):
        torch.testing.assert_close(getattr(few, name), getattr(wanted, name))
    assert "k=7" in repr(few)


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("inputs", 0, "a positive integer"),
        ("width", 2.5, "a positive integer"),
        ("blocks", True, "a positive integer"),
        ("dropout", 1.0, r"a share in \[0, 1\)"),
        ("gradient_features", "polar", "rotation"),
        ("times", (0.0, 1.0), "two positive times"),
        ("times", (1.0, 0.1), "two positive times"),
    ],
)
def test_options(option, value, wanted):
    with pytest.raises(ArgumentError, match=f"{option}: wanted .*{wanted}"):
        DiffusionNet(**{"inputs": 3, "outputs": 4, option: value})


def test_refusals(mesh, operators):
    net, surface = network(), SurfaceModes.of(operators)
    for features in (mesh.vertices[:-1], mesh.vertices[:, :2], mesh.vertices[:, 0]):
        with pytest.raises(ShapeError, match=r"features: wanted shape \(\.\.\., 642, 3\)"):
            net(features, operators)
    with pytest.raises(ArgumentError, match="features: wanted torch.float64"):
        net(mesh.vertices.float(), operators)
    with pytest.raises(ArgumentError, match="surfaces: wanted torch.float64"):
        net(mesh.vertices, operators.to(dtype=torch.float32))
    with pytest.raises(ArgumentError, match="index: wanted samples that tell 40 modes apart"):
        surface.sampled(torch.arange(39), torch.ones(39, **DOUBLE))
    with pytest.raises(ArgumentError, match="index: wanted samples that tell 40 modes apart"):
        surface.sampled(torch.zeros(100, dtype=torch.int64), torch.ones(100, **DOUBLE))
    close = (mesh.vertices - mesh.vertices[0]).norm(dim=1).argsort()[:60]  # all on one side: independent, but hardly
    with pytest.raises(ArgumentError, match="index: wanted samples that tell 40 modes apart"):
        surface.sampled(close, torch.ones(60, **DOUBLE))
    with pytest.raises(ArgumentError, match=r"measure: wanted shape \(100,\)"):
        surface.sampled(torch.arange(100), torch.ones(99, **DOUBLE))
    with pytest.raises(ArgumentError, match="between 1 and the 40 modes"):
        surface.truncate(41)
    with pytest.raises(ShapeError, match=r"slopes_y: wanted shape \(642, 40\)"):
        SurfaceModes(surface.eigenvalues, surface.modes, surface.analysis, surface.slopes_x, surface.slopes_y[:-1])
    with pytest.raises(ShapeError, match="modes: wanted shape"):
        SurfaceModes(surface.eigenvalues, surface.modes[0], surface.analysis, surface.slopes_x, surface.slopes_y)
    dense = SimpleNamespace(
        mass=operators.mass, eigenvalues=operators.eigenvalues, modes=operators.modes,
        gradient_x=operators.gradient_x.to_dense(), gradient_y=operators.gradient_y.to_dense(),
    )  # fmt: skip
    torch.testing.assert_close(net(mesh.vertices, dense), net(mesh.vertices, operators))
