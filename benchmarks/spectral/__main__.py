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
    """The grid of sizes and counts, or what the options leave of it; ``k`` stays well under ``n``."""
    counts = options.modes if options.modes and family.name == "eigenpairs" else family.counts
    if options.figures:
        wanted = dict.fromkeys(figure.case for figure in figures.FIGURES if figure.case.family == family.name)
        sized = [case for case in wanted if not options.sizes or case.n in options.sizes]
        return [case for case in sized if not options.modes or case.k in counts]
    if options.data:
        paths = sorted(str(path.resolve()) for path in options.data.rglob("*") if path.suffix in MESHES)
        return [Case(family.name, path, 0, k) for path in paths for k in counts if k <= 500] if family.on_files else []
    if options.quick:
        return [
            Case(family.name, family.shape, 2000, min(family.counts[0], 100) if family.name == "ZoomOut" else min(family.counts[0], 50))
        ]
    return [Case(family.name, family.shape, n, k) for n in options.sizes or family.sizes for k in counts if 2 * k < n]


def methods_of(family: Family, peers: list[str] | None) -> list[str]:
    return [name for name in family.methods if is_ours(name) or peers is None or any(part.lower() in name.lower() for part in peers)]


def refusals(rows: list[dict[str, Any]], case: Case) -> dict[str, str]:
    """Methods that were stopped on a case no larger than this one: they would be again."""
    stopped = [
        row for row in rows if row["status"] in ("stopped", "not run") and row["family"] == case.family and row["shape"] == case.shape
    ]
    return {
        row["method"]: f"n = {row['n']:,}, k = {row['k']}: {row['note']}" if row["status"] == "stopped" else row["note"]
        for row in stopped
        if row["n"] <= case.n and row["k"] <= case.k
    }


def report(rows: list[dict[str, Any]], clock: str) -> str:
    """Both tables as Markdown."""
    by_case: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        by_case.setdefault((row["family"], row["shape"], row["n"], row["k"]), []).append(row)
    text = [table.HEADER, *(line for group in by_case.values() for line in table.lines(group, clock))]
    return "\n".join([*text, "", *verdicts(rows, clock)])


def verdicts(rows: list[dict[str, Any]], clock: str) -> list[str]:
    return [table.FIGURE_HEADER, *(table.figure_line(figures.check(figure, rows, clock)) for figure in figures.FIGURES)]


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
    machine = f"{describe(PACKAGES)}; workers: {options.threads} threads, ours on {options.device}"
    print(f"{machine}\n\n{table.HEADER}", flush=True)
    rows: list[dict[str, Any]] = []
    for family in chosen_families(options.only):
        for case in cases(family, options):
            try:
                rows += (found := compare(family, case, methods_of(family, options.peers), refusals(rows, case), limits))
            except RuntimeError as cause:  # a problem that could not be made, such as a file that does not load
                print(f"| {family.name} | {Path(case.shape).name} | | | | | | | | | | not made: {cause} |", flush=True)
                continue
            print("\n".join(table.lines(found, options.clock)), flush=True)
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / "results.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))
                (options.out / "table.md").write_text(f"{machine}\n\n{report(rows, options.clock)}\n")
    print("\n" + "\n".join(verdicts(rows, options.clock)))
    if options.out:
        plot.draw(rows, options.out)


if __name__ == "__main__":
    main()
