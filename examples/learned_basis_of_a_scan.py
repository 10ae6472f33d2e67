"""The eigenbasis of a scan, learned from its points alone: seen from some sides only, denser here than there, no triangles.

    python examples/learned_basis_of_a_scan.py

Scans a creature, learns a basis of the points, and puts its modes beside those of the surface's own mesh; then clears a noisy
function on the scan by keeping its coefficients. Writes ``modes.png``, ``filter.png`` and ``scan.html``.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import geospec
from geospec import viz
from geospec.datasets import creature, partial_scan

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--points", type=int, default=1200)
parser.add_argument("--views", type=int, default=12)
parser.add_argument("--modes", type=int, default=20)
parser.add_argument("--max-steps", type=int, default=100)
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# What a scanner leaves: points of what some viewpoints see, denser where the surface faces one.
body = creature("quadruped", identity_seed=3, pose_seed=3, mesh_seed=1, n_vertices=2000).mesh
cloud = partial_scan(body, options.points, views=options.views, seed=0).cloud
print(f"{cloud.n_points} points seen from {options.views} places")

basis = geospec.LearnedEigenbasis.fit(cloud, options.modes, max_steps=options.max_steps)
print(f"loss over the least that any basis leaves: {basis.optimality_ratio:.4f} after {basis.options['steps']} steps")

# The learned functions are formulas: here they are evaluated at the vertices of the surface's own mesh, which no training saw, and stand
# beside the mesh's modes.
true = geospec.LaplaceBasis.fit(body, options.modes)
learned = geospec.SampledBasis(basis.at(body.vertices), true.measure / true.measure.sum(), basis.eigenvalues)
beside = viz.Beside(learned, true, ("learned", "surface"))
print(f"mean |cos| of the first ten modes with the surface's: {beside.cosines[:10].mean():.3f}")

# A function on the scan, its noisy reading, and what the first coefficients keep of it.
height = cloud.points[:, 2:3]
noisy = height + 0.5 * height.std() * torch.randn(height.shape, generator=torch.Generator().manual_seed(0), dtype=height.dtype)
clean = basis.synthesize(basis.analyze(noisy))
before, after = (((x - height).square().mean() / height.var()).sqrt() for x in (noisy, clean))
print(f"error of the reading {100 * before:.0f} %, of its first {basis.k} coefficients {100 * after:.1f} %")

view = viz.View.automatic(body.vertices)
limits = (float(height.min()), float(height.max()))
columns = [x[:, 0].numpy() for x in (height, noisy, clean)]
pictures = [viz.render(cloud, colors=x, colormap="sequential", limits=limits, size=(440, 380), view=view) for x in columns]
viz.write_png(np.concatenate(pictures, axis=1), options.out / "filter.png")
viz.mode_pairs_sheet(body, beside, options.out / "modes.png", n=4, view=view)
viz.basis_report(cloud, basis, options.out / "scan.html", name="scan", view=view)
print(f"wrote modes.png, filter.png and scan.html to {options.out}")
