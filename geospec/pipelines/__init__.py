"""One readable file per job: the order of the steps, and no arithmetic of its own."""

from .eigenbasis_training import EigenbasisTraining, train_eigenbasis
from .matching import match
from .prior_training import train_prior
from .result import Match

__all__ = ["EigenbasisTraining", "Match", "match", "train_eigenbasis", "train_prior"]
