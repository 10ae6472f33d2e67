"""Signed distances on grids. ``python -m benchmarks.mesh_sdf [MESH ...]`` prints times and largest differences beside open3d and libigl.

Peers measure every cell, ours the band: they have no other way. open3d is timed on the whole grid, libigl on every 64th plane and
multiplied. Meshes given as files are timed too, scaled to fill 0.9 of the box as the others are.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import geospec
from geospec import ops
from geospec.shapes import Mesh
from geospec.testing import bumpy_sphere

from . import machine

RESOLUTION, TRUNCATION, REPEATS = 256, 0.1, 5
EVERY = 64


def fitted(mesh: Mesh) -> Mesh:
    """In float32, its longest side 1.8 about the origin."""
    low, high = mesh.vertices.amin(dim=0), mesh.vertices.amax(dim=0)
    return Mesh(((mesh.vertices - (low + high) / 2) * (1.8 / (high - low).max())).float(), mesh.faces)


def gyroid_shell() -> Mesh:
    """A gyroid of one and a half periods, thickened and cut by a ball: much surface, a quarter of the box within the band."""
    x, y, z = torch.meshgrid(*[torch.linspace(-1, 1, 67, dtype=torch.float64)] * 3, indexing="ij")
    s, c = [torch.sin(1.5 * torch.pi * a) for a in (x, y, z)], [torch.cos(1.5 * torch.pi * a) for a in (x, y, z)]
    gyroid = (s[0] * c[1] + s[1] * c[2] + s[2] * c[0]).abs() / 4 - 0.09
    ball = (x.square() + y.square() + z.square()).sqrt() - 0.9
    vertices, faces = ops.isosurface(torch.maximum(gyroid, ball))
    return Mesh(vertices / 33 - 1, faces)


def centres(planes: slice = slice(None)) -> Tensor:
    axis = (torch.arange(RESOLUTION, dtype=torch.float64) + 0.5) * (2 / RESOLUTION) - 1
    z, y, x = torch.meshgrid(axis[planes], axis, axis, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def open3d_distances(mesh: Mesh, places: np.ndarray) -> Tensor:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(mesh.vertices.numpy()), o3d.core.Tensor(mesh.faces.numpy().astype("uint32")))
    return torch.from_numpy(scene.compute_signed_distance(o3d.core.Tensor(places)).numpy())


def libigl_distances(mesh: Mesh, places: np.ndarray) -> Tensor:
    import igl

    kind = igl.SignedDistanceType.SIGNED_DISTANCE_TYPE_FAST_WINDING_NUMBER
    flat = igl.signed_distance(places.reshape(-1, 3), mesh.vertices.double().numpy(), mesh.faces.numpy(), kind)[0]
    return torch.from_numpy(flat).reshape(places.shape[:-1])


def timed(run: Callable[[], Tensor]) -> tuple[Tensor, float, float]:
    """What a call gives, its wall and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def compare(name: str, mesh: Mesh) -> None:
    """A line of the table: medians of ours, one whole run of open3d, some planes of libigl."""
    runs = [timed(lambda: ops.mesh_sdf(mesh.vertices, mesh.faces, RESOLUTION, TRUNCATION)) for _ in range(REPEATS + 1)][1:]
    ours, (wall, cpu) = runs[0][0], (statistics.median(run[i] for run in runs) for i in (1, 2))
    whole, peer_wall, peer_cpu = timed(lambda: open3d_distances(mesh, centres().float().numpy()))
    planes = slice(EVERY // 2, None, EVERY)
    some, igl_wall, igl_cpu = timed(lambda: libigl_distances(mesh, centres(planes).numpy()))
    cut = whole.clamp(-TRUNCATION, TRUNCATION)
    off = (whole.abs() > 1e-6) & ((cut < 0) != (ours < 0))
    igl_off = (some.abs() > 1e-6) & ((some < 0) != (ours[planes] < 0))
    error = (cut.abs() - ours.abs()).abs().max() / 2
    print(
        f"| {name} | {len(mesh.faces)} | {(ours.abs() < TRUNCATION).float().mean():.0%} | {wall:.3f} / {cpu:.3f} "
        f"| {peer_wall:.1f} / {peer_cpu:.1f} | **{peer_wall / wall:.0f}** / {peer_cpu / cpu:.0f} "
        f"| {igl_wall * EVERY:.0f} / {igl_cpu * EVERY:.0f} | {error:.1e} | {int(off.sum())} of {off.numel()} | {int(igl_off.sum())} |",
        flush=True,
    )


def main(paths: list[str]) -> None:
    print(machine.describe(("open3d", "libigl")))
    print("\n| mesh | faces | in the band | ours, wall / CPU (s) | open3d, wall / CPU (s) | open3d / ours, wall / CPU ", end="")
    print("| libigl, wall / CPU (s) | largest difference, of the box | other signs than open3d | than libigl, on 4 planes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    compare("bumpy sphere", fitted(bumpy_sphere(6)))
    compare("gyroid shell", fitted(gyroid_shell()))
    for path in paths:
        mesh = geospec.load(path, triangulate=True)
        if not isinstance(mesh, Mesh):
            raise SystemExit(f"{path}: wanted a mesh, got {mesh}")
        compare(Path(path).stem, fitted(mesh))


if __name__ == "__main__":
    main(sys.argv[1:])
