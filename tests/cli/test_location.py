"""``geospec train location``: from a table to an encoder, a page and a picture."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from viz.test_reports import array, read

from geospec import LocationEncoder, ops
from geospec.datasets import read_location_table

SIZES = ("--degree", 3, "--hidden", 16, "--layers", 1, "--epochs", 40, "--batch", 64)


@pytest.fixture
def stations(tmp_path):
    """300 places with two numbers, and a class."""
    xyz = torch.nn.functional.normalize(torch.randn(300, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1)
    lon, lat = ops.xyz_to_lonlat(xyz)
    rows = [
        f"{a:.6f},{b:.6f},{15 + 10 * z:.5f},{x:.5f},{'north' if z > 0 else 'south'}"
        for a, b, x, z in zip(lon, lat, xyz[:, 0], xyz[:, 2], strict=True)
    ]
    path = tmp_path / "stations.csv"
    path.write_text("\n".join(["lon,lat,warm,wind,side", *rows]))
    return path


def test_numbers(run, stations, tmp_path):
    files = {name: tmp_path / f"out{suffix}" for name, suffix in (("output", ".safetensors"), ("report", ".html"), ("image", ".png"))}
    words = ("--report", files["report"], "--image", files["image"], "--target", "warm", "--target", "wind", "--json")
    done = run("train", "location", stations, "-o", files["output"], *SIZES, *words)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert {name: told[name] for name in files} == {name: str(path) for name, path in files.items()}
    assert (told["finished"], told["rows"], told["targets"], told["classes"]) == (True, 300, ["warm", "wind"], None)
    assert told["held_out"]["warm"]["r2"] > 0.9
    assert "held out     60 rows: warm rmse" in done.err
    command = "geospec train location stations.csv --output out.safetensors --encoding spherical-harmonics --network siren --hidden 16"
    assert told["command"].startswith(command)
    assert told["command"].endswith("--degree 3 --target warm --target wind")
    at_pole = LocationEncoder.load(files["output"]).at_lonlat(torch.tensor(0.0), torch.tensor(90.0))[0].item()
    assert at_pole == pytest.approx(25, abs=2)
    _, data = read(files["report"])
    assert [look["label"] for look in data["looks"]] == ["warm", "wind"]
    northmost = array(data, data["looks"][0]["views"]["globe"]["values"])[0]
    assert northmost.mean() == pytest.approx(at_pole, abs=0.05)
    assert array(data, "points").shape == (60, 3)
    assert np.asarray(Image.open(files["image"]).convert("L")).std() > 20


def test_classes(run, stations, tmp_path):
    report = tmp_path / "r.html"
    done = run("train", "location", stations, "-o", tmp_path / "e.safetensors", *SIZES, "--target", "side", "--report", report)
    assert done.code == 0, done.err
    assert "side: 2 classes" in done.out
    assert "held out     60 rows: accuracy" in done.out
    seen, data = read(report)
    first, second = data["looks"]
    assert first["views"]["globe"]["classes"] == ["north", "south"]
    labels = array(data, first["views"]["globe"]["values"])
    assert (labels[:200].mean(), labels[-200:].mean()) == (0, 1)  # beyond 40 degrees
    assert second["label"] == "probability of the class"
    assert second["views"]["globe"]["limits"] == [0, 1]
    assert "Error by latitude: side" in seen.words
    quiet = run(
        "train", "location", stations, "-o", tmp_path / "e.safetensors", *SIZES, "--target", "side", "--network", "linear", "--quiet"
    )
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-o", "w.pt"), "--output: wanted a file that ends in .safetensors"),
        (("-o", "w.safetensors", "--report", "r.pdf"), "--report: wanted a file that ends in .html"),
        (("-o", "w.safetensors", "--device", "tpu"), "--device: wanted cpu, cuda or cuda:N"),
        (("-o", "w.safetensors"), "targets: wanted one target where it is of classes, got 3 targets, of which 'side' is text"),
        (("-o", "w.safetensors", "--target", "height"), "targets: wanted a column of"),
        (("-o", "w.safetensors", "--target", "warm", "--encoding", "polar"), "wanted one of 'direct'"),
        (("-o", "w.safetensors", "--target", "warm", "--encoding", "grid", "--degree", "3"), "degree: wanted none with 'grid'"),
        (("-o", "w.safetensors", "--target", "warm", "--held-out", "2"), "held_out: wanted a share between 0 and 1"),
        ((), "--output"),
    ],
)
def test_refusals(run, stations, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    assert told in run("train", "location", stations, *words).error
    assert [path.name for path in tmp_path.iterdir()] == ["stations.csv"]


def test_more_classes_than_colours_are_refused_before_the_work(run, tmp_path):
    path = tmp_path / "many.csv"
    path.write_text("lon,lat,kind\n" + "\n".join(f"{i / 2},0,k{i}" for i in range(300)))
    error = run("train", "location", path, "-o", tmp_path / "e.safetensors", "--report", tmp_path / "r.html").error
    assert "--report: wanted at most 256 classes, got 300" in error
    assert [file.name for file in tmp_path.iterdir()] == ["many.csv"]


def test_a_row_that_cannot_be_is_named_by_its_line(run, stations, tmp_path):
    lines = stations.read_text().split("\n")
    lines[7] = "10,95,1,2,north"
    stations.write_text("\n".join(lines))
    error = run("train", "location", stations, "-o", tmp_path / "e.safetensors", "--target", "warm").error
    assert "stations.csv, line 8, lat: wanted a number from -90 to 90, got '95'" in error


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_prediction(run, stations, tmp_path, suffix):
    run("train", "location", stations, "-o", tmp_path / "e.safetensors", *SIZES, "--target", "warm", "--target", "wind")
    run("train", "location", stations, "-o", tmp_path / "c.safetensors", *SIZES, "--target", "side")
    places = tmp_path / "places.csv"
    places.write_text("name,LON,LAT\nhere,10,80\nthere,-350,-80\n")
    out = tmp_path / f"p{suffix}"
    done = run("predict", tmp_path / "e.safetensors", places, "-o", out, "--json")
    assert json.loads(done.out)["columns"] == ["lon", "lat", "warm", "wind"]
    found = read_location_table(out)
    encoder = LocationEncoder.load(tmp_path / "e.safetensors")
    with torch.no_grad():
        wanted = encoder.at_lonlat(torch.tensor([10.0, 10.0]).double(), torch.tensor([80.0, -80.0]).double())
    assert (found.lon.tolist(), found.lat.tolist(), found.names) == ([10, -350], [80, -80], ("warm", "wind"))
    assert torch.allclose(found.targets, wanted, rtol=1e-5)
    done = run("predict", tmp_path / "c.safetensors", places, "-o", out)
    assert "predicted    side, side probability" in done.out
    assert read_location_table(out, targets=["side"]).classes == ("north", "south")
    assert read_location_table(out, targets=["side"]).targets.tolist() == [0, 1]
    assert (read_location_table(out, targets=["side probability"]).targets > 0.5).all()


def test_prediction_without_names_and_what_it_refuses(run, stations, tmp_path):
    torch.manual_seed(0)
    LocationEncoder("cartesian3d", "linear", 2).save(tmp_path / "e.safetensors")
    assert run("predict", tmp_path / "e.safetensors", stations, "-o", tmp_path / "p.npz", "--quiet").out == ""
    with np.load(tmp_path / "p.npz") as file:
        assert sorted(file.files) == ["lat", "lon", "output 0", "output 1"]
    assert "another file than the inputs" in run("predict", tmp_path / "e.safetensors", stations, "-o", stations).error
    assert "wanted weights" in run("predict", stations, stations, "-o", tmp_path / "q.csv").error
    assert "lon: wanted a column of" in run("predict", tmp_path / "e.safetensors", stations, "-o", tmp_path / "q.csv", "--lon", "x").error
    assert not (tmp_path / "q.csv").exists()


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_targets_called_like_places(run, tmp_path, suffix):
    data, out = tmp_path / "t.csv", tmp_path / f"p{suffix}"
    data.write_text("x,y,lon,Latitude,predicted lon,file\n" + "\n".join(f"{7 * i},{i},{i},{2 * i},{-i},{i % 3}" for i in range(40)))
    places = ("--lon", "x", "--lat", "y")
    words = (*SIZES[:-4], "--epochs", 1, *places)
    assert run("train", "location", data, "-o", tmp_path / "e.safetensors", *words).code == 0
    done = run("predict", tmp_path / "e.safetensors", data, "-o", out, *places, "--json")
    names = ["predicted predicted lon", "predicted Latitude", "predicted lon", "file"]
    assert json.loads(done.out)["columns"] == ["lon", "lat", *names]
    found = read_location_table(out)
    assert (found.lon.tolist(), found.lat.tolist(), found.names) == ([7 * i for i in range(40)], list(range(40)), tuple(names))
