"""The contract of a reproduction: rows say by themselves whether they hold, and nothing that fails is hidden."""

import json
import math

import pytest
from PIL import Image
from reproductions.toy import toy

import geospec
from geospec.errors import ArgumentError, MissingDependencyError, ShapeError
from geospec.reproductions import REPRODUCTIONS, Check, Row, reproduce
from geospec.reproductions.record import number
from geospec.reproductions.registry import FILES


@pytest.mark.parametrize(
    ("comparison", "limit", "holds"),
    [("at least", 1.0, True), ("at least", 1.1, False), ("at most", 1.0, True), ("at most", 0.9, False), ("below", 1.0, False)],
)
def test_checks(comparison, limit, holds):
    assert Check("x", 1.0, comparison, limit).passed is holds
    assert not Check("x", math.nan, comparison, limit).passed


def test_an_unknown_comparison():
    with pytest.raises(ArgumentError, match="comparison: wanted one of 'at least', 'at most', 'below'"):
        Check("x", 1.0, ">=", 1.0)


def test_verdicts():
    good, bad = Check("x", 1.0, "at least", 0.5), Check("y", 1.0, "at most", 0.5)
    assert Row("A", "", "", (good,)).verdict == "pass"
    assert Row("A", "", "", (good, bad)).verdict == "FAIL"
    assert Row("A", "", "", (good,), problem="broke").verdict == "FAIL"
    assert Row("A", "", "").verdict == "shown"
    assert Row("A", "", "", ran=False).verdict == "not run"


NUMBERS = [(0.9987, "0.9987"), (1.0, "1"), (12345.6, "12,346"), (3e-7, "3e-07"), (-0.74, "-0.74"), (math.nan, "nan"), (25.31, "25.3")]


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_numbers(value, text):
    assert number(value) == text


def test_a_toy_runs_and_is_written(monkeypatch, tmp_path):
    toy(monkeypatch)
    seen = []
    result = reproduce("toy", tmp_path / "out", seed=3, progress=lambda *step: seen.append(step))
    assert [(row.run, row.verdict) for row in result.rows] == [
        ("holds", "pass"),
        ("short", "FAIL"),
        ("torn", "pass"),
        ("torn", "FAIL"),
        ("real", "not run"),
    ]
    assert result.rows[0].numbers == {"seed": 3, "preset": "quick"}
    assert [row.run for row in result.failing] == ["short", "torn"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    table = (tmp_path / "out" / "table.md").read_text()
    assert "2 hold, 2 fall short, 1 not run" in table
    assert "| short | misses its limit | a claim | **x 1** | x >= 2 | **FAIL** |" in table
    assert r"| torn | breaks off | a \| b | broke off: mesh: in pieces |" in table
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["holds"] is False
    assert metrics["rows"][1]["checks"] == [{"what": "x", "value": 1.0, "comparison": "at least", "limit": 2.0, "passed": False}]
    assert metrics["rows"][2]["numbers"] == {"worst": "nan"}
    assert Image.open(tmp_path / "out" / "figure.png").size == (4, 4)
    assert {step[0] for step in seen} == {"holds", "short", "torn"}


def test_only_and_data(monkeypatch, tmp_path):
    toy(monkeypatch)
    assert [row.run for row in reproduce("toy", only=["holds"]).rows] == ["holds"]
    assert not reproduce("toy", only=["holds"]).failing
    assert [row.verdict for row in reproduce("toy", only=["real"], data=tmp_path).rows] == ["shown"]
    with pytest.raises(ArgumentError, match="only: wanted one of 'holds', 'short', 'torn', 'real', got 'A1'"):
        reproduce("toy", only=["A1"])
    with pytest.raises(ArgumentError, match="data: wanted a folder of meshes"):
        reproduce("toy", data=tmp_path / "none")
    with pytest.raises(ArgumentError, match="preset: wanted one of 'quick', 'full'"):
        reproduce("toy", preset="fast")
    with pytest.raises(ArgumentError, match="name: wanted one of"):
        reproduce("unknown")


def test_a_missing_package_is_told_before_anything_runs(monkeypatch, tmp_path):
    ran = toy(monkeypatch, packages={"no_such_package": "reproduce"})
    with pytest.raises(MissingDependencyError, match=r"run short of toy needs .*pip install 'geospec\[reproduce\]'"):
        reproduce("toy", tmp_path / "out")
    assert ran == []
    assert not (tmp_path / "out").exists()
    assert not reproduce("toy", only=["holds"]).failing  # what needs no package runs without it


def test_an_older_result_stays_when_writing_fails(monkeypatch, tmp_path):
    toy(monkeypatch)
    reproduce("toy", tmp_path, only=["holds"])
    before = {name: (tmp_path / name).read_bytes() for name in FILES}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        reproduce("toy", tmp_path, seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_defect_is_not_a_row(monkeypatch):
    toy(monkeypatch, error=ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        reproduce("toy")
    toy(monkeypatch, error=ShapeError("no bug"))
    assert reproduce("toy").failing


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_each_reproduction_is_complete(name):
    found = REPRODUCTIONS[name]
    assert found.title
    assert found.paper
    assert found.runs
    for key, run in found.runs.items():
        assert run.what, key
        assert not set(key) & set(", "), "names are given with --only, separated by commas"
    assert geospec.reproductions.REPRODUCTIONS is REPRODUCTIONS
