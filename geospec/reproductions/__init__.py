"""Claims of papers, run again: what was claimed, what came out here, at which size, and whether it holds.

A reproduction is a list of *runs*; a run gives *rows*; a row states a claim, the numbers measured and the *checks* that
they pass or fail. Nothing is left out: a row that falls short is shown as failing.
"""

from .record import Check, Result, Row
from .registry import REPRODUCTIONS, Reproduction, Run, Setting, reproduce

__all__ = ["REPRODUCTIONS", "Check", "Reproduction", "Result", "Row", "Run", "Setting", "reproduce"]
