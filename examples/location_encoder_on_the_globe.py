"""A field on the globe, learned from measurements at scattered places: spherical harmonics beside plain longitude and latitude.

    python examples/location_encoder_on_the_globe.py

The field is a random series of spherical harmonics whose power falls with the degree, as that of weather and terrain does. Two encoders of
one size learn it from the same places; the one that reads longitude and latitude has a seam at the date line and cannot know that a pole
is one place. Writes ``globe.png`` (what both learned, and where they are wrong) and ``globe.html`` (the same on a globe that turns).
"""

import argparse
from pathlib import Path

import torch

import geospec
from geospec import ops, viz
from geospec.datasets import LocationTable
from geospec.pipelines import LocationTraining, train_location_encoder

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--places", type=int, default=3000)
parser.add_argument("--epochs", type=int, default=150)
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# The truth: degrees up to 24, power l^-2.4, shared alike by the 2 l + 1 functions of each degree.
generator = torch.Generator().manual_seed(4)
basis = geospec.SphericalHarmonics(24)
degrees = basis.degrees.clamp(min=1)
coefficients = torch.randn(basis.k, generator=generator) * (degrees**-2.4 / (2 * degrees + 1)).sqrt()


def truth(xyz):
    return ops.spherical_harmonics(xyz, 24) @ coefficients


# Places anywhere on the sphere, and what is measured there. A fifth of them is kept out of the training.
places = torch.nn.functional.normalize(torch.randn(options.places, 3, generator=generator), dim=1)
measured = truth(places)
table = LocationTable(*ops.xyz_to_lonlat(places.double()), measured[:, None], ("height",))

learned, power = {}, {"truth": basis.power_spectrum(coefficients[:, None])[:, 0]}
for name, sizes in {"spherical harmonics": {"degree": 16}, "longitude and latitude": {"encoding": "direct"}}.items():
    trained = train_location_encoder(LocationTraining(**sizes, epochs=options.epochs), table)
    print(f"siren on {name}: {1 - trained.scores['height']['r2']:.2%} of the variance left at the places held out")
    learned[name] = lambda xyz, encoder=trained.encoder: encoder(xyz)[:, 0]
    power[name] = basis.power_spectrum(basis.analyze(learned[name](basis.sphere.points)[:, None]))[:, 0]

# Where the second is wrong: along the date line and around the poles.
turn = torch.linspace(-180, 180, 721)
for where, lon, lat in (("on the date line", turn * 0 + 180, turn / 2), ("at 80 degrees north", turn, turn * 0 + 80)):
    xyz = ops.lonlat_to_xyz(lon, lat)
    told = [f"{name} {(field(xyz) - truth(xyz)).square().mean().sqrt():.4f}" for name, field in learned.items()]
    print(f"error {where}: {', '.join(told)}")

reach = measured.abs().max().item()
errors = {f"error of {name}": lambda xyz, field=field: (field(xyz) - truth(xyz)).abs() for name, field in learned.items()}
limits = dict.fromkeys(learned, (-reach, reach)) | dict.fromkeys(errors, (0.0, reach / 4))
colors = dict.fromkeys(errors, "error")
note = f"learned from {options.places:,} places; equal areas, the rim is the date line"
maps = viz.world_maps({**learned, **errors}, limits=limits, colormap=colors, heading="A field on the globe", note=note, width=480)
maps.save(options.out / "globe.png")

viz.globe_report(
    options.out / "globe.html",
    {**learned, **errors, "truth": truth},
    points=places[trained.held_out],
    targets=dict.fromkeys(learned, measured[trained.held_out]),
    points_name="places held out",
    spectra=power,
    beside="truth",
    limits={**limits, "truth": (-reach, reach)},
    colormap=colors,
    center=(170, 55),
    title="A field on the globe",
    note=note,
)
print(f"wrote globe.png and globe.html to {options.out}")
