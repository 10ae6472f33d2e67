"""A way to run the command line inside the test's process, and small shapes on disk."""

from dataclasses import dataclass

import pytest

import geospec
from geospec.cli import main
from geospec.testing import bumpy_sphere, permuted


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a refusal prints; fails where there is anything else."""
        assert self.code == 2, (self.code, self.out, self.err)
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), lines
        return lines[0]


@pytest.fixture
def run(capsys):
    def call(*words) -> Run:
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        written = capsys.readouterr()
        return Run(leaving.value.code, written.out, written.err)

    return call


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A folder with ``a.off`` and ``b.ply``: one surface of 162 vertices, numbered differently; ``truth.txt`` maps b to a."""
    folder = tmp_path_factory.mktemp("shapes")
    mesh = bumpy_sphere(2)
    other, order = permuted(mesh, seed=1)
    geospec.save(mesh, folder / "a.off")
    geospec.save(other, folder / "b.ply")
    (folder / "truth.txt").write_text("".join(f"{i}\n" for i in order.tolist()))
    return folder
