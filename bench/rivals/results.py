"""What was measured as tables: the ratio first, and beside it what importing the libraries alone costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from bench.cycle import Run
from bench.rivals.play import DBT, OURS, PLAIN, WHOLE_CYCLE, Measured

COLUMNS = (
    "Hour",
    "Built by",
    "Ours / this>",
    "CPU s>",
    "Lowest>",
    "Highest>",
    "Imports s>",
    "Times imports>",
    "Peak MB>",
    "Runs>",
)
DOES_COLUMNS = ("", OURS, PLAIN, DBT)
# What each does with the same rows; a reader must not take the ratio for more than it is.
DOES = (
    ("the same SQL, tables equal row by row", "yes", "yes", "yes"),
    ("finds by itself which hours are due", "yes", "yes", "no: is told"),
    ("not null and unique", "of the window", "of the window", "of the whole table"),
    ("other audits (sums, parents, periods)", "yes", "yes", "no"),
    ("scan by Soda before anything is published", "yes", "no", "no"),
    ("bad rows are split off", "yes", "yes", "yes"),
    ("and shown in quarantine", "yes", "no", "no"),
    ("evidence: runs, intervals, check results", "yes", "no", "log files"),
    ("queue of corrections, closed when certified", "yes", "no: is told", "no: is told"),
    ("a window is replaced as a whole or not at all", "yes", "no", "yes"),
    ("lock, settings of the warehouse checked", "yes", "no", "no"),
)


def table_rows(measured: Measured) -> list[list[str]]:
    """A row of ``COLUMNS`` for each sort of hour and who built it."""
    return [
        _row(kind, who, runs, measured.runs[kind, OURS], measured.floors[OURS if who == WHOLE_CYCLE else who])
        for (kind, who), runs in sorted(measured.runs.items(), key=lambda item: _kinds(measured).index(item[0][0]))
    ]


def as_json(measured: Measured) -> dict[str, Any]:
    """Every run."""
    return {
        "runs": [
            {"hour": kind, "built_by": who, **asdict(run)}
            for (kind, who), runs in measured.runs.items()
            for run in runs
        ],
        "imports": {who: [run.seconds for run in runs] for who, runs in measured.floors.items()},
        "rows_compared": measured.compared,
        "differences": measured.differences,
    }


def _kinds(measured: Measured) -> list[str]:
    return list(dict.fromkeys(kind for kind, _ in measured.runs))


def _row(kind: str, who: str, runs: Sequence[Run], ours: Sequence[Run], floors: Sequence[Run]) -> list[str]:
    seconds, floor = sorted(run.seconds for run in runs), median(run.seconds for run in floors)
    return [
        kind,
        who,
        f"{median(run.seconds for run in ours) / median(seconds):.2f}",
        f"{median(seconds):.1f}",
        f"{seconds[0]:.1f}",
        f"{seconds[-1]:.1f}",
        f"{floor:.1f}",
        f"{median(seconds) / floor:.1f}",
        f"{max(run.peak_bytes for run in runs) / 1e6:.0f}",
        str(len(runs)),
    ]
