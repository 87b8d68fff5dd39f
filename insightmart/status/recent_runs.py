"""The last runs of the command line, with what went wrong in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ingestion.warehouse import Warehouse
from insightmart.runs import ProblemKind, RunProblem, problem_lines

RUNS = 12
CYCLE = "cycle"


@dataclass(frozen=True)
class RunState:
    """A run of the command line; instants are UTC, ``as_of`` is its "now".

    ``error`` is ops.runs.error: the problems in one line, to be shown and never to be read apart.
    """

    run_id: str
    command: str
    as_of: datetime
    status: str
    error: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    problems: tuple[RunProblem, ...] = ()

    @property
    def seconds(self) -> int | None:
        """How long it took; None while it runs or when it was killed."""
        if self.started_at is None or self.ended_at is None:
            return None
        return round((self.ended_at - self.started_at).total_seconds())

    @property
    def lines(self) -> list[str]:
        """What went wrong, one a line. Of a run from before problems were rows: its error as it was recorded."""
        return problem_lines(self.problems) or ([self.error] if self.error else [])


def recent_runs(warehouse: Warehouse, existing: set[str]) -> list[RunState]:
    """The last runs, newest first."""
    return _runs(warehouse, existing, "1 = 1", [], RUNS)


def runs_between(warehouse: Warehouse, existing: set[str], after: datetime, until: datetime) -> list[RunState]:
    """The last runs whose "now" lies between two instants, the first excluded, newest first."""
    return _runs(warehouse, existing, "as_of > ? AND as_of <= ?", [after, until], RUNS)


def last_cycle(warehouse: Warehouse, existing: set[str], before: str | None = None) -> RunState | None:
    """The newest cycle, or the newest one that is not the run ``before``; None when there is none."""
    found = _runs(warehouse, existing, "command = ? AND run_id <> ?", [CYCLE, before or ""], 1)
    return found[0] if found else None


def recent_notices(warehouse: Warehouse, existing: set[str], as_of: datetime) -> list[RunProblem]:
    """What runs of the last day found that somebody should look at, the latest first, each once."""
    if not {"ops.runs", "ops.run_problems"} <= existing:
        return []
    kinds = [str(kind) for kind in (ProblemKind.NOTICE, ProblemKind.COST, ProblemKind.OVER_BUDGET)]
    found = warehouse.rows(
        "SELECT p.kind, p.subject, p.message, p.cure FROM ops.run_problems AS p"
        " JOIN ops.runs AS r ON r.run_id = p.run_id WHERE p.kind IN (?, ?, ?) AND r.as_of > ? AND r.as_of <= ?"
        " GROUP BY 1, 2, 3, 4 ORDER BY MAX(r.as_of) DESC, 2, 3",
        [*kinds, as_of - timedelta(days=1), as_of],
    )
    return [RunProblem(ProblemKind(kind), *notice) for kind, *notice in found]


def _runs(
    warehouse: Warehouse, existing: set[str], condition: str, params: Sequence[Any], limit: int
) -> list[RunState]:
    if "ops.runs" not in existing:
        return []
    found = warehouse.records(
        "SELECT run_id, command, as_of, status, error, started_at, ended_at FROM ops.runs"
        f" WHERE {condition} ORDER BY started_at DESC LIMIT ?",
        [*params, limit],
    )
    problems = _problems(warehouse, existing, [run["run_id"] for run in found])
    return [RunState(**run, problems=tuple(problems[run["run_id"]])) for run in found]


def _problems(warehouse: Warehouse, existing: set[str], run_ids: Sequence[str]) -> dict[str, list[RunProblem]]:
    found: dict[str, list[RunProblem]] = defaultdict(list)
    if run_ids and "ops.run_problems" in existing:
        rows = warehouse.rows(
            "SELECT run_id, kind, subject, message, cure FROM ops.run_problems"
            f" WHERE run_id IN ({', '.join('?' * len(run_ids))}) AND kind <> ? ORDER BY recorded_at, kind, subject",
            [*run_ids, str(ProblemKind.NOTICE)],
        )
        for run_id, kind, subject, message, cure in rows:
            found[run_id].append(RunProblem(ProblemKind(kind), subject, message, cure or ""))
    return found
