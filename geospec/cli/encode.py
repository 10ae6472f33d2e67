"""``geospec encode``: a shape as a compact code."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..errors import one_of
from . import encode_folder, options
from .output import Voice, check_output, checked_device, print_json, refuse_given

if TYPE_CHECKING:
    import torch

    from ..codes import Loss, ShapeCode
    from ..shapes import DistanceField, Mesh, PointCloud

FIELD, TREES = "Distance field", "Wavelet trees"
EXAMPLES = options.examples(
    "geospec encode bunny.obj -o bunny.gsc",
    "geospec encode scan.ply -o scan.gsc --energy 0.999999 --preset compact",
    "geospec encode part.stl -o part.gsc --resolution 512 -k 60000 --image part.png",
    "geospec encode bunny.obj -o bunny.gsc --report bunny.html",
    "geospec encode field.npz -o field.gsc --preset lossless --json",
    *encode_folder.EXAMPLES,
)
#: Smallest grid that has two levels.
LEAST_CELLS = 8


def run(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="Mesh or cloud with normals (ply obj off stl glb pcd xyz npz), distance field (npz), or a folder.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", rich_help_panel=options.OUTPUT, show_default=False, help="The code, .gsc; shards of a folder."),
    ],
    resolution: Annotated[
        int, typer.Option("--resolution", min=LEAST_CELLS, rich_help_panel=FIELD, help="Cells along each side of the box.")
    ] = 256,
    truncation: Annotated[
        float, typer.Option("--truncation", rich_help_panel=FIELD, help="Where distances are cut, in halves of the box's side.")
    ] = 0.1,
    fill: Annotated[
        float, typer.Option("--fill", rich_help_panel=FIELD, help="Share of the box's side that the shape's longest side takes.")
    ] = 0.9,
    sign: Annotated[
        str,
        typer.Option(
            "--sign",
            metavar="auto|nonzero|parity|winding|unsigned",
            rich_help_panel=FIELD,
            help="What is inside: auto looks whether the mesh is closed.",
        ),
    ] = "auto",
    k: Annotated[
        int | None, typer.Option("-k", "--k", min=0, rich_help_panel=TREES, show_default="16384", help="Keep so many trees, the largest.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", rich_help_panel=TREES, show_default=False, help="Or those with a detail of the cell above this size."),
    ] = None,
    energy: Annotated[
        float | None,
        typer.Option("--energy", rich_help_panel=TREES, show_default=False, help="Or as many as hold this share of the details' energy."),
    ] = None,
    wavelet: Annotated[str, typer.Option("--wavelet", rich_help_panel=TREES, help="A name such as bior6.8, db4, haar.")] = "bior6.8",
    levels: Annotated[
        int | None, typer.Option("--levels", min=1, rich_help_panel=TREES, show_default="as many as fit", help="Of the transform.")
    ] = None,
    keep_finest: Annotated[
        bool, typer.Option("--keep-finest", rich_help_panel=TREES, help="Trees with the finest level, eight times as large.")
    ] = False,
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            metavar="constant|zero|symmetric|periodization|...",
            rich_help_panel=TREES,
            help="How the grid goes on beyond its ends.",
        ),
    ] = "constant",
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            metavar="lossless|near-lossless|compact|tiny",
            rich_help_panel=options.OUTPUT,
            help="How the numbers are rounded; what that changes is measured and printed.",
        ),
    ] = "near-lossless",
    image: Annotated[
        Path | None,
        typer.Option("--image", rich_help_panel=options.OUTPUT, show_default=False, help="The shape beside what is decoded, .png."),
    ] = None,
    report: options.Report = None,
    workers: encode_folder.Workers = 1,
    cluster: encode_folder.Cluster = None,
    shard_size: encode_folder.ShardSize = 64,
    retry: encode_folder.Retry = False,
    json: options.Json = False,
    triangulate: options.Triangulate = False,
    repair: options.Repair = None,
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Encode a shape, or all shapes of a folder, as a small file for geospec decode: a few wavelet trees of its distance field.

    Printed are the overlap (IoU) of the inside with that of the distance field, the size of the file, and the time of each stage.
    """
    boxed: dict[str, Any] = {"resolution": resolution, "truncation": truncation, "fill": fill, "sign": sign}
    kept: dict[str, Any] = {"k": k, "threshold": threshold, "energy": energy, "wavelet": wavelet, "levels": levels, "mode": mode}
    if keep_finest:
        kept["drop_finest"] = 0
    if file.is_dir():
        refuse_given(context, "a folder", image="--image", report="--report", device="--device")
        folder: dict[str, Any] = {"workers": workers, "cluster": cluster, "shard_size": shard_size, "retry": retry}
        reading: dict[str, Any] = {"triangulate": triangulate, "repair": repair or ()}
        encode_folder.run(file, output, **folder, **reading, preset=preset, encoding=boxed | kept, json=json, quiet=quiet)
        return
    refuse_given(context, "one file", workers="--workers", cluster="--cluster", shard_size="--shard-size", retry="--retry")
    check_output("--output", output, (".gsc",), [file])
    check_output("--image", image, (".png",), [file])
    check_output("--report", report, (".html",), [file])
    place = checked_device(device)
    from geospec import codes

    one_of("--preset", preset, tuple(codes.PRESETS))
    voice = Voice(as_json=json, quiet=quiet)
    read = partial(_read, file, triangulate, repair, place)
    result = _encode_one(context, voice, read, output, preset, boxed, kept)
    _draw(voice, file, output, image, report, result)
    _tell(voice, file, preset, result)
    voice.wrote(output, image, report)
    if json:
        told = {"file": file, "output": output, "image": image, "report": report, "preset": preset, "bytes": result.size, "iou": result.iou}
        measured = {"loss": asdict(result.loss), **described_code(result.code), "trees_written": result.written.k}
        print_json({**told, **measured, "seconds": result.clock.seconds})


class Encoded(NamedTuple):
    """What became of one file."""

    shape: Mesh | PointCloud | DistanceField
    code: ShapeCode
    written: ShapeCode
    loss: Loss
    size: int
    iou: float
    clock: Clock


def _encode_one(
    context: typer.Context,
    voice: Voice,
    read: Callable[[], Mesh | PointCloud | DistanceField],
    output: Path,
    preset: str,
    boxed: dict[str, Any],
    kept: dict[str, Any],
) -> Encoded:
    """Read, encode, write and check one shape."""
    import geospec
    from geospec import codes

    clock = Clock()
    with voice.progress() as progress:
        progress("reading", 0, 0)
        shape = read()
        clock.stop("reading")
        progress("distances", 0, 0)
        if isinstance(shape, geospec.DistanceField):
            refuse_given(context, "a distance field", **{name: f"--{name}" for name in boxed})
            field = shape
        else:
            field = codes.field_in_box(shape, **boxed)
        clock.stop("distances")
        progress("wavelet trees", 0, 0)
        code = codes.encode(field, **kept)
        clock.stop("trees")
        progress("writing", 0, 0)
        loss = code.save(output, preset)
        clock.stop("writing")
        progress("checking", 0, 0)
        written, size = geospec.ShapeCode.load(output), output.stat().st_size
        iou = codes.inside_iou(field.values.cpu(), written.field().values)
    return Encoded(shape, code, written, loss, size, iou, clock)


def _draw(voice: Voice, file: Path, output: Path, image: Path | None, report: Path | None, result: Encoded) -> None:
    import geospec
    from geospec import viz

    shape = result.shape
    with voice.progress() as progress:
        if image is not None:
            progress("image", 0, 0)
            drawn = shape.surface() if isinstance(shape, geospec.DistanceField) else shape
            viz.side_by_side([(drawn, "input"), (result.written.decode(), f"{output.name}, {result.size:,} bytes")], image)
        if report is not None:
            progress("report", 0, 0)
            viz.code_report(shape, result.written, report, title=file.name)


def _tell(voice: Voice, file: Path, preset: str, result: Encoded) -> None:
    code, loss, size, trees = result.code, result.loss, result.size, result.written.k
    voice.say("shape", f"{file} ({result.shape!r})")
    voice.say("code", code)
    voice.say("written", f"{preset}, {trees:,} trees, {size:,} bytes, {8 * size / code.n_numbers:.2f} bits a number")
    where = f"{loss.surface:.3g} at the surface, {loss.field:.3g} anywhere; cells are {max(code.grid.spacing):.3g} wide"
    voice.say("error", f"of the rounding: {where}")
    voice.say("IoU", f"{result.iou:.6f} with the inside of the distance field")
    voice.say("seconds", result.clock)


class Clock:
    """Seconds of each stage, from the end of the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """The end of a stage."""
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now

    def __str__(self) -> str:
        return ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in self.seconds.items())


def _read(file: Path, triangulate: bool, repair: list[str] | None, place: torch.device) -> Mesh | PointCloud | DistanceField:
    from geospec.codes.inputs import load_shape_or_field

    return load_shape_or_field(file, triangulate=triangulate, repair=repair or ()).to(place)


def described_code(code: ShapeCode) -> dict[str, Any]:
    """What a code is, for JSON."""
    tree, grid = code.tree, code.grid
    place = {"shape": grid.shape, "lower": grid.lower, "spacing": grid.spacing, "truncation": code.truncation}
    transform = {"wavelet": tree.wavelet, "mode": tree.mode, "levels": tree.levels}
    return {**place, **transform, "trees": code.k, "numbers": code.n_numbers}
