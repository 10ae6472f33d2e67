"""One loop for all tasks, the paper's: Adam in batches, stopped when the loss on the validation places stands still."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...datasets import GlobeTask
from ...models import LocationEncoder
from ..registry import Setting

BATCH, EPOCHS, PATIENCE = 2_000, 500, 30
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """An encoding with its options, a network with its sizes, and how it is trained. Weight decay is Adam's, a part of the gradient."""

    encoding: str
    network: str
    learning_rate: float
    weight_decay: float = 0.0
    hidden: int = 128
    layers: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As in ``siren(SH)``, for spherical harmonics."""
        return f"{self.network}({self.encoding.replace('spherical-harmonics', 'SH')})"

    def encoder(self, outputs: int, seed: int) -> LocationEncoder:
        """Untrained; what it starts with follows from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return LocationEncoder(self.encoding, self.network, outputs, hidden=self.hidden, layers=self.layers, **self.options)


@dataclass(frozen=True)
class Fit:
    """A trained encoder, in evaluation mode, and what it says at the test places, on the CPU."""

    encoder: LocationEncoder
    outputs: Tensor
    epochs: int
    seconds: float


class Problem:
    """A task with the features of an encoding, made once: no encoding here has weights.

    Parameters
    ----------
    task, setting : what is learned, and where.
    """

    def __init__(self, task: GlobeTask, setting: Setting) -> None:
        self.task, self.setting = task, setting
        self.outputs = len(task.names)
        self.loss: Loss = functional.cross_entropy if task.categorical else functional.mse_loss
        self._features: dict[str, list[Tensor]] = {}

    def features(self, encoder: LocationEncoder, recipe: Recipe) -> list[Tensor]:
        """Of training, validation and test places. Those of the last encoding only are kept."""
        key = f"{recipe.encoding} {recipe.options}"
        if key not in self._features:
            splits = (self.task.train, self.task.validation, self.task.test)
            self._features = {key: [encoder.encoding(split.xyz.to(self.setting.device)) for split in splits]}
        return self._features[key]

    def fit(self, recipe: Recipe, seed: int, epochs: int | None = None) -> Fit:
        """Train for at most so many epochs, :data:`EPOCHS` by default, with the first weights and the order of batches of a seed.

        The weights of the least validation loss are kept.
        """
        epochs = EPOCHS if epochs is None else epochs
        start = time.perf_counter()
        encoder = recipe.encoder(self.outputs, seed).to(self.setting.device)
        network, order = encoder.network, torch.Generator().manual_seed(seed)
        train, validation, test = self.features(encoder, recipe)
        targets, aims = (split.targets.to(self.setting.device) for split in (self.task.train, self.task.validation))
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        least, best, best_epoch, epoch = float("inf"), copy.deepcopy(network.state_dict()), 0, 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of dropout
            while epoch < epochs and epoch - best_epoch < PATIENCE:
                epoch += 1
                network.train()
                for rows in torch.randperm(len(train), generator=order).to(train.device).split(BATCH):
                    optimizer.zero_grad()
                    self.loss(network(train[rows]), targets[rows]).backward()
                    optimizer.step()
                network.eval()
                with torch.no_grad():
                    loss = float(self.loss(network(validation), aims))
                if loss < least:
                    least, best, best_epoch = loss, copy.deepcopy(network.state_dict()), epoch
        network.load_state_dict(best)
        encoder.eval().requires_grad_(False)
        return Fit(encoder, network(test).cpu(), epoch, time.perf_counter() - start)

    def score(self, fit: Fit, rows: Tensor | slice = slice(None)) -> float:
        """At test places: accuracy, or the share of the targets' variance that is explained; in per cent."""
        outputs, targets = fit.outputs[rows], self.task.test.targets[rows]
        if self.task.categorical:
            return 100 * float((outputs.argmax(dim=1) == targets).double().mean())
        residue = (outputs - targets).double().square().mean(dim=0) / targets.double().var(dim=0, correction=0)
        return 100 * (1 - float(residue.mean()))
