"""``geospec match``: two shapes in, a correspondence and a picture out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .correspondence import read_landmarks, read_truth
from .output import Progress, Voice, check_output, checked_device, described, print_json, refuse_given

if TYPE_CHECKING:
    from torch import Tensor

    from ..maps import FunctionalMapPrior
    from ..pipelines import Match

EXAMPLES = options.examples(
    "geospec match cat.off lion.off -o match.npz --report match.html",
    "geospec match scan.ply template.obj -o match.npz --landmarks pairs.txt",
    "geospec match scan-a.ply scan-b.ply -o match.npz --basis learned",
    "geospec match cat.off lion.off -o match.npz --quality best",
    "geospec match a.obj b.obj -o match.npz --truth b_to_a.txt --json > result.json",
)


def run(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", show_default=False, help="Shape that gives: ply obj off stl glb pcd xyz npz.")
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", show_default=False, help="Shape that receives.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", rich_help_panel=options.OUTPUT, show_default=False, help="The maps as arrays, .npz.")
    ] = None,
    report: options.Report = None,
    image: Annotated[
        Path | None,
        typer.Option("--image", rich_help_panel=options.OUTPUT, show_default=False, help="Both shapes in matching colours, .png."),
    ] = None,
    json: options.Json = False,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            "--k",
            min=3,
            rich_help_panel=options.METHOD,
            show_default="100, of the points alone 60",
            help="Modes of the final functional map.",
        ),
    ] = None,
    basis: Annotated[
        str,
        typer.Option(
            "--basis",
            metavar="laplace|learned|network",
            rich_help_panel=options.METHOD,
            help="laplace: eigenbases of a Laplacian. learned: bases trained on the points alone, for clouds of any density; faces only "
            "give normals. network: the same in one pass, by the weights that ship.",
        ),
    ] = "laplace",
    laplacian: options.Kind = "robust",
    prior: Annotated[
        str,
        typer.Option(
            "--prior",
            metavar="NAME|FILE|none",
            rich_help_panel=options.METHOD,
            help="What true maps look like: weights that ship, or of your own training. It helps to choose and to doubt.",
        ),
    ] = "functional-maps",
    quality: Annotated[
        str,
        typer.Option(
            "--quality",
            metavar="fast|best",
            rich_help_panel=options.METHOD,
            help="fast: seconds. best: also learns features on this pair under the prior, ten seconds more, and keeps the likelier map.",
        ),
    ] = "fast",
    landmarks: Annotated[
        Path | None,
        typer.Option(
            "--landmarks",
            rich_help_panel=options.METHOD,
            show_default=False,
            help="Known pairs: a text file, a line 'source target' each, vertices numbered from 0 in the files' own order.",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            rich_help_panel=options.METHOD,
            show_default=False,
            help="True map to measure the error against (never used to match): a text file, for each target vertex a line with its "
            "source vertex, -1 where unknown.",
        ),
    ] = None,
    triangulate: options.Triangulate = False,
    repair: options.Repair = None,
    cache: options.Cache = False,
    seed: Annotated[int, typer.Option("--seed", min=0, rich_help_panel=options.RUN, help="Of the draws of noise and weights.")] = 0,
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Find, for every point of TARGET, the point of SOURCE that corresponds to it, and the other way round.

    The npz holds target_to_source (n_t,), source_to_target (n_s,), functional_map (k_t, k_s) and confidence (n_t,), all in
    the files' own vertex order.
    """
    inputs = [source, target, *(path for path in (landmarks, truth) if path is not None)]
    check_output("--output", output, (".npz",), inputs)
    check_output("--report", report, (".html",), inputs)
    check_output("--image", image, (".png",), inputs)
    place = checked_device(device)
    if basis != "laplace":
        refuse_given(context, f"--basis {basis}", laplacian="--laplacian", cache="--cache")
    import geospec

    voice = Voice(as_json=json, quiet=quiet)
    shapes = [geospec.load(path, triangulate=triangulate, repair=repair or ()) for path in (source, target)]
    voice.say("source", described(source, shapes[0]))
    voice.say("target", described(target, shapes[1]))
    pairs = None if landmarks is None else read_landmarks(landmarks, *shapes)
    true_map = None if truth is None else read_truth(truth, *shapes)
    if output is None and report is None and image is None:
        voice.say("note", "nothing will be written: -o match.npz keeps the maps, --report match.html shows them", "yellow")
    start = time.perf_counter()
    with voice.progress() as progress:
        found = geospec.match(
            *shapes,
            basis=basis,
            k=k,
            laplacian=laplacian,
            landmarks=pairs,
            prior=_prior(prior),
            quality=quality,
            seed=seed,
            cache=cache or None,
            device=place,
            progress=progress,
        )
        seconds = time.perf_counter() - start
        errors = _errors(found, true_map)
        _write(found, errors, (source.name, target.name), output, report, image, progress)
    result = {"seconds": seconds, **_numbers(found, errors)}
    _tell(voice, found, result)
    voice.wrote(output, report, image)
    if json:
        written = {"output": output, "report": report, "image": image}
        print_json({"source": source, "target": target, **result, "record": found.record, **written})


def _prior(name: str) -> str | FunctionalMapPrior | None:
    """The name of weights that ship as it is; weights of a file; ``None``."""
    if name == "none":
        return None
    if not name.endswith(".safetensors"):
        return name
    from geospec.maps import FunctionalMapPrior

    return FunctionalMapPrior.load(name)


def _numbers(found: Match, errors: Tensor | None) -> dict[str, Any]:
    """Sizes, and where the truth is known the geodesic error, in hundredths of the root of the source's area."""
    sizes = {"n_source": found.source.n_points, "n_target": found.target.n_points}
    numbers: dict[str, Any] = {**sizes, "functional_map": list(found.functional_map.shape)}
    if errors is not None:
        known = errors[errors.isfinite()]
        numbers["error"] = {"mean": float(known.mean()), "median": float(known.median()), "points": len(known)}
    return numbers


def _errors(found: Match, true_map: Tensor | None) -> Tensor | None:
    """The geodesic error of each target vertex ``(n_t,)``, NaN where the truth is unknown or a vertex that no face uses."""
    if true_map is None:
        return None
    import torch

    import geospec

    known = true_map >= 0
    errors = torch.full(true_map.shape, float("nan"), dtype=found.confidence.dtype)
    errors[known] = geospec.maps.geodesic_error(found.target_to_source, true_map, found.source).to(errors)
    return torch.where(errors.isfinite(), errors, float("nan"))


def _tell(voice: Voice, found: Match, result: dict[str, Any]) -> None:
    voice.say("map", "{} x {} functional map, {:.2f} s".format(*result["functional_map"], result["seconds"]))
    numbers = found.record["numbers"]
    voice.say(
        "quality",
        f"confidence {numbers['mean_confidence']:.2f} on average, {100 * numbers['coverage']:.0f} % of the source's area reached",
    )
    if "plausibility" in numbers:
        voice.say("prior", f"more plausible than {numbers['plausibility']:.0%} of true maps")
    for warning in found.record["warnings"]:
        voice.say("warning", warning, "yellow")
    if "error" in result:
        voice.say(
            "error", "mean {mean:.2f}, median {median:.2f} (geodesic, in hundredths of the root of the area)".format(**result["error"])
        )


def _write(
    found: Match,
    errors: Tensor | None,
    names: tuple[str, str],
    output: Path | None,
    report: Path | None,
    image: Path | None,
    progress: Progress,
) -> None:
    from geospec import viz

    if output is not None:
        found.save(output)
    if report is not None:
        progress("report", 0, 0)
        viz.match_report(found, report, error=errors, names=names)
    if image is not None:
        progress("image", 0, 0)
        viz.match_image(found, image)
