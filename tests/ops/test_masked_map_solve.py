"""Rows of functional maps against dense solves, residuals and each other; which systems are refused."""

from __future__ import annotations

import pytest
import torch

from geospec import ops
from geospec.errors import ArgumentError, ConvergenceError


def systems(k_t: int, k_s: int, *leading: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(*leading, k_s, k_s + 3, generator=generator, dtype=torch.float64)
    right = torch.randn(*leading, k_t, k_s, generator=generator, dtype=torch.float64)
    return features @ features.mT, right, torch.rand(*leading, k_t, k_s, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("k_s", [1, 2, 3, 4, 5, 11, 31, 64, 101])
def test_each_row_solves_its_own_system(k_s):
    for k_t in (1, 7, 8, 9):
        gram, right, penalty = systems(k_t, k_s, 2, seed=k_s)
        found = ops.masked_map_solve(gram, right, penalty)
        residual = (found[..., None, :] @ gram[:, None])[..., 0, :] + penalty * found - right
        scale = gram.norm(dim=(-2, -1))[:, None] * found.norm(dim=-1) + right.norm(dim=-1)
        assert (residual.norm(dim=-1) <= 1e-14 * scale).all()


def test_leading_dimensions_broadcast_both_ways():
    gram, _, _ = systems(4, 5)
    _, right, _ = systems(4, 5, 3, 1)
    _, _, penalty = systems(4, 5, 2)
    found = ops.masked_map_solve(gram, right, penalty)
    assert found.shape == (3, 2, 4, 5)
    for i in range(3):
        for j in range(2):
            for row in range(4):
                expected = torch.linalg.solve(gram + torch.diag(penalty[j, row]), right[i, 0, row])
                torch.testing.assert_close(found[i, j, row], expected, rtol=1e-10, atol=1e-12)
    inputs = tuple(x.requires_grad_() for x in (gram, right, penalty))
    found = ops.masked_map_solve(*inputs)
    for given, gradient in zip(inputs, torch.autograd.grad(found.sum(), inputs), strict=True):
        assert gradient.shape == given.shape


def test_threads_grouping_and_neighbours_change_no_bit():
    gram, right, penalty = systems(37, 23, 5)
    whole = ops.masked_map_solve(gram, right, penalty)
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            assert torch.equal(ops.masked_map_solve(gram, right, penalty), whole)
    finally:
        torch.set_num_threads(threads)
    for rows in (slice(3, 4), slice(5, 30)):
        assert torch.equal(ops.masked_map_solve(gram[2], right[2, rows], penalty[2, rows]), whole[2, rows])


def test_float32_is_rounded_once():
    """Entries of a Hilbert-like matrix, which float32 arithmetic could not factor at all."""
    i = torch.arange(8)
    gram = (1 / (1 + i[:, None] + i)).float()
    _, right, penalty = systems(5, 8)
    right, penalty = right.float(), 1e-6 * penalty.float()
    exact = ops.masked_map_solve(gram.double(), right.double(), penalty.double())
    found = ops.masked_map_solve(gram, right, penalty)
    assert found.dtype == torch.float32
    assert torch.equal(found, exact.float())


def test_gradients_of_first_and_second_order():
    inputs = tuple(x.requires_grad_() for x in systems(3, 4, 2))
    assert torch.autograd.gradcheck(ops.masked_map_solve, inputs)
    assert torch.autograd.gradgradcheck(ops.masked_map_solve, inputs)


def test_vmap_maps_any_argument():
    gram, right, penalty = systems(3, 4, 2, 5)
    whole = ops.masked_map_solve(gram, right, penalty)
    mapped = torch.vmap(ops.masked_map_solve_ex, in_dims=(1, 2, 1), out_dims=1)(gram, right.movedim(1, 2), penalty)[0]
    assert torch.equal(mapped, whole)
    shared = torch.vmap(ops.masked_map_solve_ex, in_dims=(None, 0, None))(gram[0, 0], right[0], penalty[0, 0])[0]
    assert torch.equal(shared[3], ops.masked_map_solve(gram[0, 0], right[0, 3], penalty[0, 0]))


@pytest.mark.parametrize("spoil", ["negative", "zero", "nan", "infinite"])
def test_counts_what_is_not_positive_definite_and_spares_the_others(spoil):
    gram, right, penalty = systems(10, 8, 2)  # 8: no column of padding after the last, which would catch it too
    clean = ops.masked_map_solve(gram, right, penalty)
    if spoil == "zero":
        gram[1] = 0
        penalty[1] = 1.0
    penalty[1, 4, 7] = {"negative": -1e3, "zero": 0.0, "nan": torch.nan, "infinite": torch.inf}[spoil]
    found, indefinite = ops.masked_map_solve_ex(gram, right, penalty)
    assert indefinite.nonzero().tolist() == [[1, 4]]
    assert found[1, 4].isnan().all()
    assert found.isnan().sum() == 8
    untouched = torch.arange(10) != 4 if spoil != "zero" else torch.zeros(10, dtype=torch.bool)
    assert torch.equal(found[0], clean[0])
    assert torch.equal(found[1, untouched], clean[1, untouched])
    with pytest.raises(ConvergenceError, match="1 of 20 that are not; add a ridge"):
        ops.masked_map_solve(gram, right, penalty)


def test_memory_is_not_that_of_the_systems():
    """512 rows of 64: the systems would be 16 MiB, the answer is 0.25."""
    from torch.profiler import ProfilerActivity, profile

    gram, right, penalty = systems(512, 64)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        ops.masked_map_solve(gram, right, penalty)
    assert sum(max(0, event.self_cpu_memory_usage) for event in trace.key_averages()) < 2**20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, r, p: (g.tolist(), r, p), "gram: wanted a torch tensor, got list"),
        (lambda g, r, p: (g, r.long(), p), "right: wanted float32 or float64, got torch.int64"),
        (lambda g, r, p: (g, r, p.float()), "penalty: wanted the type of right, torch.float64, got torch.float32"),
        (lambda g, r, p: (g[0], r, p), "gram: wanted two dimensions or more"),
        (lambda g, r, p: (g[1:], r, p), r"gram: wanted shape \(..., 4, 4\) for right \(3, 4\), got \(3, 4\)"),
        (lambda g, r, p: (g, r, p.T), r"penalty: wanted shape \(..., 3, 4\) for right \(3, 4\), got \(4, 3\)"),
        (lambda g, r, p: (g.expand(2, 4, 4), r, p.expand(3, 3, 4)), "gram, right, penalty: wanted leading dimensions that broadcast"),
    ],
)
def test_face_refuses(change, message):
    with pytest.raises(ArgumentError, match=message):
        ops.masked_map_solve(*change(*systems(3, 4)))
