"""Features learned on one pair: what the sides hold, the loss by hand, and maps that get better without labels."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from geospec import ArgumentError, Mesh, PointCloud, laplacian
from geospec.bases import SampledBasis
from geospec.maps import (
    FunctionalMapPrior,
    MapSide,
    distillation_loss,
    functional_to_point,
    optimisation,
    optimise_map,
    point_to_functional,
)
from geospec.maps.optimisation import _Pair

K = 12


@pytest.fixture(scope="module")
def sides(pair):
    bases = (pair.source_basis, pair.target_basis)
    return [MapSide.of(shape, basis, samples=250) for shape, basis in zip((pair.source, pair.target), bases, strict=True)]


@pytest.fixture(scope="module")
def prior():
    """Of maps near the diagonal, as those of near-isometries are."""
    generator = torch.Generator().manual_seed(0)
    i = torch.arange(20)
    maps = torch.exp(-(i[:, None] - i).abs() / 2) * torch.randn(500, 20, 20, generator=generator)
    return FunctionalMapPrior.fit(maps / maps.norm(dim=-1, keepdim=True))


def truth(pair, k=K):
    return point_to_functional(pair.truth, pair.source_basis.truncate(k), pair.target_basis.truncate(k))


def spoiled(c):
    """A rough guess."""
    return c + 0.2 * torch.randn(c.shape, generator=torch.Generator().manual_seed(0), dtype=c.dtype)


def turn(angle=0.9):
    c, s = np.cos(angle), np.sin(angle)
    return torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def test_a_side_is_at_area_one(pair):
    """Whatever the unit of the shape and of its basis."""
    plain = MapSide.of(pair.source, pair.source_basis, samples=200)
    large = Mesh(7 * pair.source.vertices + 3, pair.source.faces)
    basis = SampledBasis(pair.source_basis.modes / 7, 49 * pair.source_basis.measure, pair.source_basis.eigenvalues / 49)
    scaled = MapSide.of(large, basis, samples=200)
    assert float(scaled.measure.sum()) == pytest.approx(1)
    assert float(scaled.basis.measure.sum()) == pytest.approx(1)
    assert torch.equal(scaled.index, plain.index)
    for name in ("points", "measure"):
        torch.testing.assert_close(getattr(scaled, name), getattr(plain, name), rtol=1e-4, atol=1e-6)
    for name in ("modes", "analysis", "slopes_x", "slopes_y", "eigenvalues"):
        torch.testing.assert_close(getattr(scaled.surface, name), getattr(plain.surface, name), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("cloud", [False, True])
def test_slopes_have_the_energy_of_their_modes(pair, cloud):
    """``integral of |grad phi|^2 = lambda`` at area one, to within what the spacing allows."""
    shape = PointCloud(pair.target.vertices, pair.target.vertex_normals) if cloud else pair.target
    side = MapSide.of(shape, pair.target_basis.truncate(12), samples=None)
    assert len(side.index) == pair.target.n_points
    torch.testing.assert_close(side.measure[side.index.argsort()], side.basis.measure)
    energy = side.measure @ (side.surface.slopes_x.double().square() + side.surface.slopes_y.double().square())
    assert energy[0] < 0.01
    torch.testing.assert_close(energy[1:], side.basis.eigenvalues[1:], rtol=0.1, atol=0)


def test_samples_stand_for_what_is_nearest(sides, pair):
    owner = torch.cdist(pair.source.vertices, pair.source.vertices[sides[0].index]).argmin(dim=1)
    for i in (0, 17, 200):
        assert float(sides[0].measure[i]) == pytest.approx(float(pair.source_basis.measure[owner == i].sum()), rel=1e-4)


def test_the_proper_map_of_a_true_map_is_itself(sides, pair):
    c, reverse = truth(pair), point_to_functional(pair.reverse_truth, pair.target_basis.truncate(K), pair.source_basis.truncate(K))
    both = _Pair(*sides, K)
    forward, backward = both.proper(c, reverse)
    assert (forward - c).norm() / c.norm() < 0.1
    assert (backward - reverse).norm() / c.norm() < 0.1
    rough = spoiled(c)
    mended = both.proper(rough, rough.mT)[0]
    assert (mended - c).norm() < 0.5 * (rough - c).norm()


def test_proper_maps_by_hand(sides, pair):
    """All pairs of distances, both maps asked, and weighted least squares; size 12 to 22, by a tenth of the size at a time."""
    forward = spoiled(truth(pair))
    backward = spoiled(forward).mT
    found = _Pair(*sides, K).proper(forward, backward)
    source, target = (side.surface.modes.double() for side in sides)
    for size, following in pairwise([*range(12, 21), 22, 22]):
        s, t = source[:, :size], target[:, :size]
        to_source = (torch.cdist(t, s @ forward.mT).square() + torch.cdist(t, s @ backward).square()).argmin(dim=1)
        to_target = (torch.cdist(s, t @ backward.mT).square() + torch.cdist(s, t @ forward).square()).argmin(dim=1)
        forward, backward = (
            torch.linalg.lstsq(w.sqrt()[:, None] * on, w.sqrt()[:, None] * pulled).solution[:following]
            for w, on, pulled in (
                (sides[1].measure, target, source[:, :following][to_source]),
                (sides[0].measure, source, target[:, :following][to_target]),
            )
        )
    torch.testing.assert_close(found[0], forward[:K, :K], rtol=0, atol=2e-2)
    torch.testing.assert_close(found[1], backward[:K, :K], rtol=0, atol=2e-2)


def test_the_first_step_by_hand(sides, pair, prior):
    """Weights, features, maps and both parts of the loss before anything is learned."""
    functions = (pair.source.vertices**2, pair.target.vertices**2)
    found = optimise_map(*sides, prior, k=K, steps=1, features=functions, weight=0.3, w_proper=2.0, w_distill=0.5, seed=4)
    inputs = torch.cat([f[side.index] for f, side in zip(functions, sides, strict=True)])
    weights = torch.cat([side.measure for side in sides])
    inputs = inputs / ((weights @ inputs.square()).sum() / 6).sqrt()
    surfaces = [side.surface for side in sides]
    parts = found.network(inputs.float(), surfaces).double().split([250, 250])
    a, b = (surface.analysis[:K].double() @ part for surface, part in zip(surfaces, parts, strict=True))
    scale = np.sqrt(2 * K / float(a.square().sum() + b.square().sum()))
    a, b = scale * a.numpy(), scale * b.numpy()
    maps, regular = [], []
    for x, y in ((a, b), (b, a)):
        gram = x @ x.T
        maps.append(y @ x.T @ np.linalg.inv(gram + optimisation.RIDGE * np.trace(gram) / K * np.eye(K)))
        mask = prior.mask(torch.as_tensor(maps[-1]), draws=optimisation.MASK_DRAWS, seed=4).numpy()
        regular.append(np.stack([np.linalg.solve(gram + 0.3 * np.diag(mask[i]) + 1e-9 * np.eye(K), x @ y[i]) for i in range(K)]))
    np.testing.assert_allclose(found.functional_map, maps[0], atol=2e-3)
    np.testing.assert_allclose(found.reverse_functional_map, maps[1], atol=2e-3)
    proper = _Pair(*sides, K).proper(*map(torch.as_tensor, regular))
    properness = sum(float((torch.as_tensor(c) - p).square().mean()) for c, p in zip(maps, proper, strict=True))
    draws = {"draws": optimisation.DISTILLATION_DRAWS, "seed": 4}
    pull = sum(float(distillation_loss(torch.as_tensor(c), prior, **draws)) for c in maps) * 2 / K**2
    (row,) = found.history
    assert row["properness"] == pytest.approx(properness, rel=0.02)
    assert row["distillation"] == pytest.approx(pull, rel=0.02)
    assert row["loss"] == pytest.approx(2 * row["properness"] + 0.5 * row["distillation"])


@pytest.mark.parametrize("features", ["xyz+wks", "xyz+hks"])
def test_a_rough_map_gets_better(sides, pair, prior, features):
    rough = spoiled(truth(pair))
    found = optimise_map(*sides, prior, k=K, steps=40, features=features, start=rough, warm_up=30, w_distill=0.1)
    small = (pair.source_basis.truncate(K), pair.target_basis.truncate(K))
    errors = [pair.error(functional_to_point(c, *small)) for c in (rough, found.functional_map, truth(pair))]
    assert errors[1] < 0.35 * errors[0]
    product = found.functional_map @ found.reverse_functional_map
    assert (product - torch.eye(K, dtype=torch.float64)).norm() < 0.5 * (rough @ rough.mT - torch.eye(K, dtype=torch.float64)).norm()


def test_seeds(sides, prior):
    before = torch.random.get_rng_state()
    one, again, other = (optimise_map(*sides, prior, k=K, steps=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.functional_map, again.functional_map)
    assert one.history == again.history
    assert not torch.equal(one.functional_map, other.functional_map)


def test_the_best_weights_are_kept(sides, prior):
    """A rate at which nothing is learned: the running mean decides, and patience ends it."""
    found = optimise_map(*sides, prior, k=K, steps=40, learning_rate=3.0, patience=4)
    means = [found.history[0]["loss"]]
    for row in found.history[1:]:
        means.append(0.9 * means[-1] + 0.1 * row["loss"])
    assert found.best_step == int(np.argmin(means))
    assert found.steps_done == found.best_step + 5 < 40
    untouched = optimise_map(*sides, prior, k=K, steps=found.best_step + 1, learning_rate=3.0, patience=None)
    assert torch.equal(found.functional_map, untouched.functional_map)
    assert not found.network.training


def test_the_likeliest_of_several(sides, prior, pair):
    start = spoiled(truth(pair))
    alone = [optimise_map(*sides, prior, k=K, steps=4, start=start, seed=seed) for seed in (0, 1, 2)]
    values = [found.log_likelihood for found in alone]
    by_hand = [prior.log_likelihood(torch.stack([f.functional_map, f.reverse_functional_map])).mean() / K**2 for f in alone]
    assert values == pytest.approx(list(map(float, by_hand)), abs=1e-4)
    told = []
    kept = optimise_map(*sides, prior, k=K, steps=4, start=start, restarts=3, progress=lambda *row: told.append(row[1]))
    assert kept.log_likelihood == pytest.approx(max(values))
    torch.testing.assert_close(kept.functional_map, alone[int(np.argmax(values))].functional_map)
    assert told == list(range(13))


def test_the_warm_up_holds_to_the_start(sides, prior, pair):
    """While it lasts, raw maps approach the proper map of the start; by default it lasts to the end."""
    start = spoiled(truth(pair))
    fixed = _Pair(*sides, K).proper(start, start.mT)[0]
    held = optimise_map(*sides, prior, k=K, steps=30, start=start, w_distill=0.0)
    same = optimise_map(*sides, prior, k=K, steps=30, start=start, w_distill=0.0, warm_up=30)
    assert torch.equal(held.functional_map, same.functional_map)
    off = float((held.functional_map - fixed).square().mean())
    assert off < 1.3 * held.history[held.best_step]["properness"] < 0.3 * held.history[0]["properness"]
    free = optimise_map(*sides, prior, k=K, steps=30, start=start, w_distill=0.0, warm_up=20)
    assert free.history[:20] == held.history[:20]
    assert free.history[20] != held.history[20]
    assert free.best_step >= 20


def test_a_start_turns_the_coordinates(pair, sides, prior):
    turned = MapSide.of(Mesh(pair.source.vertices @ turn().T, pair.source.faces), pair.source_basis, samples=250)
    assert torch.equal(turned.index, sides[0].index)
    start = truth(pair)
    found = _Pair(turned, sides[1], K).rotation(start, turned, sides[1])
    torch.testing.assert_close(found.double(), turn().T, rtol=0, atol=0.1)
    assert float(torch.det(found)) == pytest.approx(1)
    given = optimise_map(turned, sides[1], prior, k=K, steps=2, features="xyz", rotation=turn().T)
    plain = optimise_map(*sides, prior, k=K, steps=2, features="xyz")
    torch.testing.assert_close(given.functional_map, plain.functional_map, rtol=0, atol=0.02)
    unturned = optimise_map(turned, sides[1], prior, k=K, steps=2, features="xyz")
    assert (unturned.functional_map - plain.functional_map).abs().max() > 0.1


def test_no_mirror(pair, sides):
    """A start that mirrors: the rotation that is left is one."""
    mirrored = MapSide.of(
        Mesh(pair.source.vertices * torch.tensor([-1.0, 1, 1]), pair.source.faces.flip(1)), pair.source_basis, samples=250
    )
    assert float(torch.det(_Pair(mirrored, sides[1], K).rotation(truth(pair), mirrored, sides[1]))) == pytest.approx(1)


def test_clouds_and_single_precision(pair, sides, prior):
    cloud = PointCloud(pair.source.vertices.float(), pair.source.vertex_normals.float())
    basis = SampledBasis(*(x.float() for x in (pair.source_basis.modes, pair.source_basis.measure, pair.source_basis.eigenvalues)))
    side = MapSide.of(cloud, basis, laplacian(cloud), samples=250)
    exact = optimise_map(*sides, prior, k=K, steps=2)
    found = optimise_map(side, sides[1], prior, k=K, steps=2)
    assert found.functional_map.dtype == torch.float32
    # Slopes over other neighbours, and WKS of a float32 basis.
    assert (found.functional_map.double() - exact.functional_map).norm() < 0.3 * exact.functional_map.norm()


def test_progress(sides, prior):
    told = []
    optimise_map(*sides, prior, k=K, steps=3, progress=lambda *row: told.append(row))
    assert told == [("features", done, 3) for done in range(4)]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"k": 21}, "k: wanted between 1 and the 20 modes"),
        ({"k": 0}, "k: wanted between 1"),
        ({"k": True}, "k: wanted between 1"),
        ({"steps": 0}, "steps: wanted an integer, at least 1"),
        ({"warm_up": -1}, "warm_up: wanted an integer, at least 0"),
        ({"restarts": 0}, "restarts: wanted an integer, at least 1"),
        ({"patience": 2.5}, "patience: wanted an integer"),
        ({"features": "xyz+shot"}, "features: wanted some of xyz, wks, hks"),
        ({"features": (torch.ones(700, 3), torch.ones(900, 2))}, r"features: wanted finite functions \(900, q\) on the target"),
        ({"features": (torch.ones(250, 3), torch.ones(900, 3))}, r"features: wanted finite functions \(700, q\) on the source"),
        ({"features": (torch.full((700, 1), torch.nan), torch.ones(900, 1))}, "features: wanted finite"),
        ({"rotation": torch.eye(2)}, r"rotation: wanted shape \(3, 3\)"),
        ({"start": torch.eye(K - 1)}, "start: wanted a finite map of at least 12 x 12"),
        ({"start": torch.full((K, K), torch.nan)}, "start: wanted a finite map"),
    ],
)
def test_refusals(sides, prior, options, wanted):
    with pytest.raises(ArgumentError, match=wanted):
        optimise_map(*sides, prior, **{"k": K, "steps": 1, "features": "xyz", **options})


def test_refused_sides(pair):
    for basis in (SampledBasis(pair.source_basis.modes, pair.source_basis.measure), pair.target_basis):
        with pytest.raises(ArgumentError, match="basis: wanted a basis with eigenvalues on the 700 points"):
            MapSide.of(pair.source, basis)
    with pytest.raises(ArgumentError, match="samples: wanted a positive number or None"):
        MapSide.of(pair.source, pair.source_basis, samples=0)
    with pytest.raises(ArgumentError, match="index: wanted samples that tell 60 modes apart"):
        MapSide.of(pair.source, pair.source_basis, samples=50)
    with pytest.raises(ArgumentError, match="shape: wanted a shape in three dimensions"):
        MapSide.of(PointCloud(pair.source.vertices[:, :2]), pair.source_basis)
    with pytest.raises(ArgumentError, match="operator: wanted one on the 700 points"):
        MapSide.of(pair.source, pair.source_basis, laplacian(pair.target))
