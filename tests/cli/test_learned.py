"""``geospec basis --kind learned|network`` and ``geospec match --basis``: what is written, told and refused."""

import json

import numpy as np
import pytest
import torch

import geospec
from geospec.bases import EigenbasisNetwork
from geospec.pipelines import spectra

QUICK = ("--kind", "learned", "-k", 8, "--max-steps", 20)


@pytest.fixture
def small_network(monkeypatch):
    torch.manual_seed(0)
    net = EigenbasisNetwork(24, learned=8, width=32, depth=1, heads=2, tokens=8, degree=4)
    monkeypatch.setattr(EigenbasisNetwork, "pretrained", classmethod(lambda cls, name="eigenbasis": net))


def test_arrays_and_json(run, shapes, tmp_path):
    done = run("basis", shapes / "a.off", *QUICK, "-o", tmp_path / "b.npz", "--json")
    assert done.code == 0, done.err
    points = geospec.load(shapes / "a.off").vertices
    expected = geospec.LearnedEigenbasis.fit(points, 8, max_steps=20)
    with np.load(tmp_path / "b.npz") as file:
        for name in ("modes", "eigenvalues", "measure"):
            np.testing.assert_allclose(file[name], getattr(expected, name).numpy(), rtol=1e-6, atol=1e-9)
    told = json.loads(done.out)
    assert (told["steps"], told["reached"], told["components"]) == (20, expected.options["reached"], 1)
    assert told["optimality_ratio"] == pytest.approx(expected.optimality_ratio)
    assert len(told["eigenvalue_errors"]) == 8
    assert told["probes"]["family"] == "HeatProbes"
    assert "beside" not in told  # nothing was asked for that would show it
    assert f"ratio        {expected.optimality_ratio:.4f} of the least loss" in done.err


def test_safetensors_loads_as_a_learned_basis(run, shapes, tmp_path):
    words = (*QUICK, "--encoder", "latent", "--probes", "matern", "--seed", 3, "-o", tmp_path / "b.safetensors")
    assert run("basis", shapes / "a.off", *words).code == 0
    basis = geospec.LearnedEigenbasis.load(tmp_path / "b.safetensors")
    assert (basis.n, basis.k, basis.options["seed"]) == (162, 8, 3)
    assert basis.options["encoder"]["name"] == "latent"
    assert basis.options["probes"]["family"] == "MaternProbes"
    assert basis.at(torch.zeros(2, 3)).shape == (2, 8)


def test_pictures_stand_beside_the_laplace_basis(run, shapes, tmp_path):
    done = run("basis", shapes / "a.off", *QUICK, "--image", tmp_path / "m.png", "--report", tmp_path / "m.html", "--json")
    assert done.code == 0, done.err
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    beside = json.loads(done.out)["beside"]
    assert beside["mean |cos| of the first 8"] > 0.9
    assert beside["subspace overlap of the first 8"] > 0.9
    assert "beside       the robust Laplacian's modes: mean |cos|" in done.err
    page = (tmp_path / "m.html").read_text()
    for words in ("a.off: learned", "a.off: Laplace", "Mode by mode", "Learning", "optimality ratio", "rings Laplace"):
        assert words in page


def test_a_cloud_stands_beside_its_robust_laplacian(run, shapes, tmp_path):
    geospec.save(geospec.PointCloud(geospec.load(shapes / "a.off").vertices), tmp_path / "cloud.ply")
    done = run("basis", tmp_path / "cloud.ply", *QUICK, "--report", tmp_path / "c.html", "--json", "--quiet")
    assert done.code == 0, done.err
    assert json.loads(done.out)["beside"]["mean |cos| of the first 8"] > 0.9


def test_repair_keeps_the_file_order(run, shapes, tmp_path):
    mesh = geospec.load(shapes / "a.off")
    geospec.save(geospec.Mesh(torch.cat([mesh.vertices, mesh.vertices[:1]]), mesh.faces), tmp_path / "twin.ply")
    done = run("basis", tmp_path / "twin.ply", *QUICK, "-o", tmp_path / "b.npz", "--repair", "duplicate-vertices")
    assert done.code == 0, done.err
    with np.load(tmp_path / "b.npz") as file:
        assert len(file["modes"]) == mesh.n_points + 1
        np.testing.assert_array_equal(file["modes"][0], file["modes"][-1])
        assert file["measure"].sum() == pytest.approx(1)


@pytest.mark.usefixtures("small_network")
def test_network(run, shapes, tmp_path):
    done = run("basis", shapes / "a.off", "--kind", "network", "-k", 10, "-o", tmp_path / "b.npz", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["k"], told["optimality_ratio"]) == (10, None)
    assert told["encoder"]["name"] == "network"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--kind", "learned", "--boundary", "dirichlet"), "--boundary: wanted nothing with --kind learned, got 'dirichlet'"),
        (("--kind", "learned", "--boundary", "neumann"), "--boundary: wanted nothing with --kind learned"),
        (("--kind", "learned", "--solver", "dense"), "--solver: wanted nothing with --kind learned, got 'dense'"),
        (("--kind", "network", "--tolerance", 1e-5), "--tolerance: wanted nothing with --kind network"),
        (("--kind", "learned", "--cache"), "--cache: wanted nothing with --kind learned"),
        (("--encoder", "mlp"), "--encoder: wanted nothing with --kind robust, got 'mlp'"),
        (("--kind", "network", "--max-steps", 5), "--max-steps: wanted nothing with --kind network, got 5"),
        (("--seed", 1), "--seed: wanted nothing with --kind robust"),
        (("--kind", "learned", "--encoder", "cnn"), "--encoder: wanted one of"),
        (("--kind", "learned", "--probes", "noise"), "--probes: wanted one of"),
        (("--kind", "spectral"), "kind: wanted one of"),
    ],
)
def test_what_does_not_fit_is_refused(run, shapes, words, wanted):
    assert wanted in run("basis", shapes / "a.off", *words).error


def test_match_of_points_alone(run, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(spectra, "STEPS", 20)
    words = ("match", shapes / "a.off", shapes / "b.ply", "-k", 10, "-o", tmp_path / "m.npz", "--report", tmp_path / "m.html")
    done = run(*words, "--basis", "learned", "--truth", shapes / "truth.txt", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    options = told["record"]["options"]
    assert "FunctionalMapPrior" in options.pop("prior")
    wanted = {"basis": "learned", "k": 10, "step": "auto", "landmarks": 0, "quality": "fast", "seed": 0, "descriptors": "wks"}
    assert options == wanted
    assert told["functional_map"] == [10, 10]
    assert "error" in told
    assert "what the bases are" in (tmp_path / "m.html").read_text()


def test_match_refusals(run, shapes):
    pair = ("match", shapes / "a.off", shapes / "b.ply")
    assert "--laplacian: wanted nothing with --basis learned, got 'graph'" in run(*pair, "--basis", "learned", "--laplacian", "graph").error
    assert "--cache: wanted nothing with --basis network" in run(*pair, "--basis", "network", "--cache").error
    assert "basis: wanted one of" in run(*pair, "--basis", "fourier").error
