"""Location encoders (arXiv 2310.06743): encodings of places on the globe, each with three networks, on tasks with an exact truth."""

from ..registry import Reproduction, Run
from . import checkerboard, other_tasks
from .figure import draw

REPRODUCTION = Reproduction(
    title="Location encoders",
    paper="Geographic Location Encoding with Spherical Harmonics and Sinusoidal Representation Networks, arXiv 2310.06743 (ICLR 2024)",
    runs={
        "linear": Run("checkerboard: a linear layer on every encoding", "", checkerboard.linear),
        "siren": Run("checkerboard: a sine network on every encoding", "", checkerboard.siren),
        "fcnet": Run("checkerboard: a residual network on five encodings, two seeds", "", checkerboard.fcnet),
        "latitudes": Run("checkerboard: accuracy by latitude, and maps", "", checkerboard.latitudes),
        "resolution": Run("checkerboards of other cell sizes", "", checkerboard.resolution),
        "land": Run("land and ocean", "", other_tasks.land, packages={"global_land_mask": "reproduce"}),
        "field": Run("a field of known spectrum, degree 60, power l^-2.5", "", other_tasks.field),
    },
    draw=draw,
)
