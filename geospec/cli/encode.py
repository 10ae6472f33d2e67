"""``geospec encode``: a shape as a compact code."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import one_of
from . import options
from .output import Voice, check_output, checked_device, print_json

if TYPE_CHECKING:
    from ..shapes import DistanceField, Mesh, PointCloud

FIELD, TREES = "Distance field", "Wavelet trees"
EXAMPLES = options.examples(
    "geospec encode bunny.obj -o bunny.gsc",
    "geospec encode scan.ply -o scan.gsc --energy 0.999999 --preset compact",
    "geospec encode part.stl -o part.gsc --resolution 512 -k 60000 --image part.png",
    "geospec encode field.npz -o field.gsc --preset lossless --json",
)
#: Smallest grid that has two levels.
LEAST_CELLS = 8


def run(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="Mesh or cloud with normals (ply obj off stl glb pcd xyz npz), or a distance field (npz).",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", rich_help_panel=options.OUTPUT, show_default=False, help="The code, .gsc.")],
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
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            metavar="constant|zero|symmetric|periodization",
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
        typer.Option(
            "--image", rich_help_panel=options.OUTPUT, show_default=False, help="The shape beside what its code decodes to, .png."
        ),
    ] = None,
    json: options.Json = False,
    triangulate: options.Triangulate = False,
    repair: options.Repair = None,
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Encode a shape: its truncated distance field as a few wavelet trees, in a small file that geospec decode reads.

    Printed are the overlap (IoU) of the inside with that of the distance field, the size of the file, and the time of each stage.
    """
    check_output("--output", output, (".gsc",), [file])
    check_output("--image", image, (".png",), [file])
    place = checked_device(device)
    from geospec import codes

    one_of("--preset", preset, tuple(codes.PRESETS))
    voice, clock = Voice(as_json=json, quiet=quiet), Clock()
    with voice.progress() as progress:
        progress("reading", 0, 0)
        shape = shape_or_field(file, triangulate, repair).to(place)
        clock.stop("reading")
        progress("distances", 0, 0)
        field = (
            shape if hasattr(shape, "truncation") else codes.field_in_box(shape, resolution, truncation=truncation, fill=fill, sign=sign)
        )
        clock.stop("distances")
        progress("wavelet trees", 0, 0)
        code = codes.encode(field, k=k, threshold=threshold, energy=energy, wavelet=wavelet, levels=levels, mode=mode)
        clock.stop("trees")
        progress("writing", 0, 0)
        loss = code.save(output, preset)
        clock.stop("writing")
        decoded = codes.ShapeCode.load(output)
        iou = codes.inside_iou(field.values.cpu(), decoded.field().values)
        if image is not None:
            progress("image", 0, 0)
            _draw(field.surface() if shape is field else shape, decoded.decode(), image, file.name, output)
    size = output.stat().st_size
    voice.say("shape", f"{file} ({shape!r})")
    voice.say("code", code)
    voice.say("kept", f"{decoded.k:,} trees after rounding, {preset}")
    voice.say("IoU", f"{iou:.6f} with the distance field; {loss.iou:.6f} of it by rounding")
    voice.say(
        "error", f"of rounding: {loss.surface:.3g} at the surface, {loss.field:.3g} anywhere (cells are {max(code.grid.spacing):.3g})"
    )
    voice.say("size", f"{size:,} bytes, {8 * size / code.n_numbers:.2f} bits a number")
    voice.say("seconds", ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in clock.seconds.items()))
    voice.wrote(output, image)
    if json:
        told = {"file": file, "output": output, "image": image, "preset": preset, "bytes": size, "iou": iou, "loss": asdict(loss)}
        print_json({**told, **described_code(code), "trees_written": decoded.k, "seconds": clock.seconds})


class Clock:
    """Seconds of each stage, from the end of the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """The end of a stage."""
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now


def shape_or_field(file: Path, triangulate: bool, repair: list[str] | None) -> Mesh | PointCloud | DistanceField:
    """What a file holds: of an npz, a distance field where it has the arrays of one."""
    import zipfile

    import geospec
    from geospec.shapes import DistanceField

    if file.suffix == ".npz" and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if {"values.npy", "numbers.npy"} <= set(archive.namelist()):
                return DistanceField.load(file)
    return geospec.load(file, triangulate=triangulate, repair=repair or ())


def described_code(code: Any) -> dict[str, Any]:
    """What a code is, for JSON."""
    tree, grid = code.tree, code.grid
    place = {"shape": grid.shape, "lower": grid.lower, "spacing": grid.spacing, "truncation": code.truncation}
    transform = {"wavelet": tree.wavelet, "mode": tree.mode, "levels": tree.levels}
    return {**place, **transform, "trees": code.k, "numbers": code.n_numbers}


def _draw(shape: Mesh | PointCloud, decoded: Mesh, path: Path, name: str, output: Path) -> None:
    """Both from one side, next to each other."""
    from geospec import viz

    size = f"{output.stat().st_size:,} bytes"
    viz.side_by_side([(shape, name), (decoded, f"{output.name}, {size}")], path)
