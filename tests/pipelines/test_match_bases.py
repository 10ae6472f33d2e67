"""Matching from bases that are no Laplacian's: learned ones, the network's, any pair that the caller has."""

import math

import pytest
import torch

import geospec
from geospec.bases import EigenbasisNetwork, LaplaceBasis, LearnedEigenbasis, SampledBasis
from geospec.datasets import creature, symmetric_ground_truth, varying_density
from geospec.errors import ArgumentError, ShapeError
from geospec.maps import geodesic_error, round_trip_confidence
from geospec.pipelines import spectra
from geospec.shapes import Mesh, PointCloud
from geospec.testing import icosphere

K = 24


@pytest.fixture(scope="module")
def bodies():
    """One body in two poses, on one mesh."""
    return [creature("quadruped", identity_seed=3, pose_seed=pose, n_vertices=1000) for pose in (3, 8)]


@pytest.fixture(scope="module")
def scans(bodies):
    """Independent points of either, ten times denser here than there, in different places."""
    return [varying_density(body.mesh, 600, 10.0, seed=seed) for seed, body in enumerate(bodies)]


@pytest.fixture(scope="module")
def bases(scans):
    return tuple(LearnedEigenbasis.fit(scan.cloud, K, max_steps=40) for scan in scans)


@pytest.fixture(scope="module")
def found(scans, bases):
    return geospec.match(*(scan.cloud for scan in scans), basis=bases)


def errors(match, bodies, scans):
    """Mean error against the truth and against its mirror image, by the vertices nearest to the points."""
    vertex = [scan.corners.gather(1, scan.barycentric.argmax(dim=1, keepdim=True))[:, 0] for scan in scans]
    mirrored = symmetric_ground_truth(*bodies)
    images = vertex[0][match.target_to_source]
    truths = (vertex[1], mirrored[vertex[1]])
    return [float(geodesic_error(images, truth, bodies[0].mesh, method="dijkstra").mean()) for truth in truths]


def test_clouds_of_any_density_match_and_normals_tell_left_from_right(bodies, scans, found):
    right, mirrored = errors(found, bodies, scans)
    assert right < 12
    assert mirrored > 20
    assert found.functional_map.shape == (K, K)
    assert found.record["options"]["basis"] == "the caller's"
    assert found.record["bases"]["source"]["area"] == pytest.approx(found.record["bases"]["target"]["area"], rel=0.1)
    assert 0.5 < found.record["numbers"]["dirichlet_energy"] < 6


def test_functional_map_speaks_of_the_bases_that_come_with_it(found, bases):
    torch.testing.assert_close(found.source_basis.modes, bases[0].modes)
    carried = found.target_basis.analyze(found.source_basis.modes[found.target_to_source])
    torch.testing.assert_close(found.functional_map, carried)


def test_the_unit_of_either_cloud_is_free(scans, bases, found):
    """The other cloud seven times as large: the same map, an area of 49 times."""
    larger = PointCloud(7 * scans[1].cloud.points, scans[1].cloud.normals)
    again = geospec.match(scans[0].cloud, larger, basis=(bases[0], bases[1].scaled(7)))
    assert (again.target_to_source == found.target_to_source).double().mean() > 0.99
    area, before = (m.record["bases"]["target"]["area"] for m in (again, found))
    assert area == pytest.approx(49 * before)
    for name, value in found.record["numbers"].items():
        assert again.record["numbers"][name] == pytest.approx(value, rel=0.05), name


def test_a_pair_of_laplace_bases_is_what_match_makes_itself(bodies):
    meshes = [body.mesh for body in bodies]
    made = geospec.match(*meshes, k=30)
    given = geospec.match(*meshes, basis=tuple(LaplaceBasis.fit(mesh, 40) for mesh in meshes), k=30)
    assert (made.target_to_source == given.target_to_source).double().mean() > 0.99
    assert made.record["numbers"] == pytest.approx(given.record["numbers"], rel=1e-2)


def test_bases_of_two_kinds(bodies, bases, scans):
    """A Laplace basis of the mesh against a learned one of the scan: areas are read off both spectra."""
    match = geospec.match(bodies[0].mesh, scans[1].cloud, basis=(LaplaceBasis.fit(bodies[0].mesh, K), bases[1]))
    vertex = scans[1].corners.gather(1, scans[1].barycentric.argmax(dim=1, keepdim=True))[:, 0]
    truths = (vertex, symmetric_ground_truth(*bodies)[vertex])
    assert min(float(geodesic_error(match.target_to_source, t, bodies[0].mesh, method="dijkstra").mean()) for t in truths) < 15


def test_learned_by_name(scans, monkeypatch):
    """Of faces only the normals serve, the record tells how the bases were learned, and training reports its steps."""
    monkeypatch.setattr(spectra, "STEPS", 20)
    seen = []
    source, target = (scan.cloud.points[:300] for scan in scans)
    match = geospec.match(
        PointCloud(source), PointCloud(target), basis="learned", k=12, progress=lambda stage, done, total: seen.append((stage, done, total))
    )
    told = match.record["bases"]["source"]
    assert (told["kind"], told["steps"]) == ("learned", 20)
    assert told["optimality_ratio"] > 1
    assert match.record["options"]["basis"] == "learned"
    assert any(stage.startswith("learning, ratio") and total == 20 for stage, _, total in seen)
    meshes = [Mesh(points, torch.arange(300).reshape(100, 3)) for points in (source, target)]
    clouds = [PointCloud(mesh.vertices, mesh.vertex_normals) for mesh in meshes]
    first, second = (geospec.match(*pair, basis="learned", k=12) for pair in (meshes, clouds))
    assert torch.equal(first.target_to_source, second.target_to_source)


def test_by_the_network(scans, monkeypatch):
    torch.manual_seed(0)
    net = EigenbasisNetwork(24, learned=8, width=32, depth=1, heads=2, tokens=8, degree=4)
    monkeypatch.setattr(EigenbasisNetwork, "pretrained", classmethod(lambda cls, name="eigenbasis": net))
    match = geospec.match(*(scan.cloud for scan in scans), basis="network", k=20)
    assert match.functional_map.shape == (20, 20)
    assert match.record["bases"]["target"]["kind"] == "learned"
    there_and_back = round_trip_confidence(match.target_to_source, match.source_to_target, scans[1].cloud)
    assert there_and_back.mean() > 0.3


def test_weyl_area_of_the_sphere_and_its_scaling():
    values = torch.cat([torch.full((2 * degree + 1,), float(degree * (degree + 1))) for degree in range(10)])
    assert spectra.weyl_area(values) == pytest.approx(4 * math.pi, rel=0.03)
    assert spectra.weyl_area(values / 9) == pytest.approx(9 * spectra.weyl_area(values))
    with pytest.raises(ArgumentError, match="basis: wanted positive eigenvalues beyond the first"):
        spectra.weyl_area(torch.zeros(10))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_smoothing_laplacian_measures_gradients(dtype):
    """The gradients of the three coordinates of a unit sphere have 2 as the sum of their squares everywhere: energy 8 pi."""
    points = icosphere(4).vertices.to(dtype)
    operator = spectra.with_area(spectra.smoothing_laplacian(points), 4 * math.pi)
    assert operator.mass.dtype == dtype
    assert float(operator.mass.sum()) == pytest.approx(4 * math.pi, rel=1e-5)
    assert float(operator.dirichlet_energy(points).sum()) == pytest.approx(8 * math.pi, rel=0.03)
    assert float(operator.dirichlet_energy(torch.ones_like(points)).abs().max()) < 1e-4
    larger = spectra.with_area(spectra.smoothing_laplacian(3 * points), 9 * 4 * math.pi)
    assert float(larger.dirichlet_energy(points).sum()) == pytest.approx(8 * math.pi, rel=0.03)


def test_triangles_of_a_cloud_with_normals_face_outwards():
    points = icosphere(3).vertices
    for way in (1.0, -1.0):
        triangles = spectra.oriented_triangles(PointCloud(points, way * points), torch.device("cpu"))
        assert (way * torch.linalg.det(points[triangles]) > 0).all()
        assert len(triangles) == pytest.approx(2 * len(points) - 4, rel=0.02)
    assert spectra.oriented_triangles(PointCloud(points), torch.device("cpu")) is None
    assert spectra.oriented_triangles(PointCloud(points[:, :2], points[:, :2]), torch.device("cpu")) is None


def test_refusals(scans, bases, bodies):
    clouds = [scan.cloud for scan in scans]
    with pytest.raises(ArgumentError, match="basis: wanted one of"):
        geospec.match(*clouds, basis="fourier")
    with pytest.raises(ArgumentError, match="basis: wanted one of laplace, learned, network, or two sampled bases, got LearnedEigenbasis"):
        geospec.match(*clouds, basis=bases[0])
    with pytest.raises(ArgumentError, match="basis: wanted one on the 1000 points of the target, got 600 points"):
        geospec.match(clouds[0], bodies[1].mesh, basis=bases)
    with pytest.raises(ArgumentError, match="basis: wanted bases with eigenvalues, got none on the target"):
        geospec.match(*clouds, basis=(bases[0], SampledBasis(bases[1].modes, bases[1].measure)))
    with pytest.raises(ArgumentError, match=f"k: wanted at most the {K} modes that both bases have, got 30"):
        geospec.match(*clouds, basis=bases, k=30)
    apart = PointCloud(torch.cat([clouds[0].points, clouds[0].points + 9]))
    with pytest.raises(ShapeError, match="source: wanted a shape in one piece, got 2 connected components"):
        geospec.match(apart, clouds[1], basis="learned", k=20)
