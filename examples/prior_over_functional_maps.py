"""What a functional map of a true correspondence looks like, to a model that was trained on other kinds of shapes.

    python examples/prior_over_functional_maps.py --kind quadruped

Writes ``maps.png``: the magnitudes of a true map, the same under noise, and what the prior makes of the noise.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import geospec
from geospec import maps, viz
from geospec.datasets import MAP_FAMILIES, deformed_pair
from geospec.viz.colormaps import colorize

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--kind", default="limbs", choices=MAP_FAMILIES)
parser.add_argument("--noise", type=float, default=0.3)
parser.add_argument("--vertices", type=int, default=1500, help="of each shape, about")
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

prior = geospec.FunctionalMapPrior.pretrained()
print(prior)

# A pair that the prior has not seen, and the functional map of its true correspondence, at area one.
source, target, target_to_source = deformed_pair(options.kind, seed=0, n_vertices=options.vertices)
bases = [geospec.LaplaceBasis.fit(geospec.Mesh(s.vertices / s.area.sqrt(), s.faces), k=30) for s in (source, target)]
true = maps.point_to_functional(target_to_source, *bases).float()

# Magnitudes alone are looked at, since eigenvectors have no sign of their own.
generator = torch.Generator().manual_seed(0)
noisy = true.abs() + options.noise * torch.randn(true.shape, generator=generator)
clean, wiener = prior.denoise(noisy, options.noise), prior.gaussian.denoise(noisy, options.noise)
left = {name: float((x - true.abs()).norm() / (noisy - true.abs()).norm()) for name, x in (("network", clean), ("Wiener filter", wiener))}
print(f"of the noise the network leaves {left['network']:.1%}, the entries' Wiener filter {left['Wiener filter']:.1%}")

shuffled = true[:, torch.randperm(30, generator=generator)]
of_true, of_shuffled = (float(prior.plausibility(x)) for x in (true, shuffled))
print(f"plausibility of the true map {of_true:.3f}, with its columns shuffled {of_shuffled:.3f}")

pictures = [np.kron(colorize(x.abs().numpy(), "sequential", (0, 1)), np.ones((12, 12, 1))) for x in (true, noisy, clean)]
gap = np.ones((360, 12, 3))
picture = np.concatenate([pictures[0], gap, pictures[1], gap, pictures[2]], axis=1)
viz.write_png((255 * picture).round().astype(np.uint8), options.out / "maps.png")
print(f"wrote maps.png to {options.out}")
