"""Functions that the compiler calls once and takes as constant, without the compiler's import."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable)


def constant_result(function: F) -> F:
    """The same function, marked: within ``torch.compile`` it is called once, while tracing, and its result is a constant of the graph.

    This is what ``torch.compiler.assume_constant_result`` does, which imports all of ``torch._dynamo`` for it: seconds, with every
    ``import geospec`` and in every process of a collection. A test holds the two against each other.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
