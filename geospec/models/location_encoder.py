"""A function on the sphere: an encoding of the place, and a network on it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from ..bases import Basis
from ..errors import ArgumentError, one_of, problem
from ..nn.positional import LongitudeLatitudeEncoding, PositionalEncoding, positional_encoding
from ..nn.positional.base import promoted
from ..nn.siren import NETWORKS, PointNetwork, point_network
from ..ops.directions import lonlat_to_xyz
from ..weights import Weights, load_weights, save_weights
from .files import made
from .published import PUBLISHED, published_network, read_state

#: The kind under which files remember the model.
KIND = "location encoder"


class LocationEncoder(nn.Module):
    """A function on the sphere, ``outputs`` numbers at each place: an encoding, then a network.

    Parameters
    ----------
    encoding : a name of :func:`geospec.nn.positional_encoding`, which takes ``options``; or a module from unit vectors ``(..., 3)`` to
        ``(..., features)`` with an attribute ``features``; or a basis with a method ``at``, such as spherical harmonics.
    network : ``"siren"``, ``"fcnet"`` or ``"linear"``.
    outputs : how many numbers at each place.
    hidden, layers : width of the network, and hidden layers of a sine network.
    w0_first, w0, dropout : of a sine network, see :class:`geospec.nn.SirenNet`.

    It computes in the float type of its weights, float32 at first: ``.double()`` gives float64. What it starts with follows from
    ``torch.manual_seed``. ``model.network(model.encoding(xyz))`` is ``model(xyz)``: training on fixed points can keep the features.

    Raises
    ------
    ArgumentError : an unknown encoding, option or network; sizes that are not positive.

    Source: Russwurm et al., "Geographic location encoding with spherical harmonics and sinusoidal representation networks", ICLR 2024.
    """

    def __init__(
        self,
        encoding: str | nn.Module,
        network: str,
        outputs: int,
        *,
        hidden: int = 64,
        layers: int = 2,
        w0_first: float = 30.0,
        w0: float = 1.0,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        one_of("network", network, NETWORKS)
        sizes: dict[str, Any] = {"hidden": hidden, "layers": layers, "w0_first": w0_first, "w0": w0, "dropout": dropout}
        self.arguments: dict[str, Any] = {"encoding": encoding, "network": network, "outputs": outputs, **sizes, **options}
        self.encoding = _encoding(encoding, options)
        self.network: PointNetwork = point_network(network, self.encoding.features, outputs, **sizes)

    def forward(self, xyz: Tensor) -> Tensor:
        """Outputs ``(..., outputs)`` at unit vectors ``(..., 3)`` of any float type.

        Raises
        ------
        ArgumentError : wrong shape or type, vectors that are not of length 1.
        """
        xyz = promoted("xyz", xyz).to(self.network.first.weight.dtype)
        return self.network.after(self.encoding.linear(xyz, self.network.first))

    def at_lonlat(self, lon: Tensor, lat: Tensor) -> Tensor:
        """Outputs ``(..., outputs)`` at longitudes (east) and latitudes (north) in degrees, which broadcast.

        Raises
        ------
        ArgumentError : not floats, a latitude outside [-90, 90], values that are not finite.
        """
        lon, lat = promoted("lon", lon), promoted("lat", lat)
        if isinstance(self.encoding, LongitudeLatitudeEncoding):
            return self.network(self.encoding.at_lonlat(lon, lat).to(self.network.first.weight.dtype))
        return self(lonlat_to_xyz(lon, lat))

    def save(self, path: str | os.PathLike[str], *, metrics: Mapping[str, Any] | None = None) -> None:
        """Write weights and arguments as safetensors. ``metrics``: what was measured, plain JSON.

        Raises
        ------
        ArgumentError : the encoding was not given by name, so that no file can remember it.
        """
        if not isinstance(self.arguments["encoding"], str):
            got = type(self.arguments["encoding"]).__name__
            raise ArgumentError(problem("encoding", "a name, in a model that is saved", got, "keep model.state_dict() instead"))
        save_weights(self, path, kind=KIND, arguments=self.arguments, metrics=metrics)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The model that :meth:`save` wrote, in its float type and in evaluation mode. Reading runs no code.

        Raises
        ------
        FileNotFoundError : no such file. FileFormatError : something else, or tensors that do not fit.
        """
        return made(load_weights(path, KIND), cls)

    @classmethod
    def from_published(
        cls,
        weights: Mapping[str, Tensor] | str | os.PathLike[str],
        encoding: str | PositionalEncoding,
        *,
        w0_first: float = 30.0,
        w0: float = 1.0,
    ) -> Self:
        """The model of weights that the published code of the paper, or SatCLIP's, has trained; in evaluation mode and their float type.

        Parameters
        ----------
        weights : a state dict, or a safetensors file of one. Checkpoints of those codes are pickles, which run code when read; convert
            one where you trust it:
            ``safetensors.torch.save_file({k: v.contiguous().clone() for k, v in
            torch.load("in.ckpt", weights_only=True)["state_dict"].items()}, "out.safetensors")``.
            Names may have any prefix up to ``neural_network.`` or ``nnet.``; other entries, such as an image encoder's, are passed over.
        encoding : for spherical harmonics, what they were evaluated with: ``"locationencoder-analytic"`` (the default of that code),
            ``"locationencoder-closed-form"`` or ``"satclip"``, whose harmonics differ in signs and factors. The degree follows from
            the weights. For others an encoding, with ``variant="released"``.
        w0_first, w0 : of a sine network; the published ones are the defaults.

        Raises
        ------
        FileNotFoundError : no such file. FileFormatError : not safetensors, or sizes that do not fit each other. ArgumentError : an
            unknown encoding, names that belong to no network of that code, a first layer of another width than the encoding.
        """
        state = weights if isinstance(weights, Mapping) else read_state(weights)
        network, tensors = published_network(state)
        inputs, outputs = tensors["first.weight"].shape[1], len(tensors["first.weight" if network == "linear" else "last.weight"])
        layers = 1 + sum(name.startswith("hidden.") and name.endswith(".weight") for name in tensors)
        sizes = {"hidden": len(tensors["first.weight"]), "layers": layers, "w0_first": w0_first, "w0": w0}
        arguments = {"network": network, "outputs": outputs, **sizes, **_published_encoding(encoding, inputs)}
        source = Path("state dict" if isinstance(weights, Mapping) else weights)
        named = {f"network.{name}": tensor for name, tensor in tensors.items()}
        return made(Weights(source, KIND, arguments, {}, "", None, named), cls)


class GivenEncoding(PositionalEncoding):
    """A module of the caller's as an encoding: its ``method`` takes unit vectors to ``features`` numbers."""

    def __init__(self, given: nn.Module, method: str, features: int) -> None:
        super().__init__()
        self.given, self.method, self.features = given, method, features

    def _of_directions(self, xyz: Tensor) -> Tensor:
        return getattr(self.given, self.method)(xyz)


def _encoding(encoding: str | nn.Module, options: dict[str, Any]) -> PositionalEncoding:
    if isinstance(encoding, str):
        return positional_encoding(encoding, **options)
    for option, value in options.items():
        raise ArgumentError(problem(option, "no options with an encoding that is a module", repr(value)))
    if isinstance(encoding, PositionalEncoding):
        return encoding
    if isinstance(encoding, Basis) and hasattr(encoding, "at"):
        return GivenEncoding(encoding, "at", encoding.k)
    features = getattr(encoding, "features", None)
    if isinstance(encoding, nn.Module) and isinstance(features, int):
        return GivenEncoding(encoding, "__call__", features)
    wanted = "a name, a module with an integer 'features', or a basis with a method 'at'"
    raise ArgumentError(problem("encoding", wanted, type(encoding).__name__))


def _published_encoding(encoding: str | PositionalEncoding, inputs: int) -> dict[str, Any]:
    """The arguments for an encoding whose features go into a first layer of ``inputs`` columns."""
    arguments: dict[str, Any]
    if isinstance(encoding, str):
        one_of("encoding", encoding, PUBLISHED)
        arguments = {"encoding": "spherical-harmonics", "degree": math.isqrt(inputs) - 1, "convention": encoding}
        features = math.isqrt(inputs) ** 2
    else:
        arguments, features = {"encoding": encoding}, encoding.features
    if features != inputs or inputs == 0:
        hint = "where it is no spherical harmonics, give the encoding itself: positional_encoding(name, ...)"
        raise ArgumentError(problem("encoding", f"one of {inputs} features, as the first layer has", repr(encoding), hint))
    return arguments
