"""``ops.spectral_nearest`` beside SciPy's cKDTree (maps near an isometry), faiss's flat index and torch (maps far from one)."""

from __future__ import annotations

import numpy as np
import torch

from geospec import ops

from .harness import Entry

SIZES = (5_000, 50_000)
DIMENSIONS = (20, 50, 100, 128)
# How far each query is off the surface, as a share of the norm of a row; None stands for a random rotation.
# On real pairs an isometric map is off by 0.05 to 0.3, a bent one by 0.3 to 0.9.
MAPS = {"on the points": 0.0, "converged": 0.02, "isometric": 0.15, "bent": 0.5, "random": None}


def torus_modes(n: int, d: int, seed: int) -> np.ndarray:
    """The first ``d`` Laplace eigenfunctions of a flat torus at ``n`` random points: (n, d) float64."""
    angles = 2 * np.pi * np.random.default_rng(seed).random((n, 2))
    reach = np.arange(-12, 13)
    waves = np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2)
    waves = waves[(waves[:, 0] > 0) | ((waves[:, 0] == 0) & (waves[:, 1] > 0))]
    waves = waves[np.argsort((waves**2).sum(axis=1), kind="stable")][: (d + 1) // 2]
    phases = angles @ waves.T
    return np.stack([np.cos(phases), np.sin(phases)], axis=-1).reshape(n, -1)[:, :d]


def embeddings(kind: str, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Queries and points (n, d) float32 as a map of the given kind yields them."""
    points, generator = torus_modes(n, d, 0), np.random.default_rng(1)
    off = MAPS[kind]
    if off is None:
        rotation = np.linalg.qr(generator.standard_normal((d, d)))[0]
        queries = torus_modes(n, d, 2) @ rotation
    else:
        queries = points[generator.permutation(n)] + off * np.sqrt(0.5) * generator.standard_normal((n, d))
    return queries.astype(np.float32), points.astype(np.float32)


def tree_entry(kind: str, n: int, d: int) -> Entry:
    """Against building and asking a cKDTree with as many workers as torch has threads."""
    from scipy.spatial import cKDTree

    queries, points = embeddings(kind, n, d)
    ours = tuple(map(torch.from_numpy, (queries, points)))
    workers = torch.get_num_threads()
    return Entry(
        f"spectral_nearest, {kind}",
        f"{n} x {n}, d = {d}",
        lambda: ops.spectral_nearest(*ours),
        lambda: cKDTree(points).query(queries, workers=workers),
        f"cKDTree, {workers} workers",
        0.5,
        repeats=7 if n < 10_000 else 3,
    )


def flat_entry(kind: str, n: int, d: int) -> Entry:
    """Against faiss's IndexFlatL2 with as many threads, all queries in one batch."""
    import faiss

    queries, points = embeddings(kind, n, d)
    ours = tuple(map(torch.from_numpy, (queries, points)))
    faiss.omp_set_num_threads(torch.get_num_threads())

    def peer():
        index = faiss.IndexFlatL2(d)
        index.add(points)
        return index.search(queries, 1)

    return Entry(
        f"spectral_nearest, {kind}",
        f"{n} x {n}, d = {d}",
        lambda: ops.spectral_nearest(*ours),
        peer,
        "faiss flat",
        0.5,
        repeats=7 if n < 10_000 else 3,
    )


def blocked_argmin(queries: torch.Tensor, points: torch.Tensor, rows: int = 1024, columns: int = 2048) -> torch.Tensor:
    """The quickest plain torch found: products of blocks that stay in the cache, and a running minimum."""
    halves = points.square().sum(dim=1) / 2
    winners = []
    for block in queries.split(rows):
        best, index = torch.full((len(block),), torch.inf), torch.zeros(len(block), dtype=torch.int64)
        for first in range(0, len(points), columns):
            part = slice(first, first + columns)
            least, at = torch.addmm(halves[part], block, points[part].T, alpha=-1).min(dim=1)
            nearer = least < best
            best, index = torch.where(nearer, least, best), torch.where(nearer, at + first, index)
        winners.append(index)
    return torch.cat(winners)


def torch_entry(kind: str, n: int, d: int) -> Entry:
    """Against blocked products and minima in torch, which cancel where neighbours are close and ours do not."""
    queries, points = map(torch.from_numpy, embeddings(kind, n, d))
    return Entry(
        f"spectral_nearest, {kind}",
        f"{n} x {n}, d = {d}",
        lambda: ops.spectral_nearest(queries, points),
        lambda: blocked_argmin(queries, points),
        "torch mm + min",
        0.5,
        repeats=7 if n < 10_000 else 3,
    )


def several_entry(kind: str, n: int, d: int, k: int = 10) -> Entry:
    """The k nearest, against a cKDTree near the surface and faiss far from it."""
    import faiss
    from scipy.spatial import cKDTree

    queries, points = embeddings(kind, n, d)
    ours = tuple(map(torch.from_numpy, (queries, points)))
    workers, near = torch.get_num_threads(), MAPS[kind] is not None
    faiss.omp_set_num_threads(workers)

    def flat():
        index = faiss.IndexFlatL2(d)
        index.add(points)
        return index.search(queries, k)

    return Entry(
        f"spectral_knn, {kind}, k = {k}",
        f"{n} x {n}, d = {d}",
        lambda: ops.spectral_knn(*ours, k),
        (lambda: cKDTree(points).query(queries, k, workers=workers)) if near else flat,
        f"cKDTree, {workers} workers" if near else "faiss flat",
        0.5,
        repeats=7 if n < 10_000 else 3,
    )


def entries() -> list[Entry]:
    """Near the surface a tree is the peer to beat, far from it the flat index and torch."""
    table = []
    for n in SIZES:
        for d in DIMENSIONS:
            table += [tree_entry(kind, n, d) for kind in ("on the points", "converged")]
            table += [make(kind, n, d) for kind in ("isometric", "bent", "random") for make in (flat_entry, torch_entry)]
    table += [several_entry(kind, n, 50) for n in SIZES for kind in ("converged", "random")]
    return table
