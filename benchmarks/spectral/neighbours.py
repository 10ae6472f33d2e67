"""Nearest neighbours in three dimensions and in spectral embeddings, and farthest points."""

from __future__ import annotations

import numpy as np

from .problems import Problem
from .registry import Family, Verdict, on_host


def judge_near(problem: Problem, indices) -> Verdict:
    """Sum over each query's neighbours of the squared distance, measured again in float64 from the indices."""
    points = problem.arrays.get("points", problem.arrays.get("vertices")).astype(np.float64)
    queries = problem.arrays.get("queries", points).astype(np.float64)
    indices = on_host(indices).reshape(len(queries), -1)
    total = np.zeros(len(queries))
    for column in indices.T:
        total += ((queries - points[column]) ** 2).sum(axis=1)
    return Verdict(total)


def judge_far(problem: Problem, indices) -> Verdict:
    """The radius that the chosen points cover."""
    from scipy.spatial import cKDTree

    chosen = problem.vertices[on_host(indices).astype(np.int64)]
    return Verdict(cKDTree(chosen).query(problem.vertices)[0].max(keepdims=True))


KNN = Family("3D neighbours of every point", "cKDTree", judge_near, counts=(16,), counted="neighbours")
FARTHEST = Family("farthest points", "torch, plain loop", judge_far, counts=(1024,), counted="points")
# Beyond 50k a comparison of all with all takes minutes a round.
CONVERGED, RANDOM = (
    Family(f"spectral nearest, {kind}", "cKDTree", judge_near, kind, (10_000, 50_000), (50, 128), "dimensions")
    for kind in ("converged map", "random map")
)


@KNN.method("geospec")
def _knn(problem: Problem):
    from geospec.ops import knn

    points, k = problem.tensor("vertices"), problem.k
    return lambda: knn(points, points, k)[1]


@KNN.method("geospec, float32")
def _knn_single(problem: Problem):
    from geospec.ops import knn

    points, k = problem.tensor("vertices").float(), problem.k
    return lambda: knn(points, points, k)[1]


@KNN.method("cKDTree")
def _tree(problem: Problem):
    from scipy.spatial import cKDTree

    points, k = problem.vertices, problem.k
    return lambda: cKDTree(points).query(points, k, workers=problem.threads)[1]


@KNN.method("pynanoflann, float32")
def _nanoflann(problem: Problem):
    from pynanoflann import KDTree

    points = problem.vertices.astype(np.float32)

    def ask():
        tree = KDTree(n_neighbors=problem.k)
        tree.fit(points)
        return tree.kneighbors(points, n_jobs=problem.threads)[1]

    return ask


@KNN.method("Open3D, float32")
def _open3d(problem: Problem):
    import open3d

    points = open3d.core.Tensor(problem.vertices.astype(np.float32))

    def ask():
        search = open3d.core.nns.NearestNeighborSearch(points)
        search.knn_index()
        return search.knn_search(points, problem.k)[0].numpy()

    return ask


@KNN.method("scikit-learn KDTree")
def _sklearn(problem: Problem):
    from sklearn.neighbors import NearestNeighbors

    points = problem.vertices

    def ask():
        model = NearestNeighbors(n_neighbors=problem.k, algorithm="kd_tree", n_jobs=problem.threads).fit(points)
        return model.kneighbors(points, return_distance=False)

    return ask


@FARTHEST.method("geospec")
def _farthest(problem: Problem):
    from geospec.ops import farthest_points

    points = problem.tensor("vertices")
    return lambda: farthest_points(points, problem.k)


@FARTHEST.method("torch, plain loop")
def _loop(problem: Problem):
    import torch

    points = torch.from_numpy(problem.vertices)

    def choose():
        chosen = torch.zeros(problem.k, dtype=torch.int64)
        nearest = torch.full((len(points),), torch.inf, dtype=points.dtype)
        for i in range(1, problem.k):
            nearest = torch.minimum(nearest, (points - points[chosen[i - 1]]).square().sum(dim=1))
            chosen[i] = nearest.argmax()
        return chosen

    return choose


@FARTHEST.method("Open3D")
def _open3d_farthest(problem: Problem):
    """Returns points, not indices; each lies where one of the given ones does."""
    import open3d
    from scipy.spatial import cKDTree

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(problem.vertices))
    tree = cKDTree(problem.vertices)
    return lambda: tree.query(np.asarray(cloud.farthest_point_down_sample(problem.k).points))[1]


@FARTHEST.method("fpsample, bucket tree, float32")
def _fpsample(problem: Problem):
    import fpsample

    return lambda: fpsample.bucket_fps_kdline_sampling(problem.vertices, problem.k, h=7, start_idx=0)


def _nearest(problem: Problem):
    from geospec.ops import spectral_nearest

    queries, points = problem.tensor("queries"), problem.tensor("points")
    return lambda: spectral_nearest(queries, points)[0]


def _nearest_tree(problem: Problem):
    from scipy.spatial import cKDTree

    queries, points = problem.queries, problem.points
    return lambda: cKDTree(points).query(queries, workers=problem.threads)[1]


def _nearest_flat(problem: Problem):
    import faiss

    faiss.omp_set_num_threads(problem.threads)
    queries, points = problem.queries, problem.points

    def ask():
        index = faiss.IndexFlatL2(points.shape[1])
        index.add(points)
        return index.search(queries, 1)[1]

    return ask


def _nearest_blocks(problem: Problem):
    import torch

    queries, points = torch.from_numpy(problem.queries), torch.from_numpy(problem.points)

    def ask():
        half = points.square().sum(dim=1) / 2
        return torch.cat([(half - block @ points.T).argmin(dim=1) for block in queries.split(1024)])

    return ask


for _family in (CONVERGED, RANDOM):
    _family.method("geospec")(_nearest)
    _family.method("cKDTree")(_nearest_tree)
    _family.method("faiss flat")(_nearest_flat)
    _family.method("torch, blocks of products")(_nearest_blocks)
