"""The state of every certified table and of the parts it is made of: certified through when, held back by what.

The status page, the mails and the reconciliation all take these facts from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile

from ingestion.warehouse import Warehouse
from insightmart.certification.datasets import Part, catalogue
from insightmart.certification.observations import (
    existing_tables,
    open_corrections,
    recent_scans,
    watermarks,
    with_remarks,
)
from insightmart.certification.verdict import DatasetState, PartState, judge, late_inputs, restates, whole_hour


def part_states(warehouse: Warehouse, as_of: datetime, existing: set[str] | None = None) -> list[PartState]:
    """The state of every part as of an instant (UTC, without a zone)."""
    existing = existing_tables(warehouse) if existing is None else existing
    marks = watermarks(warehouse, existing)
    scans = recent_scans(warehouse, existing)
    corrections = open_corrections(warehouse, existing)
    states = []
    for part in catalogue().parts:
        scanned = scans.get(part.gate, [])
        through = _through(warehouse, existing, part, marks)
        last = with_remarks(warehouse, scanned[0]) if scanned else None
        # A refused scan of an older window is a correction that was refused; the queue has it. What is certified stays.
        forward = [scan for scan in scanned if through is None or scan.window_end > through]
        refusals = list(takewhile(lambda scan: scan.blocked, forward))
        refused = with_remarks(warehouse, refusals[0]) if refusals else None
        pending = tuple(item for item in corrections if restates(item, part))
        late = late_inputs(part, marks, as_of)
        verdict, why = judge(part, as_of, through, refused, pending, late)
        states.append(PartState(part, verdict, why, through, last, refused, len(refusals), pending, late))
    return states


def dataset_states(parts: Sequence[PartState], existing: set[str]) -> list[DatasetState]:
    """The certified tables with the states of the gates they pass."""
    by_gate = {state.part.gate: state for state in parts}
    return [
        DatasetState(item, tuple(by_gate[gate] for gate in item.gates), f"certified.{item.table}" in existing)
        for item in catalogue().datasets
    ]


def certified_through(warehouse: Warehouse, existing: set[str] | None = None) -> dict[str, datetime | None]:
    """Per gate the first instant that is not certified, UTC; None when nothing is.

    The end of the last window that passed, and never later than what the sources were known up to: a reference table is
    as of its last load, whenever its gate last looked at it.
    """
    existing = existing_tables(warehouse) if existing is None else existing
    marks = watermarks(warehouse, existing)
    return {part.gate: _through(warehouse, existing, part, marks) for part in catalogue().parts}


def _through(warehouse: Warehouse, existing: set[str], part: Part, marks: Mapping[str, datetime]) -> datetime | None:
    if f"gate.{part.gate}" not in existing:
        return None
    passed = warehouse.value(f"SELECT MAX(window_end) FROM gate.{part.gate}")
    if passed is None:
        return None
    if "ops.run_intervals" in existing:
        # Restating the first hours of a long window leaves the gate's table a row of just these hours.
        evaluated = warehouse.value(
            "SELECT MAX(interval_end) FROM ops.run_intervals WHERE model = ? AND status = 'evaluated'",
            [f"gate.{part.gate}"],
        )
        passed = max(passed, evaluated or passed)
    known = [marks[name] for name in part.inputs if name in marks]
    if not known:
        return passed  # type: ignore[no-any-return]
    limit = min(known)
    return min(passed, whole_hour(limit) if part.is_hourly else limit)  # type: ignore[no-any-return]
