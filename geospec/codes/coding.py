"""Coefficients as streams of bytes and back, in an order that leaves little to tell.

Three things are known before a detail is told: which side of the surface each coarse cell lies on, how far it is from a cell of the other
side, and how large the details one level coarser are. Details far from the surface are rounded to wider steps, since they do not move it;
and all are told in the order of the size that they are expected to have, so that a general compressor, which adapts as it goes, codes each
size with its own table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import ArgumentError, problem
from .tokens import from_tokens, rest_length, to_tokens, unzigzag, zigzag

#: A stream's kind, level and content.
Stream = tuple[str, int, bytes]
#: Gives the content of a stream of a kind, a level and a length in bytes.
Source = Callable[[str, int, int], bytes]


class Coefficients(NamedTuple):
    """A code's numbers as arrays: all of the coarse grid ``(m0, m1, m2)``, the kept cells ``(K,)`` ascending, and the details of each level
    that trees keep, coarse to fine, ``(K, 7)``, ``(K, 56)``, ..."""

    coarse: np.ndarray
    cells: np.ndarray
    details: list[np.ndarray]


@dataclass(frozen=True)
class Quantiser:
    """Rounds coefficients to the nearest whole number of steps.

    Parameters
    ----------
    steps : in halves of the box's longest side, by the :func:`rings` of trees: the first holds for the coarse grid too. Powers of two, so
        that what is read is the same everywhere and is not changed by another writing.
    """

    steps: tuple[float, float, float]

    def rounded(self, exact: Coefficients) -> Coefficients:
        """Whole numbers of steps; trees of zeros are left out.

        Raises
        ------
        ArgumentError : a coefficient of more than 2^30 steps, or not finite.
        """
        most = max((float(np.abs(part).max(initial=0)) for part in (exact.coarse, *exact.details)), default=0.0)
        if not most < 2**30 * self.steps[0]:
            raise ArgumentError(problem("coefficients", f"below 2^30 steps of {self.steps[0]:g}", f"{most:g}", "use the preset 'lossless'"))
        coarse = np.rint(exact.coarse / self.steps[0]).astype(np.int64)
        steps = self._of_trees(coarse, exact.cells)
        details = [np.rint(detail / steps).astype(np.int64) for detail in exact.details]
        told = np.zeros(len(exact.cells), dtype=bool)
        for detail in details:
            told |= detail.any(axis=1)
        return Coefficients(coarse, exact.cells[told], [detail[told] for detail in details])

    def restored(self, whole: Coefficients) -> Coefficients:
        """The coefficients, in float64, that :meth:`rounded` made whole numbers of."""
        steps = self._of_trees(whole.coarse, whole.cells)
        return Coefficients(whole.coarse * self.steps[0], whole.cells, [detail * steps for detail in whole.details])

    def _of_trees(self, coarse: np.ndarray, index: np.ndarray) -> np.ndarray:
        return np.asarray(self.steps)[rings(coarse)[index]][:, None]


def rings(cells: np.ndarray) -> np.ndarray:
    """How far each coarse cell is from one of the other sign, flattened: 0 next to it, 1 two cells off, 2 farther."""
    inside, outside = cells < 0, cells >= 0
    ring = np.full(cells.shape, 2, dtype=np.int8)
    for _reach in (1, 2):
        inside, outside = _grown(inside), _grown(outside)
        ring -= inside & outside
    return ring.ravel()


def encoded(whole: Coefficients, saturated: int) -> Iterator[Stream]:
    """Streams of whole numbers of steps: the coarse grid, which trees are kept, and their details level by level.

    ``saturated`` is the number of steps from zero to a coarse cell far from the surface: the nearer to it, the less there is to tell.
    """
    coarse, index, details = whole
    yield "sign", 0, bitmap(coarse < 0)
    yield from _told("size", 0, zigzag(saturated - np.abs(coarse)).ravel())
    yield "tree", 0, bitmap(kept_cells(whole))
    if details:
        nearest_first = np.argsort(rings(coarse)[index], kind="stable")
        yield from _told("vals", 0, zigzag(details[0][nearest_first]).ravel())
    for level in range(1, len(details)):
        expected, eights = _expected(details[level - 1]), details[level].reshape(-1, 8)
        yield "mask", level, bitmap(eights[np.argsort(expected, kind="stable")] != 0)
        values = eights[_by_count(expected, eights != 0)].ravel()
        yield from _told("vals", level, zigzag(values[values != 0]) - 1)


def decoded(source: Source, shape: tuple[int, ...], levels: int, saturated: int) -> Coefficients:
    """The whole numbers of the streams of :func:`encoded`, with the details of so many levels; without any, no tree is told either."""
    count = int(np.prod(shape))
    inside = bits(source, "sign", 0, count)
    size = np.abs(saturated - unzigzag(_heard(source, "size", 0, count)))
    coarse = np.where(inside, -size, size).reshape(shape)
    if levels == 0:
        return Coefficients(coarse, np.zeros(0, dtype=np.int64), [])
    index = np.flatnonzero(bits(source, "tree", 0, count))
    first = np.empty((len(index), 7), dtype=np.int64)
    first[np.argsort(rings(coarse)[index], kind="stable")] = unzigzag(_heard(source, "vals", 0, first.size)).reshape(first.shape)
    details = [first]
    for level in range(1, levels):
        expected = _expected(details[-1])
        told = np.empty((len(expected), 8), dtype=bool)
        told[np.argsort(expected, kind="stable")] = bits(source, "mask", level, told.size).reshape(told.shape)
        order = _by_count(expected, told)
        in_order = np.zeros(told.shape, dtype=np.int64)
        in_order[told[order]] = unzigzag(_heard(source, "vals", level, int(told.sum())) + 1)
        eights = np.empty_like(in_order)
        eights[order] = in_order
        details.append(eights.reshape(len(index), 7 * 8**level))
    return Coefficients(coarse, index, details)


def encoded_exactly(exact: Coefficients) -> Iterator[Stream]:
    """Streams of floats as they are, in which bytes of the same weight stand together."""
    yield "size", 0, _planes(exact.coarse)
    yield "tree", 0, bitmap(kept_cells(exact))
    for level, detail in enumerate(exact.details):
        yield "vals", level, _planes(detail)


def decoded_exactly(source: Source, shape: tuple[int, ...], widths: Sequence[int], dtype: np.dtype) -> Coefficients:
    """The floats of the streams of :func:`encoded_exactly`, with the details of as many levels as there are widths."""
    coarse = _floats(source, "size", 0, shape, dtype)
    if not widths:
        return Coefficients(coarse, np.zeros(0, dtype=np.int64), [])
    index = np.flatnonzero(bits(source, "tree", 0, coarse.size))
    return Coefficients(coarse, index, [_floats(source, "vals", level, (len(index), width), dtype) for level, width in enumerate(widths)])


def _expected(parents: np.ndarray) -> np.ndarray:
    """A number that grows with the size to expect of each eight details ``(8 K 8^(level - 1),)``, of the details one level coarser.

    Details follow those of their own band above them, and less the others of their tree.
    """
    bands = np.abs(parents).reshape(len(parents), 7, parents.shape[1] // 7).sum(axis=2)
    expected = 8 * bands + bands.sum(axis=1, keepdims=True)
    return np.repeat(expected.ravel(), parents.shape[1] // 7)


def _by_count(expected: np.ndarray, told: np.ndarray) -> np.ndarray:
    """The order of eights by expected size and by how many of the eight are not zero, which tells of the size of those."""
    return np.argsort(expected * (2 + told.sum(axis=1)), kind="stable")


def _grown(cells: np.ndarray) -> np.ndarray:
    """Cells that are set or have a set one among their 3^3 neighbours."""
    for axis in range(3):
        padded = np.pad(cells, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        n = cells.shape[axis]
        cells = padded.take(range(n), axis) | padded.take(range(1, n + 1), axis) | padded.take(range(2, n + 2), axis)
    return cells


def kept_cells(coefficients: Coefficients) -> np.ndarray:
    """Which coarse cells have a tree, flattened."""
    kept = np.zeros(coefficients.coarse.size, dtype=bool)
    kept[coefficients.cells] = True
    return kept


def bitmap(flags: np.ndarray) -> bytes:
    """Eight flags a byte, the first in the highest bit."""
    return np.packbits(flags.ravel()).tobytes()


def bits(source: Source, kind: str, level: int, count: int) -> np.ndarray:
    """The flags of a stream that :func:`bitmap` made."""
    return np.unpackbits(np.frombuffer(source(kind, level, (count + 7) // 8), np.uint8), count=count).astype(bool)


def _planes(values: np.ndarray) -> bytes:
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    return little.reshape(-1, 1).view(np.uint8).T.tobytes()


def _floats(source: Source, kind: str, level: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    count = int(np.prod(shape))
    planes = np.frombuffer(source(kind, level, count * dtype.itemsize), np.uint8).reshape(dtype.itemsize, count)
    return np.ascontiguousarray(planes.T).view(dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def _told(kind: str, level: int, values: np.ndarray) -> Iterator[Stream]:
    tokens, rest = to_tokens(values)
    yield kind, level, tokens
    yield "rest", level, rest


def _heard(source: Source, kind: str, level: int, count: int) -> np.ndarray:
    tokens = np.frombuffer(source(kind, level, count), np.uint8)
    return from_tokens(tokens, source("rest", level, rest_length(tokens)))
