"""Kernels beside peers: ``python -m benchmarks.ops [--only NAME]``. Needs the extra ``bench``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

from geospec import ops

from .harness import Entry, run_table
from .machine import describe


def bumpy_sphere(level: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A subdivided icosahedron with smooth bumps, vertices in random order: caches get no help from the numbering."""
    import trimesh

    sphere = trimesh.creation.icosphere(level)
    points = np.asarray(sphere.vertices, dtype=np.float64)
    points = points * (1 + 0.1 * np.sin(5 * points[:, :1]) * np.cos(4 * points[:, 1:2]) + 0.1 * np.sin(3 * points[:, 2:]))
    order = np.random.default_rng(0).permutation(len(points))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return torch.from_numpy(points[order]), torch.from_numpy(place[np.asarray(sphere.faces)])


def cotangent_entries() -> list[Entry]:
    """Stiffness and mass from a mesh, adjacency included, against libigl's two calls."""
    import igl

    entries = []
    for level, numbering in ((7, "random"), (7, "by subdivision")):
        vertices, faces = bumpy_sphere(level)
        if numbering == "by subdivision":
            import trimesh

            faces = torch.from_numpy(np.asarray(trimesh.creation.icosphere(level).faces, dtype=np.int64))
        v, f = vertices.numpy(), faces.numpy()

        def ours(vertices=vertices, faces=faces):
            adjacency = ops.mesh_adjacency(faces, len(vertices))
            return ops.assemble_stiffness(*ops.cotangent(vertices, faces), faces, adjacency)

        def peer(v=v, f=f):
            return igl.cotmatrix(v, f), igl.massmatrix(v, f, igl.MASSMATRIX_TYPE_BARYCENTRIC)

        entries.append(Entry("cotangent + mass, float64", f"{len(v)} vertices, numbered {numbering}", ours, peer, "libigl", 1 / 3))
    return entries


def nearest_entries() -> list[Entry]:
    """Nearest neighbours in a spectral embedding: a converged map against a tree, a random one against brute force."""
    from .spectral_nearest import entries

    return entries()


def robust_entries() -> list[Entry]:
    """The robust Laplacian of meshes and clouds, neighbours included, against robust_laplacian."""
    import robust_laplacian

    from geospec import Mesh, PointCloud, laplacian

    vertices, faces = bumpy_sphere(7)
    some_turned = torch.where((torch.arange(len(faces)) % 2 == 0)[:, None], faces, faces.flip(1))
    meshes = {"closed": faces, "with boundary": faces[:-2000], "mixed orientation": some_turned}
    entries = []
    for name, chosen in meshes.items():
        mesh = Mesh(vertices, chosen)
        peer = lambda m=mesh: robust_laplacian.mesh_laplacian(m.vertices.numpy(), m.faces.numpy())  # noqa: E731
        entries.append(Entry("robust", f"{len(vertices)} vertices, {name}", lambda m=mesh: laplacian(m), peer, "robust_laplacian", 1 / 5))
    for n in (50_000, 200_000):
        points = torch.nn.functional.normalize(torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1)
        peer = lambda p=points: robust_laplacian.point_cloud_laplacian(p.numpy())  # noqa: E731
        entries.append(Entry("robust", f"cloud of {n}", lambda p=points: laplacian(PointCloud(p)), peer, "robust_laplacian", 1 / 4))
    return entries


def neighbour_entries() -> list[Entry]:
    """k nearest, all within a radius, and farthest points in space."""
    from .neighbours import entries

    return entries()


def sparse_entries() -> list[Entry]:
    """Sparse products with dense blocks, and the eigensolver that is made of them."""
    from .sparse import entries

    return entries()


def learned_entries() -> list[Entry]:
    """Smoothing on graphs, the nested reconstruction loss, and thin QR."""
    from .learned import entries

    return entries()


def map_entries() -> list[Entry]:
    """Rows of functional maps with a mask: a loop with explicit inverses, and torch's batched Cholesky."""
    from .masked_map_solve import entries

    return entries()


def noise_entries() -> list[Entry]:
    """Draws of noisy magnitudes, and the sums of a distilled mask."""
    from .noisy_magnitudes import entries

    return entries()


def isosurface_entries() -> list[Entry]:
    """Surfaces of grids at 256^3."""
    from .isosurface import entries

    return entries()


def zoomout_entries() -> list[Entry]:
    """ZoomOut of one map and of many at once."""
    from .zoomout import entries

    return entries()


def harmonic_entries() -> list[Entry]:
    """Spherical harmonics at many directions, and a linear layer on them."""
    from .spherical_harmonics import entries

    return entries()


def sphere_transform_entries() -> list[Entry]:
    """Transforms between grids on the sphere and coefficients."""
    from .spherical_harmonics import transform_entries

    return transform_entries()


def wavelet_tree_entries() -> list[Entry]:
    """Trees of wavelet coefficients at the paper's geometry."""
    from .wavelet_tree import entries

    return entries()


TABLES: dict[str, Callable[[], list[Entry]]] = {
    "cotangent": cotangent_entries,
    "harmonics": harmonic_entries,
    "isosurface": isosurface_entries,
    "learned": learned_entries,
    "map_solve": map_entries,
    "noise": noise_entries,
    "robust": robust_entries,
    "neighbours": neighbour_entries,
    "sparse": sparse_entries,
    "spectral_nearest": nearest_entries,
    "sphere_transform": sphere_transform_entries,
    "wavelet_tree": wavelet_tree_entries,
    "zoomout": zoomout_entries,
}


PEERS = ("libigl", "robust_laplacian", "scipy", "faiss-cpu", "pynanoflann", "open3d", "fpsample", "vtk", "scikit-image", "numpy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(TABLES), help="one family of kernels")
    chosen = parser.parse_args().only
    print(describe(PEERS))
    run_table([entry for name, make in TABLES.items() if chosen in (None, name) for entry in make()])


if __name__ == "__main__":
    main()
