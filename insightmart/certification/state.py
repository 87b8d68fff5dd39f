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
    OpenCorrection,
    existing_tables,
    gates_passed,
    recent_scans,
    watermarks,
    with_remarks,
)
from insightmart.certification.verdict import DatasetState, PartState, judge, late_inputs, of_certified, whole_hour


def part_states(
    warehouse: Warehouse,
    as_of: datetime,
    existing: set[str],
    marks: Mapping[str, datetime],
    corrections: Sequence[OpenCorrection],
) -> list[PartState]:
    """The state of every part as of an instant.

    Args:
        warehouse: open connection.
        as_of: "now", UTC without a zone.
        existing: tables of the warehouse (``existing_tables``).
        marks: how far the sources are in (``watermarks``).
        corrections: what waits to be certified again (``open_corrections``).
    """
    scans = recent_scans(warehouse, existing, as_of)
    passed = gates_passed(warehouse, existing)
    found = {}
    for part in catalogue().parts:
        through = _through(part, passed, marks)
        # A refused scan of an older window is a correction that was refused; the queue has it. What is certified stays.
        forward = [scan for scan in scans.get(part.gate, []) if through is None or scan.window_end > through]
        found[part.gate] = through, list(takewhile(lambda scan: scan.blocked, forward))
    told = [scan for part in catalogue().parts for scan in (*scans.get(part.gate, [])[:1], *found[part.gate][1][:1])]
    remarked = with_remarks(warehouse, told)
    states = []
    for part in catalogue().parts:
        through, refusals = found[part.gate]
        last = remarked[scans[part.gate][0].scan_id] if scans.get(part.gate) else None
        refused = remarked[refusals[0].scan_id] if refusals else None
        pending = tuple(item for item in corrections if of_certified(item, part, through))
        late = late_inputs(part, marks, as_of)
        verdict, why = judge(part, as_of, through, refused, pending, late)
        attempts = len({scan.as_of for scan in refusals})  # a run may scan a window twice: corrected, and as it is due
        states.append(PartState(part, verdict, why, through, last, refused, attempts, pending, late))
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
    marks, passed = watermarks(warehouse, existing), gates_passed(warehouse, existing)
    return {part.gate: _through(part, passed, marks) for part in catalogue().parts}


def _through(part: Part, passed: Mapping[str, datetime], marks: Mapping[str, datetime]) -> datetime | None:
    through = passed.get(part.gate)
    known = [marks[name] for name in part.inputs if name in marks]
    if through is None or not known:
        return through
    limit = min(known)
    return min(through, whole_hour(limit) if part.is_hourly else limit)
