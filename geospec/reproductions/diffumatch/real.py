"""Real pairs with known correspondence: errors against pyFM, against other masks and other priors; and what confidence is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...datasets import ShapePair, functional_maps
from ...maps import FunctionalMapPrior
from ...pipelines.matching import match
from ...pipelines.result import Match
from ..record import Check, Row
from ..registry import Setting
from . import peer
from .exhibits import Curves, Reliability
from .pairs import Prepared, joined, mean_errors, table_text
from .published import TOSCA_CLAIM
from .shapes import Pair, collections, of_one_class

#: Pairs of each collection, evenly spaced, and points of each pair that count.
PAIRS, QUICK_PAIRS, POINTS = 8, 1, 500
#: Error up to which a point counts as right, for the confidence.
RIGHT = 5.0
#: Errors asked for: within a class of near-isometric shapes, and in shares of pyFM's.
WITHIN_CLASS, SHARE, SHARE_ACROSS = 2.5, 0.6, 0.5

Method = Callable[[Prepared, FunctionalMapPrior], Tensor]
#: Wave kernel signatures, a mask, ZoomOut: what the masks are worth by themselves.
MASKED: Mapping[str, Method] = {
    "Laplacian mask": lambda prepared, prior: prepared.masked("laplacian", prior),
    "resolvent mask": lambda prepared, prior: prepared.masked("resolvent", prior),
    "Gaussian mask": lambda prepared, prior: prepared.masked("gaussian", prior),
    "distilled mask": lambda prepared, prior: prepared.masked("distilled", prior),
}


def chosen_pairs(data: Path, n: int) -> dict[str, list[ShapePair]]:
    """``n`` pairs of each collection, evenly spaced; all where it has fewer."""
    chosen = {}
    for name, known in collections(data).items():
        index = torch.linspace(0, len(known) - 1, min(n, len(known))).round().long()
        chosen[name] = [known[i] for i in index.tolist()]
    return chosen


def masks_on_real_pairs(setting: Setting) -> Iterator[Row]:
    """The same descriptors and refinement under four masks, and pyFM."""
    assert setting.data is not None
    prior = FunctionalMapPrior.pretrained()
    for name, chosen in chosen_pairs(setting.data, QUICK_PAIRS if setting.quick else PAIRS).items():
        errors: dict[str, list[Tensor]] = {}
        for i, pair in enumerate(chosen):
            setting.progress(f"masks on {name}", i, len(chosen))
            prepared = Prepared(Pair.of(pair, POINTS), inputs="wks")
            found = {"pyFM": peer.wks_zoomout(prepared.pair.source, prepared.pair.target)}
            found |= {method: make(prepared, prior) for method, make in MASKED.items()}
            found["floor"] = prepared.floor()
            for method, point_map in found.items():
                errors.setdefault(method, []).append(nearer(prepared.pair, point_map))
        means = mean_errors(errors)
        best = min(means["Laplacian mask"], means["resolvent mask"])
        checks = (Check("distilled / better of Laplacian and resolvent", means["distilled mask"] / best, "at most", 1.0),)
        what = f"{name}: wave kernel signatures under different masks, then ZoomOut; nearer of truth and mirror"
        yield Row(f"real masks {name}", what, "", checks, table_text(means), counted(len(chosen)), numbers={"mean_errors": means})


def counted(n: int) -> str:
    return "1 pair" if n == 1 else f"{n} pairs"


def nearer(pair: Pair, point_map: Tensor) -> Tensor:
    """Errors at the known points against the truth or its mirror, whichever is nearer on the whole."""
    return min(pair.both_errors(point_map), key=lambda errors: float(errors.mean()))


#: ``geospec.match`` by what guides it; ``None`` is no prior. The quick preset does without the Gaussian prior.
MATCHED: Mapping[str, tuple[str, str]] = {"fast": ("network", "fast"), "best": ("network", "best"), "best, Gaussian": ("gaussian", "best")}


#: Generated maps by which the Gaussian prior's likelihoods are judged.
KNOWN = 64


def matching(setting: Setting) -> Iterator[Row]:
    """``geospec.match`` against pyFM, collection by collection; then its confidence against its errors."""
    assert setting.data is not None
    network = FunctionalMapPrior.pretrained()
    priors = {"network": network, "gaussian": network.gaussian}
    if not setting.quick:  # a match asks how plausible its map is, and the Gaussian's likelihoods are not the network's
        priors["gaussian"].tabulate(functional_maps(KNOWN, k=network.k, split="validation", progress=setting.progress).maps)
    methods = {name: told for name, told in MATCHED.items() if not setting.quick or told[0] == "network"}
    confidence: list[Tensor] = []
    right: list[Tensor] = []
    for name, chosen in chosen_pairs(setting.data, QUICK_PAIRS if setting.quick else PAIRS).items():
        errors: dict[str, list[Tensor]] = {}
        for i, known in enumerate(chosen):
            setting.progress(f"pairs of {name}", i, len(chosen))
            prepared = Prepared(Pair.of(known, POINTS))
            pair = prepared.pair
            found = {"pyFM": peer.wks_zoomout(pair.source, pair.target), "floor": prepared.floor()}
            for method, (prior, quality) in methods.items():
                made = match(pair.source, pair.target, prior=priors[prior], quality=quality, seed=setting.seed)
                found[method] = made.target_to_source
                if prior == "network":
                    confidence.append(told_confidence(made, pair))
                    right.append((pair.errors(made.target_to_source) <= RIGHT).double())
            for method, point_map in found.items():
                errors.setdefault(method, []).append(pair.errors(point_map))
        yield collection_row(name, chosen, errors)
    yield confidence_row(torch.cat(confidence), torch.cat(right))


def told_confidence(made: Match, pair: Pair) -> Tensor:
    """Confidence at the points whose errors count."""
    return made.confidence[pair.truth[0]]


def collection_row(name: str, pairs: Sequence[ShapePair], errors: Mapping[str, Sequence[Tensor]], ours: str = "best") -> Row:
    """Errors of a collection beside pyFM's. Where the truth itself is noisy, no absolute limit is held."""
    means = mean_errors(errors)
    medians = {method: float(torch.stack([e.mean() for e in found]).median()) for method, found in errors.items()}
    isometric = all(of_one_class(pair) for pair in pairs)
    checks = [Check("mean error / pyFM", means[ours] / means["pyFM"], "at most", SHARE)]
    if not isometric:
        checks = [Check("median error / pyFM", medians[ours] / medians["pyFM"], "at most", SHARE_ACROSS)]
    elif means["floor"] <= WITHIN_CLASS:
        checks.append(Check("mean error", means[ours], "at most", WITHIN_CLASS))
    words = f"{table_text(means)}; medians: {', '.join(f'{method} {value:.2f}' for method, value in medians.items())}"
    if isometric and means["floor"] > WITHIN_CLASS:
        words += f"; ZoomOut from the truth ends above {WITHIN_CLASS}: the truth is too noisy for an absolute limit"
    numbers = {"mean_errors": means, "by_pair": {method: [float(e.mean()) for e in found] for method, found in errors.items()}}
    claim = TOSCA_CLAIM if isometric and means["floor"] <= WITHIN_CLASS else ""
    what = f"{name}: geospec.match beside pyFM's WKS and ZoomOut, against the direct truth"
    exhibit = Curves(name, joined(errors))
    return Row(f"match {name}", what, claim, tuple(checks), words, counted(len(pairs)), numbers=numbers, exhibit=exhibit)


def confidence_row(confidence: Tensor, right: Tensor) -> Row:
    """How far confidence is from the share of points that are right, and whether it tells right from wrong."""
    table = Reliability.of("confidence on real pairs", confidence, right)
    area = separation(confidence, right)
    checks = (Check("calibration error", table.gap, "at most", 0.1), Check("area under ROC", area, "at least", 0.75))
    words = f"{float(right.mean()):.1%} of the points within {RIGHT:g}; mean confidence {float(confidence.mean()):.1%}"
    numbers = {"confidence": table.confidence.tolist(), "within": table.within.tolist(), "share": table.share.tolist()}
    what = f"confidence of a point against the share of points whose error is at most {RIGHT:g}, ten bins"
    return Row("confidence", what, "calibrated", checks, words, f"{len(confidence):,} points", numbers=numbers, exhibit=table)


def separation(confidence: Tensor, right: Tensor) -> float:
    """The chance that a right point has more confidence than a wrong one, ties halved: the area under the ROC curve. NaN without both."""
    order = torch.argsort(confidence)
    ordered = confidence[order]
    first = torch.searchsorted(ordered, confidence.contiguous()).double()
    last = torch.searchsorted(ordered, confidence.contiguous(), right=True).double()
    rank = (first + last + 1) / 2
    good = right > 0.5
    n, m = int(good.sum()), int((~good).sum())
    return float((rank[good].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")
