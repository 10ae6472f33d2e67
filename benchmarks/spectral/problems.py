"""The problems, each made once and kept as npz: all methods get the same numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

#: Goes up when a maker changes, so that files of an older one are not read.
VERSION = 1


@dataclass(frozen=True)
class Problem:
    """Arrays of a prepared problem, and how it is asked: ``k`` modes or neighbours, threads, device of ours."""

    arrays: dict[str, np.ndarray]
    k: int
    threads: int
    device: str = "cpu"

    @classmethod
    def read(cls, path: str | Path, k: int, threads: int, device: str) -> Problem:
        with np.load(path) as stored:
            return cls({name: stored[name] for name in stored.files}, k, threads, device)

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self.__dict__["arrays"][name]
        except KeyError:
            raise AttributeError(name) from None

    @cached_property
    def stiffness(self):
        """SciPy CSR (n, n), float64, int32 indices."""
        from scipy.sparse import csr_matrix

        return csr_matrix((self.values, self.columns, self.rows), shape=(len(self.mass),) * 2)

    @cached_property
    def mass_matrix(self):
        from scipy.sparse import diags

        return diags(self.mass).tocsc()

    def tensor(self, name: str):
        """An array as torch tensor on the device of ours."""
        import torch

        return torch.from_numpy(self.arrays[name]).to(self.device)


def bumpy_sphere(n: int) -> tuple[np.ndarray, np.ndarray]:
    """An irregular mesh of genus 0: (n, 3) vertices, (2 n - 4, 3) faces, vertices in random order.

    Points of a Fibonacci lattice, each moved by a third of their distance, joined by their Delaunay triangulation on the
    sphere, then lifted by smooth bumps: valences from 3 to 10, cotangents of both signs, no help from the numbering.
    """
    from scipy.spatial import ConvexHull

    random = np.random.default_rng(0)
    height = 1 - (2 * np.arange(n) + 1) / n
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    around = np.sqrt(1 - height**2)
    points = np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=1)
    points += 0.3 * np.sqrt(4 * np.pi / n) * random.standard_normal((n, 3))
    points = random.permutation(points / np.linalg.norm(points, axis=1, keepdims=True))
    faces = ConvexHull(points).simplices.astype(np.int64)
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    inward = np.einsum("fd,fd->f", np.cross(b - a, c - a), a) < 0
    faces[inward] = faces[inward, ::-1]
    bumps = 0.1 * np.sin(5 * points[:, :1]) * np.cos(4 * points[:, 1:2]) + 0.1 * np.sin(3 * points[:, 2:])
    return points * (1 + bumps), faces


def _with_matrices(vertices: np.ndarray, faces: np.ndarray, kind: str) -> dict[str, np.ndarray]:
    import torch

    import geospec

    mesh = geospec.Mesh(torch.from_numpy(vertices), torch.from_numpy(faces))
    stiffness, mass = geospec.laplacian(mesh, kind).to_scipy()
    stiffness.sort_indices()
    rows, columns = (index.astype(np.int32) for index in (stiffness.indptr, stiffness.indices))
    return {"vertices": vertices, "faces": faces, "values": stiffness.data, "columns": columns, "rows": rows, "mass": mass.diagonal()}


def _sphere(n: int, k: int) -> dict[str, np.ndarray]:
    return _with_matrices(*bumpy_sphere(n), "cotangent")


def _file(path: str) -> dict[str, np.ndarray]:
    """A mesh from a file, scaled to the area of the unit sphere, without vertices that no face uses."""
    import torch

    import geospec

    shape = geospec.repair(geospec.load(path, triangulate=True, dtype=torch.float64), steps=("unreferenced",))
    scale = (4 * np.pi / shape.area).sqrt()
    return _with_matrices((shape.vertices * scale).numpy(), shape.faces.numpy(), "robust")


def _embeddings(kind: str) -> Callable[[int, int], dict[str, np.ndarray]]:
    def make(n: int, k: int) -> dict[str, np.ndarray]:
        from ..spectral_nearest import embeddings

        return dict(zip(("queries", "points"), embeddings(kind, n, k), strict=True))

    return make


def _pair(n: int, k: int) -> dict[str, np.ndarray]:
    """Two four-legged creatures with ``k`` modes each, and a first map of 20 x 20 from the truth, spoilt on a tenth of the points."""
    import torch

    import geospec
    from geospec.datasets import creature_pair, ground_truth

    pair = creature_pair("quadruped", seed=0, n_vertices=n)
    source, target = (geospec.LaplaceBasis.fit(creature.mesh, k) for creature in (pair.source, pair.target))
    image = ground_truth(pair.source, pair.target)
    spoilt = torch.rand(len(image), generator=torch.Generator().manual_seed(0)) < 0.1
    image = torch.where(spoilt, image.roll(n // 5), image)
    first = target.modes[:, :20].T @ (target.measure[:, None] * source.modes[image, :20])
    arrays = {"first": first, "source_vertices": pair.source.mesh.vertices}
    for side, basis in (("source", source), ("target", target)):
        arrays |= {f"{side}_modes": basis.modes, f"{side}_mass": basis.measure, f"{side}_values": basis.eigenvalues}
    return {name: array.numpy() for name, array in arrays.items()}


#: Maker by name; those whose file depends on ``k`` say so in the second place.
MAKERS: dict[str, tuple[Callable[[int, int], dict[str, np.ndarray]], bool]] = {
    "bumpy sphere": (_sphere, False),
    "converged map": (_embeddings("converged"), True),
    "random map": (_embeddings("random"), True),
    "pair of creatures": (_pair, True),
}


def place(folder: Path, shape: str, n: int, k: int) -> Path:
    """Where the problem's file lies."""
    if shape not in MAKERS:
        return folder / f"v{VERSION}-file-{Path(shape).stem}-{Path(shape).stat().st_size}.npz"
    by_k = f"-{k}" if MAKERS[shape][1] else ""
    return folder / f"v{VERSION}-{re.sub('[^a-z]+', '-', shape)}-{n}{by_k}.npz"


def make(path: Path, shape: str, n: int, k: int) -> None:
    """Make a problem and write its file aside."""
    from geospec.writing import written_aside

    arrays = MAKERS[shape][0](n, k) if shape in MAKERS else _file(shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside, open(aside, "wb") as file:
        np.savez(file, **arrays)
