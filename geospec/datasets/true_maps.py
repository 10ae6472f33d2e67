"""True functional maps of pairs of shapes made by rule: what a prior for functional maps learns from.

>>> maps = functional_maps(48_000, workers=2, cache=True)  # some minutes; the next call reads the file
>>> maps.maps.shape, maps.of("humanoid", "hand").maps.abs().mean()
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from itertools import combinations
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from ..bases import LaplaceBasis
from ..bases import cache as disk
from ..errors import ArgumentError, ConvergenceError, FileFormatError, one_of, problem
from ..shapes.mesh import Mesh
from ..writing import read_safetensors, write_safetensors
from .creatures import KINDS, _rest_mesh
from .procedural import normalised
from .rest_surfaces import MAP_FAMILIES, Arrays, RestSurface, creature_surface, drawn_surface, interpolation
from .training_shapes import SPLITS

Progress = Callable[[str, int, int], object]

#: Goes up whenever the same arguments may give other maps.
VERSION = 1

_WHAT = "functional maps"
_IDENTITIES, _POSES, _MESHES = 2, 6, 3  # of a group: twelve shapes on three meshes
_SHAPES = _IDENTITIES * _POSES
_PAIRS = list(combinations(range(_SHAPES), 2))  # 30 of 66 differ in pose alone; 48 of 66 in the mesh
_SURFACES = 8  # groups that a family has, though fewer would hold its pairs, where each still has as many pairs as shapes
_POOL = 8  # meshes of a kind of creature, of which each of its groups takes three
_VERTICES = (1900, 3100)  # of a mesh, drawn
_FINER = 1.8  # meshes of creatures that are contoured have so many times the vertices, for fingers and legs
_DEGENERATE = 4  # of the first fifteen gaps between eigenvalues below a hundredth: a surface of revolution, about
_DRAWS = 20


@dataclass(frozen=True, eq=False)
class FunctionalMaps:
    """True functional maps and what pairs they belong to; ``len`` is their number N.

    Attributes
    ----------
    maps : (N, k, k) float32, ``C`` carries coefficients of the source's modes (columns) to the target's (rows). Both shapes have
        area 1 and the modes of their ``"robust"`` Laplacians, with signs as they come: only ``|C|`` is free of them. The leading
        block of any size is the map of as many modes. Rounded to float16.
    family : (N,) int64 index into ``families``.
    pair : (N,) int64. Both directions of a pair of shapes have one number, and follow each other.
    base : (N,) int64. Maps of one number come from the same group of twelve shapes of one rest surface.
    stretch : (N,) float32, how far the pair is from an isometry: root mean square of the logarithm of how lengths change, over the
        target's edges. 0.05 to 0.1 is a change of pose, 0.3 another body.
    same_identity, same_mesh : (N,) bool, whether the two shapes differ in pose alone, and whether their vertices correspond.
    families : names, one for each index.
    """

    maps: Tensor
    family: Tensor
    pair: Tensor
    base: Tensor
    stretch: Tensor
    same_identity: Tensor
    same_mesh: Tensor
    families: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.maps)

    def __repr__(self) -> str:
        return f"FunctionalMaps({len(self)} maps of {self.k} x {self.k}, {len(self.families)} families)"

    @property
    def k(self) -> int:
        """Rows and columns of each map."""
        return self.maps.shape[-1]

    def of(self, *names: str) -> FunctionalMaps:
        """The maps of these families alone, in their old order; ``families`` and its indices stay.

        Raises
        ------
        ArgumentError : no such family here.
        """
        for name in names:
            one_of("names", name, self.families)
        wanted = torch.tensor([name in names for name in self.families])
        return self[wanted[self.family]]

    def __getitem__(self, index: Tensor | slice) -> FunctionalMaps:
        """Some of the maps: a slice, a mask (N,) or int64 indices."""
        return replace(self, **{name: getattr(self, name)[index] for name in _TENSORS})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, aside and renamed; maps as float16, 5 kB each for k = 50."""
        arrays = {name: getattr(self, name) for name in _TENSORS} | {"maps": self.maps.half()}
        write_safetensors(path, arrays, _WHAT, VERSION, families=json.dumps(self.families))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> FunctionalMaps:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError : no such file. FileFormatError : unreadable, something else, another version.
        """
        header, arrays = read_safetensors(path, _WHAT, VERSION)
        maps = arrays.get("maps")
        if set(arrays) != set(_TENSORS) or maps is None or maps.dim() != 3 or any(len(a) != len(maps) for a in arrays.values()):
            raise FileFormatError(problem(str(path), f"arrays of one length named {', '.join(_TENSORS)}", ", ".join(sorted(arrays))))
        return FunctionalMaps(**(arrays | {"maps": maps.float()}), families=tuple(json.loads(header.get("families", "[]"))))


_TENSORS = tuple(field.name for field in fields(FunctionalMaps) if field.name != "families")


def functional_maps(
    n: int,
    *,
    k: int = 50,
    families: Sequence[str] = MAP_FAMILIES,
    seed: int = 0,
    split: str = "train",
    workers: int = 0,
    cache: bool | str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> FunctionalMaps:
    """Make ``n`` true functional maps, as many of each family, both directions of each pair.

    Shapes come in groups of twelve of one rest surface: two identities in six poses each, spread over three meshes that were made
    independently. The pairs of a group are different ones, at most 66; 45 in a hundred differ in pose alone, 73 in the mesh. Values
    are carried between meshes of a rest surface by linear interpolation at the nearest point that faces the same way. A few maps
    come from as many rest surfaces as can be: eight a family, where each has at least twelve pairs.

    Parameters
    ----------
    n : number of maps. An odd number leaves the last pair of a family with one direction.
    k : rows and columns, up to 200.
    families : some of :data:`MAP_FAMILIES`. What a family gets depends on its own number of maps alone, not on the others.
    seed, split : the seeds of rest surfaces, identities, poses and meshes are even in ``"train"`` and odd in ``"validation"``:
        whatever ``seed``, the two share none.
    workers : processes, on one thread each; 0 works in this one. The result is the same. A script that uses them needs the usual
        ``if __name__ == "__main__":``.
    cache : a folder to keep the result in, or ``True`` for the user's cache folder; a file is named after all that decides it.
    progress : called as ``progress("meshes", done, total)``, then ``progress("maps", done, n)``.

    Cost: 20 ms of one core a map; 600 kB of memory for each hundred maps of 50 x 50, half of it on disk.
    """
    names = _checked(n, k, families, seed, split, workers)
    if cache is None or cache is False:
        return _made(n, k, names, seed, split, workers, progress)
    key = json.dumps([VERSION, n, k, names, int(seed), split])
    path = disk.folder(cache) / f"functional-maps-{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    stored = disk.read(path, FunctionalMaps)
    if stored is None:
        stored = _made(n, k, names, seed, split, workers, progress)
        stored.save(path)
    return stored


def deformed_pair(family: str, seed: int = 0, *, n_vertices: int = 2500) -> tuple[Mesh, Mesh, Tensor]:
    """Two shapes of a family that differ in identity, pose and mesh: ``(source, target, target_to_source)``.

    They are of the kind that ``functional_maps(split="validation")`` uses, and in no training data. The meshes have area 1 and about
    ``n_vertices`` vertices (creatures exactly). ``target_to_source (n_t,)`` int64 names a source vertex for each target vertex: the
    nearest corner of the face on which it lies at rest. Cost: 0.5 s of one core; creatures, whose meshes are those of
    :func:`creature`, 3 s each.
    """
    one_of("family", family, MAP_FAMILIES)
    if n_vertices < 1000:
        raise ArgumentError(problem("n_vertices", "at least 1000, so that fingers and ears keep their shape", n_vertices))
    of_family = MAP_FAMILIES.index(family)
    base = partial(_seed, "validation", _whole("seed", seed), of_family, 9)
    surface = creature_surface(family) if family in KINDS else _regular_surface(family, base)[0]
    meshes = []
    for i in range(2):
        if family in KINDS:
            meshes.append(_rest_mesh(family, n_vertices, base(1, i)))
        else:
            meshes.append(surface.mesh(n_vertices, np.random.default_rng([base(1, i), 2])))
    source, target = (
        normalised(surface.deform(vertices, base(2, i), base(3, i)), faces, torch.float64) for i, (vertices, faces) in enumerate(meshes)
    )
    nearest = interpolation(meshes[0], meshes[1])
    heaviest = [nearest.indices[a:b][nearest.data[a:b].argmax()] for a, b in zip(nearest.indptr[:-1], nearest.indptr[1:], strict=True)]
    return source, target, torch.tensor(np.array(heaviest), dtype=torch.int64)


def _checked(n: int, k: int, families: Sequence[str], seed: int, split: str, workers: int) -> tuple[str, ...]:
    if _whole("n", n) < 1:
        raise ArgumentError(problem("n", "at least 1 map", n))
    if not 1 <= _whole("k", k) <= 200:
        raise ArgumentError(problem("k", "1 to 200 modes", k))
    names = (families,) if isinstance(families, str) else tuple(families)
    for name in names:
        one_of("families", name, MAP_FAMILIES)
    if not names or len(set(names)) < len(names):
        raise ArgumentError(problem("families", "different names, at least one", names))
    _whole("seed", seed)
    one_of("split", split, SPLITS)
    _whole("workers", workers)
    return names


def _whole(argument: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ArgumentError(problem(argument, "a whole number from 0", value))
    return int(value)


def _seed(split: str, *words: int) -> int:
    """62 bits, even in ``"train"``, odd in ``"validation"``."""
    drawn = np.random.SeedSequence(words).generate_state(1, np.uint64)[0]
    return 2 * (int(drawn) >> 3) + SPLITS.index(split)


@dataclass(frozen=True)
class _Group:
    """Some pairs of twelve shapes of one rest surface; everything in it follows from these."""

    family: str
    index: int
    pairs: int
    seed: int
    split: str

    def draw(self, *words: int) -> int:
        return _seed(self.split, self.seed, MAP_FAMILIES.index(self.family), 0, self.index, *words)

    @property
    def chosen(self) -> list[tuple[int, int]]:
        """The pairs (source, target)."""
        order = np.random.default_rng(self.draw(0)).permutation(len(_PAIRS))
        return [_PAIRS[i] for i in order[: self.pairs]]

    @property
    def meshes(self) -> list[int]:
        """Three numbers, of the pool's meshes where the family has one rest surface."""
        return [int(i) for i in np.random.default_rng(self.draw(1)).permutation(_POOL)[:_MESHES]]

    def mesh_of(self, shape: int) -> int:
        return self.meshes[shape % _MESHES]


def _made(n: int, k: int, names: tuple[str, ...], seed: int, split: str, workers: int, progress: Progress | None) -> FunctionalMaps:
    counts = {name: n // len(names) + (i < n % len(names)) for i, name in enumerate(names)}
    groups = [group for name, count in counts.items() for group in _groups(name, (count + 1) // 2, seed, split)]
    maps = torch.empty(n, k, k)
    rows: dict[str, list[Tensor]] = {name: [] for name in _TENSORS if name != "maps"}
    done = pairs = 0
    with _tasks(workers) as run:
        pool = _pool(groups, run, progress)
        tasks = [(group, k, {i: pool[group.family, i] for i in group.meshes if (group.family, i) in pool}) for group in groups]
        for i, (group, made) in enumerate(zip(groups, run(_group_maps, tasks), strict=True)):
            count = min(len(made["maps"]), counts[group.family])  # the last pair of a family may have one direction
            counts[group.family] -= count
            maps[done : done + count] = torch.from_numpy(made["maps"][:count]).float()
            rows["pair"].append(pairs + torch.arange(count) // 2)
            rows["family"].append(torch.full((count,), names.index(group.family)))
            rows["base"].append(torch.full((count,), i))
            for name in ("stretch", "same_identity", "same_mesh"):
                rows[name].append(torch.from_numpy(made[name][:count]))
            done, pairs = done + count, pairs + group.pairs
            if progress is not None:
                progress("maps", done, n)
    return FunctionalMaps(maps, **{name: torch.cat(found) for name, found in rows.items()}, families=names)


def _groups(family: str, pairs: int, seed: int, split: str) -> list[_Group]:
    """The groups among which a family's pairs are shared out."""
    number = max(-(-pairs // len(_PAIRS)), min(_SURFACES, pairs // _SHAPES))
    return [_Group(family, i, pairs // number + (i < pairs % number), seed, split) for i in range(number)]


def _pool(
    groups: Iterable[_Group], run: Callable[[Callable, Iterable], Iterator], progress: Progress | None
) -> dict[tuple[str, int], Arrays]:
    """The meshes of kinds of creatures that groups use, by kind and number; they cost too much to make anew for each group."""
    wanted = {(g.family, g.mesh_of(s)): g for g in groups if g.family in KINDS for pair in g.chosen for s in pair}
    order = sorted(wanted)
    seeds = [(name, i, _seed(wanted[name, i].split, wanted[name, i].seed, MAP_FAMILIES.index(name), 1, i)) for name, i in order]
    pool: dict[tuple[str, int], Arrays] = {}
    for key, mesh in zip(order, run(_creature_mesh, seeds), strict=True):
        pool[key] = mesh
        if progress is not None:
            progress("meshes", len(pool), len(order))
    return pool


@contextmanager
def _tasks(workers: int) -> Iterator[Callable[[Callable, Iterable], Iterator]]:
    """A ``map`` over tasks, in this process or in others; one thread each, for the same sums in the same order."""
    if workers:
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield pool.map
        finally:
            pool.shutdown(cancel_futures=True)  # where the caller stops early, what was not begun is not made
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield map
    finally:
        torch.set_num_threads(threads)


def _creature_mesh(task: tuple[str, int, int]) -> Arrays:
    """Mesh of a kind's pool: even numbers are remeshed to equal faces, odd ones contoured, with more vertices."""
    kind, number, seed = task
    rng = np.random.default_rng([seed, 2])
    n = int(rng.integers(*_VERTICES))
    if number % 2 == 0:
        return _rest_mesh(kind, n, seed)
    n = int(_FINER * n)
    while True:
        try:
            return creature_surface(kind).mesh(n, rng)
        except ConvergenceError:  # fingers or legs thinner than a cube
            n = int(1.25 * n)


def _regular_surface(family: str, base: Callable[..., int]) -> tuple[RestSurface, int]:
    """A drawn surface that meshes, and of which hardly any eigenvalue is double: the modes of those would be arbitrary."""
    for attempt in range(_DRAWS):
        try:
            surface = drawn_surface(family, base(0, attempt))
            vertices, faces = surface.mesh(_VERTICES[0], np.random.default_rng([base(0, attempt), 4]))
        except ConvergenceError:
            continue
        shape = normalised(surface.deform(vertices, base(2, 0), base(3, 0)), faces, torch.float64)
        eigenvalues = LaplaceBasis.fit(shape, 17).eigenvalues[1:]
        if int((eigenvalues.diff() < 0.01 * eigenvalues[1:]).sum()) < _DEGENERATE:
            return surface, attempt
    raise ConvergenceError(f"functional_maps: none of {_DRAWS} surfaces of the family {family!r} meshes and is without symmetry")


def _group_maps(task: tuple[_Group, int, dict[int, Arrays]]) -> dict[str, np.ndarray]:
    """The maps of a group, both directions of each pair in turn, and their rows of the table."""
    group, k, meshes = task
    surface = creature_surface(group.family) if group.family in KINDS else _regular_surface(group.family, group.draw)[0]
    identities = [group.draw(2, i) for i in range(_IDENTITIES)]

    @cache
    def mesh(number: int) -> Arrays:
        if group.family in KINDS:
            return meshes[number]
        rng = np.random.default_rng([group.draw(1, number), 2])
        return surface.mesh(int(rng.integers(*_VERTICES)), rng)

    @cache
    def shape(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rest, faces = mesh(group.mesh_of(number))
        made = normalised(surface.deform(rest, identities[number // _POSES], group.draw(3, number)), faces, torch.float64)
        basis = LaplaceBasis.fit(made, k)
        return made.vertices.numpy(), basis.modes.numpy(), basis.measure.numpy()

    @cache
    def between(source: int, target: int):
        return interpolation(mesh(source), mesh(target))

    @cache
    def carried(number: int, onto: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions and modes of a shape at the vertices of a mesh."""
        points, modes, _ = shape(number)
        home = group.mesh_of(number)
        return (points, modes) if home == onto else (between(home, onto) @ points, between(home, onto) @ modes)

    maps, stretch = [], []
    for pair in group.chosen:
        both = []
        for source, target in (pair, pair[::-1]):
            points, modes, measure = shape(target)
            at, source_modes = carried(source, group.mesh_of(target))
            maps.append((modes.T * measure @ source_modes).astype(np.float16))
            both.append(_stretch(at, points, mesh(group.mesh_of(target))[1]))
        stretch += [np.sqrt(np.mean(np.square(both)))] * 2
    twice = np.repeat(np.array(group.chosen), 2, axis=0)
    return {
        "maps": np.stack(maps),
        "stretch": np.array(stretch, dtype=np.float32),
        "same_identity": twice[:, 0] // _POSES == twice[:, 1] // _POSES,
        "same_mesh": twice[:, 0] % _MESHES == twice[:, 1] % _MESHES,
    }


def _stretch(source: np.ndarray, target: np.ndarray, faces: np.ndarray) -> float:
    """Root mean square of the logarithm of the ratio of the lengths of the faces' sides."""
    source_sides, target_sides = (np.linalg.norm(x[faces] - x[faces[:, [1, 2, 0]]], axis=2) for x in (source, target))
    kept = (source_sides > 1e-6) & (target_sides > 1e-6)
    return float(np.sqrt(np.mean(np.log(source_sides[kept] / target_sides[kept]) ** 2)))


__all__ = ["FunctionalMaps", "deformed_pair", "functional_maps"]
