"""What the package says of itself, in one voice: version, extras, public names."""

import importlib
import re
import tomllib

import pytest

import geospec

PACKAGES = ["bases", "datasets", "descriptors", "laplacians", "maps", "ops", "pipelines", "shapes", "testing", "viz"]


@pytest.fixture
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())


def test_one_version(repository):
    assert f"\nversion: {geospec.__version__}\n" in (repository / "CITATION.cff").read_text()
    assert f"\n## {geospec.__version__} " in (repository / "CHANGELOG.md").read_text()


def test_extras_that_are_named_exist(repository, project):
    texts = [path.read_text() for folder in ("geospec", "docs") for path in (repository / folder).rglob("*.[pm][yd]")]
    named = set(re.findall(r"geospec\[(\w+)\]", "\n".join(texts)))
    assert {"exact", "open3d"} <= named
    assert named <= set(project["project"]["optional-dependencies"])


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_resolve_and_explain_themselves(package):
    module = importlib.import_module(f"geospec.{package}")
    assert all(hasattr(module, name) for name in module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(getattr(module, name).__doc__ for name in module.__all__ if callable(getattr(module, name)))
