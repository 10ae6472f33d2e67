"""Eigenbases learned from points: fitted to one cloud, or given by a network that has seen many."""

from .basis import LearnedEigenbasis
from .network import EigenbasisNetwork

__all__ = ["EigenbasisNetwork", "LearnedEigenbasis"]
