"""Lessons: the eigenvectors are the best answer, and turning a cloud leaves it one."""

from dataclasses import replace

import pytest
import torch

from geospec.pipelines.eigenbasis_lessons import HeatLesson
from geospec.pipelines.eigenbasis_training import EigenbasisTraining, lesson_of


@pytest.fixture(scope="module")
def lesson():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(300, 3, generator=generator)
    return HeatLesson(points / points.norm(dim=1, keepdim=True) * torch.tensor([1.0, 0.8, 0.5]), 12)


def emitted(lesson):
    """What a perfect network emits: functions, without the constant, before their scaling by the root of the measure."""
    _, vectors = lesson._true
    return vectors[:, 1:] / (lesson.probes.measure.double() * 300).sqrt()[:, None]


def test_the_eigenvectors_are_the_best_answer(lesson):
    best = emitted(lesson)
    found = lesson.measures(best)
    assert found["overlap_10"] == pytest.approx(1, abs=1e-5)
    assert found["refined_10"] == pytest.approx(1, abs=1e-5)
    assert found["optimality_ratio"] == pytest.approx(1, abs=1e-4)
    lowest = lesson.loss(best)
    noise = torch.randn(best.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.01
    assert lesson.loss(best + noise) > lowest
    assert lesson.loss(best.flip(1)) > lowest
    assert lesson.measures(noise)["overlap_10"] < 0.6


def test_the_gradient_is_that_of_the_loss(lesson):
    """By finite differences of a lesson in float64."""
    exact = HeatLesson(lesson.points.double(), 12)
    columns = torch.randn(300, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    exact.loss(columns).backward()
    direction = torch.randn(300, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    step = 1e-5
    with torch.no_grad():
        numeric = (exact.loss(columns + step * direction) - exact.loss(columns - step * direction)) / (2 * step)
    assert float((columns.grad * direction).sum()) == pytest.approx(float(numeric), rel=1e-5)


def test_lessons_of_the_collection():
    """Those held out are on other shapes, the same whatever the size of the pool."""
    plan = EigenbasisTraining(points=200, modes=5, shapes=3)
    first, again = (lesson_of(plan, 1) for _ in range(2))
    assert torch.equal(first.points, again.points)
    assert (first.points.shape, first.modes) == ((200, 3), 5)
    held = lesson_of(plan, 4)
    assert not torch.equal(held.points, first.points)
    assert torch.equal(held.points, lesson_of(replace(plan, shapes=30), 31).points)
