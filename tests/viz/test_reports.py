"""The HTML reports: what is embedded is what came in, nothing from outside runs, and the scripts work."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from viz.samples import grid, sample_basis, sample_match

from geospec import viz
from geospec.errors import ArgumentError
from geospec.shapes.cloud import PointCloud
from geospec.shapes.mesh import Mesh
from geospec.viz.basis_page import ticks
from geospec.viz.match_page import verdict
from geospec.viz.page import SCRIPTS, number_text, safe_json

VIZ = Path(viz.__file__).parent
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload='x"


class Seen(HTMLParser):
    """Tags, attributes and text of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def read(path: Path) -> tuple[Seen, dict]:
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', text, re.S)
    assert found
    return Seen(text), json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def array(data: dict, name: str) -> np.ndarray:
    entry = data["arrays"][name]
    if "gather" in entry:
        return array(data, entry["gather"])[array(data, entry["by"])]
    return np.frombuffer(base64.b64decode(entry["base64"]), dtype=entry["dtype"]).reshape(entry["shape"])


def names_of_arrays(data: dict) -> set[str]:
    """Every array that a page refers to."""
    keys = ("positions", "faces", "normals", "radii", "colors", "places", "values", "table", "by", "gather")
    found: set[str] = set()

    def walk(part):
        if isinstance(part, dict):
            found.update(part[key] for key in keys if isinstance(part.get(key), str))
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(data)
    return found


def test_match_report_embeds_what_it_was_given(tmp_path):
    match = sample_match()
    truth = match.target_to_source.clone()
    truth[:3] = -1
    _, data = read(viz.match_report(match, tmp_path / "m.html", ground_truth=truth, names=("a.off", "b.off")))
    for name, shape in (("source", match.source), ("target", match.target)):
        p = shape.vertices.double().numpy()
        low, high = p.min(axis=0), p.max(axis=0)
        wanted = (p - (low + high) / 2) / (np.linalg.norm(high - low) / 2)
        assert np.allclose(array(data, f"{name}.positions"), wanted, rtol=0, atol=1e-7)
    assert np.array_equal(array(data, "source.faces"), match.source.faces.numpy())
    assert np.array_equal(array(data, "target_to_source"), match.target_to_source.numpy())
    assert np.array_equal(array(data, "source_to_target"), match.source_to_target.numpy())
    assert np.array_equal(array(data, "functional_map"), match.functional_map.numpy())
    assert (data["matrix"]["rows"], data["matrix"]["columns"]) == (7, 5)
    assert np.array_equal(array(data, "confidence"), match.confidence.numpy())
    assert np.array_equal(array(data, "target.colors"), array(data, "source.colors")[match.target_to_source.numpy()])
    error = array(data, "error")
    assert np.isnan(error[:3]).all()
    assert (error[3:] == 0).all()
    assert data["picks"]["others"] == {
        "source": [{"view": "target", "by": "source_to_target"}],
        "target": [{"view": "source", "by": "target_to_source"}],
    }


def test_a_measured_error_is_shown_as_it_is(tmp_path):
    match = sample_match()
    error = torch.linspace(0, 30, match.target.n_points)
    seen, data = read(viz.match_report(match, tmp_path / "m.html", error=error, ground_truth=match.target_to_source))
    assert np.array_equal(array(data, "error"), error.numpy())
    assert "error along the surface, % of the root of the source's area" in seen.words
    assert "15" in seen.words  # mean and median
    with pytest.raises(ArgumentError, match="error: wanted one number per target vertex, 96"):
        viz.match_report(match, tmp_path / "m.html", error=error[1:])


def test_round_trip_numbers_are_percent_of_the_diagonal(tmp_path):
    match = sample_match()
    _, data = read(viz.match_report(match, tmp_path / "m.html"))
    p = match.target.vertices.double()
    back = match.source_to_target[match.target_to_source]
    wanted = 100 * (p[back] - p).norm(dim=1) / (p.max(0).values - p.min(0).values).norm()
    assert np.allclose(array(data, "target.round_trip"), wanted.numpy(), rtol=1e-5)
    assert wanted.max() > 1


@pytest.mark.parametrize("kind", ["match", "basis", "shape"])
def test_every_array_a_page_names_is_there(tmp_path, kind):
    _, data = read(write(kind, tmp_path / "p.html"))
    missing = names_of_arrays(data) - set(data["arrays"])
    assert not missing
    assert len(names_of_arrays(data)) >= 3


def write(kind: str, path: Path, name: str = "a shape") -> Path:
    mesh = grid(8, 6)
    if kind == "match":
        return viz.match_report(sample_match(note=name), path, names=(name, name))
    if kind == "basis":
        return viz.basis_report(mesh, sample_basis(mesh), path, name=name)
    cloud = PointCloud(mesh.vertices)
    fields = {name: {name: mesh.vertices[:, 0]}}
    return viz.shape_report({name: mesh, "cloud": cloud}, path, fields=fields, numbers={name: {name: name}}, title=name)


@pytest.mark.parametrize("kind", ["match", "basis", "shape"])
def test_nothing_a_user_names_becomes_markup(tmp_path, kind):
    seen, _ = read(write(kind, tmp_path / "p.html", EVIL))
    tags = [tag for tag, _ in seen.tags]
    plain_tags = [tag for tag, _ in read(write(kind, tmp_path / "q.html"))[0].tags]
    assert tags == plain_tags  # the same elements, whatever the names
    assert tags.count("script") == 2
    assert "img" not in tags
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert EVIL in "".join(seen.words)  # and a reader still sees the name


def test_a_name_that_is_no_text_is_shown_as_well_as_can_be(tmp_path):
    """The name of a file may be any bytes; Python carries those that are no UTF-8 as lone surrogates."""
    seen, _ = read(write("basis", tmp_path / "p.html", b"caf\xe9.off".decode("utf-8", "surrogateescape")))
    assert "caf?.off" in "".join(seen.words)


def test_json_holds_no_character_that_markup_could_use():
    text = safe_json({EVIL: [EVIL, "<!--<script>", "&lt;"]})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {EVIL: [EVIL, "<!--<script>", "&lt;"]}


@pytest.mark.parametrize("kind", ["match", "basis", "shape"])
def test_pages_fetch_nothing(tmp_path, kind):
    seen, _ = read(write(kind, tmp_path / "p.html"))
    assert not [attributes for _, attributes in seen.tags if {"src", "href", "action"} & set(attributes)]
    policy = next(a["content"] for tag, a in seen.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "http" not in policy
    script = "".join((VIZ / name).read_text() for name in (*SCRIPTS, "style.css"))
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|url\(|eval\(|innerHTML|insertAdjacent", script)


def test_what_is_not_a_number_is_told_not_broken(tmp_path):
    match = sample_match(weight=float("nan"), bound=float("inf"), by_mode=torch.tensor([1.0, float("nan")]))
    match.confidence[0] = float("nan")
    match.functional_map[0, 0] = float("nan")
    seen, data = read(viz.match_report(match, tmp_path / "m.html"))
    assert np.isnan(array(data, "functional_map")[0, 0])
    assert np.isfinite(data["matrix"]["limit"])
    assert "not a number" in seen.words
    assert json.loads(safe_json({"a": [float("nan"), float("-inf"), 1.5], "b": np.float32(2)})) == {"a": [None, None, 1.5], "b": 2.0}


def test_all_options_are_listed(tmp_path):
    match = sample_match(refinement={"method": "zoomout", "step": 3}, landmarks=None, flip=True)
    seen, _ = read(viz.match_report(match, tmp_path / "m.html"))
    for word in (
        "descriptor",
        "wks",
        "options › refinement",
        "zoomout",
        "step",
        "3",
        "landmarks",
        "none",
        "flip",
        "yes",
        "timings",
        "0.25",
    ):
        assert word in seen.words, word


def test_two_shapes_of_50k_vertices_stay_below_8_mb(tmp_path):
    match = sample_match(250, 200)
    assert match.source.n_points == 50_000
    assert viz.match_report(match, tmp_path / "m.html", ground_truth=match.target_to_source).stat().st_size < 8_000_000


def test_files_are_written_aside(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        write("shape", tmp_path / "none" / "p.html")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write("shape", tmp_path / "p.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_basis_report_holds_modes_and_spectrum(tmp_path, dtype):
    mesh = grid(10, 8, dtype=dtype)
    basis = sample_basis(mesh)
    seen, data = read(viz.basis_report(mesh, basis, tmp_path / "b.html"))
    scales = np.array(data["modes"]["scales"])
    modes = array(data, "modes").T * scales / 32767
    wanted = np.clip(basis.modes.double().numpy(), -scales, scales)
    assert np.abs(modes - wanted).max() <= scales.max() / 60000
    dots = [a for tag, a in seen.tags if tag == "circle"]
    assert [int(a["data-mode"]) for a in dots] == list(range(6))
    heights = np.array([float(a["cy"]) for a in dots])
    assert np.allclose(np.diff(heights) / (heights[1] - heights[0]), [1, 3, 5, 7, 9], rtol=0.1)  # squares


def test_a_large_basis_is_cut_to_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr("geospec.viz.basis_page._MODE_BYTES", 4 * 2 * 80)
    mesh = grid(10, 8)
    seen, data = read(viz.basis_report(mesh, sample_basis(mesh), tmp_path / "b.html"))
    assert data["modes"]["count"] == 4
    assert "the first 4 can be looked at here" in "".join(seen.words)


def test_clouds_carry_normals_and_radii(tmp_path):
    cloud = PointCloud(grid(9, 9, height=0.0).vertices)
    _, data = read(viz.shape_report(cloud, tmp_path / "c.html", fields={"x": cloud.points[:, 0]}))
    assert np.allclose(np.abs(array(data, "s0.normals")), [0, 0, 1], atol=1e-6)
    assert data["views"]["s0"]["faces"] is None
    assert (array(data, "s0.radii") > 0).all()


@pytest.mark.parametrize(("scale", "shift"), [(1e-9, 0.0), (1e9, 0.0), (1.0, 5e6)])
def test_unit_and_place_do_not_matter(tmp_path, scale, shift):
    mesh = grid(9, 7, dtype=torch.float64)
    moved = Mesh(mesh.vertices * scale + shift, mesh.faces)
    (_, one), (_, two) = (read(viz.shape_report(shape, tmp_path / "s.html")) for shape in (mesh, moved))
    assert np.allclose(array(one, "s0.positions"), array(two, "s0.positions"), atol=1e-7)
    assert one["views"]["s0"]["rotation"] == two["views"]["s0"]["rotation"]
    pictures = [viz.render(shape, size=(60, 40)).astype(int) for shape in (mesh, moved)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.1


def test_clouds_match_too(tmp_path):
    match = sample_match()
    match.source, match.target = PointCloud(match.source.vertices), PointCloud(match.target.vertices)
    _, data = read(viz.match_report(match, tmp_path / "m.html"))
    assert data["views"]["target"]["faces"] is None
    assert viz.match_image(match, tmp_path / "m.png", size=(60, 50)).stat().st_size > 500


def test_refusals(tmp_path):
    match = sample_match()
    with pytest.raises(ArgumentError, match="ground_truth: wanted 96 source vertices"):
        viz.match_report(match, tmp_path / "m.html", ground_truth=np.full(96, 999))
    match.confidence = match.confidence[1:]
    with pytest.raises(ArgumentError, match=r"match.confidence: wanted 96 entries, got 95"):
        viz.match_report(match, tmp_path / "m.html")
    mesh = grid(5, 5)
    with pytest.raises(ArgumentError, match=r"fields\['x'\]: wanted shape"):
        viz.shape_report(mesh, tmp_path / "s.html", fields={"x": np.zeros(3)})
    with pytest.raises(ArgumentError, match="basis: wanted one on the shape's 25 points"):
        viz.basis_report(mesh, sample_basis(grid(4, 4)), tmp_path / "b.html")
    assert list(tmp_path.iterdir()) == []


def test_verdicts_and_texts():
    assert verdict(np.full(10, 0.9), 0.7)[0] == "good"
    assert verdict(np.full(10, 0.9), 0.1)[0] == "poor"
    assert verdict(np.array([0.9, 0.9, 0.9, 0.1]), 0.7)[0] == "fair"
    assert verdict(np.array([0.9, 0.1, 0.1, 0.1]), 0.7)[0] == "poor"
    assert [number_text(v) for v in (12345, 0.000123456, True, None, [1, 2.5])] == ["12,345", "0.0001235", "yes", "none", "1, 2.5"]
    assert ticks(100) == [0, 20, 40, 60, 80, 100]


NODE = shutil.which("node")


def run_node(script: str, tmp_path: Path) -> str:
    path = tmp_path / "check.js"
    path.write_text("".join((VIZ / name).read_text() for name in SCRIPTS[:2]) + script)
    done = subprocess.run([NODE, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_parse(name):
    assert subprocess.run([NODE, "--check", VIZ / name], capture_output=True, timeout=60).returncode == 0


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_picking_undoes_projection(tmp_path):
    """Each vertex on the near side of a sphere is what lies under its own place on the canvas, as mesh and as cloud."""
    import trimesh

    ball = trimesh.creation.icosphere(3)
    view = viz.View.along((1, 2, 3))
    shape = {"rotation": view.rotation.ravel().tolist(), "up": [0, 1, 0]}
    out = run_node(
        f"""
        globalThis.requestAnimationFrame = () => 0;
        const positions = Float32Array.from({json.dumps((np.array(ball.vertices) * 3 + 5).ravel().tolist())});
        const faces = Uint32Array.from({json.dumps(np.array(ball.faces).ravel().tolist())});
        const radii = new Float32Array(positions.length / 3).fill(0.1), results = [];
        for (const cloud of [false, true]) {{
          const viewer = Object.create(Viewer.prototype);
          viewer.canvas = {{ clientWidth: 640, clientHeight: 400 }};
          viewer.shape = {{ ...{json.dumps(shape)}, positions, faces: cloud ? null : faces, radii }};
          viewer.measure();
          viewer.attach(new Camera());
          Object.assign(viewer.camera, {{ azimuth: 0.7, elevation: -0.4, zoom: 1.7, pan: [0.2, -0.1] }});
          const {{ clip }} = viewer.pose();
          let right = 0, seen = 0;
          for (let v = 0; v < radii.length; v++) {{
            const p = viewer.place(v), near = clip[3][0] * (p[0] - 5) + clip[3][1] * (p[1] - 5) + clip[3][2] * (p[2] - 5);
            if (near > -0.45) continue; // w is smallest in front
            seen++;
            right += viewer.pick(...viewer.toScreen(p)) === v;
          }}
          results.push([seen, right, viewer.pick(1, 1)]);
        }}
        console.log(JSON.stringify(results));
        """,
        tmp_path,
    )
    for seen, right, corner in json.loads(out):
        assert seen > 100
        assert right == seen
        assert corner == -1


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_viewer_fills_its_canvas_and_keeps_creases(tmp_path):
    import trimesh

    box = trimesh.creation.box((1, 2, 5))
    rotation = viz.View.along((2, 1, 1)).rotation.ravel().tolist()
    out = run_node(
        f"""
        const positions = Float32Array.from({json.dumps(np.array(box.vertices).ravel().tolist())});
        const faces = Uint32Array.from({json.dumps(np.array(box.faces).ravel().tolist())});
        const viewer = Object.create(Viewer.prototype);
        viewer.canvas = {{ clientWidth: 500, clientHeight: 300 }};
        viewer.shape = {{ positions, faces, rotation: {json.dumps(rotation)}, up: [0, 1, 0] }};
        viewer.measure();
        viewer.attach(new Camera());
        const on = [...Array(8).keys()].map((v) => viewer.toScreen(viewer.place(v)));
        const {{ corners, normals, origin }} = withNormals(positions, faces);
        const straight = [...corners].every((v) => [0, 1, 2].some((a) => Math.abs(Math.abs(normals[3 * v + a]) - 1) < 1e-6));
        console.log(JSON.stringify({{ on, straight, same: [...corners].every((v, i) => origin[v] === faces[i]) }}));
        """,
        tmp_path,
    )
    result = json.loads(out)
    on = np.array(result["on"])
    low, high = on.min(axis=0), on.max(axis=0)
    assert np.allclose((low + high) / 2, [250, 150], atol=4)
    assert max((high - low) / [500, 300]) == pytest.approx(0.92, abs=0.03)
    assert result["straight"]
    assert result["same"]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("kind", ["match", "basis"])
def test_page_runs_in_a_browser(tmp_path, kind):
    """The scripts reach their last line: the legend and the reading that they write are in the page."""
    path = write(kind, tmp_path / "p.html")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run"]
    options += [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run([CHROMIUM, *options, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120)
    words = "".join(Seen(re.sub(r"(?s)<script.*?</script>", "", done.stdout)).words)
    assert ("coloured by place" if kind == "match" else "Mode 1, eigenvalue 1") in words
