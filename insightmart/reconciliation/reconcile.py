"""Ties control totals from the sources to the certified tables, and to the stores' tills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.certification.evidence import existing_tables
from insightmart.certification.state import certified_through
from insightmart.reconciliation.controls import FAILED as DIFFERS
from insightmart.reconciliation.controls import MATCHED, TOTALS, Controls, Scope
from insightmart.reconciliation.sql_text import exact_sum
from insightmart.settings import Settings

DAYS = 8  # late corrections reach back a week


@dataclass(frozen=True)
class ControlSummary:
    """One control of one entity and measure over all dates; totals are exact, None where the control has none."""

    control: str
    entity: str
    measure: str
    source_total: Decimal | None
    raw_total: Decimal | None
    core_total: Decimal | None
    certified_total: Decimal | None
    excluded_total: Decimal | None
    quarantined_total: Decimal | None
    difference: Decimal
    comparisons: int


@dataclass(frozen=True)
class Difference:
    """A comparison that does not match: where, by how much, and what explains it (``failed``: nothing does)."""

    control: str
    entity: str
    business_date: date
    store_id: int | None
    measure: str
    source_total: Decimal | None
    raw_total: Decimal | None
    core_total: Decimal | None
    certified_total: Decimal | None
    quarantined_total: Decimal | None
    difference: Decimal
    status: str


@dataclass(frozen=True)
class ReconcileResult:
    """What a reconciliation found.

    Attributes:
        run_id: the run that ``ops.reconciliations`` has the rows of.
        as_of: "now" of the run, UTC.
        date_from: first business date.
        date_to: last business date.
        controls: totals by control, entity and measure.
        statuses: comparisons by status.
        unmatched: every comparison that does not match, explained ones included.
        skipped: controls that could not run yet, with the reason.
    """

    run_id: str
    as_of: datetime
    date_from: date
    date_to: date
    controls: list[ControlSummary]
    statuses: Mapping[str, int]
    unmatched: list[Difference]
    skipped: list[str]

    @property
    def differences(self) -> int:
        """How many comparisons differ without an explanation."""
        return self.statuses.get(DIFFERS, 0)

    @property
    def summary(self) -> str:
        """One line: what agrees, what is explained, what differs."""
        explained = [
            f"{count:,} {status}" for status, count in self.statuses.items() if status not in (MATCHED, DIFFERS)
        ]
        parts = [f"{self.statuses.get(MATCHED, 0):,} totals agree", *explained]
        return ", ".join([*parts, f"{self.differences:,} differ" if self.differences else "none differs"])


def reconcile(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    run_id: str,
    date_from: date | None = None,
    date_to: date | None = None,
) -> ReconcileResult:
    """Compare source, raw, core, certified and tills, and write every comparison to ops.reconciliations.

    Args:
        warehouse: open connection.
        settings: for the company's time zone and the first day of history.
        as_of: "now", UTC without a zone.
        run_id: the run the comparisons belong to.
        date_from: first business date; by default a week before ``date_to``.
        date_to: last business date; by default the UTC date of ``as_of``.
    """
    last = date_to or as_of.date()
    first = date_from or last - timedelta(days=DAYS - 1)
    existing = existing_tables(warehouse)
    through = certified_through(warehouse, existing)
    controls = Controls(warehouse, settings, Scope(run_id, as_of, first, last, utc_now()))
    skipped = _not_yet(existing, through)
    with warehouse.transaction():
        controls.loads()
        for gate, instant in through.items():
            area, _, source = gate.partition("__")
            if gate not in skipped and instant is not None and area in ("sales", "inventory"):
                run = controls.sales_rows if area == "sales" else controls.inventory_rows
                run(source, instant)
        oltp = through["sales__oltp"]
        if "sales" not in skipped:
            controls.levels()
        if "tills" not in skipped and oltp is not None:
            controls.tills(oltp)
        controls.totals()
    result = _result(warehouse, run_id, as_of, first, last, [f"{name}: {why}" for name, why in skipped.items()])
    controls.drop_repetitions()
    return result


def _not_yet(existing: set[str], through: Mapping[str, datetime | None]) -> dict[str, str]:
    """Gates and controls that have nothing to compare yet, with the reason."""
    skipped = {}
    for gate, instant in through.items():
        if "__" in gate and instant is None:
            skipped[gate] = "nothing is certified yet"
    if not {"certified.fct_orders", "certified.agg_sales_hourly", "certified.agg_sales_daily"} <= existing:
        skipped["sales"] = "the certified sales tables do not exist yet"
    if through["sales__oltp"] is None or not {"certified.dim_stores", "staging.stores_tills"} <= existing:
        skipped["tills"] = "store sales are not certified yet"
    return skipped


def _result(
    warehouse: Warehouse, run_id: str, as_of: datetime, first: date, last: date, skipped: list[str]
) -> ReconcileResult:
    one_a_comparison = "run_id = ? AND (store_id IS NOT NULL OR control = 'loads')"
    controls = warehouse.rows(
        f"SELECT control, entity, measure, {', '.join(map(exact_sum, TOTALS))}, {exact_sum('difference')}, COUNT(*)"
        f" FROM ops.reconciliations WHERE {one_a_comparison}"
        " GROUP BY control, entity, measure ORDER BY control, entity, measure",
        [run_id],
    )
    statuses = warehouse.rows(
        f"SELECT status, COUNT(*) FROM ops.reconciliations WHERE {one_a_comparison} GROUP BY status ORDER BY status",
        [run_id],
    )
    unmatched = warehouse.rows(
        "SELECT control, entity, business_date, store_id, measure, source_total, raw_total, core_total,"
        " certified_total, quarantined_total, difference, status"
        f" FROM ops.reconciliations WHERE {one_a_comparison} AND status <> 'matched'"
        " ORDER BY CASE WHEN status = 'failed' THEN 0 ELSE 1 END, business_date, control, entity, store_id, measure",
        [run_id],
    )
    return ReconcileResult(
        run_id,
        as_of,
        first,
        last,
        [ControlSummary(*row) for row in controls],
        dict(statuses),
        [Difference(*row) for row in unmatched],
        skipped,
    )
