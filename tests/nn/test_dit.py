"""The diffusion transformer: start, sizes, places, cost."""

import pytest
import torch

from geospec.errors import ArgumentError, ShapeError
from geospec.nn import DiffusionTransformer


def awake(**sizes):
    """A small network whose gates and output are not zero."""
    torch.manual_seed(0)
    network = DiffusionTransformer(**{"width": 32, "depth": 2, "heads": 2, "patch": 5, **sizes})
    for weights in network.parameters():
        weights.data += 0.05 * torch.randn_like(weights)
    return network.double()


def test_starts_at_zero():
    network = DiffusionTransformer(width=32, depth=2, heads=2)
    assert not bool(network(torch.randn(2, 1, 30, 30), torch.zeros(2)).any())


@pytest.mark.parametrize("size", [(30, 30), (31, 20), (5, 5), (3, 12)])
def test_any_size(size):
    network = awake(channels=2, out=3)
    out = network(torch.randn(2, 2, *size, dtype=torch.float64), torch.tensor([0.1, 0.5], dtype=torch.float64))
    assert out.shape == (2, 3, *size)
    assert bool(out.isfinite().all())


def test_items_of_a_batch_do_not_speak_to_each_other():
    network = awake()
    x, noise = torch.randn(3, 1, 12, 17, dtype=torch.float64), torch.tensor([0.1, -0.4, 0.9], dtype=torch.float64)
    alone = torch.cat([network(x[i : i + 1], noise[i : i + 1]) for i in range(3)])
    assert torch.allclose(network(x, noise), alone, atol=1e-12)


@torch.no_grad()
def test_the_noise_is_heard_and_places_are_told_apart():
    network = awake()
    x = torch.ones(1, 1, 20, 20, dtype=torch.float64)
    quiet, loud = (network(x, torch.tensor([level], dtype=torch.float64)) for level in (0.1, 0.2))
    assert float((quiet - loud).abs().max()) > 1e-3
    blocks = quiet.unfold(2, 5, 5).unfold(3, 5, 5)[0, 0].flatten(2).flatten(0, 1)
    assert float(torch.pdist(blocks).min()) > 1e-4  # every patch saw the same picture


def test_patches_return_to_their_place():
    """With the blocks shut off the network is a linear map of each patch alone."""
    network = DiffusionTransformer(width=32, depth=1, heads=2, patch=4)
    torch.nn.init.normal_(network.head.weight)
    x = torch.zeros(2, 1, 12, 8)
    x[1, 0, 4:8, 0:4] = torch.randn(4, 4)
    changed = (network(x, torch.zeros(2)).diff(dim=0)[0, 0] != 0).nonzero()
    assert changed.min(dim=0).values.tolist() == [4, 0]
    assert changed.max(dim=0).values.tolist() == [7, 3]


def test_gradients():
    network = awake(width=8, depth=1, heads=1, patch=2)
    x = torch.randn(1, 1, 4, 3, dtype=torch.float64, requires_grad=True)
    noise = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, noise: network(x, noise).sum(dim=(1, 2)), (x, noise))


def test_parameters_are_as_documented():
    network = DiffusionTransformer(width=128, depth=6)
    blocks = sum(w.numel() for w in network.blocks.parameters())
    assert blocks == pytest.approx(6 * 18 * 128**2, rel=0.01)


def test_bad_sizes():
    with pytest.raises(ArgumentError, match="multiple of heads"):
        DiffusionTransformer(width=30, heads=4)
    with pytest.raises(ArgumentError, match="multiple of 4"):
        DiffusionTransformer(width=30, heads=2)
    with pytest.raises(ArgumentError, match="patch"):
        DiffusionTransformer(patch=0)
    with pytest.raises(ShapeError, match="levels"):
        DiffusionTransformer(width=8, depth=1, heads=1)(torch.randn(2, 1, 4, 4), torch.zeros(3))
