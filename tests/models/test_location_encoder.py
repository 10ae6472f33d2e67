"""Location encoders: encoding and network put together, their files, and weights of the published code."""

import math
import re

import pytest
import torch
from safetensors.torch import save_file
from scipy.special import sph_harm_y
from torch import nn

from geospec import LocationEncoder
from geospec.bases import SampledBasis
from geospec.errors import ArgumentError, FileFormatError
from geospec.nn import positional_encoding
from geospec.nn.positional import ENCODINGS, harmonics
from geospec.nn.siren import NETWORKS
from geospec.ops import CONVENTIONS, lonlat_to_xyz, spherical_harmonics


def places(n=30, seed=0):
    draw = torch.rand(2, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 360 * draw[0] - 180, 180 * draw[1] - 90


def xyz(n=30):
    return lonlat_to_xyz(*places(n))


def small(encoding="spherical-harmonics", network="siren", outputs=3, **options):
    if encoding.endswith("spherical-harmonics"):
        options = {"degree": 4, **options}
    return LocationEncoder(encoding, network, outputs, hidden=8, **options).eval()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_it_is_the_network_on_the_encoding(encoding, network):
    model = small(encoding, network).double()
    torch.testing.assert_close(model(xyz()), model.network(model.encoding(xyz())), rtol=0, atol=1e-12)
    torch.testing.assert_close(model.at_lonlat(*places()), model(xyz()), rtol=0, atol=1e-9)
    for shape in ((3,), (2, 5, 3), (0, 3)):
        assert model(torch.tensor([0.0, 0.6, 0.8]).expand(shape)).shape == (*shape[:-1], 3)


def test_its_float_type_is_that_of_the_weights():
    model = small()
    assert model(xyz()).dtype == torch.float32 == model.at_lonlat(*places()).dtype
    wide = small().double()
    assert wide(xyz().float()).dtype == torch.float64
    axes = torch.eye(3)
    torch.testing.assert_close(model(axes.half()), model(axes), rtol=0, atol=0)
    torch.testing.assert_close(model(axes.double()), model(axes), rtol=0, atol=0)
    assert small("grid").at_lonlat(*places()).dtype == torch.float32


@pytest.mark.parametrize("small_enough", [0, harmonics.SMALL])
def test_derivatives_in_the_place_to_second_order(small_enough, monkeypatch):
    """At the north pole and anywhere: siren on harmonics is smooth on the whole sphere."""
    monkeypatch.setattr(harmonics, "SMALL", small_enough)
    model = small(w0_first=2.0).double()
    points = torch.cat([xyz(2), torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)]).requires_grad_()

    def on_the_sphere(v):
        return model(v / v.norm(dim=1, keepdim=True))

    assert torch.autograd.gradcheck(on_the_sphere, points)
    assert torch.autograd.gradgradcheck(on_the_sphere, points)


@pytest.mark.parametrize("small_enough", [0, harmonics.SMALL])
def test_a_slope_trains_every_weight(small_enough, monkeypatch):
    monkeypatch.setattr(harmonics, "SMALL", small_enough)
    model = small().double()
    points = xyz(5).requires_grad_()
    slope = torch.autograd.grad(model(points).sum(), points, create_graph=True)[0]
    slope.square().sum().backward()
    assert all(weights.grad.abs().max() > 0 for name, weights in model.named_parameters() if not name.endswith("last.bias"))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_first_layer_without_the_features_in_memory_is_that_with_them(network, convention, monkeypatch):
    monkeypatch.setattr(harmonics, "SMALL", 0)
    model = small(network=network, convention=convention, w0_first=3.0).double()
    points = xyz().requires_grad_()
    inputs = [points, *model.parameters()]
    fused, plain = model(points), model.network(model.encoding(points))
    torch.testing.assert_close(fused, plain, rtol=0, atol=1e-12)
    gradients = (torch.autograd.grad(outputs.square().sum(), inputs) for outputs in (fused, plain))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("encoding", "small_enough"),
    [("spherical-harmonics", 0), ("spherical-harmonics", harmonics.SMALL), ("spherem+", 0), ("discretized-spherical-harmonics", 0)],
)
def test_it_compiles(encoding, small_enough, monkeypatch):
    monkeypatch.setattr(harmonics, "SMALL", small_enough)
    model = small(encoding)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(xyz().float()), model(xyz().float()), rtol=0, atol=1e-5)


def test_a_linear_model_learns_what_lies_in_its_span():
    """Least squares on the features finds a sum of harmonics again, at places it has not seen."""
    model = small(network="linear", outputs=1, degree=3).double()
    seen, unseen = lonlat_to_xyz(*places(60)), lonlat_to_xyz(*places(40, seed=1))

    def function(p):
        return (p[:, :1] * p[:, 1:2] * p[:, 2:] + p[:, :1] ** 2 - 0.3).detach()

    features = torch.cat([model.encoding(seen), torch.ones(60, 1, dtype=torch.float64)], dim=1)
    solution = torch.linalg.lstsq(features, function(seen), driver="gelsd").solution
    with torch.no_grad():
        model.network.first.weight.copy_(solution[:-1].T)
        model.network.first.bias.copy_(solution[-1])
    torch.testing.assert_close(model(unseen).detach(), function(unseen), rtol=0, atol=1e-10)


class Squares(nn.Module):
    """A caller's own encoding, with a weight of its own."""

    features = 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, points):
        return self.scale * points**2


def test_a_module_is_an_encoding(tmp_path):
    model = LocationEncoder(Squares(), "linear", 2)
    points = xyz().float()
    torch.testing.assert_close(model(points), model.network.first(2 * points**2))
    model(points).sum().backward()
    assert model.encoding.given.scale.grad is not None
    torch.testing.assert_close(model.at_lonlat(*places()), model(points))
    with pytest.raises(ArgumentError, match="encoding: wanted a name, in a model that is saved, got Squares"):
        model.save(tmp_path / "model.safetensors")


class Harmonics(SampledBasis):
    """A basis that can be evaluated anywhere."""

    def at(self, points):
        return spherical_harmonics(points, 2)


def test_a_basis_with_at_is_an_encoding():
    points = xyz()
    basis = Harmonics(spherical_harmonics(points, 2), torch.ones(len(points), dtype=torch.float64))
    model = LocationEncoder(basis, "linear", 2).double()
    wanted = LocationEncoder("spherical-harmonics", "linear", 2, degree=2).double()
    wanted.network.load_state_dict(model.network.state_dict())
    torch.testing.assert_close(model(points), wanted(points))
    with pytest.raises(ArgumentError, match="encoding: wanted a name, a module .* or a basis with a method 'at', got SampledBasis"):
        LocationEncoder(SampledBasis(basis.modes, basis.measure), "linear", 2)


@pytest.mark.parametrize(
    ("encoding", "options"), [("spherical-harmonics", {"convention": "satclip"}), ("rff", {"seed": 5}), ("spherem", {})]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_files(tmp_path, encoding, options, dtype):
    model = small(encoding, w0=2.0, layers=3, **options).to(dtype)
    path = tmp_path / "model.safetensors"
    model.save(path, metrics={"accuracy": 0.9})
    again = LocationEncoder.load(path)
    assert again.network.first.weight.dtype == dtype
    assert not again.training
    assert torch.equal(again(xyz()), model(xyz()))
    assert again.arguments == model.arguments


def test_files_of_another_kind(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(FileFormatError):
        LocationEncoder.load(tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError):
        LocationEncoder.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LocationEncoder("wrap", "mlp", 2), "network: wanted one of 'linear', 'fcnet', 'siren', got 'mlp'"),
        (lambda: LocationEncoder("sphere", "siren", 2), "name: wanted one of"),
        (lambda: LocationEncoder("wrap", "siren", 0), "outputs: wanted a positive integer"),
        (lambda: LocationEncoder("wrap", "siren", 2, degree=4), "degree: wanted an option of 'wrap'"),
        (lambda: LocationEncoder(Squares(), "siren", 2, degree=4), "degree: wanted no options with an encoding that is a module, got 4"),
        (lambda: LocationEncoder(nn.Identity(), "siren", 2), "encoding: wanted a name, a module .*, got Identity"),
        (lambda: small()(torch.ones(2, 3)), "xyz: wanted unit vectors"),
        (lambda: small()(torch.zeros(2, 3, dtype=torch.int64)), "xyz: wanted floats"),
        (lambda: small().at_lonlat(torch.tensor([0.0]), torch.tensor([91.0])), "lat: wanted latitudes"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


# ---- weights of the published code ----


def published_harmonics(kind, lon, lat, degree):
    """By SciPy: polar angle ``lat + 90``, azimuth ``lon + 180``, which is the opposite direction; and the signs of each evaluator."""
    theta, phi = torch.deg2rad(lat + 90).numpy(), torch.deg2rad(lon + 180).numpy()
    columns = []
    for l in range(degree + 1):  # noqa: E741
        for m in range(-l, l + 1):
            value = sph_harm_y(l, abs(m), theta, phi)  # with Condon-Shortley phase
            value = value.real if m == 0 else math.sqrt(2) * (value.real if m > 0 else value.imag)
            if kind != "locationencoder-closed-form":
                value = value * (-1) ** m
            if kind == "satclip" and m == 0:
                value = value * math.pi
            columns.append(torch.from_numpy(value))
    return torch.stack(columns, dim=1)


KINDS = ("locationencoder-analytic", "locationencoder-closed-form", "satclip")


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64) / math.sqrt(shape[-1])


def published_linear(k):
    w, b = draw(4, k), draw(4)
    return {"neural_network.weight": w, "neural_network.bias": b}, lambda x: x @ w.T + b


def published_siren(k):
    w, b = [draw(16, k), draw(16, 16), draw(16, 16), draw(4, 16)], [draw(16), draw(16), draw(16), draw(4)]
    names = [*(f"layers.{i}" for i in range(3)), "last_layer"]
    state = {
        f"neural_network.{n}.{part}": t
        for n, *parts in zip(names, w, b, strict=True)
        for part, t in zip(("weight", "bias"), parts, strict=True)
    }

    def network(x):
        for i, w0 in enumerate((30, 1, 1)):
            x = torch.sin(w0 * (x @ w[i].T + b[i]))
        return x @ w[3].T + b[3]

    return state, network


def published_fcnet(k):
    state = {"feats.0.weight": draw(16, k), "feats.0.bias": draw(16), "class_emb.weight": draw(4, 16)}
    for i in range(2, 6):
        state |= {f"feats.{i}.w{j}.weight": draw(16, 16) for j in (1, 2)} | {f"feats.{i}.w{j}.bias": draw(16) for j in (1, 2)}

    def network(x):
        x = (x @ state["feats.0.weight"].T + state["feats.0.bias"]).relu()
        for i in range(2, 6):
            inner = (x @ state[f"feats.{i}.w1.weight"].T + state[f"feats.{i}.w1.bias"]).relu()
            x = x + (inner @ state[f"feats.{i}.w2.weight"].T + state[f"feats.{i}.w2.bias"]).relu()
        return x @ state["class_emb.weight"].T

    return {f"neural_network.{name}": t for name, t in state.items()}, network


@pytest.mark.parametrize("make", [published_linear, published_siren, published_fcnet])
@pytest.mark.parametrize("kind", KINDS)
def test_published_weights(kind, make, tmp_path):
    state, network = make(100)
    if kind == "satclip":
        names = {name: name.removeprefix("neural_network.") for name in state}
        state = {f"model.{at}nnet.{names[n]}": t for n, t in state.items() for at in ("", "location.")}
        state |= {"model.visual.fc.weight": torch.zeros(3, 3), "model.logit_scale": torch.zeros(())}
    lon, lat = places(50)
    wanted = network(published_harmonics(kind, lon, lat, 9))
    model = LocationEncoder.from_published(state, kind)
    assert not model.training
    torch.testing.assert_close(model.at_lonlat(lon, lat), wanted, rtol=0, atol=1e-10)
    save_file({name: t.clone() for name, t in state.items()}, tmp_path / "published.safetensors")
    model = LocationEncoder.from_published(tmp_path / "published.safetensors", kind)
    torch.testing.assert_close(model.at_lonlat(lon, lat), wanted, rtol=0, atol=1e-10)
    model.save(tmp_path / "ours.safetensors")
    torch.testing.assert_close(LocationEncoder.load(tmp_path / "ours.safetensors").at_lonlat(lon, lat), wanted, rtol=0, atol=1e-10)
    bare = {re.split(r"neural_network\.|nnet\.", name)[-1]: t for name, t in state.items() if "visual" not in name and "logit" not in name}
    torch.testing.assert_close(LocationEncoder.from_published(bare, kind).at_lonlat(lon, lat), wanted, rtol=0, atol=1e-10)


def test_published_weights_of_another_encoding():
    encoding = positional_encoding("spherem", scales=5, r_min=10, variant="released")
    state, network = published_siren(50)
    model = LocationEncoder.from_published(state, encoding)
    lon, lat = places()
    torch.testing.assert_close(model.at_lonlat(lon, lat), network(encoding.at_lonlat(lon, lat)), rtol=0, atol=1e-10)


def test_published_weights_that_are_refused(tmp_path):
    state, _ = published_siren(100)
    with pytest.raises(ArgumentError, match="encoding: wanted one of 'locationencoder-analytic'"):
        LocationEncoder.from_published(state, "orthonormal")
    with pytest.raises(ArgumentError, match="encoding: wanted one of 50 features, as the first layer has, got 'satclip'; where it is no"):
        LocationEncoder.from_published(published_siren(50)[0], "satclip")
    with pytest.raises(ArgumentError, match="weights: wanted those of a linear, siren or fcnet network .*, got features.0.weight"):
        LocationEncoder.from_published({"nnet.features.0.weight": torch.zeros(3, 4)}, "satclip")
    with pytest.raises(ArgumentError, match="got no tensors"):
        LocationEncoder.from_published({}, "satclip")
    short = dict(state)
    del short["neural_network.layers.1.bias"]
    with pytest.raises(FileFormatError, match=r"network.hidden.0.bias: wanted \(16,\), as in a LocationEncoder, got absent"):
        LocationEncoder.from_published(short, "satclip")
    (tmp_path / "a.ckpt").write_bytes(b"PK\x03\x04 a pickle")
    with pytest.raises(FileFormatError, match="wanted a safetensors file, .*from_published shows how to convert a checkpoint"):
        LocationEncoder.from_published(tmp_path / "a.ckpt", "satclip")
    with pytest.raises(FileNotFoundError, match="no such file"):
        LocationEncoder.from_published(tmp_path / "b.safetensors", "satclip")
