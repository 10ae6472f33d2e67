"""Options that several verbs share, each written once.

Choices are named for the reader of the help and checked where they are used, by the functions that
own them: to import their tables would cost each help page the import of torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

READING, OUTPUT, METHOD, RUN = "Reading the files", "Output", "Method", "Run"


def examples(*commands: str) -> str:
    """The closing lines of a help page. Blank lines keep typer from joining them."""
    return "\n\n".join(["[bold]Examples[/bold]", *(f"  $ {command}" for command in commands)])


def _remember_debug(context: typer.Context, asked: bool) -> None:
    context.find_root().ensure_object(dict)["debug"] = asked


ShapeFile = Annotated[
    Path, typer.Argument(metavar="FILE", show_default=False, help="Mesh or point cloud: ply obj off stl glb pcd xyz npz.")
]
Triangulate = Annotated[
    bool, typer.Option("--triangulate", rich_help_panel=READING, help="Cut faces of more than three corners into triangles.")
]
Repair = Annotated[
    list[str] | None,
    typer.Option(
        "--repair",
        metavar="STEP",
        rich_help_panel=READING,
        show_default=False,
        help="Repair after reading; may be given several times, in order: duplicate-vertices, degenerate-faces, duplicate-faces, "
        "unreferenced, largest-component, orientation. What is written keeps the file's own vertex order.",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option("--report", rich_help_panel=OUTPUT, show_default=False, help="Interactive .html page, one file, works offline."),
]
Weights = Annotated[Path, typer.Option("-o", "--output", rich_help_panel=OUTPUT, show_default=False, help="The weights, .safetensors.")]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print the result as JSON; all other text goes to stderr.")]
Kind = Annotated[
    str,
    typer.Option(
        "--laplacian",
        "--kind",
        metavar="robust|cotangent|delaunay|graph|anisotropic",
        rich_help_panel=METHOD,
        help="The Laplacian: robust takes any mesh or cloud, graph too, the others sound meshes only.",
    ),
]
Boundary = Annotated[
    str,
    typer.Option(
        "--boundary",
        metavar="neumann|dirichlet",
        rich_help_panel=METHOD,
        help="neumann leaves the boundary free, dirichlet holds it at zero.",
    ),
]
Cache = Annotated[bool, typer.Option("--cache", rich_help_panel=RUN, help="Keep bases in ~/.cache/geospec and use those kept there.")]
Device = Annotated[str, typer.Option("--device", rich_help_panel=RUN, help="Where to compute: cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option("--seed", min=0, rich_help_panel=RUN, help="Of everything random.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=RUN, help="Print nothing but errors (and JSON).")]
Debug = Annotated[
    bool, typer.Option("--debug", callback=_remember_debug, is_eager=True, rich_help_panel=RUN, help="Show the traceback of an error.")
]
