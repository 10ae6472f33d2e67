"""``geospec info``: what a file holds and what is the matter with it."""

from __future__ import annotations

from . import options
from .output import Voice, print_json

EXAMPLES = options.examples(
    "geospec info scan.ply", "geospec info scan.obj --triangulate --repair largest-component", "geospec info scan.ply --json"
)


def run(
    file: options.ShapeFile,
    triangulate: options.Triangulate = False,
    repair: options.Repair = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Report on a shape: size, topology, and whatever may surprise an algorithm, with the repair that helps.

    Nothing is changed. With --repair, the report is on the shape after the steps.
    """
    import geospec

    report = geospec.report(geospec.load(file, triangulate=triangulate, repair=repair or ()))
    voice = Voice(as_json=json)
    voice.say("file", file)
    for line in report.summary().splitlines():
        voice.say("problem" if line.startswith("- ") else "", line.removeprefix("- "), "yellow" if line.startswith("- ") else "")
    if json:
        print_json({"file": file, **report.to_dict(), "problems": report.problems})
