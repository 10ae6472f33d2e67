"""A collection without end to train networks on: shape by index, cloud by shape, split by seed.

>>> pool = ShapePool(500, seed=0)
>>> clouds = [pool.cloud(draw, 1024) for draw in range(10)]  # two of each family
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from .. import ops
from ..errors import ArgumentError, ConvergenceError, one_of, problem
from ..shapes.cloud import PointCloud
from ..shapes.connectivity import components
from ..shapes.mesh import Mesh
from ..shapes.sampling import SurfaceSample, sample_surface
from .creatures import KINDS, posed
from .creatures import _kind as kind_of
from .procedural import blob, mechanical_part, normalised, thin_sheet, torus
from .procedural.contouring import contour
from .scans import _drawn_viewpoints, _scanner, _with_density, density_field, joined, subset

FAMILIES = ("creature", "blob", "torus", "mechanical part", "thin sheet")
SPLITS = ("train", "validation")
#: How a cloud is taken, each equally often.
CLOUDS = ("uniform", "even", "varying density", "partial scan")
#: Neighbours by which every cloud hangs together, and the longest link that counts, in medians of the distance to the last of them.
NEIGHBOURS, REACH = 10, 2.0

_MAKERS: dict[str, Callable[..., Mesh]] = {"blob": blob, "torus": torus, "mechanical part": mechanical_part, "thin sheet": thin_sheet}
_THIN = 5000  # vertices that fingers and legs need
_CANDIDATES = 4  # uniform points per point of an even cloud
_WHOLE = 0.9  # of a cloud that its largest piece must hold
_TRIES = 40


def training_shape(index: int, *, seed: int = 0, split: str = "train", n_vertices: int = 3000, dtype: torch.dtype = torch.float32) -> Mesh:
    """Shape number ``index`` of a collection: in one piece, of area 1, its centre of area at the origin.

    ``FAMILIES[index % 5]`` makes it: five indices in a row hold one shape of each family; creatures go through their six kinds
    in turn, in identities and poses of their own. Within a family all is drawn from a seed that depends on ``seed`` and
    ``index``; the seeds of ``"train"`` are even and those of ``"validation"`` odd, so that no shape of the one split is in the
    other, whatever ``seed``. ``n_vertices`` is about what they have, creatures 5,000 or more.

    Cost: 0.02 to 0.2 s of one core; the first creature of each kind in a process takes half a second more.
    """
    family = FAMILIES[_whole("index", index) % len(FAMILIES)]
    drawn = shape_seed(index, seed=seed, split=split)
    if family == "creature":
        kind = KINDS[index // len(FAMILIES) % len(KINDS)]
        rest, faces = _rest(kind, n_vertices)
        return normalised(posed(kind_of(kind), rest, drawn, drawn), faces, dtype)
    return _MAKERS[family](drawn, n_vertices=n_vertices, dtype=dtype)


@lru_cache(maxsize=2 * len(KINDS))
def _rest(kind: str, n_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """One mesh of a kind's rest surface, which serves all of its creatures: clouds are drawn from the surface, not the vertices."""
    body = kind_of(kind).body
    vertices, faces = contour(body, lambda points: body.evaluate(points)[1], max(n_vertices, _THIN), np.random.default_rng(0), crumbs=0.02)
    return body.project(vertices, 2, kind_of(kind).spacing)[0], faces


def shape_seed(index: int, *, seed: int = 0, split: str = "train") -> int:
    """The seed of a shape of the collection: even in ``"train"``, odd in ``"validation"``; 62 bits."""
    one_of("split", split, SPLITS)
    drawn = np.random.SeedSequence([_whole("seed", seed), _whole("index", index)]).generate_state(1, np.uint64)[0]
    return 2 * (int(drawn) >> 3) + SPLITS.index(split)


def training_cloud(
    index: int, n: int, *, seed: int = 0, split: str = "train", draw: int = 0, dtype: torch.dtype = torch.float32
) -> PointCloud:
    """A cloud of ``n`` points of :func:`training_shape`, taken as :func:`training_sample` does; another one for each ``draw``."""
    return training_sample(training_shape(index, seed=seed, split=split, dtype=dtype), n, seed=_cloud_seed(index, seed, split, draw)).cloud


def training_sample(mesh: Mesh, n: int, *, seed: int = 0) -> SurfaceSample:
    """``n`` points of a surface, taken in one of four ways, each equally often.

    ``"uniform"`` : independent points, equally likely everywhere. ``"even"`` : points as far apart as can be, by farthest-point
    choice among uniform ones. ``"varying density"`` : the whole surface, highest over lowest density between 2 and 20.
    ``"partial scan"`` : what one to three viewpoints see, as a scanner or with varying density, half of them with noise along the
    normals of up to a fifth of ``sqrt(area / n)``.

    The graph that joins each point to its ten nearest hangs together, by links no longer than twice the median distance to the
    tenth: without that limit a few points on their own would bridge any gap. Points off the largest piece are replaced by
    others taken in the same way; where they are more than a tenth, the way is drawn anew.

    Parameters
    ----------
    mesh : in one piece. n : more than ten points.

    Raises
    ------
    ConvergenceError : forty clouds in a row fell apart: the surface has several pieces, or ``n`` is too small for it.

    Cost: 0.01 to 0.1 s of one core for 2,000 points of a mesh of 6,000 faces.
    """
    if n <= NEIGHBOURS:
        raise ArgumentError(problem("n", f"more than {NEIGHBOURS} points", n))
    rng = np.random.default_rng(_whole("seed", seed))
    largest = 0
    for _ in range(_TRIES):
        take = _way(mesh, n, rng)
        sample = take(n)
        for _ in range(_TRIES):
            kept = _largest_piece(sample.cloud.points)
            largest = max(largest, len(kept))
            if len(kept) < _WHOLE * n:
                break
            if len(kept) == n == len(sample.face):
                return sample
            kept = kept[:n]
            missing = n - len(kept)
            sample = subset(sample, kept)
            if missing:
                sample = joined([sample, take(2 * missing)])
    raise ConvergenceError(f"training_sample: no cloud in one piece; at best {largest} of {n} points; take more, or a mesh in one piece")


def _way(mesh: Mesh, n: int, rng: np.random.Generator) -> Callable[[int], SurfaceSample]:
    """A way to take points, drawn with all that it depends on; each call takes other points."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    way = CLOUDS[rng.integers(len(CLOUDS))]
    if way == "uniform":
        return lambda count: sample_surface(mesh, count, generator=generator)
    if way == "even":
        return lambda count: _even(mesh, count, generator)
    field = density_field(mesh, float(np.exp(rng.uniform(np.log(2), np.log(20)))), int(rng.integers(2**62)))
    if way == "varying density":
        return lambda count: _with_density(mesh, count, field, generator)
    eyes = _drawn_viewpoints(mesh, int(rng.integers(1, 4)), generator)
    density: str | Tensor = "scanner" if rng.random() < 0.5 else field
    noise = rng.uniform(0, 0.2) * float(mesh.area.detach()) ** 0.5 / n**0.5 if rng.random() < 0.5 else 0.0
    return _scanner(mesh, eyes, density, noise, generator)


def _even(mesh: Mesh, n: int, generator: torch.Generator) -> SurfaceSample:
    candidates = sample_surface(mesh, _CANDIDATES * n, generator=generator)
    return subset(candidates, ops.farthest_points(candidates.cloud.points.detach(), n))


def _largest_piece(points: Tensor) -> Tensor:
    """Indices of the largest connected piece of the graph that joins each point to its nearest, in ascending order."""
    squared, index = ops.knn(points.detach(), points.detach(), NEIGHBOURS, exclude_self=True)
    near = squared <= REACH**2 * squared[:, -1].median()
    links = torch.stack([near.nonzero()[:, 0], index[near]], dim=1).cpu().numpy()
    label = components(len(index), links)
    return torch.from_numpy(np.flatnonzero(label == np.bincount(label).argmax())).to(points.device)


def _cloud_seed(index: int, seed: int, split: str, draw: int) -> int:
    key = [_whole("seed", seed), SPLITS.index(split), _whole("index", index), _whole("draw", draw)]
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def _whole(argument: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ArgumentError(problem(argument, "a whole number from 0", value))
    return int(value)


class ShapePool:
    """The first ``size`` shapes of a collection, kept in memory, to draw many clouds from.

    Parameters
    ----------
    size : number of shapes, about 0.2 MB each.
    seed, split, n_vertices, dtype : as for :func:`training_shape`.
    workers : 0 makes each shape when it is first asked for. More make all of them at once in so many processes, on one thread
        each; a script that does so needs the usual ``if __name__ == "__main__":``.
    progress : called with the number of shapes made so far and ``size``, after each one.

    ``len(pool)`` is its size, ``pool[i]`` shape ``i``.
    """

    def __init__(
        self,
        size: int,
        seed: int = 0,
        *,
        split: str = "train",
        n_vertices: int = 3000,
        dtype: torch.dtype = torch.float32,
        workers: int = 0,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        if size < 1:
            raise ArgumentError(problem("size", "at least 1 shape", size))
        if workers < 0:
            raise ArgumentError(problem("workers", "a number of processes, from 0", workers))
        one_of("split", split, SPLITS)
        self.seed, self.split = _whole("seed", seed), split
        self._make = partial(training_shape, seed=seed, split=split, n_vertices=n_vertices, dtype=dtype)
        self._shapes: list[Mesh | None] = [None] * size
        self._made, self._progress = 0, progress
        if workers:
            self._fill(workers)

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index: int) -> Mesh:
        shape = self._shapes[index]
        if shape is None:
            shape = self._make(range(len(self))[index])
            self._keep(index, shape)
        return shape

    def sample(self, draw: int, n: int) -> SurfaceSample:
        """Draw number ``draw``: ``n`` points of shape ``draw % size``, taken as :func:`training_sample` does.

        Depends on the pool's seed and split and on ``draw`` alone; draws that follow each other go through the families in turn.
        """
        index = _whole("draw", draw) % len(self)
        return training_sample(self[index], n, seed=_cloud_seed(index, self.seed, self.split, draw // len(self)))

    def cloud(self, draw: int, n: int) -> PointCloud:
        """The points of :meth:`sample`: the same cloud as ``training_cloud(draw % size, n, draw=draw // size)``."""
        return self.sample(draw, n).cloud

    def _keep(self, index: int, shape: Mesh) -> None:
        self._shapes[index] = shape
        self._made += 1
        if self._progress is not None:
            self._progress(self._made, len(self))

    def _fill(self, workers: int) -> None:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        make = partial(_arrays, self._make)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for index, (vertices, faces) in enumerate(pool.map(make, range(len(self)), chunksize=5)):
                self._keep(index, Mesh(torch.from_numpy(vertices), torch.from_numpy(faces)))


def _arrays(make: Callable[[int], Mesh], index: int) -> tuple[np.ndarray, np.ndarray]:
    """A shape as arrays, which travel between processes by value."""
    mesh = make(index)
    return mesh.vertices.numpy(), mesh.faces.numpy()
