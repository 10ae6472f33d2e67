"""One readable file per job: the order of the steps, and no arithmetic of its own."""

from .matching import match
from .result import Match

__all__ = ["Match", "match"]
