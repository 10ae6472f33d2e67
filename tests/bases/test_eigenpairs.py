"""``geospec.eigenpairs`` where it is asked most: odd spectra, many copies, windows, starts, slices; always against other algebra."""

import functools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.linalg import eigh

import geospec
from geospec import ArgumentError, LaplaceBasis, Mesh, laplacian
from geospec.bases import krylov
from geospec.laplacians import connection_laplacian, mass_matrix, whitney_laplacian
from geospec.testing import bumpy_sphere, disjoint_union, grid, icosphere, torus

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")


def by_scipy(matrix):
    """A torch CSR as SciPy's."""
    parts = (part.numpy() for part in (matrix.values(), matrix.col_indices(), matrix.crow_indices()))
    return sp.csr_matrix(tuple(parts), matrix.shape)


def as_torch(matrix, dtype=torch.float64):
    matrix = matrix.tocsr()
    indices = (torch.from_numpy(index).long() for index in (matrix.indptr, matrix.indices))
    return torch.sparse_csr_tensor(*indices, torch.from_numpy(matrix.data).to(dtype), matrix.shape)


def of_links(rows, columns, n):
    """Laplacian of a graph with unit weights."""
    links = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), (n, n))
    links = ((links + links.T) != 0).astype(float).tolil()
    links.setdiag(0)
    links = links.tocsr()
    return (sp.diags(np.asarray(links.sum(axis=1)).ravel()) - links).tocsr()


def path(n):
    return of_links(np.arange(n - 1), np.arange(1, n), n)


def ring(n):
    return of_links(np.arange(n), np.roll(np.arange(n), -1), n)


def product(*lines):
    matrix = lines[0]
    for line in lines[1:]:
        matrix = sp.kron(matrix, sp.identity(line.shape[0])) + sp.kron(sp.identity(matrix.shape[0]), line)
    return matrix.tocsr()


def expander(n, cycles):
    """The union of random cycles: all of its spectrum but the zero lies far from zero."""
    orders = [np.random.default_rng(i).permutation(n) for i in range(cycles)]
    return of_links(np.concatenate(orders), np.concatenate([np.roll(order, 1) for order in orders]), n)


def dumbbell():
    """Two grids joined by one link of little weight: the second eigenvalue is next to nothing."""
    matrix = sp.block_diag([product(path(20), path(25))] * 2).tolil()
    for i, j, w in ((0, 0, 1), (500, 500, 1), (0, 500, -1), (500, 0, -1)):
        matrix[i, j] += 1e-6 * w
    return matrix.tocsr()


def with_huge_rows():
    weights = np.zeros(900)
    weights[[3, 500, 899]] = 1e5, 1e7, 1e6
    return (product(path(30), path(30)) + sp.diags(weights)).tocsr()


GRAPHS = {
    "path": lambda: path(1000),
    "ring": lambda: ring(600),
    "torus": lambda: product(ring(24), ring(24)),  # eigenvalues eight times
    "cube of points": lambda: product(path(9), path(10), path(11)),
    "torus of three dimensions": lambda: product(ring(9), ring(9), ring(9)),  # eigenvalues that are sums of others
    "hypercube": lambda: product(*[path(2)] * 10),  # 0, 2, 4, ...: one, ten, 45, 120, 210 times
    "expander": lambda: expander(900, 3),
    "complete": lambda: 600 * sp.identity(600) - np.ones((600, 600)),  # 600 for 599 times
    "bipartite": lambda: of_links(*(a.ravel() for a in np.meshgrid(np.arange(3), np.arange(3, 603))), 603),
    "tree": lambda: of_links(np.arange(1, 1023), (np.arange(1, 1023) - 1) // 2, 1023),
    "dumbbell": dumbbell,
    "huge rows": with_huge_rows,
    "all but equal": lambda: 1e-12 * path(700) + sp.identity(700),
    "far from zero": lambda: path(700) + 1000 * sp.identity(700),
}


@functools.cache
def graph(name):
    """The matrix and its whole spectrum."""
    matrix = sp.csr_matrix(GRAPHS[name]())
    return matrix, np.linalg.eigvalsh(matrix.toarray())


@functools.cache
def surface(name):
    """Stiffness, diagonal mass and whole spectrum of a mesh of 642 to 2,562 points."""
    mesh = {"icosphere": lambda: icosphere(4), "torus": lambda: torus(40, 27), "bumpy": lambda: bumpy_sphere(3)}[name]()
    stiffness, mass = laplacian(mesh, "cotangent").to_scipy()
    root = np.sqrt(mass.diagonal())
    return stiffness, mass.diagonal(), np.linalg.eigvalsh(stiffness.toarray() / root[:, None] / root)


def check(found, stiffness, mass, wanted, *, tolerance=1e-8, orthonormal=1e-9, closeness=1e-9):
    """What is promised: the wanted values, ``M``-orthonormal vectors, and residuals that are the true ones."""
    values, vectors, told = (np.asarray(part) for part in (found.values, found.vectors, found.residuals))
    k, n = len(wanted), stiffness.shape[0]
    assert values.shape == told.shape == (k,)
    assert vectors.shape == (n, k)
    assert values.dtype == vectors.dtype == told.dtype == np.float64
    assert (np.diff(values) >= -closeness * abs(values[1:])).all()
    total = np.ones(n) if mass is None else mass.diagonal() if sp.issparse(mass) else mass
    scale = np.median(stiffness.diagonal()) / (mass.sum() if sp.issparse(mass) else total.sum())
    np.testing.assert_allclose(values, wanted, rtol=closeness, atol=closeness * scale + 1e-15 * (stiffness.diagonal() / total).max())
    weigh = (lambda x: mass @ x) if sp.issparse(mass) else (lambda x: total[:, None] * x)
    np.testing.assert_allclose(vectors.T @ weigh(vectors), np.eye(k), rtol=0, atol=orthonormal)
    left = stiffness @ vectors - weigh(vectors) * values
    dual = np.linalg.solve(mass.toarray(), left) if sp.issparse(mass) else left / total[:, None]
    true = np.sqrt((left * dual).sum(axis=0)) / (abs(values) + scale)
    rounding = 4e-15 * (stiffness.diagonal() / total).max() / (abs(values) + scale)
    assert (true <= np.maximum(tolerance, rounding)).all()
    assert (abs(true - told) <= 0.1 * true + rounding).all(), "the residuals that are told"


COUNTS = (1, 2, 3, 7, 20, 60, "n/5")


@pytest.mark.parametrize(("name", "k"), [(name, k) for name in GRAPHS for k in (COUNTS[:2] if name == "complete" else COUNTS)])
def test_spectra_unlike_a_surface(name, k):
    """Weyl's law for surfaces guides the search: here it is wrong, and eigenvalues lie where shifts would."""
    matrix, spectrum = graph(name)
    k = len(spectrum) // 5 if k == "n/5" else k
    found = geospec.eigenpairs(matrix, k=k)
    assert found.report["solver"] == "krylov"
    assert found.report["counted"]
    check(found, matrix, None, spectrum[:k].clip(min=0))


@pytest.mark.parametrize("k", [1, 4, 5, 40])
def test_consistent_mass(k):
    mesh = icosphere(3)
    stiffness, mass = by_scipy(laplacian(mesh, "cotangent").stiffness), by_scipy(mass_matrix(mesh))
    found = geospec.eigenpairs(stiffness, mass, k)
    assert found.report["solver"] == "krylov"
    check(found, stiffness, mass, eigh(stiffness.toarray(), mass.toarray(), eigvals_only=True)[:k].clip(min=0))
    # Linear elements bound the eigenvalues from above.
    exact = np.array([degree * (degree + 1) for degree in range(7) for _ in range(2 * degree + 1)])[:k]
    assert (found.values >= exact * (1 - 1e-9)).all()


@pytest.mark.parametrize("most", [20, 60])
@pytest.mark.parametrize("name", ["icosphere", "torus", "bumpy"])
def test_windows_side_by_side(monkeypatch, name, most):
    """As thousands of modes are taken: none twice, none missing at the seams, and orthogonal across them."""
    monkeypatch.setattr(krylov, "MOST_AT_ONCE", most)
    stiffness, mass, spectrum = surface(name)
    k = min(150, len(mass) // 5)
    found = geospec.eigenpairs(stiffness, mass, k)
    assert found.report["windows"] >= k // most
    check(found, stiffness, mass, spectrum[:k].clip(min=0))


def test_windows_side_by_side_with_a_consistent_mass(monkeypatch):
    monkeypatch.setattr(krylov, "MOST_AT_ONCE", 30)
    mesh = bumpy_sphere(3)
    stiffness, mass = by_scipy(laplacian(mesh, "cotangent").stiffness), by_scipy(mass_matrix(mesh))
    found = geospec.eigenpairs(stiffness, mass, 120)
    assert found.report["windows"] > 3
    check(found, stiffness, mass, eigh(stiffness.toarray(), mass.toarray(), eigvals_only=True)[:120].clip(min=0))


@pytest.mark.parametrize("name", ["hypercube", "torus of three dimensions"])
def test_windows_side_by_side_across_many_copies(monkeypatch, name):
    """Multiplicities beyond a window: 120 copies where twelve are taken at once."""
    monkeypatch.setattr(krylov, "MOST_AT_ONCE", 24)
    matrix, spectrum = graph(name)
    check(geospec.eigenpairs(matrix, k=100), matrix, None, spectrum[:100].clip(min=0))


WINDOWS = {
    "from zero": lambda v: (0, (v[30] + v[31]) / 2),
    "from below zero": lambda v: (-3, (v[11] + v[12]) / 2),
    "above zero": lambda v: (v[1] / 2, (v[9] + v[10]) / 2),
    "inside": lambda v: ((v[20] + v[21]) / 2, (v[70] + v[71]) / 2),
    "one alone": lambda v: ((v[20] + v[21]) / 2, (v[21] + v[22]) / 2),
    "edges at eigenvalues": lambda v: (v[20], v[40]),
    "empty between": lambda v: (v[20] + 0.3 * (v[21] - v[20]), v[20] + 0.7 * (v[21] - v[20])),
    "empty below": lambda v: (-9.0, -1.0),
    "empty above": lambda v: (v[-1] * 1.5, v[-1] * 2),
    "the last": lambda v: ((v[-4] + v[-5]) / 2, v[-1] * 2),
    "all": lambda v: (-1, v[-1] * 2),
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("mass", ["lumped", "consistent"])
def test_window(name, mass):
    """Low end in, high end out."""
    mesh = bumpy_sphere(3)
    stiffness = by_scipy(laplacian(mesh, "cotangent").stiffness)
    mass = by_scipy(mass_matrix(mesh, mass))
    mass = mass.diagonal() if mass.nnz == len(mass.indptr) - 1 else mass
    spectrum = eigh(stiffness.toarray(), mass.toarray() if sp.issparse(mass) else np.diag(mass), eigvals_only=True)
    low, high = WINDOWS[name](spectrum)
    hair = 1e-8 * spectrum[1]
    found = geospec.eigenpairs(stiffness, mass, window=(low, high))
    wanted = spectrum[(spectrum >= low - hair) & (spectrum < high - hair)]
    check(found, stiffness, mass, wanted.clip(min=0))
    assert found.report["k"] == len(wanted)
    assert found.report["components"] == 1


def test_window_across_components():
    """Three pieces at once, two of them alike."""
    parts = [bumpy_sphere(3), icosphere(2), Mesh(icosphere(2).vertices + 5, icosphere(2).faces)]
    stiffness, mass = laplacian(disjoint_union(*parts), "cotangent").to_scipy()
    mass = mass.diagonal()
    spectrum = eigh(stiffness.toarray(), np.diag(mass), eigvals_only=True)
    gaps = 1 + np.flatnonzero(np.diff(spectrum) > 1e-3)
    for first, last in ((0, gaps[20]), (gaps[0], gaps[15]), (gaps[4], gaps[40])):
        bounds = ((spectrum[first - 1] + spectrum[first]) / 2 if first else 0, (spectrum[last - 1] + spectrum[last]) / 2)
        found = geospec.eigenpairs(stiffness, mass, window=bounds)
        check(found, stiffness, mass, spectrum[first:last].clip(min=0))
        assert found.report["components"] == 3


def test_window_on_copies(monkeypatch):
    """Many windows, each of the copies of two eigenvalues of the hypercube: all 165 of them."""
    monkeypatch.setattr(krylov, "MOST_AT_ONCE", 30)
    matrix, spectrum = graph("hypercube")
    found = geospec.eigenpairs(matrix, window=(3.0, 7.0))
    check(found, matrix, None, spectrum[11:176])


def test_window_by_the_dense_solver():
    stiffness, mass, spectrum = surface("torus")
    found = geospec.eigenpairs(stiffness, mass, window=(0, (spectrum[4] + spectrum[5]) / 2), solver="dense")
    assert found.report["solver"] == "dense"
    check(found, stiffness, mass, spectrum[:5].clip(min=0))


@pytest.mark.parametrize("window", [(1, 1), (2, 1), (np.nan, 1), (0, np.inf), (1,), (1, 2, 3), 5.0, "ab", (None, 1)])
def test_window_that_is_none(window):
    stiffness, mass, _ = surface("torus")
    with pytest.raises(ArgumentError, match="window"):
        geospec.eigenpairs(stiffness, mass, window=window)


def test_k_or_a_window():
    stiffness, mass, _ = surface("torus")
    for k, window in ((None, None), (3, (0, 1))):
        with pytest.raises(ArgumentError, match="either k or a window"):
            geospec.eigenpairs(stiffness, mass, k, window=window)
    with pytest.raises(ArgumentError, match="window"):
        geospec.eigenpairs(stiffness, mass, window=(0, 1), solver="chebyshev")


@pytest.mark.parametrize("name", ["icosphere", "bumpy"])
def test_forty_more_modes(name):
    """From an earlier result: its modes are kept as they are, and the rest costs less than all."""
    stiffness, mass, spectrum = surface(name)
    whole, first = (geospec.eigenpairs(stiffness, mass, k) for k in (120, 80))
    found = geospec.eigenpairs(stiffness, mass, 120, start=first)
    check(found, stiffness, mass, spectrum[:120].clip(min=0))
    assert found.report["kept"] >= 80 - 21, "all but a last multiplet that may have been cut"
    assert found.report["solves"] < 0.8 * whole.report["solves"]
    kept = found.report["kept"]
    np.testing.assert_allclose(found.vectors[:, :kept], first.vectors[:, :kept], rtol=0, atol=1e-12)
    last = np.flatnonzero(np.diff(spectrum[:121]) > 1e-3)[-1] + 1  # no multiplet is cut here
    overlap = np.linalg.svd(found.vectors[:, :last].T @ (mass[:, None] * whole.vectors[:, :last]), compute_uv=False)
    np.testing.assert_allclose(overlap, 1, rtol=0, atol=1e-9)


def test_nothing_more():
    stiffness, mass, spectrum = surface("torus")
    first = geospec.eigenpairs(stiffness, mass, 60)
    found = geospec.eigenpairs(stiffness, mass, 40, start=first)
    assert found.report["solves"] == 0
    assert found.report["kept"] == 40
    check(found, stiffness, mass, spectrum[:40].clip(min=0))


def starts(vectors):
    """Of sixty right modes: what a caller may hold instead."""
    noise = np.random.default_rng(0).normal(size=vectors.shape)
    return {
        "one missing": np.delete(vectors, 7, axis=1),
        "the first missing": vectors[:, 1:],
        "every other": vectors[:, ::2],
        "the constant alone": vectors[:, :1],
        "shuffled": vectors[:, ::-1],
        "mixed": vectors @ noise[:60],
        "twice": np.hstack([vectors, vectors]),
        "nearly right": vectors + 1e-6 * noise,
        "rubbish": noise,
        "zeros": np.zeros_like(vectors),
        "one zero": vectors * (np.arange(60) != 5),
        "tiny": vectors * 1e-200,
        "huge": vectors * 1e200,
        "float32": vectors.astype(np.float32),
        "a tensor": torch.from_numpy(vectors),
    }


@pytest.mark.parametrize("name", starts(np.zeros((60, 60))))
def test_no_start_misleads(name):
    stiffness, mass, spectrum = surface("bumpy")
    start = starts(geospec.eigenpairs(stiffness, mass, 60).vectors)[name]
    found = geospec.eigenpairs(stiffness, mass, 45, start=start)
    check(found, stiffness, mass, spectrum[:45].clip(min=0))
    assert found.report["kept"] == {
        "the constant alone": 1,
        "shuffled": 45,
        "mixed": 45,
        "tiny": 45,
        "huge": 45,
        "a tensor": 45,
        "float32": 1,
    }.get(name, 0)


def test_start_from_a_deformed_shape():
    mesh = bumpy_sphere(3)
    other = Mesh(mesh.vertices * torch.tensor([1.0, 1.01, 0.98], dtype=torch.float64), mesh.faces)
    moved, mass = laplacian(other, "cotangent").to_scipy()
    mass = mass.diagonal()
    start = geospec.eigenpairs(*surface("bumpy")[:2], 40)
    found = geospec.eigenpairs(moved, mass, 40, start=start)
    check(found, moved, mass, eigh(moved.toarray(), np.diag(mass), eigvals_only=True, subset_by_index=(0, 39)).clip(min=0))
    # The constant is a mode of both.
    assert found.report["kept"] == 1


def test_start_on_components():
    """Modes that live on other components are nothing on this one."""
    shape = disjoint_union(bumpy_sphere(3), icosphere(3))
    stiffness, mass = laplacian(shape, "cotangent").to_scipy()
    mass = mass.diagonal()
    spectrum = eigh(stiffness.toarray(), np.diag(mass), eigvals_only=True)[:50].clip(min=0)
    first = geospec.eigenpairs(stiffness, mass, 20)
    for start in (first, first.vectors[:, :1], first.vectors[:, 1:]):
        check(geospec.eigenpairs(stiffness, mass, 50, start=start), stiffness, mass, spectrum)
    again = geospec.eigenpairs(stiffness, mass, 50, start=first)
    assert again.report["kept"] > 0


@pytest.mark.parametrize(
    "start", [np.ones(5), np.ones((5, 2)), np.full((1080, 2), np.nan), "modes", [1, 2], np.ones((1080, 0)), 1j * np.ones((1080, 1))]
)
def test_start_that_is_none(start):
    stiffness, mass, _ = surface("torus")
    with pytest.raises(ArgumentError, match="start"):
        geospec.eigenpairs(stiffness, mass, 5, start=start)


@pytest.mark.parametrize("name", ["torus", "bumpy"])
def test_three_solvers_agree(name):
    stiffness, mass, spectrum = surface(name)
    last = np.flatnonzero(np.diff(spectrum[:40]) > 1e-3)[-1] + 1
    found = {solver: geospec.eigenpairs(stiffness, mass, last, solver=solver) for solver in ("krylov", "chebyshev", "dense")}
    for solver, result in found.items():
        check(result, stiffness, mass, spectrum[:last].clip(min=0))
        assert result.report["solver"] == solver
        overlap = np.linalg.svd(result.vectors.T @ (mass[:, None] * found["dense"].vectors), compute_uv=False)
        np.testing.assert_allclose(overlap, 1, rtol=0, atol=1e-9)


@pytest.mark.parametrize("solver", ["krylov", "chebyshev", "dense"])
def test_what_goes_in_comes_out(solver):
    stiffness, mass, spectrum = surface("bumpy")
    arrays = geospec.eigenpairs(stiffness, mass, 6, solver=solver)
    for part in (arrays.values, arrays.vectors, arrays.residuals):
        assert isinstance(part, np.ndarray)
        assert part.dtype == np.float64
    for dtype in (torch.float64, torch.float32):
        tensors = geospec.eigenpairs(as_torch(stiffness, dtype), torch.from_numpy(mass).to(dtype), 6, solver=solver)
        for part in (tensors.values, tensors.vectors, tensors.residuals):
            assert isinstance(part, torch.Tensor)
            assert part.dtype == torch.float64
        np.testing.assert_allclose(tensors.values[1:], spectrum[1:6], rtol=1e-9 if dtype == torch.float64 else 1e-4)
    for kind in ("csc", "coo"):
        again = geospec.eigenpairs(stiffness.asformat(kind), sp.diags(mass).asformat(kind), 6, solver=solver)
        np.testing.assert_allclose(again.values, arrays.values, rtol=1e-10, atol=1e-10)


def test_seeds():
    """The same bits for one seed; for another, the same spaces."""
    stiffness, mass, _ = surface("icosphere")
    one, again, other = (geospec.eigenpairs(stiffness, mass, 49, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.vectors, again.vectors)
    np.testing.assert_array_equal(one.values, again.values)
    assert not np.array_equal(one.vectors, other.vectors)
    overlap = np.linalg.svd(one.vectors.T @ (mass[:, None] * other.vectors), compute_uv=False)
    np.testing.assert_allclose(overlap, 1, rtol=0, atol=1e-9)


def test_the_callers_random_state_stays():
    stiffness, mass, _ = surface("torus")
    before = torch.random.get_rng_state()
    geospec.eigenpairs(stiffness, mass, 10)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("most", [600, 25])
def test_progress(monkeypatch, most):
    monkeypatch.setattr(krylov, "MOST_AT_ONCE", most)
    stiffness, mass, spectrum = surface("bumpy")
    calls = []
    geospec.eigenpairs(stiffness, mass, 70, progress=lambda *call: calls.append(call))
    assert {call[0] for call in calls} == {"modes"}
    assert {call[2] for call in calls} == {70}
    assert all(0 <= call[1] <= 70 for call in calls)
    assert calls[-1][1] == 70
    calls.clear()
    geospec.eigenpairs(stiffness, mass, window=(0, spectrum[30] * 1.0001), progress=lambda *call: calls.append(call))
    assert calls[-1] == ("modes", 31, 31)


def test_report():
    stiffness, mass, _ = surface("torus")
    always = {"n", "k", "tolerance", "solver", "counted"}
    wanted = {
        "krylov": {"components", "space", "solves", "kept", "factorizations", "windows", "factor_entries"},
        "dense": {"components"},
        "chebyshev": {"degree"},
    }
    for solver, keys in wanted.items():
        report = geospec.eigenpairs(stiffness, mass, 8, solver=solver, tolerance=1e-7).report
        assert keys | always <= set(report)
        assert (report["n"], report["k"], report["tolerance"], report["solver"]) == (1080, 8, 1e-7, solver)
        assert report["counted"] == (solver != "chebyshev")


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-11])
def test_tolerance(tolerance):
    stiffness, mass, spectrum = surface("bumpy")
    found = geospec.eigenpairs(stiffness, mass, 30, tolerance=tolerance)
    check(found, stiffness, mass, spectrum[:30].clip(min=0), tolerance=tolerance, closeness=max(1e-9, tolerance))


@pytest.mark.parametrize("factor", [1e-100, 1e-8, 1e8, 1e100])
def test_scales(factor):
    stiffness, mass, spectrum = surface("torus")
    check(geospec.eigenpairs(stiffness * factor, mass, 20), stiffness * factor, mass, spectrum[:20].clip(min=0) * factor)
    found = geospec.eigenpairs(stiffness, mass * factor, 20)
    np.testing.assert_allclose(found.values[1:] * factor, spectrum[1:20], rtol=1e-9)


@pytest.mark.parametrize("share", [1e-6, 1e-12])
def test_tiny_masses(share):
    """Points next to weightless send as many eigenvalues to infinity, and leave the others."""
    stiffness, mass, _ = surface("bumpy")
    mass = mass.copy()
    mass[::100] *= share
    values = geospec.eigenpairs(stiffness, mass, 30)
    # Without them: the Schur complement, on which a weightless point is what its neighbours make it.
    light = np.arange(len(mass)) % 100 == 0
    dense = stiffness.toarray()
    heavy = dense[~light][:, ~light] - dense[~light][:, light] @ np.linalg.solve(dense[light][:, light], dense[light][:, ~light])
    wanted = eigh(heavy, np.diag(mass[~light]), eigvals_only=True, subset_by_index=(0, 29))
    np.testing.assert_allclose(values.values[1:], wanted[1:], rtol=10 * share + 1e-8)
    np.testing.assert_allclose(values.vectors.T @ (mass[:, None] * values.vectors), np.eye(30), rtol=0, atol=1e-9)


def test_slivers():
    """Vertices moved next to their neighbours: weights over ten orders of magnitude, found by two solvers that share nothing."""
    mesh = bumpy_sphere(3)
    vertices = mesh.vertices.clone()
    for face in (5, 300, 700):
        a, b, _ = mesh.faces[face].tolist()
        vertices[a] = vertices[b] + 1e-7 * (vertices[a] - vertices[b])
    stiffness, mass = laplacian(Mesh(vertices, mesh.faces), "cotangent").to_scipy()
    krylov_, dense = (geospec.eigenpairs(stiffness, mass.diagonal(), 30, solver=solver) for solver in ("krylov", "dense"))
    np.testing.assert_allclose(krylov_.values[1:], dense.values[1:], rtol=1e-5)


def kernel_of_plus():
    """The Hodge Laplacian of one-forms as a product of incidences: a kernel of as many dimensions as a graph has cycles."""
    links = np.array([(i, j) for i in range(0, 40) for j in range(i + 1, 40)])
    rows = np.repeat(np.arange(len(links)), 2)
    incidence = sp.csr_matrix((np.tile([-1.0, 1.0], len(links)), (rows, links.ravel())), (len(links), 40))
    return (incidence @ incidence.T).tocsr()


@pytest.mark.parametrize("k", [1, 5, 100])
def test_a_kernel_of_many_dimensions(k):
    """The zero itself many times: 741 loops of the complete graph of forty points."""
    matrix = kernel_of_plus()
    found = geospec.eigenpairs(matrix, k=k)
    check(found, matrix, None, np.zeros(k))


def test_vector_operators():
    """A torus has two harmonic one-forms; the connection Laplacian has every eigenvalue of its complex form twice."""
    stiffness, mass = (by_scipy(part) for part in whitney_laplacian(torus(24, 12)))
    spectrum = eigh(stiffness.toarray(), mass.toarray(), eigvals_only=True)
    found = geospec.eigenpairs(stiffness, mass, 20)
    check(found, stiffness, mass, spectrum[:20].clip(min=0))
    assert (found.values < 1e-8 * spectrum[2]).sum() == 2
    connection = connection_laplacian(bumpy_sphere(3))
    hermitian = by_scipy(connection.stiffness)
    stiffness = sp.bmat([[hermitian.real, -hermitian.imag], [hermitian.imag, hermitian.real]]).tocsr()
    diagonal = np.tile(connection.mass.numpy(), 2)
    found = geospec.eigenpairs(stiffness, diagonal, 20)
    check(found, stiffness, diagonal, eigh(stiffness.toarray(), np.diag(diagonal), eigvals_only=True)[:20])
    np.testing.assert_allclose(found.values[::2], found.values[1::2], rtol=1e-9)


def test_a_basis_grows(tmp_path):
    """``start`` and the cache keep the modes at hand; what is asked of residuals is part of the key."""
    mesh = bumpy_sphere(3)
    small, large = (LaplaceBasis.fit(mesh, k, cache=tmp_path) for k in (40, 70))
    torch.testing.assert_close(large.modes[:, :40], small.modes, rtol=0, atol=1e-12)
    assert len(list(tmp_path.iterdir())) == 1
    scratch, started = LaplaceBasis.fit(mesh, 70), LaplaceBasis.fit(mesh, 70, start=small)
    torch.testing.assert_close(started.modes[:, :40], small.modes, rtol=0, atol=1e-12)
    torch.testing.assert_close(started.eigenvalues, scratch.eigenvalues, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(started.modes, scratch.modes, rtol=0, atol=1e-5)
    LaplaceBasis.fit(mesh, 40, cache=tmp_path, tolerance=1e-6)
    LaplaceBasis.fit(mesh, 40, cache=tmp_path, solver="dense")
    assert len(list(tmp_path.iterdir())) == 3
    open_mesh = grid(25, 30)
    inner = LaplaceBasis.fit(open_mesh, 20, boundary="dirichlet")
    more = LaplaceBasis.fit(open_mesh, 50, boundary="dirichlet", start=inner)
    torch.testing.assert_close(more.modes[:, :20], inner.modes, rtol=0, atol=1e-8)
    torch.testing.assert_close(more.eigenvalues, LaplaceBasis.fit(open_mesh, 50, boundary="dirichlet").eigenvalues, rtol=1e-9, atol=0)


def test_refusals_of_fit(tmp_path):
    mesh = bumpy_sphere(2)
    with pytest.raises(ArgumentError, match="start: wanted a LaplaceBasis"):
        LaplaceBasis.fit(mesh, 5, start=torch.ones(162, 3))
    with pytest.raises(ArgumentError, match="start: wanted a basis on 162 points"):
        LaplaceBasis.fit(mesh, 5, start=LaplaceBasis.fit(bumpy_sphere(1), 5))
    for cache in (None, tmp_path):
        for tolerance in (0, -1, 1, np.nan, "small", None):
            with pytest.raises(ArgumentError, match="tolerance"):
                LaplaceBasis.fit(mesh, 5, tolerance=tolerance, cache=cache)
        with pytest.raises(ArgumentError, match="solver"):
            LaplaceBasis.fit(mesh, 5, solver="fast", cache=cache)
    assert not list(tmp_path.iterdir())
