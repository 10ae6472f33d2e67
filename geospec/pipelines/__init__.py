"""One readable file per job: the order of the steps, and no arithmetic of its own."""

from .collection import CollectionResult, encode_collection
from .eigenbasis_training import EigenbasisTraining, train_eigenbasis
from .location_training import LocationTraining, TrainedLocations, train_location_encoder
from .matching import match
from .prior_training import train_prior
from .result import Match

__all__ = [
    "CollectionResult",
    "EigenbasisTraining",
    "LocationTraining",
    "Match",
    "TrainedLocations",
    "encode_collection",
    "match",
    "train_eigenbasis",
    "train_location_encoder",
    "train_prior",
]
