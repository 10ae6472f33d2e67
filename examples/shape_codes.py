"""A shape as a compact code: store it, get it back, blend it with another, take noise away.

    python examples/shape_codes.py --shape my.ply --resolution 256

Writes ``chair.gsc`` (the code), ``chair.ply`` (what it decodes to), ``chair.html`` (both to turn, with the distance between them)
and ``shape_codes.png`` (levels of detail, blends, noise and what is left of it).
"""

import argparse
from pathlib import Path

import torch

import geospec
from geospec import Mesh, codes, viz
from geospec.datasets import solid
from geospec.viz.sheets import Panel, compose

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--shape", type=Path, help="a mesh of your own; a generated chair by default")
parser.add_argument("--resolution", type=int, default=96)
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

mesh = geospec.load(options.shape) if options.shape else solid("chair", seed=1, resolution=options.resolution)
name = options.shape.stem if options.shape else "chair"

# To a code, to a file, and back. Distances are cut some twelve cells from the surface, as at 256 cells.
settings = {"truncation": 25.6 / options.resolution}
code = geospec.encode(mesh, options.resolution, **settings)
code.save(options.out / f"{name}.gsc")
code = geospec.ShapeCode.load(options.out / f"{name}.gsc")
geospec.save(code.decode(), options.out / f"{name}.ply")
size = (options.out / f"{name}.gsc").stat().st_size
print(f"{code}: {size:,} bytes, {size / (12 * mesh.n_points + 12 * len(mesh.faces)):.1%} of the mesh's arrays")
viz.code_report(mesh, code, options.out / f"{name}.html", levels=1, title=f"The code of a {name}")

# Blending wants one box for both: the sofa is encoded on the chair's grid.
other = geospec.encode(solid("sofa", seed=0, resolution=options.resolution), code.grid, **settings)
halfway = codes.blend(code, other, 0.5)
details = codes.blend(code, other, [1.0] + [0.0] * len(code.tree.widths))

# Noise: the vertices of a smooth body are shaken. Its code drops the finest details, and shrinking the others takes more noise away.
smooth = solid("blob", seed=0, resolution=options.resolution)
truth = codes.field_in_box(smooth, options.resolution, **settings)
cell = max(truth.grid.spacing)
shaken = Mesh(smooth.vertices + 0.4 * cell * torch.randn(smooth.vertices.shape, generator=torch.Generator().manual_seed(0)), smooth.faces)
noisy = codes.field_in_box(shaken, truth.grid, **settings)
clean = codes.denoise(geospec.encode(noisy))
near = truth.values.abs() < 2 * cell
before, after = ((field.values - truth.values)[near].square().mean().sqrt() for field in (noisy, clean.field()))
print(f"denoising leaves {100 * after / before:.0f} % of the error of distances near the surface")

pictures = {
    "input": mesh,
    "decoded": code.decode(),
    "level 1": code.decode(level=1),
    "level 2": code.decode(level=2),
    "half a sofa": halfway.decode(),
    "a sofa's body, the chair's details": details.decode(),
    "shaken": shaken,
    "denoised": clean.decode(),
}
view = viz.View.along((0.55, -1.0, 0.5), up=(0, 0, 1))
panels = [
    Panel(viz.render(surface, size=(280, 280), view=view), title, f"{len(surface.faces):,} faces") for title, surface in pictures.items()
]
compose(panels, 4).save(options.out / "shape_codes.png")
print(f"wrote {name}.gsc, {name}.ply, {name}.html and shape_codes.png to {options.out}")
