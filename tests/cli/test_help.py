"""Help that teaches, comes fast, and knows what the library knows."""

import json
import subprocess
import sys

import pytest

import geospec

VERBS = ("match", "basis", "encode", "decode", "info", "show", "train", "predict", "reproduce", "backend")


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(run, verb):
    page = run(verb, "--help")
    assert page.code == 0
    assert "Examples" in page.out
    assert f"$ geospec {verb}" in page.out
    assert "--json" in page.out


def test_what_can_be_trained_has_help_with_an_example(run):
    page = run("train", "eigenbasis", "--help")
    assert page.code == 0
    assert "$ geospec train eigenbasis" in page.out
    assert all(option in page.out for option in ("--resume", "--processes", "--json", "--seed"))
    assert run("train").out == run("train", "--help").out
    location = run("train", "location", "--help").out
    assert "$ geospec train location stations.csv" in location
    assert all(option in location for option in ("--encoding", "--held-out", "--report", "--json", "--seed"))


def test_the_front_page_lists_the_verbs(run):
    page = run()
    assert page.code == 0
    assert page.out == run("--help").out
    assert all(f" {verb} " in page.out for verb in VERBS)


def test_version(run):
    assert run("--version").out == f"geospec {geospec.__version__}\n"


@pytest.mark.parametrize("verb", ["match", "encode", "decode", "train eigenbasis", "train location"])
def test_help_does_not_import_torch(verb):
    words = [*verb.split(), "--help"]
    code = f"import sys, geospec.cli\ntry: geospec.cli.main({words})\nfinally: print('torch' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Usage" in done.stdout
    assert done.stderr == "False\n"


def test_help_names_what_the_library_knows(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    page = run("basis", "--help").out
    assert all(step in page for step in geospec.shapes.REPAIR_STEPS)
    assert all(suffix.removeprefix(".") in page for suffix in geospec.shapes.SUFFIXES)


def test_backend(run):
    told = run("backend", "--json")
    assert told.code == 0
    assert json.loads(told.out) == {"geospec": geospec.__version__, **geospec.ops.backend_info()}
    assert "kernel" in told.err
    assert "cotangent (CPU" in run("backend").out


def test_module_and_wrong_use():
    done = subprocess.run([sys.executable, "-m", "geospec", "info", "--wrong"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: No such option: --wrong")
    assert done.stderr.endswith("(see geospec info --help)\n")
    assert done.stderr.count("\n") == 1
