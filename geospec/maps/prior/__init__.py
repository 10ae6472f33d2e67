"""What a functional map of a true correspondence looks like: a density over ``|C|``, learned once, for shapes of any kind."""

from .distillation import distillation_loss, properness_loss
from .fitting import PriorTraining
from .prior import FunctionalMapPrior

__all__ = ["FunctionalMapPrior", "PriorTraining", "distillation_loss", "properness_loss"]
