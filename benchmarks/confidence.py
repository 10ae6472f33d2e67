"""How :func:`geospec.maps.vertex_confidence` came by its numbers, and whether they hold.

    python -m benchmarks.confidence collect samples.npz     maps right and wrong between generated shapes, and what is seen of them
    python -m benchmarks.confidence fit samples.npz         the constants of geospec/maps/confidence.py
    python -m benchmarks.confidence check FOLDER [--picture confidence.png]    error against confidence on pairs with ground truth

Maps that are collected for each pair, all refined as :func:`geospec.match` does: the winner among the hypotheses and the next; the
winner of those made without faces, which may be mirrored; the mirrored truth where there is one; the winner on a part of the target;
and the winner between the source and the target of the next pair, of another family, where nothing is right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import geospec
from geospec import maps
from geospec.datasets import KINDS, MAP_FAMILIES, creature, deformed_pair, ground_truth, load_pairs, symmetric_ground_truth
from geospec.descriptors import paired_signatures
from geospec.maps.confidence import NUMBERS, POINTS, RIGHT, map_features

K, K_FIRST, K_PRIOR, N_POINTS, N_VERTICES = 100, 40, 30, 200, 3000
#: Pairs are divided into so many parts, each held out once; weight of the squared weights in the regression.
FOLDS, PENALTY = 5, 3e-4
#: Share of the target's points that a part keeps.
PART = (0.4, 0.9)


class Side:
    """One shape at unit area with what maps are made of."""

    def __init__(self, shape: geospec.Mesh) -> None:
        self.shape = geospec.Mesh(shape.vertices / shape.area.sqrt(), shape.faces)
        self.operator = geospec.laplacian(self.shape)
        self.basis = geospec.LaplaceBasis.fit(self.operator, K)


class Pair:
    """Two sides, the points at which the truth is known, and distances on the source from the true images to all points."""

    def __init__(self, source: Side, target: Side, known: tuple[Tensor, Tensor] | None, prior: geospec.FunctionalMapPrior) -> None:
        self.source, self.target, self.known, self.prior = source, target, known, prior
        self.functions = paired_signatures(source.basis, target.basis, "wks")
        self.points = torch.linspace(0, target.shape.n_points - 1, N_POINTS).long() if known is None else known[0]

    def hypotheses(self, faces: bool) -> list[maps.MapHypothesis]:
        seen = {"source_points": self.source.shape.vertices, "target_points": self.target.shape.vertices, "prior": self.prior}
        corners = {"source_faces": self.source.shape.faces, "target_faces": self.target.shape.faces} if faces else {}
        return maps.map_hypotheses(self.source.basis, self.target.basis, *self.functions, k=K_FIRST, **seen, **corners)

    def numbers(self, to_source: Tensor) -> dict[str, float]:
        """As the pipeline has them."""
        source, target = self.source, self.target
        functional_map = maps.point_to_functional(to_source, source.basis, target.basis)
        spectra = source.basis.eigenvalues, target.basis.eigenvalues
        return {
            "coverage": float(maps.coverage(to_source, source.basis.measure)),
            "dirichlet_energy": float(maps.dirichlet_energy(to_source, source.shape, target.operator)),
            "orthogonality_residual": float(maps.orthogonality_residual(functional_map)),
            "commutativity_residual": float(maps.commutativity_residual(functional_map, *spectra)),
            "orientation_agreement": float(maps.orientation_agreement(to_source, source.shape, target.shape)),
            "plausibility": float(self.prior.plausibility(functional_map[:K_PRIOR, :K_PRIOR].float())),
        }

    def rows(self, start: Tensor, pair: int, scores: tuple[float, ...] = (), rival: Tensor | None = None, sides: bool = True) -> np.ndarray:
        """For each point: error (or a large one), features, score over next score, distance to the rival's image, number of the pair."""
        source, target, points = self.source, self.target, self.points
        bases = source.basis, target.basis
        found = maps.bijective_zoomout(start, *bases, k_final=K, k_start=min(K_FIRST, K), step="auto", subsample=2000)
        both = source.shape, target.shape
        bent = maps.elastic_refinement(found.target_to_source, found.source_to_target, *both, source.operator, target.operator)
        to_source, to_target = bent.target_to_source, bent.source_to_target
        seen = maps.point_features(to_source, to_target, *both, *bases, descriptors=self.functions)
        numbers = self.numbers(to_source)
        if scores:
            numbers["score"] = scores[0]
        if not sides:
            del numbers["orientation_agreement"]
        whole = map_features(numbers)
        error = torch.full((len(points),), 99.0, dtype=torch.float64)
        if self.known is not None:
            error = self.known[1].gather(1, to_source[points][:, None])[:, 0]
        other = to_source if rival is None else maps.functional_to_point(rival, *bases)
        apart = (source.shape.vertices[other] - source.shape.vertices[to_source]).norm(dim=1)[points]
        ratio = scores[0] / scores[1] if len(scores) > 1 else float("nan")
        constant = [*(whole.get(name, float("nan")) for name in NUMBERS), ratio]
        columns = [error, *(seen[name][points] for name in POINTS), *(torch.full_like(error, value) for value in constant), apart]
        return torch.stack([column.double() for column in [*columns, torch.full_like(error, pair)]], dim=1).numpy()

    def winner(self, pair: int, faces: bool = True) -> np.ndarray:
        found = self.hypotheses(faces)
        scores = tuple(hypothesis.score for hypothesis in found[:2])
        return self.rows(found[0].functional_map, pair, scores, found[1].functional_map if len(found) > 1 else None, faces)

    def second(self, pair: int) -> list[np.ndarray]:
        found = self.hypotheses(faces=True)
        return [self.rows(h.functional_map, pair, (h.score,)) for h in found[1:2]]


def part_of(target: geospec.Mesh, truth: Tensor, seed: int) -> tuple[geospec.Mesh, Tensor]:
    """What lies below a plane, the largest piece of it, and the truth there."""
    generator = torch.Generator().manual_seed(seed)
    height = target.vertices @ torch.randn(3, generator=generator, dtype=target.vertices.dtype)
    share = PART[0] + (PART[1] - PART[0]) * float(torch.rand((), generator=generator))
    kept = (height <= height.quantile(share))[target.faces].all(dim=1)
    piece = geospec.repair(geospec.Mesh(target.vertices, target.faces[kept]), steps=("unreferenced", "largest-component"))
    assert piece.vertex_map is not None
    return piece, truth[piece.vertex_map.to_file]


def generated(each: int) -> Iterator[tuple[str, geospec.Mesh, geospec.Mesh, Tensor, Tensor | None]]:
    """Family, source, target, truth and mirrored truth; two meshes of a kind of creature serve all its identities and poses."""
    for seed in range(each):
        for family in MAP_FAMILIES:
            if family not in KINDS:
                yield family, *deformed_pair(family, 1000 + seed, n_vertices=N_VERTICES), None
                continue
            drawn = [2 * seed + i for i in range(2)]
            made = [creature(family, identity_seed=s, pose_seed=s, mesh_seed=i, n_vertices=N_VERTICES) for i, s in enumerate(drawn)]
            mirrored = None if family == "hand" else symmetric_ground_truth(*made)
            yield family, made[0].mesh, made[1].mesh, ground_truth(*made), mirrored


def collect(output: Path, each: int) -> None:
    prior = geospec.FunctionalMapPrior.pretrained()
    made: list[np.ndarray] = []
    last: Side | None = None
    for number, (family, first, second, truth, mirrored) in enumerate(generated(each)):
        source, target = Side(first), Side(second)

        def known(truth: Tensor, source: Side = source) -> tuple[Tensor, Tensor]:
            points = torch.linspace(0, len(truth) - 1, N_POINTS).long()
            return points, geospec.geodesic_distances(source.shape, truth[points])

        pair = Pair(source, target, known(truth), prior)
        made += [pair.winner(number), *pair.second(number), pair.winner(number, faces=False)]
        means = [f"{100 * rows[:, 0].mean():.1f}" for rows in made[-3:]]
        if mirrored is not None:
            made.append(pair.rows(maps.point_to_functional(mirrored, source.basis, target.basis), number))
        piece, truth_there = part_of(target.shape, truth, number)
        if piece.n_points > K:
            made.append(Pair(source, Side(piece), known(truth_there), prior).winner(number))
        if last is not None:
            made.append(Pair(last, target, None, prior).winner(number))
        last = source
        np.savez_compressed(output, rows=np.concatenate(made))
        print(number, family, *means, flush=True)


class Samples:
    """The columns of a file of samples, features about their means at points that are right; what is missing is there."""

    def __init__(self, path: Path) -> None:
        data = torch.from_numpy(np.load(path)["rows"])
        n = len(POINTS) + len(NUMBERS)
        self.right, features = (data[:, 0] < RIGHT).double(), data[:, 1 : 1 + n]
        self.ratio, self.apart, self.pair = data[:, 1 + n], data[:, 2 + n], data[:, 3 + n]
        self.usual = torch.stack([f[(self.right > 0) & ~f.isnan()].mean() for f in features.T])
        self.features = torch.where(features.isnan(), 0, features - self.usual)

    def chance(self, logs: Tensor, constant: Tensor, power: Tensor) -> Tensor:
        """What :func:`geospec.maps.vertex_confidence` says for logarithms of weights and of the exponent."""
        here = torch.sigmoid(constant - self.features @ logs.exp())
        first = 1 / (1 + self.ratio.nan_to_num(1.0).clamp(1e-3, 1.0) ** power.exp())
        mixed = here * (first + (1 - first) * torch.exp2(-self.apart / (2 * RIGHT)))
        return torch.where(self.ratio.isnan(), here, mixed).clamp(1e-6, 1 - 1e-6)

    def regression(self, where: Tensor) -> list[Tensor]:
        """Logistic regression with weights of one sign, and a small penalty on their size."""
        logs = torch.zeros(self.features.shape[1], dtype=torch.float64, requires_grad=True)
        constant = torch.zeros((), dtype=torch.float64, requires_grad=True)
        power = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        unknown = [logs, constant, power]
        optimiser = torch.optim.LBFGS(unknown, max_iter=300, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy(self.chance(*unknown)[where], self.right[where])
            loss = loss + PENALTY * (logs.exp().square().sum() + power.exp().square() / 100)
            loss.backward()
            return loss

        optimiser.step(closure)
        return [value.detach() for value in unknown]


def fit(path: Path) -> None:
    """Print the constants, and how well those hold that are fitted without a quarter of the pairs, there."""
    samples = Samples(path)
    held_out = torch.zeros_like(samples.right)
    for fold in range(FOLDS):
        out = samples.pair % FOLDS == fold
        held_out[out] = samples.chance(*samples.regression(~out))[out]
    logs, constant, power = samples.regression(torch.ones_like(samples.pair, dtype=torch.bool))
    for name, weight, usual in zip((*POINTS, *NUMBERS), logs.exp().tolist(), samples.usual.tolist(), strict=True):
        print(f'    "{name}": ({weight:.2g}, {usual:.2g}),')
    print(f"CONSTANT = {constant:.2g}\nEXPONENT = {power.exp():.2g}")
    everyone = torch.ones_like(samples.pair, dtype=torch.bool)
    for name, where in (("all maps", everyone), ("winners", ~samples.ratio.isnan())):
        p, r = held_out[where], samples.right[where]
        print(f"{name}, held out: {len(r)} points, right {r.mean():.3f}, said {p.mean():.3f}, ECE {calibration_error(p, r):.3f}")
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
        on_source, on_target = (side[chosen] for side in pair.correspondence)
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
    first.add_argument("--each", type=int, default=3, help="pairs of each kind of creature")
    second = verbs.add_parser("fit", help="print the constants")
    second.add_argument("samples", type=Path)
    third = verbs.add_parser("check", help="reliability on pairs with ground truth")
    third.add_argument("folder", type=Path)
    third.add_argument("--every", type=int, default=6)
    third.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.verb == "collect":
        collect(options.output, options.each)
    elif options.verb == "fit":
        fit(options.samples)
    else:
        check(options.folder, options.every, options.picture)


if __name__ == "__main__":
    main()
