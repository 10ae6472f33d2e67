"""Families of probes: one operator, many laws; samples that have the covariance that is applied."""

import math

import numpy as np
import pytest
import torch

from geospec.errors import ArgumentError, GeospecError
from geospec.probes import (
    CallableProbes,
    FreeFieldProbes,
    HeatProbes,
    MaternProbes,
    PiecewiseConstantProbes,
    PolynomialProbes,
    SchrodingerProbes,
    SmoothingGraph,
    family_of,
)
from geospec.probes.families import MOST_STEPS
from geospec.probes.fields import HeatField

N, K = 200, 12


@pytest.fixture(scope="module")
def points():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=generator, dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True) * torch.tensor([1.0, 0.8, 0.5])


def height(points):
    return 3 * (points[:, 2] - points[:, 2].min())


GRAPH = {
    "heat": HeatProbes(steps=15),
    "free field": FreeFieldProbes(epsilon=2.0),
    "Matern 1": MaternProbes(kappa=1.5, order=1),
    "Matern 2": MaternProbes(kappa=1.5, order=2),
    "Matern 3": MaternProbes(kappa=1.5, order=3),
    "Schrodinger": SchrodingerProbes(potential=height, steps=15),
}
ALL = [*GRAPH.values(), PiecewiseConstantProbes(5), PolynomialProbes(4), CallableProbes(lambda x, count, generator: x[:, :count])]
COMMUTING = [name for name in GRAPH if name != "Schrodinger"]


def dense(probes):
    return probes.covariance(torch.eye(N, dtype=torch.float64))


@pytest.mark.parametrize("name", GRAPH)
def test_samples_have_the_covariance(points, name):
    """Quadratic forms of 20,000 fields within four standard errors of the exact ones, and no bias in sight."""
    probes = GRAPH[name].on(points, K)
    q = torch.linalg.qr(torch.randn(N, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    squares = (q.T @ probes.sample(20_000, torch.Generator().manual_seed(2))).square()
    exact = (q * probes.covariance(q)).sum(dim=0)
    error = squares.std(dim=1) / 20_000**0.5
    assert ((squares.mean(dim=1) - exact).abs() < 4 * error).all()
    assert ((squares.mean(dim=1) - exact) / error).mean().abs() < 2


@pytest.mark.parametrize("name", COMMUTING)
def test_every_law_gives_the_same_eigenvalues_and_vectors(points, name):
    heat, probes = GRAPH["heat"].on(points, K), GRAPH[name].on(points, K)
    factors, vectors = torch.linalg.eigh(heat.smooth(torch.eye(N, dtype=torch.float64)))
    true = heat.graph.eigenvalue(factors.flip(0)[:K])
    energies, own = torch.linalg.eigh(dense(probes))
    found = probes.eigenvalue(energies.flip(0)[:K])
    torch.testing.assert_close(found, true, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close((vectors.flip(1)[:, :K].T @ own.flip(1)[:, :K]).abs().diagonal(), torch.ones(K, dtype=torch.float64))


def test_heat_is_powers_of_the_smoother(points):
    probes = GRAPH["heat"].on(points, K)
    power = torch.linalg.matrix_power(probes.smooth(torch.eye(N, dtype=torch.float64)), 30)
    torch.testing.assert_close(dense(probes), power)


def test_the_free_field_inverts_its_operator(points):
    probes = GRAPH["free field"].on(points, K)
    operator = probes.graph.generator().to_dense() / probes.graph.time + 2.0 * torch.eye(N, dtype=torch.float64)
    torch.testing.assert_close(dense(probes) @ operator, torch.eye(N, dtype=torch.float64), rtol=0, atol=1e-8)


def test_kappa_is_squared_and_epsilon_is_not(points):
    assert GRAPH["Matern 2"].on(points, K).shift == 1.5**2
    assert GRAPH["free field"].on(points, K).shift == 2.0


def test_a_potential_pushes_modes_away(points):
    probes = GRAPH["Schrodinger"].on(points, K)
    assert not probes.null_vector
    first = torch.linalg.eigh(dense(probes))[1][:, -1].square()
    where = float((first * height(points)).sum())
    assert where < 0.8 * float((probes.measure * height(points)).sum())
    # A constant potential shifts the spectrum and nothing else.
    shifted = SchrodingerProbes(potential=lambda p: torch.full_like(p[:, 0], 0.7), beta=2.0, steps=15).on(points, K)
    plain = GRAPH["heat"].on(points, K)
    a, b = (p.eigenvalue(torch.linalg.eigvalsh(dense(p)).flip(0)[:K]) for p in (shifted, plain))
    torch.testing.assert_close(a, b + 1.4, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", GRAPH)
def test_traces(points, name):
    probes = GRAPH[name].on(points, K)
    exact = float(dense(probes).trace())
    assert probes.trace(K) == pytest.approx(exact, rel=0.02)
    assert probes.trace(N) == pytest.approx(exact, rel=1e-8)


def test_leading_factors_come_from_below(points):
    probes = GRAPH["heat"].on(points, K)
    true = torch.linalg.eigvalsh(probes.smooth(torch.eye(N, dtype=torch.float64))).flip(0)[:K]
    rough = probes.leading(K)
    assert (rough <= true + 1e-12).all()
    torch.testing.assert_close(1 - rough, 1 - true, rtol=0.05, atol=1e-9)


def test_automatic_steps_leave_a_thousandth(points):
    probes = HeatProbes().on(points, K)
    energies = torch.linalg.eigvalsh(dense(probes)).flip(0)
    assert 3e-4 < float(energies[K - 1] / energies[0]) < 3e-3
    assert probes.steps == HeatProbes().on(points.float(), K).steps


def test_automatic_numbers_for_one_mode_are_those_for_two(points):
    """The first eigenvalue is 0: measured by itself it would ask for the most steps and for no shift."""
    assert HeatProbes().on(points, 1).steps == HeatProbes().on(points, 2).steps < MOST_STEPS
    assert FreeFieldProbes().on(points, 1).shift == FreeFieldProbes().on(points, 2).shift
    probes = MaternProbes().on(points, 1)
    assert 1e-3 < probes.shift / float(probes.eigenvalue(torch.linalg.eigvalsh(dense(probes))[-2])) < 3e-2


def test_the_path_has_cosines_for_modes():
    """``I - t L`` of a path given as it is: the discrete cosine transform, through every part of the probes."""
    n, t = 64, 0.25
    matrix = torch.eye(n, dtype=torch.float64) * (1 - 2 * t)
    matrix[0, 0] = matrix[-1, -1] = 1 - t
    matrix += t * (torch.ones(n - 1, dtype=torch.float64).diag(1) + torch.ones(n - 1, dtype=torch.float64).diag(-1))
    csr = matrix.to_sparse_csr()
    even = torch.full((n,), 1 / n, dtype=torch.float64)
    graph = SmoothingGraph(csr.crow_indices().int(), csr.col_indices().int(), csr.values(), even, t, even, 1)
    probes, j = HeatField(graph, 50), torch.arange(n, dtype=torch.float64)
    modes = torch.cos(math.pi * (j[:, None] + 0.5) * j / n)
    factors = 1 - t * (2 - 2 * torch.cos(math.pi * j / n))
    torch.testing.assert_close(probes.covariance(modes), modes * factors**100, rtol=1e-10, atol=1e-12)
    first = slice(0, 10)
    torch.testing.assert_close(probes.eigenvalue(factors[first] ** 100), -factors[first].log() / t, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(probes.trace(20), float((factors**100).sum()), rtol=1e-9, atol=0)


def test_fields_repeat_and_take_no_gradient(points):
    for family in ALL:
        cloud = points.clone().requires_grad_()
        first, again = (family.on(cloud, 3).sample(2, torch.Generator().manual_seed(4)) for _ in range(2))
        assert torch.equal(first, again)
        assert not first.requires_grad


def test_covariances_are_differentiable_and_their_own_adjoint(points):
    q = torch.randn(N, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    for family in GRAPH.values():
        probes = family.on(points, K)
        gradient = torch.autograd.grad((q * probes.covariance(q)).sum(), q)[0]
        torch.testing.assert_close(gradient, 2 * probes.covariance(q).detach())


def test_polynomials():
    points = torch.randn(N, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)  # on no quadric
    probes = PolynomialProbes(degree=2).on(points, 10)
    assert torch.linalg.matrix_rank(dense(probes)) == 10
    q = torch.linalg.qr(torch.stack([torch.ones(N), points[:, 0], points[:, 1] * points[:, 2]], dim=1).double())[0]
    span = torch.linalg.eigh(dense(probes))[1][:, -10:]
    assert float((span.T @ q).square().sum()) == pytest.approx(3)
    fields = probes.sample(5000, torch.Generator().manual_seed(0))
    torch.testing.assert_close((q.T @ fields).square().mean(dim=1), (q * probes.covariance(q)).sum(dim=0), rtol=0.1, atol=0)
    assert probes.eigenvalue(torch.ones(3)) is None
    with pytest.raises(ArgumentError, match="at least k = 12 monomials"):
        PolynomialProbes(degree=2).on(points, 12)


def test_piecewise_constants(points):
    probes = PiecewiseConstantProbes(cells=5).on(points, 4)
    fields = probes.sample(7, torch.Generator().manual_seed(0))
    assert fields.shape == (N, 7)
    assert all(len(column.unique()) == 5 for column in fields.T)
    assert torch.equal(fields, probes.sample(7, torch.Generator().manual_seed(0)))
    with pytest.raises(ArgumentError, match="exact"):
        probes.covariance(fields)


def test_any_function(points):
    probes = CallableProbes(lambda x, count, generator: x[:, :1] * torch.ones(count, dtype=x.dtype)).on(points, 3)
    assert torch.equal(probes.sample(4), points[:, :1].expand(N, 4))
    with pytest.raises(ArgumentError, match=r"\(200, 4\) fields"):
        CallableProbes(lambda x, count, generator: x).on(points, 3).sample(4)
    with pytest.raises(ArgumentError, match="finite"):
        CallableProbes(lambda x, count, generator: torch.full((N, count), math.inf)).on(points, 3).sample(4)


@pytest.mark.parametrize("family", [HeatProbes(alpha=0.5, steps=9), MaternProbes(kappa=2.0, order=3), PolynomialProbes(3)])
def test_options_make_the_family_again(family):
    assert family_of(family.options()) == family
    assert family_of({"family": "SchrodingerProbes"}) is None


def test_options_of_numpy_numbers_are_kept():
    family = HeatProbes(alpha=np.float32(0.5), steps=np.int64(9), neighbors=np.int64(12))
    assert family.options() == HeatProbes(alpha=0.5, steps=9, neighbors=12).options()


@pytest.mark.parametrize(
    ("family", "argument"),
    [
        (HeatProbes(steps=0), "steps"),
        (HeatProbes(steps="many"), "steps"),
        (FreeFieldProbes(epsilon=0.0), "epsilon"),
        (MaternProbes(order=0), "order"),
        (MaternProbes(kappa="x"), "kappa"),
        (MaternProbes(kappa=-1.5), "kappa.*got -1.5"),  # its square would do
        (MaternProbes(kappa=None), "kappa"),
        (SchrodingerProbes(potential=height, beta=-1.0), "^beta: wanted"),
        (SchrodingerProbes(potential=height, beta=math.nan), "^beta: wanted"),
        (CallableProbes(None), "draw"),
        (SchrodingerProbes(), "potential"),
        (SchrodingerProbes(potential=torch.ones(3)), "potential"),
        (SchrodingerProbes(potential=lambda p: -height(p) - 1), "potential"),
        (PiecewiseConstantProbes(cells=1), "cells"),
        (PolynomialProbes(degree=-1), "degree"),
    ],
)
def test_bad_options(points, family, argument):
    with pytest.raises(ArgumentError, match=argument):
        family.on(points, K)


@pytest.mark.parametrize("family", ALL, ids=lambda family: type(family).__name__)
def test_bad_clouds_and_counts(points, family):
    for k in (0, -1, 2.5, True, N + 1):
        with pytest.raises(ArgumentError, match="k: wanted an integer from 1 to the 200 points"):
            family.on(points, k)
    broken = points.index_fill(0, torch.tensor([3]), math.nan)
    for bad in (points[:, 0], points.long(), points[:0], points[:, :0], broken, [1.0, 2.0]):
        with pytest.raises(GeospecError, match="points: wanted"):
            family.on(bad, 1)


def test_bad_numbers_of_fields(points):
    for family in (GRAPH["heat"], GRAPH["Matern 1"], PolynomialProbes(2)):
        assert family.on(points, 3).sample(0).shape == (N, 0)
        for count in (-1, 1.5):
            with pytest.raises(ArgumentError, match="count"):
                family.on(points, 3).sample(count)
