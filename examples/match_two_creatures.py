"""Match two generated bodies of different build, pose and mesh, and measure the map against the truth.

    python examples/match_two_creatures.py --kind humanoid --seed 0

Writes ``match.npz`` (the maps), ``match.png`` (both shapes, equal colours for corresponding places) and ``match.html``
(the same to turn, pick and compare, with the functional map and all numbers).
"""

import argparse
from pathlib import Path

import geospec
from geospec import maps, viz
from geospec.datasets.creatures import KINDS, creature_pair, ground_truth

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--kind", default="humanoid", choices=KINDS)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--vertices", type=int, default=2000, help="of each creature")
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# Two creatures: the same kind, everything else drawn anew. Each vertex remembers where on its kind's rest shape it lies.
source, target = creature_pair(options.kind, seed=options.seed, n_vertices=options.vertices)
truth = ground_truth(source, target)

match = geospec.match(source.mesh, target.mesh)
print(f"for each of {target.mesh.n_points} target vertices a source vertex, for example {match.target_to_source[:5].tolist()}")
print(f"functional map {tuple(match.functional_map.shape)}, mean confidence {match.confidence.mean():.2f}")

error = maps.geodesic_error(match.target_to_source, truth, source.mesh)
print(f"mean geodesic error {error.mean():.2f} % of the square root of the source's area")

match.save(options.out / "match.npz")
viz.match_image(match, options.out / "match.png")
viz.match_report(match, options.out / "match.html", ground_truth=truth, names=(f"{options.kind} A", f"{options.kind} B"))
print(f"wrote match.npz, match.png and match.html to {options.out}")
