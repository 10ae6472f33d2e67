"""Layers and networks that know tensors only."""

from .diffusion_net import DiffusionNet, SurfaceModes
from .dit import DiffusionTransformer
from .encoders import CoordinateMLP, FourierFeatures, LatentTransformer, PointTransformer

__all__ = [
    "CoordinateMLP",
    "DiffusionNet",
    "DiffusionTransformer",
    "FourierFeatures",
    "LatentTransformer",
    "PointTransformer",
    "SurfaceModes",
]
