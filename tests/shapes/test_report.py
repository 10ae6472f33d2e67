"""The report on shapes of which everything is known, and against trimesh and open3d on real ones."""

import json

import numpy as np
import pytest
import torch
import trimesh
from shapes.solids import cube, disk, grid, join, mesh, moebius, sphere, tetrahedron, torus

from geospec.errors import ArgumentError
from geospec.shapes import Mesh, PointCloud, load, report, to_open3d

BOWTIE = mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], [[0, 1, 2], [0, 3, 4]])
FIN = mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]], [[0, 1, 2], [1, 0, 3], [0, 1, 4]])
TIP_TO_TIP = mesh(
    [[0, 0, 0], [1, 0, 1], [-1, 1, 1], [-1, -1, 1], [1, 0, -1], [-1, 1, -1], [-1, -1, -1]],
    [[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2], [0, 5, 4], [0, 6, 5], [0, 4, 6], [4, 5, 6]],
)
RING = mesh(np.random.default_rng(0).random((20, 3)), grid(10, 2, wrap_rows=True))
TWO_HOLES_TOUCH = mesh(disk(5, 5).vertices, [f for i, f in enumerate(disk(5, 5).faces.tolist()) if i not in (5, 21, 10, 26)])
CLEAN = {"nonmanifold_edges": 0, "nonmanifold_vertices": 0, "inconsistent_edges": 0, "degenerate_faces": 0, "duplicate_faces": 0}

CASES = {
    "tetrahedron": (tetrahedron(), CLEAN | {"closed": True, "outward": True, "genus": 0, "euler": 2, "volume": 1 / 6, "components": 1}),
    "cube": (cube(), CLEAN | {"n_edges": 18, "genus": 0, "area": 6.0, "volume": 1.0, "boundary_loops": 0, "boundary_edges": 0}),
    "torus": (torus(), CLEAN | {"closed": True, "genus": 1, "euler": 0, "orientable": True}),
    "three bodies": (join(cube(), torus(), cube()), CLEAN | {"components": 3, "genus": 1, "euler": 4}),
    "disk": (
        disk(),
        CLEAN | {"closed": False, "boundary_loops": 1, "boundary_edges": 14, "euler": 1, "genus": 0, "volume": None, "outward": None},
    ),
    "ring": (RING, CLEAN | {"boundary_loops": 2, "euler": 0, "genus": 0}),
    "moebius": (moebius(), CLEAN | {"orientable": False, "boundary_loops": 1, "euler": 0, "genus": None, "inconsistent_edges": 2}),
    "bow-tie": (
        BOWTIE,
        {"nonmanifold_vertices": 1, "components": 1, "boundary_loops": 2, "boundary_edges": 6, "genus": None, "orientable": True},
    ),
    "tip to tip": (TIP_TO_TIP, {"nonmanifold_vertices": 1, "nonmanifold_edges": 0, "closed": True, "genus": None, "euler": 3}),
    "fin": (FIN, {"nonmanifold_edges": 1, "nonmanifold_vertices": 0, "boundary_edges": 6, "closed": False, "genus": None}),
    "touching holes": (TWO_HOLES_TOUCH, {"boundary_loops": 2, "nonmanifold_vertices": 1}),
    "inside out": (mesh(cube().vertices, cube().faces.flip(1)), {"outward": False, "volume": -1.0, "inconsistent_edges": 0}),
    "one face turned": (
        mesh(cube().vertices, torch.cat([cube().faces[:1].flip(1), cube().faces[1:]])),
        {"inconsistent_edges": 3, "orientable": True, "outward": None, "volume": None, "genus": 0},
    ),
    "leftovers": (
        mesh(
            [[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5], [0, 1, 0], [2, 0, 0]],
            [[0, 1, 2], [2, 0, 1], [1, 0, 2], [0, 0, 1], [0, 1, 5]],
        ),
        {"duplicate_faces": 2, "degenerate_faces": 2, "unreferenced_vertices": 2, "duplicate_vertices": 1, "components": 1},
    ),
    "no faces": (
        mesh([[0, 0, 0]], []),
        {"n_faces": 0, "n_edges": 0, "components": 0, "closed": False, "unreferenced_vertices": 1, "euler": 0},
    ),
    "nothing": (mesh([], []), {"n_points": 0, "components": 0}),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_known_shapes(case, dtype):
    shape, expected = CASES[case]
    found = report(shape.to(dtype=dtype)).to_dict()
    assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_places_are_named():
    leftovers = report(CASES["leftovers"][0])
    assert leftovers.duplicate_faces.tolist() == [1, 2]
    assert leftovers.degenerate_faces.tolist() == [3, 4]
    assert leftovers.unreferenced_vertices.tolist() == [3, 4]
    assert leftovers.duplicate_vertices.tolist() == [4]
    assert report(FIN).nonmanifold_edges.tolist() == [[0, 1]]
    assert report(BOWTIE).nonmanifold_vertices.tolist() == [0]
    assert report(mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[2, 0, 1]])).boundary_edges.tolist() == [[0, 1], [0, 2], [1, 2]]


def everything():
    return join(torus(), moebius(), TIP_TO_TIP, FIN, disk())


def test_nothing_depends_on_order_scale_or_place():
    shape = everything()
    before = report(shape).to_dict()
    order, faces = torch.randperm(shape.n_points), torch.randperm(len(shape.faces))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    moved = report(Mesh(2**-20 * shape.vertices[order], place[shape.faces[faces]].roll(1, dims=1))).to_dict()
    for key in before.keys() - {"box", "area", "volume"}:
        assert moved[key] == before[key], key
    assert moved["area"] == pytest.approx(2**-40 * before["area"])
    # Moved far away by a power of two, so that the coordinates stay exact: only the sum could suffer.
    near = Mesh((sphere(3).vertices * 2**16).round() / 2**16, sphere(3).faces)
    far = Mesh(near.vertices + 2**32, near.faces)
    assert report(far).volume == pytest.approx(report(near).volume, rel=1e-12)


def test_text_and_numbers():
    found = report(everything())
    assert json.loads(json.dumps(found.to_dict()))["nonmanifold_vertices"] == 1
    text = found.summary()
    assert "- edges of more than two faces: 1" in text
    assert "no consistent orientation exists" in text
    assert "no problems found" in report(torus()).summary()
    assert "genus 1" in report(torus()).summary()
    assert "1 boundary loop (3 edges)" in report(mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])).summary()
    cloud = report(PointCloud(torch.tensor([[0.0, 0], [1, 2], [0, 0]])))
    assert cloud.to_dict() == {"n_points": 3, "dtype": "float32", "box": [[0, 0], [1, 2]], "duplicate_vertices": 1}
    assert "duplicate vertices: 1" in cloud.summary()
    with pytest.raises(ArgumentError, match="a Mesh or a PointCloud, got int"):
        report(3)


REAL = [
    "hard/truck.obj",
    "hard/beetle.obj",
    "hard/teapot.obj",
    "hard/suzanne.obj",
    "meshes/cow.obj",
    "meshes/ogre.obj",
    "meshes/fertility.off",
]


@pytest.mark.parametrize("name", REAL)
def test_against_trimesh(shared_data, name):
    shape = load(shared_data / name, triangulate=True)
    found = report(shape)
    other = trimesh.Trimesh(shape.vertices.numpy(), shape.faces.numpy(), process=False)
    sides = np.sort(other.edges, axis=1)
    assert found.n_edges == len(np.unique(sides, axis=0))
    assert (len(found.boundary_edges) == 0 and len(found.nonmanifold_edges) == 0) == other.is_watertight
    assert found.area == pytest.approx(other.area)
    if found.volume is not None:
        assert found.volume == pytest.approx(other.volume)
    assert found.euler == other.euler_number
    parts = trimesh.graph.connected_components(sides, nodes=np.unique(sides))
    assert found.components == len(parts)
    assert found.closed == other.is_watertight


@pytest.mark.parametrize("name", REAL)
def test_against_open3d(shared_data, name):
    pytest.importorskip("open3d", exc_type=ImportError)
    shape = load(shared_data / name, triangulate=True)
    found, other = report(shape), to_open3d(shape)
    nonmanifold = np.sort(np.asarray(other.get_non_manifold_edges(allow_boundary_edges=True)), axis=1)
    assert np.array_equal(found.nonmanifold_edges.numpy(), nonmanifold[np.lexsort(nonmanifold.T[::-1])].reshape(-1, 2))
    assert found.nonmanifold_vertices.tolist() == sorted(other.get_non_manifold_vertices())
    if len(nonmanifold) == 0:
        assert found.orientable == other.is_orientable()


def test_known_counts_of_real_files(shared_data):
    """What the files' notes say of them."""
    expected = {"hard/truck.obj": (54, 50), "meshes/ogre.obj": (0, 44), "hard/suzanne.obj": (1, 3), "hard/teapot.obj": (0, 4)}
    for name, (edges, components) in expected.items():
        found = report(load(shared_data / name, triangulate=True))
        assert (len(found.nonmanifold_edges), found.components) == (edges, components), name
    assert report(load(shared_data / "meshes" / "fertility.off")).genus == 4
