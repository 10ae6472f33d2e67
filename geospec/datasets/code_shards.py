"""Shards of shape codes, read for training: any item at random, or shard after shard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..codes import ShapeCode
from ..codes.shards import Place, code_of, read_bytes, read_places, read_record
from ..errors import ArgumentError, FileFormatError, problem
from ..training import mixed_seed, rank, world


class ShapeCodes(Dataset):
    """The codes in a folder of shards, as a map-style dataset of torch. The order is that of the shards' names, and of the codes in them.

    Each item is read from its place in its shard when it is asked for; no file is kept open, so a copy in a worker of a
    ``DataLoader``, forked or spawned, reads on its own.

    Parameters
    ----------
    folder : as :func:`geospec.pipelines.encode_collection` writes it, or any that holds such ``.tar`` files.
    packed : items are tensors ``(c, m0, m1, m2)`` as :meth:`geospec.ShapeCode.pack` gives them, (64, 46, 46, 46) at 256 cells, which a
        ``DataLoader`` stacks; else :class:`geospec.ShapeCode`, for which it wants ``collate_fn=list``.

    Raises
    ------
    FileNotFoundError : no such folder. FileFormatError : no shard in it; a shard that is cut short, damaged or another kind of tar; a key
        that stands in two of them. All shards are looked at when the folder is opened, about 0.05 ms a shape; the codes themselves, with
        their checksums, when they are read.
    """

    def __init__(self, folder: str | os.PathLike[str], *, packed: bool = False) -> None:
        self.folder, self.packed = Path(folder), packed
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no such folder: {self.folder}")
        shards = sorted(path.name for path in self.folder.glob("*.tar"))
        if not shards:
            raise FileFormatError(problem("folder", "shards of shape codes (.tar)", f"none in {self.folder}"))
        self._places = [(shard, place) for shard in shards for place in read_places(self.folder / shard)]
        self._position: dict[str, int] = {}
        for i, (shard, place) in enumerate(self._places):
            if self._position.setdefault(place.key, i) != i:
                first = self._places[self._position[place.key]][0]
                raise FileFormatError(problem("folder", "keys that stand once", f"{place.key!r} in {first} and {shard} of {self.folder}"))

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"ShapeCodes({len(self)} codes in {len({shard for shard, _ in self._places})} shards, {self.folder})"

    def __getitem__(self, which: int | str) -> ShapeCode | Tensor:
        """A code by position or key."""
        shard, place = self._place(which)
        path = self.folder / shard
        code = code_of(read_bytes(path, place.code), f"{path}: {place.key}")
        return code.pack() if self.packed else code

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all items, in order."""
        return tuple(place.key for _, place in self._places)

    def record(self, which: int | str) -> dict[str, Any]:
        """Where an item came from: ``source`` with its ``size``, ``mtime_ns``, ``sha256``, ``points`` and ``faces``, or ``cells`` of a
        distance field; the code's ``trees``."""
        shard, place = self._place(which)
        return read_record(self.folder / shard, place)

    def split(self, fraction: float, seed: int = 0) -> tuple[ShapeCodes, ShapeCodes]:
        """Two datasets: about ``fraction`` of the items, and the others.

        A hash of seed and key decides, so an item stays on its side when the collection grows.
        """
        if not 0 < fraction < 1:
            raise ArgumentError(problem("fraction", "a share between 0 and 1", repr(fraction)))
        first = [_draw(place.key, seed) < fraction for _, place in self._places]
        return self._those(first), self._those([not taken for taken in first])

    def stream(self, *, seed: int | None = None, epoch: int = 0) -> ShapeCodeStream:
        """The same items shard after shard, see :class:`ShapeCodeStream`."""
        return ShapeCodeStream(self, seed, epoch)

    def shards(self) -> list[range]:
        """Positions of each shard's items."""
        begins = [i for i, (shard, _) in enumerate(self._places) if i == 0 or shard != self._places[i - 1][0]]
        return [range(begin, end) for begin, end in zip(begins, [*begins[1:], len(self)], strict=True)]

    def _place(self, which: int | str) -> tuple[str, Place]:
        if isinstance(which, str) and which not in self._position:
            raise ArgumentError(problem("which", "a key, as in .keys", repr(which)))
        return self._places[self._position[which] if isinstance(which, str) else which]

    def _those(self, taken: list[bool]) -> ShapeCodes:
        part = object.__new__(ShapeCodes)
        part.folder, part.packed = self.folder, self.packed
        part._places = [place for place, mine in zip(self._places, taken, strict=True) if mine]
        part._position = {place.key: i for i, (_, place) in enumerate(part._places)}
        return part


class ShapeCodeStream(IterableDataset):
    """Codes shard after shard, which suits disks that are slow to seek. Whole shards are dealt out to the processes that train together and
    to the workers of each one's ``DataLoader``; where their number does not divide, some get a shard more.

    Parameters
    ----------
    codes : the dataset. seed : of the order of the shards and of the items in each; ``None`` leaves both as they are.
    epoch : each has an order of its own.
    """

    def __init__(self, codes: ShapeCodes, seed: int | None = None, epoch: int = 0) -> None:
        self.codes, self.seed, self.epoch = codes, seed, epoch

    def __iter__(self) -> Iterator[ShapeCode | Tensor]:
        shards: list[list[int]] = [list(shard) for shard in self.codes.shards()]
        if self.seed is not None:
            generator = torch.Generator().manual_seed(mixed_seed(self.seed, self.epoch))
            shards = [_shuffled(shard, generator) for shard in _shuffled(shards, generator)]
        worker = get_worker_info()
        number, count = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for shard in shards[rank() * count + number :: world() * count]:
            for i in shard:
                yield self.codes[i]


def _shuffled(items: list, generator: torch.Generator) -> list:
    return [items[i] for i in torch.randperm(len(items), generator=generator).tolist()]


def _draw(key: str, seed: int) -> float:
    """A number in [0, 1) that seed and key decide."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big") / 2**64
