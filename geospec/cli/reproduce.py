"""``geospec reproduce``: a paper's claims, run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .output import Voice, check_folder, checked_device, print_json

#: Everything ran, and some row fell short of what it asks.
FELL_SHORT = 3
EXAMPLES = options.examples(
    "geospec reproduce --list",
    "geospec reproduce learned-eigenbasis",
    "geospec reproduce learned-eigenbasis --preset full --data meshes/ -o results/",
    "geospec reproduce learned-eigenbasis --only A4,A8 --json",
)


def run(
    name: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False, help="Which; see --list.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the reproductions and their runs, and leave.")] = False,
    preset: Annotated[
        str,
        typer.Option("--preset", metavar="quick|full", rich_help_panel=options.METHOD, help="quick: smaller sizes. full: the paper's."),
    ] = "quick",
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="RUN,RUN", rich_help_panel=options.METHOD, show_default=False, help="Runs to do; all by default."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", rich_help_panel=options.METHOD, show_default=False, help="Folder of meshes for runs on real shapes."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, rich_help_panel=options.RUN, help="What random numbers start from.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            rich_help_panel=options.OUTPUT,
            show_default="a folder NAME here",
            help="Folder for table.md, figure.png and metrics.json.",
        ),
    ] = None,
    json: options.Json = False,
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Run the claims of a paper again, and show what was claimed, what came out and whether it holds.

    Exit code 0: every row holds. 3: all ran, and a row falls short; it is shown as failing. Runs that lack --data are listed as not
    run and do not count.
    """
    if show_list:
        _tell_list(json)
        return
    if name is None:
        raise typer.BadParameter("name a reproduction; geospec reproduce --list shows them", param_hint="NAME")
    place = checked_device(device)
    from geospec.reproductions import REPRODUCTIONS, reproduce

    from ..errors import one_of

    one_of("NAME", name, tuple(REPRODUCTIONS))
    folder = Path(name) if output is None else output
    check_folder("--output", folder)
    chosen = None if only is None else [word.strip() for word in only.split(",") if word.strip()]
    voice = Voice(as_json=json, quiet=quiet)
    with voice.progress() as progress:
        result = reproduce(name, folder, preset=preset, only=chosen, data=data, device=place, seed=seed, progress=progress)
    voice.say("paper", result.paper)
    for row in result.rows:
        voice.say(row.run, f"{row.verdict}: {row.what}: {row.found.replace('**', '')}", "red" if row.verdict == "FAIL" else "")
    voice.say("result", result.summary(), "red" if result.failing else "green")
    voice.wrote(*(folder / file for file in ("table.md", "figure.png", "metrics.json")))
    if json:
        print_json({**result.to_dict(), "output": folder})
    if result.failing:
        raise typer.Exit(FELL_SHORT)


def _tell_list(as_json: bool) -> None:
    from geospec.reproductions import REPRODUCTIONS

    if as_json:
        told = {
            name: {"title": r.title, "paper": r.paper, "runs": {key: run.what for key, run in r.runs.items()}}
            for name, r in REPRODUCTIONS.items()
        }
        print_json(told)
        return
    voice = Voice(as_json=False)
    for name, reproduction in REPRODUCTIONS.items():
        voice.say(name, f"{reproduction.title}: {reproduction.paper}", "bold")
        for key, run in reproduction.runs.items():
            voice.say(f"  {key}", run.what)
