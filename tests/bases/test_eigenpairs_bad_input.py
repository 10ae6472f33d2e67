"""``geospec.eigenpairs`` on what callers get wrong: an error that names the argument, or the right answer; never a crash."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.linalg import eigh

import geospec
from geospec import ArgumentError, ConvergenceError, Mesh, ShapeError, laplacian
from geospec.testing import bumpy_sphere, icosphere

REFUSED = (ArgumentError, ShapeError)
#: 162 points go the dense way, 2,562 the iterative one.
LEVELS = {"dense": 2, "sparse": 4}
both_ways = pytest.mark.parametrize("way", LEVELS)


def pencil(way="dense"):
    """A fresh CSR stiffness and the diagonal of its mass."""
    stiffness, mass = laplacian(bumpy_sphere(LEVELS[way]), "cotangent").to_scipy()
    return stiffness, mass.diagonal()


def arrays(found):
    """Values and vectors as NumPy, whatever they came as."""
    return tuple(np.asarray(part) for part in (found.values, found.vectors))


def as_torch(matrix):
    indices = (torch.from_numpy(index).long() for index in (matrix.indptr, matrix.indices))
    return torch.sparse_csr_tensor(*indices, torch.from_numpy(matrix.data), matrix.shape)


def with_entry(matrix, value, both=True):
    """The matrix with its entry (0, 1) replaced, and (1, 0) too where ``both``."""
    changed = matrix.tolil()
    changed[0, 1] = value
    if both:
        changed[1, 0] = value
    return changed.tocsr()


def test_the_problem_itself_is_solved():
    """What the tests below spoil is sound: values against a dense solver, the same from SciPy and from torch."""
    stiffness, mass = pencil()
    found = geospec.eigenpairs(stiffness, mass, 10)
    values, vectors = arrays(found)
    np.testing.assert_allclose(values[1:], eigh(stiffness.toarray(), np.diag(mass), eigvals_only=True)[1:10], rtol=1e-9)
    assert abs(values[0]) < 1e-9 * values[1]
    np.testing.assert_allclose(vectors.T @ (mass[:, None] * vectors), np.eye(10), rtol=0, atol=1e-9)
    assert np.asarray(found.residuals).shape == (10,)
    again, _ = arrays(geospec.eigenpairs(as_torch(stiffness), torch.from_numpy(mass), 10))
    np.testing.assert_allclose(again, values, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("k", [0, -3, 2.5, True, "ten", None])
def test_k_that_is_no_count(k):
    with pytest.raises(ArgumentError, match=r"\bk\b"):
        geospec.eigenpairs(*pencil(), k)


@both_ways
def test_k_above_the_size(way):
    stiffness, mass = pencil(way)
    with pytest.raises(ArgumentError, match=rf"\bk\b.*{len(mass)}"):
        geospec.eigenpairs(stiffness, mass, len(mass) + 1)


@pytest.mark.parametrize("missing", [0, 1])
def test_all_or_all_but_one(missing):
    """ARPACK refuses these; they are sound questions."""
    stiffness, mass = pencil()
    k = len(mass) - missing
    values, vectors = arrays(geospec.eigenpairs(stiffness, mass, k))
    np.testing.assert_allclose(values[1:], eigh(stiffness.toarray(), np.diag(mass), eigvals_only=True)[1:k], rtol=1e-9)
    np.testing.assert_allclose(vectors.T @ (mass[:, None] * vectors), np.eye(k), rtol=0, atol=1e-9)


def test_stiffness_that_is_no_square_matrix():
    stiffness, mass = pencil()
    for wrong in (stiffness[:, :-1], stiffness[:-1], as_torch(stiffness[:, :-1].tocsr()), [[1.0]], None, "stiffness"):
        with pytest.raises(ArgumentError, match="stiffness"):
            geospec.eigenpairs(wrong, mass, 5)


@both_ways
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_stiffness_with_an_entry_that_is_not_finite(way, value):
    stiffness, mass = pencil(way)
    for wrong in (with_entry(stiffness, value), as_torch(with_entry(stiffness, value))):
        with pytest.raises(REFUSED, match="stiffness.*(finite|NaN|inf)"):
            geospec.eigenpairs(wrong, mass, 5)


@both_ways
def test_stiffness_that_is_not_symmetric(way):
    stiffness, mass = pencil(way)
    with pytest.raises(REFUSED, match="stiffness.*symmetric"):
        geospec.eigenpairs(with_entry(stiffness, stiffness.diagonal().max(), both=False), mass, 5)


@both_ways
def test_rounding_does_not_make_a_matrix_unsymmetric(way):
    stiffness, mass = pencil(way)
    noise = stiffness.copy()
    noise.data *= 1 + 1e-15 * np.random.default_rng(0).uniform(-1, 1, noise.nnz)
    found, wanted = (arrays(geospec.eigenpairs(matrix, mass, 5))[0] for matrix in (noise, stiffness))
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)


@both_ways
def test_indefinite_stiffness(way):
    """Its sign turned, as half of the field defines a Laplacian, or shifted well below zero: told, not answered."""
    stiffness, mass = pencil(way)
    for wrong in (-stiffness, stiffness - sp.diags(50 * mass).tocsr()):
        with pytest.raises((*REFUSED, ConvergenceError), match="stiffness"):
            geospec.eigenpairs(wrong.tocsr(), mass, 5)


def test_stiffness_without_entries():
    """The zero operator is semi-definite: every function is a mode of eigenvalue zero."""
    mass = np.linspace(1, 2, 50)
    values, vectors = arrays(geospec.eigenpairs(sp.csr_matrix((50, 50)), mass, 7))
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_allclose(vectors.T @ (mass[:, None] * vectors), np.eye(7), rtol=0, atol=1e-12)


@pytest.mark.parametrize("column", [-1, 162, 2**40])
def test_indices_out_of_range(column):
    """torch does not look at the indices of a CSR tensor; a kernel that followed these would read foreign memory."""
    stiffness, mass = pencil()
    whole = as_torch(stiffness)
    columns = whole.col_indices().clone()
    columns[3] = column
    wrong = torch.sparse_csr_tensor(whole.crow_indices(), columns, whole.values(), whole.shape, check_invariants=False)
    with pytest.raises(REFUSED, match="stiffness"):
        geospec.eigenpairs(wrong, torch.from_numpy(mass), 5)


@both_ways
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_mass_that_is_no_mass(way, value):
    stiffness, mass = pencil(way)
    mass[7] = value
    for wrong in (mass, torch.from_numpy(mass)):
        with pytest.raises(REFUSED, match="mass"):
            geospec.eigenpairs(stiffness if wrong is mass else as_torch(stiffness), wrong, 5)


def test_mass_of_another_length():
    stiffness, mass = pencil()
    for wrong in (mass[:-1], np.append(mass, 1.0), mass[:0], mass.reshape(2, -1), 1.0):
        with pytest.raises(ArgumentError, match="mass"):
            geospec.eigenpairs(stiffness, wrong, 5)


def test_options_out_of_range():
    stiffness, mass = pencil()
    for tolerance in (0.0, -1e-8, np.nan):
        with pytest.raises(ArgumentError, match="tolerance"):
            geospec.eigenpairs(stiffness, mass, 5, tolerance=tolerance)
    with pytest.raises(ArgumentError, match="solver.*'auto'"):
        geospec.eigenpairs(stiffness, mass, 5, solver="quickest")


def test_what_cannot_be_reached_is_told():
    """Unconverged modes never come back in silence."""
    with pytest.raises(ConvergenceError, match="residual"):
        geospec.eigenpairs(*pencil("sparse"), 20, tolerance=1e-300)


@both_ways
@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_scales(way, factor):
    """Eigenvalues scale with the stiffness and against the mass; residuals are relative and see neither."""
    stiffness, mass = pencil(way)
    values, _ = arrays(geospec.eigenpairs(stiffness, mass, 12))
    for found, wanted in (
        (geospec.eigenpairs(stiffness * factor, mass, 12), values * factor),
        (geospec.eigenpairs(stiffness, mass * factor, 12), values / factor),
        (geospec.eigenpairs(stiffness * factor, mass * factor, 12), values),
    ):
        scaled, _ = arrays(found)
        np.testing.assert_allclose(scaled[1:], wanted[1:], rtol=1e-9)
        assert abs(scaled[0]) < 1e-9 * wanted[1]
        assert np.asarray(found.residuals).max() < 1e-8


@both_ways
def test_isolated_vertices(way):
    """A point that nothing joins is a component of its own: one more zero for each."""
    stiffness, mass = pencil(way)
    apart = sp.block_diag([stiffness, sp.csr_matrix((3, 3))]).tocsr()
    values, vectors = arrays(geospec.eigenpairs(apart, np.append(mass, mass[:3]), 8))
    whole, _ = arrays(geospec.eigenpairs(stiffness, mass, 5))
    assert (abs(values[:4]) < 1e-9 * whole[1]).all()
    np.testing.assert_allclose(values[4:], whole[1:], rtol=1e-8)
    # The zeros span the constant on the body and the three points.
    on_points = vectors[-3:, :4]
    np.testing.assert_allclose(on_points @ on_points.T, np.diag(1 / mass[:3]), rtol=0, atol=1e-8 / mass[:3].min())


def test_duplicated_points():
    """A mesh cut into its faces: 80 triangles, each with its own copies of the corners."""
    mesh = icosphere(1)
    soup = Mesh(mesh.vertices[mesh.faces.reshape(-1)], torch.arange(3 * len(mesh.faces)).reshape(-1, 3))
    stiffness, mass_matrix = laplacian(soup, "cotangent").to_scipy()
    mass = mass_matrix.diagonal()
    values, vectors = arrays(geospec.eigenpairs(stiffness, mass, 100))
    wanted = eigh(stiffness.toarray(), np.diag(mass), eigvals_only=True)[:100]
    np.testing.assert_allclose(values, wanted, rtol=1e-8, atol=1e-9 * wanted[-1])
    assert (values < 1e-9 * wanted[-1]).sum() == 80
    np.testing.assert_allclose(vectors.T @ (mass[:, None] * vectors), np.eye(100), rtol=0, atol=1e-9)


def test_entries_given_twice_add_up():
    """COO and CSR may hold an entry in parts; SciPy and torch both mean their sum."""
    stiffness, mass = pencil()
    coo = stiffness.tocoo()
    halves = sp.csr_matrix(stiffness.shape)
    order = np.argsort(np.tile(coo.row, 2), kind="stable")
    halves.data, halves.indices = np.tile(coo.data / 2, 2)[order], np.tile(coo.col, 2)[order]
    halves.indptr = 2 * stiffness.indptr
    values, _ = arrays(geospec.eigenpairs(halves, mass, 6))
    np.testing.assert_allclose(values, arrays(geospec.eigenpairs(stiffness, mass, 6))[0], rtol=1e-9, atol=1e-9)


@both_ways
def test_input_stays_as_it_was(way):
    stiffness, mass = pencil(way)
    before = stiffness.copy(), mass.copy()
    geospec.eigenpairs(stiffness, mass, 5)
    np.testing.assert_array_equal(stiffness.data, before[0].data)
    np.testing.assert_array_equal(stiffness.indices, before[0].indices)
    np.testing.assert_array_equal(mass, before[1])
