"""The checkerboard: every encoding with every network, by latitude, and against the size of its cells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...datasets import checkerboard
from ..record import Check, Row
from ..registry import Setting
from .exhibits import Curves, Maps
from .published import RERUN, claim
from .recipes import BEYOND, ENCODINGS, HARMONICS, RECTANGLE, checkerboard_recipe
from .training import Fit, Problem, Recipe

#: Latitudes north and south, in degrees, between which accuracy is told.
BANDS = (0, 15, 30, 45, 60, 75, 90)
#: Networks of the table with the encodings that the quick preset takes.
QUICK = {"linear": ENCODINGS, "siren": (HARMONICS, "cartesian3d", "direct", "grid"), "fcnet": (HARMONICS,)}
#: Fcnets cost ten times as much as sine networks, so the full preset takes them on these.
FCNET = (HARMONICS, "cartesian3d", "direct", "grid", "spherec+")
SUPPORTS = (50, 100, 200, 400, 800, 1600, 3200)
QUICK_SUPPORTS = (50, 400)


class Board:
    """The checkerboard of 200 cells with the fits that were made on it, each once."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.problem = setting, Problem(checkerboard(), setting)
        self.seeds = range(setting.seed, setting.seed + (1 if setting.quick else 5))
        self._fits: dict[tuple[str, str], list[Fit]] = {}

    def fits(self, encoding: str, network: str) -> list[Fit]:
        """One for each seed."""
        key = encoding, network
        if key not in self._fits:
            recipe = checkerboard_recipe(encoding, network)
            seeds = self.seeds if network != "fcnet" else self.seeds[:2]
            self._fits[key] = [self.problem.fit(recipe, seed) for seed in seeds]
        return self._fits[key]

    def accuracies(self, encoding: str, network: str, rows: Tensor | slice = slice(None)) -> list[float]:
        """In per cent, one for each seed."""
        return [self.problem.score(fit, rows) for fit in self.fits(encoding, network)]

    def mean(self, encoding: str, network: str, rows: Tensor | slice = slice(None)) -> float:
        return _mean(self.accuracies(encoding, network, rows))

    def bands(self) -> list[Tensor]:
        """Test places of each band of latitude."""
        lat = self.problem.task.test.lonlat[1].abs()
        return [(lat >= low) & (lat <= high) for low, high in pairwise(BANDS)]


@lru_cache(maxsize=1)
def board(setting: Setting) -> Board:
    """The runs of one reproduction share their fits."""
    return Board(setting)


def linear(setting: Setting) -> Iterator[Row]:
    """The linear layer on all encodings."""
    yield from _column(setting, "linear", QUICK["linear"])
    found = {name: board(setting).mean(name, "linear") for name in ENCODINGS}
    best = max(RECTANGLE, key=found.__getitem__)
    yield Row(
        "linear, rectangle",
        "the best linear layer on an encoding of longitude and latitude that the paper compares",
        "at most 70; re-run theory 64.2, all others at most 24",
        (Check("accuracy, %", found[best], "at most", 70.0),),
        f"{best}",
        numbers={name: found[name] for name in RECTANGLE},
    )
    yield Row(
        "linear, beyond",
        "linear layers on encodings that the paper does not compare",
        "reported",
        ours=", ".join(f"{name} {found[name]:.1f} %" for name in BEYOND) + f"; harmonics {found[HARMONICS]:.1f} %",
        numbers={name: found[name] for name in BEYOND},
    )


def siren(setting: Setting) -> Iterator[Row]:
    """The sine network."""
    encodings = QUICK["siren"] if setting.quick else ENCODINGS
    yield from _column(setting, "siren", encodings)
    found = {name: board(setting).mean(name, "siren") for name in encodings}
    others = {name: value for name, value in found.items() if name not in (HARMONICS, *BEYOND)}
    gain = found[HARMONICS] - found["direct"]
    yield Row(
        "siren, gain",
        "sine networks on harmonics against sine networks alone, which see longitude and latitude",
        "at least half a point",
        (Check("points over siren(direct)", gain, "at least", 0.5),),
        f"over the best of the paper's others, {max(others, key=others.__getitem__)}: {found[HARMONICS] - max(others.values()):+.1f}",
        numbers=found,
    )


def fcnet(setting: Setting) -> Iterator[Row]:
    """The residual network, on fewer encodings and two seeds."""
    yield from _column(setting, "fcnet", QUICK["fcnet"] if setting.quick else FCNET)


def _column(setting: Setting, network: str, encodings: Sequence[str]) -> Iterator[Row]:
    """A row for each encoding."""
    asked = {(HARMONICS, "siren"): 95.4, (HARMONICS, "linear"): 94.5}
    for i, encoding in enumerate(encodings):
        setting.progress(f"{network}({encoding})", i, len(encodings))
        found, fits = board(setting).accuracies(encoding, network), board(setting).fits(encoding, network)
        limit = asked.get((encoding, network))
        checks = () if limit is None else (Check("accuracy, %", _mean(found), "at least", limit),)
        recipe = checkerboard_recipe(encoding, network)
        spread = f", {min(found):.1f} to {max(found):.1f}" if len(found) > 1 else ""
        yield Row(
            recipe.name,
            described(recipe, fits[0]),
            claim(RERUN, encoding, network),
            checks,
            f"{_mean(found):.1f} %{spread}; {_mean([fit.epochs for fit in fits]):.0f} epochs",
            f"{len(found)} seeds",
            numbers={"accuracies": found, "epochs": [fit.epochs for fit in fits], "seconds": [fit.seconds for fit in fits]},
        )


def latitudes(setting: Setting) -> Iterator[Row]:
    """Accuracy by bands of latitude, and the maps of the picture."""
    shown = [(HARMONICS, "siren"), (HARMONICS, "linear"), ("cartesian3d", "siren"), ("direct", "siren"), ("grid", "siren")]
    place = board(setting)
    bands = place.bands()
    curves = {checkerboard_recipe(*pair).name: [place.mean(*pair, rows) for rows in bands] for pair in shown}
    names = [f"{low}-{high}" for low, high in pairwise(BANDS)]
    polar = {name: values[-1] - values[0] for name, values in curves.items()}
    checks = tuple(
        Check(f"{network}(SH), poles over equator", polar[f"{network}(SH)"], "at least", -1.5) for network in ("siren", "linear")
    )
    yield Row(
        "latitudes",
        "accuracy where |latitude| is above 75 degrees, over that below 15",
        "harmonics: within 1.5 points; others lower (paper)",
        checks,
        "points: " + ", ".join(f"{name} {value:+.1f}" for name, value in polar.items()),
        f"{int(bands[-1].sum())} and {int(bands[0].sum())} of 10,000 places, {len(place.seeds)} seeds",
        numbers={"bands": names, **curves},
        exhibit=Curves("Accuracy by |latitude|, %", names, curves),
    )
    maps = [*shown[:2], *shown[3:], ("theory", "linear")]
    fields: dict[str, Any] = {"truth": place.problem.task.truth}
    for pair in maps:
        fields[f"{checkerboard_recipe(*pair).name}: {place.accuracies(*pair)[0]:.1f} %"] = place.fits(*pair)[0].encoder
    yield Row("maps", "classes all over the globe, first seed", "", ours="in the picture", exhibit=Maps(fields, place.problem.task.names))


def resolution(setting: Setting) -> Iterator[Row]:
    """Cells from four times as large to sixteen times as small, for two degrees."""
    supports = QUICK_SUPPORTS if setting.quick else SUPPORTS
    degrees = (9, 19)
    curves: dict[str, list[float]] = {f"{network}, degree {degree}": [] for network in ("linear", "siren") for degree in degrees}
    for i, count in enumerate(supports):
        setting.progress("resolution", i, len(supports))
        problem = Problem(checkerboard(count), setting)
        for degree in degrees:
            for network in ("linear", "siren"):
                fit = problem.fit(checkerboard_recipe(HARMONICS, network, degree), setting.seed)
                curves[f"{network}, degree {degree}"].append(problem.score(fit))
    at = supports.index(400)
    checks = (
        Check("degree 19 over 9, linear", curves["linear, degree 19"][at] - curves["linear, degree 9"][at], "at least", 10.0),
        Check("siren over linear, degree 9", curves["siren, degree 9"][at] - curves["linear, degree 9"][at], "at least", 5.0),
    )
    spacing = [f"{math.degrees(math.sqrt(4 * math.pi / count)):.1f}" for count in supports]
    told = "; ".join(f"{name}: " + ", ".join(f"{value:.1f}" for value in values) for name, values in curves.items())
    yield Row(
        "resolution",
        f"accuracy with {', '.join(map(str, supports))} cells of {', '.join(spacing)} degrees; the checks with {supports[at]}",
        "a linear layer loses cells finer than 180 / (degree + 1) degrees, a sine network later",
        checks,
        told,
        "1 seed",
        numbers={"supports": list(supports), **curves},
        exhibit=Curves("Accuracy by number of cells, %", [f"{count:,}" for count in supports], curves),
    )


def described(recipe: Recipe, fit: Fit) -> str:
    """Features, sizes and rates."""
    features = fit.encoder.encoding.features
    sizes = {"linear": "", "siren": f", {recipe.layers} x {recipe.hidden}", "fcnet": f", width {recipe.hidden}"}[recipe.network]
    decay = f", decay {recipe.weight_decay:g}" if recipe.weight_decay else ""
    return f"{features} features{sizes}, rate {recipe.learning_rate:g}{decay}"


def _mean(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).mean())
