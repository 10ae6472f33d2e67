"""How near two bases are: invariances, closed forms, matching."""

import math

import pytest
import torch

from geospec.errors import ArgumentError
from geospec.metrics import matched_cosine, subspace_overlap


@pytest.fixture
def q():
    return torch.linalg.qr(torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]


def test_overlap_sees_the_span_alone(q):
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    assert subspace_overlap(q, q @ turn) == pytest.approx(1)
    assert subspace_overlap(q[:, :3], q) == pytest.approx(0.5)
    assert subspace_overlap(q, q[:, :3]) == pytest.approx(1)
    assert subspace_overlap(q[:, :3], q[:, 3:]) == pytest.approx(0, abs=1e-12)


def test_a_mass_weighs_the_product(q):
    mass = torch.rand(40, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1
    modes = q / mass.sqrt()[:, None]
    assert subspace_overlap(modes, modes, mass) == pytest.approx(1)
    torch.testing.assert_close(matched_cosine(modes, -modes, mass), torch.ones(6, dtype=torch.float64))


def test_cosines_of_a_known_angle(q):
    angle = 0.3
    other = q.clone()
    other[:, 0] = math.cos(angle) * q[:, 0] + math.sin(angle) * q[:, 1]
    assert matched_cosine(q, other, match=False)[0] == pytest.approx(math.cos(angle))
    assert matched_cosine(q, 5 * other, match=False)[0] == pytest.approx(math.cos(angle))  # lengths do not matter


def test_matching_forgives_a_swap_and_index_by_index_does_not(q):
    swapped = q[:, [1, 0, 2, 3, 5, 4]]
    torch.testing.assert_close(matched_cosine(q, swapped), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(matched_cosine(q, swapped, match=False), torch.tensor([0, 0, 1, 1, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(matched_cosine(q, q[:, [4, 2]]), torch.ones(2, dtype=torch.float64))  # more columns than wanted


def test_bad_input(q):
    with pytest.raises(ArgumentError, match="a: wanted shape"):
        subspace_overlap(q[:, 0], q)
    with pytest.raises(ArgumentError, match="b: wanted one row"):
        subspace_overlap(q, q[:5])
    with pytest.raises(ArgumentError, match="mass"):
        subspace_overlap(q, q, torch.ones(3))
    with pytest.raises(ArgumentError, match="a: wanted at least"):
        matched_cosine(q[:, :2], q)
    broken = q.index_fill(0, torch.tensor([3]), math.nan)
    for metric in (subspace_overlap, matched_cosine):
        for a, b, mass, wanted in (
            (q[:, 0], q, None, "a: wanted shape"),
            (q, q[:, :0], None, "b: wanted shape"),
            (q, broken, None, "b: wanted finite"),
            (q, q, torch.ones(3), "mass: wanted shape"),
            (q, q, -torch.ones(40), "mass: wanted finite numbers of at least 0"),
        ):
            with pytest.raises(ArgumentError, match=wanted):
                metric(a, b, mass)
    with pytest.raises(ArgumentError, match="a: wanted columns of positive length, got 1"):
        matched_cosine(torch.cat([torch.zeros(40, 1, dtype=torch.float64), q[:, 1:]], dim=1), q)
