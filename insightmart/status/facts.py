"""Everything the status page and the mails say, gathered once: the state of the warehouse as of an instant."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ingestion.clock import utc_now
from ingestion.contracts import ENTITIES
from ingestion.warehouse import Warehouse, exact_sum
from insightmart.certification.evidence import OpenCorrection, existing_tables, open_corrections, watermarks
from insightmart.certification.state import dataset_states, part_states
from insightmart.certification.verdict import DatasetState, PartState, Verdict, spoken, whole_hour
from insightmart.quarantine.quarantine import QuarantinedFile, RuleCount, quarantined_files, rule_counts
from insightmart.settings import Settings

QUARANTINE_DAYS = 30  # older rejects stay in quarantine, but are no news
SALES_DAYS = 8
RUNS = 12
DIFFERENCES = 20


@dataclass(frozen=True)
class Problem:
    """Something that needs somebody: what happened, what it holds back, what to do, whom it concerns."""

    kind: str
    title: str
    what: str
    holds_back: str
    action: str
    owner: str = ""


@dataclass(frozen=True)
class LoadState:
    """One entity of a source: how far it is known, and its last load. Instants are UTC."""

    source: str
    entity: str
    cadence: str
    covered_through: datetime | None
    loaded_at: datetime | None
    rows: int | None
    rejected_rows: int | None
    source_count: int | None
    seconds: Decimal | None
    rows_last_day: int
    behind: bool


@dataclass(frozen=True)
class MissingStore:
    """An open store whose hourly files have not all come."""

    store_id: int
    store_name: str
    missing_hours: int
    expected_hours: int
    last_hour: datetime | None


@dataclass(frozen=True)
class Tills:
    """How many stores' own figures of a business date tie, differ for a known reason or are to come, and differ."""

    matched: int = 0
    pending: int = 0
    failed: int = 0


@dataclass(frozen=True)
class SalesDay:
    """Certified sales of a business date over all stores and channels; amounts are exact, in the company's currency.

    ``state`` is ``complete``, ``open`` (it has not ended everywhere, or not all is certified) or ``partial`` (it began
    before the first day of history).
    """

    business_date: date
    orders: int
    gross_sales: Decimal
    discounts: Decimal
    returns: Decimal
    net_sales: Decimal
    total_sales: Decimal
    state: str
    tills: Tills


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


@dataclass(frozen=True)
class RunState:
    """A run of the command line; instants are UTC, ``as_of`` is its "now"."""

    run_id: str
    command: str
    as_of: datetime
    status: str
    error: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def seconds(self) -> int | None:
        """How long it took; None while it runs or when it was killed."""
        if self.started_at is None or self.ended_at is None:
            return None
        return round((self.ended_at - self.started_at).total_seconds())


@dataclass(frozen=True)
class Facts:
    """The state of the warehouse as of an instant."""

    as_of: datetime
    generated_at: datetime
    gateway: str
    currency: str
    parts: list[PartState]
    datasets: list[DatasetState]
    corrections: list[OpenCorrection]
    corrections_closed: int
    loads: list[LoadState]
    failed_loads: dict[str, tuple[datetime | None, str]]
    files: list[tuple[str, str, int]]
    missing_stores: list[MissingStore]
    rejects: list[RuleCount]
    rejected_files: list[QuarantinedFile]
    sales: list[SalesDay]
    reconciliation: Reconciliation | None
    runs: list[RunState]
    last_cycle: RunState | None
    missing_tables: list[str]
    problems: list[Problem] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all parts."""
        return max((state.verdict for state in self.parts), key=lambda verdict: verdict.rank)

    @property
    def held_back(self) -> list[PartState]:
        """The parts that a gate holds back."""
        return [state for state in self.parts if state.verdict is Verdict.HELD_BACK]

    @property
    def unaffected(self) -> list[PartState]:
        """The parts that can be trusted as they stand."""
        return [state for state in self.parts if state.verdict is Verdict.TRUSTED]

    @property
    def through(self) -> datetime | None:
        """First instant that some hourly part has not certified; None when one has certified nothing."""
        known = [state.through for state in self.parts if state.part.is_hourly]
        return None if None in known else min(instant for instant in known if instant is not None)


def gather(warehouse: Warehouse, settings: Settings, as_of: datetime) -> Facts:
    """Read the state of the warehouse. What does not exist yet is a fact, never an error.

    Args:
        warehouse: open connection.
        settings: for the gateway and the currency.
        as_of: "now", UTC without a zone: what is late is late against it.
    """
    existing = existing_tables(warehouse)
    parts = part_states(warehouse, as_of, existing)
    datasets = dataset_states(parts, existing)
    recent = as_of - timedelta(days=QUARANTINE_DAYS)
    reconciliation = _reconciliation(warehouse, existing)
    facts = Facts(
        as_of=as_of,
        generated_at=utc_now(),
        gateway=settings.gateway,
        currency=settings.currency,
        parts=parts,
        datasets=datasets,
        corrections=open_corrections(warehouse, existing),
        corrections_closed=_corrections_closed(warehouse, existing, as_of),
        loads=_loads(warehouse, existing, as_of, parts),
        failed_loads=_failed_loads(warehouse, existing),
        files=_files(warehouse, existing, as_of),
        missing_stores=_missing_stores(warehouse, existing, settings),
        rejects=rule_counts(warehouse, existing, since=recent),
        rejected_files=quarantined_files(warehouse, existing, since=recent),
        sales=_sales(warehouse, existing, as_of, parts, reconciliation, settings.start),
        reconciliation=reconciliation,
        runs=_runs(warehouse, existing),
        last_cycle=last_cycle(warehouse, existing),
        missing_tables=[f"certified.{state.dataset.table}" for state in datasets if not state.exists],
    )
    facts.problems.extend(_problems(facts))
    return facts


# --- loads and files ---------------------------------------------------------------------------------------------


def _loads(warehouse: Warehouse, existing: set[str], as_of: datetime, parts: list[PartState]) -> list[LoadState]:
    if "ops.loads" not in existing:
        return []
    last = warehouse.rows(
        'SELECT source, entity, loaded_at, "ROWS", rejected_rows, source_count, seconds FROM ops.loads'
        " WHERE status IN ('loaded', 'empty')"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY source, entity ORDER BY loaded_at DESC, started_at DESC) = 1"
    )
    day = warehouse.rows(
        'SELECT source, entity, SUM("ROWS") FROM ops.loads'
        " WHERE status IN ('loaded', 'empty') AND loaded_at > ? AND loaded_at <= ? GROUP BY source, entity",
        [as_of - timedelta(days=1), as_of],
    )
    by_entity = {(row[0], row[1]): row[2:] for row in last}
    rows_last_day = {(source, name): int(rows or 0) for source, name, rows in day}
    marks = watermarks(warehouse, existing)
    behind = {name for state in parts for name in state.behind}
    states = []
    for item in ENTITIES:
        key = (item.source, item.name)
        loaded_at, rows, rejected, counted, seconds = by_entity.get(key, (None, None, None, None, None))
        name = f"{item.source}.{item.name}"
        states.append(
            LoadState(
                item.source,
                item.name,
                item.cadence,
                marks.get(name),
                loaded_at,
                rows,
                rejected,
                counted,
                seconds,
                rows_last_day.get(key, 0),
                name in behind,
            )
        )
    return states


def _failed_loads(warehouse: Warehouse, existing: set[str]) -> dict[str, tuple[datetime | None, str]]:
    """Per source the error of its last load, where that one failed."""
    if "ops.loads" not in existing:
        return {}
    rows = warehouse.rows(
        "SELECT source, status, loaded_at, error FROM ops.loads"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY source ORDER BY started_at DESC) = 1"
    )
    return {source: (at, error or "unknown") for source, status, at, error in rows if status == "failed"}


def _files(warehouse: Warehouse, existing: set[str], as_of: datetime) -> list[tuple[str, str, int]]:
    """Store files seen in the last 24 hours: (entity, status, count)."""
    if "ops.files" not in existing:
        return []
    return warehouse.rows(
        "SELECT COALESCE(entity, 'unknown'), status, COUNT(*) FROM ops.files WHERE seen_at > ? AND seen_at <= ?"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        [as_of - timedelta(days=1), as_of],
    )


def _missing_stores(warehouse: Warehouse, existing: set[str], settings: Settings) -> list[MissingStore]:
    """Stores without all files of the last 24 hours that are due and in which they were open, most missing first."""
    from ingestion.stores.missing import expected_files, is_in, missing_files  # imports dlt, which takes seconds

    due = watermarks(warehouse, existing).get("stores.inventory")
    if due is None or not {"ops.files", "raw.stores_reference", "certified.dim_stores"} <= existing:
        return []
    end = whole_hour(due)
    start = max(end - timedelta(days=1), settings.history_start)
    expected = Counter(store_id for _, store_id in expected_files(warehouse, start, end))
    missing = Counter(store_id for _, store_id in missing_files(warehouse, start, end))
    rows = warehouse.rows(
        f"""
        SELECT s.store_id, MAX(s.store_name), MAX(f.file_hour)
        FROM certified.dim_stores AS s
        LEFT JOIN ops.files AS f
            ON f.store_id = s.store_id AND f.entity = 'inventory' AND {is_in("f")}
            AND f.file_hour >= ? AND f.file_hour < ?
        WHERE s.is_current
        GROUP BY s.store_id
        """,
        [start, end],
    )
    known = {store_id: (name or "", last_hour) for store_id, name, last_hour in rows}
    stores = [
        MissingStore(store_id, name, hours, expected[store_id], last_hour)
        for store_id, hours in missing.items()
        for name, last_hour in [known.get(store_id, ("", None))]
    ]
    return sorted(stores, key=lambda store: (-store.missing_hours, store.store_id))


# --- corrections, sales, reconciliation, runs --------------------------------------------------------------------


def _corrections_closed(warehouse: Warehouse, existing: set[str], as_of: datetime) -> int:
    if "ops.correction_windows" not in existing:
        return 0
    return int(
        warehouse.value(
            "SELECT COUNT(*) FROM ops.correction_windows WHERE status = 'closed' AND closed_at > ? AND closed_at <= ?",
            [as_of - timedelta(days=1), as_of],
        )
    )


def _sales(
    warehouse: Warehouse,
    existing: set[str],
    as_of: datetime,
    parts: list[PartState],
    reconciliation: Reconciliation | None,
    start: date,
) -> list[SalesDay]:
    """Certified sales of the last business dates, newest first, with how the tills tied."""
    if "certified.agg_sales_daily" not in existing:
        return []
    names = ("gross_sales", "discounts", "returns", "net_sales", "total_sales")
    amounts = ", ".join(f"{exact_sum(name)} AS {name}" for name in names)
    days = warehouse.records(
        f"SELECT business_date, CAST(SUM(orders) AS BIGINT) AS orders, {amounts}"
        " FROM certified.agg_sales_daily WHERE business_date > ?"
        " GROUP BY business_date ORDER BY business_date DESC",
        [as_of.date() - timedelta(days=SALES_DAYS)],
    )
    first_open = _first_open_date(warehouse, existing, parts)
    tills = _tills(warehouse, reconciliation)
    return [
        SalesDay(
            **day,
            state=_day_state(day["business_date"], first_open, start),
            tills=tills.get(day["business_date"], Tills()),
        )
        for day in days[:SALES_DAYS]
    ]


def _day_state(day: date, first_open: date | None, start: date) -> str:
    if day < start:
        return "partial"
    return "complete" if first_open is not None and day < first_open else "open"


def _first_open_date(warehouse: Warehouse, existing: set[str], parts: list[PartState]) -> date | None:
    """The first business date that is not certified to its end in every store's time zone."""
    known = [state.through for state in parts if state.part.area == "Sales"]
    if None in known or "certified.dim_stores" not in existing:
        return None
    through = min(instant for instant in known if instant is not None).replace(tzinfo=UTC)
    zones = warehouse.rows("SELECT DISTINCT timezone FROM certified.dim_stores WHERE is_current")
    return min((through.astimezone(ZoneInfo(zone)).date() for (zone,) in zones), default=None)


def _tills(warehouse: Warehouse, reconciliation: Reconciliation | None) -> dict[date, Tills]:
    """Per business date how many stores' tills matched, are pending or otherwise explained, and differ.

    A matched store is recorded only when its figures changed, so the last record of every store and measure counts.
    """
    if reconciliation is None:
        return {}
    rows = warehouse.rows(
        """
        SELECT business_date, SUM(CASE WHEN worst = 0 THEN 1 ELSE 0 END), SUM(CASE WHEN worst = 1 THEN 1 ELSE 0 END),
            SUM(CASE WHEN worst = 2 THEN 1 ELSE 0 END)
        FROM (
            SELECT business_date, store_id,
                MAX(CASE status WHEN 'matched' THEN 0 WHEN 'failed' THEN 2 ELSE 1 END) AS worst
            FROM (
                SELECT business_date, store_id, measure, status
                FROM ops.reconciliations
                WHERE control = 'tills' AND store_id IS NOT NULL AND business_date > ?
                QUALIFY ROW_NUMBER() OVER (
                    PARTITION BY business_date, store_id, measure ORDER BY reconciled_at DESC
                ) = 1
            ) AS latest
            GROUP BY business_date, store_id
        ) AS stores
        GROUP BY business_date
        """,
        [reconciliation.as_of.date() - timedelta(days=SALES_DAYS)],
    )
    return {day: Tills(int(matched), int(pending), int(failed)) for day, matched, pending, failed in rows}


def _reconciliation(warehouse: Warehouse, existing: set[str]) -> Reconciliation | None:
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


_RUN_COLUMNS = "run_id, command, as_of, status, error, started_at, ended_at"


def _runs(warehouse: Warehouse, existing: set[str]) -> list[RunState]:
    if "ops.runs" not in existing:
        return []
    rows = warehouse.rows(f"SELECT {_RUN_COLUMNS} FROM ops.runs ORDER BY started_at DESC LIMIT ?", [RUNS])
    return [RunState(*row) for row in rows]


def last_cycle(warehouse: Warehouse, existing: set[str], before: str | None = None) -> RunState | None:
    """The newest cycle, or the newest one that is not the run ``before``; None when there is none."""
    if "ops.runs" not in existing:
        return None
    rows = warehouse.rows(
        f"SELECT {_RUN_COLUMNS} FROM ops.runs WHERE command = 'cycle' AND run_id <> ? ORDER BY started_at DESC LIMIT 1",
        [before or ""],
    )
    return RunState(*rows[0]) if rows else None


# --- problems ----------------------------------------------------------------------------------------------------

_ACTIONS = {  # by the dataset of the check that refused
    "row_counts": "Look at `insightmart quarantine list --entity {entity}` and have the rows corrected at the source.",
    "inventory_coverage": "Ask the stores under Store files for their counts; late files are taken in by themselves.",
}
_OTHER_ACTION = (
    "Look at the rows of the window in core.{dataset}, and have them corrected at the source or in the model."
)


def _problems(facts: Facts) -> list[Problem]:
    held = [_held_back(state) for state in facts.held_back]
    late = [_late(state, facts) for state in facts.parts if state.verdict is Verdict.LATE]
    missing = [_missing(state) for state in facts.parts if state.verdict is Verdict.MISSING]
    return [*held, *_refused_corrections(facts), *_unexplained(facts), *late, *missing, *_other_failures(facts)]


def _held_back(state: PartState) -> Problem:
    assert state.refused is not None
    first = state.refused.blocking[0] if state.refused.blocking else None
    since = state.held_since
    action = _OTHER_ACTION
    if first and first.outcome == "error":
        action = "The scan itself could not run: `insightmart doctor` checks the set-up; then run the cycle again."
    elif first:
        action = _ACTIONS.get(first.dataset, _OTHER_ACTION)
    source = state.part.inputs[0].split(".")[0]
    action = action.format(entity=f"{source}_order_lines", dataset=first.dataset if first else "")
    times = f" Refused {state.attempts} times in a row." if state.attempts > 1 else ""
    return Problem(
        "held back",
        f"{_capitalised(state.part.name)} held back since {spoken(since)}",
        f"{_capitalised(state.why)}.{times}",
        f"{_tables_of(state)} show nothing of {state.part.name} after {spoken(since)}; what was before is certified.",
        f"{action} The next cycle tries again by itself.",
        ", ".join(sorted({remark.owner for remark in state.refused.blocking if remark.owner})),
    )


def _late(state: PartState, facts: Facts) -> Problem:
    sources = {name.split(".")[0] for name in state.behind}
    errors = [error for source, (_, error) in facts.failed_loads.items() if source in sources]
    errors += _run_errors(facts, sources)
    what = f"{_capitalised(state.why)}." + (f" Last error: {errors[0]}" if errors else "")
    return Problem(
        "late",
        f"{_capitalised(state.part.name)} late: certified through {spoken(state.through)}",
        what,
        f"{_tables_of(state)} lack what happened after {spoken(state.through)} in {state.part.name}.",
        "`insightmart doctor` says whether the source answers. The next cycle reads everything that was missed.",
        "data-engineering",
    )


def _missing(state: PartState) -> Problem:
    return Problem(
        "not certified yet",
        f"{_capitalised(state.part.name)}: nothing certified yet",
        f"{_capitalised(state.why)}.",
        f"{_tables_of(state)} hold nothing of {state.part.name}.",
        "`insightmart doctor` says whether the source is configured and answers; then `insightmart cycle`.",
        "data-engineering",
    )


def _refused_corrections(facts: Facts) -> list[Problem]:
    refused = [item for item in facts.corrections if item.attempts > 0]
    if not refused:
        return []
    first = refused[0]
    return [
        Problem(
            "corrections pending",
            f"{len(refused)} late correction{'s' if len(refused) > 1 else ''} not certified",
            first.last_error or "The restatement did not finish.",
            f"The figures of {spoken(first.window_start)} to {spoken(max(item.window_end for item in refused))} are"
            " certified, but older than what the sources say now.",
            "Correct what the gate names; every cycle tries again.",
            "data-engineering",
        )
    ]


def _unexplained(facts: Facts) -> list[Problem]:
    reconciliation = facts.reconciliation
    if reconciliation is None or not reconciliation.failed:
        return []
    rows = reconciliation.failed_rows
    examples = "; ".join(
        f"{row['entity']} {row['measure']} on {row['business_date']}{_in_store(row['store_id'])}:"
        f" {row['difference']:,f}"
        for row in rows[:3]
    )
    return [
        Problem(
            "reconciliation",
            f"Reconciliation: {len(rows)}{'+' if len(rows) == DIFFERENCES else ''} differences without an explanation",
            f"{examples}{' and more' if len(rows) > 3 else ''}.",
            "Nothing is held back; the figures of these days do not tie.",
            "`insightmart reconcile` lists them; compare the rows of one store and day from raw to certified.",
            "finance",
        )
    ]


def _in_store(store_id: int | None) -> str:
    return "" if store_id is None else f" in store {store_id}"


def _other_failures(facts: Facts) -> list[Problem]:
    """What the last cycle complained of and no other problem accounts for."""
    cycle = facts.last_cycle
    if cycle is None or cycle.status in ("succeeded", "running"):
        return []
    lines = [line for line in error_lines(cycle.error) if not _is_accounted_for(line, facts)]
    if not lines and cycle.error:
        return []
    return [
        Problem(
            "failed",
            f"The cycle as of {spoken(cycle.as_of)} {cycle.status}",
            "; ".join(lines) or "No reason was recorded.",
            "What was certified before stays as it is.",
            "Correct what the line names; the next cycle does what is left. `insightmart doctor` checks the set-up.",
            "data-engineering",
        )
    ]


def _is_accounted_for(line: str, facts: Facts) -> bool:
    if line.startswith(("gate.", "held back until then")):
        return bool(facts.held_back or facts.corrections)
    if line.startswith("reconciliation"):
        return facts.reconciliation is not None and facts.reconciliation.failed > 0
    bad = [state for state in facts.parts if state.verdict in (Verdict.LATE, Verdict.MISSING)]
    return line.split(":", 1)[0] in {name.split(".")[0] for state in bad for name in state.behind}


def _run_errors(facts: Facts, sources: set[str]) -> list[str]:
    """What the last cycle said of these sources."""
    cycle = facts.last_cycle
    return [line for line in error_lines(cycle.error if cycle else None) if line.split(":", 1)[0] in sources]


_BEGINS_AN_ERROR = re.compile(
    r"; (?=(?:oltp|shopify|stores|reconciliation|held back until then): |(?:staging|core|gate|certified)\.)"
)


def error_lines(error: str | None) -> list[str]:
    """The single errors of a run; each begins with the source, the model or the step it is of."""
    return _BEGINS_AN_ERROR.split(error) if error else []


def _tables_of(state: PartState) -> str:
    area = state.part.area.lower()
    return f"The certified {area} tables"


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
