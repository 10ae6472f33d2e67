"""Encoders: indifferent to the order of points, alike in a batch and alone, linear in memory where they say so."""

import math

import pytest
import torch

from geospec.errors import ArgumentError, ShapeError
from geospec.nn import CoordinateMLP, FourierFeatures, LatentTransformer, PointTransformer
from geospec.nn.encoders import LatentAttention, suggested_frequency

MAKERS = {
    "mlp": lambda: CoordinateMLP(3, 5, width=16, depth=2, directions=8),
    "transformer": lambda: PointTransformer(3, 5, width=16, depth=2, heads=2),
    "latent": lambda: LatentTransformer(3, 5, width=16, depth=2, heads=2, tokens=4, directions=8),
}


@pytest.fixture(params=MAKERS)
def encoder(request):
    torch.manual_seed(0)
    return MAKERS[request.param]().double()


def points(n=50, batch=()):
    return torch.randn(*batch, n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_permuted_points_give_permuted_rows(encoder):
    x = points()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(encoder(x[order]), encoder(x)[order])
    assert encoder(x).shape == (50, 5)


def test_a_batch_is_its_clouds(encoder):
    x = points(batch=(3,))
    torch.testing.assert_close(encoder(x), torch.stack([encoder(cloud) for cloud in x]))


def test_every_weight_learns(encoder):
    encoder(points()).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in encoder.parameters())


def test_its_configuration_makes_it_again(encoder):
    again = type(encoder)(**encoder.config).double()
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(points()), encoder(points()))


def test_the_mlp_sees_each_point_for_itself_and_the_others_do_not():
    torch.manual_seed(0)
    x = points()
    for name, make in MAKERS.items():
        net = make().double()
        alike = torch.allclose(net(x[:20]), net(x)[:20], atol=1e-9)
        assert alike == (name == "mlp")


def test_fourier_features_are_sines_and_cosines():
    features = FourierFeatures(2, 3, 4.0, torch.Generator().manual_seed(0)).double()
    x = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    phase = [float(x[0] @ features.directions[:, j]) for j in range(3)]
    wanted = [0.3, -0.2, *map(math.sin, phase), *map(math.cos, phase)]
    torch.testing.assert_close(features(x)[0], torch.tensor(wanted, dtype=torch.float64))
    many = FourierFeatures(3, 20000, 4.0, torch.Generator().manual_seed(0))
    assert float(many.directions.std()) == pytest.approx(4, rel=0.02)


def test_packed_clouds_do_not_speak_to_each_other():
    torch.manual_seed(0)
    attention = LatentAttention(16, 2, 4).double()
    x = torch.randn(30, 16, dtype=torch.float64)
    weights = torch.rand(30, dtype=torch.float64)
    packed = attention(x, weights, torch.tensor([0, 12, 30]))
    apart = [attention(x[a:b], weights[a:b], torch.tensor([0, b - a])) for a, b in ((0, 12), (12, 30))]
    torch.testing.assert_close(packed, torch.cat(apart))


def test_weights_count_points():
    """A point of weight two is two points of weight one."""
    torch.manual_seed(0)
    attention = LatentAttention(16, 2, 4).double()
    x = torch.randn(10, 16, dtype=torch.float64)
    weights = torch.ones(10, dtype=torch.float64)
    weights[3] = 2
    doubled = torch.cat([x, x[3:4]])
    alike = attention(doubled, torch.ones(11, dtype=torch.float64), torch.tensor([0, 11]))[:10]
    torch.testing.assert_close(attention(x, weights, torch.tensor([0, 10])), alike)


def test_latent_attention_has_nothing_quadratic():
    """The largest tensor that a forward of 3,000 points makes is linear in them."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for value in out if isinstance(out, tuple | list) else (out,):
                if isinstance(value, torch.Tensor):
                    Largest.count = max(Largest.count, value.numel())
            return out

    net = MAKERS["latent"]()
    with torch.no_grad(), Largest():
        net(points(3000).float())
    assert Largest.count <= 3000 * 64


def test_clouds_in_any_batch_even_an_empty_one(encoder):
    x = points(batch=(2, 3))
    torch.testing.assert_close(encoder(x)[1, 2], encoder(x[1, 2]))
    for shape in ((0, 3), (0, 7, 3), (2, 0, 3)):
        assert encoder(torch.ones(shape, dtype=torch.float64)).shape == (*shape[:-1], 5)


@pytest.mark.parametrize("shape", [(7, 2), (3,), (2, 7, 4)])
def test_points_of_another_dimension(encoder, shape):
    with pytest.raises(ShapeError, match=r"points: wanted shape \(\.\.\., n, 3\)"):
        encoder(torch.ones(shape, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "option", "value"),
    [
        (CoordinateMLP, "outputs", 0),
        (CoordinateMLP, "depth", -1),
        (PointTransformer, "heads", 0),
        (PointTransformer, "width", 2.5),
        (LatentTransformer, "tokens", 0),
        (LatentTransformer, "heads", -2),
        (LatentTransformer, "inputs", True),
    ],
)
def test_sizes_are_positive_integers(make, option, value):
    with pytest.raises(ArgumentError, match=f"{option}: wanted a positive integer"):
        make(**{"inputs": 3, "outputs": 4, option: value})


def test_bad_input():
    with pytest.raises(ArgumentError, match="width: wanted a multiple of heads"):
        PointTransformer(3, 4, width=10, heads=4)
    with pytest.raises(ArgumentError, match="width"):
        LatentTransformer(3, 4, width=10, heads=4)


def test_frequency_follows_the_wave_number():
    assert suggested_frequency(9 * 4.0, 3.0) == pytest.approx(3 * suggested_frequency(4.0, 3.0))
    assert suggested_frequency(0.0, 3.0) == 1.0
    assert suggested_frequency(81.0, 2.0) == pytest.approx(12)  # wave number 9, radius 2: 18 radians at one and a half deviations
