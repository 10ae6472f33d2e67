"""A z-buffer in NumPy: which triangle or disc is seen through each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera import Projection

#: Pixels touched at a time: large enough to hide Python's overhead, small enough for a few hundred MB.
_BLOCK = 1 << 21


@dataclass(frozen=True)
class Fragments:
    """What is seen, one row per covered pixel.

    ``pixel (p,)`` is ``row * width + column``, ``primitive (p,)`` the face or point, ``corners (p, c)``
    the points it blends with ``weights (p, c)`` (c = 3 or 1), ``depth (p,)`` as in the projection.
    """

    pixel: NDArray[np.int64]
    primitive: NDArray[np.int64]
    corners: NDArray[np.int64]
    weights: NDArray[np.float32]
    depth: NDArray[np.float32]

    def blend(self, values: NDArray) -> NDArray[np.float32]:
        """Values of points ``(n,)`` or ``(n, c)``, interpolated at each fragment."""
        picked = np.asarray(values, dtype=np.float32)[self.corners]
        return np.einsum("pc...,pc->p...", picked, self.weights)

    def blend_corners(self, values: NDArray) -> NDArray[np.float32]:
        """Values of face corners ``(f, 3, c)``, interpolated at each fragment."""
        return np.einsum("pcd,pc->pd", np.asarray(values, dtype=np.float32)[self.primitive], self.weights)


class _DepthBuffer:
    """Nearest primitive per pixel: the depth's bits above the primitive's index, so a minimum keeps both."""

    def __init__(self, width: int, height: int) -> None:
        self.keys = np.full(width * height, np.iinfo(np.uint64).max, dtype=np.uint64)

    def add(self, pixel: NDArray, depth: NDArray, primitive: NDArray) -> None:
        bits = np.maximum(depth, 0).astype(np.float32).view(np.uint32)  # for floats >= 0, bits sort like numbers
        np.minimum.at(self.keys, pixel, bits.astype(np.uint64) << np.uint64(32) | primitive.astype(np.uint64))

    def seen(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        pixel = np.flatnonzero(self.keys != np.iinfo(np.uint64).max)
        keys = self.keys[pixel]
        return pixel, (keys & np.uint64(0xFFFFFFFF)).astype(np.int64), (keys >> np.uint64(32)).astype(np.uint32).view(np.float32)


def triangles(projection: Projection, faces: NDArray[np.int64], width: int, height: int) -> Fragments:
    """Fragments of triangles ``(f, 3)``, both sides, sampled at pixel centres.

    Every face is cut into the rows of pixels it meets, every row into the pixels between its two
    edges; cost is proportional to rows and pixels covered, not to boxes.
    """
    buffer = _DepthBuffer(width, height)
    corners = projection.screen[faces]
    depth = projection.depth[faces]
    for block in _blocks(corners, width, height):
        _scan(buffer, block, corners[block], depth[block], width, height)
    pixel, face, nearest = buffer.seen()
    weights = _weights(corners[face], projection.inverse_w[faces[face]], pixel, width)
    return Fragments(pixel, face, faces[face], weights, nearest)


def _blocks(corners: NDArray, width: int, height: int) -> Iterator[NDArray[np.int64]]:
    """Faces in blocks of bounded area; faces outside the picture are left out."""
    low, high = corners.min(axis=1), corners.max(axis=1)
    inside = np.flatnonzero((high > 0).all(axis=1) & (low < [width, height]).all(axis=1))
    clipped = np.minimum(high, [width, height]) - np.maximum(low, 0) + 1
    work = np.cumsum(clipped[inside].prod(axis=1))
    cuts = np.searchsorted(work, np.arange(_BLOCK, work[-1] if len(work) else 0, _BLOCK))
    return (block for block in np.split(inside, np.unique(cuts)) if len(block))


def expand(first: NDArray, last: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``(owner, value)`` of all integers in the closed ranges ``first..last``, one after the other."""
    count = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + first[owner]


def _scan(buffer: _DepthBuffer, face: NDArray, corners: NDArray, depth: NDArray, width: int, height: int) -> None:
    x, y = corners[..., 0], corners[..., 1]
    top = np.maximum(np.ceil(y.min(axis=1) - 0.5), 0).astype(np.int64)
    bottom = np.minimum(np.floor(y.max(axis=1) - 0.5), height - 1).astype(np.int64)
    owner, row = expand(top, bottom)
    at = row + 0.5
    left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        rise = (y[:, b] - y[:, a])[owner]
        along = (at - y[owner, a]) / np.where(rise == 0, np.nan, rise)
        meets = (along >= 0) & (along <= 1)  # a level side meets no row: the other two carry its ends
        cross = x[owner, a] + along * (x[:, b] - x[:, a])[owner]
        left = np.where(meets & (cross < left), cross, left)
        right = np.where(meets & (cross > right), cross, right)
    hit = left <= right
    owner, row, left, right = owner[hit], row[hit], left[hit], right[hit]
    slack = 1e-9 * width  # pixel centres on a shared edge must not fall between its two faces
    first = np.maximum(np.ceil(left - 0.5 - slack), 0).astype(np.int64)
    last = np.minimum(np.floor(right - 0.5 + slack), width - 1).astype(np.int64)
    span, column = expand(first, last)
    slope_x, slope_y = _depth_slopes(corners, depth)
    start = depth[owner, 0] + slope_x[owner] * (0.5 - x[owner, 0]) + slope_y[owner] * (row + 0.5 - y[owner, 0])
    value = start[span] + slope_x[owner][span] * column
    near, far = depth.min(axis=1)[owner], depth.max(axis=1)[owner]
    value = np.clip(value, near[span], far[span])  # slopes of faces seen edge-on are huge
    buffer.add((row * width)[span] + column, value, face[owner][span])


def _depth_slopes(corners: NDArray, depth: NDArray) -> tuple[NDArray, NDArray]:
    (ux, uy), (vx, vy) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    du, dv = depth[:, 1] - depth[:, 0], depth[:, 2] - depth[:, 0]
    area = ux * vy - uy * vx
    area = np.where(np.abs(area) < 1e-12, np.inf, area)
    return (du * vy - dv * uy) / area, (dv * ux - du * vx) / area


def _weights(corners: NDArray, inverse_w: NDArray, pixel: NDArray, width: int) -> NDArray[np.float32]:
    """Barycentric weights ``(p, 3)`` of pixel centres, corrected for perspective."""
    centre = np.stack([pixel % width + 0.5, pixel // width + 0.5], axis=1)
    to = corners - centre[:, None]
    raw = np.stack([to[:, i, 0] * to[:, j, 1] - to[:, i, 1] * to[:, j, 0] for i, j in ((1, 2), (2, 0), (0, 1))], axis=1)
    total = raw.sum(axis=1, keepdims=True)
    flat = np.abs(total) < 1e-12
    raw = np.clip(np.where(flat, 1 / 3, raw / np.where(flat, 1, total)), 0, 1) * inverse_w
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def discs(projection: Projection, radius: NDArray[np.float64], width: int, height: int) -> Fragments:
    """Fragments of points drawn as discs of ``radius (n,)`` (shape units) that face the viewer.

    A disc bulges towards the viewer, so that where discs overlap each pixel goes to the nearest centre.
    Discs are at least 0.7 pixels in radius.
    """
    buffer = _DepthBuffer(width, height)
    pixels = np.maximum(radius * projection.pixels_per_unit, 0.7)
    x, y = projection.screen.T
    bulge = 0.5 * radius * projection.depth_per_unit
    first, last = np.ceil(y - pixels - 0.5), np.floor(y + pixels - 0.5)
    order = np.arange(len(x))
    for block in np.array_split(order, max(1, int((pixels**2).sum() * 4 // _BLOCK))):
        owner, row = expand(np.maximum(first[block], 0).astype(np.int64), np.minimum(last[block], height - 1).astype(np.int64))
        point = block[owner]
        half = np.sqrt(np.maximum(pixels[point] ** 2 - (row + 0.5 - y[point]) ** 2, 0))
        start = np.maximum(np.ceil(x[point] - half - 0.5), 0).astype(np.int64)
        span, column = expand(start, np.minimum(np.floor(x[point] + half - 0.5), width - 1).astype(np.int64))
        row, point = row[span], point[span]
        away = ((column + 0.5 - x[point]) ** 2 + (row + 0.5 - y[point]) ** 2) / pixels[point] ** 2
        buffer.add(row * width + column, projection.depth[point] + bulge[point] * away, point)
    pixel, point, nearest = buffer.seen()
    return Fragments(pixel, point, point[:, None], np.ones((len(point), 1), dtype=np.float32), nearest)
