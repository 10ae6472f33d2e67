"""Trials against hand counts, and the runs at tiny sizes."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

import geospec
from geospec.bases.wavelet import WaveletCoefficients, WaveletTree
from geospec.datasets import solid, solid_field
from geospec.reproductions import reproduce
from geospec.reproductions.make_a_shape import runs, shapes
from geospec.reproductions.make_a_shape.measures import Trial
from geospec.reproductions.make_a_shape.published import NUMBERS
from geospec.reproductions.registry import Setting


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(shapes, "RESOLUTION", 48)
    monkeypatch.setattr(runs, "solid_families", lambda: ("sphere", "csg", "torus"))


def test_statistics_of_coefficients_made_by_hand():
    """Two large details, one with a large child; all bands alike, so that siblings are one."""
    tree = WaveletTree(64, 3)
    coarse = torch.full(tree.cells, -3.0)
    d0, d1, d2 = (torch.zeros(7, *shape) for shape in tree.detail_shapes)
    d0[:, 10, 10, 10], d0[:, 12, 12, 12], d0[:, 5, 5, 5] = 1.0, -0.5, 1 / 33  # the last is small
    shift = (2 * tree.cells[0] - tree.detail_shapes[1][0]) // 2
    d1[0, 2 * 5 - shift, 2 * 5 - shift, 2 * 5 - shift] = 1.0  # a child of the small one, which is not obedient
    trial = Trial(solid_field("sphere", 0, 64), tree)
    trial.__dict__["coefficients"] = WaveletCoefficients(coarse, (d0, d1, d2))
    found = trial.statistics()
    cells = coarse.numel()
    assert found["coarse"] == 3
    assert found["important"] == pytest.approx(2 / cells)
    assert found["obedient"] == pytest.approx(1 - 1 / (cells - 2))
    assert found["siblings"] == pytest.approx(1)


def test_all_details_give_the_shape_back_and_fewer_no_more():
    trial = Trial(solid_field("csg", 0, 64, 0.3), WaveletTree(64, 3))
    ious = [trial.up_to(details) for details in range(4)]
    assert ious[3] == 1
    assert ious == sorted(ious)
    assert ious[0] < 0.9
    all_trees, count = trial.filtered(k=10**6)
    assert all_trees == ious[2]
    cells = trial.tree.cells[0] ** 3
    assert count == 64 * cells


def test_the_paper_s_count_of_numbers():
    assert 46**3 + 63 * runs.COUNTS[-1] == NUMBERS


def test_runs_at_tiny_sizes(tmp_path, tiny):
    (tmp_path / "meshes").mkdir()
    geospec.save(solid("mug", 1), tmp_path / "meshes" / "mug.ply")
    sheet = geospec.Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]]))
    geospec.save(sheet, tmp_path / "meshes" / "sheet.ply")
    result = reproduce("make-a-shape-representation", tmp_path / "out", data=tmp_path / "meshes")
    rows = {row.run: row for row in result.rows}
    assert not [row.problem for row in result.rows if row.problem]
    assert {"note sphere", "solid csg", "solids mean", "sweep", "zero box", "mesh mug", "meshes mean", "picture chair"} < rows.keys()
    ours, mean = rows["solid csg"].numbers, rows["solids mean"].numbers
    assert mean["C0"] == ours["C0"]  # the quick preset takes every fourth, of three the second
    assert "solids, second half" not in rows
    assert not rows["mesh sheet"].numbers
    assert rows["meshes mean"].numbers["C0"] == rows["mesh mug"].numbers["C0"]
    assert ours["K=512"] <= ours["K=16384"]
    assert [check.value for check in rows["solids mean"].checks[:2]] == [mean["K=16384"], mean["K=16384"] - mean["C0"]]
    assert rows["constant box"].numbers["coarse"] > 2 * rows["zero box"].numbers["coarse"]
    with Image.open(tmp_path / "out" / "figure.png") as picture:
        assert picture.width == 2400


def test_the_threshold_is_tried_on_families_that_it_was_not_chosen_on(tiny):
    rows = {row.run: row for row in runs.solids(Setting("full"))}
    sphere, csg, torus = (rows[f"solid {family}"].numbers for family in ("sphere", "csg", "torus"))
    assert rows["solids, second half"].numbers["adaptive"] == csg["adaptive"]
    assert rows["solids mean"].numbers["adaptive"] == pytest.approx((sphere["adaptive"] + csg["adaptive"] + torus["adaptive"]) / 3)


def test_adaptive_trees_are_those_near_the_surface_above_the_threshold():
    field = solid_field("csg", 0, 64)
    tree = WaveletTree(64, 3)
    found = runs.measured(field)
    code = tree.filter(tree.analysis(field.values), threshold=runs.THRESHOLD, truncation=0.1)
    assert found["adaptive numbers"] == code.coarse.numel() + code.values.numel()
    assert found["adaptive numbers"] < 64 * code.coarse.numel()
