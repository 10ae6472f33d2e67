"""Land and ocean, and a field of known spectrum in place of the paper's ERA5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import mean

from ...datasets import GlobeTask, land_ocean, spectral_field
from ..record import Check, Row
from ..registry import Setting
from .checkerboard import described
from .exhibits import Maps
from .published import RERUN_LAND, claim
from .recipes import HARMONICS, Recipe, field_recipe, land_recipe
from .training import Fit, Problem

PAIRS = tuple(
    (encoding, network)
    for network, encodings in {
        "linear": (HARMONICS, "direct", "theory", "rff"),
        "siren": (HARMONICS, "direct", "cartesian3d", "spherec+", "rff"),
        "fcnet": (HARMONICS,),
    }.items()
    for encoding in encodings
)
#: Drawn as maps.
SHOWN = ((HARMONICS, "siren"), (HARMONICS, "linear"), ("direct", "siren"), ("spherec+", "siren"), ("theory", "linear"))
QUICK = ((HARMONICS, "linear"), (HARMONICS, "siren"), ("direct", "siren"))


def land(setting: Setting) -> Iterator[Row]:
    """Accuracy on land and ocean."""
    task = land_ocean()
    asked = {(HARMONICS, "linear"): 93.5, (HARMONICS, "siren"): 95.0}
    yield from _compare("land", setting, task, land_recipe, asked, lambda encoding, network: claim(RERUN_LAND, encoding, network))


def field(setting: Setting) -> Iterator[Row]:
    """Share of the field's variance that is explained."""
    asked = {(HARMONICS, "siren"): 95.0}
    yield from _compare("field", setting, spectral_field(), field_recipe, asked, lambda encoding, network: "")


def _compare(
    name: str,
    setting: Setting,
    task: GlobeTask,
    recipe_of: Callable[[str, str], Recipe],
    asked: dict[tuple[str, str], float],
    claimed: Callable[[str, str], str],
) -> Iterator[Row]:
    """A row for each pair of encoding and network, and one of maps."""
    problem = Problem(task, setting)
    seeds = range(setting.seed, setting.seed + (1 if setting.quick else 5 if task.categorical else 2))
    word = "accuracy, %" if task.categorical else "variance explained, %"
    first: dict[tuple[str, str], Fit] = {}
    pairs = QUICK if setting.quick else PAIRS
    for i, (encoding, network) in enumerate(pairs):
        recipe = recipe_of(encoding, network)
        setting.progress(f"{task.name}: {recipe.name}", i, len(pairs))
        fits = [problem.fit(recipe, seed) for seed in (seeds if network != "fcnet" else seeds[:2])]
        found = [problem.score(fit) for fit in fits]
        first[encoding, network] = fits[0]
        limit = asked.get((encoding, network))
        yield Row(
            f"{name} {recipe.name}",
            described(recipe, fits[0]),
            claimed(encoding, network),
            () if limit is None else (Check(word, mean(found), "at least", limit),),
            f"{mean(found):.2f} % of {'places' if task.categorical else 'the variance'}, {min(found):.2f} to {max(found):.2f}; "
            f"{mean(fit.epochs for fit in fits):.0f} epochs",
            f"{len(fits)} seeds, {len(task.train):,} places",
            numbers={"scores": found, "epochs": [fit.epochs for fit in fits], "seconds": [fit.seconds for fit in fits]},
        )
    assert task.truth is not None
    drawn = [pair for pair in SHOWN if pair in first]
    shown = Maps(
        {"truth": task.truth, **{f"{recipe_of(*pair).name}: {problem.score(first[pair]):.1f} %": first[pair].encoder for pair in drawn}},
        task.names if task.categorical else None,
    )
    yield Row(f"{name} maps", "the function and the first seed of each, all over the globe", "", ours="in the picture", exhibit=shown)
