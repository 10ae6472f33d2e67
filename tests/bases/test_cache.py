"""The cache on disk: hits, misses on any change, fewer from more, damage, several processes."""

import subprocess
import sys

import pytest
import torch

from geospec import ArgumentError, LaplaceBasis, Mesh, PointCloud, laplacian
from geospec.bases import cache
from geospec.testing import grid, sphere_cloud


@pytest.fixture
def solves(monkeypatch):
    """The list of ``k`` that were really computed."""
    asked, solve = [], LaplaceBasis._solve.__func__
    monkeypatch.setattr(LaplaceBasis, "_solve", classmethod(lambda cls, shape, k, *rest: asked.append(k) or solve(cls, shape, k, *rest)))
    return asked


def same(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("modes", "eigenvalues", "measure", "residuals"))


def test_a_second_request_is_read(tmp_path, solves):
    first, second = (LaplaceBasis.fit(grid(9), 12, cache=tmp_path) for _ in range(2))
    assert solves == [12]
    assert same(first, second)
    assert first.options == second.options
    assert same(first, LaplaceBasis.fit(grid(9), 12))


def test_fewer_come_from_more_and_more_replaces(tmp_path, solves):
    LaplaceBasis.fit(grid(9), 12, cache=tmp_path)
    fewer = LaplaceBasis.fit(grid(9), 5, cache=str(tmp_path))
    assert solves == [12]
    assert fewer.k == 5
    more = LaplaceBasis.fit(grid(9), 20, cache=tmp_path)
    assert solves == [12, 20]
    assert len(list(tmp_path.iterdir())) == 1
    assert same(LaplaceBasis.fit(grid(9), 20, cache=tmp_path), more)
    assert same(LaplaceBasis.fit(grid(9), 12, cache=tmp_path), more.truncate(12))
    assert solves == [12, 20]


def nudged(mesh):
    vertices = mesh.vertices.clone()
    vertices[40, 0] += 1e-12  # lost in float32
    return Mesh(vertices, mesh.faces)


CHANGES = {
    "type": lambda mesh: {"shape": mesh.to(dtype=torch.float32)},
    "position": lambda mesh: {"shape": nudged(mesh)},
    "face order": lambda mesh: {"shape": Mesh(mesh.vertices, mesh.faces.flip(0))},
    "faces": lambda mesh: {"shape": Mesh(mesh.vertices, mesh.faces[:-1])},
    "cloud": lambda mesh: {"shape": PointCloud(mesh.vertices)},
    "kind": lambda mesh: {"kind": "cotangent"},
    "boundary": lambda mesh: {"boundary": "dirichlet"},
    "laplacian": lambda mesh: {"shape": laplacian(mesh)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_a_miss(change, tmp_path, solves):
    given = {"shape": grid(9), "k": 4, "cache": tmp_path}
    changed = {**given, **CHANGES[change](grid(9))}
    for arguments in (given, changed, given, changed):
        basis = LaplaceBasis.fit(**arguments)
        assert basis.modes.dtype == getattr(arguments["shape"], "points", basis.modes).dtype
    assert solves == [4, 4]
    assert len(list(tmp_path.iterdir())) == 2


def test_version_is_in_the_key(monkeypatch):
    before = cache.key(grid(4), kind="robust")
    monkeypatch.setattr(cache, "CACHE_VERSION", 99)
    assert before != cache.key(grid(4), kind="robust")


def test_entries_of_a_laplacian_are_in_the_key():
    operator = laplacian(grid(4))
    changed = type(operator)(operator.stiffness, 2 * operator.mass, operator.kind)
    assert cache.key(operator) != cache.key(changed)
    assert cache.key(operator) == cache.key(laplacian(grid(4)))


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: data[: len(data) // 2]])
def test_damage_is_reported_and_repaired(damage, tmp_path, solves):
    first = LaplaceBasis.fit(grid(9), 6, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(RuntimeWarning, match="damaged cache file"):
        again = LaplaceBasis.fit(grid(9), 6, cache=tmp_path)
    assert same(again, first)
    assert solves == [6, 6]
    LaplaceBasis.fit(grid(9), 6, cache=tmp_path)
    assert solves == [6, 6]


def test_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    LaplaceBasis.fit(sphere_cloud(100), 3, cache=True)
    assert len(list((tmp_path / "home" / "geospec").iterdir())) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert cache.folder(True) == tmp_path / "user" / ".cache" / "geospec"
    LaplaceBasis.fit(grid(4), 3, cache=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="cache: wanted a folder"):
        LaplaceBasis.fit(grid(4), 3, cache=tmp_path / "file")


def test_two_processes_share_a_folder(tmp_path):
    script = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from geospec import LaplaceBasis\n"
        "from geospec.testing import bumpy_sphere\n"
        "for k in (10, 30, 20, 40):\n"
        "    basis = LaplaceBasis.fit(bumpy_sphere(2), k, cache=sys.argv[1])\n"
        "    assert basis.k == k and float((basis.analyze(basis.modes) - torch.eye(k)).abs().max()) < 1e-9\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in running:
        assert process.wait(timeout=120) == 0, process.communicate()[1]
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
