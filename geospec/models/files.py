"""Models from files, in the float type of their weights."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from ..weights import Weights

Model = TypeVar("Model", bound=nn.Module)


def made(weights: Weights, cls: type[Model]) -> Model:
    """The model, whose ``network`` begins with a layer ``first``, in evaluation mode and in the float type that those weights have.

    Raises
    ------
    FileFormatError : arguments or tensors that do not fit the class.
    """
    model = weights.make(cls)
    model.network.to(weights.tensors["network.first.weight"].dtype)
    model.load_state_dict(weights.tensors)  # again: the first time, float64 went through float32
    return model
