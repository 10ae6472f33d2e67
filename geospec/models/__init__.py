"""Models under the names of their papers: tensors in, tensors out."""

from .location_encoder import LocationEncoder

__all__ = ["LocationEncoder"]
