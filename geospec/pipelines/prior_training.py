"""The prior over functional maps, trained on maps between shapes made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..datasets import MAP_FAMILIES, FunctionalMaps, functional_maps
from ..errors import ArgumentError, problem
from ..maps import FunctionalMapPrior, PriorTraining
from ..maps.prior.fitting import fit_network, relative_errors
from ..training import launch, rank, world

Progress = Callable[[str, int, int], None]
Report = Callable[[dict[str, Any]], None]

#: Maps that the prior which ships was trained on, and those held out.
N_MAPS, N_HELD_OUT = 48000, 4800


def train_prior(
    plan: PriorTraining,
    output: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    maps: int = N_MAPS,
    held_out: int = N_HELD_OUT,
    leave_out: tuple[str, ...] = (),
    cache: bool | str | os.PathLike[str] = True,
    workers: int = 1,
    resume: bool = False,
    processes: int = 1,
    command: str = "",
    progress: Progress | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Make true functional maps, or take them from the cache, train a prior on them and write it.

    Parameters
    ----------
    output : the weights, ``.safetensors``. folder : of checkpoints and the record, see :func:`geospec.training.train`.
    maps, held_out : functional maps to make, of all families alike, to train on and, of other shapes, to validate on. cache, workers : see
        :func:`geospec.datasets.functional_maps`.
    leave_out : families, see :data:`geospec.datasets.MAP_FAMILIES`, that are kept out of the training; validation has them all.
    processes : that train together; they divide the batch. command : that is written into the file.
    progress, report : see :func:`geospec.training.train`; ``progress`` also tells how far the maps are.

    Returns
    -------
    finished, step, seconds, skipped, parameters, loss, the last ``validation`` (errors of denoising over those of the Wiener
    filter, by family and level), and ``output``, which is ``None`` unless finished.
    """
    unknown = [name for name in leave_out if name not in MAP_FAMILIES]
    if unknown or len(leave_out) >= len(MAP_FAMILIES):
        raise ArgumentError(problem("leave_out", f"some of {', '.join(MAP_FAMILIES)}, not all", ", ".join(leave_out)))
    kept = tuple(name for name in MAP_FAMILIES if name not in leave_out)
    collections = [
        functional_maps(number, split=split, workers=workers, cache=cache, progress=progress)
        for number, split in ((maps, "train"), (held_out, "validation"))
    ]
    together = (plan, collections[0].of(*kept), collections[1], Path(output), Path(folder), resume, command)
    return launch(_train, *together, processes=processes, device=plan.device, progress=progress, report=report)


def _train(
    plan: PriorTraining,
    maps: FunctionalMaps,
    held_out: FunctionalMaps,
    output: Path,
    folder: Path,
    resume: bool,
    command: str,
    progress: Progress | None,
    report: Report | None,
) -> dict[str, Any]:
    if plan.batch % world():
        raise ArgumentError(problem("batch", f"a multiple of the {world()} processes", plan.batch))
    prior = FunctionalMapPrior.of_moments(maps.maps, plan.network(), plan.seed)
    by_family = {name: held_out.of(name).maps for name in held_out.families}
    result = fit_network(prior, maps.maps, plan, held_out=by_family, folder=folder, resume=resume, progress=progress, report=report)
    last = {"loss": result.entry.get("loss"), "validation": result.entry.get("validation", {})}
    if result.finished and rank() == 0:
        prior.eval().requires_grad_(False)
        prior.tabulate(held_out.maps)
        with torch.no_grad():
            last["validation"] = relative_errors(prior, {**by_family, "all": held_out.maps}, most=len(held_out))
        prior.cpu().save(output, metrics=last["validation"], command=command, seed=plan.seed)
    parameters = sum(weights.numel() for weights in prior.parameters())
    done = {"finished": result.finished, "step": result.step, "seconds": round(result.seconds, 1), "skipped": result.skipped}
    return {**done, "parameters": parameters, **last, "output": output if result.finished else None}
