"""What ops has recorded of one run: its loads, evaluations, scans and problems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ingestion.warehouse import Warehouse
from insightmart.transform.model_graph import short_name

Row = dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """A model, evaluated for hours that follow each other.

    Attributes:
        model: for example ``core.fct_orders__oltp``.
        start, end: the hours, the end not among them; UTC.
        began, ended: when, by the clock; UTC.
        is_failed: whether one of them failed.
        audits: how many audits passed.
        rows: how many rows were written, where SQLMesh says so.
    """

    model: str
    start: datetime
    end: datetime
    began: datetime
    ended: datetime
    is_failed: bool
    audits: int
    rows: int | None


@dataclass(frozen=True)
class Recorded:
    """Rows of ops that are of one run."""

    loads: Sequence[Row]
    evaluations: Sequence[Evaluation]
    checks: Sequence[Row]
    problems: Sequence[Row]


def recorded(warehouse: Warehouse, run_id: str, began: datetime) -> Recorded:
    """Everything of a run that began at this instant of the clock; call it with the writer's lock held."""
    loads = warehouse.records(
        'SELECT load_id, source, entity, window_start, window_end, "ROWS" AS row_count, started_at, ended_at'
        " FROM ops.loads WHERE started_at >= ? AND status IN ('loaded', 'empty') ORDER BY started_at, entity",
        [began],
    )
    intervals = warehouse.records(
        'SELECT model, interval_start, interval_end, "ROWS" AS row_count, seconds, audits_passed, status, recorded_at'
        " FROM ops.run_intervals WHERE run_id = ? ORDER BY model, interval_start, recorded_at",
        [run_id],
    )
    checks = warehouse.records(
        "SELECT area, check_name, dataset, severity, outcome, value, definition, window_start, window_end,"
        " snapshot_versions FROM ops.check_results WHERE run_id = ? ORDER BY scanned_at, check_name",
        [run_id],
    )
    problems = warehouse.records(
        "SELECT kind, subject, message, recorded_at FROM ops.run_problems WHERE run_id = ? ORDER BY recorded_at",
        [run_id],
    )
    return Recorded(loads, _merged(intervals), checks, problems)


def _merged(intervals: Sequence[Row]) -> list[Evaluation]:
    """Evaluations of one model with one outcome whose hours touch are one."""
    found: list[Evaluation] = []
    for row in intervals:
        ended = row["recorded_at"]
        began = ended - timedelta(seconds=float(row["seconds"] or 0))
        is_failed = row["status"] != "evaluated"
        last = found[-1] if found else None
        if last and (last.model, last.is_failed) == (row["model"], is_failed) and last.end >= row["interval_start"]:
            rows = None if last.rows is None or row["row_count"] is None else last.rows + row["row_count"]
            found[-1] = Evaluation(
                last.model,
                last.start,
                max(last.end, row["interval_end"]),
                min(last.began, began),
                max(last.ended, ended),
                is_failed,
                last.audits + int(row["audits_passed"] or 0),
                rows,
            )
        else:
            audits = int(row["audits_passed"] or 0)
            hours = row["interval_start"], row["interval_end"]
            found.append(Evaluation(row["model"], *hours, began, ended, is_failed, audits, row["row_count"]))
    return sorted(found, key=lambda one: (one.began, one.model))


def candidate_of(check: Row) -> str | None:
    """The model whose rows a check looked at; None where it looked at several."""
    scanned = [short_name(name) for name in json.loads(check["snapshot_versions"] or "{}")]
    dataset = (check["dataset"] or "").lower()
    return next((name for name in scanned if name.split(".")[1].split("__")[0] == dataset), None)
