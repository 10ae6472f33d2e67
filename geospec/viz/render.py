"""Pictures of shapes without a display: software rendering in NumPy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import ops
from ..errors import ArgumentError, problem
from ..shapes.cloud import PointCloud
from ..shapes.mesh import Mesh
from ..writing import written_aside
from .camera import View, project
from .colormaps import MISSING, PLAIN, choose, colorize
from .raster import Fragments, discs, expand, triangles

if TYPE_CHECKING:
    from PIL.Image import Image

#: Faces that meet at a larger angle than this are not smoothed into each other.
_CREASE = np.radians(42)
_KEY = np.array([-0.42, 0.56, 0.71], dtype=np.float32)
_FILL = np.array([0.71, 0.10, 0.70], dtype=np.float32)


def render(
    shape: Mesh | PointCloud,
    *,
    colors: ArrayLike | None = None,
    colormap: str | None = None,
    limits: tuple[float, float] | None = None,
    size: tuple[int, int] = (800, 600),
    view: View | None = None,
    background: tuple[float, float, float] | None = (1.0, 1.0, 1.0),
    supersampling: int = 2,
    point_radius: float | None = None,
) -> NDArray[np.uint8]:
    """Draw a mesh or a cloud of points as shaded discs.

    Parameters
    ----------
    colors : ``None`` for plain grey; ``(n,)`` numbers, coloured per pixel through ``colormap`` between
        ``limits`` (chosen by :func:`geospec.viz.colormaps.choose` where not given; NaN is grey); or
        ``(n, 3)`` sRGB in [0, 1].
    size : width and height in pixels.
    view : a :class:`View`; by default :meth:`View.automatic`.
    background : sRGB in [0, 1], or ``None`` for transparent.
    supersampling : samples per pixel and axis, averaged.
    point_radius : of a cloud's discs, in the shape's units; by default so that neighbours just overlap.

    Returns
    -------
    uint8 array ``(height, width, 3)``, or ``(height, width, 4)`` with straight alpha where the
    background is transparent. x runs to the right, y down, row 0 on top.

    Cost: about a second for 100k faces at the default size. A shape without faces draws as points.
    """
    width, height = (int(side) * supersampling for side in size)
    if min(width, height) < 1:
        raise ArgumentError(problem("size", "positive width and height", size))
    points = positions(shape)
    if colors is not None and len(np.asarray(colors)) != len(points):
        raise ArgumentError(problem("colors", f"one row per vertex, {len(points)}", len(np.asarray(colors))))
    image = np.zeros((height * width, 4), dtype=np.float32)
    if len(points):
        view = view or View.automatic(points)
        fragments, normals = _visible(shape, points, view, width, height, point_radius)
        albedo = _albedo(fragments, colors, colormap, limits)
        occlusion = _occlusion(fragments, width, height)
        image[fragments.pixel, :3] = _shade(albedo, normals, occlusion)
        image[fragments.pixel, 3] = 1
    return _resolve(image.reshape(height, width, 4), supersampling, background)


def positions(shape: Mesh | PointCloud) -> NDArray[np.float64]:
    """Points of a shape as float64 ``(n, 3)`` on the CPU; a flat cloud gets z = 0."""
    points = shape.points.detach().cpu().double().numpy()
    if points.shape[1] > 3:
        raise ArgumentError(problem("shape", "at most three dimensions", points.shape[1]))
    return np.pad(points, ((0, 0), (0, 3 - points.shape[1])))


def given_normals(shape: Mesh | PointCloud) -> NDArray[np.float64] | None:
    """Normals that a cloud brings with it, float64 ``(n, 3)``, or ``None``."""
    if not isinstance(shape, PointCloud) or shape.normals is None:
        return None
    normals = shape.normals.detach().cpu().double().numpy()
    return np.pad(normals, ((0, 0), (0, 3 - normals.shape[1])))


def corner_normals(points: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unit normals of face corners ``(f, 3, 3)``: smooth over the surface, apart at creases.

    A corner averages, by area, the faces around its place that lean less than 42 degrees from its own.
    Vertices at one place count as one, so that the seams of a file do not show.
    """
    a, b, c = (points[faces[:, i]] for i in range(3))
    weighted = np.cross(b - a, c - a)
    faces = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)[faces]
    around = faces.ravel()
    flat = _unit(weighted)
    total = np.stack([np.bincount(around, np.repeat(column, 3), len(points)) for column in weighted.T], axis=1)
    corners = _unit(total)[faces]
    lean = np.einsum("fcd,fd->fc", corners, flat)
    sharp = np.zeros(len(points), dtype=bool)
    sharp[faces[lean < np.cos(_CREASE / 2)]] = True  # of two faces further apart than that, one leans half as much
    some = np.flatnonzero(sharp[around])
    order = some[np.argsort(around[some], kind="stable")]
    start = np.searchsorted(around[order], around[order], side="left")
    one, other = expand(start, np.searchsorted(around[order], around[order], side="right") - 1)
    one, other = order[one], order[other]
    near = np.einsum("pd,pd->p", flat[one // 3], flat[other // 3]) > np.cos(_CREASE)
    one, other = one[near], other[near]
    summed = np.stack([np.bincount(one, weighted[other // 3, axis], len(around)) for axis in range(3)], axis=1)
    own = summed.any(axis=1).reshape(-1, 3)
    return np.where(own[..., None], _unit(summed).reshape(-1, 3, 3), corners)


def cloud_surface(points: NDArray[np.float64], neighbours: int = 16) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How points are drawn where nothing but their places ``(n, 3)`` is known.

    Returns normals ``(n, 3)``, sign free, the flattest direction of the nearest neighbours, and disc
    radii ``(n,)`` that close the gaps of a sampled surface: the distance to the sixth neighbour, at
    most twice the median.
    """
    count = min(neighbours, len(points))
    if count < 4:
        return np.tile([0.0, 0, 1], (len(points), 1)), np.full(len(points), 0.05 * float(np.ptp(points, axis=0).max()) or 1.0)
    places = torch.as_tensor(points)
    squared, near = (found.numpy() for found in ops.knn(places, places, count))
    local = points[near] - points[near].mean(axis=1, keepdims=True)
    normals = np.linalg.eigh(np.einsum("nki,nkj->nij", local, local))[1][:, :, 0]
    radii = np.sqrt(squared[:, min(6, count - 1)])
    return normals, np.minimum(radii, 2 * np.median(radii))


def _unit(vectors: NDArray) -> NDArray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _visible(
    shape: Mesh | PointCloud, points: NDArray, view: View, width: int, height: int, point_radius: float | None
) -> tuple[Fragments, NDArray[np.float32]]:
    """What is seen, and its unit normals ``(p, 3)`` in the viewer's axes, turned to the viewer."""
    faces = shape.faces.detach().cpu().numpy() if isinstance(shape, Mesh) else np.zeros((0, 3), dtype=np.int64)
    if len(faces):
        fragments = triangles(project(points, view, width, height), faces, width, height)
        normals = fragments.blend_corners(corner_normals(points, faces))
    else:
        estimated, radii = cloud_surface(points)
        radii = radii if point_radius is None else np.full(len(points), point_radius)
        fragments = discs(project(points, view, width, height, padding=float(radii.max())), radii, width, height)
        known = given_normals(shape)
        normals = fragments.blend(estimated if known is None else known)
    normals = _unit(normals @ view.rotation.T.astype(np.float32))
    return fragments, np.where(normals[:, 2:] < 0, -normals, normals)


def _albedo(fragments: Fragments, colors: ArrayLike | None, colormap: str | None, limits: tuple[float, float] | None) -> NDArray:
    """sRGB ``(p, 3)`` of the surface before light falls on it."""
    if colors is None:
        return np.broadcast_to(np.array(PLAIN, dtype=np.float32), (len(fragments.pixel), 3))
    values = np.asarray(colors, dtype=np.float64)
    if values.ndim == 1:
        colormap, limits = choose(values, colormap, limits)
        return colorize(fragments.blend(values), colormap, limits)
    if values.ndim != 2 or values.shape[1] != 3:
        raise ArgumentError(problem("colors", "shape (n,) or (n, 3)", values.shape))
    missing = np.isnan(values).max(axis=1)[fragments.corners].max(axis=1)
    return np.where(missing[:, None], MISSING, np.clip(fragments.blend(values), 0, 1))


def _shade(albedo: NDArray, normals: NDArray[np.float32], occlusion: NDArray[np.float32]) -> NDArray[np.float32]:
    """sRGB of a lit surface: a key light up left, a weak fill from the right, sky light, a small highlight."""
    ny, nz = normals[:, 1], normals[:, 2]
    key = np.maximum(normals @ _KEY, 0)
    fill = np.maximum(normals @ _FILL, 0)
    half = _KEY + np.array([0, 0, 1], dtype=np.float32)
    shine = np.maximum(normals @ (half / np.linalg.norm(half)), 0) ** 48
    rim = np.clip(nz / 0.35, 0, 1)
    light = (0.30 + 0.08 * ny + 0.74 * key + 0.24 * fill) * (0.70 + 0.30 * rim) * occlusion
    linear = np.asarray(albedo, dtype=np.float32) ** 2.2 * light[:, None] + 0.06 * (shine * occlusion)[:, None]
    return np.clip(linear, 0, 1) ** np.float32(1 / 2.2)


def _occlusion(fragments: Fragments, width: int, height: int) -> NDArray[np.float32]:
    """A factor ``(p,)`` that darkens what lies behind its surroundings on the screen.

    Luft, Colditz and Deussen 2006, "Image enhancement by unsharp masking the depth buffer": depth
    minus its blurred copy, here blurred among covered pixels only and used for darkening alone.
    """
    from scipy.ndimage import gaussian_filter

    if not len(fragments.pixel):
        return np.ones(0, dtype=np.float32)
    reach = float(np.ptp(fragments.depth)) or 1.0
    coarse = max(1, min(width, height) // 300)  # the blur is wide: a coarse grid carries it
    rows, columns = fragments.pixel // width // coarse, fragments.pixel % width // coarse
    shape = (-(-height // coarse), -(-width // coarse))
    flat = rows * shape[1] + columns
    covered = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
    depth = np.bincount(flat, (fragments.depth - fragments.depth.min()) / reach, shape[0] * shape[1]).reshape(shape)
    sigma = 0.022 * min(shape)
    weight = gaussian_filter(covered.astype(np.float32), sigma, mode="constant")
    blurred = gaussian_filter(depth.astype(np.float32), sigma, mode="constant") / np.maximum(weight, 1e-6)
    behind = depth / np.maximum(covered, 1) - blurred
    dark = 1 - np.clip(4.0 * behind, 0, 0.5)
    return dark.astype(np.float32).ravel()[flat]


def _resolve(image: NDArray[np.float32], supersampling: int, background: tuple[float, float, float] | None) -> NDArray[np.uint8]:
    height, width = image.shape[0] // supersampling, image.shape[1] // supersampling
    boxed = image.reshape(height, supersampling, width, supersampling, 4).mean(axis=(1, 3))  # colour is premultiplied by coverage
    alpha = boxed[..., 3:]
    if background is None:
        boxed[..., :3] /= np.maximum(alpha, 1e-6)
    else:
        boxed = boxed[..., :3] + (1 - alpha) * np.array(background, dtype=np.float32)
    return np.rint(np.clip(boxed, 0, 1) * 255).astype(np.uint8)


def write_png(image: NDArray[np.uint8], path: str | os.PathLike[str]) -> Path:
    """Write a picture ``(height, width, 3 or 4)`` as PNG: written aside, then renamed. Returns the path."""
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ArgumentError(problem("image", "uint8 (height, width, 3 or 4)", f"{pixels.dtype} {pixels.shape}"))
    from PIL import Image

    return save_image(Image.fromarray(pixels), path)


def save_image(image: Image, path: str | os.PathLike[str]) -> Path:
    """Write a Pillow image as PNG, aside and renamed."""
    path = Path(path)
    with written_aside(path) as aside:
        image.save(aside, format="PNG", optimize=False)
    return path
