"""Weights come back with the module that takes them, whatever was shipped is found, and other files are refused by name."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from geospec import FileFormatError
from geospec.weights import load_weights, save_weights, shipped


class Toy(nn.Module):
    def __init__(self, width: int, depth: int = 1) -> None:
        super().__init__()
        if width < 1:
            raise ValueError("width below 1")
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norm = nn.BatchNorm1d(width)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "toy.safetensors"
    save_weights(Toy(3, 2), path, kind="toy", arguments={"width": 3, "depth": 2}, metrics={"overlap": 0.97}, command="make toy", seed=4)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back(tmp_path, dtype):
    module, path = Toy(3, 2).to(dtype), tmp_path / "toy.safetensors"
    module.norm.running_mean.fill_(0.5)
    save_weights(module, path, kind="toy", arguments={"width": 3, "depth": 2})
    read = load_weights(path, "toy")
    assert (read.kind, read.arguments, read.metrics, read.command, read.seed) == ("toy", {"width": 3, "depth": 2}, {}, "", None)
    assert all(torch.equal(tensor, module.state_dict()[name]) for name, tensor in read.tensors.items())
    again = read.make(Toy)
    assert not again.training
    assert all(torch.equal(tensor.to(dtype), module.state_dict()[name].float().to(dtype)) for name, tensor in again.state_dict().items())
    assert [each.name for each in tmp_path.iterdir()] == ["toy.safetensors"]


def test_the_header_tells_what_made_them(file):
    with safe_open(file, framework="pt") as raw:
        header = raw.metadata()
    assert header == {
        "geospec": "weights",
        "version": "1",
        "kind": "toy",
        "command": "make toy",
        "arguments": '{"width": 3, "depth": 2}',
        "metrics": '{"overlap": 0.97}',
        "seed": "4",
    }


def test_half_the_size(tmp_path):
    module = Toy(64)
    for name, dtype in (("whole", None), ("half", torch.float16)):
        save_weights(module, tmp_path / name, kind="toy", arguments={"width": 64}, dtype=dtype)
    assert (tmp_path / "half").stat().st_size < 0.55 * (tmp_path / "whole").stat().st_size
    again = load_weights(tmp_path / "half", "toy").make(Toy)
    assert again.layers[0].weight.dtype == torch.float32
    torch.testing.assert_close(again.layers[0].weight, module.layers[0].weight, rtol=1e-3, atol=1e-5)
    assert again.norm.num_batches_tracked.dtype == torch.int64


def rewritten(file, header):
    tensors = load_weights(file, "toy").tensors
    with safe_open(file, framework="pt") as raw:
        words = raw.metadata()
    save_file(tensors, file, metadata={name: value for name, value in {**words, **header}.items() if value is not None})


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ({"version": "2"}, "wanted weights saved by geospec, version 1, got weights, version 2"),
        ({"geospec": "basis"}, "got basis, version 1"),
        ({"kind": "other"}, "wanted weights of kind 'toy', got kind 'other'"),
        ({"kind": None}, "got kind None"),
        ({"arguments": "{"}, "wanted arguments, metrics and seed as JSON in the header"),
        ({"arguments": "[3]"}, "arguments are no mapping"),
        ({"seed": None}, "wanted arguments, metrics and seed as JSON"),
    ],
)
def test_other_files_are_refused_by_name(file, header, named):
    rewritten(file, header)
    with pytest.raises(FileFormatError, match=named):
        load_weights(file, "toy")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"width": 3, "heads": 2}, r"wanted the arguments of a Toy, got width=3, heads=2; .*heads"),
        ({"width": 0}, "got width=0; width below 1"),
        ({"width": 4, "depth": 2}, r"layers.0.weight: wanted \(4, 4\), as in a Toy, got \(3, 3\)"),
        ({"width": 3, "depth": 3}, r"layers.2.weight: wanted \(3, 3\), as in a Toy, got absent"),
        ({"width": 3}, r"layers.1.bias: wanted absent, as in a Toy, got \(3,\)"),
    ],
)
def test_a_module_that_does_not_fit_is_refused_by_name(file, arguments, named):
    rewritten(file, {"arguments": json.dumps(arguments)})
    with pytest.raises(FileFormatError, match=named):
        load_weights(file, "toy").make(Toy)


def test_absent_and_broken_files(tmp_path, file):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_weights(tmp_path / "absent.safetensors", "toy")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(FileFormatError, match="unreadable file"):
        load_weights(file, "toy")
    with pytest.raises(OSError, match="cannot write"):
        save_weights(Toy(2), tmp_path / "nowhere" / "toy.safetensors", kind="toy", arguments={"width": 2})


def test_what_ships_is_found(repository):
    """In an installed package this reads the copy that the build packed."""
    for path in (repository / "data" / "weights").glob("*.safetensors"):
        assert shipped(path.stem).read_bytes() == path.read_bytes()
    with pytest.raises(FileNotFoundError, match="no shipped weights 'nothing'; there are.*looked in .*geospec/data/weights and "):
        shipped("nothing")


@pytest.mark.parametrize("installed", [True, False])
def test_where_they_are_looked_for(tmp_path, monkeypatch, installed):
    folder = tmp_path / ("geospec/data/weights" if installed else "data/weights")
    folder.mkdir(parents=True)
    (tmp_path / "geospec").mkdir(exist_ok=True)
    (folder / "toy.safetensors").write_bytes(b"x")
    monkeypatch.setattr("geospec.weights.__file__", str(tmp_path / "geospec" / "weights.py"))
    assert shipped("toy") == folder / "toy.safetensors"
    with pytest.raises(FileNotFoundError, match="there are: toy"):
        shipped("other")
