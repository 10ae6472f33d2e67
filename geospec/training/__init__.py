"""Training of any module: the loop, its options, checkpoints, averages, records, several processes. Knows tensors and modules only."""

from .checkpoint import Checkpoints
from .ema import MovingAverage
from .loop import Batches, TrainingResult, train
from .options import TrainingOptions, learning_rate, mixed_seed
from .plan import TrainingPlan
from .processes import launch, leads, rank, world
from .record import read_record

__all__ = [
    "Batches",
    "Checkpoints",
    "MovingAverage",
    "TrainingOptions",
    "TrainingPlan",
    "TrainingResult",
    "launch",
    "leads",
    "learning_rate",
    "mixed_seed",
    "rank",
    "read_record",
    "train",
    "world",
]
