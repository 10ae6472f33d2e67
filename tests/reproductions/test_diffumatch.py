"""The runs at sizes that cost seconds, and what they measure with, held against closed forms."""

import math
from dataclasses import replace

import pytest
import torch

import geospec
from geospec import maps
from geospec.maps import FunctionalMapPrior
from geospec.reproductions import REPRODUCTIONS, Setting, reproduce
from geospec.reproductions.diffumatch import denoising, masks, pairs, real, shapes
from geospec.reproductions.diffumatch.exhibits import Curves, Masks, Reliability
from geospec.reproductions.diffumatch.pairs import Prepared
from geospec.reproductions.diffumatch.shapes import Pair, bumpy_bodies, true_maps


@pytest.fixture(scope="module")
def bodies():
    return bumpy_bodies(5, 3, seed=1)


@pytest.fixture
def prior(monkeypatch):
    """A Gaussian prior stands in for the one that ships."""
    made = FunctionalMapPrior.of_moments(true_maps(bumpy_bodies(5, 6, seed=4), 30))
    monkeypatch.setattr(FunctionalMapPrior, "pretrained", classmethod(lambda cls, name="functional-maps": made))
    return made


def test_bodies_share_vertices_and_nothing_else(bodies):
    for body in bodies:
        assert body.n_points == 642
        assert float(body.area) == pytest.approx(1)
        assert torch.allclose((body.measure[:, None] * body.vertices).sum(dim=0), torch.zeros(3, dtype=torch.float64), atol=1e-12)
        assert torch.equal(body.faces, bodies[0].faces)
    apart = (bodies[0].vertices - bodies[1].vertices).norm(dim=1)
    assert 0.01 < float(apart.mean()) < 0.2
    assert torch.equal(bumpy_bodies(5, 1, seed=1)[0].vertices, bodies[0].vertices)
    assert not torch.allclose(bumpy_bodies(7, 1, seed=1)[0].vertices, bodies[0].vertices, atol=0.01)


def test_true_maps_are_those_of_the_identity(bodies):
    same = true_maps([bodies[0], bodies[0]], 12)
    assert torch.allclose(same, torch.eye(12, dtype=torch.float64).expand_as(same), atol=1e-8)
    found = true_maps(bodies, 12)
    assert found.shape == (6, 12, 12)
    source, target = (geospec.LaplaceBasis.fit(body, 12) for body in bodies[:2])
    assert torch.allclose(found[0], target.modes.T @ (target.measure[:, None] * source.modes), atol=1e-8)
    assert torch.allclose(found[1], source.modes.T @ (source.measure[:, None] * target.modes), atol=1e-8)


def test_errors_of_a_pair(bodies):
    """Against the library's own error, and against the mirror where that is nearer."""
    source, target = bodies[:2]
    chosen = torch.arange(0, 642, 13)
    shifted = (torch.arange(642) + 1) % 642
    pair = Pair("a b", source, target, (chosen, chosen), (chosen, shifted[chosen]))
    assert float(pair.errors(torch.arange(642)).max()) == pytest.approx(0, abs=1e-6)
    assert pair.mean_errors(shifted)[1] == pytest.approx(0, abs=1e-6)
    expected = maps.geodesic_error(shifted, (chosen, chosen), source, distances=masks.all_distances(source).T)
    assert torch.allclose(pair.errors(shifted), expected)
    assert pair.mean_errors(shifted)[0] == pytest.approx(float(expected.mean()))


def test_collections_of_a_folder(tmp_path, bodies):
    folder = tmp_path / "zoo" / "beasts"
    folder.mkdir(parents=True)
    for name in ("cat-0", "cat-1", "dog-0"):
        geospec.save(bodies[0], folder / f"{name}.off")
    for name in ("cat-0_to_cat-1", "cat-0_to_dog-0"):
        (folder / name).write_text("\n".join(map(str, range(641, -1, -1))))
    (tmp_path / "notes").mkdir()
    found = shapes.collections(tmp_path)
    assert list(found) == ["beasts"]
    assert [pair.name for pair in found["beasts"]] == ["cat-1 cat-0", "dog-0 cat-0", "cat-0 dog-0"]
    there, back = found["beasts"][1:]
    assert (back.source, back.target) == (there.target, there.source)
    assert torch.equal(back.correspondence[0], there.correspondence[1])
    pair = Pair.of(there, 50)
    assert len(pair.truth[0]) == 50
    assert torch.equal(pair.truth[0], 641 - pair.truth[1])
    with pytest.raises(geospec.errors.ArgumentError, match="data: wanted a folder with pairs"):
        shapes.collections(tmp_path / "notes")


def test_problems_and_the_best_weight(bodies):
    problem = masks.Problem.of(Pair.registered("a b", *bodies[:2]), torch.Generator().manual_seed(0), k=20, descriptors=30)
    assert problem.errors(problem.true_map)[0] == 0
    noise = (problem.target_coefficients - problem.true_map @ problem.source_coefficients).norm(dim=0)
    assert torch.allclose(noise / (problem.true_map @ problem.source_coefficients).norm(dim=0), torch.full((30,), 0.25).double())
    exact = replace(problem, target_coefficients=problem.true_map @ problem.source_coefficients)
    found = masks.best([exact], masks.tikhonov, torch.tensor([1e-12, 1.0, 1e3]).double())
    assert found.weight == pytest.approx(1e-12)
    assert found.relative < 1e-3
    told = masks.compare([problem], {"none": lambda p: 0 * p.true_map, "Tikhonov": masks.tikhonov})
    assert told["Tikhonov"].relative < told["none"].relative


def test_denoising_errors_are_those_of_the_wiener_filter():
    """Entries drawn as the Gaussian prior thinks: the mean squared error is that of the closed form, and shares are one."""
    generator = torch.Generator().manual_seed(0)
    deviation = 0.1 + 0.4 * torch.rand(20, 20, generator=generator)
    drawn = 2 + deviation * torch.randn(4000, 20, 20, generator=generator)
    prior = FunctionalMapPrior.of_moments(drawn)
    for sigma, error in denoising.squared_errors(prior, drawn[:1000]).items():
        assert error == pytest.approx(float((deviation**2 * sigma**2 / (deviation**2 + sigma**2)).mean()), rel=0.02)
    told = denoising.Shares.of(prior, drawn[:1000])
    assert told.trained == {0.1: 1, 0.3: 1, 1.0: 1}
    assert told.own == pytest.approx(1, abs=0.01)
    wide = FunctionalMapPrior.of_moments(5 * drawn)
    assert denoising.Shares.of(wide, drawn[:1000]).own > 1.5


def test_reliability():
    confidence = torch.tensor([0.05, 0.05, 0.95, 0.95, 0.95, 1.0])
    right = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    table = Reliability.of("x", confidence, right)
    assert table.within[0] == 0.5
    assert table.within[-1] == 0.75
    assert float(table.share.sum()) == pytest.approx(1)
    assert bool(table.within[1:-1].isnan().all())
    assert table.gap == pytest.approx((2 * 0.45 + 4 * (3.85 / 4 - 0.75)) / 6)


def test_separation():
    right = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert real.separation(torch.tensor([0.1, 0.2, 0.3, 0.4]), right) == 1
    assert real.separation(torch.tensor([0.4, 0.3, 0.2, 0.1]), right) == 0
    assert real.separation(torch.tensor([0.2, 0.2, 0.2, 0.2]), right) == 0.5
    assert real.separation(torch.tensor([0.1, 0.3, 0.2, 0.4]), right) == 0.75
    assert math.isnan(real.separation(torch.rand(3), torch.ones(3)))


@pytest.mark.parametrize(
    ("names", "floor", "limits"),
    [
        (("cat0", "cat1"), 1.0, [("mean error / pyFM", 0.6), ("mean error", 2.5)]),
        (("cat0", "cat1"), 8.0, [("mean error / pyFM", 0.6)]),
        (("cat0", "lion0"), 8.0, [("median error / pyFM", 0.5)]),
    ],
)
def test_limits_of_a_collection(tmp_path, names, floor, limits):
    index = torch.arange(2)
    paths = [tmp_path / f"{name}.off" for name in names]
    pair = geospec.datasets.ShapePair(" ".join(names), *paths, (index, index))
    errors = {"pyFM": [torch.tensor([10.0, 20.0])] * 3, "best": [torch.full((2,), value) for value in (1.0, 2.0, 9.0)]}
    row = real.collection_row("zoo", [pair] * 3, {**errors, "floor": [torch.full((2,), floor)] * 3})
    assert [(check.what, check.limit) for check in row.checks] == limits
    assert row.checks[0].value == pytest.approx(2 / 15 if "lion0" in names else 4 / 15)
    assert ("too noisy" in row.ours) == (floor > 2.5 and "lion0" not in names)


def test_masks_run_and_are_drawn(prior, monkeypatch, tmp_path):
    monkeypatch.setattr(masks, "WEIGHTS", torch.logspace(-3, 1, 5).double())
    monkeypatch.setattr(masks, "QUICK_PAIRS", 1)
    result = reproduce("diffumatch", tmp_path, only=["masks"])
    assert [row.run for row in result.rows] == ["masks A", "masks B"]
    for row in result.rows:
        assert isinstance(row.exhibit, Masks)
        assert set(row.numbers) == {"Tikhonov", "Laplacian", "resolvent", "Gaussian", "distilled"}
        # Without a network the distilled mask speaks of the same moments, so it must beat the Laplacian mask as the Gaussian one does.
        assert row.checks[0].passed
        assert all(check.what.isascii() for check in row.checks)
    assert (tmp_path / "figure.png").stat().st_size > 20_000


def test_a_small_prior_learns(monkeypatch):
    monkeypatch.setattr(denoising, "QUICK_STEPS", 12)
    monkeypatch.setattr(denoising, "QUICK_SHAPES", 12)
    monkeypatch.setattr(denoising, "TRIED_SHAPES", 4)
    monkeypatch.setattr(denoising, "NOTE", {**denoising.NOTE, "width": 16, "depth": 1, "batch": 8})
    monkeypatch.setattr(denoising, "VALIDATION_LEVELS", (0.3,))
    row = next(denoising.note_training(Setting()))
    shares = row.numbers["shares"]
    assert set(shares) == {"on A, A", "on A, B"}
    assert all(0.5 < share["0.3"] < 0.9999 for share in shares.values()), "an untrained network is the Wiener filter"
    assert row.numbers["shares_of_own_moments"]["on A, B"] > shares["on A, B"]["0.3"]


def test_a_pair_end_to_end(prior, bodies):
    """Each method on one pair of bodies that look alike; the floor is the best, as it starts from the truth."""
    prepared = Prepared(Pair.registered("a b", *bodies[:2]), inputs="xyz+wks")
    a, b = prepared.coefficients
    assert a.shape == b.shape == (30, 103)
    assert float(a.square().mean() + b.square().mean()) * 103 / 2 == pytest.approx(1, rel=1e-6)
    floor = prepared.pair.mean_errors(prepared.floor())[0]
    assert floor < 3
    for mask in pairs.WEIGHTS:
        error = prepared.pair.mean_errors(prepared.masked(mask, prior))[0]
        assert floor - 0.2 < error < 12, mask
    found = prepared.optimised(prior, steps=8, width=16, blocks=1)
    assert found.shape == (642,)


def test_curves_and_reliability_are_drawn():
    from geospec.reproductions import Row
    from geospec.reproductions.diffumatch.figure import draw

    errors = {"a": torch.linspace(0, 5, 50), "b": torch.linspace(0, 30, 50)}
    confidence = torch.rand(200, generator=torch.Generator().manual_seed(0))
    rows = [
        Row("x", "", "", exhibit=Curves("curves", errors)),
        Row("y", "", "", exhibit=Reliability.of("told", confidence, (confidence > 0.5).double())),
    ]
    both, neither = draw(rows), draw([])
    assert both.width == neither.width
    assert both.height > neither.height + 600
    assert len({picture.tobytes() for picture in (both, draw(rows[:1]), draw(rows[1:]))}) == 3


def test_what_needs_more_than_the_core():
    runs = REPRODUCTIONS["diffumatch"].runs
    assert {name for name, run in runs.items() if run.packages} == {"pairs", "real-masks", "real"}
    assert {name for name, run in runs.items() if run.needs_data} == {"real-masks", "real"}
