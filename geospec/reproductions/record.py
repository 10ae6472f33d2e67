"""What a reproduction measured, as rows that say by themselves whether they hold."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import one_of

#: How a number is held against its limit: the sign shown, and the comparison. NaN passes none of them.
_COMPARISONS = {"at least": (">=", operator.ge), "at most": ("<=", operator.le), "below": ("<", operator.lt)}

Verdict = Literal["pass", "FAIL", "shown", "not run"]


@dataclass(frozen=True)
class Check:
    """A number and the limit that it has to keep: ``Check("mean cos", 0.998, "at least", 0.995)``."""

    what: str
    value: float
    comparison: str
    limit: float

    def __post_init__(self) -> None:
        one_of("comparison", self.comparison, tuple(_COMPARISONS))

    @property
    def passed(self) -> bool:
        return bool(_COMPARISONS[self.comparison][1](self.value, self.limit))

    @property
    def wanted(self) -> str:
        return f"{self.what} {_COMPARISONS[self.comparison][0]} {number(self.limit)}"

    @property
    def found(self) -> str:
        return f"{self.what} {number(self.value)}"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    run, what : the run's name and what it does. claim : what the paper, or the note that this project works from, states.
    checks : the numbers that decide; none where the row only shows something. ours : numbers beside them, as text.
    size : points, modes, probes. seconds : wall time. numbers : everything measured, as plain values, for ``metrics.json``.
    problem : why the row was not measured or broke off. ran : whether it was tried at all. exhibit : what the picture draws of it.
    """

    run: str
    what: str
    claim: str
    checks: tuple[Check, ...] = ()
    ours: str = ""
    size: str = ""
    seconds: float = 0.0
    numbers: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    ran: bool = True
    exhibit: Any = None

    @property
    def verdict(self) -> Verdict:
        """``"pass"`` where all checks hold, ``"FAIL"`` where one does not or the run broke off, ``"shown"`` without checks."""
        if not self.ran:
            return "not run"
        if self.problem:
            return "FAIL"
        if not self.checks:
            return "shown"
        return "pass" if all(check.passed for check in self.checks) else "FAIL"

    @property
    def found(self) -> str:
        """What was measured, in words; numbers that miss their limit are bold."""
        parts = [check.found if check.passed else f"**{check.found}**" for check in self.checks]
        return self.problem or "; ".join([*parts, *([self.ours] if self.ours else [])])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a number that is not finite becomes its name."""
        checks = [{"what": c.what, "value": c.value, "comparison": c.comparison, "limit": c.limit, "passed": c.passed} for c in self.checks]
        numbers = {"run": self.run, "what": self.what, "claim": self.claim, "verdict": self.verdict, "checks": checks, "ours": self.ours}
        rest = {"size": self.size, "seconds": round(self.seconds, 3), "problem": self.problem, "numbers": self.numbers}
        return _plain({**numbers, **rest})


_HEAD = "| run | what | claim | ours | asked | | size | seconds |\n| --- | --- | --- | --- | --- | --- | --- | --- |"


@dataclass(frozen=True)
class Result:
    """A reproduction that ran: its rows, and what they were made with."""

    name: str
    title: str
    paper: str
    rows: tuple[Row, ...]
    options: dict[str, Any]

    @property
    def failing(self) -> list[Row]:
        """The rows that fall short."""
        return [row for row in self.rows if row.verdict == "FAIL"]

    def summary(self) -> str:
        """One line: how many rows hold, and how many do not."""
        counts = {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in ("pass", "FAIL", "shown", "not run")}
        words = {"pass": "hold", "FAIL": "fall short", "shown": "shown without a limit", "not run": "not run"}
        return ", ".join(f"{count} {words[verdict]}" for verdict, count in counts.items() if count) or "no rows"

    def table(self) -> str:
        """The rows as Markdown, under a heading that says what they were made with."""
        made = ", ".join(f"{name} {value}" for name, value in self.options.items() if value is not None)
        lines = [f"# {self.title}", "", f"{self.paper}.", "", f"{self.summary()} ({made}).", "", _HEAD, *map(_line, self.rows)]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        head = {"name": self.name, "title": self.title, "paper": self.paper, "options": _plain(self.options)}
        return {**head, "holds": not self.failing, "rows": [row.to_dict() for row in self.rows]}


def number(value: float) -> str:
    """Three or four digits that carry meaning: ``0.9987``, ``1,234``, ``1e-06``."""
    if abs(value) >= 1000 and math.isfinite(value):
        return f"{value:,.0f}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if 0.001 <= abs(value) < 10 else f"{value:.3g}"


def _line(row: Row) -> str:
    wanted = "; ".join(check.wanted for check in row.checks)
    verdict = f"**{row.verdict}**" if row.verdict == "FAIL" else row.verdict
    seconds = f"{row.seconds:.1f}" if row.ran else ""
    cells = [row.run, row.what, row.claim, row.found, wanted, verdict, row.size, seconds]
    return "| " + " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells) + " |"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
