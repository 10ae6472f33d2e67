"""``geospec basis``: the modes of a shape, as arrays and as pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import one_of
from ..writing import write_npz
from . import options
from .output import Progress, Voice, check_output, checked_device, described, print_json, refuse_given

if TYPE_CHECKING:
    from ..bases import LaplaceBasis, LearnedEigenbasis
    from ..shapes import Mesh, PointCloud, VertexMap
    from ..viz import Beside

    Shape = Mesh | PointCloud

#: Kinds that take the points alone. ``learned`` trains on them, ``network`` was trained before.
OF_POINTS = ("learned", "network")
LEARNING = "Learning (--kind learned)"
#: What --probes can name.
PROBES = {"heat": "HeatProbes", "free-field": "FreeFieldProbes", "matern": "MaternProbes"}
ENCODERS = ("mlp", "transformer", "latent")
EXAMPLES = options.examples(
    "geospec basis bunny.obj -k 100 -o basis.npz --image modes.png",
    "geospec basis scan.ply --report basis.html",
    "geospec basis sheet.off --boundary dirichlet --json",
    "geospec basis scan.ply -k 500 --tolerance 1e-10 --cache -o basis.safetensors",
    "geospec basis scan.ply --solver chebyshev --device cuda",
    "geospec basis scan.ply --kind learned --report learned.html",
)


def run(
    context: typer.Context,
    file: options.ShapeFile,
    k: Annotated[int, typer.Option("-k", "--k", min=1, rich_help_panel=options.METHOD, help="Number of modes.")] = 50,
    kind: Annotated[
        str,
        typer.Option(
            "--laplacian",
            "--kind",
            metavar="robust|cotangent|delaunay|graph|anisotropic|learned|network",
            rich_help_panel=options.METHOD,
            help="The Laplacian: robust takes any mesh or cloud, graph too, the others sound meshes only. Or of the points alone, without "
            "a Laplacian: learned trains on them, network was trained before.",
        ),
    ] = "robust",
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
    encoder: Annotated[
        str,
        typer.Option("--encoder", metavar="mlp|transformer|latent", rich_help_panel=LEARNING, help="What makes functions of the points."),
    ] = "mlp",
    probes: Annotated[
        str,
        typer.Option(
            "--probes",
            metavar="heat|free-field|matern",
            rich_help_panel=LEARNING,
            help="The random fields that choose the operator; all three: the Laplacian.",
        ),
    ] = "heat",
    max_steps: Annotated[
        int, typer.Option("--max-steps", min=1, rich_help_panel=LEARNING, help="Most training steps; it stops before where all is learned.")
    ] = 400,
    seed: Annotated[int, typer.Option("--seed", rich_help_panel=LEARNING, help="Of everything random.")] = 0,
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
    orthonormal, modes.T @ (measure * modes) = 1, and eigenvalues ascend from 0. Learned bases have a measure that sums to 1.
    """
    check_output("--output", output, (".npz", ".safetensors"), [file])
    check_output("--image", image, (".png",), [file])
    check_output("--report", report, (".html",), [file])
    place = checked_device(device)
    _check_kind(context, kind, encoder, probes)
    import geospec

    voice = Voice(as_json=json, quiet=quiet)
    shape = geospec.load(file, triangulate=triangulate, repair=repair or ()).to(place)
    voice.say("shape", described(file, shape))
    start = time.perf_counter()
    with voice.progress() as progress:
        basis: LaplaceBasis | LearnedEigenbasis
        if kind in OF_POINTS:
            progress("neighbours", 0, 0)
            basis = _of_points(shape, k, kind, encoder, probes, max_steps, seed, progress)
        else:
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
        beside = _beside(shape, basis, progress) if isinstance(basis, geospec.LearnedEigenbasis) and (image or report) else None
        _write(file, shape, basis, beside, output, image, report, progress)
    if isinstance(basis, geospec.LaplaceBasis):
        told = _tell_laplace(voice, basis, kind, boundary, seconds)
    else:
        told = _tell_points(voice, basis, kind, seconds)
    assert basis.eigenvalues is not None  # all that are offered here have them
    values = basis.eigenvalues.tolist()
    shown = [f"{0 if abs(value) < 1e-9 * values[-1] else value:.4g}" for value in values]
    voice.say("eigenvalues", ", ".join(shown if basis.k <= 7 else [*shown[:6], "...", shown[-1]]))
    if beside is not None:
        count = min(20, len(beside.cosines))
        voice.say("beside", f"the robust Laplacian's modes: mean |cos| {beside.cosines[:count].mean():.3f} of the first {count}")
        told["beside"] = beside.numbers()
    voice.wrote(output, image, report)
    if json:
        print_json(
            {
                "file": file,
                "n": basis.n,
                "k": basis.k,
                **basis.options,
                "eigenvalues": values,
                **told,
                "seconds": seconds,
                "output": output,
                "image": image,
                "report": report,
            }
        )


def _check_kind(context: typer.Context, kind: str, encoder: str, probes: str) -> None:
    """Refuse what does not fit the kind, before anything is read."""
    what = f"--kind {kind}"
    if kind in OF_POINTS:
        refuse_given(context, what, boundary="--boundary", solver="--solver", tolerance="--tolerance", cache="--cache")
    if kind != "learned":
        refuse_given(context, what, encoder="--encoder", probes="--probes", max_steps="--max-steps", seed="--seed")
    one_of("--encoder", encoder, ENCODERS)
    one_of("--probes", probes, tuple(PROBES))


def _of_points(
    shape: Shape, k: int, kind: str, encoder: str, probes: str, max_steps: int, seed: int, progress: Progress
) -> LearnedEigenbasis:
    import torch

    import geospec

    if kind == "network":
        with torch.no_grad():
            return geospec.EigenbasisNetwork.pretrained().to(shape.points.device)(shape.points, k)
    family = getattr(geospec.probes, PROBES[probes])()
    return geospec.LearnedEigenbasis.fit(shape.points, k, probes=family, encoder=encoder, max_steps=max_steps, seed=seed, progress=progress)


def _beside(shape: Shape, basis: LearnedEigenbasis, progress: Progress) -> Beside:
    """The Laplace basis of the mesh, or of the cloud, to look at next to the learned one."""
    import geospec
    from geospec import viz

    progress("Laplace basis beside it", 0, 0)
    return viz.Beside(basis, geospec.LaplaceBasis.fit(shape, basis.k), ("learned", "Laplace"))


def _tell_laplace(voice: Voice, basis: LaplaceBasis, kind: str, boundary: str, seconds: float) -> dict[str, Any]:
    assert basis.residuals is not None  # a fitted basis has them
    worst, counted, area = float(basis.residuals.max()), basis.options["counted"], float(basis.measure.sum())
    voice.say("basis", f"{basis.k} modes, {kind} Laplacian, {boundary} boundary, {seconds:.2f} s")
    voice.say("solver", f"{basis.options['solver']}, {'none missed' if counted else 'not counted'}")
    voice.say("residual", f"{worst:.1e} at most")
    voice.say("components", basis.options["components"])
    voice.say("area", f"{area:.6g}")
    return {"area": area, "worst_residual": worst}


def _tell_points(voice: Voice, basis: LearnedEigenbasis, kind: str, seconds: float) -> dict[str, Any]:
    how = basis.options["encoder"]["name"] if kind == "learned" else "weights that ship"
    voice.say("basis", f"{basis.k} modes of the points alone, {kind} ({how}), {seconds:.2f} s")
    if basis.optimality_ratio is not None:
        reached = "all learned" if basis.options["reached"] else "stopped by --max-steps"
        voice.say(
            "ratio", f"{basis.optimality_ratio:.4f} of the least loss (1 is the best basis), {basis.options['steps']} steps, {reached}"
        )
    assert basis.eigenvalues is not None
    assert basis.eigenvalue_errors is not None  # the refinement gives them
    relative = (basis.eigenvalue_errors / basis.eigenvalues.clamp_min(1e-300))[1:]
    typical, worst = (float(x) for x in (relative.median(), relative.max())) if len(relative) else (0.0, 0.0)
    voice.say("error", f"of eigenvalues, estimated: {100 * typical:.2g} % in the middle, {100 * worst:.2g} % at most")
    voice.say("components", basis.options["components"])
    return {
        "optimality_ratio": basis.optimality_ratio,
        "eigenvalue_errors": basis.eigenvalue_errors.tolist(),
        "relative_error": {"median": typical, "most": worst},
    }


def _write(
    file: Path,
    shape: Shape,
    basis: LaplaceBasis | LearnedEigenbasis,
    beside: Beside | None,
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
            assert stored.eigenvalues is not None
            write_npz(output, modes=stored.modes, eigenvalues=stored.eigenvalues, measure=stored.measure)
        else:
            stored.save(output)
    if image is not None:
        progress("image", 0, 0)
        if beside is None:
            viz.mode_sheet(shape, basis, image)
        else:
            viz.mode_pairs_sheet(shape, beside, image)
    if report is not None:
        progress("report", 0, 0)
        viz.basis_report(shape, basis, report, name=file.name, beside=beside)


def in_file_order(basis: LaplaceBasis | LearnedEigenbasis, vertex_map: VertexMap) -> LaplaceBasis | LearnedEigenbasis:
    """The basis of a repaired shape on the ``n_file`` vertices of its file, orthonormal there too.

    A vertex that the repair dropped has measure 0 and modes 0; vertices that it merged share the modes
    and divide the measure.
    """
    import geospec

    kept = (vertex_map.from_file >= 0).to(basis.measure)
    there = vertex_map.from_file.clamp(min=0)
    sharing = basis.measure.new_zeros(basis.n).index_add(0, there, kept)
    modes, measure = basis.modes[there] * kept[:, None], (basis.measure / sharing)[there] * kept
    if isinstance(basis, geospec.LaplaceBasis):
        return geospec.LaplaceBasis(modes, measure, basis.eigenvalues, basis.options, residuals=basis.residuals)
    errors, reader = basis.eigenvalue_errors, basis.reader
    return geospec.LearnedEigenbasis(modes, measure, basis.eigenvalues, basis.options, eigenvalue_errors=errors, reader=reader)
