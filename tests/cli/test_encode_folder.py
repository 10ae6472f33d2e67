"""``geospec encode`` of a folder."""

import json

import pytest

import geospec
from geospec.datasets import ShapeCodes
from geospec.testing import bumpy_sphere

WORDS = ("--resolution", 32, "-k", 200)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "meshes"
    folder.mkdir()
    geospec.save(bumpy_sphere(1), folder / "a.off")
    geospec.save(bumpy_sphere(1), folder / "b.ply")
    (folder / "notes.txt").write_text("no shape")
    return folder


def test_a_folder_becomes_shards_and_the_same_command_goes_on(run, folder, tmp_path):
    out = tmp_path / "shards"
    said = run("encode", folder, "-o", out, "--workers", 2, "--shard-size", 1, *WORDS)
    assert said.code == 0
    assert "2 in 2 shards" in said.out
    assert "notes.txt: FileFormatError" in said.out
    assert ShapeCodes(out).keys == ("a", "b")
    geospec.save(bumpy_sphere(1), folder / "c.off")
    said = run("encode", folder, "-o", out, "--json", *WORDS)
    told = json.loads(said.out)
    assert (told["encoded"], told["shapes"], told["shards"], told["folder"]) == (1, 3, 3, str(out))
    assert [failure["source"] for failure in told["failures"]] == ["notes.txt"]


def test_refusals_of_folders(run, folder, tmp_path):
    out = tmp_path / "shards"
    assert "--image: wanted nothing with a folder" in run("encode", folder, "-o", out, "--image", "a.png").error
    assert "--workers: wanted nothing with one file" in run("encode", folder / "a.off", "-o", tmp_path / "a.gsc", "--workers", 2).error
    assert "there is no folder" in run("encode", folder, "-o", tmp_path / "no" / "shards").error
    assert "--output: wanted a folder" in run("encode", folder, "-o", folder / "a.off").error
    assert not out.exists()
    run("encode", folder, "-o", out, *WORDS)
    assert "k: wanted 200, as" in run("encode", folder, "-o", out, "--resolution", 32, "-k", 100).error
