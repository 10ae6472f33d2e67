"""Layers and networks that know tensors only."""

from .diffusion_net import DiffusionNet, SurfaceModes
from .dit import DiffusionTransformer
from .encoders import CoordinateMLP, FourierFeatures, LatentTransformer, PointTransformer
from .positional import PositionalEncoding, positional_encoding
from .siren import FCNet, LinearNet, SirenNet

__all__ = [
    "CoordinateMLP",
    "DiffusionNet",
    "DiffusionTransformer",
    "FCNet",
    "FourierFeatures",
    "LatentTransformer",
    "LinearNet",
    "PointTransformer",
    "PositionalEncoding",
    "SirenNet",
    "SurfaceModes",
    "positional_encoding",
]
