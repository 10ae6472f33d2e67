"""``geospec train``: the networks that geospec ships, trained again or at other sizes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from . import location, options
from .output import Voice, check_output, checked_device, print_json

EXAMPLES = options.examples(
    "geospec train eigenbasis -o eigenbasis.safetensors",
    "geospec train prior -o prior.safetensors --resume --json",
    "geospec train location stations.csv -o encoder.safetensors --report globe.html",
)
EIGENBASIS_EXAMPLES = options.examples(
    "geospec train eigenbasis -o eigenbasis.safetensors",
    "geospec train eigenbasis -o eigenbasis.safetensors --resume",
    "geospec train eigenbasis -o small.safetensors --steps 2000 --width 64 --points 512 --processes 2",
    "torchrun --nproc-per-node 4 -m geospec train eigenbasis -o eigenbasis.safetensors --device cuda",
)
PRIOR_EXAMPLES = options.examples(
    "geospec train prior -o prior.safetensors",
    "geospec train prior -o prior.safetensors --resume",
    "geospec train prior -o animals.safetensors --leave-out hand --leave-out 'mechanical part'",
    "geospec train prior -o small.safetensors --maps 4000 --held-out 400 --steps 2000 --width 64 --depth 3",
    "torchrun --nproc-per-node 4 -m geospec train prior -o prior.safetensors --device cuda",
)

app = typer.Typer(
    help="Train the networks that geospec ships, again or at other sizes: a run that is stopped (ctrl-C) leaves a checkpoint, and "
    "the same command with --resume goes on from it, to the same weights. Or train a location encoder on a table of your own.",
    epilog=EXAMPLES,
)


@app.callback(invoke_without_command=True)
def _without_a_name(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _number(option: str, text: str, least: int = 1) -> Any:
    return typer.Option(option, min=least, rich_help_panel=options.METHOD, help=text)


Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", rich_help_panel=options.OUTPUT, show_default="OUTPUT with .run", help="Where checkpoints and metrics.jsonl go."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", rich_help_panel=options.RUN, help="Go on from the folder's last checkpoint, if it has one.")
]
Processes = Annotated[
    int,
    typer.Option("--processes", min=1, rich_help_panel=options.RUN, help="Processes that divide each batch; a device each on CUDA."),
]


@app.command(epilog=EIGENBASIS_EXAMPLES)
def eigenbasis(
    output: options.Weights,
    folder: Folder = None,
    resume: Resume = False,
    steps: Annotated[int, _number("--steps", "Updates of the weights.")] = 4000,
    batch: Annotated[int, _number("--batch", "Clouds in a step, over all processes.")] = 8,
    points: Annotated[int, _number("--points", "Points of each cloud.")] = 1024,
    modes: Annotated[int, _number("--modes", "Most modes that the network gives.")] = 64,
    learned: Annotated[int, _number("--learned", "Functions that the network adds to the coarse modes.")] = 64,
    width: Annotated[int, _number("--width", "Features of each point.")] = 96,
    depth: Annotated[int, _number("--depth", "Blocks.")] = 2,
    shapes: Annotated[int, _number("--shapes", "Clouds in the pool.")] = 1000,
    processes: Processes = 1,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
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
    from geospec import pipelines

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
    _run(
        "eigenbasis",
        lambda run, **rest: pipelines.train_eigenbasis(plan, output, run, resume=resume, processes=processes, **rest),
        f"{steps:,} steps of {batch} clouds of {points:,} points, {modes} modes, on {device}",
        {name: getattr(plan, name) for name in _EIGENBASIS_SAID},
        output=output,
        folder=folder,
        processes=processes,
        json=json,
        quiet=quiet,
    )


@app.command(epilog=PRIOR_EXAMPLES)
def prior(
    output: options.Weights,
    folder: Folder = None,
    resume: Resume = False,
    steps: Annotated[int, _number("--steps", "Updates of the weights.")] = 6000,
    batch: Annotated[int, _number("--batch", "Maps in a step, over all processes.")] = 96,
    width: Annotated[int, _number("--width", "Features of each patch.")] = 128,
    depth: Annotated[int, _number("--depth", "Blocks.")] = 6,
    maps: Annotated[int, _number("--maps", "Functional maps to train on.")] = 48000,
    held_out: Annotated[int, _number("--held-out", "Functional maps of other shapes, to validate on.")] = 4800,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out", rich_help_panel=options.METHOD, show_default=False, help="A family to keep out of the training; may be repeated."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--maps-cache",
            rich_help_panel=options.RUN,
            show_default="the user's cache folder",
            help="Where the maps are kept: 250 MB, made in about ten minutes.",
        ),
    ] = None,
    workers: Annotated[int, _number("--workers", "Processes that make the maps.")] = 2,
    processes: Processes = 1,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train the prior over functional maps, which tells a true map from a wrong one.

    The maps are made on the spot, between generated shapes of many families, and kept for the next time. What is written holds the
    averaged weights, the sizes, the command, the seed, and how well maps of shapes held out are denoised.
    """
    check_output("--output", output, (".safetensors",))
    checked_device(device)
    from geospec import pipelines
    from geospec.maps import PriorTraining

    plan = PriorTraining(steps=steps, batch=batch, width=width, depth=depth, device=device, seed=seed)
    left = tuple(leave_out or ())
    said: dict[str, Any] = {name: getattr(plan, name) for name in _PRIOR_SAID}
    said |= {"maps": maps, "held-out": held_out}
    _run(
        "prior",
        lambda run, **rest: pipelines.train_prior(
            plan,
            output,
            run,
            maps=maps,
            held_out=held_out,
            leave_out=left,
            cache=cache or True,
            workers=workers,
            resume=resume,
            processes=processes,
            **rest,
        ),
        f"{steps:,} steps of {batch} functional maps, on {device}",
        said,
        [word for name in left for word in ("--leave-out", name)],
        output=output,
        folder=folder,
        processes=processes,
        json=json,
        quiet=quiet,
    )


app.command("location", epilog=location.EXAMPLES)(location.run)

#: What of each plan the command in the file says.
_EIGENBASIS_SAID = ("steps", "batch", "points", "modes", "learned", "width", "depth", "shapes", "device", "seed")
_PRIOR_SAID = ("steps", "batch", "width", "depth", "device", "seed")


def _run(
    name: str,
    train: Callable[..., dict[str, Any]],
    size: str,
    said: dict[str, Any],
    words: Sequence[str] = (),
    *,
    output: Path,
    folder: Path | None,
    processes: int,
    json: bool,
    quiet: bool,
) -> None:
    """A training with a voice, a bar, and the command that made it; leaves with 130 where it was stopped."""
    from geospec import training

    run = folder or output.with_suffix(".run")
    speaks = training.leads()
    voice = Voice(as_json=json, quiet=quiet or not speaks)
    voice.say("training", size)
    voice.say("folder", run)

    def report(entry: dict[str, Any]) -> None:
        if "validation" in entry:
            measured = ", ".join(f"{name} {value:.4g}" for name, value in entry["validation"].items())
            voice.say(f"step {entry['step']}", f"loss {entry['loss']:.4g}; held out: {measured}")

    command = shlex.join(
        ["geospec", "train", name, "--output", output.name]
        + [word for option, value in said.items() for word in (f"--{option}", str(value))]
        + list(words)
        + (["--processes", str(processes)] if processes > 1 else [])
    )
    with voice.progress() as progress:
        result = train(run, command=command, progress=progress, report=report)
    voice.say("steps", f"{result['step']:,} in {result['seconds']:.0f} s, {result['skipped']} skipped")
    if result["finished"]:
        voice.wrote(output)
    else:
        voice.say("stopped", f"at step {result['step']:,}; the same command with --resume goes on", "yellow")
    if json and speaks:
        print_json({**result, "folder": run, "command": command})
    if not result["finished"]:
        raise typer.Exit(130)
