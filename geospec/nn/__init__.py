"""Layers and networks that know tensors only."""

from .encoders import CoordinateMLP, FourierFeatures, LatentTransformer, PointTransformer

__all__ = ["CoordinateMLP", "FourierFeatures", "LatentTransformer", "PointTransformer"]
