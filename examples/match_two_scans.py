"""Match two scans of one creature in two poses: points of uneven density, no triangles, no Laplacian to choose.

    python examples/match_two_scans.py --kind quadruped

Learns an eigenbasis of each cloud and matches the clouds through them; measures the map on the surface that the points came
from. Writes ``match.npz``, ``scans.png`` and ``match.html``.
"""

import argparse
from pathlib import Path

import geospec
from geospec import maps, viz
from geospec.datasets import KINDS, creature, varying_density

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--kind", default="quadruped", choices=KINDS)
parser.add_argument("--points", type=int, default=1000, help="of each scan")
parser.add_argument("--ratio", type=float, default=10.0, help="highest density over lowest")
parser.add_argument("--basis", default="learned", choices=("learned", "network", "laplace"))
parser.add_argument("--modes", type=int, default=40)
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# One body in two poses, on one mesh; the scans are independent points, dense in different places. Normals tell inside from
# outside, and so a left leg from a right one.
bodies = [creature(options.kind, identity_seed=3, pose_seed=pose, n_vertices=2000).mesh for pose in (3, 8)]
scans = [varying_density(body, options.points, options.ratio, seed=seed) for seed, body in enumerate(bodies)]
source, target = (scan.cloud for scan in scans)

match = geospec.match(source, target, basis=options.basis, k=options.modes)
print(f"for each of {target.n_points} target points a source point, mean confidence {match.confidence.mean():.2f}")
print(f"eigenbases took {match.record['seconds']['eigenbases']:.1f} s")

# Both bodies have the same vertices, so the vertex at a target point tells where its image should lie on the source.
vertex = [scan.corners.gather(1, scan.barycentric.argmax(dim=1, keepdim=True))[:, 0] for scan in scans]
error = maps.geodesic_error(vertex[0][match.target_to_source], vertex[1], bodies[0])
print(f"mean geodesic error {error.mean():.2f} % of the square root of the source's area")

match.save(options.out / "match.npz")
viz.match_image(match, options.out / "scans.png")
viz.match_report(match, options.out / "match.html", error=error, names=(f"{options.kind} A", f"{options.kind} B"))
print(f"wrote match.npz, scans.png and match.html to {options.out}")
