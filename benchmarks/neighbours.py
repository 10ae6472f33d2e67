"""``ops.knn``, ``ops.radius_search`` and ``ops.farthest_points`` beside the trees and samplers of Python, building included."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch

from geospec import ops

from .harness import Entry

SIZES = (100_000, 1_000_000)
NEAREST = 16
CHOSEN = 1024


def volume(n: int, dtype: type) -> np.ndarray:
    """Points (n, 3) spread evenly in a cube."""
    return np.random.default_rng(0).random((n, 3)).astype(dtype)


def surface(n: int, dtype: type) -> np.ndarray:
    """Points (n, 3) on a sphere with waves, one half of it sampled a hundred times as densely as the other."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((n, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x[:, 2] = np.abs(x[:, 2]) * np.where(generator.random(n) < 0.99, 1, -1)
    return (x * (1 + 0.1 * np.sin(7 * x[:, :1]))).astype(dtype)


def knn_peers(x: np.ndarray, threads: int) -> dict[str, Callable[[], object]]:
    """The k nearest of every point by whatever is installed, with as many threads as torch where the package lets us say."""
    peers: dict[str, Callable[[], object]] = {}
    from scipy.spatial import cKDTree

    peers[f"cKDTree, {threads} workers"] = lambda: cKDTree(x).query(x, k=NEAREST, workers=threads)
    if find_spec("pynanoflann"):
        import pynanoflann

        def nanoflann_search():
            tree = pynanoflann.KDTree(n_neighbors=NEAREST)
            tree.fit(x)
            return tree.kneighbors(x, n_jobs=threads)

        peers["pynanoflann"] = nanoflann_search
    if find_spec("open3d"):
        import open3d as o3d

        def tensor_search():
            search = o3d.core.nns.NearestNeighborSearch(o3d.core.Tensor(x))
            search.knn_index()
            return search.knn_search(o3d.core.Tensor(x), NEAREST)

        peers["open3d, its own threads"] = tensor_search
    return peers


def farthest_peers(x: np.ndarray) -> dict[str, Callable[[], object]]:
    """The same greedy samples by whatever is installed; the first of them may differ."""
    peers: dict[str, Callable[[], object]] = {}
    if find_spec("fpsample"):
        import fpsample

        peers["fpsample, bucketed tree"] = lambda: fpsample.bucket_fps_kdline_sampling(x, CHOSEN, h=9 if len(x) > 200_000 else 7)
    if find_spec("open3d"):
        import open3d as o3d

        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(x.astype(np.float64)))
        peers["open3d"] = lambda: cloud.farthest_point_down_sample(CHOSEN)
    return peers


def entries() -> list[Entry]:
    """Self-queries of a volume and an uneven surface; a radius that holds about sixteen points; farthest points."""
    from scipy.spatial import cKDTree

    table = []
    threads = torch.get_num_threads()
    for n in SIZES:
        repeats = 7 if n < 200_000 else 3
        for kind, spread in (("volume", volume), ("uneven surface", surface)):
            for dtype in (np.float32, np.float64):
                x = spread(n, dtype)
                ours = torch.from_numpy(x)
                size = f"{n} in 3 d, k = {NEAREST}, {np.dtype(dtype).name}"
                for name, peer in knn_peers(x, threads).items():
                    table.append(Entry(f"knn, {kind}", size, lambda t=ours: ops.knn(t, t, NEAREST), peer, name, 1 / 1.5, repeats))
        x = volume(n, np.float64)
        ours, radius = torch.from_numpy(x), float((NEAREST / n * 0.75 / np.pi) ** (1 / 3))
        table.append(
            Entry(
                "radius_search, volume",
                f"{n} in 3 d, about {NEAREST} each, float64",
                lambda t=ours, r=radius: ops.radius_search(t, t, r),
                lambda x=x, r=radius: cKDTree(x).query_ball_point(x, r, workers=threads),
                f"cKDTree, {threads} workers, unsorted",
                1 / 1.5,
                repeats,
            )
        )
        x = volume(n, np.float32)
        ours, size = torch.from_numpy(x), f"{CHOSEN} of {n}, float32"
        for name, peer in farthest_peers(x).items():
            table.append(Entry("farthest_points", size, lambda t=ours: ops.farthest_points(t, CHOSEN), peer, name, 1.0, repeats))
    return table
