"""The last reconciliation: which totals tie, and which differ without an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingestion.warehouse import Warehouse

DIFFERENCES = 20  # rows that are read of what differs


@dataclass(frozen=True)
class ControlState:
    """The last reconciliation of one control: comparisons by status."""

    control: str
    matched: int
    explained: int
    failed: int


@dataclass(frozen=True)
class Reconciliation:
    """The last reconciliation."""

    run_id: str
    as_of: datetime
    controls: tuple[ControlState, ...]
    failed_rows: tuple[dict[str, Any], ...]

    @property
    def failed(self) -> int:
        """Totals that differ without an explanation."""
        return sum(control.failed for control in self.controls)


def last_reconciliation(warehouse: Warehouse, existing: set[str]) -> Reconciliation | None:
    """The newest one; None before the first."""
    if "ops.reconciliations" not in existing:
        return None
    last = warehouse.rows("SELECT run_id, as_of FROM ops.reconciliations ORDER BY reconciled_at DESC LIMIT 1")
    if not last:
        return None
    run_id, as_of = last[0]
    # Rows over all stores: matched rows of single stores are kept only when they are news.
    controls = warehouse.rows(
        "SELECT control, SUM(CASE WHEN status = 'matched' THEN 1 ELSE 0 END),"
        " SUM(CASE WHEN status NOT IN ('matched', 'failed') THEN 1 ELSE 0 END),"
        " SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END)"
        " FROM ops.reconciliations WHERE run_id = ? AND store_id IS NULL GROUP BY control ORDER BY control",
        [run_id],
    )
    failed = warehouse.records(
        "SELECT control, entity, business_date, store_id, measure, source_total, raw_total, core_total,"
        " certified_total, difference FROM ops.reconciliations WHERE run_id = ? AND status = 'failed'"
        " AND (store_id IS NOT NULL OR control = 'loads')"
        " ORDER BY business_date, control, entity, store_id, measure LIMIT ?",
        [run_id, DIFFERENCES],
    )
    states = tuple(ControlState(name, int(m), int(e), int(f)) for name, m, e, f in controls)
    return Reconciliation(run_id, as_of, states, tuple(failed))
