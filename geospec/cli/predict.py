"""``geospec predict``: what a location encoder says of other places."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .output import Voice, check_output, checked_device, print_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES = options.examples(
    "geospec predict encoder.safetensors places.csv -o predicted.csv",
    "geospec predict encoder.safetensors places.npz -o predicted.npz --lon x --lat y",
)


def run(
    encoder: Annotated[Path, typer.Argument(metavar="ENCODER", show_default=False, help="What geospec train location has written.")],
    places: Annotated[
        Path, typer.Argument(metavar="PLACES", show_default=False, help="A table .csv or .npz with longitude and latitude (degrees).")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", rich_help_panel=options.OUTPUT, show_default=False, help="The table to write, .csv or .npz.")
    ],
    json: options.Json = False,
    lon: options.Longitude = None,
    lat: options.Latitude = None,
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Ask a location encoder about places: writes their longitude, latitude and targets, or the likeliest class and its probability."""
    check_output("--output", output, (".csv", ".npz"), [encoder, places])
    checked_device(device)
    from geospec import datasets, models, weights
    from geospec.models.location_encoder import KIND

    voice = Voice(as_json=json, quiet=quiet)
    model = models.LocationEncoder.load(encoder).to(device)
    told = weights.load_weights(encoder, KIND).metrics
    at = datasets.read_places(places, lon=lon, lat=lat)
    columns = {"lon": at[0].numpy(), "lat": at[1].numpy(), **_predicted(model, at, told)}
    _write(output, columns)
    voice.say("places", f"{places} ({len(at[0]):,} rows)")
    voice.say("predicted", ", ".join(list(columns)[2:]))
    voice.wrote(output)
    if json:
        print_json({"encoder": encoder, "places": places, "rows": len(at[0]), "columns": list(columns), "output": output})


def _predicted(model: Any, at: tuple[Any, Any], told: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Columns by name; of an encoder whose file names no targets they are numbered."""
    import numpy as np
    import torch

    device = model.network.first.weight.device
    with torch.no_grad():
        outputs = model.at_lonlat(*(part.to(device) for part in at)).cpu()
    names = _column_names(told.get("targets") or [f"output {i}" for i in range(outputs.shape[1])])
    if told.get("classes"):
        probability, found = outputs.softmax(dim=1).max(dim=1)
        return {names[0]: np.array(told["classes"])[found.numpy()], f"{names[0]} probability": probability.numpy()}
    return dict(zip(names, outputs.numpy().T, strict=True))


def _column_names(targets: list[str]) -> list[str]:
    """The targets' names; one that a reader would take for a place's is written with ``predicted`` before it."""
    from geospec.datasets.location_table import LATITUDES, LONGITUDES

    names = []
    for target in targets:
        name = target
        while name.lower() in (*LONGITUDES, *LATITUDES) or (name != target and name in targets):
            name = f"predicted {name}"
        names.append(name)
    return names


def _write(path: Path, columns: dict[str, Any]) -> None:
    """A table, aside and renamed."""
    import numpy as np

    from ..writing import written_aside

    with written_aside(path) as aside:
        if path.suffix == ".npz":
            with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:  # np.savez takes no array that is called "file"
                for name, column in columns.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, column, allow_pickle=False)
            return
        with open(aside, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
