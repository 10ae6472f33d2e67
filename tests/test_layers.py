"""Imports point one way. Read from the source, so that an import inside a function counts too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import geospec

PACKAGE = Path(geospec.__file__).parent

# What each part of the tree may import, apart from itself and ``errors``.
PATH = ["errors", "writing", "weights", "ops", "factor", "shapes", "laplacians", "geodesics", "transport", "metrics", "losses", "probes"]
PATH += ["nn", "diffusion", "bases", "codes", "descriptors", "training", "maps", "models"]
ALLOWED = {
    **{part: set(PATH[:i]) for i, part in enumerate(PATH)},
    "training": {"writing"},
    "datasets": set(PATH),
    "viz": set(PATH),
    "pipelines": {*PATH, "datasets", "__version__"},
    "testing": {*PATH, "datasets", "pipelines", "viz"},
    "reproductions": {*PATH, "datasets", "pipelines", "viz", "testing", "__init__"},
    "cli": {*PATH, "datasets", "pipelines", "viz", "testing", "reproductions", "__init__"},
    "__main__": {"cli"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Parts of geospec that a file imports, by any form of import statement, at any depth."""
    package = ["geospec", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            names = [base if len(base) > 1 else [*base, alias.name] for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] == "geospec":
                found.add(name[1] if len(name) > 1 else "__init__")
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    part = part_of(path)
    assert part in ALLOWED, f"{part} is new: say in this table what it may import"
    wrong = imports_of(path) - ALLOWED[part] - {part, "errors"}
    assert not wrong, f"{path.name} of {part} imports {sorted(wrong)}"


def test_the_reader_of_imports_sees_them(tmp_path, monkeypatch):
    """The rule above proves nothing if an import can hide."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "maps").mkdir()
    file = tmp_path / "maps" / "a.py"
    file.write_text(
        "def f():\n    from .. import viz\n    from ..cli.main import x\n    import geospec.testing\n    from geospec import bases\n"
    )
    assert imports_of(file) == {"viz", "cli", "testing", "bases"}


def test_every_public_name_resolves():
    for name in geospec.__all__:
        assert getattr(geospec, name) is not None


def test_import_is_light():
    """Heavy packages load at use; only torch and NumPy may come with ``import geospec``."""
    code = (
        "import torch, sys; before = set(sys.modules); import geospec; "
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before} - {'geospec'}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"scipy", "trimesh", "PIL", "typer", "rich", "pymetis", "potpourri3d", "robust_laplacian", "open3d", "safetensors"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize("module", ["geospec.ops", "geospec.codes", "geospec.pipelines", "geospec.cli.app"])
def test_the_compiler_is_not_imported(module):
    """``torch._dynamo`` takes longer than all the rest."""
    code = f"import sys, {module}; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
