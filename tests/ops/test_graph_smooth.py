"""Smoothing on a graph against powers of dense matrices, closed forms and derivatives beyond the first."""

import math

import pytest
import torch
from ops.cases import smooth_inputs

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.graph_smooth import reference


def dense(crow, col, values):
    rows = torch.repeat_interleave(torch.arange(len(crow) - 1), crow.diff())
    return torch.zeros((len(crow) - 1,) * 2, dtype=values.dtype).index_put((rows, col.long()), values)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 5, 16, 30])
@pytest.mark.parametrize("width", [1, 8, 17, 64])
def test_is_a_matrix_power(steps, width):
    crow, col, values, _, _ = smooth_inputs(torch.float64, 1)
    x = torch.randn(23, width, dtype=torch.float64)
    expected = torch.linalg.matrix_power(dense(crow, col, values), steps) @ x
    torch.testing.assert_close(ops.graph_smooth(crow, col, values, x, steps), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 5, 6, 9, 10, 17])
def test_gradient_in_the_values_is_that_of_dense_products(steps):
    """Every way to divide the steps into segments: full, short at the end, of one step."""
    crow, col, values, x, _ = smooth_inputs(torch.float64, 2)
    values, weights = values.requires_grad_(), torch.randn(x.shape, dtype=torch.float64)
    rows = torch.repeat_interleave(torch.arange(23), crow.diff())
    block, matrix = x, torch.zeros(23, 23, dtype=torch.float64).index_put((rows, col), values)
    for _ in range(steps):
        block = matrix @ block
    loss = (block * weights).sum() + 0 * values.sum()
    expected = torch.autograd.grad(loss, values)[0]
    ours = torch.autograd.grad((ops.graph_smooth(crow, col, values, x, steps) * weights).sum(), values)[0]
    torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-12)


def test_waves_of_a_ring_decay_by_their_own_factor():
    """``(left + 2 own + right) / 4`` multiplies wave ``l`` by ``cos(pi l / n)^2`` in each step."""
    n, steps = 48, 25
    col = (torch.arange(n)[:, None] + torch.tensor([-1, 0, 1])).remainder(n).reshape(-1)
    values = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64).repeat(n)
    waves = torch.cos(2 * math.pi * torch.arange(n, dtype=torch.float64)[:, None] * torch.arange(n // 2) / n)
    factors = torch.cos(math.pi * torch.arange(n // 2, dtype=torch.float64) / n) ** (2 * steps)
    smoothed = ops.graph_smooth(3 * torch.arange(n + 1), col, values, waves, steps)
    torch.testing.assert_close(smoothed, factors * waves, rtol=1e-12, atol=1e-12)


def test_float32_is_rounded_once():
    """No step adds an error of its own: the result is the double one, to half a unit in the last place."""
    crow, col, values, x, _ = smooth_inputs(torch.float32, 4)
    double = ops.graph_smooth(crow, col, values.double(), x.double(), 60)
    assert torch.equal(ops.graph_smooth(crow, col, values, x, 60), double.float())


def test_threads_change_no_bit():
    crow, col, values, x, _ = smooth_inputs(torch.float64, 7)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(ops.graph_smooth(crow, col, values, x, 6))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_second_derivative_in_the_block():
    crow, col, values, x, steps = smooth_inputs(torch.float64, 3)
    assert torch.autograd.gradgradcheck(lambda block: ops.graph_smooth(crow, col, values, block, steps), x.requires_grad_())


def test_second_derivative_in_the_values_is_refused_and_the_twin_has_it():
    crow, col, values, x, steps = smooth_inputs(torch.float64, 3)
    values.requires_grad_()
    first = torch.autograd.grad(ops.graph_smooth(crow, col, values, x, steps).square().sum(), values, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="differentiable in the values once"):
        torch.autograd.grad(first.sum(), values)
    first = torch.autograd.grad(reference(crow, col, values, x, steps).square().sum(), values, create_graph=True)[0]
    assert torch.autograd.grad(first.sum(), values)[0].abs().max() > 0


def test_not_a_number_goes_where_the_graph_leads():
    crow, col, values, x, _ = smooth_inputs(torch.float64, 5)
    x[4, 1] = float("nan")
    reached = torch.linalg.matrix_power((dense(crow, col, values) != 0).double(), 2)[:, 4] > 0
    smoothed = ops.graph_smooth(crow, col, values, x, 2)
    assert torch.equal(smoothed[:, 1].isnan(), reached)
    assert not smoothed[:, 0].isnan().any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "steps: wanted an integer, 0 or more, got -1"),
        ({"steps": 2.0}, "steps: wanted an integer, 0 or more, got 2.0"),
        ({"x": torch.ones(4, 2)}, "x: wanted one row for each row of the matrix, 3, got 4"),
        ({"x": torch.ones(3, 2).double()}, "values: wanted the type of x"),
        ({"values": torch.ones(2)}, "values: wanted one for each column index"),
        ({"col": [0, 1, 2]}, "col: wanted a torch tensor, got list"),
    ],
)
def test_face_refuses(change, message):
    arguments = {"crow": torch.arange(4), "col": torch.arange(3), "values": torch.ones(3), "x": torch.ones(3, 2), "steps": 1}
    with pytest.raises(ArgumentError, match=message):
        ops.graph_smooth(**{**arguments, **change})
