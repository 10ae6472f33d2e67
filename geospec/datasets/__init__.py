"""Shapes with known correspondence: made on the spot (creatures), or read from the user's own collections."""

from .creatures import KINDS, Creature, CreaturePair, creature, creature_pair, ground_truth, symmetric_ground_truth
from .pairs import LAYOUTS, PairDataset, ShapePair, load_pairs
from .samples import SHIPPED, shipped

__all__ = [
    "KINDS",
    "LAYOUTS",
    "SHIPPED",
    "Creature",
    "CreaturePair",
    "PairDataset",
    "ShapePair",
    "creature",
    "creature_pair",
    "ground_truth",
    "load_pairs",
    "shipped",
    "symmetric_ground_truth",
]
