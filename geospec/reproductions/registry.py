"""The reproductions there are, and the one function that runs them."""

from __future__ import annotations

import importlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from ..errors import ArgumentError, GeospecError, one_of, problem, require_package
from ..writing import written_aside
from .record import Result, Row

if TYPE_CHECKING:
    from PIL.Image import Image

Progress = Callable[[str, int, int], None]
PRESETS = ("quick", "full")
#: Written into the folder, in this order.
FILES = ("table.md", "figure.png", "metrics.json")


@dataclass(frozen=True)
class Setting:
    """What a run is told: the preset, where to compute, the seed, a folder of real meshes, whom to tell of progress."""

    preset: str = "quick"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    data: Path | None = None
    progress: Progress = lambda stage, done, total: None

    @property
    def quick(self) -> bool:
        return self.preset == "quick"

    def generator(self) -> torch.Generator:
        """A fresh generator with the seed, on the CPU: its numbers do not depend on the device."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class Run:
    """A piece of a reproduction that can be asked for by name.

    ``measure(setting)`` yields rows whose ``run``, ``what`` and ``claim`` may be left empty: they are then the run's. ``packages``
    maps what has to be installed beyond the core to the extra that brings it; ``needs_data`` says that the run reads real meshes.
    """

    what: str
    claim: str
    measure: Callable[[Setting], Iterator[Row]]
    packages: Mapping[str, str] = field(default_factory=dict)
    needs_data: bool = False


@dataclass(frozen=True)
class Reproduction:
    """A paper's claims: runs by name, and a picture of the rows that they gave."""

    title: str
    paper: str
    runs: Mapping[str, Run]
    draw: Callable[[Sequence[Row]], Image]


class _Reproductions(Mapping[str, Reproduction]):
    """Name to reproduction; each is imported when it is asked for."""

    modules: ClassVar[dict[str, str]] = {
        "learned-eigenbasis": ".learned_eigenbasis",
        "diffumatch": ".diffumatch",
        "location-encoder": ".location_encoder",
        "make-a-shape-representation": ".make_a_shape",
    }

    def __getitem__(self, name: str) -> Reproduction:
        one_of("name", name, tuple(self.modules))
        return importlib.import_module(self.modules[name], __package__).REPRODUCTION

    def __iter__(self) -> Iterator[str]:
        return iter(self.modules)

    def __len__(self) -> int:
        return len(self.modules)


#: Every reproduction, by name.
REPRODUCTIONS: Mapping[str, Reproduction] = _Reproductions()


def reproduce(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    preset: str = "quick",
    only: Sequence[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Run a paper's claims again, and write ``table.md``, ``figure.png`` and ``metrics.json``.

    Parameters
    ----------
    name : one of :data:`REPRODUCTIONS`.
    folder : where to write; made where its parent exists. The three files replace older ones together, after everything
        has run. ``None`` writes nothing.
    preset : ``"quick"`` takes smaller sizes and finishes in minutes; ``"full"`` takes the paper's.
    only : names of runs, in any order; ``None`` for all.
    data : a folder of meshes for the runs that read real ones; without it they are listed as not run.
    device, seed : where to compute, and what random numbers start from.
    progress : called as ``progress(stage, done, total)``.

    Returns
    -------
    Result. Rows that fall short are in it, and in ``failing``: nothing is raised for them. A run that breaks off with an error of
    geospec's (a shape in pieces, no convergence) is a failing row with the message.

    Raises
    ------
    ArgumentError : unknown name, preset or run, or a folder that is none. MissingDependencyError : before anything runs, where a
        run needs a package that is not installed.
    """
    if name not in REPRODUCTIONS:
        one_of("name", name, tuple(REPRODUCTIONS))
    one_of("preset", preset, PRESETS)
    found = REPRODUCTIONS[name]
    chosen = _chosen(found, only)
    place = None if data is None else Path(data)
    if place is not None and not place.is_dir():
        raise ArgumentError(problem("data", "a folder of meshes", str(place)))
    for key, run in chosen.items():
        for package, extra in run.packages.items():
            require_package(package, f"run {key} of {name}", f"geospec[{extra}]")
    if folder is not None:
        Path(folder).mkdir(exist_ok=True)

    setting = Setting(preset, torch.device(device), seed, place, progress or (lambda stage, done, total: None))
    start = time.perf_counter()
    rows = [row for key, run in chosen.items() for row in _rows(key, run, setting)]
    options = {
        "preset": preset,
        "seed": seed,
        "device": str(setting.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    result = Result(name, found.title, found.paper, tuple(rows), options)
    if folder is not None:
        _write(result, found.draw(rows), Path(folder))
    return result


def _chosen(found: Reproduction, only: Sequence[str] | None) -> dict[str, Run]:
    if only is None:
        return dict(found.runs)
    for key in only:
        one_of("only", key, tuple(found.runs))
    return {key: run for key, run in found.runs.items() if key in only}


def _rows(key: str, run: Run, setting: Setting) -> Iterator[Row]:
    """The rows of one run, named and timed; what geospec refuses on the way is a row too."""
    empty = Row(key, run.what, run.claim)
    if run.needs_data and setting.data is None:
        yield replace(empty, ran=False, problem="needs a folder of meshes: --data FOLDER")
        return
    setting.progress(key, 0, 0)
    start = time.perf_counter()
    try:
        for row in run.measure(setting):
            now = time.perf_counter()
            seconds = row.seconds or now - start
            yield replace(row, run=row.run or key, what=row.what or run.what, claim=row.claim or run.claim, seconds=seconds)
            start = time.perf_counter()
    except GeospecError as cause:
        yield replace(empty, problem=f"broke off: {cause}", seconds=time.perf_counter() - start)


def _write(result: Result, picture: Image, folder: Path) -> None:
    """All three aside, then all three renamed."""
    with ExitStack() as stack:
        table, figure, metrics = (stack.enter_context(written_aside(folder / name)) for name in FILES)
        table.write_text(result.table(), encoding="utf-8")
        picture.save(figure, format="PNG")
        metrics.write_text(json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
