"""Runs the controls: compares source, raw, core, certified, tills and the shop's report, and keeps what came of it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.certification.observations import existing_tables
from insightmart.certification.state import certified_through
from insightmart.reconciliation.controls import Scope, due_controls
from insightmart.reconciliation.result import ReconcileResult, read_result
from insightmart.reconciliation.statements import Statements
from insightmart.settings import Settings

DAYS = 8  # late corrections reach back a week


def reconcile(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    run_id: str,
    date_from: date | None = None,
    date_to: date | None = None,
) -> ReconcileResult:
    """Compare source, raw, core, certified, tills and the shop's report; every comparison goes to ops.reconciliations.

    Args:
        warehouse: open connection.
        settings: for the company's time zone and the first day of history.
        as_of: "now", UTC without a zone.
        run_id: the run the comparisons belong to.
        date_from: first business date; by default a week before ``date_to``.
        date_to: last business date; by default the UTC date of ``as_of``.
    """
    last = date_to or as_of.date()
    scope = Scope(run_id, as_of, date_from or last - timedelta(days=DAYS - 1), last, utc_now())
    existing = existing_tables(warehouse)
    controls, skipped = due_controls(existing, certified_through(warehouse, existing))
    statements = Statements(warehouse, scope.values(settings))
    with warehouse.transaction():
        for control in controls:
            statements.record(control.file, through=control.through)
        statements.record("all_stores")
    result = read_result(statements, scope, [f"{name}: {why}" for name, why in skipped.items()])
    statements.execute("forget_repetitions")
    return result
