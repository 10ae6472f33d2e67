"""``geospec match``: the whole way from two files to maps, numbers and pictures."""

import json

import numpy as np
import pytest
import torch

import geospec
from geospec.cli import match as verb
from geospec.testing import bumpy_sphere, disjoint_union, icosphere


@pytest.fixture(scope="module")
def truth(shapes):
    return torch.from_numpy(np.loadtxt(shapes / "truth.txt", dtype=np.int64))


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_everything_at_once(run, shapes, truth, tmp_path):
    out = {"output": tmp_path / "m.npz", "report": tmp_path / "m.html", "image": tmp_path / "m.png"}
    done = run(
        *("match", shapes / "a.off", shapes / "b.ply", "-k", 25, "--truth", shapes / "truth.txt", "--json"),
        *(word for name, path in out.items() for word in (f"--{name}", path)),
    )
    assert done.code == 0, done.err
    told = json.loads(done.out)
    stored = arrays(out["output"])
    assert set(stored) == {"target_to_source", "source_to_target", "functional_map", "confidence"}
    # The same surface twice, without symmetry: the map is the renumbering.
    np.testing.assert_array_equal(stored["target_to_source"], truth)
    np.testing.assert_array_equal(stored["source_to_target"][truth], np.arange(len(truth)))
    assert stored["functional_map"].shape == (25, 25)
    assert stored["target_to_source"].dtype == np.int64
    assert told["error"]["mean"] == 0
    assert {name: told[name] for name in out} == {name: str(path) for name, path in out.items()}
    assert told["record"] == json.loads(json.dumps(told["record"]))
    assert out["image"].read_bytes().startswith(b"\x89PNG")
    assert "a.off" in out["report"].read_text()
    assert all(f"wrote        {path}" in done.err for path in out.values())
    assert sorted(tmp_path.iterdir()) == sorted(out.values())


def test_the_verb_is_one_call_of_the_library(run, shapes, tmp_path, monkeypatch):
    """What the options mean, seen by the function they reach."""
    asked = {}
    real = geospec.match

    def watched(source, target, **options):
        asked.update(options)
        return real(source, target, **options)

    monkeypatch.setattr(geospec, "match", watched)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "pairs.txt").write_text("# source, target\n\n3, 5  # one pair\n17 21\n")
    done = run(
        *("match", shapes / "a.off", shapes / "b.ply", "-k", 25, "--laplacian", "cotangent", "--cache"),
        *("--landmarks", tmp_path / "pairs.txt", "--prior", "none", "--seed", 7, "-q"),
    )
    assert (done.code, done.out, done.err) == (0, "", "")
    assert asked.pop("landmarks").tolist() == [[3, 5], [17, 21]]
    assert callable(asked.pop("progress"))
    assert (asked.pop("prior"), asked.pop("quality"), asked.pop("seed")) == (None, "fast", 7)
    assert asked == {"basis": "laplace", "k": 25, "laplacian": "cotangent", "cache": True, "device": torch.device("cpu")}
    assert (tmp_path / "geospec").is_dir()


def test_human_text(run, shapes):
    done = run("match", shapes / "a.off", shapes / "b.ply", "-k", 25)
    assert done.code == 0
    assert done.err == ""
    assert "nothing will be written" in done.out
    assert "(mesh, 162 vertices, 320 faces)" in done.out
    assert "25 x 25 functional map" in done.out


def test_repair_keeps_the_files_order(run, shapes, truth, tmp_path):
    """A speck ahead of the target's vertices shifts them all; what is written counts as the file does."""
    speck = icosphere(0, radius=0.01)
    geospec.save(disjoint_union(speck, geospec.load(shapes / "b.ply")), tmp_path / "specked.ply")
    lines = ["-1\n"] * speck.n_points + [f"{i}\n" for i in truth.tolist()]
    (tmp_path / "truth.txt").write_text("".join(lines))
    (tmp_path / "pairs.txt").write_text("".join(f"{int(truth[i])} {i + speck.n_points}\n" for i in (0, 50, 100)))
    done = run(
        *("match", shapes / "a.off", tmp_path / "specked.ply", "-k", 25, "-o", tmp_path / "m.npz", "--json"),
        *("--repair", "largest-component", "--truth", tmp_path / "truth.txt", "--landmarks", tmp_path / "pairs.txt"),
    )
    assert done.code == 0, done.err
    stored = arrays(tmp_path / "m.npz")
    np.testing.assert_array_equal(stored["target_to_source"][speck.n_points :], truth)
    np.testing.assert_array_equal(stored["target_to_source"][: speck.n_points], -1)
    assert json.loads(done.out)["error"]["mean"] == 0


def test_two_components_are_refused_with_the_way_out(run, shapes, tmp_path):
    geospec.save(disjoint_union(bumpy_sphere(2), icosphere(2, radius=0.5)), tmp_path / "two.ply")
    error = run("match", shapes / "a.off", tmp_path / "two.ply", "-o", tmp_path / "m.npz", "-q").error
    assert "--repair largest-component" in error
    assert "components" in error
    assert not (tmp_path / "m.npz").exists()


def test_more_modes_than_vertices(run, tmp_path):
    geospec.save(icosphere(1), tmp_path / "small.off")
    assert "k" in run("match", tmp_path / "small.off", tmp_path / "small.off", "-k", 200, "-q").error


LANDMARKS = {
    "": "no line that holds one",
    "# nothing\n\n": "no line that holds one",
    "1 2\n3\n": "pairs.txt, line 2: wanted two vertex numbers",
    "1 2 3\n": "line 1: wanted two vertex numbers, of the source and of the target, got '1 2 3'",
    "1 two\n": "line 1: wanted two vertex numbers",
    "1.5 2\n": "line 1: wanted two vertex numbers",
    "1 99999999999999999999\n": "line 1: wanted two vertex numbers",
    "0 0\n# c\n162 3\n": "line 3: wanted a source vertex from 0 to 161, got 162; vertices are numbered from 0",
    "3 -1\n": "line 1: wanted a target vertex from 0 to 161, got -1",
}


@pytest.mark.parametrize("content", LANDMARKS)
def test_landmarks_that_are_none(run, shapes, tmp_path, content):
    (tmp_path / "pairs.txt").write_text(content)
    error = run("match", shapes / "a.off", shapes / "b.ply", "--landmarks", tmp_path / "pairs.txt", "-q").error
    assert LANDMARKS[content] in error


def test_landmark_that_the_repair_drops(run, shapes, tmp_path):
    geospec.save(disjoint_union(icosphere(0, radius=0.01), bumpy_sphere(2)), tmp_path / "specked.ply")
    (tmp_path / "pairs.txt").write_text("20 20\n2 20\n")
    words = ["match", tmp_path / "specked.ply", shapes / "b.ply", "--landmarks", tmp_path / "pairs.txt", "-q"]
    error = run(*words, "--repair", "largest-component").error
    assert "line 2: wanted a source vertex that the repair keeps, got 2" in error


def test_files_of_landmarks_and_truth_that_do_not_read(run, shapes, tmp_path):
    pair = ["match", shapes / "a.off", shapes / "b.ply", "-q"]
    assert run(*pair, "--landmarks", tmp_path / "none.txt").error == f"error: {tmp_path / 'none.txt'}: No such file or directory"
    (tmp_path / "noise.txt").write_bytes(bytes(range(128, 256)))
    assert "got a binary file" in run(*pair, "--truth", tmp_path / "noise.txt").error
    (tmp_path / "short.txt").write_text("1\n2\n")
    assert "wanted a line for each of the target's 162 vertices, got 2 lines" in run(*pair, "--truth", tmp_path / "short.txt").error
    (tmp_path / "far.txt").write_text("162\n" * 162)
    assert "line 1: wanted a source vertex from -1 to 161, got 162" in run(*pair, "--truth", tmp_path / "far.txt").error


def test_truth_needs_distances_to_every_vertex(run, shapes, tmp_path):
    """Said before the match, not after it."""
    lines = (shapes / "a.off").read_text().splitlines()
    lines[1] = "163 " + lines[1].split(maxsplit=1)[1]
    (tmp_path / "a.off").write_text("\n".join([*lines[:164], "9 9 9", *lines[164:]]))
    words = ["match", tmp_path / "a.off", shapes / "b.ply", "-k", 20, "--truth", shapes / "truth.txt", "-q", "-o", tmp_path / "m.npz"]
    assert "got 1 vertices of no face; drop them with --repair unreferenced" in run(*words).error
    assert [path.name for path in tmp_path.iterdir()] == ["a.off"]
    assert run(*words, "--repair", "unreferenced").code == 0


def test_progress_is_silent_away_from_a_terminal(capsys):
    voice = verb.Voice(as_json=False)
    with voice.progress() as progress:
        progress("zoomout", 1, 2)
        progress("report", 0, 0)
    assert capsys.readouterr() == ("", "")


def test_progress_draws_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    voice = verb.Voice(as_json=False)
    with voice.progress() as progress:
        progress("zoomout", 1, 2)
    written = capsys.readouterr()
    assert written.out == ""
    assert "zoomout" in written.err
    assert "1/2" in written.err


def test_a_prior_from_a_file(run, shapes, tmp_path):
    from geospec.maps import FunctionalMapPrior

    maps = torch.randn(100, 20, 20, generator=torch.Generator().manual_seed(0)) / 20**0.5
    FunctionalMapPrior.fit(maps).save(tmp_path / "own.safetensors")
    done = run("match", shapes / "a.off", shapes / "b.ply", "-k", 25, "--prior", tmp_path / "own.safetensors", "--json")
    assert done.code == 0, done.err
    assert "FunctionalMapPrior(k=20, gaussian)" in json.loads(done.out)["record"]["options"]["prior"]
    assert "of true maps" in done.err
    assert "no shipped weights 'cats'" in run("match", shapes / "a.off", shapes / "b.ply", "--prior", "cats").error
    (tmp_path / "junk.safetensors").write_bytes(b"nothing of ours")
    assert "junk.safetensors" in run("match", shapes / "a.off", shapes / "b.ply", "--prior", tmp_path / "junk.safetensors").error
    assert "quality: wanted" in run("match", shapes / "a.off", shapes / "b.ply", "--quality", "slow").error
