"""The report of a code: what it shows of distances that are known."""

from __future__ import annotations

import json
import re

import pytest
import torch

from geospec.codes import encode
from geospec.datasets import solid_field
from geospec.shapes.grid import DistanceField, Grid
from geospec.viz import code_report
from geospec.viz.code_page import _at


def test_distances_between_cells_are_linear():
    grid = Grid.box((0, -1, 2), (2, 1, 5), (12, 8, 10))
    plane = (grid.points.double() @ torch.tensor([0.3, -0.5, 0.7], dtype=torch.float64) - 2).reshape(grid.shape)
    points = torch.tensor([[1.0, 0.1, 3.3], [0.31, -0.7, 4.2]], dtype=torch.float64)
    exact = points @ torch.tensor([0.3, -0.5, 0.7], dtype=torch.float64) - 2
    torch.testing.assert_close(_at(DistanceField(plane, grid, 9.0), points), exact, atol=1e-6, rtol=0)


def test_a_page_with_levels_and_numbers(tmp_path):
    field = solid_field("torus", 0, 48, 0.3)
    mesh, code = field.surface(), encode(field)
    path = code_report(mesh, code, tmp_path / "code.html", levels=1, title="A ring")
    text = path.read_text()
    assert not re.search(r"(src|href)=[\"']https?:", text)
    for words in ("A ring", "input", "decoded", "level 1", "IoU of the insides", "distance to the other surface"):
        assert words in text
    data = json.loads(re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', text, re.S)[1])
    assert len(data["views"]) == 3
    for shown in ("rotation", "up"):  # all are seen from one side, whatever each alone would be seen from
        assert len({str(view[shown]) for view in data["views"].values()}) == 1
    distance = next(look for look in data["looks"] if look["label"].startswith("distance"))
    assert len({str(view["limits"]) for view in distance["views"].values()}) == 1
    iou = float(re.search(r"IoU of the insides.*?>([\d.]+)<", text, re.S)[1])
    assert iou == pytest.approx(1, abs=0.02)


def test_a_field_is_its_own_truth(tmp_path):
    """A field that the code keeps whole is at no distance from it; its surface is what is shown as the input."""
    field = solid_field("torus", 0, 48, 0.3)
    text = code_report(field, encode(field), tmp_path / "code.html", levels=0).read_text()
    mesh = code_report(field.surface(), encode(field), tmp_path / "mesh.html", levels=0).read_text()
    ious = [float(re.search(r"IoU of the insides.*?>([\d.]+)<", page, re.S)[1]) for page in (text, mesh)]
    assert ious[0] >= ious[1]
    assert f"{len(field.surface().faces):,} faces" in text


def test_a_shape_without_an_inside(tmp_path, monkeypatch):
    monkeypatch.setattr("geospec.viz.code_page.inside_iou", lambda one, other: None)
    field = solid_field("torus", 0, 48, 0.3)
    assert "neither has any" in code_report(field, encode(field), tmp_path / "code.html", levels=0).read_text()
