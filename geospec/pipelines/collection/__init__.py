"""A collection of shapes to a folder of shards: resumable, by several processes or a cluster."""

from .encode import CollectionResult, encode_collection

__all__ = ["CollectionResult", "encode_collection"]
