"""Networks that begin with a linear layer: written out by hand, where they start, and their derivatives."""

import math

import pytest
import torch
from torch import nn

from geospec.errors import ArgumentError
from geospec.nn import FCNet, LinearNet, SirenNet
from geospec.nn.siren import NETWORKS, point_network


def inputs(n=9, width=5):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("w0", [1.0, 30.0])
def test_siren_starts_uniform_within_the_papers_bounds(w0):
    net = SirenNet(40, 200, 3, 100, w0=w0)
    for layer, bound in [(net.first, 1 / 40), *((layer, math.sqrt(6 / 200) / w0) for layer in (*net.hidden, net.last))]:
        for weights in (layer.weight.detach(), layer.bias.detach()):
            assert weights.abs().max() <= bound
            assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.15)
        assert layer.weight.abs().max() > 0.99 * bound


def test_siren_is_its_formula():
    net = SirenNet(5, 7, 3, 2, w0_first=20.0, w0=2.0).double()
    assert sum(isinstance(module, nn.Linear) for module in net.modules()) == 4  # three sine layers and the last
    x = inputs()
    y = torch.sin(20 * (x @ net.first.weight.T + net.first.bias))
    for layer in net.hidden:
        y = torch.sin(2 * (y @ layer.weight.T + layer.bias))
    torch.testing.assert_close(net(x), y @ net.last.weight.T + net.last.bias)


def test_the_second_derivative_of_one_sine_layer():
    """``d^2/dx^2 of a sin(w0 (w x + b)) is -(w0 w)^2 a sin(w0 (w x + b))``, and the network carries third ones too."""
    net = SirenNet(1, 6, 1, 1, w0_first=3.0).double()
    x = inputs(8, 1).requires_grad_()
    slope = torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]
    curvature = torch.autograd.grad(slope.sum(), x, create_graph=True)[0]
    frequency = 3.0 * net.first.weight.T
    wave = net.last.weight * torch.sin(3 * net.first(x))
    torch.testing.assert_close(curvature, -(frequency.square() * wave).sum(dim=1, keepdim=True))
    third = torch.autograd.grad(curvature.sum(), x)[0]
    wave = net.last.weight * torch.cos(3 * net.first(x))
    torch.testing.assert_close(third, -(frequency**3 * wave).sum(dim=1, keepdim=True))


def test_second_derivatives_reach_the_weights():
    """A loss on the Laplacian of the network, as physics-informed training has it."""
    net = SirenNet(3, 4, 2, 1, w0_first=2.0).double()
    assert torch.autograd.gradgradcheck(net, inputs(2, 3).requires_grad_())
    x = inputs(4, 3).requires_grad_()
    slope = torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]
    torch.autograd.grad(slope[:, 0].sum(), x, create_graph=True)[0].square().sum().backward()
    assert all(weights.grad.abs().max() > 0 for weights in (net.first.weight, net.hidden[0].weight, net.last.weight))


def test_fcnet_is_its_formula():
    net = FCNet(5, 7, 2).double().eval()
    x = inputs()
    y = (x @ net.first.weight.T + net.first.bias).relu()
    assert len(net.blocks) == 4
    assert net.last.bias is None
    for block in net.blocks:
        y = y + block.outer(block.inner(y).relu()).relu()
    torch.testing.assert_close(net(x), y @ net.last.weight.T)


@pytest.mark.parametrize("net", [FCNet(5, 64, 2), SirenNet(5, 64, 2, 2, dropout=0.5)])
def test_dropout_acts_in_training_alone(net):
    x = inputs().float()
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_siren_without_dropout_is_one_function():
    net, x = SirenNet(5, 8, 2, 2), inputs().float()
    assert torch.equal(net.train()(x), net.eval()(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_each_begins_with_a_linear_layer(name):
    net = point_network(name, 5, 2, hidden=8, layers=2).double().eval()
    x = inputs()
    torch.testing.assert_close(net.after(nn.functional.linear(x, net.first.weight, net.first.bias)), net(x), rtol=0, atol=0)
    assert net(x[:0]).shape == (0, 2)
    assert net(x.reshape(3, 3, 5)).shape == (3, 3, 2)
    (net(x).sum()).backward()
    assert all(weights.grad is not None for weights in net.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SirenNet(5, 8, 0, 2), "layers: wanted a positive integer, got 0"),
        (lambda: SirenNet(5, 8, 2, 2, w0=0.0), "w0: wanted a positive number, got 0"),
        (lambda: SirenNet(5, 8, 2, 2, w0_first=math.nan), "w0_first: wanted a positive number, got nan"),
        (lambda: SirenNet(5, 8, 2, 2, dropout=1.0), "dropout: wanted a share from 0 to below 1, got 1"),
        (lambda: FCNet(5, 2.5, 2), "hidden: wanted a positive integer"),
        (lambda: LinearNet(0, 2), "inputs: wanted a positive integer"),
    ],
)
def test_sizes_that_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
