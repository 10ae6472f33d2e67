"""Captured energies against projections done one truncation at a time, and against Eckart and Young."""

import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError


def problem_of(dtype=torch.float64, n=30, k=6, m=17):
    generator = torch.Generator().manual_seed(3)
    q = torch.linalg.qr(torch.randn(n, k, generator=generator, dtype=torch.float64)).Q
    return q.to(dtype), torch.randn(n, m, generator=generator, dtype=torch.float64).to(dtype)


def residuals(q, f):
    """Of each truncation, by reconstruction."""
    return torch.stack([(f - q[:, :j] @ (q[:, :j].T @ f)).square().sum() for j in range(1, q.shape[1] + 1)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energies_and_gradients_are_those_of_every_truncation(dtype):
    """The identity holds where ``q`` is orthonormal, so gradients agree along the directions that keep it so."""
    q, f = problem_of(dtype)
    turn = torch.randn(30, 30, generator=torch.Generator().manual_seed(4), dtype=torch.float64).to(dtype)
    angle = torch.zeros((), dtype=dtype, requires_grad=True)
    f.requires_grad_()
    rotated = torch.linalg.matrix_exp(angle * (turn - turn.T)) @ q
    direct = residuals(rotated, f)
    ours = f.square().sum() - ops.captured_energy(rotated, f).cumsum(0)
    tolerance = {"rtol": 1e-4, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(ours, direct, **tolerance)
    gradients = [torch.autograd.grad(loss.log().sum(), (angle, f), retain_graph=True) for loss in (ours, direct)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


def test_left_singular_vectors_capture_the_squared_singular_values():
    _, f = problem_of()
    left, singular, _ = torch.linalg.svd(f, full_matrices=False)
    torch.testing.assert_close(ops.captured_energy(left, f), singular.square(), rtol=1e-12, atol=1e-12)


def test_squares_add_up_in_double():
    """Beside 1e8, which float32 counts in steps of 8, a sum in float32 never sees 4096 times 1."""
    q = torch.eye(1)
    f = torch.ones(1, 4097)
    f[0, 0] = 1e4
    assert ops.captured_energy(q, f).item() == 1e8 + 4096


def test_second_derivative():
    q, f = problem_of(n=5, k=3, m=4)
    assert torch.autograd.gradgradcheck(ops.captured_energy, (q.requires_grad_(), f.requires_grad_()))


@pytest.mark.parametrize(
    ("q", "f", "message"),
    [
        (torch.ones(3), torch.ones(3, 2), r"q: wanted shape \(n, d\), got \(3,\)"),
        (torch.ones(3, 1), torch.ones(2, 2), "f: wanted one row for each row of q, 3, got 2"),
        (torch.ones(3, 1), torch.ones(3, 2).double(), "f: wanted the type of q, torch.float32, got torch.float64"),
        (torch.ones(3, 1).int(), torch.ones(3, 2), "q: wanted float32 or float64"),
    ],
)
def test_face_refuses(q, f, message):
    with pytest.raises(ArgumentError, match=message):
        ops.captured_energy(q, f)
