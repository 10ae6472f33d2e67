"""A vector carried over a body, and the body laid flat around one point.

    python examples/vectors_on_a_creature.py

Writes ``transport.png`` (one arrow on the flank, in red, sent to everywhere by parallel transport) and ``log_map.png`` (rings
of equal distance and rays of equal direction from the same point), and prints how well lengths are kept.
"""

import argparse
import math
from pathlib import Path

import torch

import geospec
from geospec import viz
from geospec.datasets.creatures import creature

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("out"))
parser.add_argument("--vertices", type=int, default=2500)
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# Four times as many faces, so that colours at vertices draw sharp lines.
mesh = geospec.shapes.subdivide(creature("quadruped", pose_seed=1, n_vertices=options.vertices).mesh, method="loop")
solver = geospec.VectorHeat(mesh)
frames, vertices = solver.frames, mesh.vertices
size = mesh.area.sqrt()

# A vertex in the middle of the body that faces the viewer, an arrow there that points up, carried to every vertex.
view = viz.View.automatic(vertices.numpy())
right, up, viewer = torch.tensor(view.rotation, dtype=vertices.dtype)
source = int((frames[:, 2] @ viewer - 5 * (vertices - vertices.mean(dim=0)).norm(dim=1) / size).argmax())
carried = solver.transport(source, up)
longest, shortest = (float(end(carried.norm(dim=1))) for end in (torch.max, torch.min))
print(f"carried everywhere, the arrow's length varies by {100 * (longest / shortest - 1):.1e} %")


def arrows(at, along, normals, length):
    """Flat darts ``(4 per arrow)`` a little above the surface, as one mesh."""
    side = torch.linalg.cross(normals, along)
    base = at + 0.1 * length * normals
    corners = [base + length * (a * along + b * side) for a, b in ((0.6, 0.0), (-0.4, 0.22), (-0.25, 0.0), (-0.4, -0.22))]
    index = 4 * torch.arange(len(at))[:, None]
    return torch.stack(corners, dim=1).reshape(-1, 3), torch.cat([index + torch.tensor(face) for face in ((0, 1, 2), (0, 2, 3))])


# Vertices far from each other, one after another.
shown, nearest = [source], (vertices - vertices[source]).norm(dim=1)
while len(shown) < 350:
    shown.append(int(nearest.argmax()))
    nearest = torch.minimum(nearest, (vertices - vertices[shown[-1]]).norm(dim=1))
tips, darts = arrows(vertices[shown], carried[shown], frames[shown, 2], 0.06 * size)
both = geospec.Mesh(torch.cat([vertices, tips]), torch.cat([mesh.faces, darts + mesh.n_points]))
body, dart, first = (torch.tensor(color, dtype=vertices.dtype) for color in ((0.80, 0.82, 0.84), (0.10, 0.32, 0.60), (0.85, 0.25, 0.10)))
colors = torch.cat([body.expand(mesh.n_points, 3), dart.expand(len(tips), 3)])
colors[mesh.n_points : mesh.n_points + 4] = first
viz.write_png(viz.render(both, colors=colors, view=view, size=(960, 700)), options.out / "transport.png")

# Where every vertex lies as seen from the same point: rings of equal distance, rays of equal direction.
flat = solver.log_map(source)
distance, direction = flat.norm(dim=1), torch.atan2(flat[:, 1], flat[:, 0])
ring, ray = torch.cos(2 * math.pi * distance / (0.18 * size)), torch.cos(6 * direction)
checks = torch.sigmoid(12 * ring * ray)[:, None]
colors = checks * torch.tensor([0.96, 0.90, 0.76]) + (1 - checks) * torch.tensor([0.16, 0.36, 0.58])
viz.write_png(viz.render(mesh, colors=colors, view=view, size=(960, 700)), options.out / "log_map.png")
print(f"the farthest vertex lies {distance.max() / size:.2f} body sizes away")
print(f"wrote transport.png and log_map.png to {options.out}")
