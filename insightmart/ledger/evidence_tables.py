"""The tables that the ledger covers, and their rows: those since an instant in one statement, or all of one table.

What is covered of each table: rows that are final, whole. A run counts once it has ended, a load once it is no longer
under way, a correction once it is closed; nothing updates them afterwards. ``ops.reconciliations`` forgets repetitions
within the run that compares, so what is there when the run ends stays.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from ingestion.ops_tables import OPS_TABLES
from ingestion.warehouse import Warehouse
from insightmart.ledger.canonical import canonical_value
from insightmart.ledger.chain import Kind

Row = Mapping[str, Any]
FETCHED = 5_000  # rows at a time

_AFTER_THE_RUN = "kind IN ('report', 'evidence')"  # problems that are met when the entry of their run is written


@dataclass(frozen=True)
class EvidenceTable:
    """A table of ops, or some of its rows, that entries keep digests of.

    Attributes:
        name: of the table in ops.
        kind: of the entries.
        noun: what a subject begins with; rows of several tables with one subject belong to one entry.
        key: columns that say which entry a row belongs to.
        recorded: column with the instant, by the real clock, at which a row became final.
        otherwise: columns in place of ``key`` where that is NULL.
        final: SQL: which rows are final.
        named_by: columns that say what a row of an entry is called; empty where nobody needs to tell rows apart.
    """

    name: str
    kind: Kind
    noun: str
    key: tuple[str, ...]
    recorded: str
    otherwise: tuple[str, ...] = ()
    final: str = "1 = 1"
    named_by: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """As entries name it."""
        return f"ops.{self.name}"

    def subject(self, row: Row) -> str:
        """The subject of the entry that a row belongs to."""
        known = all(row[name] is not None for name in self.key)
        names = self.key if known or not self.otherwise else self.otherwise
        return " ".join([self.noun, *(str(canonical_value(row[name])) for name in names)])


# One line a table; a new one is covered from the next entry on.
EVIDENCE = (
    EvidenceTable(
        "loads",
        Kind.LOAD,
        "load",
        ("load_id",),
        "ended_at",
        otherwise=("source", "ended_at"),
        final="status <> 'started'",
        named_by=("source", "entity", "window_start"),
    ),
    EvidenceTable("replays", Kind.REPLAY, "replay", ("load_id",), "recorded_at", otherwise=("source", "recorded_at")),
    EvidenceTable("check_results", Kind.GATE, "scan", ("scan_id",), "scanned_at", named_by=("check_name", "dataset")),
    EvidenceTable(
        "correction_windows",
        Kind.RESTATEMENT,
        "plan",
        ("plan_id",),
        "settled_at",
        otherwise=("window_id",),
        final="status = 'closed'",
        named_by=("window_id",),
    ),
    EvidenceTable("reconciliations", Kind.RECONCILIATION, "reconciliation", ("run_id",), "reconciled_at"),
    EvidenceTable("publications", Kind.PUBLICATION, "publication", ("publication",), "recorded_at"),
    EvidenceTable(
        "published_changes",
        Kind.PUBLICATION,
        "publication",
        ("publication",),
        "recorded_at",
        named_by=("table_name", "business_date", "store_id", "channel"),
    ),
    EvidenceTable(
        "published_digests",
        Kind.PUBLICATION,
        "publication",
        ("publication",),
        "recorded_at",
        named_by=("part", "event_hour"),
    ),
    EvidenceTable("closes", Kind.CLOSE, "close", ("close_id",), "recorded_at", named_by=("month_first", "status")),
    EvidenceTable("purges", Kind.RETENTION, "retention", ("purge_id",), "recorded_at", final="status = 'done'"),
    EvidenceTable("erasures", Kind.ERASURE, "erasure", ("erasure_id",), "recorded_at", final="status = 'done'"),
    EvidenceTable("schema_version", Kind.SETUP, "version", ("version",), "applied_at"),
    EvidenceTable("runs", Kind.RUN, "run", ("run_id",), "started_at", final="status <> 'running'"),
    EvidenceTable("run_intervals", Kind.RUN, "run", ("run_id",), "recorded_at"),
    EvidenceTable("run_problems", Kind.RUN, "run", ("run_id",), "recorded_at", final=f"NOT {_AFTER_THE_RUN}"),
    EvidenceTable("run_problems", Kind.PROBLEM, "problem", ("run_id", "kind"), "recorded_at", final=_AFTER_THE_RUN),
    EvidenceTable(
        "notifications", Kind.PROBLEM, "told", ("run_id",), "recorded_at", named_by=("incident_key", "change")
    ),
)


@dataclass(frozen=True)
class Covered:
    """Rows of one table that one entry speaks of."""

    evidence: EvidenceTable
    subject: str
    rows: list[Row]

    @property
    def latest(self) -> datetime | None:
        """When the last of them became final; None where none says so."""
        return max((at for row in self.rows if (at := row[self.evidence.recorded]) is not None), default=None)


def columns_of(name: str) -> dict[str, str]:
    """Columns of a table of ops -> their types without precision."""
    return dict(_columns(name))


@cache
def _columns(name: str) -> tuple[tuple[str, str], ...]:
    declared = re.split(r",\s*(?![^(]*\))", " ".join(OPS_TABLES[name].split()))
    parts = [column.split(" ", 1) for column in declared]
    return tuple((column.strip('"').lower(), kind.partition("(")[0]) for column, kind in parts)


# How a value of each type travels where rows of several tables are one answer.
_SLOT_TYPES = {
    "VARCHAR": "VARCHAR",
    "BIGINT": "BIGINT",
    "DECIMAL": "DECIMAL(38, 4)",
    "TIMESTAMP_NTZ": "TIMESTAMP_NTZ",
    "DATE": "DATE",
    "BOOLEAN": "BOOLEAN",
}


def rows_since(warehouse: Warehouse, since: datetime) -> list[Covered]:
    """All evidence that became final at or after an instant, by table and entry, in one statement.

    Rows of different tables come as rows of one shape, each value in a column of its type: values are compared and
    written as text here, and not by the engines, which write instants and decimals each in its own way.
    """
    statement, places = _all_tables()
    names = [list(columns_of(evidence.name)) for evidence in EVIDENCE]
    found: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for number, *values in warehouse.streamed(statement, [since] * len(EVIDENCE)):
        row = {name: values[place] for name, place in zip(names[number], places[number], strict=True)}
        found[number, EVIDENCE[number].subject(row)].append(row)
    return [Covered(EVIDENCE[number], subject, rows) for (number, subject), rows in found.items()]


@cache
def _all_tables() -> tuple[str, tuple[tuple[int, ...], ...]]:
    """The statement, with a mark for the instant for each table; and by table the place of each of its columns."""
    kinds = list(_SLOT_TYPES)
    needed = {
        kind: max(list(columns_of(evidence.name).values()).count(kind) for evidence in EVIDENCE) for kind in kinds
    }
    slots = [kind for kind in kinds for _ in range(needed[kind])]
    selects, places = [], []
    for number, evidence in enumerate(EVIDENCE):
        free = list(range(len(slots)))
        taken: dict[int, str] = {}
        own = []
        for column, kind in columns_of(evidence.name).items():
            place = next(place for place in free if slots[place] == kind)
            free.remove(place)
            taken[place] = column
            own.append(place)
        listed = [
            f'CAST("{taken[place].upper()}" AS {_SLOT_TYPES[kind]})'
            if place in taken
            else f"CAST(NULL AS {_SLOT_TYPES[kind]})"
            for place, kind in enumerate(slots)
        ]
        values = ",\n  ".join([f"{number} AS evidence", *(f"{v} AS value_{p}" for p, v in enumerate(listed))])
        selects.append(
            f"SELECT\n  {values}\nFROM {evidence.table}\n"
            f"WHERE {evidence.recorded} >= CAST(? AS TIMESTAMP_NTZ) AND {evidence.final}"
        )
        places.append(tuple(own))
    return "\nUNION ALL\n".join(selects), tuple(places)


def count_before(warehouse: Warehouse, since: datetime) -> dict[str, int]:
    """How many rows each table holds that became final before an instant, or do not say when: by noun and table."""
    counts = "\nUNION ALL\n".join(
        f"SELECT '{evidence.noun} {evidence.table}' AS evidence, COUNT(*) AS rows_before\nFROM {evidence.table}\n"
        f"WHERE {evidence.final}"
        f" AND ({evidence.recorded} < CAST(? AS TIMESTAMP_NTZ) OR {evidence.recorded} IS NULL)"
        for evidence in EVIDENCE
    )
    return {name: int(rows) for name, rows in warehouse.rows(counts, [since] * len(EVIDENCE))}


def rows_of(warehouse: Warehouse, evidence: EvidenceTable, since: datetime | None = None) -> Iterator[Covered]:
    """The evidence of one table by entry, read bit by bit: all of it, or what became final since an instant."""
    names = list(columns_of(evidence.name))
    listed = ", ".join(f'"{name.upper()}"' for name in names)
    order = ", ".join(f'"{name.upper()}"' for name in (*evidence.key, *evidence.otherwise))
    bound = "" if since is None else f" AND {evidence.recorded} >= CAST(? AS TIMESTAMP_NTZ)"
    statement = f"SELECT {listed} FROM {evidence.table} WHERE {evidence.final}{bound} ORDER BY {order}"
    gathered: Covered | None = None
    for values in warehouse.streamed(statement, [] if since is None else [since], FETCHED):
        row = dict(zip(names, values, strict=True))
        subject = evidence.subject(row)
        if gathered is None or gathered.subject != subject:
            if gathered is not None:
                yield gathered
            gathered = Covered(evidence, subject, [])
        gathered.rows.append(row)
    if gathered is not None:
        yield gathered


def by_subject(found: Sequence[Covered]) -> dict[str, list[Covered]]:
    """What belongs to one entry, in order of ``EVIDENCE``."""
    together: dict[str, list[Covered]] = defaultdict(list)
    for covered in sorted(found, key=lambda one: EVIDENCE.index(one.evidence)):
        together[covered.subject].append(covered)
    return dict(together)
