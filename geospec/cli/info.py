"""``geospec info``: what a file holds and what is the matter with it."""

from __future__ import annotations

from pathlib import Path

import typer

from . import options
from .output import Voice, print_json, refuse_given

EXAMPLES = options.examples(
    "geospec info scan.ply",
    "geospec info scan.obj --triangulate --repair largest-component",
    "geospec info scan.ply --json",
    "geospec info scan.gsc",
)


def run(
    context: typer.Context,
    file: options.ShapeFile,
    triangulate: options.Triangulate = False,
    repair: options.Repair = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Report on a shape: size, topology, and whatever may surprise an algorithm, with the repair that helps.

    Nothing is changed. With --repair, the report is on the shape after the steps. Of a code (.gsc), what its header says.
    """
    if file.suffix == ".gsc":
        refuse_given(context, "a code", triangulate="--triangulate", repair="--repair")
        _tell_code(file, as_json=json)
        return
    import geospec

    report = geospec.report(geospec.load(file, triangulate=triangulate, repair=repair or ()))
    voice = Voice(as_json=json)
    voice.say("file", file)
    for line in report.summary().splitlines():
        voice.say("problem" if line.startswith("- ") else "", line.removeprefix("- "), "yellow" if line.startswith("- ") else "")
    if json:
        print_json({"file": file, **report.to_dict(), "problems": report.problems})


def _tell_code(file: Path, *, as_json: bool) -> None:
    """What the header of a code says; its trees are not read."""
    from ..codes.files import read_header

    said, size, voice = read_header(file), file.stat().st_size, Voice(as_json=as_json)
    voice.say("file", f"{file}, {size:,} bytes")
    cells = " x ".join(map(str, said["shape"]))
    voice.say("grid", f"{cells} cells (z, y, x) of {_row(said['spacing'])} from {_row(said['lower'])}, cut at {said['truncation']:.6g}")
    left = f"{said['drop_finest']} finest left out"
    voice.say("transform", f"{said['wavelet']}, {said['mode']}, {said['levels']} levels, {left}, {said['trees']:,} trees")
    voice.say("written", said.get("preset", "by an unnamed preset"))
    if loss := said.get("loss"):
        where = f"{loss['surface']:.3g} at the surface, {loss['field']:.3g} anywhere"
        voice.say("error", f"of the rounding: {where}; IoU {'undefined' if loss['iou'] is None else format(loss['iou'], '.6f')}")
    if as_json:
        print_json({"file": file, "bytes": size, **said})


def _row(numbers: list[float]) -> str:
    """Three numbers (x, y, z), as one where they are alike."""
    return f"{numbers[0]:.6g}" if len(set(numbers)) == 1 else f"({', '.join(f'{number:.6g}' for number in numbers)})"
