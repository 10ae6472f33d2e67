"""A location encoder, trained on a table of places of the user's own."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..datasets import LocationTable
from ..errors import ArgumentError, one_of, problem
from ..models import LocationEncoder
from ..training import TrainingOptions, mixed_seed, train

Progress = Callable[[str, int, int], None]
Report = Callable[[dict[str, Any]], None]

#: Features of fixed points are kept up to this many bytes; beyond, they are made again for each batch.
_FEATURE_BYTES = 1 << 28
#: Highest rates: the better of three each, on checkerboards and random fields of 400 to 12,500 rows.
LEARNING_RATES = {"siren": 3e-4, "fcnet": 3e-3, "linear": 3e-2}
#: The encodings that have a degree.
_OF_DEGREE = ("spherical-harmonics", "discretized-spherical-harmonics")


@dataclass(frozen=True, kw_only=True)
class LocationTraining:
    """The sizes of an encoder, and how it is trained.

    Parameters
    ----------
    encoding, network, hidden, layers : see :class:`geospec.LocationEncoder`.
    degree : of spherical harmonics; ``None`` is their own default. Other encodings have none.
    epochs : passes over the table, at most. batch : rows in a step. learning_rate : the highest, of a cosine; by default one that
        suits the network. weight_decay : of matrices.
    held_out : the share of the rows, drawn at random, that is kept out of the training and scores it.
    patience : epochs without a better score after which training stops; the weights of the best are kept.
    device : ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. seed : of the split, the first weights and the batches.

    Raises
    ------
    ArgumentError : a number out of its range, a degree for an encoding that has none.
    """

    encoding: str = "spherical-harmonics"
    network: str = "siren"
    degree: int | None = None
    hidden: int = 64
    layers: int = 2
    epochs: int = 200
    batch: int = 256
    learning_rate: float | None = None
    weight_decay: float = 1e-3
    held_out: float = 0.2
    patience: int = 30
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "patience"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(problem(name, "a whole number, at least 1", repr(value)))
        if not 0 < self.held_out < 1:
            raise ArgumentError(problem("held_out", "a share between 0 and 1", repr(self.held_out)))
        if self.degree is not None and self.encoding not in _OF_DEGREE:
            raise ArgumentError(problem("degree", f"none with {self.encoding!r}", self.degree, f"it belongs to {' and '.join(_OF_DEGREE)}"))
        one_of("network", self.network, tuple(LEARNING_RATES))
        self.options(1)

    def options(self, rows: int) -> TrainingOptions:
        """How the loop trains on so many rows."""
        each = -(-rows // self.batch)
        return TrainingOptions(
            self.epochs * each,
            LEARNING_RATES[self.network] if self.learning_rate is None else self.learning_rate,
            warmup=min(each, 100),
            weight_decay=self.weight_decay,
            ema=0.99,
            validate_every=each,
            checkpoint_every=self.epochs * each,
            seed=self.seed,
        )

    def encoder(self, outputs: int) -> LocationEncoder:
        """The encoder, untrained, on the device."""
        options = {} if self.degree is None else {"degree": self.degree}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return LocationEncoder(self.encoding, self.network, outputs, hidden=self.hidden, layers=self.layers, **options).to(self.device)


@dataclass(frozen=True)
class TrainedLocations:
    """What :func:`train_location_encoder` gives.

    Attributes
    ----------
    encoder : with the weights of the best epoch, in evaluation mode; its outputs are the targets in their own units, or the logits of the
        classes. table : it was trained on. held_out : ``(m,)`` the rows that scored it.
    scores : of the held-out rows: for each target ``rmse`` and ``r2``, or ``accuracy``, ``cross_entropy`` and ``commonest``, the accuracy
        of always saying the commonest class of the others.
    finished : whether training ended by itself. epochs : that ran. best_epoch : the one whose weights these are. seconds : it took.
    """

    encoder: LocationEncoder
    table: LocationTable
    held_out: Tensor
    scores: dict[str, Any]
    finished: bool
    epochs: int
    best_epoch: int
    seconds: float

    def save(self, path: str | os.PathLike[str], command: str = "") -> None:
        """Write the encoder; its header has the scores, the names of targets and classes, and the command."""
        names = {"targets": list(self.table.names), "classes": None if self.table.classes is None else list(self.table.classes)}
        self.encoder.save(path, metrics={"held_out": self.scores, **names, "command": command})


def train_location_encoder(
    plan: LocationTraining, table: LocationTable, *, progress: Progress | None = None, report: Report | None = None
) -> TrainedLocations:
    """Train an encoder on a table until the score of the rows held out stands still.

    The loss is the mean square of the standardised targets, or the cross entropy of classes; the average of the weights is scored.
    The rows held out choose the epoch and tell the score, which is a little better for it. They are drawn from the same places as the
    others: where rows lie close together the score says how well the field is interpolated, not how well it is known far from any row.

    Parameters
    ----------
    progress, report : see :func:`geospec.training.train`; an entry has ``"validation"`` at the end of each epoch.

    Raises
    ------
    ArgumentError : fewer than two rows on either side of the split, a fcnet for numbers. ConvergenceError : see
        :func:`geospec.training.train`.
    """
    if table.classes is None and plan.network == "fcnet":
        hint = "its last layer has no bias, which would carry the targets' mean"
        raise ArgumentError(problem("network", "'siren' or 'linear' for targets that are numbers", "'fcnet'", hint))
    kept, held_out = _split(plan, len(table))
    task = _Task(plan, table, kept, held_out)
    options = plan.options(len(kept))
    done = train(
        task.encoder, task.loss, task.batch, options, validate=task.validate, progress=progress, report=report, enough=task.stands_still
    )
    if task.best is None:  # stopped within the first epoch
        task.validate(task.encoder)
    encoder = task.finished_encoder()
    epochs = done.step // options.validate_every
    return TrainedLocations(encoder, table, held_out, task.scores(encoder), done.finished, epochs, task.best_epoch, done.seconds)


def _split(plan: LocationTraining, rows: int) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows held out, each ascending."""
    count = round(plan.held_out * rows)
    if min(count, rows - count) < 2:
        raise ArgumentError(problem("table", "two rows at least to train on and two held out", f"{rows} rows, {count} held out"))
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(plan.seed))
    return order[count:].sort().values, order[:count].sort().values


class _Task:
    """What the loop asks for: batches, their loss, and the score of an epoch, of which the best weights are kept."""

    def __init__(self, plan: LocationTraining, table: LocationTable, kept: Tensor, held_out: Tensor) -> None:
        self.plan, self.table, self.kept, self.held_out = plan, table, kept, held_out
        self.encoder = plan.encoder(table.targets.shape[1] if table.classes is None else len(table.classes))
        self.targets = table.targets.to(plan.device)
        if table.classes is None:
            self._standardise()
        xyz = table.xyz.to(plan.device)
        self.keeps_features = 4 * len(xyz) * self.encoder.encoding.features <= _FEATURE_BYTES
        self.inputs = self.encoder.encoding(xyz) if self.keeps_features else xyz
        self.best: dict[str, Tensor] | None = None
        self.best_loss, self.epoch, self.best_epoch = math.inf, 0, 0
        self._order = lru_cache(maxsize=1)(self._shuffled)

    def _standardise(self) -> None:
        """Mean 0 and deviation 1 over the rows to train on."""
        rows = self.targets[self.kept]
        self.mean, scale = rows.mean(dim=0), rows.std(dim=0, correction=0)
        self.scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        self.targets = (self.targets - self.mean) / self.scale

    def _shuffled(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(mixed_seed(self.plan.seed, epoch))
        return self.kept[torch.randperm(len(self.kept), generator=generator)]

    def batch(self, step: int, share: int, shares: int) -> Tensor:
        """Rows: each epoch takes them all once, in an order of its own."""
        epoch, number = divmod(step, -(-len(self.kept) // self.plan.batch))
        return self._order(epoch)[number * self.plan.batch : (number + 1) * self.plan.batch][share::shares]

    def loss(self, module: nn.Module, rows: Tensor) -> Tensor:
        rows = rows.to(self.targets.device)
        outputs = self.encoder.network(self.inputs[rows]) if self.keeps_features else module(self.inputs[rows])
        if self.table.classes is None:
            return functional.mse_loss(outputs, self.targets[rows])
        return functional.cross_entropy(outputs, self.targets[rows])

    def validate(self, module: nn.Module) -> dict[str, float]:
        """The held-out loss at the end of an epoch."""
        self.epoch += 1
        with torch.no_grad():
            loss = float(self.loss(module, self.held_out))
        if loss < self.best_loss or self.best is None:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        return {"loss": loss, "best": self.best_loss}

    def stands_still(self, _: dict[str, Any]) -> bool:
        return self.epoch - self.best_epoch >= self.plan.patience

    def finished_encoder(self) -> LocationEncoder:
        """The best weights; the last layer, which is linear, gives the targets in their own units."""
        assert self.best is not None
        self.encoder.load_state_dict(self.best)
        last: nn.Linear = getattr(self.encoder.network, "last", self.encoder.network.first)
        if self.table.classes is None:
            with torch.no_grad():
                last.weight.mul_(self.scale[:, None])
                last.bias.mul_(self.scale).add_(self.mean)
        return self.encoder.eval().requires_grad_(False)

    def scores(self, encoder: LocationEncoder) -> dict[str, Any]:
        """How good an encoder is on the rows held out, in the units of the table."""
        outputs = encoder(self.table.xyz[self.held_out].to(self.plan.device)).cpu().double()
        wanted = self.table.targets[self.held_out]
        if self.table.classes is not None:
            commonest = int(self.table.targets[self.kept].bincount().argmax())
            return {
                "accuracy": float((outputs.argmax(dim=1) == wanted).double().mean()),
                "cross_entropy": float(functional.cross_entropy(outputs, wanted)),
                "commonest": float((wanted == commonest).double().mean()),
            }
        squares = (outputs - wanted).square().mean(dim=0)
        spread = wanted.double().var(dim=0, correction=0)
        return {
            name: {"rmse": float(square.sqrt()), "r2": float(1 - square / around) if around > 0 else None}
            for name, square, around in zip(self.table.names, squares, spread, strict=True)
        }
