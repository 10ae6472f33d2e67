"""The sparse ``L D L^T``: solves, inertia and fill against dense algebra, every shape of elimination tree, every refusal."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from geospec import ArgumentError, ConvergenceError
from geospec.factor import SparseFactor, SparsePattern, symmetric_csr
from geospec.ops.sparse_ldl import Structure, ldl_analyze, ldl_factor, ldl_solve

SIZES = (1, 2, 31, 32, 33, 63, 64, 65, 500)


def laplacian_of(links):
    """Graph Laplacian of the links in the upper triangle of a matrix."""
    links = sp.csr_matrix(links)
    links = ((links + links.T) != 0).astype(float).tolil()
    links.setdiag(0)
    links = links.tocsr()
    return (sp.diags(np.asarray(links.sum(axis=1)).ravel()) - links).tocsr()


def path(n):
    return laplacian_of(sp.diags([np.ones(n - 1)], [1], shape=(n, n)))


def product(*lines):
    matrix = lines[0]
    for line in lines[1:]:
        matrix = sp.kron(matrix, sp.identity(line.shape[0])) + sp.kron(sp.identity(matrix.shape[0]), line)
    return matrix.tocsr()


def arrow(n):
    ends = np.zeros(n - 1, int), np.arange(1, n)
    return laplacian_of(sp.csr_matrix((np.ones(n - 1), ends), (n, n)))


def tree(n):
    child = np.arange(1, n)
    return laplacian_of(sp.csr_matrix((np.ones(n - 1), (child, (child - 1) // 2)), (n, n)))


def with_dense_block(n, dense):
    """A path that leads into a clique: one supernode of ``dense`` columns, more than one block of pivots."""
    links = sp.diags([np.ones(n - 1)], [1]).tolil()
    links[-dense:, -dense:] = 1
    return laplacian_of(links)


def random_matrix(n, seed=0):
    """Symmetric with entries of both signs, about four a row, its diagonal stored."""
    random = np.random.default_rng(seed)
    half = sp.coo_matrix((random.normal(size=2 * n), random.integers(0, n, (2, 2 * n))), (n, n))
    return (half + half.T + sp.identity(n)).tocsr()


GRAPHS = {
    "path": path(700),
    "grid": product(path(20), path(30)),
    "cube": product(path(8), path(9), path(10)),
    "clique": laplacian_of(np.ones((200, 200))),
    "dense block": with_dense_block(600, 200),
    "arrow": arrow(400),
    "tree": tree(511),
    "apart": sp.block_diag([path(3), product(path(9), path(9)), sp.csr_matrix((4, 4)), tree(40)]).tocsr(),
    "diagonal": sp.csr_matrix((300, 300)),
}
by_graph = pytest.mark.parametrize("name", GRAPHS)


def definite(name):
    """Positive definite, and no two rows alike."""
    matrix = GRAPHS[name]
    return (matrix + sp.diags(0.1 + np.random.default_rng(1).uniform(size=matrix.shape[0]))).tocsr()


def as_torch(matrix, dtype=torch.float64, index=torch.int64):
    indices = (torch.from_numpy(a.copy()).to(index) for a in (matrix.indptr, matrix.indices))
    return torch.sparse_csr_tensor(*indices, torch.from_numpy(matrix.data).to(dtype), matrix.shape)


def check_solve(matrix, factor, right, tolerance=1e-12):
    """The backward error: what is left, beside the sizes that met."""
    solved = factor.solve(right)
    assert solved.shape == right.shape
    assert np.isfinite(solved).all()
    left = np.abs(matrix @ solved - right).max()
    assert left <= tolerance * (abs(matrix).max() * np.abs(solved).max() + np.abs(right).max())
    return solved


@by_graph
def test_solves_every_shape_of_tree(name):
    matrix = definite(name)
    right = np.random.default_rng(2).normal(size=(matrix.shape[0], 5))
    factor = SparseFactor(matrix)
    solved = check_solve(matrix, factor, right)
    np.testing.assert_allclose(solved, np.linalg.solve(matrix.toarray(), right), rtol=1e-9, atol=1e-11)
    assert factor.negative == 0
    assert (factor.pivots > 0).all()


@pytest.mark.parametrize("n", SIZES)
def test_solves_definite_and_indefinite_of_every_size(n):
    matrix = random_matrix(n)
    right = np.random.default_rng(3).normal(size=(n, 3))
    dense = matrix.toarray()
    for shift in (-20.0, 0.437, 20.0):
        shifted = (matrix - shift * sp.identity(n)).tocsr()
        factor = SparseFactor(shifted)
        check_solve(shifted, factor, right, 1e-9)
        assert factor.negative == (np.linalg.eigvalsh(dense) < shift).sum()


def test_a_large_one_with_wide_supernodes():
    matrix = (product(path(12), path(15), path(17)) + 0.05 * sp.identity(3060)).tocsr()
    factor = SparseFactor(matrix)
    assert int(factor.pattern.structure.first.diff().max()) > 64, "several blocks of pivots in one supernode"
    check_solve(matrix, factor, np.random.default_rng(0).normal(size=(3060, 40)), 1e-14)


@by_graph
def test_inertia_counts_eigenvalues(name):
    """Sylvester, at twenty shifts inside the spectrum, between its distinct eigenvalues."""
    matrix = definite(name)
    values = np.linalg.eigvalsh(matrix.toarray())
    pattern = SparsePattern(*symmetric_csr("matrix", matrix)[:2])
    entries = symmetric_csr("matrix", matrix)[2]
    apart = np.flatnonzero(np.diff(values) > 1e-6 * values[-1])
    for i in apart[np.linspace(0, len(apart) - 1, 20).astype(int)]:
        moved = entries.clone()
        moved[pattern.diagonal] -= (values[i] + values[i + 1]) / 2
        assert pattern.factor(moved).negative == i + 1
    for shift, count in ((values[0] - 1, 0), (values[-1] + 1, len(values))):
        moved = entries.clone()
        moved[pattern.diagonal] -= shift
        assert pattern.factor(moved).negative == count


@pytest.mark.parametrize("columns", [*range(1, 19), 24, 25, 31, 32, 33, 40, 48, 63, 64, 65, 70])
def test_any_number_of_columns(columns):
    """Chunks of 8, 16 and 32 columns and what is left of them; vectors as rows or as columns."""
    matrix = definite("dense block")
    factor = SparseFactor(matrix)
    right = torch.from_numpy(np.random.default_rng(columns).normal(size=(matrix.shape[0], columns)))
    solved = factor.solve(right)
    check_solve(matrix, factor, right.numpy())
    assert torch.equal(factor.solve_rows(right.T.contiguous()).T, solved)
    assert torch.equal(factor.solve_rows(right.T), solved.T), "a view without a layout of its own"
    # A column is the same to rounding whoever its neighbours are.
    torch.testing.assert_close(factor.solve(right[:, -1]), solved[:, -1], rtol=1e-12, atol=1e-13)


def test_no_columns_and_no_rows():
    factor = SparseFactor(definite("path"))
    assert factor.solve(np.empty((700, 0))).shape == (700, 0)
    nothing = SparseFactor(sp.csr_matrix((0, 0)))
    assert nothing.negative == 0
    assert nothing.solve(np.empty((0, 3))).shape == (0, 3)
    assert nothing.solve(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("name", ["cube", "dense block", "clique", "apart"])
def test_the_same_bits_on_any_number_of_threads(name):
    matrix = (definite(name) - 0.77 * sp.identity(GRAPHS[name].shape[0])).tocsr()
    # Large enough that the threads share fronts too.
    matrix = sp.block_diag([matrix, product(path(11), path(12), path(13)) - 0.77 * sp.identity(1716)]).tocsr()
    right = torch.randn(matrix.shape[0], 40, dtype=torch.float64)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            factor = SparseFactor(matrix)
            results.append((factor.pivots, factor.solve_rows(right.T.contiguous()), factor.negative))
    finally:
        torch.set_num_threads(before)
    for pivots, solved, negative in results[1:]:
        assert torch.equal(pivots, results[0][0])
        torch.testing.assert_close(solved, results[0][1], rtol=1e-11, atol=1e-12)
        assert negative == results[0][2]


@by_graph
def test_numbering_does_not_matter(name):
    matrix = definite(name)
    order = np.random.default_rng(4).permutation(matrix.shape[0])
    right = np.random.default_rng(5).normal(size=(matrix.shape[0], 2))
    plain = SparseFactor(matrix).solve(right)
    np.testing.assert_allclose(SparseFactor(matrix[order][:, order]).solve(right[order]), plain[order], rtol=1e-10, atol=1e-12)


@by_graph
def test_in_order_renumbers_once(name):
    matrix = definite(name)
    crow, col, values = symmetric_csr("matrix", matrix)
    pattern, order, entries = SparsePattern.in_order(crow, col)
    assert torch.equal(pattern.structure.order, torch.arange(pattern.n))
    assert torch.equal(order.sort().values, torch.arange(pattern.n))
    assert torch.equal(entries.sort().values, torch.arange(len(values)))
    right = torch.randn(4, pattern.n, dtype=torch.float64)
    moved = pattern.factor(values[entries]).solve_rows(right[:, order])
    torch.testing.assert_close(moved, SparseFactor(matrix).solve_rows(right)[:, order], rtol=1e-9, atol=1e-11)


def naive_fill(matrix, order):
    """Rows of each column of the factor by eliminating one column after another, in sets."""
    place = np.argsort(order)
    rows = [set() for _ in order]
    coo = matrix.tocoo()
    for i, j in zip(place[coo.row], place[coo.col], strict=True):
        if i > j:
            rows[j].add(int(i))
    for j in range(len(order)):
        if rows[j]:
            rows[min(rows[j])] |= rows[j] - {min(rows[j])}
    return rows


@by_graph
def test_fill_is_what_elimination_gives(name):
    """The rows of every supernode hold the true ones of its columns; merging stores zeros, but not many."""
    matrix = GRAPHS[name] + sp.identity(GRAPHS[name].shape[0])
    pattern = SparsePattern(*symmetric_csr("matrix", matrix.tocsr())[:2])
    structure = Structure(*(part.numpy() for part in pattern.structure))
    rows = naive_fill(matrix, structure.order)
    first, begin = structure.first, structure.row_begin
    assert sorted(structure.order) == list(range(pattern.n))
    for s in range(len(first) - 1):
        below = structure.rows[begin[s] : begin[s + 1]]
        assert (np.diff(below) > 0).all()
        assert (below >= first[s + 1]).all()
        truth = set().union(*(rows[j] for j in range(first[s], first[s + 1])))
        assert set(below.tolist()) == {i for i in truth if i >= first[s + 1]}
        owner = np.searchsorted(first, below[0], side="right") - 1 if len(below) else -1
        assert structure.parent[s] == owner
    true = pattern.n + sum(len(r) for r in rows)
    width = np.diff(first)
    upper = int((width * (width - 1) // 2).sum())  # the halves above the diagonals of the blocks are stored too
    assert true <= pattern.entries
    assert pattern.entries - upper <= 3 * true + 8 * pattern.n


@pytest.mark.parametrize(
    "kind", ["csr", "csc", "coo", "torch", "torch int32", "torch coo", "float32", "torch float32", "unsorted", "parts"]
)
def test_any_sparse_input(kind):
    matrix = definite("grid")
    if "float32" in kind:
        matrix = matrix.astype(np.float32)
    given = {
        "csr": matrix,
        "csc": matrix.tocsc(),
        "coo": matrix.tocoo(),
        "torch": as_torch(matrix),
        "torch int32": as_torch(matrix, index=torch.int32),
        "torch coo": as_torch(matrix).to_sparse_coo(),
        "float32": matrix,
        "torch float32": as_torch(matrix, dtype=torch.float32),
    }.get(kind)
    if kind == "unsorted":
        given = sp.csr_matrix((matrix.data[::-1].copy(), matrix.indices[::-1].copy(), matrix.nnz - matrix.indptr[::-1]), matrix.shape)
        given = given[::-1]
        assert not given.has_sorted_indices
    if kind == "parts":
        coo = matrix.tocoo()
        twice = [np.concatenate([a, a]) for a in (coo.row, coo.col)]
        given = sp.coo_matrix((np.concatenate([0.25 * coo.data, 0.75 * coo.data]), twice), matrix.shape)
    right = np.random.default_rng(6).normal(size=matrix.shape[0])
    wide = matrix.astype(np.float64)
    np.testing.assert_allclose(SparseFactor(given).solve(right), np.linalg.solve(wide.toarray(), right), rtol=1e-10, atol=1e-12)


def test_the_input_stays_as_it_was():
    matrix = definite("grid").tocsc()
    before = matrix.copy()
    SparseFactor(matrix)
    assert (matrix != before).nnz == 0
    right = np.ones(matrix.shape[0])
    SparseFactor(matrix).solve(right)
    np.testing.assert_array_equal(right, 1)


def test_what_goes_in_comes_out():
    factor = SparseFactor(definite("path"))
    for right in (np.ones(700), np.ones((700, 2), dtype=np.float32), np.ones(700, dtype=int)):
        solved = factor.solve(right)
        assert isinstance(solved, np.ndarray)
        assert solved.shape == right.shape
        assert solved.dtype == np.float64
    for dtype in (torch.float32, torch.float64, torch.int64):
        solved = factor.solve(torch.ones(700, 2, dtype=dtype))
        assert solved.dtype == (dtype if dtype.is_floating_point else torch.float64)
        assert solved.shape == (700, 2)
    # The matrix is symmetric, so a block laid out by columns is another way to the same.
    block = np.asfortranarray(np.random.default_rng(0).normal(size=(700, 9)))
    np.testing.assert_allclose(factor.solve(block), factor.solve(np.ascontiguousarray(block)), rtol=0, atol=0)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e150])
def test_scales(scale):
    matrix = definite("grid") * scale
    right = np.random.default_rng(0).normal(size=matrix.shape[0])
    np.testing.assert_allclose(SparseFactor(matrix.tocsr()).solve(right) * scale, SparseFactor(definite("grid")).solve(right), rtol=1e-12)


@pytest.mark.parametrize("huge", [1e8, 1e15, 1e40])
@pytest.mark.parametrize("n", [2, 40, 300])
def test_rows_of_very_different_size(n, huge):
    """Pivots change places within a block: each is judged by the entry of its own row, not by its neighbour's."""
    matrix = (path(n) + 0.1 * sp.identity(n)).tolil()
    for i in (n // 2, n - 1):
        matrix[i, i] = huge
    factor = SparseFactor(matrix.tocsr())
    right = np.random.default_rng(0).normal(size=n)
    solved = factor.solve(right)
    assert factor.negative == 0
    # Where the diagonal is huge, the solution is next to nothing, and the rest solves the rest.
    rest = np.setdiff1d(np.arange(n), [n // 2, n - 1])
    if len(rest):
        wanted = np.linalg.solve(matrix.toarray()[np.ix_(rest, rest)], right[rest])
        np.testing.assert_allclose(solved[rest], wanted, rtol=1e-6, atol=1e-6)


def test_zero_on_the_diagonal_with_a_way_out():
    """Indefinite matrices whose first entry is zero: another pivot of the block serves."""
    matrix = sp.csr_matrix(np.array([[0.0, 1, 0], [1, 2, 1], [0, 1, 3]]))
    factor = SparseFactor(matrix)
    np.testing.assert_allclose(factor.solve(np.array([1.0, 2, 3])), np.linalg.solve(matrix.toarray(), [1, 2, 3]), rtol=1e-13)
    assert factor.negative == (np.linalg.eigvalsh(matrix.toarray()) < 0).sum()


@pytest.mark.parametrize("name", ["path", "grid", "apart"])
def test_a_singular_matrix_is_told(name):
    with pytest.raises(ConvergenceError, match="pivots vanish.*singular"):
        SparseFactor(GRAPHS[name])


def test_what_wants_two_by_two_pivots_is_told():
    with pytest.raises(ConvergenceError, match="wants pivoting"):
        SparseFactor(sp.csr_matrix(np.array([[0.0, 1], [1, 0]])))


def test_refusals_of_matrices():
    matrix = definite("grid")
    skew = matrix.copy()
    skew[0, 1] += 1
    one_sided = sp.csr_matrix((np.ones(2), ([0, 0], [0, 1])), (2, 2))
    for wrong, match in (
        (skew, "matrix.*symmetric"),
        (one_sided, "matrix.*symmetric"),
        (matrix[:, :-1], "matrix.*square"),
        (as_torch(matrix[:, :-1].tocsr()), "matrix.*square"),
        (matrix.astype(complex), "matrix.*real"),
        (as_torch(matrix).to(torch.complex128), "matrix.*real"),
        (matrix * np.nan, "matrix.*finite"),
        (as_torch(matrix * np.inf), "matrix.*finite"),
        (matrix.toarray(), "matrix.*SciPy sparse"),
        (torch.eye(3), "matrix.*sparse CSR"),
        (None, "matrix.*NoneType"),
    ):
        with pytest.raises(ArgumentError, match=match):
            SparseFactor(wrong)


@pytest.mark.parametrize("column", [-1, 600, 2**40])
def test_indices_out_of_range(column):
    whole = as_torch(definite("grid"))
    columns = whole.col_indices().clone()
    columns[5] = column
    wrong = torch.sparse_csr_tensor(whole.crow_indices(), columns, whole.values(), whole.shape, check_invariants=False)
    with pytest.raises(ArgumentError, match="matrix"):
        SparseFactor(wrong)


def test_offsets_that_fall():
    whole = as_torch(definite("grid"))
    for change in (lambda c: c.index_fill(0, torch.tensor([4]), 10**6), lambda c: c.index_fill(0, torch.tensor([4]), -3)):
        offsets = change(whole.crow_indices().clone())
        wrong = torch.sparse_csr_tensor(offsets, whole.col_indices(), whole.values(), whole.shape, check_invariants=False)
        with pytest.raises(ArgumentError, match="matrix"):
            SparseFactor(wrong)


def test_refusals_of_right_hand_sides():
    factor = SparseFactor(definite("path"))
    for wrong in (np.ones(699), np.ones((2, 700)), np.ones((700, 2, 2)), np.float64(1), torch.ones(701), np.ones(700) + 1j):
        with pytest.raises(ArgumentError, match="right"):
            factor.solve(wrong)


def raw(name="grid"):
    """Arguments of the three ops."""
    crow, col, values = symmetric_csr("matrix", definite(name))
    structure = ldl_analyze(crow, col, torch.randperm(len(crow) - 1))
    return crow, col, values, structure


def test_any_order_of_elimination_serves():
    crow, col, values, structure = raw()
    right = torch.randn(len(crow) - 1, 3, dtype=torch.float64)
    solved = ldl_solve(*ldl_factor(values, crow, col, structure), structure, right)
    torch.testing.assert_close(solved, SparseFactor(definite("grid")).solve(right), rtol=1e-10, atol=1e-12)


def changed(tensor, place, value):
    tensor = tensor.clone()
    tensor[place] = value
    return tensor


def test_ops_look_at_their_indices():
    """Kernels follow these into memory; whatever is checked must be refused with its name."""
    crow, col, values, structure = raw()
    n = len(crow) - 1
    order = torch.arange(n)
    for name, arguments in (
        ("order", (crow, col, changed(order, 3, 4))),
        ("order", (crow, col, changed(order, 3, -1))),
        ("order", (crow, col, changed(order, 3, n))),
        ("order", (crow, col, order[:-1])),
        ("order", (crow, col, order.int())),
        ("col", (crow, changed(col, 3, n), order)),
        ("col", (crow, changed(col, 3, -1), order)),
        ("col", (crow, col.int(), order)),
        ("crow", (changed(crow, 3, len(col) + 1), col, order)),
        ("crow", (changed(crow, 0, 1), col, order)),
        ("crow", (crow[:-1], col, order[:-1])),
        ("crow", (crow[:0], col, order)),
    ):
        with pytest.raises(RuntimeError, match=rf"\b{name}\b"):
            ldl_analyze(*arguments)
    for name, arguments in (
        ("values", (values[:-1], crow, col, structure)),
        ("values", (values.float(), crow, col, structure)),
        ("col", (values, crow, changed(col, 3, n), structure)),
        ("crow", (values, changed(crow, 3, len(col) + 1), col, structure)),
        ("first", (values, crow, col, structure._replace(first=structure.first[:-1]))),
        ("row_begin", (values, crow, col, structure._replace(row_begin=structure.row_begin[:-1]))),
        ("rows", (values, crow, col, structure._replace(rows=structure.rows[:-1]))),
        ("panel_begin", (values, crow, col, structure._replace(panel_begin=structure.panel_begin[:-1]))),
        ("order", (values, crow, col, structure._replace(order=structure.order.int()))),
    ):
        with pytest.raises(RuntimeError, match=rf"\b{name}\b"):
            ldl_factor(*arguments)
    panels, pivots, swaps = ldl_factor(values, crow, col, structure)
    right = torch.ones(n, 2, dtype=torch.float64)
    for name, arguments in (
        ("right", (panels, pivots, swaps, structure, right[:-1])),
        ("right", (panels, pivots, swaps, structure, right.float())),
        ("right", (panels, pivots, swaps, structure, right[:, 0])),
        ("panels", (panels[:-1], pivots, swaps, structure, right)),
        ("pivots", (panels, pivots[:-1], swaps, structure, right)),
        ("swaps", (panels, pivots, changed(swaps, 0, 32), structure, right)),
        ("swaps", (panels, pivots, changed(swaps, 0, -1), structure, right)),
        ("swaps", (panels, pivots, changed(swaps, -1, int(structure.first.diff()[-1])), structure, right)),
        ("first", (panels, pivots, swaps, structure._replace(first=changed(structure.first, 1, -5)), right)),
        ("first", (panels, pivots, swaps, structure._replace(first=changed(structure.first, 1, n + 5)), right)),
    ):
        with pytest.raises(RuntimeError, match=rf"\b{name}\b"):
            ldl_solve(*arguments)


def test_ops_keep_their_contract():
    """Schema and fake, by torch's own check."""
    crow, col, values, structure = raw()
    operators = torch.ops.geospec
    tests = ("test_schema", "test_faketensor")
    torch.library.opcheck(operators.ldl_analyze, (crow, col, torch.arange(len(crow) - 1)), test_utils=tests)
    torch.library.opcheck(operators.ldl_factor, (values, crow, col, *structure), test_utils=tests)
    factor = ldl_factor(values, crow, col, structure)
    for right, rows in ((torch.ones(len(crow) - 1, 5).double(), False), (torch.ones(5, len(crow) - 1).double(), True)):
        torch.library.opcheck(operators.ldl_solve, (*factor, *structure, right, rows), test_utils=tests)


def test_tensors_without_a_layout_of_their_own():
    crow, col, values, structure = raw()

    def spread(tensor):
        return torch.stack([tensor, torch.zeros_like(tensor)], dim=-1)[..., 0]

    plain = ldl_factor(values, crow, col, structure)
    spaced = ldl_factor(spread(values), spread(crow), spread(col), Structure(*map(spread, structure)))
    right = torch.randn(len(crow) - 1, 4, dtype=torch.float64)
    for a, b in zip(plain, spaced, strict=True):
        assert torch.equal(a, b)
    spaced = ldl_solve(*map(spread, plain), Structure(*map(spread, structure)), spread(right))
    assert torch.equal(ldl_solve(*plain, structure, right), spaced)
