"""``geospec train location``: a location encoder, trained on a table of the user's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ArgumentError, problem
from . import options
from .output import Voice, check_output, checked_device, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ..pipelines import TrainedLocations

EXAMPLES = options.examples(
    "geospec train location stations.csv -o encoder.safetensors --report globe.html",
    "geospec train location stations.csv -o encoder.safetensors --target temperature --target rain --image map.png",
    "geospec train location sightings.csv -o species.safetensors --target species --degree 25 --network linear",
)
#: The degree to which the report shows the spectrum of what was learned.
_SPECTRUM_DEGREE = 64
_CURVES = 4
#: Classes that :mod:`geospec.viz` can colour.
_MOST_CLASSES = 256


def _names(option: str, text: str) -> Any:
    return typer.Option(option, rich_help_panel=options.READING, show_default=False, help=text)


def _size(option: str, text: str) -> Any:
    return typer.Option(option, min=1, rich_help_panel=options.METHOD, help=text)


def run(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", show_default=False, help="A table .csv or .npz with longitude, latitude (degrees) and targets."),
    ],
    output: options.Weights,
    report: options.Report = None,
    image: Annotated[
        Path | None,
        typer.Option("--image", rich_help_panel=options.OUTPUT, show_default=False, help="World map of what was learned, .png."),
    ] = None,
    json: options.Json = False,
    target: Annotated[list[str] | None, _names("--target", "A column to learn; may be repeated. All but the places by default.")] = None,
    lon: Annotated[str | None, _names("--lon", "The column of longitudes; lon or longitude by default.")] = None,
    lat: Annotated[str | None, _names("--lat", "The column of latitudes; lat or latitude by default.")] = None,
    classes: Annotated[
        bool, typer.Option("--classes", rich_help_panel=options.READING, help="The target's numbers are classes, as text always is.")
    ] = False,
    encoding: Annotated[
        str,
        typer.Option("--encoding", metavar="NAME", rich_help_panel=options.METHOD, help="spherical-harmonics, direct, grid, spherec+ ..."),
    ] = "spherical-harmonics",
    network: Annotated[
        str, typer.Option("--network", metavar="siren|linear|fcnet", rich_help_panel=options.METHOD, help="What reads the encoding.")
    ] = "siren",
    degree: Annotated[
        int | None,
        typer.Option(
            "--degree", min=0, rich_help_panel=options.METHOD, show_default="14", help="Of harmonics: features of 180/degree degrees."
        ),
    ] = None,
    hidden: Annotated[int, _size("--hidden", "Width of the network.")] = 64,
    layers: Annotated[int, _size("--layers", "Hidden layers of a siren.")] = 2,
    epochs: Annotated[int, _size("--epochs", "Passes over the table, at most.")] = 200,
    batch: Annotated[int, _size("--batch", "Rows in a step.")] = 256,
    patience: Annotated[int, _size("--patience", "Epochs without a better held-out score that end the training.")] = 30,
    held_out: Annotated[
        float, typer.Option("--held-out", rich_help_panel=options.METHOD, help="The share of the rows that is kept to score it.")
    ] = 0.2,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train a location encoder on a table: a function on the sphere that gives the targets at any place.

    Targets that are numbers are regressed in their own units; text, or numbers with --classes, is classified. The weights are those of the
    epoch that did best on rows held out, drawn at random; they load with geospec.LocationEncoder.load. Stopped (ctrl-C), the best so far
    is written.
    """
    check_output("--output", output, (".safetensors",), [data])
    check_output("--report", report, (".html",), [data])
    check_output("--image", image, (".png",), [data])
    checked_device(device)
    from geospec import datasets, pipelines

    voice = Voice(as_json=json, quiet=quiet)
    sizes = {"encoding": encoding, "network": network, "hidden": hidden, "layers": layers, "epochs": epochs, "batch": batch}
    sizes |= {"patience": patience, "held_out": held_out, "seed": seed}
    plan = pipelines.LocationTraining(**sizes, degree=degree, device=device)  # type: ignore[arg-type]
    table = datasets.read_location_table(data, lon=lon, lat=lat, targets=target, classes=classes)
    kinds = f"{len(table.classes)} classes" if table.classes else "numbers"
    if (report or image) and table.classes and len(table.classes) > _MOST_CLASSES:
        option = "--report" if report else "--image"
        raise ArgumentError(
            problem(option, f"at most {_MOST_CLASSES} classes", len(table.classes), "they need a colour each; leave it away")
        )
    voice.say("table", f"{data} ({len(table):,} rows, {', '.join(table.names)}: {kinds})")
    with voice.progress() as progress:
        trained = pipelines.train_location_encoder(plan, table, progress=progress)
    command = _command(data, output, sizes | ({} if degree is None else {"degree": degree}), target, lon, lat, classes)
    trained.save(output, command)
    voice.say("epochs", f"{trained.epochs} in {trained.seconds:.0f} s, the best was {trained.best_epoch}")
    voice.say("held out", f"{len(trained.held_out):,} rows: {_scores_text(trained.scores)}")
    if report is not None:
        _report(trained, report, data.name, sizes)
    if image is not None:
        _image(trained, image, data.name)
    voice.wrote(output, report, image)
    if not trained.finished:
        voice.say("stopped", f"after epoch {trained.epochs}; what was written is the best so far", "yellow")
    if json:
        parameters = sum(weights.numel() for weights in trained.encoder.parameters())
        told: dict[str, Any] = {"finished": trained.finished, "epochs": trained.epochs, "best_epoch": trained.best_epoch}
        told |= {"seconds": round(trained.seconds, 1), "rows": len(table), "targets": table.names, "classes": table.classes}
        told |= {"parameters": parameters, "held_out": trained.scores, "output": output, "report": report, "image": image}
        print_json({**told, "command": command})
    if not trained.finished:
        raise typer.Exit(130)


def _command(
    data: Path, output: Path, sizes: dict[str, Any], targets: list[str] | None, lon: str | None, lat: str | None, classes: bool
) -> str:
    """The command that makes the same weights again."""
    words = ["geospec", "train", "location", data.name, "--output", output.name]
    words += [word for name, value in sizes.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words += [word for name in targets or () for word in ("--target", name)]
    words += [word for option, name in (("--lon", lon), ("--lat", lat)) if name is not None for word in (option, name)]
    return shlex.join(words + (["--classes"] if classes else []))


def _scores_text(scores: dict[str, Any]) -> str:
    if "accuracy" in scores:
        return f"accuracy {scores['accuracy']:.1%}, always the commonest class {scores['commonest']:.1%}"
    return "; ".join(
        f"{name} rmse {one['rmse']:.4g}" + ("" if one["r2"] is None else f", r2 {one['r2']:.4f}") for name, one in scores.items()
    )


def _fields(trained: TrainedLocations) -> dict[str, Callable[[Tensor], Tensor]]:
    """What was learned, as functions of unit vectors: each target, or the class and how probable it is."""
    encoder, table = trained.encoder, trained.table
    device = encoder.network.first.weight.device
    if table.classes is None:
        return {name: lambda xyz, column=i: encoder(xyz.to(device))[:, column] for i, name in enumerate(table.names)}  # type: ignore[misc]
    return {
        table.names[0]: lambda xyz: encoder(xyz.to(device)).argmax(dim=1),
        "probability of the class": lambda xyz: encoder(xyz.to(device)).softmax(dim=1).amax(dim=1),
    }


def _report(trained: TrainedLocations, path: Path, name: str, sizes: dict[str, Any]) -> None:
    from geospec import viz

    table, fields = trained.table, _fields(trained)
    measured = table.targets[trained.held_out]
    targets = {target: measured if table.classes else measured[:, i] for i, target in enumerate(table.names)}
    degree = getattr(trained.encoder.encoding, "degree", None)
    done = {**sizes, **({} if degree is None else {"degree": degree})}
    numbers = {"rows": len(table), "epochs": trained.epochs, "best epoch": trained.best_epoch, "what was done": done}
    viz.globe_report(
        path,
        fields,
        points=table.xyz[trained.held_out],
        targets=targets,
        points_name="held-out rows",
        spectra={} if table.classes else {target: _power(fields[target]) for target in table.names[:_CURVES]},
        classes=table.classes,
        limits={} if table.classes is None else {"probability of the class": (0.0, 1.0)},
        title=f"{', '.join(table.names)} of {name}",
        note=f"{sizes['network']} on {sizes['encoding']}, {len(table):,} rows. Held out: {_scores_text(trained.scores)}.",
        numbers=numbers,
    )


def _power(field: Callable[[Tensor], Tensor]) -> Tensor:
    """Power by degree of what was learned."""
    import torch

    from geospec.bases import SphericalHarmonics

    basis = SphericalHarmonics(_SPECTRUM_DEGREE)
    with torch.no_grad():
        return basis.power_spectrum(basis.analyze(field(basis.sphere.points.float()).cpu().float()[:, None]))[:, 0]


def _image(trained: TrainedLocations, path: Path, name: str) -> None:
    from geospec import viz
    from geospec.viz.render import save_image

    fields = _fields(trained)
    maps = {target: fields[target] for target in trained.table.names}
    style: dict[str, Any] = {"columns": min(2, len(maps)), "one_scale": False, "classes": trained.table.classes, "width": 900}
    save_image(viz.world_maps(maps, heading=name, **style), path)
