"""``geospec reproduce``: what it prints, writes and returns."""

import json

import pytest
from reproductions.toy import toy


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_row_that_falls_short_decides_the_exit_code(run, here, monkeypatch):
    toy(monkeypatch)
    done = run("reproduce", "toy", "--only", "holds")
    assert (done.code, done.err) == (0, "")
    assert "holds        pass: keeps its limit: x 1" in done.out
    assert sorted(path.name for path in (here / "toy").iterdir()) == ["figure.png", "metrics.json", "table.md"]
    done = run("reproduce", "toy", "-o", here / "b", "--only", "holds, short")
    assert (done.code, done.err) == (3, "")
    assert "short        FAIL: misses its limit: x 1" in done.out
    assert "1 hold, 1 fall short" in done.out


def test_json(run, here, monkeypatch):
    toy(monkeypatch)
    done = run("reproduce", "toy", "--json", "--seed", 5, "--data", here)
    told = json.loads(done.out)
    assert done.code == 3
    assert told["holds"] is False
    assert told["options"]["seed"] == 5
    assert [row["verdict"] for row in told["rows"]] == ["pass", "FAIL", "pass", "FAIL", "shown"]
    assert told["output"] == "toy"
    assert "wrote" in done.err


def test_list(run):
    done = run("reproduce", "--list")
    assert done.code == 0
    assert "learned-eigenbasis" in done.out
    assert "A4" in done.out
    assert "A8" in json.loads(run("reproduce", "--list", "--json").out)["learned-eigenbasis"]["runs"]


def test_refusals(run, here, monkeypatch):
    begun = toy(monkeypatch)
    assert "name a reproduction" in run("reproduce").error
    names = "'learned-eigenbasis', 'diffumatch', 'location-encoder', 'make-a-shape-representation', 'toy'"
    assert f"NAME: wanted one of {names}, got 'none'" in run("reproduce", "none").error
    assert "only: wanted one of" in run("reproduce", "toy", "--only", "A9").error
    assert "preset: wanted one of 'quick', 'full'" in run("reproduce", "toy", "--preset", "slow").error
    assert "data: wanted a folder of meshes" in run("reproduce", "toy", "--data", "none").error
    assert "--device: wanted" in run("reproduce", "toy", "--device", "gpu").error
    assert "there is no folder" in run("reproduce", "toy", "-o", here / "none" / "out").error
    (here / "file").write_text("")
    assert "--output: wanted a folder, got the file" in run("reproduce", "toy", "-o", here / "file").error
    assert begun == []
    assert [path.name for path in here.iterdir()] == ["file"]
