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
    assert "1 that hold no shape, such as notes.txt" in said.out
    assert ShapeCodes(out).keys == ("a", "b")
    geospec.save(bumpy_sphere(1), folder / "c.off")
    said = run("encode", folder, "-o", out, "--json", *WORDS)
    told = json.loads(said.out)
    assert (told["encoded"], told["shapes"], told["shards"], told["folder"]) == (1, 3, 3, str(out))
    assert (told["failures"], told["others"]) == ([], ["notes.txt"])


def test_the_exit_code_says_what_failed(run, tmp_path):
    meshes, out = tmp_path / "meshes", tmp_path / "shards"
    meshes.mkdir()
    (meshes / "bad.off").write_text("OFF")
    said = run("encode", meshes, "-o", out, *WORDS)
    assert f"a shape that can be encoded, got 1 failures; see {out / 'failures.jsonl'}" in said.err
    assert said.code == 2
    geospec.save(bumpy_sphere(1), meshes / "good.off")
    said = run("encode", meshes, "-o", out, *WORDS)
    assert "bad.off: FileFormatError" in said.out
    assert said.code == 3
    assert run("encode", meshes, "-o", out, *WORDS).code == 3  # nothing is left to do, and one is still without a code
    (meshes / "bad.off").unlink()
    geospec.save(bumpy_sphere(1), meshes / "bad.off")
    assert run("encode", meshes, "-o", out, *WORDS).code == 0


def test_refusals_of_folders(run, folder, tmp_path):
    out = tmp_path / "shards"
    assert "--image: wanted nothing with a folder" in run("encode", folder, "-o", out, "--image", "a.png").error
    assert "--workers: wanted nothing with one file" in run("encode", folder / "a.off", "-o", tmp_path / "a.gsc", "--workers", 2).error
    assert "there is no folder" in run("encode", folder, "-o", tmp_path / "no" / "shards").error
    assert "--output: wanted a folder" in run("encode", folder, "-o", folder / "a.off").error
    assert not out.exists()
    run("encode", folder, "-o", out, *WORDS)
    assert "k: wanted 200, as" in run("encode", folder, "-o", out, "--resolution", 32, "-k", 100).error
