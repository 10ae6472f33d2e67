"""The verbs put together, and what becomes of errors and warnings."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

import geospec

from ..errors import GeospecError
from . import backend, basis, decode, encode, info, match, predict, reproduce, show, train
from .options import examples

_WRONG_USE: Any = typer.BadParameter.__base__  # click's UsageError, wherever this release of typer keeps its click

app = typer.Typer(
    name="geospec",
    help="Geometry and spectral processing of meshes and point clouds.",
    epilog=examples(
        "geospec match cat.off lion.off -o match.npz --report match.html",
        "geospec info scan.ply",
        "geospec basis bunny.obj -k 100 -o basis.npz --image modes.png",
    ),
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (match, basis, encode, decode, info, show, predict, reproduce, backend):
    app.command(name=verb.__name__.rpartition(".")[2], epilog=verb.EXAMPLES)(verb.run)
app.add_typer(train.app, name="train")


def _version(asked: bool) -> None:
    if asked:
        print(f"geospec {geospec.__version__}")
        raise typer.Exit()


@app.callback()
def _geospec(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    """Geometry and spectral processing of meshes and point clouds."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line on ``arguments`` (the program's own by default) and leave with its exit code.

    0 : done. 1 : a defect of geospec, with its traceback. 2 : something the user can mend, in one
    line. 3 : ``reproduce`` ran, and a claim does not hold; ``encode`` of a folder left some files out. 130 : interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    state = {"debug": False}
    command = typer.main.get_command(app)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _one_line_warning
            # Verbs return nothing; --help and --version, and newer typers' interrupt, return the code of their early leave.
            code = command.main(words or ["--help"], prog_name="geospec", standalone_mode=False, obj=state) or 0
    except (GeospecError, OSError) as problem:
        if state["debug"]:
            traceback.print_exc()
        code = _refuse(_sentence(problem))
    except _WRONG_USE as problem:
        where = f" (see {problem.ctx.command_path} --help)" if problem.ctx else ""
        code = _refuse(f"{problem.format_message().rstrip('.')}{where}")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Exception:
        traceback.print_exc()
        print("error: this is a defect of geospec; please report it with the lines above and the command", file=sys.stderr)
        code = 1
    sys.exit(code)


def _refuse(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2


def _sentence(problem: Exception) -> str:
    """The message of an error; of the system's own, without its number."""
    if isinstance(problem, OSError) and problem.strerror:
        return f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror
    return str(problem) or type(problem).__name__


def _one_line_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print("warning: " + " ".join(str(message).split()), file=sys.stderr)
