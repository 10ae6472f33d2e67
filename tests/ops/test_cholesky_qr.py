"""Thin QR: orthonormal whatever the condition, the adjoint in closed form, dependent columns refused or replaced."""

import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.cholesky_qr import _by_columns, _by_passes, reference


def block_of_condition(condition, n=200, k=12, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.linalg.qr(torch.randn(rows, k, generator=generator, dtype=torch.float64)).Q for rows in (n, k))
    return ((left * torch.logspace(0, 1, k, base=1 / condition, dtype=torch.float64)) @ right.T).to(dtype)


def departure(q):
    return (q.double().mT @ q.double() - torch.eye(q.shape[-1])).abs().max().item()


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e5, 1e7, 1e9, 1e11, 1e12])
def test_orthonormal_to_rounding_and_backward_stable_in_float64(condition):
    z = block_of_condition(condition)
    q, r = ops.cholesky_qr(z)
    assert departure(q) < 5e-15
    assert (q @ r - z).norm() / z.norm() < 5e-15
    assert (r.diagonal() > 0).all()
    assert r.tril(-1).abs().max() == 0


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_orthonormal_to_rounding_in_float32(condition):
    """Sums in double: columns of unit length are as orthogonal as 200 rounded entries can be."""
    z = block_of_condition(condition, dtype=torch.float32)
    q, r = ops.cholesky_qr(z)
    assert departure(q) < 6e-8
    assert (q @ r - z).norm() / z.norm() < 1e-6


@pytest.mark.parametrize("exponent", [-140, 0, 140])
def test_columns_of_any_length(exponent):
    z = block_of_condition(10.0) * 10.0 ** torch.linspace(0, exponent, 12, dtype=torch.float64)
    q, r = ops.cholesky_qr(z)
    assert departure(q) < 5e-15
    torch.testing.assert_close(q @ r, z, rtol=1e-11, atol=0)


def test_a_large_block_is_converted_in_parts():
    """More than AT_ONCE elements: several parts, two matrices, a condition that takes more than one pass."""
    z = torch.stack([block_of_condition(c, n=70_000, k=8, dtype=torch.float32, seed=int(c)) for c in (2.0, 1e4)])
    q, r = ops.cholesky_qr(z)
    assert departure(q) < 6e-8
    torch.testing.assert_close(q @ r, z, rtol=1e-5, atol=1e-7)


def test_both_ways_agree():
    z = block_of_condition(1e3)
    q, r = _by_passes(z, 2e-16)
    other, triangle, kept = _by_columns(z, 2e-16)
    assert kept.all()
    torch.testing.assert_close(q, other, rtol=0, atol=1e-11)
    torch.testing.assert_close(r, triangle, rtol=0, atol=1e-12)


def test_a_shift_reaches_where_the_plain_factor_breaks_down():
    q, _ = _by_passes(block_of_condition(1e11), 2e-16)
    assert departure(q) < 5e-15


@pytest.mark.parametrize("shape", [(30, 5), (4, 20, 6), (6, 6)])
def test_adjoint_is_that_of_householder(shape):
    z = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weights_q, weights_r = torch.randn(shape, dtype=torch.float64), torch.randn(shape[:-2] + shape[-1:] * 2, dtype=torch.float64)
    for use_q, use_r in ((1, 0), (0, 1), (1, 1)):
        ours, theirs = (
            torch.autograd.grad(use_q * (q * weights_q).sum() + use_r * (r * weights_r).sum(), z)[0]
            for q, r in (ops.cholesky_qr(z), reference(z)[:2])
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_adjoint_in_closed_form_for_a_gradient_on_q():
    z, weights = torch.randn(9, 4, dtype=torch.float64, requires_grad=True), torch.randn(9, 4, dtype=torch.float64)
    q, r = ops.cholesky_qr(z)
    ours = torch.autograd.grad((q * weights).sum(), z)[0]
    m = -(weights.T @ q)
    expected = (weights + q @ (m.tril() + m.tril(-1).T)) @ torch.linalg.inv(r).T
    torch.testing.assert_close(ours, expected.detach(), rtol=1e-10, atol=1e-10)


def test_second_derivative():
    z = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda block: ops.cholesky_qr(block), z)


def dependent_block(dtype):
    """Of two matrices the second has a column of zeros, and one in the span of two before it."""
    z = torch.randn(2, 20, 5, dtype=torch.float64)
    z[1, :, 1] = 0
    z[1, :, 3] = z[1, :, 0] - 2 * z[1, :, 2]
    return z.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_guard_puts_orthogonal_directions_in_place_of_dependent_columns(dtype):
    z = dependent_block(dtype)
    q, r = ops.cholesky_qr(z, rank_guard=True)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    assert departure(q) < tolerance
    torch.testing.assert_close(q @ r, z, rtol=0, atol=10 * tolerance)
    assert (r.diagonal(dim1=-2, dim2=-1) > 0).tolist() == [[True] * 5, [True, False, True, False, True]]
    torch.testing.assert_close(q[1][:, [0, 2, 4]], reference(z[1][:, [0, 2, 4]])[0], rtol=0, atol=10 * tolerance)
    assert torch.equal(q, ops.cholesky_qr(z, rank_guard=True)[0])


def test_guard_leaves_no_room_unused():
    """Three rows, three columns, two of them alike: what is left is one direction, and the third column keeps its own."""
    z = torch.tensor([[1.0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.float64)
    q, r = ops.cholesky_qr(z, rank_guard=True)
    torch.testing.assert_close(q.abs(), torch.eye(3, dtype=torch.float64)[:, [0, 2, 1]])
    torch.testing.assert_close(r, torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.float64))


def test_guard_gives_dependent_columns_no_gradient_and_the_others_that_of_a_smaller_block():
    z = dependent_block(torch.float64).requires_grad_()
    weights_q, weights_r = torch.randn(20, 5, dtype=torch.float64), torch.randn(5, 5, dtype=torch.float64)
    q, r = ops.cholesky_qr(z, rank_guard=True)
    grad = torch.autograd.grad((q[1] * weights_q).sum() + (r[1] * weights_r).sum(), z)[0]
    assert grad[0].abs().max() == 0
    assert grad[1][:, [1, 3]].abs().max() == 0
    kept = [0, 2, 4]
    small = z[1][:, kept].detach().requires_grad_()
    q, r = reference(small)[:2]
    expected = torch.autograd.grad((q * weights_q[:, kept]).sum() + (r * weights_r[kept][:, kept]).sum(), small)[0]
    torch.testing.assert_close(grad[1][:, kept], expected, rtol=1e-9, atol=1e-9)


def test_guard_changes_nothing_where_columns_are_independent():
    z = torch.randn(3, 15, 4, dtype=torch.float64, requires_grad=True)
    plain, guarded = ops.cholesky_qr(z), ops.cholesky_qr(z, rank_guard=True)
    assert all(torch.equal(a, b) for a, b in zip(plain, guarded, strict=True))
    assert torch.equal(*(torch.autograd.grad(q.sum() + r.sum(), z)[0] for q, r in (plain, guarded)))


@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_dependent_to_rounding_is_named(scale):
    z = torch.randn(3, 50, 6) * scale
    z[2, :, 4] = z[2, :, :4] @ torch.tensor([1.0, -2, 0.5, 3])
    with pytest.raises(ArgumentError, match=r"z: wanted independent columns, got column 4 of matrix \(2,\), which is zero or"):
        ops.cholesky_qr(z)


def test_nearly_dependent_is_not_refused():
    z = torch.randn(50, 3, dtype=torch.float64)
    z[:, 2] = z[:, 0] + 1e-11 * z[:, 2]
    q, r = ops.cholesky_qr(z)
    assert departure(q) < 5e-15
    assert 1e-12 < r[2, 2] / r[0, 0] < 1e-10


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite_is_named(value):
    z = torch.randn(7, 3)
    z[5, 2] = value
    with pytest.raises(ArgumentError, match="z: wanted finite values, got a value that is not, in column 2"):
        ops.cholesky_qr(z, rank_guard=True)


def test_face_wants_a_tensor():
    with pytest.raises(ArgumentError, match="z: wanted a torch tensor, got list"):
        ops.cholesky_qr([[1.0]])
