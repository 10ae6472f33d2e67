"""How :func:`geospec.maps.vertex_confidence` came by its numbers, and whether they hold.

    python -m benchmarks.confidence collect samples.npz     maps right and wrong between generated shapes, and what is seen of them
    python -m benchmarks.confidence fit samples.npz         the constants of geospec/maps/confidence.py
    python -m benchmarks.confidence check FOLDER [--picture confidence.png]    error against confidence on pairs with ground truth

Maps that are collected for each pair: those of all hypotheses, refined; the winner of those made without faces, which may be
mirrored; and the winner between a source and the target of the next pair, of another family, where nothing is right.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import geospec
from geospec import maps
from geospec.datasets import MAP_FAMILIES, deformed_pair, load_pairs
from geospec.descriptors import paired_signatures
from geospec.maps.confidence import NUMBERS, POINTS, RIGHT, map_features

K, K_FIRST, N_POINTS, MOST_HYPOTHESES = 100, 40, 200, 3


class Side:
    """One shape at unit area with what maps are made of."""

    def __init__(self, shape: geospec.Mesh) -> None:
        self.shape = geospec.Mesh(shape.vertices / shape.area.sqrt(), shape.faces)
        self.operator = geospec.laplacian(self.shape)
        self.basis = geospec.LaplaceBasis.fit(self.operator, K)


def refined(hypothesis: Tensor, source: Side, target: Side) -> tuple[Tensor, Tensor]:
    start = maps.bijective_zoomout(hypothesis, source.basis, target.basis, k_final=K, step="auto", subsample=2000)
    return start.target_to_source, start.source_to_target


def numbers_of(to_source: Tensor, source: Side, target: Side) -> dict[str, float]:
    """As the pipeline has them."""
    functional_map = maps.point_to_functional(to_source, source.basis, target.basis)
    return {
        "coverage": float(maps.coverage(to_source, source.basis.measure)),
        "dirichlet_energy": float(maps.dirichlet_energy(to_source, source.shape, target.operator)),
        "orthogonality_residual": float(maps.orthogonality_residual(functional_map)),
        "commutativity_residual": float(maps.commutativity_residual(functional_map, source.basis.eigenvalues, target.basis.eigenvalues)),
        "orientation_agreement": float(maps.orientation_agreement(to_source, source.shape, target.shape)),
    }


def hypotheses(source: Side, target: Side, faces: bool) -> tuple[list[maps.MapHypothesis], tuple[Tensor, Tensor]]:
    functions = paired_signatures(source.basis, target.basis, "wks")
    corners = {"source_faces": source.shape.faces, "target_faces": target.shape.faces} if faces else {}
    return maps.map_hypotheses(source.basis, target.basis, *functions, k=K_FIRST, **corners), functions


def rows(source: Side, target: Side, truth: tuple[Tensor, Tensor] | None, label: int) -> list[np.ndarray]:
    """For each map and point: error (or a large one), the features, score over next score (winners only), distance to the rival's image."""
    made = []
    for faces in (True, False) if truth is not None else (True,):
        found, functions = hypotheses(source, target, faces)
        n = MOST_HYPOTHESES if faces and truth is not None else 1
        rival = maps.functional_to_point(found[1].functional_map, source.basis, target.basis) if len(found) > 1 else None
        for rank, hypothesis in enumerate(found[:n]):
            to_source, to_target = refined(hypothesis.functional_map, source, target)
            numbers = numbers_of(to_source, source, target)
            seen = maps.point_features(to_source, to_target, source.shape, target.shape, source.basis, target.basis, descriptors=functions)
            points = torch.linspace(0, target.shape.n_points - 1, N_POINTS).long() if truth is None else truth[0]
            error = torch.full((len(points),), 99.0, dtype=torch.float64)
            if truth is not None:
                error = truth[1].gather(1, to_source[points][:, None])[:, 0]
            whole = map_features(numbers)
            if not faces:  # as if the shapes had no sides
                whole["mirrored"] = float("nan")
            ratio = hypothesis.score / found[1].score if rank == 0 and rival is not None else float("nan")
            apart = (
                torch.zeros(len(points))
                if rival is None
                else (source.shape.points[rival] - source.shape.points[to_source]).norm(dim=1)[points]
            )
            columns = [error, *(seen[name][points] for name in POINTS), *(torch.full_like(error, whole[name]) for name in NUMBERS)]
            columns += [
                torch.full_like(error, ratio),
                apart,
                torch.full_like(error, label),
                torch.full_like(error, rank + 10 * (not faces)),
            ]
            made.append(torch.stack([column.double() for column in columns], dim=1).numpy())
    return made


def collect(output: Path, seeds: int) -> None:
    made, last, label = [], None, 0
    for seed in range(seeds):
        for family in MAP_FAMILIES:
            source, target, truth = deformed_pair(family, 100 + seed, n_vertices=2500)
            sides = Side(source), Side(target)
            points = torch.linspace(0, target.n_points - 1, N_POINTS).long()
            distances = geospec.geodesic_distances(sides[0].shape, truth[points])
            made += rows(*sides, (points, distances), label)
            if last is not None and family != last[1]:
                made += rows(last[0], sides[1], None, label)
            last, label = (sides[0], family), label + 1
            np.savez_compressed(output, rows=np.concatenate(made))
            print(f"{family} {seed}: {100 * made[-1 if label == 1 else -2][:, 0].mean():.1f}", flush=True)


def fit(path: Path) -> None:
    """Logistic regression with one sign for every weight, by projected gradients; then the exponent of the choice of the winner."""
    data = torch.from_numpy(np.load(path)["rows"])
    n = len(POINTS) + len(NUMBERS)
    right, features, ratio, apart, label = (data[:, 0] < RIGHT).double(), data[:, 1 : 1 + n], data[:, 1 + n], data[:, 2 + n], data[:, 3 + n]
    typical = torch.stack([features[:, i][(right > 0) & ~features[:, i].isnan()].mean() for i in range(n)])
    centred = torch.where(features.isnan(), 0, features - typical)
    logs = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    constant = torch.zeros((), dtype=torch.float64, requires_grad=True)
    power = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def chance() -> Tensor:
        here = torch.sigmoid(constant - centred @ logs.exp())
        first = 1 / (1 + ratio.clamp(1e-3) ** power.exp())
        mixed = here * (first + (1 - first) * torch.exp2(-apart / (2 * RIGHT)))
        return torch.where(ratio.isnan(), here, mixed).clamp(1e-6, 1 - 1e-6)

    train = label % 4 != 3
    optimiser = torch.optim.LBFGS([logs, constant, power], max_iter=300, line_search_fn="strong_wolfe")

    def loss(where: Tensor) -> Tensor:
        return torch.nn.functional.binary_cross_entropy(chance()[where], right[where]) + 1e-4 * logs.exp().square().sum()

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(train)
        value.backward()
        return value

    optimiser.step(closure)
    with torch.no_grad():
        for name, weight, middle in zip((*POINTS, *NUMBERS), logs.exp().tolist(), typical.tolist(), strict=True):
            print(f'    "{name}": ({weight:.3g}, {middle:.3g}),')
        print(f"CONSTANT = {float(constant):.3g}\nEXPONENT = {float(power.exp()):.3g}")
        for name, where in (("fitted", train), ("held out", ~train), ("held out winners", ~train & ~ratio.isnan())):
            p, r = chance()[where], right[where]
            print(
                f"{name}: {int(where.sum())} points, right {float(r.mean()):.3f}, said {float(p.mean()):.3f}, "
                f"ECE {calibration_error(p, r):.3f}"
            )
            print("   ", " ".join(f"{a:.2f}:{b:.2f}({c})" for a, b, c in diagram(p, r)))


def diagram(confidence: Tensor, right: Tensor, bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean confidence, share that is right and number of points, for each bin that has some."""
    bin_of = (confidence * bins).long().clamp(max=bins - 1)
    return [
        (float(confidence[bin_of == i].mean()), float(right[bin_of == i].double().mean()), int((bin_of == i).sum()))
        for i in range(bins)
        if bool((bin_of == i).any())
    ]


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """Expected calibration error over ten bins."""
    return sum(n * abs(p - r) for p, r, n in diagram(confidence, right)) / max(len(confidence), 1)


def check(folder: Path, every: int, picture: Path | None) -> None:
    """Confidence of ``geospec.match`` against the geodesic error on pairs with ground truth; symmetric twins count as wrong."""
    said, errors = [], []
    for pair in list(load_pairs(folder))[::every]:
        source, target = pair.load()
        match = geospec.match(source, target, quality="fast")
        chosen = torch.randperm(len(pair.correspondence[0]), generator=torch.Generator().manual_seed(0))[:N_POINTS]
        on_target, on_source = (side[chosen] for side in pair.correspondence)
        distances = geospec.geodesic_distances(source, on_source) / source.area.sqrt()
        said.append(match.confidence[on_target].double())
        errors.append(distances.gather(1, match.target_to_source[on_target][:, None])[:, 0].double())
        print(
            f"{pair.name}: confidence {said[-1].mean():.2f}, right {(errors[-1] < RIGHT).double().mean():.2f}",
            match.record["warnings"],
            flush=True,
        )
    confidence, error = torch.cat(said), torch.cat(errors)
    print(f"{len(confidence)} points, ECE {calibration_error(confidence, error < RIGHT):.3f}")
    for p, r, n in diagram(confidence, error < RIGHT):
        print(f"  said {p:.2f}  right {r:.2f}  of {n}")
    if picture is not None:
        draw(confidence, error, picture)


def draw(confidence: Tensor, error: Tensor, picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4))
    bins = diagram(confidence, error < RIGHT)
    left.plot([0, 1], [0, 1], color="0.7", lw=1)
    left.plot([p for p, _, _ in bins], [r for _, r, _ in bins], "o-")
    left.set(xlabel="confidence", ylabel="share within 5", xlim=(0, 1), ylim=(0, 1))
    order = confidence.argsort().chunk(10)
    right.plot([float(confidence[i].mean()) for i in order], [100 * float(error[i].mean()) for i in order], "o-")
    right.set(xlabel="confidence, a tenth of the points each", ylabel="mean geodesic error x 100", xlim=(0, 1), ylim=(0, None))
    figure.tight_layout()
    figure.savefig(picture, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    first = verbs.add_parser("collect", help="make maps and write what is seen of them")
    first.add_argument("output", type=Path)
    first.add_argument("--seeds", type=int, default=3, help="pairs of each family")
    second = verbs.add_parser("fit", help="print the constants")
    second.add_argument("samples", type=Path)
    third = verbs.add_parser("check", help="reliability on pairs with ground truth")
    third.add_argument("folder", type=Path)
    third.add_argument("--every", type=int, default=6)
    third.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.verb == "collect":
        collect(options.output, options.seeds)
    elif options.verb == "fit":
        fit(options.samples)
    else:
        check(options.folder, options.every, options.picture)


if __name__ == "__main__":
    main()
