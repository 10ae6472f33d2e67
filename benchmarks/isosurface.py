"""``ops.isosurface`` beside VTK's FlyingEdges3D and scikit-image, on a torus and a gyroid shell."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch

from geospec import ops

from .harness import Entry

RESOLUTION = 256


def fields() -> dict[str, np.ndarray]:
    """Values (n, n, n) in float32, negative inside, in the box [-1, 1]^3."""
    x = (np.arange(RESOLUTION) + 0.5) / RESOLUTION * 2 - 1
    x, y, z = x, x[:, None], x[:, None, None]
    torus = np.sqrt((np.sqrt(x * x + y * y) - 0.55) ** 2 + z * z) - 0.18
    waves = [np.sin(7.2 * a) * np.cos(7.2 * b) for a, b in ((x, y), (y, z), (z, x))]
    shell = np.maximum(np.abs(sum(waves)) / 11 - 0.03, np.sqrt(x * x + y * y + z * z) - 0.85)
    return {"torus": torus.astype(np.float32), "gyroid shell": shell.astype(np.float32)}


def vtk_flying_edges(grid: np.ndarray, threads: int) -> Callable[[], object]:
    """Points and triangles alone: no normals, gradients or scalars, which ours does not make either."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    vtk.vtkSMPTools.SetBackend("Sequential" if threads == 1 else "STDThread")
    vtk.vtkSMPTools.Initialize(threads)
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(grid.shape))
    image.GetPointData().SetScalars(numpy_to_vtk(grid.ravel(), deep=True))

    def run():
        contour = vtk.vtkFlyingEdges3D()
        contour.SetInputData(image)
        contour.SetValue(0, 0.0)
        contour.ComputeNormalsOff()
        contour.ComputeGradientsOff()
        contour.ComputeScalarsOff()
        contour.Update()
        return contour.GetOutput()

    return run


def peers(grid: np.ndarray, threads: int) -> dict[str, tuple[Callable[[], object], float, int]]:
    """What is installed: call, ratio asked for, repeats."""
    found: dict[str, tuple[Callable[[], object], float, int]] = {}
    if find_spec("vtk"):
        found[f"VTK FlyingEdges3D, {threads} threads"] = (vtk_flying_edges(grid, threads), 1.0, 11)
    if find_spec("skimage"):
        from skimage.measure import marching_cubes

        found["scikit-image, Lewiner"] = (lambda: marching_cubes(grid, 0.0), 1 / 10, 3)
    return found


def entries() -> list[Entry]:
    """A surface that is small beside its grid and one that is large; as many threads as torch has."""
    table = []
    for name, grid in fields().items():
        ours = torch.from_numpy(grid)
        size = f"{RESOLUTION}^3, {len(ops.isosurface(ours)[1])} faces, float32"
        for peer_name, (peer, limit, repeats) in peers(grid, torch.get_num_threads()).items():
            table.append(Entry(f"isosurface, {name}", size, lambda t=ours: ops.isosurface(t), peer, peer_name, limit, repeats))
    return table
