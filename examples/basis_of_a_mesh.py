"""The Fourier basis of a surface: its modes, its spectrum, and a body rebuilt from its lowest frequencies.

    python examples/basis_of_a_mesh.py --mesh bunny.obj

Writes ``modes.png`` (the first twelve modes), ``frequencies.png`` (the shape from ever more modes) and ``basis.html``.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import geospec
from geospec import viz
from geospec.datasets.creatures import creature

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--mesh", type=Path, help="a file of your own; a generated animal by default")
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

mesh = geospec.load(options.mesh) if options.mesh else creature("quadruped", n_vertices=2500).mesh
print(geospec.report(mesh).summary())

# S phi = lambda M phi: the modes are orthonormal under the area of the vertices, from coarse to fine.
basis = geospec.LaplaceBasis.fit(mesh, k=300)
gram = basis.modes.T @ (basis.measure[:, None] * basis.modes)
print(f"{basis.k} modes; orthonormal to {(gram - torch.eye(basis.k)).abs().max():.1e}")

# Weyl's law: on any surface the i-th eigenvalue tends to 4 pi i / area.
weyl = 4 * torch.pi * (basis.k - 1) / mesh.area
print(f"last eigenvalue {basis.eigenvalues[-1]:.1f}, by Weyl's law about {weyl:.1f}")

# The vertices' positions are three functions on the surface. Keep their lowest frequencies only.
view = viz.View.automatic(mesh.vertices)
pictures = []
for k in (10, 40, 120, 300):
    low = basis.truncate(k)
    smooth = geospec.Mesh(low.synthesize(low.analyze(mesh.vertices)), mesh.faces)
    off = (smooth.vertices - mesh.vertices).norm(dim=1).mean() / mesh.area.sqrt()
    print(f"{k:4d} modes rebuild the shape to {100 * off:.2f} % of the square root of its area")
    pictures.append(viz.render(smooth, size=(480, 400), view=view))
viz.write_png(np.concatenate(pictures, axis=1), options.out / "frequencies.png")

viz.mode_sheet(mesh, basis, options.out / "modes.png")
viz.basis_report(mesh, basis.truncate(60), options.out / "basis.html", name=options.mesh.name if options.mesh else "quadruped")
print(f"wrote frequencies.png, modes.png and basis.html to {options.out}")
