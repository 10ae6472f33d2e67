"""One readable file per job: the order of the steps, and no arithmetic of its own."""

from .match import Match, match

__all__ = ["Match", "match"]
