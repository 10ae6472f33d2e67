"""The globe's page: what it embeds is what came in, its scripts agree with Python, and its pixels are those of the field."""

from __future__ import annotations

import json
import re
import subprocess

import numpy as np
import pytest
import torch
from viz.test_reports import CHROMIUM, EVIL, NODE, VIZ, Seen, array, names_of_arrays, read, run_node

from geospec import ops
from geospec.errors import ArgumentError
from geospec.viz import globe_report
from geospec.viz.colormaps import categories, srgb_to_oklab
from geospec.viz.projections import project
from geospec.viz.sphere_field import SphereField


def directions(n: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, 3, generator=torch.Generator().manual_seed(seed)), dim=1)


def height(xyz: torch.Tensor) -> torch.Tensor:
    return 2 * xyz[:, 2] + xyz[:, 0]


def octant(xyz: torch.Tensor) -> torch.Tensor:
    return ((xyz > 0) * torch.tensor([1, 2, 4])).sum(1)


def test_grids_points_and_errors_are_in_the_page(tmp_path):
    rng = np.random.default_rng(0)
    values, labels, points = rng.normal(size=(6, 12)), rng.integers(0, 3, (5, 10)), directions(40)
    targets = torch.linspace(-1, 1, 40)
    seen, data = read(
        globe_report(tmp_path / "g.html", {"a": values, "b": labels}, points=points, targets=targets, classes=["x", "y", "z"])
    )
    first, second = (look["views"]["globe"] for look in data["looks"])
    assert np.array_equal(array(data, first["values"]), values.astype(np.float32))
    assert (first["rows"], first["columns"], first["nearest"]) == (6, 12, False)
    assert np.array_equal(array(data, second["values"]), labels)
    assert (second["nearest"], second["classes"], second["limits"]) == (True, ["x", "y", "z"], [0, 255])
    assert np.array_equal(array(data, second["table"])[:3], np.rint(categories(3) * 255))
    assert np.allclose(array(data, "points"), points)
    lon, lat = (part.numpy() for part in ops.xyz_to_lonlat(points.double()))
    wanted = np.abs(SphereField.of("a", values).at(lon, lat) - targets.numpy())
    assert np.allclose(array(data, first["dots"]["error"]["values"]), wanted, atol=1e-6)
    assert np.allclose(array(data, first["dots"]["measured"]["values"]), targets)
    assert "dots" not in second  # nothing was measured of it
    assert f"{np.sqrt((wanted**2).mean()):.4g}" in seen.words
    assert not names_of_arrays(data) - set(data["arrays"])


def test_functions_are_asked_at_the_points_themselves(tmp_path):
    points = directions(2000)
    fields = {"height": height, "octant": octant}
    wrong = octant(points)
    wrong[:30] = 0
    seen, data = read(globe_report(tmp_path / "g.html", fields, points=points, targets={"height": height(points) + 0.25, "octant": wrong}))
    first, second = (look["views"]["globe"] for look in data["looks"])
    assert np.allclose(array(data, first["dots"]["error"]["values"]), 0.25, atol=1e-6)
    false = (octant(points) != wrong).numpy()
    assert np.array_equal(array(data, second["dots"]["error"]["values"]), false)
    assert f"{1 - false.mean():.4g}" in seen.words  # the share that is right
    assert (first["rows"], second["rows"]) == (360, 720)
    bars = [attributes for tag, attributes in seen.tags if tag == "rect" and attributes.get("class") == "bar"]
    assert len(bars) == 24
    assert len({bar["height"] for bar in bars[:12]}) == 1  # the first field is off by as much everywhere


def test_errors_by_latitude_fall_into_their_bands(tmp_path):
    lat = torch.tensor([-90.0, -76.0, 0.0, 14.9, 90.0])
    points, targets = ops.lonlat_to_xyz(torch.zeros(5), lat), torch.tensor([1.0, 1.0, 2.0, 4.0, 8.0])
    seen, _ = read(globe_report(tmp_path / "g.html", {"zero": np.zeros((4, 8))}, points=points, targets=targets))
    titles = re.findall(r"(-?\d+)° to (-?\d+)°: (\d+) points(?:, ([\d.]+))?", "\n".join(seen.words))
    assert len(titles) == 12
    told = {int(low): (int(count), error) for low, _, count, error in titles}
    assert told[-90] == (2, "1")
    assert told[0] == (2, "3.162")  # the root of (4 + 16) / 2
    assert told[75] == (1, "8")
    assert told[15] == (0, "")


def test_a_grid_on_other_latitudes_is_brought_to_even_rows(tmp_path):
    latitudes = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(60)[0][::-1]))
    values = np.sin(np.radians(latitudes))[:, None] * np.ones(120)
    _, data = read(globe_report(tmp_path / "g.html", {"f": values}, latitudes=latitudes))
    even = 90 - 3 * (np.arange(60) + 0.5)
    assert np.abs(array(data, "field.0")[:, 0] - np.sin(np.radians(even))).max() < 1e-3


def test_spectra_are_drawn_to_a_logarithmic_scale(tmp_path):
    power = 10.0 ** -np.arange(5)
    gap = np.array([1.0, 0.0, 0.01])
    seen, _ = read(globe_report(tmp_path / "g.html", {"f": np.eye(4)}, spectra={"falling": power, EVIL: gap}))
    curves = [attributes["d"] for tag, attributes in seen.tags if tag == "path" and (attributes.get("class") or "").startswith("curve c")]
    heights = [float(part.split()[1]) for part in curves[0][1:].split("L")]
    assert np.allclose(np.diff(heights), np.diff(heights)[0], atol=0.11)
    assert curves[1].count("M") == 2  # a degree without power leaves a gap
    assert EVIL in "".join(seen.words)


def test_nothing_a_user_names_becomes_markup_and_nothing_is_fetched(tmp_path):
    def page(name: str) -> Seen:
        fields = {name: octant, "b": height}
        keywords = {"points": directions(9), "targets": {name: octant(directions(9))}, "beside": name, "classes": [name] * 8}
        path = globe_report(tmp_path / "g.html", fields, title=name, note=name, points_name=name, numbers={name: name}, **keywords)
        return read(path)[0]

    seen = page(EVIL)
    assert [tag for tag, _ in seen.tags] == [tag for tag, _ in page("plain").tags]
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert not [attributes for _, attributes in seen.tags if {"src", "href", "action"} & set(attributes)]
    assert not re.search(r"https?:|url\(", (tmp_path / "g.html").read_text())


def test_the_page_is_written_aside(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        globe_report(tmp_path / "none" / "g.html", {"f": np.zeros((2, 4))})
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        globe_report(tmp_path / "g.html", {"f": np.zeros((2, 4))})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fields": {}}, "fields: wanted at least one field"),
        ({"fields": {"a": np.zeros(3)}}, r"fields\['a'\]: wanted a grid"),
        ({"beside": "b"}, "beside: wanted the name of a field: f, got 'b'"),
        ({"targets": [1.0]}, "points: wanted where the targets were measured, got none"),
        ({"points": [[0.0, 0, 2]]}, "points: wanted unit vectors, got length 2 in row 0"),
        ({"points": [[0.0, 0, 1]], "targets": [1.0, 2.0]}, r"targets\['f'\]: wanted one number per point, \(1,\)"),
        ({"points": [[0.0, 0, 1]], "targets": [np.nan]}, r"targets\['f'\]: wanted finite numbers, got nan in row 0"),
        ({"points": [[0.0, 0, 1]], "targets": {"g": [1.0]}}, "targets: wanted names of fields: f, got 'g'"),
        ({"points": np.zeros((0, 3)), "targets": []}, "one at least"),
        ({"fields": {"f": octant}, "points": [[0.0, 0, 1]], "targets": [8]}, "wanted class numbers from 0 to 7, got 8 in row 0"),
        ({"spectra": {"s": [-1.0]}}, r"spectra\['s'\]: wanted powers"),
        ({"spectra": {str(i): [1.0] for i in range(5)}}, "spectra: wanted at most 4"),
        ({"limits": {"g": (0, 1)}}, "limits: wanted names of fields: f"),
        ({"center": (0, 100)}, "lat: wanted latitudes from -90 to 90"),
    ],
)
def test_refusals(tmp_path, options, told):
    with pytest.raises(ArgumentError, match=told):
        globe_report(tmp_path / "g.html", **{"fields": {"f": np.zeros((2, 4))}, **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize("nearest", [False, True])
def test_scripts_read_a_field_as_python_does(tmp_path, nearest):
    rng = np.random.default_rng(3)
    values = rng.integers(0, 5, (7, 14)) if nearest else rng.normal(size=(7, 14)).astype(np.float32)
    lon, lat = rng.uniform(-180, 180, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    lon, lat = np.append(lon, [-180, 180, 0, 0, 359.9]), np.append(lat, [3, 3, 90, -90, 40])
    out = run_node(
        f"""
        {(VIZ / "globe.js").read_text()}
        const values = Float32Array.from({json.dumps(values.ravel().tolist())});
        const grid = {{ rows: 7, columns: 14, nearest: {json.dumps(nearest)}, values }};
        const padded = withPoles(grid), places = {json.dumps(np.stack([lon, lat], 1).tolist())};
        console.log(JSON.stringify({{
          values: places.map(([lon, lat]) => sampleField(padded, grid, lon, lat)),
          map: places.map(([lon, lat]) => mollweide(lon, lat)),
          back: places.map(([lon, lat]) => mollweideInverse(...mollweide(lon, lat)) ?? [lon, lat]),
          hit: [hitBall(2, [0, 0, 5], [0.1, 0, -1]), hitBall(2, [0, 0, 5], [0, 1, -1]), hitBall(2, [0, 0, 5], [0, 0, 1])],
        }}));
        """,
        tmp_path,
    )
    told = json.loads(out)
    assert np.allclose(told["values"], SphereField.of("f", values).at(lon, lat), atol=1e-5)
    places = np.stack([lon, lat], 1)[:500]  # the others lie on the map's rim or at its poles
    assert np.allclose(told["map"][:500], np.stack(project("mollweide", *places.T)[:2], 1), atol=1e-9)
    assert np.allclose(told["map"][502:504], [[0, 0.5], [0, -0.5]])
    assert np.allclose(told["map"][501], np.multiply(told["map"][500], [-1, 1]))  # both ends of the date line
    assert (np.abs(np.array(told["back"])[:500] - places) * [[np.cos(np.radians(b)), 1] for _, b in places]).max() < 1e-4
    hit, beside, behind = told["hit"]
    assert np.linalg.norm(hit) == pytest.approx(1)
    assert hit[2] > 0.9
    assert np.allclose(np.cross(np.array(hit) * 2 - [0, 0, 5], [0.1, 0, -1]), 0, atol=1e-12)
    assert beside is None
    assert behind is None


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_globes_pixels_are_the_fields(tmp_path):
    """In a browser: the readings, and the colours on the canvas, at the pole, on the date line and between; a click on the map turns."""
    points = ops.lonlat_to_xyz(torch.tensor([150.0, 10.0]), torch.tensor([50.0, -50.0]))
    fields = {"octant": octant, "height": height}
    path = globe_report(tmp_path / "g.html", fields, points=points, targets=torch.tensor([7, 0]), center=(170.0, 60.0))
    script = """<script>
      document.querySelector("input[name=dots][value=none]").click();
      document.querySelector("#graticule").click();
      const { globe } = viewers, told = [], seen = [document.querySelector(".reading").textContent];
      globe.draw();
      const { gl, canvas } = globe, ratio = canvas.width / canvas.clientWidth, pixel = new Uint8Array(4);
      for (let x = 0; x < canvas.clientWidth; x += 7) for (let y = 0; y < canvas.clientHeight; y += 7) {
        const direction = globe.direction(x, y);
        gl.readPixels(Math.floor(x * ratio), canvas.height - 1 - Math.floor(y * ratio), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
        if (direction) told.push([...direction, ...pixel]);
      }
      const at = (on, x, y) => ({ clientX: on.getBoundingClientRect().left + x, clientY: on.getBoundingClientRect().top + y });
      const flat = document.querySelector("#flat"), [fx, fy] = mollweide(-70, -20);
      flat.dispatchEvent(new MouseEvent("click", at(flat, (fx + 1) / 2 * flat.clientWidth, (0.5 - fy) * flat.clientHeight)));
      seen.push(...lonLat(globe.direction(canvas.clientWidth / 2, canvas.clientHeight / 2)));
      globe.camera.reset();
      document.querySelector("input[name=dots][value=error]").click();
      const [px, py] = globe.toScreen([...array("points").subarray(0, 3)].map((v) => v * Math.max(...globe.half)));
      canvas.dispatchEvent(new PointerEvent("pointermove", at(canvas, px, py)));
      seen.push(document.querySelector(".reading").textContent);
      document.body.append(Object.assign(document.createElement("pre"), { id: "seen", textContent: JSON.stringify(seen) }));
      document.body.append(Object.assign(document.createElement("pre"), { id: "told", textContent: JSON.stringify(told) }));
    </script></body>"""
    path.write_text(path.read_text().replace("</body>", script))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run"]
    options += [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run([CHROMIUM, *options, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120)
    first, lon, lat, reading = json.loads(re.search(r'<pre id="seen">(.*?)</pre>', done.stdout)[1])
    assert first == "60.00° N, 170.00° E: 6"
    assert (lon, lat) == (pytest.approx(-70, abs=0.5), pytest.approx(-20, abs=0.5))
    assert re.fullmatch(r"(50\.0|49\.9)\d° N, 1(50\.0|49\.9)\d° E: 6 \(point 0, measured 7, error 1\)", reading)
    told = np.array(json.loads(re.search(r'<pre id="told">(.*?)</pre>', done.stdout)[1]))
    inner = (np.abs(told[:, :3]) > 0.02).all(axis=1) & (told[:, 6] == 255)  # off the edges of the octants
    assert inner.sum() > 300
    assert (told[:, 2] > 0.99).sum() > 3
    lab = srgb_to_oklab(told[inner, 3:6] / 255)
    found = np.linalg.norm((lab[:, None] - srgb_to_oklab(categories(8))[None]) * [0.3, 1, 1], axis=-1).argmin(axis=1)  # lit: hue tells
    assert np.array_equal(found, octant(torch.as_tensor(told[inner, :3])).numpy())
