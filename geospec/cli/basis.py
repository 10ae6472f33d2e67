"""``geospec basis``: the modes of a shape, as arrays and as pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..writing import write_npz
from . import options
from .output import Progress, Voice, check_output, checked_device, described, print_json

if TYPE_CHECKING:
    from ..bases import LaplaceBasis
    from ..shapes import Mesh, PointCloud, VertexMap

EXAMPLES = options.examples(
    "geospec basis bunny.obj -k 100 -o basis.npz --image modes.png",
    "geospec basis scan.ply --report basis.html",
    "geospec basis sheet.off --boundary dirichlet --json",
    "geospec basis scan.ply -k 500 --tolerance 1e-10 --cache -o basis.safetensors",
    "geospec basis scan.ply --solver chebyshev --device cuda",
)


def run(
    file: options.ShapeFile,
    k: Annotated[int, typer.Option("-k", "--k", min=1, rich_help_panel=options.METHOD, help="Number of modes.")] = 50,
    kind: options.Kind = "robust",
    boundary: options.Boundary = "neumann",
    solver: Annotated[
        str,
        typer.Option(
            "--solver",
            metavar="auto|krylov|chebyshev|dense",
            rich_help_panel=options.METHOD,
            help="krylov factors a sparse matrix on the CPU, chebyshev works on any device; auto chooses by size and device.",
        ),
    ] = "auto",
    tolerance: Annotated[
        float, typer.Option("--tolerance", rich_help_panel=options.METHOD, help="Largest relative residual of a mode that is accepted.")
    ] = 1e-8,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", rich_help_panel=options.OUTPUT, show_default=False, help="Arrays: .npz or .safetensors."),
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--image", rich_help_panel=options.OUTPUT, show_default=False, help="The first 12 modes as a .png sheet.")
    ] = None,
    report: options.Report = None,
    json: options.Json = False,
    triangulate: options.Triangulate = False,
    repair: options.Repair = None,
    cache: options.Cache = False,
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compute the first k eigenfunctions of a shape's Laplacian: its Fourier basis.

    The arrays are modes (n, k), eigenvalues (k,) and measure (n,), in the file's own vertex order: modes are
    orthonormal, modes.T @ (measure * modes) = 1, and eigenvalues ascend from 0.
    """
    check_output("--output", output, (".npz", ".safetensors"), [file])
    check_output("--image", image, (".png",), [file])
    check_output("--report", report, (".html",), [file])
    place = checked_device(device)
    import geospec

    voice = Voice(as_json=json, quiet=quiet)
    shape = geospec.load(file, triangulate=triangulate, repair=repair or ()).to(place)
    voice.say("shape", described(file, shape))
    start = time.perf_counter()
    with voice.progress() as progress:
        progress("eigenfunctions", 0, 0)
        basis = geospec.LaplaceBasis.fit(
            shape,
            k,
            kind=kind,
            boundary=boundary,
            solver=solver,
            tolerance=tolerance,
            cache=cache or None,
            progress=lambda _, done, total: progress("eigenfunctions", done, total),
        )
        seconds = time.perf_counter() - start
        _write(file, shape, basis, output, image, report, progress)
    values = basis.eigenvalues.tolist()
    shown = [f"{0 if abs(value) < 1e-9 * values[-1] else value:.4g}" for value in values]
    assert basis.residuals is not None  # a fitted basis has them
    worst, counted = float(basis.residuals.max()), basis.options["counted"]
    voice.say("basis", f"{basis.k} modes, {kind} Laplacian, {boundary} boundary, {seconds:.2f} s")
    voice.say("solver", f"{basis.options['solver']}, {'none missed' if counted else 'not counted'}")
    voice.say("residual", f"{worst:.1e} at most")
    voice.say("components", basis.options["components"])
    voice.say("area", f"{float(basis.measure.sum()):.6g}")
    voice.say("eigenvalues", ", ".join(shown if basis.k <= 7 else [*shown[:6], "...", shown[-1]]))
    voice.wrote(output, image, report)
    if json:
        print_json(
            {
                "file": file,
                "n": basis.n,
                "k": basis.k,
                **basis.options,
                "area": float(basis.measure.sum()),
                "eigenvalues": values,
                "worst_residual": worst,
                "seconds": seconds,
                "output": output,
                "image": image,
                "report": report,
            }
        )


def _write(
    file: Path,
    shape: Mesh | PointCloud,
    basis: LaplaceBasis,
    output: Path | None,
    image: Path | None,
    report: Path | None,
    progress: Progress,
) -> None:
    from geospec import viz

    if output is not None:
        vertex_map = getattr(shape, "vertex_map", None)
        stored = basis if vertex_map is None else in_file_order(basis, vertex_map)
        if output.suffix == ".npz":
            write_npz(output, modes=stored.modes, eigenvalues=stored.eigenvalues, measure=stored.measure)
        else:
            stored.save(output)
    if image is not None:
        progress("image", 0, 0)
        viz.mode_sheet(shape, basis, image)
    if report is not None:
        progress("report", 0, 0)
        viz.basis_report(shape, basis, report, name=file.name)


def in_file_order(basis: LaplaceBasis, vertex_map: VertexMap) -> LaplaceBasis:
    """The basis of a repaired shape on the ``n_file`` vertices of its file, orthonormal there too.

    A vertex that the repair dropped has measure 0 and modes 0; vertices that it merged share the modes
    and divide the measure.
    """
    import geospec

    kept = (vertex_map.from_file >= 0).to(basis.measure)
    there = vertex_map.from_file.clamp(min=0)
    sharing = basis.measure.new_zeros(basis.n).index_add(0, there, kept)
    modes, measure = basis.modes[there] * kept[:, None], (basis.measure / sharing)[there] * kept
    return geospec.LaplaceBasis(modes, measure, basis.eigenvalues, basis.options, residuals=basis.residuals)
