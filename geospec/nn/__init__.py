"""Layers and networks that know tensors only."""

from .diffusion_net import DiffusionNet, SurfaceModes
from .encoders import CoordinateMLP, FourierFeatures, LatentTransformer, PointTransformer

__all__ = ["CoordinateMLP", "DiffusionNet", "FourierFeatures", "LatentTransformer", "PointTransformer", "SurfaceModes"]
