"""Models under the names of their papers: tensors in, tensors out."""

from .location_encoder import LocationEncoder
from .mesh_location_encoder import MeshLocationEncoder

__all__ = ["LocationEncoder", "MeshLocationEncoder"]
