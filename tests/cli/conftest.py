"""A way to run the command line inside the test's process, and small shapes on disk."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import geospec
from geospec.cli import main


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


def blob(subdivisions: int, seed: int) -> geospec.Mesh:
    """A closed surface without symmetry: an icosphere, stretched, with four bumps; vertices in an order of their own."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    points = np.asarray(ball.vertices)
    bumps = np.random.default_rng(7).normal(size=(4, 3))
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    height = (np.array([0.9, 0.6, 0.45, 0.3]) * np.exp(-4 * ((points[:, None] - bumps) ** 2).sum(axis=2))).sum(axis=1)
    points = points * (1 + height[:, None]) * [1.0, 1.3, 1.7]
    order = np.random.default_rng(seed).permutation(len(points))
    place = np.argsort(order)
    return geospec.Mesh(torch.from_numpy(points[order]), torch.from_numpy(place[np.asarray(ball.faces)]))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A folder with ``a.off`` and ``b.ply``: one surface of 642 vertices, numbered differently; ``truth.txt`` maps b to a."""
    folder = tmp_path_factory.mktemp("shapes")
    a, b = blob(3, seed=1), blob(3, seed=2)
    geospec.save(a, folder / "a.off")
    geospec.save(b, folder / "b.ply")
    truth = torch.cdist(b.vertices, a.vertices).argmin(dim=1)
    assert torch.equal(a.vertices[truth], b.vertices)
    (folder / "truth.txt").write_text("".join(f"{i}\n" for i in truth.tolist()))
    return folder
