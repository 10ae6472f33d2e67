"""The nested loss: its bound, its order, its identity with projections; the published one, and why the whitened one is refused."""

import math

import pytest
import torch

from geospec.errors import ArgumentError
from geospec.losses import check_loss, nested_reconstruction, weighted_reconstruction
from geospec.metrics import optimality_ratio


@pytest.fixture(scope="module")
def fields():
    """200 fields on 60 points, with a decaying spectrum."""
    generator = torch.Generator().manual_seed(0)
    u, _ = torch.linalg.qr(torch.randn(60, 60, generator=generator, dtype=torch.float64))
    return u @ (0.8 ** torch.arange(60, dtype=torch.float64)[:, None] * torch.randn(60, 200, generator=generator, dtype=torch.float64))


def orthonormal(n, k, seed):
    return torch.linalg.qr(torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))[0]


def by_projection(q, fields):
    """The mean over k of what ``Q_k Q_k^T`` leaves of the fields, one truncation at a time."""
    left = [(fields - q[:, :k] @ (q[:, :k].T @ fields)).square().sum() for k in range(1, q.shape[1] + 1)]
    return torch.stack(left) / fields.square().sum()


def captured(q, fields):
    return (q.T @ fields).square().sum(dim=1)


@pytest.mark.parametrize("form", ["plain", "log"])
def test_cumulative_energies_are_the_projections(fields, form):
    z = torch.randn(60, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)

    def fast(z):
        return nested_reconstruction(captured(torch.linalg.qr(z)[0], fields), fields.square().sum(), form)

    left = by_projection(torch.linalg.qr(z)[0], fields)
    naive = left.mean() if form == "plain" else left.log().mean()
    torch.testing.assert_close(fast(z), naive, rtol=1e-10, atol=0)
    torch.testing.assert_close(torch.autograd.grad(fast(z), z)[0], torch.autograd.grad(naive, z)[0], rtol=1e-6, atol=1e-12)
    assert torch.autograd.gradcheck(fast, z)


@pytest.mark.parametrize("form", ["plain", "log"])
def test_the_least_loss_is_that_of_the_singular_vectors(fields, form):
    u, s, _ = torch.linalg.svd(fields, full_matrices=False)
    total = fields.square().sum()
    best = nested_reconstruction(captured(u[:, :8], fields), total, form)
    left = 1 - s.square().cumsum(0)[:8] / total
    torch.testing.assert_close(best, left.mean() if form == "plain" else left.log().mean(), rtol=1e-10, atol=1e-12)
    for seed in range(5):
        assert nested_reconstruction(captured(orthonormal(60, 8, seed), fields), total, form) > best + 1e-3
    assert nested_reconstruction(captured(u[:, [1, 0, *range(2, 8)]], fields), total, form) > best  # another order is worse


def test_decreasing_weights_order_the_columns_and_equal_ones_do_not(fields):
    """Brockett: nesting is what tells one column from the next."""
    u = torch.linalg.svd(fields, full_matrices=False)[0]
    total = fields.square().sum()

    def descend(loss):
        z = orthonormal(60, 4, 3).contiguous().requires_grad_()
        optimiser = torch.optim.LBFGS([z], lr=1, max_iter=400, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe")

        def closure():
            optimiser.zero_grad()
            value = loss(captured(torch.linalg.qr(z)[0], fields))
            value.backward()
            z.grad = z.grad.contiguous()
            return value

        optimiser.step(closure)
        return torch.linalg.qr(z.detach())[0]

    nested = descend(lambda c: nested_reconstruction(c, total))
    flat = descend(lambda c: 1 - c.sum() / total)
    for q in (nested, flat):  # both find the span
        assert float((u[:, :4].T @ q).square().sum()) == pytest.approx(4, abs=1e-5)
    assert (u[:, :4].T @ nested).abs().diagonal().min() > 0.9999
    assert (u[:, :4].T @ flat).abs().diagonal().min() < 0.99


def test_optimality_ratio_is_one_at_the_best_only(fields):
    u, s, _ = torch.linalg.svd(fields, full_matrices=False)
    total, energies = fields.square().sum(), s[:6].square()
    assert optimality_ratio(captured(u[:, :6], fields), energies, total) == pytest.approx(1, abs=1e-10)
    assert optimality_ratio(captured(orthonormal(60, 6, 0), fields), energies, total) > 1.5


def test_the_published_loss_is_its_definition(fields):
    q = orthonormal(60, 5, 2)
    m = torch.diag(q[:, 0].square())
    total = 0.0
    for k in range(1, 6):
        part = q[:, :k]
        inverse = torch.linalg.inv(part.T @ m @ part + 1e-8 * torch.eye(k, dtype=torch.float64))
        total = total + (fields - part @ inverse @ part.T @ m @ fields).square().sum() / (5 * 200)
    torch.testing.assert_close(weighted_reconstruction(q, fields), total, rtol=1e-9, atol=0)


def test_the_whitened_loss_is_refused_with_its_reason():
    with pytest.raises(ArgumentError, match="piling the mass on few points"):
        check_loss("whitened")
    with pytest.raises(ArgumentError, match="loss: wanted one of"):
        check_loss("squared")


def test_a_learned_weight_in_the_residual_degenerates(fields):
    """What the refusal speaks of: mass on few points makes the weighted residual vanish, whatever the columns."""
    n, k = 60, 5

    def whitened(first):
        weight = first.square()
        scaled = first.abs()[:, None] * fields
        q = torch.linalg.qr(torch.cat([first[:, None], orthonormal(n, k - 1, 4)], dim=1))[0]
        assert weight.sum() == pytest.approx(1)
        return float((scaled - q @ (q.T @ scaled)).square().sum() / fields.square().mean())

    even = torch.full((n,), n**-0.5, dtype=torch.float64)
    piled = torch.cat([torch.ones(1), torch.full((n - 1,), 1e-3)]).double()
    assert whitened(piled / piled.norm()) < 1e-2 * whitened(even)


def test_bad_input():
    with pytest.raises(ArgumentError, match="form"):
        nested_reconstruction(torch.ones(3), 10.0, "cubic")
    with pytest.raises(ArgumentError, match="total: wanted more than the columns capture"):
        nested_reconstruction(torch.ones(3), 2.0)
    with pytest.raises(ArgumentError, match="fields"):
        weighted_reconstruction(torch.eye(4), torch.ones(3, 2))
    with pytest.raises(ArgumentError, match="energies"):
        optimality_ratio(torch.ones(3), torch.ones(2), 5.0)
    with pytest.raises(ArgumentError, match="captured"):
        optimality_ratio(torch.ones(0), torch.ones(0), 5.0)
    for total in (1.0, math.nan):  # one column that holds all there is has a bound of 0
        with pytest.raises(ArgumentError, match="total: wanted more than the energies hold"):
            optimality_ratio(torch.ones(1), torch.ones(1), total)
    for form in ("plain", "log"):
        for captured, total, wanted in (
            (torch.ones(0), 4.0, "captured"),
            (torch.tensor(1.0), 4.0, "captured"),
            (torch.ones(3, 2), torch.full((2,), 4.0), "total: wanted a number or shape"),
            (torch.ones(2), -3.0, "total: wanted a positive energy"),
            (torch.ones(2), math.nan, "total: wanted a positive energy"),
        ):
            with pytest.raises(ArgumentError, match=wanted):
                nested_reconstruction(captured, total, form)
        assert nested_reconstruction(torch.tensor([math.nan, 1.0]), 4.0, form).isnan()  # a fit reports it as what it is
    with pytest.raises(ArgumentError, match="q: wanted shape"):
        weighted_reconstruction(torch.ones(4), torch.ones(4, 2))
    with pytest.raises(ArgumentError, match="fields"):
        weighted_reconstruction(torch.eye(4), torch.ones(4, 0))
    with pytest.raises(ArgumentError, match="fields.*float32"):
        weighted_reconstruction(torch.eye(4), torch.ones(4, 2).double())


def test_a_batch_of_energies_is_each_alone():
    captured, total = torch.tensor([[2.0, 1.0], [1.0, 0.5]]), torch.tensor([4.0, 2.0])
    for form in ("plain", "log"):
        alone = torch.stack([nested_reconstruction(c, t, form) for c, t in zip(captured, total, strict=True)])
        assert torch.equal(nested_reconstruction(captured, total, form), alone)
