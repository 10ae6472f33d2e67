"""What ``geospec.match`` does inside: Laplacian, basis, descriptors, functional map, ZoomOut, error.

    python examples/functional_maps_step_by_step.py

Functions are easier to carry from shape to shape than points: carrying is linear, and in the modes of both shapes it is a
small matrix C. Writes ``steps.png`` (the source, then the target coloured through the map after each step, last through the
truth) and ``steps.html``.
"""

import argparse
from pathlib import Path

import numpy as np

import geospec
from geospec import descriptors, maps, viz
from geospec.datasets.creatures import creature, ground_truth
from geospec.viz.colormaps import position_colors

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# One hand in two poses, each with a mesh of its own. Both are brought to area 1, so that their spectra compare.
kind, n = "hand", 2000
creatures = [creature(kind, pose_seed=seed, mesh_seed=seed, n_vertices=n) for seed in (1, 2)]
truth = ground_truth(*creatures)
source, target = (geospec.Mesh(c.mesh.vertices / c.mesh.area.sqrt(), c.mesh.faces) for c in creatures)


def error(target_to_source):
    """Mean geodesic distance on the source between image and true image, in hundredths of the square root of its area."""
    return maps.geodesic_error(target_to_source, truth, source).mean()


# 1. Laplacian: stiffness S (how functions vary) and mass M (how large the vertices are).
laplacians = [geospec.laplacian(shape) for shape in (source, target)]
print(f"1. Laplacian {tuple(laplacians[0].stiffness.shape)}, {laplacians[0].stiffness.values().numel()} entries, kind {laplacians[0].kind}")

# 2. Basis: S phi = lambda M phi. For a near-isometric pair the spectra nearly agree.
source_basis, target_basis = (geospec.LaplaceBasis.fit(operator, k=100) for operator in laplacians)
spectra = [basis.eigenvalues[1:6].round(decimals=1).tolist() for basis in (source_basis, target_basis)]
print(f"2. eigenvalues {spectra[0]} and {spectra[1]}")

# 3. Descriptors: functions that both shapes have, computed from each alone.
k = 30
small_source, small_target = source_basis.truncate(k), target_basis.truncate(k)
a, b = (descriptors.wave_kernel_signature(basis, n=100) for basis in (source_basis, target_basis))
print(f"3. {a.shape[1]} wave kernel signatures on each shape")

# 4. Functional map: the C that carries one set of coefficients to the other, and that commutes with the Laplacians.
A, B = small_source.analyze(a), small_target.analyze(b)
C = maps.solve_functional_map(A, B, source_eigenvalues=small_source.eigenvalues, target_eigenvalues=small_target.eigenvalues)
points = maps.functional_to_point(C, small_source, small_target)
print(f"4. functional map {tuple(C.shape)}; as a point map its error is {error(points):.2f} %")

# 5. ZoomOut: to points, back to a map of a few more modes, and again: detail enters from coarse to fine.
refined = maps.zoomout(C, source_basis, target_basis, k_final=100, step=5)
print(f"5. after ZoomOut to {tuple(refined.functional_map.shape)} the error is {error(refined.target_to_source):.2f} %")

# What the best map of this size would give: the truth itself, written as a functional map.
ideal = maps.point_to_functional(truth, source_basis, target_basis)
best = maps.functional_to_point(ideal, source_basis, target_basis)
print(f"   the truth at {tuple(ideal.shape)}, read back as points, has {error(best):.2f} %")

colors = position_colors(source.vertices)
pictures = [viz.render(source, colors=colors, size=(420, 420))]
pictures += [viz.render(target, colors=colors[pull], size=(420, 420)) for pull in (points, refined.target_to_source, truth)]
viz.write_png(np.concatenate(pictures, axis=1), options.out / "steps.png")

viz.shape_report(
    {"source": source, "target": target},
    options.out / "steps.html",
    fields={
        name: {"source": colors, "target": colors[pull]}
        for name, pull in (("functional map of descriptors", points), ("after ZoomOut", refined.target_to_source), ("truth", truth))
    },
    title="Functional maps, step by step",
)
print(f"wrote steps.png and steps.html to {options.out}")
