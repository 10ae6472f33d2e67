"""Make-A-Shape (arXiv 2401.11067): the wavelet tree as a representation of shapes, without training."""

from ..registry import Reproduction, Run
from . import runs
from .figure import draw
from .published import PAPER_CLAIM

REPRODUCTION = Reproduction(
    title="The wavelet tree as a representation of shapes",
    paper="Make-A-Shape: a Ten-Million-scale 3D Shape Model, arXiv 2401.11067 (ICML 2024)",
    runs={
        "note": Run("the shapes of the note's own table", "", runs.note),
        "solids": Run("solids by rule: IoU by levels and by the number of trees", PAPER_CLAIM, runs.solids),
        "boundary": Run("how the grid goes on beyond its ends", "", runs.boundary),
        "meshes": Run("meshes of a folder", PAPER_CLAIM, runs.meshes, needs_data=True),
        "pictures": Run("input beside output", "", runs.pictures),
    },
    draw=draw,
)
