"""Every hour what changed, once a day everything: what is found when, and what stays known in between."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlglot
import sqlmesh  # noqa: F401  before sqlglot writes any SQL: its generators know then what a model is

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.certification.observations import existing_tables
from insightmart.reconciliation.controls import Hours, Scope, due_controls
from insightmart.reconciliation.due import CHANGES, HORIZON, what_is_due
from insightmart.reconciliation.reconcile import reconcile
from insightmart.reconciliation.result import ReconcileResult
from insightmart.reconciliation.statements import Statements
from insightmart.settings import Settings
from insightmart.status.reconciliations import last_reconciliation

pytestmark = pytest.mark.slow
AS_OF = datetime(2026, 3, 6, 10, 5)
HOUR = timedelta(hours=1)
FIRST, SECOND = date(2026, 3, 5), date(2026, 3, 6)
EARLY = Hours(datetime(2026, 3, 5, 3), datetime(2026, 3, 5, 4))  # of which no date is the 6th anywhere on earth


def swept(warehouse: Warehouse, settings: Settings) -> ReconcileResult:
    """The first reconciliation of a cycle."""
    return reconcile(warehouse, settings, AS_OF, "sweep", only_changes=True)


def hourly(warehouse: Warehouse, settings: Settings, run_id: str = "hourly", as_of: datetime = AS_OF + HOUR) -> Any:
    """The reconciliation of the next cycle."""
    return reconcile(warehouse, settings, as_of, run_id, only_changes=True)


def table_of(warehouse: Warehouse, view: str) -> str:
    definition = warehouse.value(
        "SELECT sql FROM duckdb_views() WHERE lower(schema_name || '.' || view_name) = ?", [view]
    )
    table = sqlglot.parse_one(definition, read="duckdb").find(sqlglot.exp.Select).find(sqlglot.exp.Table)  # type: ignore[union-attr]
    assert table is not None
    return table.sql("duckdb")


def spoil(warehouse: Warehouse, by: str = "1") -> None:
    """Somebody changes the first order of the hour EARLY by hand, in core."""
    warehouse.execute(
        f"UPDATE {table_of(warehouse, 'core.fct_orders__oltp')} SET total_amount = total_amount + {by}"
        " WHERE order_id = '10'"
    )


def scan(warehouse: Warehouse, hours: Hours = EARLY, gate: str = "sales__oltp") -> None:
    """A window passes its gate again, as after a restatement by plain `sqlmesh plan`."""
    warehouse.execute(
        f"INSERT INTO {table_of(warehouse, f'gate.{gate}')} (window_start, window_end, scan_id, scanned_at)"
        " VALUES (?, ?, 'again', ?)",
        [*hours, utc_now()],
    )


def compared(warehouse: Warehouse, run_id: str) -> dict[str, set[date]]:
    """The dates that each control has compared in a run."""
    found: dict[str, set[date]] = {}
    for control, day in warehouse.rows("SELECT control, business_date FROM ops.reconciled WHERE run_id = ?", [run_id]):
        found.setdefault(control, set()).update({day} - {None})
    return found


def reach(warehouse: Warehouse, run_id: str) -> set[str]:
    return {reach for (reach,) in warehouse.rows("SELECT reach FROM ops.reconciled WHERE run_id = ?", [run_id])}


def test_a_figure_changed_by_hand_in_an_untouched_day_is_found_by_the_daily_sweep(
    built: Warehouse, settings: Settings
) -> None:
    assert swept(built, settings).differences == 0
    spoil(built)
    assert hourly(built, settings).differences == 0
    found = hourly(built, settings, "night", datetime(2026, 3, 7, 0, 5))
    assert (reach(built, "hourly"), reach(built, "night")) == ({CHANGES}, {HORIZON})
    assert {(d.control, d.entity, d.measure, d.difference) for d in found.unmatched if d.status == "failed"} == {
        ("rows", "oltp_orders", "amount", -1)
    }


def test_an_hourly_run_finds_a_fault_in_an_hour_that_was_restated_by_plan(built: Warehouse, settings: Settings) -> None:
    swept(built, settings)
    spoil(built)
    scan(built)
    found = hourly(built, settings)
    assert found.differences == 1
    assert compared(built, "hourly")["rows"] == {date(2026, 3, 4), FIRST}
    assert compared(built, "hourly")["loads"] == {SECOND}


@pytest.mark.parametrize("instant", ["queued_at", "closed_at"])
def test_an_hourly_run_looks_at_what_a_correction_touched(built: Warehouse, settings: Settings, instant: str) -> None:
    swept(built, settings)
    spoil(built)
    window = {"window_id": "w", "source": "oltp", "entity": "sales", "status": "closed", instant: AS_OF + HOUR}
    built.insert("ops.correction_windows", [window | {"window_start": EARLY.start, "window_end": EARLY.end}])
    assert hourly(built, settings).differences == 1


def test_a_known_difference_stays_until_it_is_gone(built: Warehouse, settings: Settings) -> None:
    spoil(built)
    first = swept(built, settings)
    again = hourly(built, settings)
    assert (first.differences, again.differences) == (1, 1)
    assert again.problems == first.problems
    spoil(built, "-1")
    scan(built)
    assert hourly(built, settings, "mended", AS_OF + 2 * HOUR).differences == 0


def test_what_did_not_change_is_shown_as_it_was_found(built: Warehouse, settings: Settings) -> None:
    first = swept(built, settings)
    page = last_reconciliation(built, existing_tables(built))
    again = hourly(built, settings)
    assert (again.controls, again.statuses, again.unmatched) == (first.controls, first.statuses, first.unmatched)
    shown = last_reconciliation(built, existing_tables(built))
    assert page is not None
    assert shown is not None
    assert (shown.controls, shown.failed_rows) == (page.controls, page.failed_rows)
    assert shown.as_of == AS_OF + HOUR
    assert sum(state.matched for state in shown.controls) > 0


def test_a_comparison_that_is_no_more_does_not_stay(built: Warehouse, settings: Settings) -> None:
    """The only row of a store that is not known stood in core alone, and is gone."""
    orders = table_of(built, "core.fct_orders__oltp")
    built.execute(f"UPDATE {orders} SET store_id = 77 WHERE order_id = '10'")
    assert {d.store_id for d in swept(built, settings).unmatched if d.status == "failed"} >= {77}
    built.execute(f"UPDATE {orders} SET store_id = 2 WHERE order_id = '10'")
    scan(built)
    assert hourly(built, settings).differences == 0


def test_a_sweep_that_was_killed_is_done_by_the_next_cycle(
    built: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept(built, settings)
    spoil(built)
    night = datetime(2026, 3, 7, 0, 5)
    with monkeypatch.context() as patch:
        patch.setattr(Statements, "add_up", _killed)
        with pytest.raises(KeyboardInterrupt):
            hourly(built, settings, "killed", night)
    assert compared(built, "killed") == {}
    assert hourly(built, settings, "again", night + HOUR).differences == 1
    assert reach(built, "again") == {HORIZON}


def _killed(statements: Statements) -> None:
    raise KeyboardInterrupt


def test_dates_that_somebody_asks_for_are_no_sweep(built: Warehouse, settings: Settings) -> None:
    reconcile(built, settings, AS_OF, "asked", FIRST, FIRST)
    spoil(built)
    assert hourly(built, settings).differences == 1
    assert reach(built, "hourly") == {HORIZON}


def test_an_hour_that_nobody_has_counted_yet_is_due(built: Warehouse, settings: Settings) -> None:
    """It passed its gate before its sources were known to be in, so that the last run left it out."""
    scope = Scope("run", AS_OF + HOUR, date(2026, 2, 27), SECOND, utc_now())
    statements = Statements(built, scope.values(settings))
    before = {gate: datetime(2026, 3, 6, 9) for gate in ("sales__oltp", "sales__shopify")}
    before |= dict.fromkeys(("inventory__stores", "inventory__shopify"))
    built.execute("UPDATE ops.source_watermarks SET covered_through = '2026-03-06 09:00'")
    swept(built, settings)
    controls, _ = due_controls(existing_tables(built), before)
    due = what_is_due(statements, controls, before, scope, CHANGES)
    assert due.hours == {}
    later = before | {"sales__oltp": datetime(2026, 3, 6, 10)}
    due = what_is_due(statements, controls, later, scope, CHANGES)
    counted = [Hours(datetime(2026, 3, 6, 9), datetime(2026, 3, 6, 10))]
    assert due.hours == {"rows_sales_oltp": counted, "rows_refunds_oltp": counted}


def test_a_new_till_and_a_new_report_bring_back_their_dates(built: Warehouse, settings: Settings) -> None:
    swept(built, settings)
    file = {"file_name": "tills/store_1.csv", "file_line": 2, "_dlt_load_id": "2", "_loaded_at": AS_OF + HOUR}
    built.insert("raw.stores_tills", [{"store_id": 1, "business_date": FIRST, "transactions": 1} | file])
    report = {"business_date": FIRST, "_dlt_load_id": "2", "_loaded_at": AS_OF + HOUR}
    built.insert("raw.shopify_sales_reports", [report])
    hourly(built, settings)
    found = compared(built, "hourly")
    # the 6th has ended nowhere: the report of the 5th is the only one
    assert (found["tills"], found["shop_reports"], found["levels"], found["rows"]) == ({FIRST}, {FIRST}, set(), set())
