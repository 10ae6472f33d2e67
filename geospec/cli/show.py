"""``geospec show``: a look at a shape, without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .output import Voice, check_output, described, print_json

EXAMPLES = options.examples("geospec show scan.ply", "geospec show bunny.obj --image bunny.png --report bunny.html")


def run(
    file: options.ShapeFile,
    image: Annotated[
        Path | None,
        typer.Option("--image", rich_help_panel=options.OUTPUT, show_default="FILE's name with -view.png, here", help="Picture, .png."),
    ] = None,
    report: options.Report = None,
    json: options.Json = False,
    triangulate: options.Triangulate = False,
    repair: options.Repair = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw a mesh or a point cloud to a picture, and to a page in which it turns. Needs no display."""
    if image is None and report is None:
        image = Path(f"{file.stem}-view.png")  # not .png: that is often the texture
    check_output("--image", image, (".png",), [file])
    check_output("--report", report, (".html",), [file])
    import geospec
    from geospec import viz

    voice = Voice(as_json=json, quiet=quiet)
    shape = geospec.load(file, triangulate=triangulate, repair=repair or ())
    voice.say("shape", described(file, shape))
    if image is not None:
        viz.write_png(viz.render(shape), image)
    if report is not None:
        viz.shape_report(shape, report, title=file.name, numbers=geospec.report(shape).to_dict())
    voice.wrote(image, report)
    if json:
        print_json({"file": file, "n": shape.n_points, "image": image, "report": report})
