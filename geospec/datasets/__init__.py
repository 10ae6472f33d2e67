"""Shapes with known correspondence and shapes to train on: made on the spot, or read from the user's own collections."""

from .code_shards import ShapeCodes, ShapeCodeStream
from .creatures import KINDS, Creature, CreaturePair, creature, creature_pair, ground_truth, symmetric_ground_truth
from .era5 import read_era5
from .globe import GlobeTask, Places, checkerboard, land_ocean, spectral_field
from .location_table import LocationTable, read_location_table, read_places
from .pairs import LAYOUTS, PairDataset, ShapePair, load_pairs
from .procedural import BLOB_STYLES, PART_KINDS, SHEET_BENDS, blob, mechanical_part, thin_sheet, torus
from .rest_surfaces import MAP_FAMILIES
from .samples import SHIPPED, shipped
from .scans import density_field, partial_scan, varying_density, visible
from .solids import solid, solid_families, solid_field
from .training_shapes import (
    CLOUDS,
    FAMILIES,
    SPLITS,
    ShapePool,
    shape_seed,
    training_cloud,
    training_sample,
    training_shape,
)
from .true_maps import FunctionalMaps, deformed_pair, functional_maps

__all__ = [
    "BLOB_STYLES",
    "CLOUDS",
    "FAMILIES",
    "KINDS",
    "LAYOUTS",
    "MAP_FAMILIES",
    "PART_KINDS",
    "SHEET_BENDS",
    "SHIPPED",
    "SPLITS",
    "Creature",
    "CreaturePair",
    "FunctionalMaps",
    "GlobeTask",
    "LocationTable",
    "PairDataset",
    "Places",
    "ShapeCodeStream",
    "ShapeCodes",
    "ShapePair",
    "ShapePool",
    "blob",
    "checkerboard",
    "creature",
    "creature_pair",
    "deformed_pair",
    "density_field",
    "functional_maps",
    "ground_truth",
    "land_ocean",
    "load_pairs",
    "mechanical_part",
    "partial_scan",
    "read_era5",
    "read_location_table",
    "read_places",
    "shape_seed",
    "shipped",
    "solid",
    "solid_families",
    "solid_field",
    "spectral_field",
    "symmetric_ground_truth",
    "thin_sheet",
    "torus",
    "training_cloud",
    "training_sample",
    "training_shape",
    "varying_density",
    "visible",
]
