"""Every example runs as a user would run it, writes what it promises, and prints sensible numbers."""

import re
import subprocess
import sys

import numpy as np
import pytest

# For each script: options that keep it short, what it writes, and a number of its output with the range it must fall into.
EXAMPLES = {
    "match_two_creatures.py": (["--vertices", "1500"], {"match.npz", "match.png", "match.html"}, r"mean geodesic error ([\d.]+)", (0, 4)),
    "basis_of_a_mesh.py": ([], {"modes.png", "frequencies.png", "basis.html"}, r"300 modes rebuild the shape to ([\d.]+) %", (0, 1)),
    "point_cloud.py": (
        ["--points", "3000"],
        {"cloud.ply", "cloud_modes.png", "cloud_hks.png", "cloud.html"},
        r"eigenvalue +1: +([\d.]+)",
        (1e-3, 1e3),
    ),
    "functional_maps_step_by_step.py": ([], {"steps.png", "steps.html"}, r"after ZoomOut .* the error is ([\d.]+)", (0, 5)),
    "learned_basis_of_a_scan.py": (
        ["--points", "700", "--modes", "12", "--max-steps", "60"],
        {"modes.png", "filter.png", "scan.html"},
        r"mean .cos. of the first ten modes with the surface's: ([\d.]+)",
        (0.85, 1),
    ),
    "learned_basis_of_digits.py": (["--max-steps", "60"], {"digits.png"}, r"learned basis +NMI ([\d.]+)", (0.82, 1)),
    "match_two_scans.py": (
        ["--points", "600", "--modes", "25"],
        {"match.npz", "scans.png", "match.html"},
        r"mean geodesic error ([\d.]+)",
        (0, 15),
    ),
    "geodesics_and_descriptors.py": ([], {"geodesics.png", "wks.png", "shapes.html"}, r"along the surface changes by ([\d.]+)", (0, 10)),
    "eigenpairs_of_any_matrix.py": (["--cells", "30"], {"drum.png"}, r"first eigenvalue ([\d.]+)", (9.6397, 9.67)),
    "location_encoder_on_the_globe.py": (
        ["--places", "1200", "--epochs", "40"],
        {"globe.png", "globe.html"},
        r"siren on spherical harmonics: ([\d.]+)%",
        (0, 6),
    ),
    "prior_over_functional_maps.py": (["--vertices", "1000"], {"maps.png"}, r"the network leaves ([\d.]+)%", (5, 30)),
    "shape_codes.py": (
        [],
        {"chair.gsc", "chair.ply", "chair.html", "shape_codes.png"},
        r"denoising leaves ([\d.]+) %",
        (20, 80),
    ),
    "vectors_on_a_creature.py": (["--vertices", "1500"], {"transport.png", "log_map.png"}, r"length varies by ([\d.e-]+) %", (0, 1e-6)),
}


@pytest.mark.parametrize("script", EXAMPLES)
def test_example(script, repository, tmp_path):
    options, files, pattern, (low, high) = EXAMPLES[script]
    command = [sys.executable, str(repository / "examples" / script), "--out", str(tmp_path / "out"), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=400)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    number = re.search(pattern, done.stdout)
    assert number, done.stdout
    assert low <= float(number[1]) <= high, done.stdout
    for name in files:
        path = tmp_path / "out" / name
        if path.suffix == ".png":
            from PIL import Image

            assert np.asarray(Image.open(path).convert("L")).std() > 5, f"{name} is blank"
        if path.suffix == ".html":
            assert not re.search(r"(src|href)=[\"']https?:", path.read_text()), f"{name} needs the network"


def test_every_example_is_in_the_table(repository):
    assert {path.name for path in (repository / "examples").glob("*.py")} == set(EXAMPLES)
