"""What the package says of itself, in one voice: version, extras, public names."""

import importlib
import re
import tomllib

import pytest

import geospec

PACKAGES = ["bases", "datasets", "descriptors", "laplacians", "maps", "ops", "pipelines", "shapes", "testing", "training", "viz"]


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


def documented(text):
    """Public names that the reference shows: those it asks for, and all of a module where it asks for the module."""
    names = set()
    for path, members in re.findall(r"^::: (\S+)\n(?:    .*\n)*?(?:      members: \[(.*)\]\n)?(?=:::|\n|#|\Z)", text, re.MULTILINE):
        owner, _, name = path.rpartition(".")
        if members:
            names.update(members.split(", "))
        elif callable(getattr(importlib.import_module(owner), name)):
            names.add(name)
        else:
            names.update(getattr(importlib.import_module(path), "__all__", vars(importlib.import_module(path))))
    return names


def test_every_public_name_is_in_the_reference(repository):
    shown = documented((repository / "docs/reference.md").read_text())
    modules = [geospec, *(importlib.import_module(f"geospec.{package}") for package in PACKAGES)]
    public = {name: getattr(module, name) for module in modules for name in module.__all__}
    assert {name for name, value in public.items() if callable(value)} - shown == set()
    assert not {"eigenpairs", "ArgumentError", "zoomout"} - shown  # that the reader of the page reads it


def test_the_reader_of_the_reference_misses_what_is_not_there():
    page = (
        "::: geospec.laplacians\n    options:\n      members: [gradient, divergence]\n::: geospec.bases.Basis\n\n::: geospec.descriptors\n"
    )
    assert documented(page) == {"gradient", "divergence", "Basis", *geospec.descriptors.__all__}
