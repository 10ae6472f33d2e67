"""The whole path on generated creatures: exact truth, invariance, files' own order, refusals."""

import json
import math

import numpy as np
import pytest
import torch

import geospec
from geospec.datasets.creatures import creature, ground_truth
from geospec.errors import ArgumentError, ShapeError
from geospec.maps import geodesic_error, round_trip_confidence
from geospec.shapes import Mesh, PointCloud


@pytest.fixture(scope="module")
def pair():
    """Two poses of one quadruped, each with its own mesh."""
    source = creature("quadruped", pose_seed=1, mesh_seed=1, n_vertices=1500)
    target = creature("quadruped", pose_seed=2, mesh_seed=2, n_vertices=1400)
    return source, target, ground_truth(source, target)


@pytest.fixture(scope="module")
def found(pair):
    return geospec.match(pair[0].mesh, pair[1].mesh, k=60)


def error(target_to_source, truth, source):
    return float(geodesic_error(target_to_source, truth, source, method="dijkstra").mean())


def test_finds_the_true_map(pair, found):
    source, target, truth = pair
    assert error(found.target_to_source, truth, source.mesh) < 4
    assert found.functional_map.shape == (60, 60)
    assert found.target_to_source.shape == (target.mesh.n_points,)
    assert found.source_to_target.shape == (source.mesh.n_points,)
    assert found.record["numbers"]["orientation_agreement"] > 0.8


def test_functional_map_belongs_to_the_bases_of_the_shapes(pair, found):
    """C carries coefficients of a smooth function to those of its image, in bases fitted to the shapes as they are."""
    source_basis, target_basis = (geospec.LaplaceBasis.fit(c.mesh, 60) for c in pair[:2])
    function = source_basis.synthesize(torch.eye(60, 1, dtype=torch.float64) + torch.eye(60, 4, dtype=torch.float64)[:, 3:])
    carried = found.functional_map @ source_basis.analyze(function)
    torch.testing.assert_close(carried, target_basis.analyze(found.transfer(function)), rtol=1e-6, atol=1e-9)


def test_confidence_falls_where_the_map_is_wrong(pair, found):
    source, _, truth = pair
    errors = geodesic_error(found.target_to_source, truth, source.mesh, method="dijkstra")
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1
    worst = errors > errors.quantile(0.95)
    assert found.confidence[worst].mean() < found.confidence[~worst].mean()


def test_knows_neither_unit_nor_pose_nor_order(pair, found):
    source, target, _ = pair
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    turn = turn * torch.det(turn).sign()
    order = torch.randperm(target.mesh.n_points)
    place = order.argsort()
    moved = Mesh(7 * target.mesh.vertices[order] @ turn.T + 5, place[target.mesh.faces])
    again = geospec.match(source.mesh, moved, k=60)
    assert (again.target_to_source[place] == found.target_to_source).double().mean() > 0.97


def test_same_shape_gives_the_identity(pair):
    mesh = pair[0].mesh
    match = geospec.match(mesh, mesh, k=40)
    assert (match.target_to_source == torch.arange(mesh.n_points)).double().mean() > 0.99
    torch.testing.assert_close(match.functional_map, torch.eye(40, dtype=torch.float64), rtol=0, atol=0.05)
    # The walk there and back ends where it began; how probable it is that a point is right is another question, never quite one.
    assert round_trip_confidence(match.target_to_source, match.source_to_target, mesh).mean() > 0.99
    assert match.confidence.mean() > 0.9


def test_few_modes(pair):
    match = geospec.match(pair[0].mesh, pair[0].mesh, k=np.int64(8))
    assert match.functional_map.shape == (8, 8)
    assert json.loads(json.dumps(match.record))["options"]["k"] == 8
    assert error(match.target_to_source, torch.arange(pair[0].mesh.n_points), pair[0].mesh) < 2


def test_float32_repeats(pair, found):
    shapes = [c.mesh.to(dtype=torch.float32) for c in pair[:2]]
    first, second = (geospec.match(*shapes, k=60) for _ in range(2))
    assert first.functional_map.dtype == first.confidence.dtype == torch.float32
    assert torch.equal(first.target_to_source, second.target_to_source)
    assert error(first.target_to_source, pair[2], pair[0].mesh) < 4


def test_landmarks_overrule_a_symmetric_guess(pair):
    """Landmarks of the mirrored map must lead to the mirrored map: they decide, not orientation."""
    from geospec.datasets.creatures import symmetric_ground_truth

    source, target, truth = pair
    mirrored = symmetric_ground_truth(source, target)
    apart = (source.mesh.vertices[mirrored] - source.mesh.vertices[truth]).norm(dim=1)
    chosen = apart.topk(target.mesh.n_points // 4).indices[:: target.mesh.n_points // 40][:8]
    landmarks = torch.stack([mirrored[chosen], chosen], dim=1)
    match = geospec.match(source.mesh, target.mesh, k=60, landmarks=landmarks)
    assert error(match.target_to_source, mirrored, source.mesh) < error(match.target_to_source, truth, source.mesh)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_clouds(pair, unit):
    source, target, truth = pair
    match = geospec.match(PointCloud(unit * source.mesh.vertices), PointCloud(unit * target.mesh.vertices), k=40)
    assert 1 < match.record["numbers"]["dirichlet_energy"] < 8
    assert 0.3 < match.confidence.mean() < 0.99
    mirrored_too = min(error(match.target_to_source, t, source.mesh) for t in (truth, _mirror(source, target)))
    assert mirrored_too < 8  # without faces nothing tells left from right


def _mirror(source, target):
    from geospec.datasets.creatures import symmetric_ground_truth

    return symmetric_ground_truth(source, target)


def test_unreferenced_vertices_follow_their_neighbours(pair, found):
    source, target, _ = pair
    extra = target.mesh.vertices[:3] + 1e-4
    match = geospec.match(source.mesh, Mesh(torch.cat([extra, target.mesh.vertices]), target.mesh.faces + 3), k=60)
    assert torch.equal(match.target_to_source[:3], match.target_to_source[3:6])
    assert match.confidence[:3].tolist() == [0, 0, 0]
    assert torch.equal(match.target_to_source[3:], found.target_to_source)
    extra = torch.cat([source.mesh.vertices[:2] + 9, source.mesh.vertices])
    shifted = geospec.match(Mesh(extra, source.mesh.faces + 2), target.mesh, k=60)
    assert torch.equal(shifted.target_to_source, found.target_to_source + 2)


def test_saved_arrays_speak_of_the_files_vertices(pair, tmp_path):
    source, target, _ = pair
    n = target.mesh.n_points
    vertices = torch.cat([torch.full((1, 3), 50.0).double(), target.mesh.vertices, target.mesh.vertices[:1]])
    repaired = geospec.repair(Mesh(vertices, target.mesh.faces + 1), ("duplicate-vertices", "unreferenced"))
    match = geospec.match(source.mesh, repaired, k=40)
    match.save(tmp_path / "match.npz")
    with np.load(tmp_path / "match.npz", allow_pickle=False) as file:
        assert set(file) == {"target_to_source", "source_to_target", "functional_map", "confidence"}
        assert file["target_to_source"].shape == file["confidence"].shape == (n + 2,)
        assert file["target_to_source"][0] == -1
        assert file["confidence"][0] == 0
        assert np.array_equal(file["target_to_source"][1 : n + 1], match.target_to_source.numpy())
        assert file["target_to_source"][n + 1] == file["target_to_source"][1]
        assert file["source_to_target"].min() >= 1
        assert file["functional_map"].shape == (40, 40)
    assert [path.name for path in tmp_path.iterdir()] == ["match.npz"]


def test_progress_counts_every_stage(pair):
    seen = []
    match = geospec.match(pair[0].mesh, pair[1].mesh, k=30, progress=lambda *event: seen.append(event))
    assert [event[1] for event in seen] == list(range(7))
    assert {event[2] for event in seen} == {6}
    assert seen[-1][0] == "done"
    assert match.record["seconds"]["total"] == pytest.approx(sum(v for k, v in match.record["seconds"].items() if k != "total"), abs=1e-2)


def ring(n=30):
    angle = 2 * math.pi * torch.arange(n) / n
    top = torch.stack([angle.cos(), angle.sin(), torch.ones(n)], 1)
    bottom = torch.stack([angle.cos(), angle.sin(), -torch.ones(n)], 1)
    i = torch.arange(n)
    j = (i + 1) % n
    return Mesh(torch.cat([top, bottom]), torch.cat([torch.stack([i, i + n, j], 1), torch.stack([j, i + n, j + n], 1)]))


def test_refusals(pair):
    mesh = pair[0].mesh
    with pytest.raises(ArgumentError, match="source: wanted a Mesh or a PointCloud, got str"):
        geospec.match("cat.off", mesh)
    with pytest.raises(ShapeError, match="target: wanted a shape with points"):
        geospec.match(mesh, Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)))
    with pytest.raises(ArgumentError, match="k: wanted at most the 60 points of the target, got 100"):
        geospec.match(mesh, ring())
    both = Mesh(torch.cat([mesh.vertices, mesh.vertices + 9]), torch.cat([mesh.faces, mesh.faces + mesh.n_points]))
    with pytest.raises(ShapeError, match="source: wanted a shape in one piece, got 2 connected components; keep the largest"):
        geospec.match(both, mesh)
    with pytest.raises(ShapeError, match="target: wanted a surface, got a mesh without area"):
        geospec.match(mesh, Mesh(torch.arange(12.0, dtype=torch.float64).reshape(4, 3), [[0, 1, 2], [1, 2, 3]]), k=4)
    with pytest.raises(ArgumentError, match="target: wanted the source's float type, torch.float64, got torch.float32"):
        geospec.match(mesh, mesh.to(dtype=torch.float32))
    with pytest.raises(ArgumentError, match="step: wanted a positive number, a pair, or 'auto', got 2.5"):
        geospec.match(mesh, mesh, k=8, step=2.5)
    with pytest.raises(ArgumentError, match="k: wanted an integer of at least 3, got 2"):
        geospec.match(mesh, mesh, k=2)
    for k in ("20", 20.0, True):
        with pytest.raises(ArgumentError, match="k: wanted an integer of at least 3"):
            geospec.match(mesh, mesh, k=k)
    with pytest.raises(ArgumentError, match="laplacian: wanted one of"):
        geospec.match(mesh, mesh, laplacian="uniform")
    with pytest.raises(ArgumentError, match="descriptors: wanted one of"):
        geospec.match(mesh, mesh, descriptors="shot")
    with pytest.raises(ArgumentError, match=r"descriptors: wanted \(1500, q\) functions on the source"):
        geospec.match(mesh, mesh, descriptors=(torch.zeros(3, 4), torch.zeros(1500, 4)))
    with pytest.raises(ArgumentError, match="landmarks, column 1: wanted target vertices"):
        geospec.match(mesh, mesh, landmarks=torch.tensor([[0, 1500]]))
    with pytest.raises(ArgumentError, match=r"landmarks: wanted integer pairs \(m, 2\)"):
        geospec.match(mesh, mesh, landmarks=torch.zeros(3))


def test_failed_save_leaves_nothing(found, tmp_path):
    with pytest.raises(ArgumentError, match="a name that ends in .npz"):
        found.save(tmp_path / "match.txt")
    with pytest.raises(FileNotFoundError):
        found.save(tmp_path / "absent" / "match.npz")
    assert list(tmp_path.iterdir()) == []
