"""``geospec basis``: arrays that belong to the file's own vertices, whatever was repaired."""

import json

import numpy as np
import pytest
import torch

import geospec
from geospec.bases import LaplaceBasis
from geospec.testing import grid


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
    assert "wrote" in done.err


def test_safetensors_loads_as_a_basis(run, shapes, tmp_path):
    assert run("basis", shapes / "a.off", "-k", 8, "-o", tmp_path / "b.safetensors", "--kind", "cotangent").code == 0
    basis = LaplaceBasis.load(tmp_path / "b.safetensors")
    assert (basis.n, basis.k, basis.options["kind"]) == (162, 8, "cotangent")


def test_pictures(run, shapes, tmp_path):
    done = run("basis", shapes / "a.off", "-k", 6, "--image", tmp_path / "modes.png", "--report", tmp_path / "basis.html")
    assert done.code == 0, done.err
    assert (tmp_path / "modes.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "basis.html").read_text()[:200].lower()
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
