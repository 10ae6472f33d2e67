"""The network that gives eigenbases: what no weights can break, so it is seen here untrained and small."""

import pytest
import torch
from torch import nn

from geospec import ArgumentError, EigenbasisNetwork, FileFormatError, Mesh, PointCloud, ShapeError
from geospec.bases import eigenpairs
from geospec.bases.learned import network as made
from geospec.metrics import matched_cosine, subspace_overlap
from geospec.probes import smoothing_graph
from geospec.testing import OrthonormalContract, icosphere
from geospec.weights import save_weights

SMALL = {"modes": 10, "learned": 6, "width": 16, "depth": 1, "heads": 2, "tokens": 4, "degree": 3}


def small(seed=0, **sizes):
    torch.manual_seed(seed)
    return EigenbasisNetwork(**{**SMALL, **sizes}).double().eval().requires_grad_(False)


def blob(n, seed=0, dtype=torch.float64):
    """Independent points of a closed surface without a symmetry."""
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    v = x / x.norm(dim=1, keepdim=True) * torch.tensor([1.4, 1.0, 0.7], dtype=torch.float64)
    return (v * (1 + 0.15 * torch.sin(2 * v[:, :1] + v[:, 1:2]) + 0.1 * torch.cos(3 * v[:, 2:]))).to(dtype)


def exact(points, k):
    graph = smoothing_graph(points.double())
    found = eigenpairs(graph.generator(), k=k)
    return graph.eigenvalue(1 - found.values), found.vectors, graph


def turned(points):
    rotation = torch.linalg.qr(torch.tensor([[1.0, 2, 0], [0, 1, 3], [1, 0, 1]], dtype=torch.float64))[0]
    return points @ rotation.T + torch.tensor([3.0, -1, 2], dtype=torch.float64)


class TestNetwork(OrthonormalContract):
    invariance_tolerance = 1e-5  # the steps that are smoothed with are found from random columns: rounding may be amplified

    def make(self, dtype, seed):
        return small()(blob(250, seed, dtype), 8)

    def make_relabelled(self, seed):
        order = torch.randperm(250, generator=torch.Generator().manual_seed(3))
        return small()(blob(250, seed)[order], 8), order

    def make_moved(self, seed):
        return small()(turned(blob(250, seed)), 8)


@pytest.mark.parametrize("refine", ["rayleigh-ritz", None])
def test_motion_size_and_order_change_nothing_but_units(refine):
    points, net = blob(300), small()
    basis = net(points, 8, refine)
    same, back = torch.arange(300), torch.arange(299, -1, -1)
    for other, order, factor in ((turned(points), same, 1.0), (1000 * points, same, 1e-6), (points.flip(0), back, 1.0)):
        moved = net(other, 8, refine)
        torch.testing.assert_close(moved.modes[order], basis.modes, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(moved.eigenvalues, factor * basis.eigenvalues, rtol=1e-4, atol=1e-9)


def test_untrained_it_holds_the_low_modes_and_refined_the_exact_ones():
    points = blob(800)
    values, vectors, graph = exact(points, 8)
    rough, refined = (small()(points, 8, refine) for refine in (None, "rayleigh-ritz"))
    torch.testing.assert_close(refined.measure, graph.measure)
    assert subspace_overlap(rough.normalized_modes, vectors) > 0.95
    assert matched_cosine(refined.normalized_modes, vectors, match=False).min() > 0.995
    assert ((refined.eigenvalues - values).abs() <= refined.eigenvalue_errors + 1e-9).all()
    assert rough.eigenvalue_errors is None
    assert (rough.eigenvalues[1:] >= values[1:] * (1 - 1e-6)).all()  # Rayleigh quotients in order
    assert (refined.modes[:, 0] - 1).abs().max() < 1e-9
    assert refined.optimality_ratio is None


def test_what_is_learned_takes_part():
    """Other weights, other columns; the coarse modes are the same."""
    points = blob(300)
    one, other = (small(seed).functions(small(seed).prepare(points)) for seed in (0, 1))
    assert torch.equal(one[:, :38], other[:, :38])
    assert (one[:, 38:] - other[:, 38:]).abs().max() > 1e-3
    assert one.shape == (300, 44)


def test_precisions_agree():
    points = blob(300)
    net = small()
    torch.testing.assert_close(net(points.float(), 6).modes, net(points, 6).modes.float(), rtol=1e-3, atol=1e-3)
    single = small().float()
    basis = single(points, 6)
    assert basis.modes.dtype == torch.float64
    torch.testing.assert_close(basis.modes, net(points, 6).modes, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("refine", ["rayleigh-ritz", None])
def test_modes_are_differentiable_in_the_points(refine):
    """By central differences. Points are moved where neither the neighbours nor the narrowest kernel, whose square is the step,
    change: both are held."""
    points, net = blob(200), small(degree=2)
    graph = smoothing_graph(points)
    narrow = points[graph.width.argmin()]
    apart = (points - narrow).norm(dim=1, keepdim=True)
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(200, 3, generator=generator, dtype=torch.float64) * (apart > 1.6)
    weights = torch.randn(200, 4, generator=generator, dtype=torch.float64)

    def value(at):
        basis = net(at, 4, refine)
        return (basis.modes[:, 1:] * weights[:, 1:]).sum() + (basis.measure * weights[:, 0]).sum() * 200

    leaf = points.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(leaf), leaf)
    step = 1e-7
    numeric = float(value(points + step * direction) - value(points - step * direction)) / (2 * step)
    assert abs(numeric) > 0.1
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=2e-3)


def test_eigenvalues_are_differentiable_in_the_points():
    """A larger cloud has lower ones, ``d lambda / d log s = -2 lambda``, up to ``1 - mu`` of a step."""
    points = blob(300).requires_grad_()
    basis = small()(points, 6)
    (gradient,) = torch.autograd.grad(basis.eigenvalues[3], points)
    assert float((gradient * points.detach()).sum()) == pytest.approx(-2 * float(basis.eigenvalues[3].detach()), rel=0.1)


def test_a_large_cloud_is_seen_through_samples(monkeypatch):
    monkeypatch.setattr(made, "SEEN", 400)
    points = blob(1500)
    _, vectors, graph = exact(points, 10)
    basis, rough = small()(points), small()(points, refine=None)
    assert subspace_overlap(basis.normalized_modes, vectors) > 0.97
    assert matched_cosine(basis.normalized_modes[:, :5], vectors[:, :5]).min() > 0.99
    assert rough.k == 10
    torch.testing.assert_close(basis.measure, graph.measure)
    for each in (basis, rough):
        gram = each.normalized_modes.T @ each.normalized_modes
        torch.testing.assert_close(gram, torch.eye(10, dtype=torch.float64))


def test_beyond_the_samples_of_the_shipped_sizes():
    points = blob(6000, dtype=torch.float32)
    torch.manual_seed(0)
    basis = EigenbasisNetwork().requires_grad_(False)(points, 32)
    assert subspace_overlap(basis.normalized_modes, exact(points, 32)[1]) > 0.97


def test_thin_clouds_and_small_ones():
    flat = blob(300) * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    disk = flat[flat.norm(dim=1) < 0.8]
    assert subspace_overlap(small()(disk, 5).normalized_modes, exact(disk, 5)[1]) > 0.98
    few = small()(blob(41), 10)  # 39 coarse functions with the constant, 6 learned: more than points
    torch.testing.assert_close(few.normalized_modes.T @ few.normalized_modes, torch.eye(10, dtype=torch.float64))
    torch.testing.assert_close(few.eigenvalues[:6], exact(blob(41), 10)[0][:6], rtol=1e-2, atol=1e-6)


def test_two_pieces_have_two_zeros():
    points = torch.cat([blob(150), blob(150, 1) + torch.tensor([9.0, 0, 0], dtype=torch.float64)])
    basis = small()(points, 4)
    assert basis.options["components"] == 2
    assert basis.eigenvalues[1] < 1e-2 * basis.eigenvalues[2]


def test_packed_clouds_do_not_speak_to_each_other():
    net, clouds = small(), [small().prepare(blob(100 + 20 * seed, seed)) for seed in (0, 1)]
    together = net.columns(torch.cat([c.features for c in clouds]), torch.cat([c.measure for c in clouds]), torch.tensor([0, 100, 220]))
    alone = [net.columns(c.features, c.measure, torch.tensor([0, len(c.measure)])) for c in clouds]
    torch.testing.assert_close(together, torch.cat(alone))


def test_files(tmp_path):
    path, net = tmp_path / "net.safetensors", small().float()
    save_weights(net, path, kind=made.KIND, arguments=net.config)
    read = EigenbasisNetwork.load(path)
    assert read.config == net.config
    assert torch.equal(read(blob(200), 5).modes, net(blob(200), 5).modes)
    save_weights(net, path, kind="another", arguments=net.config)
    with pytest.raises(FileFormatError, match="eigenbasis network"):
        EigenbasisNetwork.load(path)
    save_weights(nn.Linear(2, 2), path, kind=made.KIND, arguments=net.config)
    with pytest.raises(FileFormatError, match="lift.weight: wanted"):
        EigenbasisNetwork.load(path)
    with pytest.raises(FileNotFoundError):
        EigenbasisNetwork.load(tmp_path / "absent.safetensors")


def test_what_cannot_be():
    net, points = small(), blob(100)
    for k in (0, 11, 2.0, True):
        with pytest.raises(ArgumentError, match="k: wanted an integer from 1 to 10, got .*; LearnedEigenbasis.fit"):
            net(points, k)
    with pytest.raises(ArgumentError, match="refine: wanted one of 'rayleigh-ritz'"):
        net(points, 3, "ritz")
    with pytest.raises(ArgumentError, match=r"points: wanted shape \(n, 3\), got \(100, 2\)"):
        net(points[:, :2], 3)
    with pytest.raises(ArgumentError, match="got a Mesh"):
        net(Mesh(points, icosphere(1).faces), 3)
    with pytest.raises(ShapeError, match="points: wanted more than the 38 coarse functions, got 38"):
        net(points[:38], 3)
    with pytest.raises(ShapeError, match="finite"):
        net(torch.full((100, 3), float("nan")), 3)
    with pytest.raises(ArgumentError, match="modes: wanted from 2 to the 38 functions.*got 39; raise the degree"):
        small(modes=39)
    assert net(PointCloud(points)).k == 10
