"""Evidence that is old enough to go: whole sets, as the ledger's entries speak of them. The entries stay.

The chain is over the entries, so that it proves itself as before; and the entry of the retention says up to which of
them the rows are gone on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ingestion.warehouse import Warehouse
from insightmart.ledger.evidence_tables import EVIDENCE, EvidenceTable, columns_of
from insightmart.ledger.recording import BEGINNING, LEDGER

# What was deleted, who was forgotten, which months are closed, how the tables came to be: few rows, that later work has
# to know for ever.
_REMEMBERED = ("purges", "erasures", "closes", "schema_version")
_TEXT = {
    "duckdb": "STRFTIME({}, '%Y-%m-%dT%H:%M:%S.%f')",
    "snowflake": "TO_CHAR({}, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF6')",
}


@dataclass(frozen=True)
class EvidenceToGo:
    """Rows of evidence by table, that entries up to ``ledger_through`` speak of; None: there are none."""

    before: datetime
    ledger_through: int | None
    rows: dict[str, int] = field(default_factory=dict)


def evidence_to_go(warehouse: Warehouse, before: datetime) -> EvidenceToGo:
    """What may go of before an instant (UTC, of the real clock)."""
    through = warehouse.value(
        f"SELECT MAX(sequence) FROM {LEDGER} WHERE sequence <"
        f" COALESCE((SELECT MIN(sequence) FROM {LEDGER} WHERE recorded_at >= ?), 9223372036854775807)",
        [before],
    )
    if through is None:
        return EvidenceToGo(before, None)
    rows: dict[str, int] = {}
    for table, condition, values in _conditions(warehouse, before, int(through)):
        found = int(warehouse.value(f"SELECT COUNT(*) FROM {table} WHERE {condition}", values))
        rows[table] = rows.get(table, 0) + found
    return EvidenceToGo(before, int(through), {table: found for table, found in rows.items() if found})


def delete_evidence(warehouse: Warehouse, found: EvidenceToGo) -> dict[str, int]:
    """Delete it, table by table. Returns the rows by table."""
    deleted: dict[str, int] = {}
    if found.ledger_through is None:
        return deleted
    for table, condition, values in _conditions(warehouse, found.before, found.ledger_through):
        with warehouse.transaction():
            rows = int(warehouse.value(f"DELETE FROM {table} WHERE {condition}", values) or 0)
        deleted[table] = deleted.get(table, 0) + rows
    return deleted


def _conditions(
    warehouse: Warehouse, before: datetime, through: int
) -> Iterator[tuple[str, str, list[datetime | int | str]]]:
    """Tables with SQL for their rows that go, and its values."""
    for evidence in EVIDENCE:
        if evidence.name in _REMEMBERED:
            continue
        recorded = evidence.recorded
        condition = (
            f"({evidence.final}) AND (({_subject(evidence, warehouse.dialect)}) IN"
            f" (SELECT subject FROM {LEDGER} WHERE sequence <= ?)"
            # from before there was a ledger: it has only counted them
            f" OR COALESCE({recorded}, CAST('1970-01-01' AS TIMESTAMP_NTZ)) <"
            f" (SELECT MIN(b.recorded_at) FROM {LEDGER} AS b WHERE b.subject = ?)"
            f" AND COALESCE({recorded}, CAST('1970-01-01' AS TIMESTAMP_NTZ)) < CAST(? AS TIMESTAMP_NTZ)"
            f" AND ({_subject(evidence, warehouse.dialect)}) NOT IN (SELECT subject FROM {LEDGER}))"
        )
        yield evidence.table, condition, [through, BEGINNING, before]


def _subject(evidence: EvidenceTable, dialect: str) -> str:
    """SQL for the subject of the entry that a row belongs to, as ``EvidenceTable.subject`` says it."""
    kinds = columns_of(evidence.name)

    def spoken(names: tuple[str, ...]) -> str:
        parts = [
            _TEXT[dialect].format(name) if kinds[name] == "TIMESTAMP_NTZ" else f"CAST({name} AS VARCHAR)"
            for name in names
        ]
        return " || ' ' || ".join([f"'{evidence.noun}'", *parts])

    if not evidence.otherwise:
        return f"COALESCE({spoken(evidence.key)}, '')"
    known = " AND ".join(f"{name} IS NOT NULL" for name in evidence.key)
    return f"COALESCE(CASE WHEN {known} THEN {spoken(evidence.key)} ELSE {spoken(evidence.otherwise)} END, '')"
