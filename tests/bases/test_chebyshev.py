"""The eigensolver without a factorisation: closed forms, multiplicities, other solvers, warm starts, refusals."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import eigsh

from geospec import ArgumentError, ConvergenceError, laplacian
from geospec.bases import chebyshev
from geospec.bases.chebyshev import chebyshev_eigenpairs
from geospec.testing import bumpy_sphere, disjoint_union, grid, icosphere

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")


def pencil(mesh):
    operator = laplacian(mesh, "cotangent")
    return operator.stiffness, operator.mass


def torus_grid(*sizes):
    """The stencil on a periodic grid and its eigenvalues: sums of ``2 - 2 cos(2 pi j / size)``, with many exact copies."""
    matrix, values = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for size in sizes:
        eye = torch.eye(size, dtype=torch.float64)
        ring = 2 * eye - eye.roll(1, 0) - eye.roll(-1, 0)
        matrix = torch.kron(matrix, eye) + torch.kron(torch.eye(len(matrix), dtype=torch.float64), ring)
        values = (values[:, None] + 2 - 2 * torch.cos(2 * math.pi * torch.arange(size, dtype=torch.float64) / size)).reshape(-1)
    return matrix.to_sparse_csr(), torch.ones(len(matrix), dtype=torch.float64), values.sort().values


def graph(rows, columns, n):
    """Laplacian of a graph with unit weights."""
    ones = torch.ones(len(rows), dtype=torch.float64)
    adjacent = torch.sparse_coo_tensor(torch.stack([rows, columns]), ones, (n, n)).to_dense()
    adjacent = torch.maximum(adjacent, adjacent.T).clamp(max=1)
    return (torch.diag(adjacent.sum(dim=1)) - adjacent).to_sparse_csr(), torch.ones(n, dtype=torch.float64)


def check(stiffness, mass, values, vectors, residuals, tolerance=1e-8):
    """What is promised of any answer, computed here from the pencil."""
    dense, k = stiffness.to_dense().double(), len(values)
    assert vectors.shape == (len(mass), k)
    assert values.dtype == vectors.dtype == residuals.dtype == torch.float64
    assert (values >= 0).all()
    assert (values.diff() >= 0).all()
    gram = vectors.T @ (mass.double()[:, None] * vectors)
    torch.testing.assert_close(gram, torch.eye(k, dtype=torch.float64), rtol=0, atol=1e-10)
    scale = np.median(dense.diagonal()) / mass.double().sum()
    left = (dense @ vectors - mass.double()[:, None] * vectors * values) / mass.double().sqrt()[:, None]
    measured = left.norm(dim=0) / (values + scale)
    assert measured.max() <= tolerance
    torch.testing.assert_close(measured, residuals, rtol=0.1, atol=1e-10)


def by_dense(stiffness, mass, k):
    root = mass.sqrt()
    return torch.linalg.eigvalsh(stiffness.to_dense() / root[:, None] / root)[:k].clamp(min=0)


@pytest.mark.parametrize("k", [1, 2, 60, 125])
def test_equals_dense(k):
    stiffness, mass = pencil(bumpy_sphere(3))
    values, vectors, residuals, record = chebyshev_eigenpairs(stiffness, mass, k)
    check(stiffness, mass, values, vectors, residuals)
    assert (record["degree"] > 1) == (k > 1), "the constant needs no iteration"
    torch.testing.assert_close(values, by_dense(stiffness, mass, k), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("mesh", "k"), [(icosphere(0), 12), (icosphere(2), 60), (bumpy_sphere(3), 640)])
def test_small_or_nearly_all(mesh, k):
    stiffness, mass = pencil(mesh)
    values, vectors, residuals, record = chebyshev_eigenpairs(stiffness, mass, k)
    check(stiffness, mass, values, vectors, residuals)
    torch.testing.assert_close(values, by_dense(stiffness, mass, k), rtol=1e-10, atol=1e-10)
    assert record["degree"] == 0


def test_equals_scipy_on_values_and_subspaces():
    mesh, k = bumpy_sphere(4), 50
    stiffness, mass = pencil(mesh)
    values, vectors, residuals, _ = chebyshev_eigenpairs(stiffness, mass, k)
    check(stiffness, mass, values, vectors, residuals)
    matrix, weight = laplacian(mesh, "cotangent").to_scipy()
    expected, theirs = eigsh(matrix, k=k, M=weight, sigma=-0.01, v0=np.ones(len(mass)))
    order = np.argsort(expected)
    torch.testing.assert_close(values, torch.from_numpy(expected[order].clip(min=0)), rtol=1e-9, atol=1e-10)
    overlap = vectors.T @ (mass[:, None] * torch.from_numpy(theirs[:, order]))
    torch.testing.assert_close(overlap.abs(), torch.eye(k, dtype=torch.float64), rtol=0, atol=1e-6)


def test_sphere_has_its_multiplets():
    values, *_ = chebyshev_eigenpairs(*pencil(icosphere(4)), 121)
    exact = torch.tensor([deg * (deg + 1) for deg in range(11) for _ in range(2 * deg + 1)], dtype=torch.float64)
    torch.testing.assert_close(values, exact, rtol=0.05, atol=1e-9)


@pytest.mark.parametrize(("sizes", "k"), [((40, 40), 70), ((12, 12, 12), 130)])
def test_copies_beyond_the_width_of_a_block(sizes, k):
    """The three-dimensional torus has eigenvalues 24 and 48 times; a block has 16 columns."""
    stiffness, mass, exact = torus_grid(*sizes)
    values, vectors, residuals, _ = chebyshev_eigenpairs(stiffness, mass, k)
    check(stiffness, mass, values, vectors, residuals)
    torch.testing.assert_close(values, exact[:k], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("k", [7, 20, 64])
def test_equal_pieces(k):
    piece, copies = bumpy_sphere(2), 20
    stiffness, mass = pencil(disjoint_union(*(piece for _ in range(copies))))
    values, vectors, residuals, record = chebyshev_eigenpairs(stiffness, mass, k)
    check(stiffness, mass, values, vectors, residuals)
    expected = by_dense(*pencil(piece), 5).repeat_interleave(copies)[:k]
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-9)
    assert record["null"] == min(k, copies)


def test_pieces_of_every_size():
    pieces = [bumpy_sphere(3), icosphere(2), icosphere(0), grid(200, 2, width=20, height=0.01)]
    stiffness, mass = pencil(disjoint_union(*pieces))
    values, vectors, residuals, record = chebyshev_eigenpairs(stiffness, mass, 40)
    check(stiffness, mass, values, vectors, residuals)
    torch.testing.assert_close(values, by_dense(stiffness, mass, 40), rtol=1e-9, atol=1e-9)
    assert record["null"] == 4


def test_without_a_null_vector():
    """Dirichlet: the five-point stencil inside a square, in closed form."""
    n, k = 40, 30
    stiffness, mass = pencil(grid(n))
    inside = torch.arange(n * n).reshape(n, n)[1:-1, 1:-1].reshape(-1)
    stiffness, mass = stiffness.to_dense()[inside][:, inside].to_sparse_csr(), mass[inside]
    values, vectors, residuals, record = chebyshev_eigenpairs(stiffness, mass, k)
    check(stiffness, mass, values, vectors, residuals)
    line = (2 * (n - 1) * torch.sin(torch.pi * torch.arange(1, n - 1, dtype=torch.float64) / (2 * (n - 1)))) ** 2
    torch.testing.assert_close(values, (line[:, None] + line).reshape(-1).sort().values[:k], rtol=1e-9, atol=0)
    assert record["null"] == 0


def test_spectra_unlike_a_surface():
    """A path, where eigenvalues thin out towards zero, and a random graph, where a gap parts zero from all the rest."""
    n, step = 1500, torch.arange(1499)
    values, *_ = chebyshev_eigenpairs(*graph(step, step + 1, n), 30)
    torch.testing.assert_close(values, 4 * torch.sin(math.pi * torch.arange(30, dtype=torch.float64) / (2 * n)) ** 2, rtol=1e-7, atol=1e-12)
    rows, columns = torch.randint(0, 900, (2, 5000))
    stiffness, mass = graph(rows[rows != columns], columns[rows != columns], 900)
    values, *_ = chebyshev_eigenpairs(stiffness, mass, 20)
    torch.testing.assert_close(values, by_dense(stiffness, mass, 20), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scale(scale):
    mesh = bumpy_sphere(3)
    values, vectors, *_ = chebyshev_eigenpairs(*pencil(mesh), 20)
    scaled, scaled_vectors, *_ = chebyshev_eigenpairs(*pencil(type(mesh)(scale * mesh.vertices, mesh.faces)), 20)
    torch.testing.assert_close(scaled * scale**2, values, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close((scaled_vectors * scale).abs(), vectors.abs(), rtol=1e-5, atol=1e-6)


def test_tolerance_is_honoured_and_costs():
    stiffness, mass = pencil(bumpy_sphere(4))
    products = []
    for tolerance in (1e-2, 1e-5, 1e-9):
        values, vectors, residuals, record = chebyshev_eigenpairs(stiffness, mass, 40, tolerance=tolerance)
        check(stiffness, mass, values, vectors, residuals, tolerance)
        products.append(record["products"])
    assert products[0] < products[1] < products[2]


def test_warm_starts_save_products():
    stiffness, mass = pencil(bumpy_sphere(4))
    values, vectors, _, cold = chebyshev_eigenpairs(stiffness, mass, 60)
    again, _, _, record = chebyshev_eigenpairs(stiffness, mass, 60, start=vectors)
    torch.testing.assert_close(again, values, rtol=1e-10, atol=1e-10)
    assert record["started"] >= 59  # the constant is found without it
    assert record["products"] < 0.2 * cold["products"]
    near = vectors + 1e-5 * torch.randn(vectors.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    again, _, _, record = chebyshev_eigenpairs(stiffness, mass, 60, start=near)
    torch.testing.assert_close(again, values, rtol=1e-10, atol=1e-10)
    assert record["products"] < 0.8 * cold["products"]
    again, _, _, record = chebyshev_eigenpairs(stiffness, mass, 60, start=vectors[:, :40])
    torch.testing.assert_close(again, values, rtol=1e-10, atol=1e-10)
    assert record["started"] >= 39
    assert record["products"] < 0.95 * cold["products"]


@pytest.mark.parametrize("columns", [slice(20, 45), slice(40, 60)])
def test_a_wrong_start_does_not_mislead(columns):
    """Exact modes, but not the lowest: those that they hide are found."""
    stiffness, mass = pencil(bumpy_sphere(4))
    values, vectors, *_ = chebyshev_eigenpairs(stiffness, mass, 60)
    again, _, residuals, _ = chebyshev_eigenpairs(stiffness, mass, 20, start=vectors[:, columns])
    torch.testing.assert_close(again, values[:20], rtol=1e-9, atol=1e-9)
    assert residuals.max() < 1e-8


def test_a_useless_start():
    stiffness, mass = pencil(bumpy_sphere(4))
    values, *_ = chebyshev_eigenpairs(stiffness, mass, 20)
    column = torch.ones(len(mass), 1, dtype=torch.float64)
    for start in (column.expand(-1, 30), torch.zeros_like(column), torch.randn(len(mass), 20, dtype=torch.float64)):
        torch.testing.assert_close(chebyshev_eigenpairs(stiffness, mass, 20, start=start)[0], values, rtol=1e-9, atol=1e-9)


def test_seed():
    stiffness, mass = pencil(bumpy_sphere(3))
    first, second, other = (chebyshev_eigenpairs(stiffness, mass, 20, seed=seed) for seed in (3, 3, 4))
    for a, b in itertools.islice(zip(first, second, strict=True), 3):
        assert torch.equal(a, b)
    assert not torch.equal(first[1], other[1])
    torch.testing.assert_close(first[0], other[0], rtol=1e-10, atol=1e-10)


def test_float32_is_solved_in_float64():
    stiffness, mass = pencil(bumpy_sphere(3))
    single = torch.sparse_csr_tensor(stiffness.crow_indices(), stiffness.col_indices(), stiffness.values().float())
    values, vectors, residuals, _ = chebyshev_eigenpairs(single, mass.float(), 20)
    dense = single.to_dense().double()
    check((dense - torch.diag(dense.sum(dim=1))).to_sparse_csr(), mass.float(), values, vectors, residuals)
    assert values[0] < 1e-10
    torch.testing.assert_close(values, by_dense(stiffness, mass, 20), rtol=1e-5, atol=1e-5)


def test_int32_indices():
    stiffness, mass = pencil(bumpy_sphere(3))
    narrow = torch.sparse_csr_tensor(stiffness.crow_indices().int(), stiffness.col_indices().int(), stiffness.values())
    assert torch.equal(chebyshev_eigenpairs(narrow, mass, 20)[0], chebyshev_eigenpairs(stiffness, mass, 20)[0])


def test_progress():
    seen = []
    chebyshev_eigenpairs(*pencil(bumpy_sphere(3)), 20, progress=lambda converged, wanted: seen.append((converged, wanted)))
    assert seen[-1] == (20, 20)
    assert all(0 <= converged <= wanted == 20 for converged, wanted in seen)


def test_refuses_a_spectrum_too_wide():
    stiffness, mass = pencil(bumpy_sphere(3))
    mass[5] *= 1e-9
    with pytest.raises(ConvergenceError, match=r"20 eigenpairs of 642 points: the spectrum reaches to .* use the factorising solver"):
        chebyshev_eigenpairs(stiffness, mass, 20)


def test_a_wide_spectrum_that_it_can_do():
    stiffness, mass = pencil(bumpy_sphere(3))
    mass[[5, 100, 300]] *= 1e-3
    values, _, residuals, record = chebyshev_eigenpairs(stiffness, mass, 20)
    torch.testing.assert_close(values, by_dense(stiffness, mass, 20), rtol=1e-9, atol=1e-8)
    assert record["bound"] / values[-1] > 1e4
    assert (residuals <= 1e-8).all()


def test_refuses_what_does_not_converge(monkeypatch):
    monkeypatch.setattr(chebyshev, "ROUNDING", 0.0)
    with pytest.raises(ConvergenceError, match=r"20 eigenpairs of 642 points: \d+ not converged .* worst relative residual .* degree"):
        chebyshev_eigenpairs(*pencil(bumpy_sphere(3)), 20, tolerance=1e-17)


@pytest.mark.parametrize("low", [-1e-3, -1.0])
def test_refuses_an_indefinite_matrix(low):
    stiffness, mass = pencil(bumpy_sphere(3))
    lowered = (stiffness.to_dense() + low * torch.diag(mass)).to_sparse_csr()
    with pytest.raises(ConvergenceError, match="not positive semi-definite"):
        chebyshev_eigenpairs(lowered, mass, 20)


def test_refuses_bad_arguments():
    stiffness, mass = pencil(bumpy_sphere(2))
    bad = stiffness.clone()
    bad.values()[3] = math.nan
    zero, infinite = mass.clone(), mass.clone()
    zero[2], infinite[2] = 0, math.inf
    start = torch.ones(len(mass), 3, dtype=torch.float64)
    for arguments, options, message in [
        ((stiffness.to_dense(), mass, 3), {}, "stiffness: wanted a torch CSR tensor"),
        ((bad, mass, 3), {}, "stiffness: wanted finite values, got 1"),
        ((stiffness, mass[1:], 3), {}, r"mass: wanted shape \(162,\), got \(161,\)"),
        ((stiffness, zero, 3), {}, "mass: wanted positive values, got 1"),
        ((stiffness, infinite, 3), {}, "mass: wanted finite values, got 1"),
        ((stiffness, mass.int(), 3), {}, "mass: wanted float32 or float64"),
        ((stiffness, mass, 0), {}, "k: wanted between 1 and 162, got 0"),
        ((stiffness, mass, 163), {}, "k: wanted between 1 and 162, got 163"),
        ((stiffness, mass, 3), {"tolerance": 0.0}, "tolerance: wanted a positive number"),
        ((stiffness, mass, 3), {"start": start[1:]}, r"start: wanted shape \(162, s\)"),
        ((stiffness, mass, 3), {"start": start / 0}, "start: wanted finite values"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            chebyshev_eigenpairs(*arguments, **options)


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))]
)
def test_stays_on_the_device(device, monkeypatch):
    """From vertices to modes on one device: nothing as long as the shape crosses to the host, and not often."""
    mesh, k, crossings = bumpy_sphere(4), 50, []
    expected = chebyshev_eigenpairs(*pencil(mesh), k)[0]
    for name in ("cpu", "__float__", "__bool__", "__int__"):
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda tensor, original=original: crossings.append(tensor.numel()) or original(tensor))
    stiffness, mass = pencil(mesh.to(device=device))
    crossings.clear()
    values, vectors, residuals, record = chebyshev_eigenpairs(stiffness, mass, k)
    counted = list(crossings)
    assert values.device.type == vectors.device.type == residuals.device.type == device
    assert residuals.max() <= 1e-8
    torch.testing.assert_close(values.cpu(), expected, rtol=1e-10, atol=1e-10)
    assert max(counted) < mesh.n_points
    assert len(counted) < 16 * record["blocks"] + 150, "a block of the iteration waits for the host a dozen times, a product never"
