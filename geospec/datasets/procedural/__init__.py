"""Surfaces made by rule, any number of them: blobs, tori, mechanical parts, thin sheets.

Every surface is in one piece, has area 1 and its centre of area at the origin, and depends on its arguments alone: the same
on the same machine; elsewhere other rounding may move vertices or join them differently, on the same surface.

>>> mesh = mechanical_part(3)  # about 4,000 vertices, closed, with sharp edges
"""

from __future__ import annotations

import numpy as np
import torch

from ...errors import ArgumentError, one_of, problem
from ...shapes.mesh import Mesh
from . import blobs, parts, sheets, tori
from .contouring import contour

BLOB_STYLES = ("star", "limbs")
PART_KINDS = tuple(parts.PARTS)
SHEET_BENDS = ("roll", "wave")

_FEWEST = 1000  # vertices: fewer would not resolve a plate's thickness


def blob(seed: int, *, style: str | None = None, n_vertices: int = 4000, dtype: torch.dtype = torch.float64) -> Mesh:
    """A smooth closed surface.

    Parameters
    ----------
    style : ``"star"``, an ellipsoid with bumps and dents, every point seen from the centre: genus 0 and exactly ``n_vertices``.
        ``"limbs"``, balls and limbs melted together: genus 0 but where limbs happen to meet. ``None`` draws one.
    n_vertices : about so many, at least 1000.

    Cost: 0.05 to 0.3 s of one core at 4,000 vertices.
    """
    rng = _generator(seed, 0, n_vertices)
    make = blobs.star if _choice(rng, "style", style, BLOB_STYLES) == "star" else blobs.limbs
    return normalised(*make(rng, n_vertices), dtype)


def torus(seed: int, *, genus: int | None = None, n_vertices: int = 4000, dtype: torch.dtype = torch.float64) -> Mesh:
    """A closed smooth surface with handles.

    Parameters
    ----------
    genus : 1 is a tube of varying thickness along a closed curve, round, wavy or knotted. 2 and 3 are rings grown together in
        a chain. ``None`` draws one, half of them 1.
    n_vertices : about so many, at least 1000.

    Cost: 0.02 to 0.2 s of one core at 4,000 vertices.
    """
    rng = _generator(seed, 1, n_vertices)
    drawn = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    genus = drawn if genus is None else genus
    if genus not in (1, 2, 3):
        raise ArgumentError(problem("genus", "1, 2 or 3", genus))
    return normalised(*(tori.tube(rng, n_vertices) if genus == 1 else tori.rings(rng, n_vertices, genus)), dtype)


def mechanical_part(seed: int, *, kind: str | None = None, n_vertices: int = 4000, dtype: torch.dtype = torch.float64) -> Mesh:
    """A closed surface of boxes, cylinders and prisms joined and cut, with sharp edges and holes.

    Parameters
    ----------
    kind : one of ``PART_KINDS``: ``"plate"``, ``"bracket"``, ``"shaft"``, ``"flange"``, ``"gear"``, ``"housing"``; ``None`` draws one.
    n_vertices : about so many, at least 1000; below 2,000 rims may be uneven.

    Cost: 0.1 to 0.4 s of one core at 4,000 vertices.
    """
    rng = _generator(seed, 2, n_vertices)
    kind = _choice(rng, "kind", kind, PART_KINDS)
    solid = parts.PARTS[kind](rng)
    return normalised(*contour(solid, solid.gradient, n_vertices, rng), dtype)


def thin_sheet(
    seed: int, *, holes: int | None = None, bend: str | None = None, n_vertices: int = 4000, dtype: torch.dtype = torch.float64
) -> Mesh:
    """An open surface: a rectangle, ellipse or leaf with holes, bent.

    Parameters
    ----------
    holes : number of holes, 0 to 8; ``None`` draws 0 to 4.
    bend : ``"roll"`` bends about parallel lines, as paper does, without stretching; ``"wave"`` lifts it by waves; ``None`` draws one.
    n_vertices : about so many, at least 1000.

    Cost: 0.05 to 0.1 s of one core at 4,000 vertices.
    """
    rng = _generator(seed, 3, n_vertices)
    drawn = int(rng.integers(5))
    holes = drawn if holes is None else holes
    if not 0 <= holes <= 8:
        raise ArgumentError(problem("holes", "0 to 8", holes))
    bend = _choice(rng, "bend", bend, SHEET_BENDS)
    return normalised(*sheets.sheet(rng, n_vertices, holes, bend), dtype)


def _generator(seed: int, family: int, n_vertices: int) -> np.random.Generator:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(problem("seed", "a whole number from 0", seed))
    if n_vertices < _FEWEST:
        raise ArgumentError(problem("n_vertices", f"at least {_FEWEST}", n_vertices))
    return np.random.default_rng([int(seed), family])


def _choice(rng: np.random.Generator, argument: str, wanted: str | None, choices: tuple[str, ...]) -> str:
    """The choice asked for or a drawn one; drawn either way, so that what follows is the same."""
    drawn = choices[rng.integers(len(choices))]
    if wanted is not None:
        one_of(argument, wanted, choices)
    return wanted or drawn


def normalised(vertices: np.ndarray, faces: np.ndarray, dtype: torch.dtype) -> Mesh:
    """The mesh of area 1 about its centre of area."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    centre = (area[:, None] * (a + b + c) / 3).sum(0) / area.sum()
    return Mesh(torch.from_numpy((vertices - centre) / np.sqrt(area.sum())).to(dtype), torch.from_numpy(faces))


__all__ = ["BLOB_STYLES", "PART_KINDS", "SHEET_BENDS", "blob", "mechanical_part", "thin_sheet", "torus"]
