"""Solids made by rule, any number of them, as distance fields and as closed meshes: what shape codes are tried on.

Furniture, vessels, machine elements, grown and elementary bodies. Each fills the middle nine tenths of the box ``[-1, 1]^3`` along its
longest side, z upwards, and depends on its family and seed alone.

>>> mesh = solid("chair", seed=3)
>>> field = solid_field("gyroid", seed=0, resolution=128)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import torch

from ..errors import ArgumentError, one_of, problem
from ..shapes.grid import DistanceField, Grid
from ..shapes.mesh import Mesh
from .procedural.objects import OBJECTS
from .procedural.solids import Solid

_SIDE = 1.8  # of the box that holds a solid
_BLOCK = 4  # cells along the side of a block that is left out as a whole
_SLACK = 1.25  # by which a value may grow faster than the distance, along tubes whose radius changes
_POINTS = 1 << 19  # evaluated at once


def solid_families() -> tuple[str, ...]:
    """Names of all families."""
    return tuple(OBJECTS)


def solid(family: str, seed: int = 0, *, resolution: int = 64) -> Mesh:
    """A closed mesh of a solid, faces counter-clockwise seen from outside, float32.

    Parameters
    ----------
    family : one of :func:`solid_families`.
    seed : what the solid is drawn from.
    resolution : cells along a side of the box whose isosurface the mesh is; edges are rounded to about a cell.

    Cost: 0.01 to 0.14 s of one core at 64 cells, where most meshes have 4,000 to 50,000 faces.
    """
    return solid_field(family, seed, resolution, truncation=4.0 / resolution).surface()


def solid_field(family: str, seed: int = 0, resolution: int = 256, truncation: float = 0.1) -> DistanceField:
    """The solid's own function on the grid of the box ``[-1, 1]^3``, cut at ``truncation``, float32.

    Its sign is exact. Its size is the distance for elementary bodies, and below it near the edges of what is cut and joined and
    beside turned, wavy and threaded walls. The seed draws the same solid at any resolution.

    Cost: 0.3 to 6.5 s of one core at 256 cells, the more the more parts there are.
    """
    one_of("family", family, tuple(OBJECTS))
    for name, value, least in (("seed", seed, 0), ("resolution", resolution, 8)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ArgumentError(problem(name, f"a whole number from {least}", value))
    if not truncation > 0:
        raise ArgumentError(problem("truncation", "a positive distance", truncation))
    drawn = OBJECTS[family](np.random.default_rng([seed, zlib.crc32(family.encode())]))
    middle, longest = (drawn.lower + drawn.upper) / 2, float((drawn.upper - drawn.lower).max())
    return sampled(drawn.at(-middle).scaled(_SIDE / longest), resolution, truncation)


def solids(n: int, seed: int = 0, *, resolution: int = 64) -> Iterator[Mesh]:
    """``n`` meshes of :func:`solid`: number ``i`` is of family ``i % len(solid_families())``, and does not depend on ``n``."""
    families = solid_families()
    for i in range(n):
        yield solid(families[i % len(families)], int(np.random.SeedSequence([seed, i]).generate_state(1)[0]), resolution=resolution)


def sampled(body: Solid, resolution: int, truncation: float) -> DistanceField:
    """The function of a solid as it stands, at the centres of the cells of the box ``[-1, 1]^3``.

    Blocks of cells that cannot come within the truncation are told by their middles: most of the box.
    """
    grid = Grid.box(-1.0, 1.0, resolution)
    axis = (np.arange(resolution) + 0.5) * (2 / resolution) - 1
    starts = np.arange(0, resolution, _BLOCK)
    count = len(starts)
    centre = np.array([axis[s : s + _BLOCK].mean() for s in starts])
    block = np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)  # z, y, x
    rough = body.value(centre[block[:, ::-1]])
    cells = np.repeat((np.sign(rough) * truncation).astype(np.float32)[:, None], _BLOCK**3, axis=1)
    near = np.flatnonzero(np.abs(rough) < truncation + _SLACK * np.sqrt(3) * (_BLOCK - 1) / resolution)  # half a block's diagonal more
    inner = np.stack(np.meshgrid(*[np.arange(_BLOCK)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    axis = np.concatenate([axis, np.ones(-resolution % _BLOCK)])  # cells past the box fill up its last blocks
    for some in np.array_split(near, max(1, len(near) * _BLOCK**3 // _POINTS)):
        index = starts[block[some]][:, None] + inner
        cells[some] = body.value(axis[index[..., ::-1].reshape(-1, 3)]).clip(-truncation, truncation).reshape(len(some), -1)
    whole = cells.reshape(count, count, count, _BLOCK, _BLOCK, _BLOCK).transpose(0, 3, 1, 4, 2, 5).reshape([count * _BLOCK] * 3)
    return DistanceField(torch.from_numpy(np.ascontiguousarray(whole[:resolution, :resolution, :resolution])), grid, truncation)
