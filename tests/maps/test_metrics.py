"""Metrics against closed forms on a sphere and against what known maps must score."""

from __future__ import annotations

import math

import pytest
import torch

from geospec import maps
from geospec.errors import ArgumentError
from geospec.geodesics import geodesic_distances
from geospec.laplacians import laplacian
from geospec.maps import metrics
from geospec.shapes import Mesh, PointCloud

from .conftest import blob


@pytest.fixture(scope="module")
def sphere() -> Mesh:
    mesh, unit = blob(1500)
    return Mesh(torch.as_tensor(unit), mesh.faces)


def half_turn(sphere: Mesh) -> torch.Tensor:
    """The point map of the rotation by pi about z, to the nearest vertex."""
    turned = sphere.vertices * torch.tensor([-1.0, -1.0, 1.0]).double()
    return torch.cdist(turned, sphere.vertices).argmin(dim=1)


def mirror(sphere: Mesh) -> torch.Tensor:
    flipped = sphere.vertices * torch.tensor([1.0, -1.0, 1.0]).double()
    return torch.cdist(flipped, sphere.vertices).argmin(dim=1)


@pytest.mark.parametrize("method", ["heat", "exact"])
def test_geodesic_error_on_a_sphere(sphere, method, monkeypatch):
    """Against arcs of great circles: the error of a map with known displacements."""
    monkeypatch.setattr(metrics, "BLOCK", 7)  # several blocks, the last one short
    if method == "exact":
        pytest.importorskip("igl")
    generator = torch.Generator().manual_seed(0)
    m = 16 if method == "exact" else 40
    points = torch.randperm(1500, generator=generator)[:m]
    images = torch.randint(1500, (1500,), generator=generator)
    truth = torch.randint(1500, (m,), generator=generator)
    truth[:5] = images[points[:5]]  # some are right
    cosine = (sphere.vertices[images[points]] * sphere.vertices[truth]).sum(dim=1).clamp(-1, 1)
    expected = 100 * cosine.acos() / math.sqrt(4 * math.pi)
    found = maps.geodesic_error(images, (points, truth), sphere, method=method)
    assert torch.equal(found[:5], torch.zeros(5, dtype=torch.float64))
    assert expected[5:].min() > 1
    assert (found - expected).abs().max() < 0.03 * expected.max()
    whole = torch.full((1500,), -1)
    whole[points] = truth
    sorted_points = points.sort()
    assert torch.allclose(maps.geodesic_error(images, whole, sphere, method=method), found[sorted_points.indices])


def test_geodesic_error_with_distances_at_hand_and_in_another_unit(sphere):
    distances = geodesic_distances(sphere, torch.arange(1500), method="dijkstra")
    images, truth = half_turn(sphere), torch.arange(1500)
    given = maps.geodesic_error(images, truth, sphere, distances=distances)
    computed = maps.geodesic_error(images, truth, sphere, method="dijkstra")
    assert given.mean() > 30
    assert torch.allclose(given, computed)
    large = Mesh(1000 * sphere.vertices, sphere.faces)
    assert torch.allclose(maps.geodesic_error(images, truth, large, method="dijkstra"), computed)
    assert torch.equal(maps.geodesic_error(images, images, sphere), torch.zeros(1500, dtype=torch.float64))


def test_only_the_distances_asked_for_are_computed(sphere, monkeypatch):
    asked: list[int] = []

    def counting(shape, sources, *, method):
        asked.extend(sources.tolist())
        return geodesic_distances(shape, sources, method=method)

    monkeypatch.setattr(metrics, "geodesic_distances", counting)
    points, images = torch.arange(300), torch.arange(1500)
    truth = (torch.arange(300) % 10) * 3  # ten different truths, reached from three hundred points
    maps.geodesic_error(images, (points, truth), sphere, method="dijkstra")
    assert sorted(asked) == list(range(0, 30, 3))


def test_curve_and_area():
    errors = torch.tensor([0.0, 1.0, 5.0, 30.0]).double()
    assert maps.error_curve(errors, torch.tensor([0.0, 0.5, 1.0, 5.0, 29.0, 30.0])).tolist() == [0.25, 0.25, 0.5, 0.75, 0.75, 1.0]
    fine = torch.linspace(0, 20, 200_001)
    assert abs(maps.error_curve(errors, fine).double().mean() - maps.area_under_curve(errors)) < 1e-4
    assert maps.area_under_curve(torch.zeros(3)) == 1


def test_coverage(sphere):
    assert maps.coverage(torch.arange(1500), sphere.measure) == 1
    northern = torch.nonzero(sphere.vertices[:, 2] > 0)[:, 0]
    assert maps.coverage(northern, sphere.measure) == pytest.approx(0.5, abs=0.01)
    assert maps.coverage(torch.zeros(9, dtype=torch.int64), sphere.measure) == sphere.measure[0] / sphere.measure.sum()


def test_bijectivity_error(sphere):
    identity, turn = torch.arange(1500), half_turn(sphere)
    assert maps.bijectivity_error(identity, identity, sphere).max() == 0
    there_and_back = maps.bijectivity_error(turn, turn, sphere, method="dijkstra")
    assert there_and_back.mean() < 2.6  # the rounding to vertices: 1500 points lie 2.6 hundredths apart
    once = maps.bijectivity_error(turn, identity, sphere, method="dijkstra")
    assert torch.allclose(once, maps.geodesic_error(turn, identity, sphere, method="dijkstra"))


@pytest.mark.parametrize("kind", ["cotangent", "robust"])
def test_dirichlet_energy(sphere, kind):
    operator = laplacian(sphere, kind=kind)
    identity = torch.arange(1500)
    assert maps.dirichlet_energy(identity, sphere, operator) == pytest.approx(1, abs=1e-6 if kind == "cotangent" else 1e-2)
    half = Mesh(sphere.vertices / 2, sphere.faces)
    assert maps.dirichlet_energy(identity, half, operator) == pytest.approx(1, abs=1e-2)
    assert maps.dirichlet_energy(torch.randperm(1500), sphere, operator) > 20
    assert maps.dirichlet_energy(torch.zeros(1500, dtype=torch.int64), sphere, operator).abs() < 1e-9


def test_orientation_agreement(sphere):
    assert maps.orientation_agreement(torch.arange(1500), sphere, sphere) == 1
    assert maps.orientation_agreement(half_turn(sphere), sphere, sphere) > 0.97
    assert maps.orientation_agreement(mirror(sphere), sphere, sphere) < 0.03
    inside_out = Mesh(sphere.vertices, sphere.faces[:, [0, 2, 1]])
    assert maps.orientation_agreement(torch.arange(1500), sphere, inside_out) == 0
    assert maps.orientation_agreement(torch.zeros(1500, dtype=torch.int64), sphere, sphere) == 0.5
    assert abs(maps.orientation_agreement(torch.randperm(1500), sphere, sphere) - 0.5) < 0.1


def test_residuals(pair):
    eigenvalues = pair.source_basis.eigenvalues[:12]
    signs = torch.diag(torch.where(torch.arange(12) % 2 == 0, 1.0, -1.0).double())
    assert maps.orthogonality_residual(signs) == 0
    assert maps.commutativity_residual(signs, eigenvalues, eigenvalues) == 0
    assert maps.conformality_residual(signs, eigenvalues, eigenvalues) < 1e-12
    assert maps.orthogonality_residual(2 * signs) == pytest.approx(3)
    assert maps.orthogonality_residual(signs[:, :8]) == 0
    assert maps.orthogonality_residual(signs[:8]) == 0
    turned = signs.clone()
    turned[:, [3, 9]] = signs[:, [9, 3]]  # orthogonal, but it exchanges two frequencies
    assert maps.orthogonality_residual(turned) == 0
    assert 0.1 < maps.commutativity_residual(turned, eigenvalues, eigenvalues) < 1
    assert maps.conformality_residual(turned, eigenvalues, eigenvalues) > 0.3
    batch = torch.stack([signs, turned])
    assert maps.commutativity_residual(batch, eigenvalues, eigenvalues).shape == (2,)
    # The same shape in another unit: conformal, once the map carries the change of area.
    assert maps.conformality_residual(signs, eigenvalues, eigenvalues * 4) == pytest.approx(3)
    assert maps.conformality_residual(0.5 * signs, eigenvalues, eigenvalues * 4) < 1e-12


def test_point_cloud_source(sphere):
    cloud = PointCloud(sphere.vertices)
    error = maps.geodesic_error(half_turn(sphere), (torch.arange(20), torch.arange(20)), cloud, method="dijkstra")
    assert error.shape == (20,)
    assert bool(torch.isfinite(error).all())


def test_refusals(sphere):
    identity = torch.arange(1500)
    with pytest.raises(ArgumentError, match="truth"):
        maps.geodesic_error(identity, (identity, identity[:-1]), sphere)
    with pytest.raises(ArgumentError, match="truth: wanted a source point, or -1, for each of the 1500 target points"):
        maps.geodesic_error(identity, identity[:-1], sphere)
    for points in (identity - 1, identity + 1):
        with pytest.raises(ArgumentError, match=r"truth, target points: wanted vertex indices in \[0, 1500\)"):
            maps.geodesic_error(identity, (points, identity), sphere)
        with pytest.raises(ArgumentError, match=r"truth, source points: wanted vertex indices in \[0, 1500\)"):
            maps.geodesic_error(identity, (identity, points), sphere)
    with pytest.raises(ArgumentError, match="target_to_source"):
        maps.geodesic_error(identity + 1, identity, sphere)
    with pytest.raises(ArgumentError, match="source_to_target"):
        maps.bijectivity_error(identity, identity[:-1], sphere)
    with pytest.raises(ArgumentError, match="target_to_source"):
        maps.orientation_agreement(identity[:-1], sphere, sphere)


def test_round_trip_confidence(sphere):
    """One where the walk ends at its start; a half for every twentieth of the root of the area that it misses."""
    identity = torch.arange(1500)
    assert torch.equal(maps.round_trip_confidence(identity, identity, sphere), torch.ones(1500, dtype=torch.float64))
    turn = half_turn(sphere)
    found = maps.round_trip_confidence(identity, turn, sphere)
    missed = (sphere.vertices[turn] - sphere.vertices).norm(dim=1) / sphere.area.sqrt()
    half = missed[(missed - 0.1).abs().argmin()]
    assert found[(missed - 0.1).abs().argmin()] == pytest.approx(0.25 ** (float(half) / 0.1))
    assert torch.equal(found.argsort(stable=True)[:50].sort().values, (-missed).argsort(stable=True)[:50].sort().values)
    large = Mesh(1000 * sphere.vertices, sphere.faces)
    torch.testing.assert_close(maps.round_trip_confidence(identity, turn, large), found)
    assert maps.round_trip_confidence(identity, turn, sphere, half=1.0).min() > found.max() / 2


def test_landmark_residual(pair):
    """Zero for the map of a shape to itself in another unit, about one for landmarks that do not correspond."""
    basis = pair.source_basis
    large = type(basis)(basis.modes / 5, basis.measure * 25, basis.eigenvalues / 25)
    identity = maps.point_to_functional(torch.arange(basis.n), basis, large)
    right = torch.arange(0, 700, 70)[:, None].expand(-1, 2)
    assert maps.landmark_residual(identity, basis, large, right) < 1e-8
    wrong = torch.stack([right[:, 0], (right[:, 0] + 350) % 700], dim=1)
    assert maps.landmark_residual(identity, basis, large, wrong) > 0.8
