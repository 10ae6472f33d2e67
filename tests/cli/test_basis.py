"""``geospec basis``: arrays that belong to the file's own vertices, whatever was repaired."""

import json
import re
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import geospec
from geospec.bases import LaplaceBasis, laplace
from geospec.testing import disjoint_union, grid, icosphere


def orthonormality_error(modes, measure):
    return np.abs(modes.T @ (measure[:, None] * modes) - np.eye(modes.shape[1])).max()


def test_npz_holds_the_basis_of_the_file(run, shapes, tmp_path):
    done = run("basis", shapes / "a.off", "-k", 20, "-o", tmp_path / "basis.npz", "--json")
    assert done.code == 0, done.err
    expected = geospec.LaplaceBasis.fit(geospec.load(shapes / "a.off"), 20)
    with np.load(tmp_path / "basis.npz", allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    assert set(stored) == {"modes", "eigenvalues", "measure"}
    for name, value in stored.items():
        np.testing.assert_array_equal(value, getattr(expected, name).numpy())
    told = json.loads(done.out)
    assert told["k"] == 20
    assert told["n"] == 162
    assert told["eigenvalues"] == expected.eigenvalues.tolist()
    assert told["output"] == str(tmp_path / "basis.npz")
    assert (told["solver"], told["components"], told["counted"]) == ("dense", 1, True)
    assert told["worst_residual"] == expected.residuals.max().item()
    assert "wrote" in done.err


def test_safetensors_loads_as_a_basis(run, shapes, tmp_path):
    assert run("basis", shapes / "a.off", "-k", 8, "-o", tmp_path / "b.safetensors", "--kind", "cotangent").code == 0
    basis = LaplaceBasis.load(tmp_path / "b.safetensors")
    assert (basis.n, basis.k, basis.options["kind"]) == (162, 8, "cotangent")


def test_pictures(run, shapes, tmp_path):
    done = run("basis", shapes / "a.off", "-k", 6, "--image", tmp_path / "modes.png", "--report", tmp_path / "basis.html")
    assert done.code == 0, done.err
    assert (tmp_path / "modes.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "basis.html").read_text()
    assert "<html" in page[:200].lower()
    basis = geospec.LaplaceBasis.fit(geospec.load(shapes / "a.off"), 6)
    assert f"mode 3: {basis.eigenvalues[3]:.5g}, residual {basis.residuals[3]:.1e}<" in page
    assert "largest residual" in page
    assert re.search(r">solver<.*?>dense<", page)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["basis.html", "modes.png"]


def test_repair_keeps_the_file_order(run, shapes, tmp_path):
    """Vertices that are merged share modes and measure; dropped ones have none; the rest is untouched."""
    mesh = geospec.load(shapes / "a.off")
    n = mesh.n_points
    far = torch.tensor([[9.0, 9.0, 9.0]], dtype=mesh.vertices.dtype)
    faces = mesh.faces.clone()
    faces[0, 0] = n + 1  # a corner of the first face moves to a copy of its vertex
    broken = geospec.Mesh(torch.cat([mesh.vertices, far, mesh.vertices[mesh.faces[0, :1]]]), faces)
    geospec.save(broken, tmp_path / "broken.ply")
    done = run(
        *("basis", tmp_path / "broken.ply", "-k", 12, "-o", tmp_path / "b.npz"),
        *("--repair", "duplicate-vertices", "--repair", "unreferenced"),
    )
    assert done.code == 0, done.err
    expected = geospec.LaplaceBasis.fit(mesh, 12)
    with np.load(tmp_path / "b.npz") as file:
        modes, measure, eigenvalues = file["modes"], file["measure"], file["eigenvalues"]
    np.testing.assert_allclose(eigenvalues, expected.eigenvalues, atol=1e-9)
    np.testing.assert_allclose(modes[:n], expected.modes, atol=1e-7)
    twin = int(mesh.faces[0, 0])
    assert (modes[n] == 0).all()
    assert measure[n] == 0
    np.testing.assert_array_equal(modes[n + 1], modes[twin])
    assert measure[n + 1] == pytest.approx(float(expected.measure[twin]) / 2)
    assert orthonormality_error(modes, measure) < 1e-9


def test_cache_is_used(run, shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run("basis", shapes / "a.off", "-k", 5, "--cache").code == 0
    assert len(list((tmp_path / "geospec").iterdir())) == 1


def test_dirichlet_and_quiet(run, tmp_path):
    geospec.save(grid(12), tmp_path / "square.off")
    done = run("basis", tmp_path / "square.off", "-k", 3, "--boundary", "dirichlet", "--json", "--quiet")
    assert done.err == ""
    # The unit square held at its border: pi^2 (i^2 + j^2).
    np.testing.assert_allclose(json.loads(done.out)["eigenvalues"], np.pi**2 * np.array([2, 5, 5]), rtol=0.06)


@pytest.fixture(scope="module")
def two_balls(tmp_path_factory):
    """A file of two spheres, each large enough for the solvers of large shapes."""
    path = tmp_path_factory.mktemp("balls") / "balls.ply"
    geospec.save(disjoint_union(icosphere(3), icosphere(3)), path)
    return path


@pytest.mark.parametrize("solver", ["krylov", "chebyshev", "dense"])
def test_solver_and_what_it_says(run, two_balls, solver):
    """Spheres have the eigenvalue 2 three times each."""
    done = run("basis", two_balls, "-k", 8, "--solver", solver, "--tolerance", 1e-6, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["solver"], told["components"], told["counted"]) == (solver, 2, solver != "chebyshev")
    assert told["worst_residual"] <= 1e-6
    np.testing.assert_allclose(told["eigenvalues"], [0, 0, *[2] * 6], atol=0.02)
    assert "components   2" in done.err
    assert f"solver       {solver}, {'not counted' if solver == 'chebyshev' else 'none missed'}" in done.err
    assert f"residual     {told['worst_residual']:.1e} at most" in done.err


def test_tolerance_reaches_the_solver(run, two_balls):
    loose, tight = (
        json.loads(run("basis", two_balls, "-k", 8, "--solver", "chebyshev", "--tolerance", tolerance, "--json").out)["worst_residual"]
        for tolerance in (1e-3, 1e-10)
    )
    assert tight <= 1e-10 < loose


@pytest.mark.parametrize(("option", "value", "said"), [("--solver", "arpack", "solver: wanted one of"), ("--tolerance", 0, "tolerance")])
def test_refused_options(run, shapes, option, value, said):
    assert said in run("basis", shapes / "a.off", option, value).error


def test_the_bar_moves_with_the_modes(run, two_balls, shapes, monkeypatch):
    """What the solver reports reaches the bar, and ends at all modes."""
    from geospec.cli import basis as verb

    seen = []

    class Watched(verb.Voice):
        @contextmanager
        def progress(self):
            yield lambda *step: seen.append(step)

    monkeypatch.setattr(verb, "Voice", Watched)
    assert run("basis", two_balls, "-k", 40, "--solver", "krylov", "-q").code == 0
    steps = [done for stage, done, total in seen if (stage, total) == ("eigenfunctions", 40)]
    assert steps == sorted(steps)
    assert steps[0] < steps[-1] == 40
    seen.clear()
    assert run("basis", shapes / "a.off", "-k", 40, "-q").code == 0  # dense: all at once
    assert ("eigenfunctions", 40, 40) in seen


def test_cached_modes_begin_a_request_for_more(run, two_balls, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    starts = []
    solve = laplace.eigenpairs
    monkeypatch.setattr(laplace, "eigenpairs", lambda *a, start, **b: starts.append(start) or solve(*a, start=start, **b))
    for k in (10, 20):
        assert run("basis", two_balls, "-k", k, "--cache").code == 0
    assert starts[0] is None
    assert starts[1].shape[1] == 10
