"""The command: which cases, how they run, where the tables go. See the package's first lines."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from . import __doc__ as about
from . import figures, plot, table, worker
from .families import FAMILIES
from .registry import Case, Family, is_ours
from .supervisor import Limits, compare

PACKAGES = ("numpy", "scipy", "robust_laplacian", "libigl", "potpourri3d", "lapy", "pyfmaps", "scikit-learn", "faiss-cpu", "open3d")
PACKAGES += ("pynanoflann", "fpsample")
MESHES = (".off", ".obj", ".ply", ".stl")


def parse() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="python -m benchmarks.spectral", description=about, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("--only", action="append", metavar="FAMILY", help="a family, by the start of its name; again for more")
    words.add_argument("--sizes", type=int, nargs="+", help="numbers of vertices")
    words.add_argument("--modes", type=int, nargs="+", help="k of the eigenpairs (default 30 128 500 2000)")
    words.add_argument("--peers", nargs="*", metavar="NAME", help="peers by a part of their names; none for ours alone")
    words.add_argument("--figures", action="store_true", help="only the cases of the figures to reach")
    words.add_argument("--data", type=Path, metavar="FOLDER", help="meshes in a folder instead of generated ones")
    words.add_argument("--threads", type=int, default=1, help="cores of every worker (default 1)")
    words.add_argument("--rounds", type=int, default=3, help="alternating rounds of methods that take under a minute (default 3)")
    words.add_argument("--timeout", type=float, default=1800, help="seconds after which a worker is stopped (default 1800)")
    words.add_argument("--memory", type=float, default=16, help="GiB over which a worker is stopped (default 16)")
    words.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where ours run")
    words.add_argument("--clock", default="seconds", choices=("seconds", "cpu"), help="ratios of wall or of processor time")
    words.add_argument("--work", type=Path, default=Path("build/benchmarks"), help="where prepared problems are kept")
    words.add_argument("--out", type=Path, help="folder for results.json, table.md and pictures")
    words.add_argument("--markdown", type=Path, metavar="JSON", help="print the tables of an earlier results.json; measure nothing")
    words.add_argument("--quick", action="store_true", help="2,000 vertices, 30 modes, one round: does everything run?")
    words.add_argument("--worker", metavar="JSON", help=argparse.SUPPRESS)
    return words.parse_args()


def chosen_families(starts: list[str] | None) -> list[Family]:
    if not starts:
        return list(FAMILIES.values())
    found = [f for name, f in FAMILIES.items() if any(name.lower().startswith(start.lower()) for start in starts)]
    if not found:
        raise SystemExit(f"--only: no family starts with {', '.join(starts)}; there are: {'; '.join(FAMILIES)}")
    return found


def cases(family: Family, options: argparse.Namespace) -> list[Case]:
    """The grid of sizes and counts, or what the options leave of it; ``k`` stays under half of ``n``."""
    counts = options.modes if options.modes and family.name == "eigenpairs" else family.counts
    if options.figures:
        wanted = dict.fromkeys(figure.case for figure in figures.FIGURES if figure.case.family == family.name)
        sized = [case for case in wanted if not options.sizes or case.n in options.sizes]
        return [case for case in sized if not options.modes or case.k in counts]
    if options.data:
        paths = sorted(str(path.resolve()) for path in options.data.rglob("*") if path.suffix in MESHES)
        return [Case(family.name, path, 0, k) for path in paths for k in counts if k <= 500] if family.on_files else []
    if options.quick:
        return [Case(family.name, family.shape, 2000, min(family.counts[0], 100))]
    return [Case(family.name, family.shape, n, k) for n in options.sizes or family.sizes for k in counts if 2 * k < n]


def methods_of(family: Family, case: Case, options: argparse.Namespace) -> list[str]:
    """Ours, and the peers asked for: all, those of the case's figures, or those named."""
    wanted = None if options.peers is None else [part.lower() for part in options.peers]
    figured = (
        {peer for figure in figures.FIGURES if figure.case == case for peer in figure.peers} if options.figures else set(family.methods)
    )
    named = [name for name in figured if wanted is None or any(part in name.lower() for part in wanted)]
    return [name for name in family.methods if is_ours(name) or name in named]


def refusals(rows: list[dict[str, Any]], case: Case, threads: int) -> dict[str, str]:
    """Methods that were stopped on a case no larger than this one: they would be again."""
    found = {}
    for row in rows:
        like_it = (row["family"], row["shape"], row["threads"]) == (case.family, case.shape, threads)
        if (
            like_it
            and row["status"] == "stopped"
            and row["n"] <= case.n
            and row["k"] <= case.k
            and (row["n"], row["k"]) != (case.n, case.k)
        ):
            found.setdefault(row["method"], f"at n = {row['n']:,}, k = {row['k']} it took {row['note']}")
    return found


def report(rows: list[dict[str, Any]], clock: str) -> str:
    """Both tables as Markdown."""
    by_case: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        by_case.setdefault(tuple(row[name] for name in ("family", "shape", "n", "k", "threads")), []).append(row)
    text = [table.HEADER, *(line for group in by_case.values() for line in table.lines(group, clock))]
    return "\n".join([*text, "", *verdicts(rows, clock)])


def verdicts(rows: list[dict[str, Any]], clock: str) -> list[str]:
    """The figures that these rows can tell, and how many they cannot."""
    found = [figures.check(figure, rows, clock) for figure in figures.FIGURES]
    told = [table.figure_line(row) for row in found if row["verdict"] != "not measured"]
    return [table.FIGURE_HEADER, *told, "", f"{len(found) - len(told)} of {len(found)} figures not measured."]


class Results:
    """Rows so far, with those of earlier runs into the same folder; a case that is measured again replaces its old rows."""

    KEY = ("family", "shape", "n", "k", "method", "threads", "device")

    def __init__(self, folder: Path | None, machine: str) -> None:
        self.folder, self.machine = folder, machine
        self.rows: list[dict[str, Any]] = []
        if folder is not None and (folder / "results.json").exists():
            stored = json.loads((folder / "results.json").read_text())
            if stored["machine"] != machine:
                raise SystemExit(f"--out: {folder} holds results of another machine or other versions: {stored['machine']}")
            self.rows = stored["rows"]

    def add(self, rows: list[dict[str, Any]], clock: str) -> None:
        new = {tuple(row[name] for name in self.KEY) for row in rows}
        self.rows = [row for row in self.rows if tuple(row[name] for name in self.KEY) not in new] + rows
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "results.json").write_text(json.dumps({"machine": self.machine, "rows": self.rows}, indent=1))
            (self.folder / "table.md").write_text(f"{self.machine}\n\n{report(self.rows, clock)}\n")


def main() -> None:
    options = parse()
    if options.worker:
        worker.main(options.worker)
        return
    if options.markdown:
        stored = json.loads(options.markdown.read_text())
        print(stored["machine"], report(stored["rows"], options.clock), sep="\n\n")
        return
    from ..machine import describe

    limits = Limits(options.threads, 1 if options.quick else options.rounds, options.timeout, options.memory, options.device, options.work)
    results = Results(options.out, describe(PACKAGES))
    done: list[dict[str, Any]] = []  # in this run: an earlier one may have had other limits
    print(f"{results.machine}\n\n{table.HEADER}", flush=True)
    for family in chosen_families(options.only):
        for case in cases(family, options):
            refused = refusals(done, case, options.threads)
            try:
                found = compare(family, case, methods_of(family, case, options), refused, limits)
            except RuntimeError as cause:  # a problem that could not be made, such as a file that is refused
                print(f"| {family.name} | {Path(case.shape).name} | | | | | | | | | | | not made: {cause} |", flush=True)
                continue
            done += found
            results.add(found, options.clock)
            print("\n".join(table.lines(found, options.clock)), flush=True)
    print("\n" + "\n".join(verdicts(results.rows, options.clock)))
    if options.out:
        plot.draw(results.rows, options.out, options.clock)


if __name__ == "__main__":
    main()
