"""The runs on small shapes that cost seconds, and the oracles that all runs are held against."""

import math

import numpy as np
import pytest
import torch

import geospec
from geospec.probes import smoothing_graph
from geospec.reproductions import REPRODUCTIONS, Setting, reproduce
from geospec.reproductions.learned_eigenbasis import loss_cost, meshes, oracles, published
from geospec.reproductions.learned_eigenbasis.fits import PathProbes
from geospec.reproductions.learned_eigenbasis.operators import principal_components
from geospec.reproductions.learned_eigenbasis.shapes import blob, ellipsoid, uneven_sphere, voronoi_areas
from geospec.testing import bumpy_sphere


def test_the_light_runs_hold(tmp_path):
    result = reproduce("learned-eigenbasis", tmp_path, only=["A4", "A6", "A8", "meshes"])
    found = {row.run: row for row in result.rows}
    assert [found[name].verdict for name in ("A4", "A4, .05", "A4, .1", "A8", "meshes")] == ["pass", "shown", "shown", "pass", "not run"]
    assert all(check.what.isascii() for row in result.rows for check in row.checks), "the picture's font knows no other letters"
    density = {check.what: check for check in found["A6"].checks}
    assert density["slope"].passed
    assert density["corr at alpha 0"].passed
    assert density["corr with Voronoi area"].value > 0.8
    assert "needs a folder of meshes" in (tmp_path / "table.md").read_text()


def test_shapes_are_what_they_say():
    for mesh, n, modes, gap in ((ellipsoid(), 642, 14, 0.03), (blob(), 2562, 52, 0.004)):
        assert mesh.n_points == n
        values = oracles.cotangent(mesh, modes)[0]
        assert float(((values[2:] - values[1:-1]) / values[1:-1]).min()) > gap
        assert float(mesh.vertices.norm(dim=1).max()) == pytest.approx(1)


def test_uneven_sphere():
    """Shares below a height, by the density's integral; areas of the cells that cover the sphere."""
    points = uneven_sphere(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(points.norm(dim=1), torch.ones(len(points), dtype=torch.float64))
    for z in (-0.7, 0.0, 0.4):
        below = (z + 1) / 2 + 0.9 * (z**2 - 1) / 4
        assert float((points[:, 2] < z).double().mean()) == pytest.approx(below, abs=0.012)
    assert float(voronoi_areas(points[:500]).sum()) == pytest.approx(4 * math.pi)


def test_smoother_eigenvectors():
    graph = smoothing_graph(bumpy_sphere(2).vertices)
    factors, vectors = oracles.smoother_eigenvectors(graph, 6)
    assert torch.allclose(vectors[:, 0].abs(), graph.measure.sqrt(), atol=1e-8)
    assert torch.allclose(graph.smooth(vectors, 1), vectors * factors, atol=1e-8)
    dense = torch.linalg.eigvalsh(graph.smooth(torch.eye(graph.n, dtype=torch.float64), 1))
    assert torch.allclose(factors, dense.flip(0)[:6], atol=1e-10)


def test_agreement_forgives_what_it_says():
    oracle = torch.linalg.qr(torch.randn(40, 10, dtype=torch.float64))[0]
    swapped = oracle[:, [0, 2, 1, *range(3, 10)]] * torch.tensor([-1.0, *[1.0] * 9])
    told = oracles.agreement(swapped, oracle)
    assert told["cos_10"] == pytest.approx(0.8)
    assert told["matched_10"] == pytest.approx(1)
    half = math.sqrt(0.5)
    turned = oracle.clone()
    turned[:, 1], turned[:, 2] = half * (oracle[:, 1] + oracle[:, 2]), half * (oracle[:, 1] - oracle[:, 2])
    told = oracles.agreement(turned, oracle)
    assert told["matched_10"] == pytest.approx((8 + 2 * half) / 10)
    assert told["subspace_10"] == pytest.approx(1)
    assert oracles.cut_text(told, "subspace") == "1.000"


def test_eigenvalue_errors():
    exact = torch.tensor([0.0, 1.0, 2.0, 4.0])
    errors = oracles.eigenvalue_errors(1.25 * exact, exact)
    assert errors["absolute"] == pytest.approx(0.25)
    assert errors["one_scale"] == pytest.approx(0, abs=1e-7)
    assert errors["scale"] == pytest.approx(0.8)


def test_principal_components():
    fields = torch.randn(30, 200, dtype=torch.float64)
    values, vectors = principal_components(fields, 4)
    left, singular, _ = torch.linalg.svd(fields, full_matrices=False)
    assert torch.allclose(values, singular[:4].square() / 200)
    assert torch.allclose((vectors * left[:, :4]).sum(dim=0).abs(), torch.ones(4, dtype=torch.float64))


def test_the_codes_probes_keep_mass():
    points = bumpy_sphere(2).vertices
    squared, near = (found.numpy() for found in geospec.ops.knn(points, points, 12, exclude_self=True))
    matrix = published._mass_keeping(np.exp(-squared / 0.1), near)
    sums, chosen = np.asarray(matrix.sum(axis=0)).ravel(), np.bincount(near.ravel(), minlength=len(points)) > 0
    assert np.allclose(sums[chosen], 1)
    assert not np.allclose(np.asarray(matrix.sum(axis=1)), 1, atol=0.05)
    fields = published.code_probes(points, 17, Setting(seed=2))
    assert fields.shape == (len(points), 17)
    assert torch.equal(fields, published.code_probes(points, 17, Setting(seed=2)))


def test_path_probes_are_the_explicit_step():
    probes = PathProbes().on(torch.linspace(0, 1, 16)[:, None].double(), 4)
    i = torch.arange(16, dtype=torch.float64)
    mode = torch.cos(torch.pi * 3 * (i + 0.5) / 16)[:, None]
    value = 2 - 2 * math.cos(3 * math.pi / 16)
    assert torch.allclose(probes.smooth(mode), (1 - 0.25 * value) * mode)


def test_both_ways_to_the_loss_agree():
    q = torch.linalg.qr(torch.randn(50, 6, dtype=torch.float64))[0]
    probes = torch.randn(50, 30, dtype=torch.float64)
    naive = sum((probes - q[:, :k] @ q[:, :k].T @ probes).square().sum() for k in range(1, 7)) / (6 * 30)
    for loss in (loss_cost.direct_loss, loss_cost.captured_loss):
        assert torch.allclose(loss(q, probes), naive)
    cost = loss_cost.measure("captured", 60, 20, 4, repeats=2)
    assert cost["gradient"] == pytest.approx(loss_cost.measure("direct", 60, 20, 4, repeats=2)["gradient"], rel=1e-5)


def test_names_of_the_papers_rows(tmp_path):
    assert meshes.published_name(tmp_path / "Armadillo.obj") == "armadillo"
    assert meshes.published_name(tmp_path / "laurent_hand.off") == "laurent hand"
    assert meshes.published_name(tmp_path / "cow.obj") is None


def test_a_mesh_of_a_folder(tmp_path, monkeypatch):
    """The row, its ceiling and its picture, at a size that takes seconds."""
    monkeypatch.setattr(meshes, "MODES", 10)
    monkeypatch.setattr(meshes, "ORACLE_MODES", 12)
    monkeypatch.setattr(meshes, "QUICK_SAMPLES", 160)
    data = tmp_path / "data"
    data.mkdir()
    geospec.save(bumpy_sphere(3), data / "fertility.off")
    geospec.save(geospec.PointCloud(bumpy_sphere(2).vertices), data / "kitten.ply")
    (data / "notes.txt").write_text("no mesh")
    result = reproduce("learned-eigenbasis", tmp_path / "out", only=["meshes"], data=data)
    row, matched, cloud = result.rows
    assert [line.run for line in result.rows] == ["fertility", "fertility, matched", "kitten"]
    assert (cloud.verdict, cloud.problem) == ("not run", "a point cloud has no cotangent modes")
    assert row.numbers["paper"] == (0.874, 0.866, 0.720, 0.083)
    assert [(check.what, check.limit) for check in row.checks] == [("cos k<=10", 0.874)]
    assert [(check.what, check.limit) for check in matched.checks] == [("matched cos k<=10", 0.874), ("eigenvalue error", 0.05)]
    assert row.numbers["learned"]["matched_10"] > 0.8
    assert row.numbers["learned"]["subspace_10"] <= row.numbers["ceiling"]["subspace_10"] + 0.02
    assert (tmp_path / "out" / "figure.png").stat().st_size > 20_000


def test_an_empty_folder(tmp_path):
    row = reproduce("learned-eigenbasis", only=["meshes"], data=tmp_path).rows[0]
    assert row.verdict == "FAIL"
    assert "data: wanted a folder with meshes" in row.problem


def test_only_the_digits_need_more_than_the_core():
    runs = REPRODUCTIONS["learned-eigenbasis"].runs
    assert {name: dict(run.packages) for name, run in runs.items() if run.packages} == {"A7": {"sklearn": "reproduce"}}
