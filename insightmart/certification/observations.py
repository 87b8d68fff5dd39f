"""What the warehouse holds on its certified data: watermarks, scans of the gates, corrections that wait.

Whatever does not exist yet (nothing has been loaded, the first run failed) is a fact too: nothing here fails because a
table is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ingestion.warehouse import Warehouse
from insightmart.certification.datasets import catalogue
from insightmart.gate.check_contract import check_contract

SCANS_LOOKED_AT = 200  # per gate, newest first: an hour with many corrections has as many scans
# How old a scan may be to say something of now: what a gate refuses is scanned again by every cycle.
SCANS_SINCE = timedelta(days=30)


@dataclass(frozen=True)
class CheckResult:
    """A check that did not pass: what was found against what is allowed, and whom to ask."""

    check: str
    dataset: str
    severity: str
    outcome: str
    found: str
    allowed: str
    owner: str

    @property
    def is_blocking(self) -> bool:
        """Whether it holds the window back."""
        return self.outcome == "error" or (self.outcome == "fail" and self.severity == "critical")


@dataclass(frozen=True)
class Scan:
    """One scan of a gate; instants are UTC, ``as_of`` is the "now" of its run."""

    scan_id: str
    gate: str
    window_start: datetime
    window_end: datetime
    scanned_at: datetime
    as_of: datetime | None
    checks: int
    blocked: bool
    remarks: tuple[CheckResult, ...] = ()

    @property
    def blocking(self) -> tuple[CheckResult, ...]:
        """The checks that hold the window back."""
        return tuple(remark for remark in self.remarks if remark.is_blocking)

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """The checks that only warn."""
        return tuple(remark for remark in self.remarks if not remark.is_blocking)


@dataclass(frozen=True)
class OpenCorrection:
    """A window that was certified and has changed at its source since: queued, and not certified again yet."""

    source: str
    entity: str
    window_start: datetime
    window_end: datetime
    rows: int | None
    reason: str
    queued_at: datetime | None
    attempts: int
    last_error: str | None


def existing_tables(warehouse: Warehouse) -> set[str]:
    """Tables and views of the warehouse as ``schema.table``, in lower case."""
    rows = warehouse.rows("SELECT table_schema, table_name FROM information_schema.tables")
    return {f"{schema}.{table}".lower() for schema, table in rows}


def watermarks(warehouse: Warehouse, existing: set[str]) -> dict[str, datetime]:
    """How far each ``source.entity`` is known completely, UTC."""
    if "ops.source_watermarks" not in existing:
        return {}
    rows = warehouse.rows(
        "SELECT source, entity, MAX(covered_through) FROM ops.source_watermarks GROUP BY source, entity"
    )
    return {f"{source}.{name}": mark for source, name, mark in rows if mark is not None}


def recent_scans(warehouse: Warehouse, existing: set[str], as_of: datetime) -> dict[str, list[Scan]]:
    """The last scans of every gate in prod as of an instant (UTC), newest first, without their remarks."""
    if "ops.check_results" not in existing:
        return {}
    rows = warehouse.rows(
        """
        SELECT area, scan_id, MIN(window_start), MAX(window_end), MAX(scanned_at), MAX(as_of), COUNT(*),
            MAX(CASE WHEN outcome = 'error' OR (outcome = 'fail' AND severity = 'critical') THEN 1 ELSE 0 END)
        FROM ops.check_results
        WHERE as_of >= ? AND COALESCE(environment, 'prod') = 'prod'
        GROUP BY area, scan_id
        QUALIFY ROW_NUMBER() OVER (PARTITION BY area ORDER BY MAX(scanned_at) DESC, scan_id) <= ?
        ORDER BY area, MAX(scanned_at) DESC, scan_id
        """,
        [as_of - SCANS_SINCE, SCANS_LOOKED_AT],
    )
    scans: dict[str, list[Scan]] = {}
    for gate, scan_id, start, end, scanned_at, as_of, checks, blocked in rows:
        scans.setdefault(gate, []).append(Scan(scan_id, gate, start, end, scanned_at, as_of, checks, bool(blocked)))
    return scans


def with_remarks(warehouse: Warehouse, scans: Sequence[Scan]) -> dict[str, Scan]:
    """Scans with the checks that did not pass, by their ids."""
    remarks: dict[str, list[CheckResult]] = {scan.scan_id: [] for scan in scans}
    if not remarks:
        return {}
    rows = warehouse.rows(
        "SELECT scan_id, check_name, dataset, severity, outcome, value, definition FROM ops.check_results"
        f" WHERE scanned_at >= ? AND scan_id IN ({', '.join('?' * len(remarks))}) AND outcome <> 'pass'"
        " ORDER BY scan_id, severity, check_name",
        [min(scan.scanned_at for scan in scans), *remarks],
    )
    for scan_id, check, dataset, severity, outcome, found, definition in rows:
        allowed, owner = check_contract(definition or "")
        remarks[scan_id].append(CheckResult(check, dataset.lower(), severity, outcome, found or "", allowed, owner))
    return {scan.scan_id: replace(scan, remarks=tuple(remarks[scan.scan_id])) for scan in scans}


def gates_passed(warehouse: Warehouse, existing: set[str]) -> dict[str, datetime]:
    """The end of the last window that passed, by gate, UTC; without those that have passed none."""
    gates = [part.gate for part in catalogue().parts if f"gate.{part.gate}" in existing]
    if not gates:
        return {}
    ends = " UNION ALL ".join(f"SELECT '{gate}' AS gate, MAX(window_end) AS passed FROM gate.{gate}" for gate in gates)
    passed = {gate: end for gate, end in warehouse.rows(ends) if end is not None}
    if passed and "ops.run_intervals" in existing:
        # Restating the first hours of a long window leaves the gate's table a row of just these hours.
        evaluated = warehouse.rows(
            "SELECT model, MAX(interval_end) FROM ops.run_intervals WHERE interval_end > ? AND status = 'evaluated'"
            f" AND model IN ({', '.join('?' * len(passed))}) GROUP BY model",
            [min(passed.values()), *(f"gate.{gate}" for gate in passed)],
        )
        for model, end in evaluated:
            gate = model.removeprefix("gate.")
            passed[gate] = max(passed[gate], end)
    return passed


def open_corrections(warehouse: Warehouse, existing: set[str]) -> list[OpenCorrection]:
    """The windows that wait to be certified again, oldest window first."""
    if "ops.correction_windows" not in existing:
        return []
    rows = warehouse.rows(
        """
        SELECT source, entity, window_start, window_end, "ROWS", reason, queued_at, COALESCE(attempts, 0), last_error
        FROM ops.correction_windows WHERE status = 'open' ORDER BY window_start, source, entity
        """
    )
    return [OpenCorrection(*row) for row in rows]
