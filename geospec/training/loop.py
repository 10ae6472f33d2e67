"""The loop: batches in, weights out, with a record, checkpoints, and an exact way on after a stop."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import ArgumentError, ConvergenceError, problem
from . import processes
from .checkpoint import Checkpoints, same_settings, same_sizes
from .ema import MovingAverage
from .interrupt import stop_requests
from .options import TrainingOptions, learning_rate, mixed_seed
from .record import Record

Loss = Callable[[nn.Module, Any], Tensor | Mapping[str, Any]]
Progress = Callable[[str, int, int], None]
Report = Callable[[dict[str, Any]], None]

#: Options that may change between two runs of one training: they leave its arithmetic as it is. ``accumulate`` is in the shares.
_FREE = ("steps", "accumulate", "checkpoint_every", "validate_every", "keep", "patience", "compile")
_OWN_WORDS = ("step", "learning_rate", "gradient_norm", "seconds", "skipped", "validation")


class Batches(Protocol):
    """A source of batches that is a pure function: the same numbers give the same batch, on any day and in any process."""

    def __call__(self, step: int, share: int, shares: int) -> Any:
        """Share ``share`` of ``shares`` of the batch of step ``step``, both counted from 0."""


@dataclass(frozen=True)
class TrainingResult:
    """What :func:`train` left.

    Attributes
    ----------
    step : steps done. finished : whether these are all, and not a stop on request. skipped : steps without a finite gradient.
    entry : the last entry of the record. average : the moving average of the weights, or ``None``.
    checkpoint : the folder of the last checkpoint, or ``None``. seconds : of all runs of this training together.
    """

    step: int
    finished: bool
    skipped: int
    entry: dict[str, Any]
    average: MovingAverage | None
    checkpoint: Path | None
    seconds: float


def train(
    module: nn.Module,
    loss: Loss,
    batches: Batches,
    options: TrainingOptions,
    *,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    task: Mapping[str, Any] | None = None,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    progress: Progress | None = None,
    report: Report | None = None,
    enough: Callable[[dict[str, Any]], bool] | None = None,
) -> TrainingResult:
    """Train a module, in place, by AdamW on the mean of the loss over the shares of each batch.

    A batch has as many shares as there are processes times ``options.accumulate``; each process takes its own, and gradients are
    averaged, so that two processes, or one that takes two shares, do the same to rounding. torch's generators are seeded from
    the seed, the step and the share before each batch: a run that stopped and went on equals one that did not, bit for bit on the CPU
    with the same number of threads.

    Parameters
    ----------
    module : with parameters of one float type, all on one device, which is where it is trained.
    loss : ``loss(module, batch)``, a scalar or a mapping of scalars with one ``"loss"``, whose means are recorded.
    batches : see :class:`Batches`. Moving to the device is up to it.
    folder : where ``metrics.jsonl`` and ``checkpoints/`` go; the first process writes. ``None`` writes nothing.
    resume : go on from the last checkpoint of the folder, or begin where there is none. Otherwise a folder that has some is refused.
    task : what else the run depends on, as JSON; a checkpoint of another task is refused.
    validate : ``validate(module)``, numbers by name, called in the first process with the averaged weights, in evaluation mode,
        without gradients, and with generators seeded by the step.
    progress : called as ``progress("training", done, steps)``. report : called with each entry of the record. Both in the first process.
    enough : asked after each step with its entry whether the run is done; of several processes each asks its own, which have to agree,
        and only the first's entries hold what ``validate`` told.

    Returns
    -------
    TrainingResult. The module has the weights of the last step; ``result.average.copy_to(module)`` gives it the average.

    Raises
    ------
    ArgumentError : a module, loss or option that does not do; a folder with checkpoints and no ``resume``; a checkpoint of other
        options (but for intervals, and for a number of steps that would have changed no learning rate so far), another task, other
        sizes or another number of shares: each that differs is named.
    ConvergenceError : ``options.patience`` gradients in a row that are not finite. A single one is skipped and counted.

    SIGINT or SIGTERM, in the main thread: the step is finished, a checkpoint written, and the result says ``finished=False``.
    Source: Loshchilov and Hutter 2019 (AdamW), 2017 (cosine schedule).
    """
    run = _Run(module, loss, batches, options, folder, _as_json(task or {}), validate)
    run.begin(resume)
    first = processes.rank() == 0
    record = Record(run.folder / "metrics.jsonl", run.step) if first and run.folder is not None else None
    try:
        with torch.random.fork_rng(devices=run.cuda_devices()), stop_requests() as asked:
            stopped = done = False
            while run.step < options.steps and not (stopped or done):
                entry, stopped = run.advance(asked)
                if record is not None:
                    record.add(entry)
                if first and report is not None:
                    report(entry)
                done = enough is not None and enough(entry)
                if first and progress is not None:
                    progress("training", run.step, options.steps)
                if stopped or done or run.due(options.checkpoint_every):
                    run.save()
    finally:
        run.release()
        if record is not None:
            record.close()
    return TrainingResult(run.step, done or run.step >= options.steps, run.skipped, run.entry, run.average, run.checkpoint, run.seconds)


class _Run:
    """The state of a run, and what happens to it in a step."""

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        batches: Batches,
        options: TrainingOptions,
        folder: str | os.PathLike[str] | None,
        task: dict[str, Any],
        validate: Callable[[nn.Module], Mapping[str, float]] | None,
    ) -> None:
        self.module, self.batches, self.options, self.task, self.validate = module, batches, options, task, validate
        self.loss: Loss = torch.compile(loss) if options.compile else loss
        self.folder = None if folder is None else Path(folder)
        self.checkpoints = None if self.folder is None else Checkpoints(self.folder / "checkpoints", options.keep)
        self.names = [name for name, weights in module.named_parameters() if weights.requires_grad]
        self.weights = [weights for weights in module.parameters() if weights.requires_grad]
        self.device = _one_device(self.weights)
        if options.precision == "bfloat16" and self.device.type != "cuda":
            raise ArgumentError(problem("precision", "'float32' on the CPU", "'bfloat16'", "autocast is used on CUDA only"))
        self.shares = processes.world() * options.accumulate
        self.step = self.skipped = self.skipped_in_a_row = 0
        self.seconds, self.started = 0.0, time.perf_counter()
        self.entry: dict[str, Any] = {}
        self.checkpoint: Path | None = None
        self.gradient = _flat_gradient(self.weights)
        matrices, others = ([w for w in self.weights if (w.dim() > 1) is flag] for flag in (True, False))
        groups = [{"params": matrices, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=options.learning_rate, betas=options.betas, fused=self.device.type == "cuda"
        )
        self.average: MovingAverage | None = None

    def cuda_devices(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []

    def due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.options.steps

    # A step.

    def advance(self, asked: Callable[[], bool]) -> tuple[dict[str, Any], bool]:
        """One step: its entry of the record, and whether any process was asked to stop."""
        rate = learning_rate(self.options, self.step)
        self.module.train()
        self.gradient.zero_()
        means, stopped = self._gradient(asked)
        norm = float(torch.linalg.vector_norm(self.gradient))
        finite = math.isfinite(norm)
        if finite:
            self._update(rate, norm)
        self.step += 1
        self.seconds, self.started = self.seconds + time.perf_counter() - self.started, time.perf_counter()
        entry: dict[str, Any] = {
            "step": self.step,
            **means,
            "learning_rate": rate,
            "gradient_norm": norm,
            "seconds": round(self.seconds, 3),
        }
        if not finite:
            entry["skipped"] = True
            self._skip(entry)
        if self.validate is not None and self.due(self.options.validate_every) and processes.rank() == 0:
            entry["validation"] = self._validation()
        self.entry = entry
        return entry, stopped

    def _gradient(self, asked: Callable[[], bool]) -> tuple[dict[str, float], bool]:
        """Leave the mean gradient of all shares in the flat tensor, and return the means of what the loss tells."""
        own: dict[str, Tensor] = {}
        for turn in range(self.options.accumulate):
            share = turn * processes.world() + processes.rank()
            torch.manual_seed(mixed_seed(self.options.seed, self.step, share))
            batch = self.batches(self.step, share, self.shares)
            with torch.autocast("cuda", torch.bfloat16) if self.options.precision == "bfloat16" else nullcontext():
                told = self.loss(self.module, batch)
            told = _checked_loss(told)
            (told["loss"].reshape(()) / self.shares).backward()
            for name, value in told.items():
                value = torch.as_tensor(value, dtype=torch.float64, device=self.device).detach().reshape(())
                own[name] = own[name] + value if name in own else value
        # A request reaches the processes at different steps; its sum is the same in all.
        sums = torch.stack([*own.values(), torch.tensor(float(asked()), dtype=torch.float64, device=self.device)])
        processes.sum_over_processes(sums)
        processes.sum_over_processes(self.gradient)
        *values, stop = sums.tolist()
        return {name: value / self.shares for name, value in zip(own, values, strict=True)}, stop > 0

    def _update(self, rate: float, norm: float) -> None:
        if self.options.clip is not None and norm > self.options.clip:
            self.gradient.mul_(self.options.clip / norm)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.module)
        self.skipped_in_a_row = 0

    def _skip(self, entry: dict[str, Any]) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row < self.options.patience:
            return
        bad = [name for name, weights in zip(self.names, self.weights, strict=True) if not bool(weights.grad.isfinite().all())]  # type: ignore[union-attr]
        got = (
            f"{self.skipped_in_a_row} steps in a row without one, the last of them step {self.step} (loss {entry['loss']:.4g}, "
            f"learning rate {entry['learning_rate']:.3g}, not finite in {len(bad)} of {len(self.names)} tensors, {bad[0]} first; "
            f"{self.skipped} steps skipped in all)"
        )
        raise ConvergenceError(problem("gradient", "finite numbers", got, "lower the learning rate or the clip, or look at the batch"))

    @torch.no_grad()
    def _validation(self) -> dict[str, float]:
        assert self.validate is not None
        self.module.eval()
        torch.manual_seed(mixed_seed(self.options.seed, self.step))
        with nullcontext() if self.average is None else self.average.applied(self.module):
            return {name: float(value) for name, value in self.validate(self.module).items()}

    # Begin, go on, end.

    def begin(self, resume: bool) -> None:
        """Start from the module as it is, or from the folder's last checkpoint."""
        done = [] if self.checkpoints is None else self.checkpoints.steps()
        if done and not resume:
            got = f"checkpoints up to step {done[-1]} in {self.folder}"
            raise ArgumentError(problem("folder", "one without checkpoints", got, "resume, or choose another folder"))
        processes.share_weights(self.module)
        self.average = None if self.options.ema is None else MovingAverage(self.module, self.options.ema)
        if done:
            self._restore(done[-1])

    def save(self) -> None:
        """Write a checkpoint, in the first process."""
        if self.checkpoints is None:
            return
        self.checkpoint = self.checkpoints.path(self.step)
        if processes.rank() > 0:
            return
        tensors = {"module": self.module.state_dict(), "optimiser": self._moments()}
        state = {**self._settings(), **{name: getattr(self, name) for name in ("step", "skipped", "skipped_in_a_row", "seconds")}}
        if self.average is not None:
            tensors["average"] = self.average.average
            state["average_updates"] = self.average.updates
        self.checkpoints.save(self.step, tensors, state)

    def release(self) -> None:
        """Let go of the gradients."""
        for weights in self.weights:
            weights.grad = None

    def _settings(self) -> dict[str, Any]:
        return {"options": asdict(self.options), "task": self.task, "shares": self.shares}

    def _moments(self) -> dict[str, Tensor]:
        """The optimiser's tensors, by the names of the weights."""
        pairs = zip(self.names, self.weights, strict=True)
        return {f"{name}/{part}": tensor for name, w in pairs for part, tensor in self.optimiser.state.get(w, {}).items()}

    def _restore(self, step: int) -> None:
        assert self.checkpoints is not None
        path = self.checkpoints.path(step)
        groups = ("module", "optimiser") if self.average is None else ("module", "optimiser", "average")
        state = self.checkpoints.state(step)
        self._same_settings(path, state)
        tensors = self.checkpoints.tensors(step, groups)
        same_sizes(path, tensors["module"], self.module.state_dict())
        self.module.load_state_dict(tensors["module"])
        for name, weights in zip(self.names, self.weights, strict=True):
            parts = [key for key in tensors["optimiser"] if key.rpartition("/")[0] == name]
            moved = {key.rpartition("/")[2]: tensors["optimiser"][key] for key in parts}
            # AdamW counts its steps on the CPU, but for the fused one.
            on_device = {part: t if part == "step" and self.device.type == "cpu" else t.to(self.device) for part, t in moved.items()}
            if on_device:
                self.optimiser.state[weights] = on_device
        if self.average is not None:
            same_sizes(path, tensors["average"], self.average.average)
            self.average.average = {name: tensor.to(self.device) for name, tensor in tensors["average"].items()}
            self.average.updates = state["average_updates"]
        for name in ("step", "skipped", "skipped_in_a_row", "seconds"):
            setattr(self, name, state[name])
        self.checkpoint = path

    def _same_settings(self, path: Path, state: Mapping[str, Any]) -> None:
        """Refuse a checkpoint after which this run would not be the same run."""
        other = replace(self.options, steps=state["options"]["steps"])
        same_rates = all(learning_rate(self.options, step) == learning_rate(other, step) for step in range(state["step"]))
        free = _FREE if same_rates and self.options.steps >= state["step"] else _FREE[1:]
        settings = [{**s["options"], "task": s["task"], "shares": s["shares"]} for s in (state, self._settings())]
        same_settings(path, *({name: value for name, value in each.items() if name not in free} for each in settings))


def _as_json(task: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(task), allow_nan=False))
    except (TypeError, ValueError) as cause:
        raise ArgumentError(problem("task", "what JSON can say", task, str(cause))) from cause


def _one_device(weights: list[nn.Parameter]) -> torch.device:
    kinds = {(w.device, w.dtype) for w in weights}
    if len(kinds) != 1 or not weights[0].dtype.is_floating_point:
        got = ", ".join(sorted(f"{str(dtype)[6:]} on {device}" for device, dtype in kinds)) or "none that wants a gradient"
        raise ArgumentError(problem("module", "parameters of one float type on one device", got))
    return weights[0].device


def _flat_gradient(weights: list[nn.Parameter]) -> Tensor:
    """One tensor of zeros of which each gradient is a part: sums, norm and clip are then one operation each."""
    flat = torch.zeros(sum(w.numel() for w in weights), dtype=weights[0].dtype, device=weights[0].device)
    for w, part in zip(weights, flat.split([w.numel() for w in weights]), strict=True):
        w.grad = part.view_as(w)
    return flat


def _checked_loss(told: Any) -> dict[str, Any]:
    """What the loss returned, as a mapping."""
    told = dict(told) if isinstance(told, Mapping) else {"loss": told}
    if not isinstance(told.get("loss"), Tensor):
        raise ArgumentError(problem("loss", "a scalar tensor, or a mapping with one under 'loss'", ", ".join(told) or "an empty mapping"))
    taken = [name for name in told if name in _OWN_WORDS]
    if taken:
        raise ArgumentError(problem("loss", "other names than the record's own", ", ".join(map(repr, taken))))
    for name, value in told.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ArgumentError(problem(f"loss[{name!r}]", "a scalar", f"shape {tuple(value.shape)}"))
    return told
