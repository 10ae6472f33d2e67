"""The solve against loops, optimisers, limits and identities; the operators against independent constructions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geospec.bases.base import SampledBasis
from geospec.errors import ArgumentError, ConvergenceError
from geospec.maps import commuting as commuting_module
from geospec.maps import laplacian_mask, multiplication_operators, orientation_operators, resolvent_mask, solve_functional_map

from .conftest import basis_of, blob


def problem_of(k_s: int, k_t: int, q: int, *leading: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *size: torch.randn(*leading, *size, generator=generator, dtype=torch.float64)  # noqa: E731
    eigenvalues = [draw(k).abs().cumsum(dim=-1) for k in (k_s, k_t)]
    return draw(k_s, q), draw(k_t, q), dict(source_eigenvalues=eigenvalues[0], target_eigenvalues=eigenvalues[1])


def test_masks_closed_form():
    source, target = torch.tensor([0.0, 1.0, 4.0]).double(), torch.tensor([0.0, 2.0]).double()
    assert torch.allclose(laplacian_mask(source, target), torch.tensor([[0, 1 / 16, 1], [1 / 4, 1 / 16, 1 / 4]]).double())
    # The resolvent as one complex number for each eigenvalue: e -> 1 / (e - i).
    e, f = (np.sqrt(x.numpy() / 4) for x in (source, target))
    expected = np.abs(1 / (f - 1j)[:, None] - 1 / (e - 1j)[None, :]) ** 2
    assert np.allclose(resolvent_mask(source, target).numpy(), expected)
    # Free of the unit of length.
    assert torch.allclose(resolvent_mask(1e6 * source, 1e6 * target), resolvent_mask(source, target))
    assert torch.allclose(laplacian_mask(1e-6 * source, 1e-6 * target), laplacian_mask(source, target))


@pytest.mark.parametrize("mask", ["laplacian", "resolvent", "own"])
@pytest.mark.parametrize(("k_s", "k_t"), [(12, 12), (9, 14), (20, 7)])
def test_batch_equals_row_loop(mask, k_s, k_t):
    a, b, eigenvalues = problem_of(k_s, k_t, 30, 2, 3)
    d = torch.rand(2, 3, k_t, k_s, dtype=torch.float64) if mask == "own" else None
    weight = 0.7
    found = solve_functional_map(a, b, mask=mask if d is None else d, weight=weight, ridge=0.0, **eigenvalues)
    make = {"laplacian": laplacian_mask, "resolvent": resolvent_mask}
    values = d if d is not None else make[mask](**eigenvalues)
    expected = torch.empty_like(found)
    for index in np.ndindex(2, 3):
        for i in range(k_t):
            system = a[index] @ a[index].T + weight * torch.diag(values[index][i])
            expected[index][i] = torch.linalg.solve(system, a[index] @ b[index][i])
    assert found.shape == (2, 3, k_t, k_s)
    assert torch.allclose(found, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("operators", [0, 3])
def test_is_the_minimum_that_an_optimiser_finds(operators):
    from scipy.optimize import minimize

    a, b, eigenvalues = problem_of(6, 5, 8)
    generator = torch.Generator().manual_seed(3)
    s, t = (torch.randn(operators, k, k, generator=generator, dtype=torch.float64) for k in (6, 5))
    d = laplacian_mask(**eigenvalues)

    def energy(flat):
        c = torch.tensor(flat.reshape(5, 6), requires_grad=True)
        value = (
            (c @ a - b).square().sum()
            + 0.3 * (d * c.square()).sum()
            + 0.2 * sum((c @ x - y @ c).square().sum() for x, y in zip(s, t, strict=True))
        )
        value.backward()
        return value.item(), c.grad.numpy().ravel()

    optimum = minimize(energy, np.zeros(30), jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 2000}).x.reshape(5, 6)
    extra = {"commuting": (s, t), "commuting_weight": 0.2} if operators else {}
    found = solve_functional_map(a, b, weight=0.3, ridge=0.0, **eigenvalues, **extra)
    assert np.abs(found.numpy() - optimum).max() < 1e-6


@pytest.mark.parametrize("leading", [(), (2,)])
def test_iterative_equals_dense(monkeypatch, leading):
    a, b, eigenvalues = problem_of(11, 9, 5, *leading)  # fewer functions than modes: a singular Gram matrix
    generator = torch.Generator().manual_seed(4)
    s, t = (torch.randn(*leading, 4, k, k, generator=generator, dtype=torch.float64) for k in (11, 9))
    dense = solve_functional_map(a, b, commuting=(s, t), **eigenvalues)
    monkeypatch.setattr(commuting_module, "DENSE_UNKNOWNS", 0)
    iterative = solve_functional_map(a, b, commuting=(s, t), **eigenvalues)
    assert dense.shape == (*leading, 9, 11)
    assert not torch.equal(dense, iterative)
    assert torch.allclose(dense, iterative, atol=1e-7)


@pytest.mark.parametrize("limit", [4096, 0])
def test_gradients(monkeypatch, limit):
    monkeypatch.setattr(commuting_module, "DENSE_UNKNOWNS", limit)
    a, b, _ = problem_of(4, 3, 6)
    generator = torch.Generator().manual_seed(5)
    mask = torch.rand(3, 4, generator=generator, dtype=torch.float64)
    s, t = (torch.randn(2, k, k, generator=generator, dtype=torch.float64) for k in (4, 3))
    inputs = tuple(x.requires_grad_() for x in (a, b, mask, s, t))
    assert torch.autograd.gradcheck(lambda a, b, m, s, t: solve_functional_map(a, b, mask=m, commuting=(s, t)), inputs, atol=1e-6)
    if limit:
        assert torch.autograd.gradcheck(lambda a, b, m: solve_functional_map(a, b, mask=m), inputs[:3])
        assert torch.autograd.gradcheck(lambda a, b: solve_functional_map(a, b, mask=None), inputs[:2])


def test_limits_of_the_weight(pair):
    """Without mask: least squares. With all weight on it: what commutes with the Laplacian, for equal spectra a diagonal."""
    basis = pair.source_basis.truncate(8)
    functions = torch.randn(basis.n, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    a, signs = basis.analyze(functions), torch.tensor([1.0, -1, 1, 1, -1, 1, -1, -1]).double()
    b = signs[:, None] * a + 1e-2 * torch.randn(a.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    eigenvalues = dict(source_eigenvalues=basis.eigenvalues, target_eigenvalues=basis.eigenvalues)
    free = solve_functional_map(a, b, weight=0.0, ridge=0.0, **eigenvalues)
    assert torch.allclose(free, torch.linalg.lstsq(a.T, b.T).solution.T, atol=1e-9)
    stiff = solve_functional_map(a, b, weight=1e9, ridge=0.0, **eigenvalues)
    assert (free - torch.diag(free.diagonal())).abs().max() > 1e-3
    assert (stiff - torch.diag(stiff.diagonal())).abs().max() < 1e-6
    assert torch.allclose(stiff.diagonal(), signs, atol=0.15)


def test_identity_and_signs(pair):
    basis = pair.source_basis.truncate(25)
    functions = torch.randn(basis.n, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a = basis.analyze(functions)
    eigenvalues = dict(source_eigenvalues=basis.eigenvalues, target_eigenvalues=basis.eigenvalues)
    assert torch.allclose(solve_functional_map(a, a, **eigenvalues), torch.eye(25, dtype=torch.float64), atol=1e-5)
    signs = torch.where(torch.arange(25) % 3 == 1, -1.0, 1.0).double()
    flipped = solve_functional_map(a, SampledBasis(basis.modes * signs, basis.measure).analyze(functions), **eigenvalues)
    assert torch.allclose(flipped, torch.diag(signs), atol=1e-5)


def test_float32_is_solved_as_well_as_float64():
    a, b, eigenvalues = problem_of(30, 30, 20)
    a[:, 1:] *= 1e-3  # a condition number whose square float32 cannot hold
    wide = solve_functional_map(a, b, **eigenvalues)
    narrow = solve_functional_map(a.float(), b.float(), **{name: e.float() for name, e in eigenvalues.items()})
    assert narrow.dtype == torch.float32
    assert (narrow.double() - wide).norm() < 1e-3 * wide.norm()


def test_multiplication_operators(pair):
    basis = pair.source_basis.truncate(6)
    f = pair.source.vertices[:, :2]
    found = multiplication_operators(basis, f)
    for m in range(2):
        for j in range(6):
            column = basis.analyze((f[:, m] * basis.modes[:, j])[:, None])[:, 0]
            assert torch.allclose(found[m, :, j], column, atol=1e-12)
    assert torch.allclose(multiplication_operators(basis, torch.ones(basis.n, 1))[0], torch.eye(6, dtype=torch.float64), atol=1e-9)


def test_orientation_operators_against_gradients(pair):
    """The two-form against the definition with face gradients: <n, grad f x grad g> tested with each mode."""
    mesh, basis = pair.source, pair.source_basis.truncate(7)
    f = (3 * mesh.vertices[:, :2]).sin()
    corners = mesh.vertices[mesh.faces]
    normal, area = mesh.face_normals, mesh.face_areas
    opposite = corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]
    hats = torch.linalg.cross(normal[:, None, :].expand_as(opposite), opposite) / (2 * area)[:, None, None]
    gradient = lambda u: torch.einsum("fcm,fcd->fmd", u[mesh.faces], hats)  # noqa: E731
    gf, gphi = gradient(f), gradient(basis.modes)
    density = torch.einsum(
        "fd,fmjd->fmj", normal, torch.linalg.cross(gf[:, :, None, :].expand(-1, -1, 7, -1), gphi[:, None, :, :].expand(-1, 2, -1, -1))
    )
    expected = torch.einsum("f,fi,fmj->mij", area, basis.modes[mesh.faces].mean(dim=1), density)
    found = orientation_operators(basis, mesh.faces, f)
    assert expected.abs().max() > 1
    assert torch.allclose(found, expected, atol=1e-9)
    assert torch.allclose(found, -found.mT)
    assert torch.allclose(orientation_operators(basis, mesh.faces[:, [0, 2, 1]], f), -found)


def test_orientation_operator_of_height_turns_the_sphere():
    """On the unit sphere <n, grad z x grad g> is the derivative of g along the parallels, westward: x -> y, y -> -x."""
    mesh, unit = blob(3000)
    mesh = type(mesh)(torch.as_tensor(unit), mesh.faces)
    modes = torch.as_tensor(unit) * math.sqrt(3 / (4 * math.pi))
    basis = SampledBasis(modes, mesh.measure)
    turn = orientation_operators(basis, mesh.faces, mesh.vertices[:, 2:])[0]
    expected = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 0]]).double()
    assert torch.allclose(turn, expected, atol=5e-3)


def test_orientation_breaks_a_mirror_symmetry():
    """A shape and its mirror twin: symmetric functions cannot tell the two maps apart, orientation operators can."""
    mesh, unit = blob(1200)
    centres = np.array([[0.0, 0.8, 0.6], [0.0, -0.8, 0.6], [0.6, 0.0, -0.8]])
    radius = 1 + 0.5 * torch.as_tensor(np.exp((unit @ centres.T - 1) / 0.1)).sum(dim=1)
    mesh = type(mesh)(torch.as_tensor(unit) * radius[:, None], mesh.faces)
    basis = basis_of(mesh, 12)
    x, y, z = mesh.vertices.T
    even = torch.stack([z, x, y**2, x * z, z**2], dim=1)  # blind to y -> -y
    operators = orientation_operators(basis, mesh.faces, even)
    multiply = multiplication_operators(basis, even)
    a = basis.analyze(even)
    # A ridge above the traces of asymmetry that the sampling leaves in the functions.
    eigenvalues = dict(source_eigenvalues=basis.eigenvalues, target_eigenvalues=basis.eigenvalues, ridge=1e-3)
    y_mode = basis.analyze(y[:, None])[:, 0]
    blind = solve_functional_map(a, a, commuting=(multiply, multiply), **eigenvalues)
    seeing = solve_functional_map(a, a, commuting=(torch.cat([multiply, operators]), torch.cat([multiply, operators])), **eigenvalues)
    mirrored = solve_functional_map(a, a, commuting=(torch.cat([multiply, operators]), torch.cat([multiply, -operators])), **eigenvalues)
    gain = lambda c: float(y_mode @ (c @ y_mode) / (y_mode @ y_mode))  # noqa: E731
    assert abs(gain(blind)) < 0.1
    assert gain(seeing) > 0.9
    assert gain(mirrored) < -0.9


def test_refusals():
    a, b, eigenvalues = problem_of(5, 4, 6)
    with pytest.raises(ArgumentError, match="as many functions"):
        solve_functional_map(a, b[:, :-1], **eigenvalues)
    with pytest.raises(ArgumentError, match="source_eigenvalues"):
        solve_functional_map(a, b)
    with pytest.raises(ArgumentError, match="one of 'laplacian', 'resolvent'"):
        solve_functional_map(a, b, mask="slanted", **eigenvalues)
    with pytest.raises(ArgumentError, match=r"mask: wanted shape \(..., 4, 5\)"):
        solve_functional_map(a, b, mask=torch.ones(5, 4))
    with pytest.raises(ArgumentError, match="lengths 5 and 4"):
        solve_functional_map(a, b, source_eigenvalues=torch.ones(4), target_eigenvalues=torch.ones(4))
    with pytest.raises(ArgumentError, match="commuting"):
        solve_functional_map(a, b, commuting=(torch.ones(2, 5, 5), torch.ones(3, 4, 4)), **eigenvalues)
    with pytest.raises(ConvergenceError, match="not positive definite"):
        solve_functional_map(torch.zeros(5, 6), torch.zeros(4, 6), mask=None)
    with pytest.raises(ArgumentError, match="gamma"):
        resolvent_mask(torch.ones(3), torch.ones(3), gamma=0)
    with pytest.raises(ArgumentError, match="functions"):
        multiplication_operators(SampledBasis(torch.ones(4, 1), torch.ones(4)), torch.ones(5, 1))


def test_counts_singular_rows_and_broadcasts_the_mask():
    a, b, _ = problem_of(5, 4, 6, 2)
    masks = torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = solve_functional_map(a, b, mask=masks)
    assert found.shape == (3, 2, 4, 5)
    torch.testing.assert_close(found[2, 1], solve_functional_map(a[1], b[1], mask=masks[2, 0]), rtol=1e-10, atol=1e-12)
    masks[1, 0, 2, 3] = -1e9
    with pytest.raises(
        ConvergenceError, match="source_coefficients: wanted non-zero .* got 2 of 24 systems not positive definite; raise ridge"
    ):
        solve_functional_map(a, b, mask=masks)
