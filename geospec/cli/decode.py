"""``geospec decode``: the surface of a code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .encode import Clock, described_code
from .output import Voice, check_output, checked_device, print_json

#: Formats that hold a mesh.
MESHES = (".ply", ".obj", ".off", ".stl", ".glb", ".npz")
EXAMPLES = options.examples(
    "geospec decode bunny.gsc -o bunny.ply",
    "geospec decode bunny.gsc -o small.obj --level 2",
    "geospec decode bunny.gsc -o bunny.ply --image bunny.png --json",
)


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="A code, .gsc, that geospec encode has written.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", rich_help_panel=options.OUTPUT, show_default=False, help="The mesh: .ply .obj .off .stl .glb .npz."),
    ],
    level: Annotated[
        int,
        typer.Option("--level", min=0, rich_help_panel=options.METHOD, help="Level of detail: cells 2^LEVEL times as wide."),
    ] = 0,
    image: Annotated[
        Path | None, typer.Option("--image", rich_help_panel=options.OUTPUT, show_default=False, help="A picture of the mesh, .png.")
    ] = None,
    json: options.Json = False,
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Decode a code: the surface of its distance field, in the units of the shape it was made of."""
    check_output("--output", output, MESHES, [file])
    check_output("--image", image, (".png",), [file])
    place = checked_device(device)
    import geospec

    voice, load = Voice(as_json=json, quiet=quiet), geospec.ShapeCode.load  # which imports what is not part of reading
    clock = Clock()
    with voice.progress() as progress:
        progress("reading", 0, 0)
        code = load(file, level).to(place)
        clock.stop("reading")
        progress("surface", 0, 0)
        mesh = code.decode(level)
        clock.stop("decoding")
        progress("writing", 0, 0)
        geospec.save(mesh, output)
        clock.stop("writing")
        if image is not None:
            from geospec import viz

            progress("image", 0, 0)
            viz.write_png(viz.render(mesh), image)
    voice.say("code", f"{file} ({code!r})")
    voice.say("surface", f"{mesh!r}{f', level {level}' if level else ''}")
    voice.say("seconds", clock)
    voice.wrote(output, image)
    if json:
        told = {"file": file, "output": output, "image": image, "level": level, "vertices": mesh.n_points, "faces": len(mesh.faces)}
        print_json({**told, **described_code(code), "seconds": clock.seconds})
