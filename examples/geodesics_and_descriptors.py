"""Distances along a surface, and descriptors that do not see how it is bent.

    python examples/geodesics_and_descriptors.py

Writes ``geodesics.png`` (distance from one point on a body in two poses), ``wks.png`` (one wave kernel energy on both) and
``shapes.html`` (both to turn, with all fields), and prints how far apart spectra put poses and kinds.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import geospec
from geospec import descriptors, viz
from geospec.datasets.creatures import creature, ground_truth

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# One octopus in two poses, each with a mesh of its own, and a hand. Bending keeps distances along the surface, nearly.
creatures = {
    f"{kind}, pose {pose}": creature(kind, pose_seed=pose, mesh_seed=pose, n_vertices=1500)
    for kind, pose in (("octopus", 1), ("octopus", 2), ("hand", 1))
}
first, second = (creatures[f"octopus, pose {pose}"] for pose in (1, 2))
same_place = ground_truth(first, second)  # the first's vertex for each of the second's

# Distances from the tip of an arm, on both bodies.
tip_second = int(second.mesh.vertices[:, 0].argmax())
tip_first = int(same_place[tip_second])
geodesic = [geospec.geodesic_distances(c.mesh, [tip])[0] for c, tip in ((first, tip_first), (second, tip_second))]
straight = [(c.mesh.vertices - c.mesh.vertices[tip]).norm(dim=1) for c, tip in ((first, tip_first), (second, tip_second))]
for name, (one, other) in (("along the surface", geodesic), ("through space", straight)):
    print(f"between the poses, distance {name} changes by {100 * (one[same_place] - other).abs().mean() / other.mean():.1f} % on average")
limits = (0.0, float(max(d.max() for d in geodesic)))
pictures = [viz.render(c.mesh, colors=d, limits=limits, size=(480, 420)) for c, d in zip((first, second), geodesic, strict=True)]
viz.write_png(np.concatenate(pictures, axis=1), options.out / "geodesics.png")

# Spectra in units of the area, so that neither size nor place matters.
bases = {name: geospec.LaplaceBasis.fit(c.mesh, k=60) for name, c in creatures.items()}
bases = {name: basis.scaled(basis.measure.sum() ** -0.5) for name, basis in bases.items()}

# Wave kernel signature: how much each frequency band lives at a point.
wks = [descriptors.wave_kernel_signature(bases[f"octopus, pose {pose}"], n=50) for pose in (1, 2)]
apart = (wks[0][same_place] - wks[1]).norm(dim=1).mean()
mixed = (wks[0][same_place.flip(0)] - wks[1]).norm(dim=1).mean()
print(f"wave kernel signatures of corresponding points differ by {apart:.3f}, of unrelated ones by {mixed:.3f}")
limits = tuple(torch.quantile(wks[0][:, 10], torch.tensor([0.02, 0.98], dtype=wks[0].dtype)).tolist())
pictures = [viz.render(c.mesh, colors=w[:, 10], limits=limits, size=(480, 420)) for c, w in zip((first, second), wks, strict=True)]
viz.write_png(np.concatenate(pictures, axis=1), options.out / "wks.png")

# ShapeDNA: the spectrum as the signature of a whole shape (Reuter et al. 2006).
dna = torch.stack([descriptors.shape_dna(basis) for basis in bases.values()])
print("distance between spectra, in percent")
for name, row in zip(bases, 100 * torch.cdist(dna, dna) / dna.norm(dim=1).mean(), strict=True):
    print(f"  {name:16s}", "  ".join(f"{value:5.1f}" for value in row))

meshes = {"pose 1": first.mesh, "pose 2": second.mesh}
fields = {
    "distance from an arm's tip": dict(zip(meshes, geodesic, strict=True)),
    "wave kernel signature, energy 10": {name: w[:, 10] for name, w in zip(meshes, wks, strict=True)},
}
viz.shape_report(meshes, options.out / "shapes.html", fields=fields, title="Geodesics and descriptors")
print(f"wrote geodesics.png, wks.png and shapes.html to {options.out}")
