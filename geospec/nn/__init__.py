"""Layers and networks that know tensors only."""

from .dit import DiffusionTransformer
from .encoders import CoordinateMLP, FourierFeatures, LatentTransformer, PointTransformer

__all__ = ["CoordinateMLP", "DiffusionTransformer", "FourierFeatures", "LatentTransformer", "PointTransformer"]
