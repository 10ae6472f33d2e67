"""``geospec train``: the networks that geospec ships, trained again or at other sizes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options
from .output import Voice, check_output, checked_device, print_json

EXAMPLES = options.examples(
    "geospec train eigenbasis -o eigenbasis.safetensors",
    "geospec train eigenbasis -o eigenbasis.safetensors --resume --json",
)
EIGENBASIS_EXAMPLES = options.examples(
    "geospec train eigenbasis -o eigenbasis.safetensors",
    "geospec train eigenbasis -o eigenbasis.safetensors --resume",
    "geospec train eigenbasis -o small.safetensors --steps 2000 --width 64 --points 512 --processes 2",
    "torchrun --nproc-per-node 4 -m geospec train eigenbasis -o eigenbasis.safetensors --device cuda",
)

app = typer.Typer(
    help="Train the networks that geospec ships, again or at other sizes. A run that is stopped (ctrl-C) leaves a checkpoint; "
    "the same command with --resume goes on from it, to the same weights.",
    epilog=EXAMPLES,
)


@app.callback(invoke_without_command=True)
def _without_a_name(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _number(option: str, text: str, least: int = 1) -> Any:
    return typer.Option(option, min=least, rich_help_panel=options.METHOD, help=text)


@app.command(epilog=EIGENBASIS_EXAMPLES)
def eigenbasis(
    output: Annotated[
        Path, typer.Option("-o", "--output", rich_help_panel=options.OUTPUT, show_default=False, help="The weights, .safetensors.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", rich_help_panel=options.OUTPUT, show_default="OUTPUT with .run", help="Where checkpoints and metrics.jsonl go."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", rich_help_panel=options.RUN, help="Go on from the folder's last checkpoint, if it has one.")
    ] = False,
    steps: Annotated[int, _number("--steps", "Updates of the weights.")] = 4000,
    batch: Annotated[int, _number("--batch", "Clouds in a step, over all processes.")] = 8,
    points: Annotated[int, _number("--points", "Points of each cloud.")] = 1024,
    modes: Annotated[int, _number("--modes", "Most modes that the network gives.")] = 64,
    learned: Annotated[int, _number("--learned", "Functions that the network adds to the coarse modes.")] = 64,
    width: Annotated[int, _number("--width", "Features of each point.")] = 96,
    depth: Annotated[int, _number("--depth", "Blocks.")] = 2,
    shapes: Annotated[int, _number("--shapes", "Clouds in the pool.")] = 1000,
    processes: Annotated[
        int,
        typer.Option("--processes", min=1, rich_help_panel=options.RUN, help="Processes that divide each batch; a device each on CUDA."),
    ] = 1,
    device: options.Device = "cpu",
    seed: Annotated[int, typer.Option("--seed", min=0, rich_help_panel=options.RUN, help="Of everything random.")] = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train the network that gives learned eigenbases of clouds it has not seen.

    The clouds are made on the spot. What is written holds the averaged weights, the sizes, the command, the seed, and how good
    the network is on clouds held out.
    """
    check_output("--output", output, (".safetensors",))
    checked_device(device)
    run = folder or output.with_suffix(".run")
    from geospec import pipelines, training

    plan = pipelines.EigenbasisTraining(
        steps=steps,
        batch=batch,
        points=points,
        modes=modes,
        learned=learned,
        width=width,
        depth=depth,
        shapes=shapes,
        device=device,
        seed=seed,
    )
    speaks = training.leads()
    voice = Voice(as_json=json, quiet=quiet or not speaks)
    voice.say("training", f"{steps:,} steps of {batch} clouds of {points:,} points, {modes} modes, on {device}")
    voice.say("folder", run)

    def report(entry: dict[str, Any]) -> None:
        if "validation" in entry:
            measured = ", ".join(f"{name} {value:.4g}" for name, value in entry["validation"].items())
            voice.say(f"step {entry['step']}", f"loss {entry['loss']:.4g}; held out: {measured}")

    command = shlex.join(
        ["geospec", "train", "eigenbasis", "--output", output.name]
        + [word for name, value in vars(plan).items() if name in _SAID for word in (f"--{name}", str(value))]
        + (["--processes", str(processes)] if processes > 1 else [])
    )
    with voice.progress() as progress:
        result = pipelines.train_eigenbasis(
            plan, output, run, resume=resume, processes=processes, command=command, progress=progress, report=report
        )
    voice.say("steps", f"{result['step']:,} in {result['seconds']:.0f} s, {result['skipped']} skipped")
    if result["finished"]:
        voice.wrote(output)
    else:
        voice.say("stopped", f"at step {result['step']:,}; the same command with --resume goes on", "yellow")
    if json and speaks:
        print_json({**result, "folder": run, "command": command})
    if not result["finished"]:
        raise typer.Exit(130)


#: What of the plan the command in the file says.
_SAID = ("steps", "batch", "points", "modes", "learned", "width", "depth", "shapes", "device", "seed")
