"""Runs the controls: compares source, raw, core, certified, tills and the shop's report, and keeps what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.certification.observations import existing_tables
from insightmart.certification.state import certified_through
from insightmart.reconciliation.controls import ROWS, Control, Dates, Scope, due_controls, horizon, of_hours
from insightmart.reconciliation.due import ASKED, CHANGES, HORIZON, Due, what_is_due
from insightmart.reconciliation.result import ReconcileResult, read_result
from insightmart.reconciliation.statements import Statements
from insightmart.settings import Settings


def reconcile(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    run_id: str,
    date_from: date | None = None,
    date_to: date | None = None,
    *,
    only_changes: bool = False,
) -> ReconcileResult:
    """Compare source, raw, core, certified, tills and the shop's report; every comparison goes to ops.reconciliations.

    Args:
        warehouse: open connection.
        settings: for the company's time zone and the first day of history.
        as_of: "now", UTC without a zone.
        run_id: the run the comparisons belong to.
        date_from: first business date; by default a week before ``date_to``.
        date_to: last business date; by default the UTC date of ``as_of``.
        only_changes: compare what changed since the last reconciliation, where that will do. The result is of all dates
            all the same: a date that is not compared again keeps its last verdict.
    """
    last = date_to or as_of.date()
    scope = Scope(run_id, as_of, date_from or horizon(last).first, last, utc_now())
    existing = existing_tables(warehouse)
    through = certified_through(warehouse, existing)
    controls, skipped = due_controls(existing, through)
    statements = Statements(warehouse, scope.values(settings))
    reach = ASKED if date_from or date_to else CHANGES if only_changes else HORIZON
    due = what_is_due(statements, controls, through, scope, reach)
    with warehouse.transaction():
        _compare(statements, controls, due, scope, settings)
        _keep(warehouse, due, scope, through)
    result = read_result(statements, scope, [f"{name}: {why}" for name, why in skipped.items()])
    statements.execute("forget_repetitions")
    return result


def _compare(statements: Statements, controls: Sequence[Control], due: Due, scope: Scope, settings: Settings) -> None:
    """Count the hours, compare the dates, and add up what the run has recorded."""
    is_sweep = due.reach != CHANGES
    asked = {
        "is_sweep": is_sweep,
        "known_from": settings.history_start if is_sweep else scope.hours.start - timedelta(days=1),
    }
    for file, windows in due.hours.items():
        for hours in windows:
            statements.count(file, of_hours(hours) | asked)
    for control in controls:
        for dates in due.dates[control.file]:
            statements.record(control.file, scope.of_dates(dates) | {"through": control.through})
    statements.add_up()


def _keep(warehouse: Warehouse, due: Due, scope: Scope, through: Mapping[str, datetime | None]) -> None:
    """Record what was compared, in the transaction that compares; forget hours that change no more."""
    compared: list[tuple[str, date | None, datetime | None]] = []
    for file, ranges in due.dates.items():
        days: list[date | None] = [day for dates in ranges for day in _days(dates)]
        compared += [(file, day, None) for day in days or [None]]
    compared += [(gate, None, through[gate]) for gate in ROWS if through[gate]]
    shared = {"run_id": scope.run_id, "reach": due.reach, "as_of": scope.as_of, "reconciled_at": scope.reconciled_at}
    warehouse.insert(
        "ops.reconciled",
        [shared | {"control": name, "business_date": day, "through": instant} for name, day, instant in compared],
    )
    if due.reach == HORIZON:
        warehouse.execute("DELETE FROM ops.control_totals WHERE event_hour < ?", [scope.hours.start])


def _days(dates: Dates) -> list[date]:
    return [dates.first + timedelta(days=number) for number in range((dates.last - dates.first).days + 1)]
