"""What a run did: its loads, the models it evaluated, the checks that did not pass, the figures it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingestion.warehouse import Warehouse
from insightmart.status.recent_runs import RunState

NEEDED = {"ops.runs", "ops.loads", "ops.run_intervals", "ops.check_results", "ops.published_changes"}


@dataclass(frozen=True)
class RunLine:
    """A line of a run's record.

    Attributes:
        what: ``load``, ``model``, ``check`` or ``changed``.
        name: the entity, the model, the check, or the table with its cause.
        outcome: how it ended.
        count: rows of a load, windows of a model, results of a check, cells of a table.
        first: start of the earliest window, UTC; None where there is none.
        last: end of the latest one.
    """

    what: str
    name: str
    outcome: str
    count: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class RunRecord:
    """A run with the commit that it worked with, who started it, and what it did."""

    run_id: str
    actor: str
    commit: str
    lines: tuple[RunLine, ...]

    def of(self, what: str) -> list[RunLine]:
        """The lines of one sort."""
        return [line for line in self.lines if line.what == what]


def run_records(warehouse: Warehouse, existing: set[str], runs: Sequence[RunState]) -> Mapping[str, RunRecord]:
    """The records of runs, by id, all in one question."""
    if not existing >= NEEDED or not runs:
        return {}
    ids = [run.run_id for run in runs]
    marks = ", ".join("?" * len(ids))
    since = min((run.started_at for run in runs if run.started_at), default=datetime(1970, 1, 1))
    lines: dict[str, list[RunLine]] = {}
    known: dict[str, tuple[str, str]] = {}
    for run_id, what, name, outcome, count, first, last in warehouse.rows(
        f"""
        SELECT run_id, 'run' AS what, COALESCE(actor, '') AS name, COALESCE(git_sha, '') AS outcome, 0 AS line_count,
            CAST(NULL AS TIMESTAMP_NTZ) AS first_start, CAST(NULL AS TIMESTAMP_NTZ) AS last_end
        FROM ops.runs WHERE run_id IN ({marks}) AND started_at >= ?
        UNION ALL
        SELECT r.run_id, 'load', l.source || ' ' || l.entity, l.status, SUM(COALESCE(l."ROWS", 0)),
            MIN(l.window_start), MAX(l.window_end)
        FROM (
            SELECT run_id, started_at, COALESCE(ended_at, LEAD(started_at) OVER (ORDER BY started_at)) AS ended_at
            FROM ops.runs
            WHERE started_at >= ?
        ) AS r  -- a killed run has no end: the next one began after it
        JOIN ops.loads AS l ON l.started_at >= r.started_at AND l.started_at <= COALESCE(r.ended_at, l.started_at)
        WHERE r.run_id IN ({marks}) AND l.entity IS NOT NULL
        GROUP BY 1, 3, 4
        UNION ALL
        SELECT run_id, 'model', model, status, COUNT(*), MIN(interval_start), MAX(interval_end)
        FROM ops.run_intervals WHERE run_id IN ({marks}) AND recorded_at >= ? GROUP BY 1, 3, 4
        UNION ALL
        SELECT run_id, 'check', area || ': ' || check_name, outcome, COUNT(*), MIN(window_start), MAX(window_end)
        FROM ops.check_results WHERE run_id IN ({marks}) AND scanned_at >= ? AND outcome <> 'pass' GROUP BY 1, 3, 4
        UNION ALL
        SELECT run_id, 'changed', table_name, cause, COUNT(*), NULL, NULL
        FROM ops.published_changes WHERE run_id IN ({marks}) AND recorded_at >= ? GROUP BY 1, 3, 4
        ORDER BY 1, 2, 3, 4
        """,
        [*ids, since, since, *ids, *ids, since, *ids, since, *ids, since],
    ):
        if what == "run":
            known[run_id] = (name, outcome)
        else:
            lines.setdefault(run_id, []).append(RunLine(what, name, outcome or "", int(count), first, last))
    return {run_id: RunRecord(run_id, *known[run_id], tuple(lines.get(run_id, ()))) for run_id in known}
