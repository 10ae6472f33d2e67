"""The Python of README and of the documentation's pages runs as it stands, on small shapes under the names that they use."""

import re

import numpy as np
import pytest

import geospec
from geospec.testing import bumpy_sphere

PAGES = ["README.md", "docs/index.md", "docs/command-line.md"]
PAGES += [
    f"docs/concepts/{name}.md"
    for name in (
        "shapes",
        "laplacian",
        "geodesics",
        "basis",
        "descriptors",
        "maps",
        "match",
        "neighbours",
        "training",
        "learned-eigenbasis",
        "sphere",
        "prior",
        "location-encoders",
        "distance-fields",
        "collections",
        "wavelet-tree",
        "shape-codes",
    )
]


@pytest.fixture(scope="module")
def shape():
    return bumpy_sphere(2)


@pytest.fixture(scope="module")
def basis(shape):
    return geospec.LaplaceBasis.fit(shape, 100)


@pytest.mark.parametrize("page", PAGES)
def test_snippets(page, repository, tmp_path, monkeypatch, shape, basis):
    snippets = re.findall(r"^```python\n(.*?)^```", (repository / page).read_text(), re.DOTALL | re.MULTILINE)
    assert snippets
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("scan.ply", "template.obj", "data/quadruped-a.ply", "data/quadruped-b.ply"):
        geospec.save(shape, name)
    geospec.LocationEncoder("direct", "linear", 1).save("encoder.safetensors")
    np.savez("match.npz", target_to_source=np.arange(shape.n_points))
    names = {"geospec": geospec, "mesh": shape, "source": shape, "target": shape, "colours_on_source": shape.vertices.numpy()}
    names |= {"basis": basis, "source_basis": basis, "target_basis": basis}
    for snippet in snippets:
        exec(compile(snippet, page, "exec"), names)


def test_every_page_with_python_is_run(repository):
    """``data.md`` asks for thousands of vertices and for folders of the reader's own."""
    pages = [repository / "README.md", repository / "CONTRIBUTING.md", *(repository / "docs").rglob("*.md")]
    with_python = {str(path.relative_to(repository)) for path in pages if "```python" in path.read_text()}
    assert with_python - set(PAGES) <= {"docs/data.md"}
