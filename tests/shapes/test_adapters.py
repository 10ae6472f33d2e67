"""To other libraries and back: the same vertices in the same order, and clear words where a library is missing."""

import subprocess
import sys
import types

import pytest
import torch
from shapes.solids import mesh, torus

from geospec.errors import ArgumentError, MissingDependencyError
from geospec.shapes import (
    Mesh,
    PointCloud,
    estimate_normals,
    from_open3d,
    from_pytorch3d,
    from_trimesh,
    to_open3d,
    to_pytorch3d,
    to_trimesh,
)

# Doubles, an isolated vertex and a degenerate face: what libraries tidy away.
DIRTY = mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [5, 5, 5]], [[0, 1, 2], [3, 2, 1], [1, 1, 2]])
CLOUD = estimate_normals(PointCloud(torch.rand(40, 3, dtype=torch.float64)))


@pytest.mark.parametrize(("there", "back"), [(to_trimesh, from_trimesh), (to_open3d, from_open3d)], ids=["trimesh", "open3d"])
def test_round_trip(there, back):
    if there is to_open3d:
        pytest.importorskip("open3d", exc_type=ImportError)
    for shape in (DIRTY, torus(), torus().to(dtype=torch.float32)):
        returned = back(there(shape))
        assert torch.equal(returned.vertices, shape.vertices.double())
        assert torch.equal(returned.faces, shape.faces)
    returned = back(there(CLOUD))
    assert torch.equal(returned.points, CLOUD.points)
    if there is to_open3d:
        assert torch.equal(returned.normals, CLOUD.normals)
    with pytest.raises(ArgumentError, match=r"shape: wanted .*, got builtins\.int"):
        there(3)
    with pytest.raises(ArgumentError, match=r"shape: wanted .*, got builtins\.int"):
        back(3)


@pytest.fixture
def pytorch3d(monkeypatch):
    """The two classes of pytorch3d.structures that are used, by their documented constructors and accessors."""

    class Meshes:
        def __init__(self, verts, faces):
            self.verts, self.faces = verts, faces

        def verts_list(self):
            return self.verts

        def faces_list(self):
            return self.faces

    class Pointclouds:
        def __init__(self, points, normals=None, features=None):
            self.points, self.normals = points, normals

        def __len__(self):
            return len(self.points)

        def points_list(self):
            return self.points

        def normals_list(self):
            return self.normals

    structures = types.SimpleNamespace(Meshes=Meshes, Pointclouds=Pointclouds)
    monkeypatch.setitem(sys.modules, "pytorch3d", types.ModuleType("pytorch3d"))
    monkeypatch.setitem(sys.modules, "pytorch3d.structures", structures)
    return structures


def test_pytorch3d(pytorch3d):
    vertices = torus().vertices.requires_grad_()
    batch = to_pytorch3d(Mesh(vertices, torus().faces), DIRTY)
    assert isinstance(batch, pytorch3d.Meshes)
    one, two = from_pytorch3d(batch)
    assert torch.equal(two.faces, DIRTY.faces)
    one.vertices.sum().backward()
    assert vertices.grad is not None
    for clouds, normals in [((CLOUD, CLOUD), True), ((PointCloud(CLOUD.points),), False)]:
        back = from_pytorch3d(to_pytorch3d(*clouds))
        assert len(back) == len(clouds)
        assert torch.equal(back[-1].points, CLOUD.points)
        assert (back[-1].normals is not None) == normals
    for shapes, message in [
        ((), "at least one"),
        ((DIRTY, CLOUD), "clouds only, got Mesh, PointCloud"),
        ((CLOUD, PointCloud(CLOUD.points)), "1 of 2"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            to_pytorch3d(*shapes)
    with pytest.raises(ArgumentError, match="a pytorch3d Meshes"):
        from_pytorch3d(3)


@pytest.mark.parametrize(("module", "call"), [("open3d", to_open3d), ("pytorch3d.structures", to_pytorch3d)])
def test_a_missing_library_is_named(monkeypatch, module, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=f"{module.split('.')[0]}.* install"):
        call(DIRTY)


def test_import_stays_light():
    code = "import sys, geospec.shapes; print([m for m in ('scipy', 'trimesh', 'open3d', 'fast_simplification') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
