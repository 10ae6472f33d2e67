"""``geospec info`` and ``geospec show``."""

import json

import numpy as np

import geospec
from geospec.testing import disjoint_union, icosphere


def test_info_is_the_report(run, shapes):
    done = run("info", shapes / "a.off", "--json")
    report = geospec.report(geospec.load(shapes / "a.off"))
    assert json.loads(done.out) == json.loads(json.dumps({"file": str(shapes / "a.off"), **report.to_dict(), "problems": []}))
    assert "no problems found" in done.err
    human = run("info", shapes / "a.off")
    assert human.err == ""
    assert all(line in human.out for line in report.summary().splitlines())


def test_info_names_problems_and_what_a_repair_leaves(run, shapes, tmp_path):
    mesh = geospec.load(shapes / "a.off")
    geospec.save(disjoint_union(icosphere(1, radius=0.1), mesh), tmp_path / "two.ply")
    assert "(repair: largest-component)" in run("info", tmp_path / "two.ply").out
    after = json.loads(run("info", tmp_path / "two.ply", "--repair", "largest-component", "--json").out)
    assert (after["components"], after["n_points"]) == (1, mesh.n_points)


def test_info_of_a_cloud_and_of_quads(run, tmp_path):
    np.savetxt(tmp_path / "cloud.xyz", np.random.default_rng(0).normal(size=(50, 3)))
    assert json.loads(run("info", tmp_path / "cloud.xyz", "--json").out)["n_points"] == 50
    (tmp_path / "quad.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n")
    assert json.loads(run("info", tmp_path / "quad.obj", "--triangulate", "--json").out)["n_faces"] == 2


def test_show_writes_a_picture(run, shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("show", shapes / "a.off").code == 0
    from PIL import Image

    picture = np.asarray(Image.open("a-view.png").convert("RGB"))
    # Something is drawn, in the middle, and its frame is blank.
    assert (picture[[0, -1]] == 255).all()
    assert (picture[picture.shape[0] // 2, picture.shape[1] // 2] < 250).any()
    assert [path.name for path in tmp_path.iterdir()] == ["a-view.png"]


def test_show_report(run, shapes, tmp_path):
    assert run("show", shapes / "a.off", "--report", tmp_path / "a.html").code == 0
    page = (tmp_path / "a.html").read_text()
    assert "a.off" in page
    assert "euler" in page
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_show_json(run, shapes, tmp_path):
    done = run("show", shapes / "b.ply", "--image", tmp_path / "b.png", "--json", "--quiet")
    assert done.err == ""
    assert json.loads(done.out) == {"file": str(shapes / "b.ply"), "n": 162, "image": str(tmp_path / "b.png"), "report": None}
    assert (tmp_path / "b.png").is_file()
