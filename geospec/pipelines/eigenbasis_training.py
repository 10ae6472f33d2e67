"""A network that gives eigenbases of clouds it has not seen, trained on clouds made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..bases import EigenbasisNetwork
from ..bases.learned.network import KIND
from ..datasets import training_cloud
from ..errors import ArgumentError, problem
from ..training import TrainingPlan, launch, mixed_seed, rank, train, world
from ..weights import save_weights
from .eigenbasis_lessons import HeatLesson

Progress = Callable[[str, int, int], None]
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class EigenbasisTraining(TrainingPlan):
    """The sizes of a training, beside those of every :class:`geospec.training.TrainingPlan`; its batches are of clouds.

    Parameters
    ----------
    points, modes : of each cloud.
    learned, width, depth : of the network.
    shapes : clouds in the pool, each made when it is first drawn.
    held_out : clouds beyond the pool, for validation.
    """

    steps: int = 4000
    batch: int = 8
    learning_rate: float = 2e-3
    validate_every: int = 250
    points: int = 1024
    modes: int = 64
    learned: int = 64
    width: int = 96
    depth: int = 2
    shapes: int = 1000
    held_out: int = 16

    least: ClassVar[Mapping[str, int]] = {"seed": 0, "held_out": 0}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.modes > self.points:
            raise ArgumentError(problem("modes", f"at most the {self.points} points of a cloud", self.modes))


class Lesson(Protocol):
    """A cloud as the network reads it, and how good the functions are that it makes there."""

    features: Tensor
    measure: Tensor

    def loss(self, emitted: Tensor) -> Tensor:
        """A scalar, of what the network emits ``(n, learned)``."""

    def measures(self, emitted: Tensor) -> dict[str, float]:
        """Numbers for people, of the same functions."""


class Packed(NamedTuple):
    """Clouds one after the other: ``features (N, f)``, ``measure (N,)``, ``offsets (b + 1,)`` int64, and what they teach."""

    features: Tensor
    measure: Tensor
    offsets: Tensor
    lessons: list[Lesson]


def network_of(plan: EigenbasisTraining) -> EigenbasisNetwork:
    """The network that geospec ships, at the plan's sizes, untrained."""
    return EigenbasisNetwork(plan.modes, learned=plan.learned, width=plan.width, depth=plan.depth)


def lesson_of(plan: EigenbasisTraining, index: int) -> Lesson:
    """Cloud ``index`` of the collection with heat probes on it; those held out are on shapes of the other split."""
    own = index < plan.shapes
    number, split = (index, "train") if own else (index - plan.shapes, "validation")
    points = training_cloud(number, plan.points, seed=plan.seed, split=split).points
    return HeatLesson(network_of(plan), points.to(plan.device))


def train_eigenbasis(
    plan: EigenbasisTraining,
    output: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    network: Callable[[EigenbasisTraining], nn.Module] | None = None,
    lesson: Callable[[EigenbasisTraining, int], Lesson] | None = None,
    resume: bool = False,
    processes: int = 1,
    command: str = "",
    progress: Progress | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a network on the clouds of a pool and write the averaged weights.

    Parameters
    ----------
    output : the weights, ``.safetensors``. folder : of checkpoints and the record, see :func:`geospec.training.train`.
    network : makes another than the one that ships; it has ``columns(features (N, f), measure (N,), offsets) -> (N, learned)`` for a
        packed batch, and ``config``, its arguments.
    lesson : other clouds and what they teach; ``lesson(plan, i)`` is cloud ``i`` of the pool, a pure function; those from
        ``plan.shapes`` on are held out.
    processes : that train together; they divide the batch. command : that is written into the file.
    progress, report : see :func:`geospec.training.train`.

    Returns
    -------
    finished, step, seconds, skipped, parameters, loss, the last ``validation``, and ``output``, which is ``None`` unless finished.
    """
    together = (plan, Path(output), Path(folder), network or network_of, lesson or lesson_of, resume, command)
    return launch(_train, *together, processes=processes, device=plan.device, progress=progress, report=report)


def _train(
    plan: EigenbasisTraining,
    output: Path,
    folder: Path,
    network: Callable[[EigenbasisTraining], nn.Module],
    lesson: Callable[[EigenbasisTraining, int], Lesson],
    resume: bool,
    command: str,
    progress: Progress | None,
    report: Report | None,
) -> dict[str, Any]:
    if plan.batch % world():
        raise ArgumentError(problem("batch", f"a multiple of the {world()} processes", plan.batch))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        module = network(plan).to(plan.device)
    pool = Pool(plan, lesson)
    result = train(
        module,
        mean_loss,
        pool.batch,
        plan.options(),
        folder=folder,
        resume=resume,
        task=plan.task(),
        validate=pool.validate if plan.held_out else None,
        progress=progress,
        report=report,
    )
    last = {"loss": result.entry.get("loss"), "validation": result.entry.get("validation", {})}
    if result.finished and rank() == 0:
        assert result.average is not None
        config: Any = module.config
        with result.average.applied(module):
            save_weights(module, output, kind=KIND, arguments=config, metrics=last["validation"], command=command, seed=plan.seed)
    parameters = sum(weights.numel() for weights in module.parameters())
    done = {"finished": result.finished, "step": result.step, "seconds": round(result.seconds, 1), "skipped": result.skipped}
    return {**done, "parameters": parameters, **last, "output": output if result.finished else None}


class Pool:
    """The clouds of a training, each made when it is first drawn and kept."""

    def __init__(self, plan: EigenbasisTraining, lesson: Callable[[EigenbasisTraining, int], Lesson]) -> None:
        self.plan = plan
        self.lesson = lru_cache(maxsize=None)(lambda index: lesson(plan, index))

    def batch(self, step: int, share: int, shares: int) -> Packed:
        """Clouds drawn by the step and their number in the batch."""
        lessons = []
        for number in range(share, self.plan.batch, shares):
            generator = torch.Generator().manual_seed(mixed_seed(self.plan.seed, step, number))
            lessons.append(self.lesson(int(torch.randint(self.plan.shapes, (), generator=generator))))
        return packed(lessons)

    @torch.no_grad()
    def validate(self, module: nn.Module) -> dict[str, float]:
        """Means over the clouds held out, one at a time."""
        sums: dict[str, float] = {}
        for index in range(self.plan.shapes, self.plan.shapes + self.plan.held_out):
            lesson = self.lesson(index)
            columns = _columns(module, packed([lesson]))
            for name, value in {"loss": float(lesson.loss(columns)), **lesson.measures(columns)}.items():
                sums[name] = sums.get(name, 0.0) + value / self.plan.held_out
        return sums


def packed(lessons: list[Lesson]) -> Packed:
    """Clouds one after the other."""
    sizes = torch.tensor([0, *(len(lesson.measure) for lesson in lessons)])
    features, measure = (torch.cat([getattr(lesson, name) for lesson in lessons]) for name in ("features", "measure"))
    return Packed(features, measure, sizes.cumsum(0), lessons)


def mean_loss(module: nn.Module, batch: Packed) -> Tensor:
    """The mean over the clouds of a batch."""
    emitted = _columns(module, batch)
    losses = [lesson.loss(emitted[a:b]) for lesson, (a, b) in zip(batch.lessons, pairwise(batch.offsets.tolist()), strict=True)]
    return torch.stack(losses).mean()


def _columns(module: Any, batch: Packed) -> Tensor:
    return module.columns(batch.features, batch.measure, batch.offsets)
