"""Whether a certified dataset can be trusted: certified through when, held back by which check, waiting for what.

The status page, the mails and the reconciliation all take these facts from here. Whatever does not exist yet (nothing
has been loaded, the first run failed) is a fact too: nothing here fails because a table is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Any

import yaml

from ingestion.contracts import entity
from ingestion.warehouse import Warehouse
from insightmart.settings import PROJECT

HOURLY_TOLERANCE = timedelta(minutes=90)  # behind the last whole hour
DAILY_TOLERANCE = timedelta(hours=25, minutes=30)  # since the last load of a daily source
SCANS_LOOKED_AT = 200  # per gate, newest first: an hour with many corrections has as many scans


class Verdict(StrEnum):
    """What a reader may conclude, from good to bad."""

    TRUSTED = "trusted"
    CORRECTIONS = "corrections pending"
    LATE = "late"
    MISSING = "not certified yet"
    HELD_BACK = "held back"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class Part:
    """What one gate publishes of a subject area.

    Attributes:
        area: subject area, for people.
        label: the part of it, for people; empty where the area has one part.
        gate: the gate's name within the schema ``gate``.
        inputs: ``source.entity`` names whose watermarks it waits for.
        corrected_by: (source, entity) of the correction windows that restate it.
    """

    area: str
    label: str
    gate: str
    inputs: tuple[str, ...]
    corrected_by: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """For example ``sales (online)``."""
        return f"{self.area.lower()} ({self.label})" if self.label else self.area.lower()

    @property
    def is_hourly(self) -> bool:
        """Whether its sources are read every hour."""
        return all(entity(*name.split(".")).cadence == "hourly" for name in self.inputs)


@dataclass(frozen=True)
class Dataset:
    """A certified table: what one row is, and the gates it passes."""

    table: str
    meaning: str
    gates: tuple[str, ...]


SALES = ("sales__oltp", "sales__shopify")
INVENTORY = ("inventory__stores", "inventory__shopify")

PARTS: tuple[Part, ...] = (
    Part("Sales", "store and phone", SALES[0], ("oltp.orders", "oltp.order_lines", "oltp.refunds"), ("oltp", "sales")),
    Part("Sales", "online", SALES[1], ("shopify.orders",), ("shopify", "sales")),
    Part("Inventory", "stores", INVENTORY[0], ("stores.inventory",), ("stores", "inventory")),
    Part("Inventory", "online", INVENTORY[1], ("shopify.inventory",), ("shopify", "inventory")),
    Part("Customers", "", "customers", ("oltp.customers",)),
    Part("Products", "", "products", ("oltp.products", "shopify.products")),
    Part("Stores", "", "stores", ("stores.reference",)),
)

DATASETS: tuple[Dataset, ...] = (
    Dataset("fct_orders", "an order that counts", SALES),
    Dataset("fct_order_lines", "a line of an order that counts", SALES),
    Dataset("fct_refunds", "a refunded line, on the day of the refund", SALES),
    Dataset("agg_sales_hourly", "sales of a business hour, store and channel", SALES),
    Dataset("agg_sales_daily", "sales of a business date, store and channel", SALES),
    Dataset("row_counts", "rows and rejected rows of a UTC hour", SALES),
    Dataset("fct_inventory", "the last count of a product in a store and hour", INVENTORY),
    Dataset("agg_inventory_daily", "closing stock of a business date, store and product", INVENTORY),
    Dataset("inventory_coverage", "how many stores sent their counts of an hour", INVENTORY[:1]),
    Dataset("dim_customers", "a customer, with history", ("customers",)),
    Dataset("dim_products", "a product", ("products",)),
    Dataset("dim_stores", "a store, with history", ("stores",)),
    Dataset("dim_dates", "a day", ("stores",)),
)


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


@dataclass(frozen=True)
class PartState:
    """What is known of a part now.

    Attributes:
        part: the part.
        verdict: what a reader may conclude.
        why: the verdict in one sentence.
        through: first instant that is not certified, UTC; None when nothing is.
        scan: the gate's last scan.
        refused: the scan that holds it back, if one does.
        attempts: how many scans in a row were refused.
        corrections: open correction windows that restate it.
        behind: the inputs that are late, with where they stand.
    """

    part: Part
    verdict: Verdict
    why: str
    through: datetime | None
    scan: Scan | None = None
    refused: Scan | None = None
    attempts: int = 0
    corrections: tuple[OpenCorrection, ...] = ()
    behind: Mapping[str, datetime | None] = field(default_factory=dict)

    @property
    def held_since(self) -> datetime | None:
        """First instant that is held back: what is certified ends there."""
        if self.refused is None:
            return None
        return self.through or self.refused.window_start


@dataclass(frozen=True)
class DatasetState:
    """A certified table with the states of its parts; it is as good as the worst of them."""

    dataset: Dataset
    parts: tuple[PartState, ...]
    exists: bool

    @property
    def area(self) -> str:
        """The subject area of its parts."""
        return self.parts[0].part.area

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of its parts."""
        return max((state.verdict for state in self.parts), key=lambda verdict: verdict.rank)

    @property
    def through(self) -> datetime | None:
        """The earlier of its parts: every source is certified up to here."""
        known = [state.through for state in self.parts]
        return None if None in known else min(instant for instant in known if instant is not None)


def existing_tables(warehouse: Warehouse) -> set[str]:
    """Tables and views of the warehouse as ``schema.table``, in lower case."""
    rows = warehouse.rows("SELECT LOWER(table_schema), LOWER(table_name) FROM information_schema.tables")
    return {f"{schema}.{table}" for schema, table in rows}


def whole_hour(instant: datetime) -> datetime:
    """The whole hour an instant stands in."""
    return instant.replace(minute=0, second=0, microsecond=0)


# --- certified through -------------------------------------------------------------------------------------------


def certified_through(warehouse: Warehouse, existing: set[str] | None = None) -> dict[str, datetime | None]:
    """Per gate the first instant that is not certified, UTC; None when nothing is.

    The end of the last window that passed, and never later than what the sources were known up to: a reference table is
    as of its last load, whenever its gate last looked at it.
    """
    existing = existing_tables(warehouse) if existing is None else existing
    marks = watermarks(warehouse, existing)
    return {part.gate: _through(warehouse, existing, part, marks) for part in PARTS}


def watermarks(warehouse: Warehouse, existing: set[str]) -> dict[str, datetime]:
    """How far each ``source.entity`` is known completely, UTC."""
    if "ops.source_watermarks" not in existing:
        return {}
    rows = warehouse.rows(
        "SELECT source, entity, MAX(covered_through) FROM ops.source_watermarks GROUP BY source, entity"
    )
    return {f"{source}.{name}": mark for source, name, mark in rows if mark is not None}


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


# --- scans -------------------------------------------------------------------------------------------------------


def recent_scans(warehouse: Warehouse, existing: set[str]) -> dict[str, list[Scan]]:
    """The last scans of every gate in prod, newest first, without their remarks."""
    if "ops.check_results" not in existing:
        return {}
    rows = warehouse.rows(
        """
        SELECT area, scan_id, MIN(window_start), MAX(window_end), MAX(scanned_at), MAX(as_of), COUNT(*),
            MAX(CASE WHEN outcome = 'error' OR (outcome = 'fail' AND severity = 'critical') THEN 1 ELSE 0 END)
        FROM ops.check_results
        WHERE COALESCE(environment, 'prod') = 'prod'
        GROUP BY area, scan_id
        QUALIFY ROW_NUMBER() OVER (PARTITION BY area ORDER BY MAX(scanned_at) DESC, scan_id) <= ?
        ORDER BY area, MAX(scanned_at) DESC, scan_id
        """,
        [SCANS_LOOKED_AT],
    )
    scans: dict[str, list[Scan]] = {}
    for gate, scan_id, start, end, scanned_at, as_of, checks, blocked in rows:
        scans.setdefault(gate, []).append(Scan(scan_id, gate, start, end, scanned_at, as_of, checks, bool(blocked)))
    return scans


def _with_remarks(warehouse: Warehouse, scan: Scan) -> Scan:
    rows = warehouse.rows(
        "SELECT check_name, dataset, severity, outcome, value, definition FROM ops.check_results"
        " WHERE scan_id = ? AND outcome <> 'pass' ORDER BY severity, check_name",
        [scan.scan_id],
    )
    remarks = []
    for check, dataset, severity, outcome, found, definition in rows:
        allowed, owner = check_contract(definition or "")
        remarks.append(CheckResult(check, dataset.lower(), severity, outcome, found or "", allowed, owner))
    return Scan(**{**scan.__dict__, "remarks": tuple(remarks)})


def check_contract(definition: str) -> tuple[str, str]:
    """What a check allows and who owns it, out of its SodaCL text; empty texts where it does not say.

    >>> check_contract("checks for T:\\n  - rejected_percent <= 10:\\n      attributes: {owner: operations}")
    ('<= 10', 'operations')
    """
    try:
        ((_, checks),) = yaml.safe_load(_with_thresholds(definition)).items()
        ((rule, options),) = checks[0].items()
        owner = str(options.get("attributes", {}).get("owner", ""))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return "", ""
    if "fail" in options:
        return f"not {str(options['fail']).removeprefix('when ')}", owner
    for operator in ("<=", ">=", "!=", "=", "<", ">", "between"):
        if f" {operator} " in str(rule):
            return f"{operator} {str(rule).split(f' {operator} ', 1)[1]}", owner
    return "", owner


def _with_thresholds(definition: str) -> str:
    thresholds = yaml.safe_load((PROJECT / "soda" / "variables.yml").read_text(encoding="utf-8"))["variables"]
    for name, value in thresholds.items():
        definition = definition.replace(f"${{{name}}}", str(value))
    return definition


# --- corrections -------------------------------------------------------------------------------------------------


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


# --- verdicts ----------------------------------------------------------------------------------------------------


def part_states(warehouse: Warehouse, as_of: datetime, existing: set[str] | None = None) -> list[PartState]:
    """The state of every part as of an instant (UTC, without a zone)."""
    existing = existing_tables(warehouse) if existing is None else existing
    marks = watermarks(warehouse, existing)
    scans = recent_scans(warehouse, existing)
    corrections = open_corrections(warehouse, existing)
    through = certified_through(warehouse, existing)
    return [
        _state(warehouse, part, as_of, through[part.gate], marks, scans.get(part.gate, []), corrections)
        for part in PARTS
    ]


def _state(
    warehouse: Warehouse,
    part: Part,
    as_of: datetime,
    through: datetime | None,
    marks: Mapping[str, datetime],
    scans: Sequence[Scan],
    corrections: Iterable[OpenCorrection],
) -> PartState:
    pending = tuple(item for item in corrections if _restates(item, part))
    last = _with_remarks(warehouse, scans[0]) if scans else None
    forward = _forward(scans, through)
    refused = _with_remarks(warehouse, forward[0]) if forward and forward[0].blocked else None
    attempts = len(list(takewhile(lambda scan: scan.blocked, forward)))
    behind = {name: marks.get(name) for name in part.inputs if _is_behind(name, marks.get(name), as_of)}
    verdict, why = _verdict(part, as_of, through, refused, pending, behind)
    return PartState(part, verdict, why, through, last, refused, attempts, pending, behind)


def _restates(correction: OpenCorrection, part: Part) -> bool:
    if correction.source != "manual":
        return (correction.source, correction.entity) == part.corrected_by
    # Queued by hand: its entity is a model, for example staging._oltp_orders or core.fct_inventory__stores.
    model = correction.entity
    if part.corrected_by is None:
        return part.gate in model
    source, subject = part.corrected_by
    about = "inventory" if "inventory" in model else "sales"
    return source in model and about == subject and not any(name in model for name in ("customers", "products"))


def _forward(scans: Sequence[Scan], through: datetime | None) -> list[Scan]:
    """Scans of windows that go beyond what is certified, newest first: the last one says whether the part is held back.

    A refused scan of an older window is a correction that was refused; the queue has it. What is certified stays.
    """
    return [scan for scan in scans if through is None or scan.window_end > through]


def _is_behind(name: str, mark: datetime | None, as_of: datetime) -> bool:
    if mark is None:
        return True
    hourly = entity(*name.split(".")).cadence == "hourly"
    return whole_hour(as_of) - mark > HOURLY_TOLERANCE if hourly else as_of - mark > DAILY_TOLERANCE


def _verdict(
    part: Part,
    as_of: datetime,
    through: datetime | None,
    refused: Scan | None,
    pending: Sequence[OpenCorrection],
    behind: Mapping[str, datetime | None],
) -> tuple[Verdict, str]:
    if refused is not None:
        return Verdict.HELD_BACK, _refusal(refused)
    if through is None:
        missing = [name for name, mark in behind.items() if mark is None]
        return (
            Verdict.MISSING,
            f"never loaded: {', '.join(missing)}" if missing else "no window has passed the gate yet",
        )
    late = whole_hour(as_of) - through > HOURLY_TOLERANCE if part.is_hourly else as_of - through > DAILY_TOLERANCE
    if late or behind:
        standing = ", ".join(f"the source {name} {_read_through(mark)}" for name, mark in behind.items())
        return Verdict.LATE, standing or f"nothing was certified after {spoken(through)}"
    if pending:
        windows = "1 window waits" if len(pending) == 1 else f"{len(pending)} windows wait"
        return Verdict.CORRECTIONS, f"{windows} to be certified again"
    return Verdict.TRUSTED, "the last gate passed and nothing is pending"


def _read_through(mark: datetime | None) -> str:
    return f"was last read through {spoken(mark)}" if mark else "was never loaded"


def _refusal(refused: Scan) -> str:
    names = ", ".join(f"{remark.check} (found {remark.found}{_against(remark)})" for remark in refused.blocking)
    return f"the gate refused it: {names}"


def _against(remark: CheckResult) -> str:
    return f", allowed {remark.allowed}" if remark.allowed else ""


def dataset_states(parts: Sequence[PartState], existing: set[str]) -> list[DatasetState]:
    """The certified tables with the states of the gates they pass."""
    by_gate = {state.part.gate: state for state in parts}
    return [
        DatasetState(item, tuple(by_gate[gate] for gate in item.gates), f"certified.{item.table}" in existing)
        for item in DATASETS
    ]


def spoken(instant: Any) -> str:
    """An instant for people, to the minute: ``2026-03-06 16:00 UTC``."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"
