"""Bad input: one line, exit code 2, nothing written, and nothing computed where it could be known before."""

import errno
import os
import subprocess
import sys

import pytest

import geospec

TETRAHEDRON = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 0 3 2\n"
FILES = {
    "empty.off": (b"", "an empty file"),
    "text.foo": (b"hello", "wanted a file that ends in .ply, .obj"),
    "nosuffix": (b"hello", "no suffix"),
    "truncated.off": (TETRAHEDRON[:60].encode(), "truncated.off"),
    "range.off": (TETRAHEDRON.replace("3 1 2 3", "3 1 2 9").encode(), "wanted faces of vertices in [0, 4), got 0..9"),
    "nan.off": (TETRAHEDRON.replace("1 0 0", "nan 0 0", 1).encode(), "NaN"),
    "quad.obj": (b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n", "--triangulate"),
    "notes.ply": (b"this is no ply file\n", "notes.ply"),
    "noise.npz": (bytes(range(256)), "noise.npz"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("verb", ["info", "basis", "show", "match", "encode"])
def test_bad_files(run, shapes, tmp_path, monkeypatch, verb, name):
    content, expected = FILES[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    words = {
        "info": ["info", name],
        "basis": ["basis", name, "-o", "basis.npz"],
        "show": ["show", name, "--image", "out.png"],
        "match": ["match", shapes / "a.off", name, "-o", "match.npz", "-q"],
        "encode": ["encode", name, "-o", "code.gsc", "-q"],
    }
    assert expected in run(*words[verb]).error
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_missing_file_and_folder(run, shapes, tmp_path):
    for verb in (["info"], ["basis"], ["show", "--image", tmp_path / "x.png"], ["match", shapes / "a.off", "-q"]):
        assert run(*verb, tmp_path / "none.ply").error == f"error: no such file: {tmp_path / 'none.ply'}"
        (tmp_path / "folder.ply").mkdir(exist_ok=True)
        assert "is a folder" in run(*verb, tmp_path / "folder.ply").error


def test_more_modes_than_vertices(run, tmp_path):
    (tmp_path / "four.off").write_text(TETRAHEDRON)
    assert "k: wanted at most the 4 points, got 5" in run("basis", tmp_path / "four.off", "-k", 5, "-q").error
    assert run("basis", tmp_path / "four.off", "-k", 0).error.startswith("error: Invalid value for '-k'")


def test_unknown_choices(run, shapes):
    a = shapes / "a.off"
    assert (
        "wanted one of 'robust', 'cotangent', 'delaunay', 'graph', 'anisotropic', got 'cotan'"
        in run("basis", a, "--kind", "cotan", "-q").error
    )
    assert "wanted one of 'neumann', 'dirichlet', got 'open'" in run("basis", a, "--boundary", "open", "-q").error
    assert "largest-component" in run("info", a, "--repair", "everything").error
    assert "this mesh has no boundary edge" in run("basis", a, "--boundary", "dirichlet", "-q").error


OUTPUTS = [
    ("basis", "--output", ".npz or .safetensors"),
    ("basis", "--image", ".png"),
    ("basis", "--report", ".html"),
    ("match", "--output", ".npz"),
    ("match", "--image", ".png"),
    ("match", "--report", ".html"),
    ("encode", "--output", ".gsc"),
    ("show", "--image", ".png"),
    ("show", "--report", ".html"),
]


@pytest.mark.parametrize(("verb", "option", "suffixes"), OUTPUTS)
def test_outputs_are_refused_before_any_work(run, shapes, tmp_path, monkeypatch, verb, option, suffixes):
    def too_early(*_, **__):
        raise AssertionError("work began before the output was checked")

    monkeypatch.setattr(geospec, "load", too_early)
    words = [verb, shapes / "a.off", *([shapes / "b.ply"] if verb == "match" else []), option]
    good = "x" + suffixes.partition(" ")[0]
    assert f"{option}: wanted a file that ends in {suffixes}" in run(*words, tmp_path / "x.txt").error
    assert "there is no folder" in run(*words, tmp_path / "none" / good).error
    (tmp_path / good).mkdir()
    assert f"{option}: wanted a file, got the folder" in run(*words, tmp_path / good).error
    assert [path.name for path in tmp_path.iterdir()] == [good]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs a folder that even root cannot write to")
def test_folder_that_cannot_be_written(run, shapes):
    assert "cannot write /proc/x.npz" in run("basis", shapes / "a.off", "-o", "/proc/x.npz").error


def test_an_output_never_replaces_an_input(run, shapes, tmp_path):
    geospec.save(geospec.load(shapes / "a.off"), tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "again.npz").hardlink_to(tmp_path / "a.npz")
    assert "would overwrite an input" in run("basis", tmp_path / "a.npz", "-o", tmp_path / "a.npz").error
    assert "would overwrite an input" in run("match", shapes / "a.off", tmp_path / "a.npz", "-o", tmp_path / "again.npz").error
    assert (tmp_path / "a.npz").read_bytes() == before


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "cpu0"])
def test_device(run, shapes, device):
    assert "--device: wanted" in run("basis", shapes / "a.off", "--device", device).error


def test_no_partial_file_when_writing_fails(run, shapes, tmp_path, monkeypatch):
    """The disk fills up half way through; an older result stays as it was."""

    def half(file, **_):
        file.write(b"PK half an archive")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "x.npz").write_bytes(b"older")
    monkeypatch.setattr("numpy.savez_compressed", half)
    error = run("basis", shapes / "a.off", "-k", 3, "-o", tmp_path / "x.npz", "-q").error
    assert error == f"error: {tmp_path / 'x.npz'}: No space left on device"
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x.npz", b"older")]


def test_debug_shows_the_traceback(run, tmp_path):
    done = run("info", tmp_path / "none.ply", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1] == f"error: no such file: {tmp_path / 'none.ply'}"


def test_a_defect_keeps_its_traceback(run, shapes, monkeypatch):
    def broken(*_, **__):
        raise IndexError("seven")

    monkeypatch.setattr(geospec, "load", broken)
    done = run("info", shapes / "a.off")
    assert done.code == 1
    assert "IndexError: seven" in done.err
    assert "please report it" in done.err.splitlines()[-1]


def test_interrupted(run, shapes, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(geospec, "load", stopped)
    done = run("info", shapes / "a.off")
    assert (done.code, done.out, done.err) == (130, "", "")


def test_the_installed_command_refuses_alike(tmp_path):
    done = subprocess.run([sys.executable, "-m", "geospec", "info", str(tmp_path / "none.ply")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: no such file: {tmp_path / 'none.ply'}\n"
