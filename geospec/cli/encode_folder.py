"""``geospec encode DIR``: a folder of shapes, into a folder of shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import GeospecError, problem
from .output import Voice, check_folder, print_json

FOLDERS = "Folders (FILE is a folder)"
EXAMPLES = (
    "geospec encode meshes/ -o shards/ --workers 8",
    "geospec encode meshes/ -o shards/ --retry",
    "geospec encode meshes/ -o shards/ --cluster tcp://head:8786",
)
#: Failures that are printed; all are in the list.
_SHOWN = 5
#: Exit code of a run after which some shapes have no code.
SOME_FAILED = 3

Workers = Annotated[
    int,
    typer.Option("--workers", min=1, rich_help_panel=FOLDERS, help="Processes, one thread each: as many as cores, while memory lasts."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        rich_help_panel=FOLDERS,
        show_default=False,
        help="A Dask scheduler whose workers encode instead. They need the same folders.",
    ),
]
ShardSize = Annotated[int, typer.Option("--shard-size", min=1, rich_help_panel=FOLDERS, help="Shapes in a shard.")]
Retry = Annotated[
    bool,
    typer.Option(
        "--retry",
        rich_help_panel=FOLDERS,
        help="Try the files again that failed in an earlier run. The exit code is 3 where some have no code in the end, 2 where none has.",
    ),
]


def run(source: Path, output: Path, *, encoding: dict[str, Any], json: bool, quiet: bool, **plan: Any) -> None:
    """Encode what lies in a folder; ``encoding`` and ``plan`` are options of :func:`geospec.pipelines.encode_collection`.

    Raises
    ------
    GeospecError : no shape at all has a code. typer.Exit : with :data:`SOME_FAILED`, where some have none.
    """
    check_folder("--output", output)
    from geospec import pipelines

    voice = Voice(as_json=json, quiet=quiet)
    voice.say("source", f"{source}, by the workers of {plan['cluster']}" if plan["cluster"] else source)
    with voice.progress() as progress:
        result = pipelines.encode_collection(source, output, progress=progress, **plan, **encoding)
    voice.say("encoded", f"{result.encoded:,} shapes in {result.seconds:.1f} s; {result.shapes:,} in {result.shards:,} shards")
    voice.say("size", f"{result.bytes:,} bytes of codes")
    for failure in result.failures[:_SHOWN]:
        voice.say("failed", f"{failure['source']}: {failure['error']}: {failure['message']}", "yellow")
    if len(result.failures) > _SHOWN:
        voice.say("failed", f"{len(result.failures) - _SHOWN:,} more, in failures.jsonl", "yellow")
    if result.others:
        voice.say("other files", f"{len(result.others):,} that hold no shape, such as {result.others[0]}")
    voice.wrote(result.folder)
    if json:
        print_json(vars(result))
    if not result.shapes:
        got = f"{len(result.failures):,} failures"
        raise GeospecError(problem(str(source), "a shape that can be encoded", got, f"see {result.folder / 'failures.jsonl'}"))
    if result.failures:
        raise typer.Exit(SOME_FAILED)
