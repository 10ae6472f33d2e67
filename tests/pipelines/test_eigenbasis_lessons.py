"""Lessons: the eigenvectors are the best answer, and what is learned from the loss is its gradient."""

from dataclasses import replace

import pytest
import torch

from geospec import EigenbasisNetwork
from geospec.bases.learned.columns import orthonormal
from geospec.pipelines.eigenbasis_lessons import HeatLesson
from geospec.pipelines.eigenbasis_training import EigenbasisTraining, lesson_of

SIZES = {"learned": 6, "width": 16, "depth": 1, "heads": 2, "tokens": 4}


def network(modes=12, degree=3):
    torch.manual_seed(0)
    return EigenbasisNetwork(modes, degree=degree, **SIZES)


def cloud(n=300):
    points = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return points / points.norm(dim=1, keepdim=True) * torch.tensor([1.0, 0.8, 0.5])


@pytest.fixture(scope="module")
def lesson():
    return HeatLesson(network(), cloud())


@pytest.fixture(scope="module")
def exact():
    return HeatLesson(network(degree=2).double(), cloud().double())


def noise(lesson, columns, seed=1):
    return torch.randn(len(lesson.features), columns, generator=torch.Generator().manual_seed(seed), dtype=lesson.features.dtype)


def test_the_eigenvectors_are_the_best_answer(exact):
    """The bound is Eckart and Young's, by the energies of the covariance alone."""
    lesson = exact
    best = lesson.vectors[:, 1:13] / lesson.root
    lowest = float(torch.log(1 - lesson.energies.cumsum(0)[:12] / lesson.total).mean())
    assert float(lesson.loss(best)) == pytest.approx(lowest, abs=1e-6)
    assert float(lesson.loss(best @ torch.randn(12, 12, dtype=torch.float64))) == pytest.approx(lowest, abs=1e-6)  # their span is
    found = lesson.measures(best)
    assert found["refined_10"] == pytest.approx(1, abs=1e-8)
    assert set(found) == {"coarse_10", "coarse_12", "refined_10", "refined_12"}
    for worse in (best[:, :4], noise(lesson, 12)):
        assert lesson.loss(worse) > lowest + 1e-6
        assert lesson.measures(worse)["refined_12"] < found["refined_12"]
    # The coarse modes are there whatever was emitted.
    assert lesson.measures(noise(lesson, 2, 4))["coarse_10"] == found["coarse_10"]


def test_energies_are_those_of_the_fields(exact):
    """``q^T C q`` with the covariance as smoothing, not as the leading part of its spectrum."""
    probes = network(degree=2).double().prepare(cloud().double()).probes
    q = exact.refined(noise(exact, 6))
    captured = (q * probes.covariance(q)).sum(dim=0)
    torch.testing.assert_close(((q.T @ exact.vectors).square() * exact.energies).sum(dim=1), captured, rtol=1e-6, atol=1e-8)


def test_the_gradient_is_that_of_the_loss(exact):
    """By finite differences, the rotation to the Ritz vectors included: it is held, and adds nothing to the first order."""
    emitted = noise(exact, 5, 2).requires_grad_()
    exact.loss(emitted).backward()
    direction, step = noise(exact, 5, 3), 1e-5
    with torch.no_grad():
        numeric = float(exact.loss(emitted + step * direction) - exact.loss(emitted - step * direction)) / (2 * step)
        q = orthonormal(exact.refined(emitted))[0]
    assert abs(numeric) > 1e-6
    assert float((emitted.grad * direction).sum()) == pytest.approx(numeric, rel=1e-3)
    torch.testing.assert_close(q, exact.refined(emitted.detach()))


def test_the_network_answers_as_the_lesson_measures(lesson):
    """The basis that the network gives spans what the lesson judged."""
    net = network()
    with torch.no_grad():
        emitted = net.columns(lesson.features, lesson.measure, torch.tensor([0, 300]))
        basis = net(cloud(), 12)
    torch.testing.assert_close(lesson.refined(emitted).abs(), basis.normalized_modes.abs(), rtol=1e-2, atol=1e-3)


def test_lessons_of_the_collection():
    """Those held out are on other shapes, the same whatever the size of the pool."""
    plan = EigenbasisTraining(points=200, modes=5, shapes=3, **{name: SIZES[name] for name in ("learned", "width", "depth")})
    first, again = (lesson_of(plan, 1) for _ in range(2))
    assert torch.equal(first.features, again.features)
    assert (len(first.measure), first.modes) == (200, 5)
    held = lesson_of(plan, 4)
    assert not torch.equal(held.features, first.features)
    assert torch.equal(held.features, lesson_of(replace(plan, shapes=30), 31).features)
    assert not torch.equal(held.features, lesson_of(replace(plan, seed=1), 4).features)
