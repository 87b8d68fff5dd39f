"""The last reconciliation: which totals tie, and which differ without an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingestion.warehouse import Warehouse, bind
from insightmart.reconciliation.controls import horizon
from insightmart.reconciliation.result import DIFFERS
from insightmart.reconciliation.statements import statement

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
    """The last verdict on every date that may still change; None before the first.

    A reconciliation compares what changed; other dates keep what was found of them last.
    """
    if "ops.reconciled" not in existing:
        return None
    last = warehouse.rows("SELECT run_id, as_of FROM ops.reconciled ORDER BY reconciled_at DESC LIMIT 1")
    if not last:
        return None
    run_id, as_of = last[0]
    dates = horizon(as_of.date())
    given = {"date_from": dates.first, "date_to": dates.last}
    controls = warehouse.rows(*bind(statement("found_controls"), **given))
    found = warehouse.records(*bind(f"{statement('found_differences')}LIMIT {DIFFERENCES}", **given))
    states = tuple(ControlState(name, int(m), int(e), int(f)) for name, m, e, f in controls)
    return Reconciliation(run_id, as_of, states, tuple(row for row in found if row["status"] == DIFFERS))
