"""From a point cloud without any triangles to modes and heat kernel signatures.

    python examples/point_cloud.py

Samples a surface, forgets its faces, and builds the robust Laplacian of the bare points. Writes ``cloud_modes.png``,
``cloud_hks.png`` (the signature at four times) and ``cloud.html``.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import geospec
from geospec import descriptors, shapes, viz
from geospec.datasets.creatures import creature

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--mesh", type=Path, help="a file of your own; a generated humanoid by default")
parser.add_argument("--points", type=int, default=4000)
parser.add_argument("--noise", type=float, default=0.002, help="in units of the square root of the area")
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

mesh = geospec.load(options.mesh) if options.mesh else creature("humanoid", n_vertices=2500).mesh
sample = shapes.sample_surface(mesh, options.points, method="poisson-disk", seed=0)
noise = torch.randn(sample.cloud.points.shape, generator=torch.Generator().manual_seed(0), dtype=mesh.vertices.dtype)
cloud = geospec.PointCloud(sample.cloud.points + options.noise * mesh.area.sqrt() * noise)
geospec.save(cloud, options.out / "cloud.ply")

# The Laplacian finds area and connection from the points alone. The mesh serves to see how well.
basis = geospec.LaplaceBasis.fit(cloud, k=100)
reference = geospec.LaplaceBasis.fit(mesh, k=100)
print(f"area {basis.measure.sum():.4f}, of the mesh {mesh.area:.4f}")
for i in (1, 5, 20, 50):
    print(f"eigenvalue {i:3d}: {basis.eigenvalues[i]:8.3f}, of the mesh {reference.eigenvalues[i]:8.3f}")

# Heat kernel signature: how much of a drop of heat is still at its point after time t. Tips cool slowly.
times = torch.logspace(-2.5, -0.5, 4, dtype=torch.float64) * mesh.area
signature = descriptors.heat_kernel_signature(basis, times=times)
view = viz.View.automatic(cloud.points)
pictures = [viz.render(cloud, colors=column.log().numpy(), size=(400, 460), view=view) for column in signature.T]
viz.write_png(np.concatenate(pictures, axis=1), options.out / "cloud_hks.png")

viz.mode_sheet(cloud, basis, options.out / "cloud_modes.png", n=8)
fields = {f"heat signature, t = {t:.3g}": column.log() for t, column in zip(times.tolist(), signature.T, strict=True)}
viz.shape_report(cloud, options.out / "cloud.html", fields=fields, title="Heat kernel signature of a point cloud")
print(f"wrote cloud.ply, cloud_hks.png, cloud_modes.png and cloud.html to {options.out}")
