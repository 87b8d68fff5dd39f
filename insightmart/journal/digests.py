"""Digests of the certified facts, hour by hour: what a row was is not kept, that it was another one is.

A digest is the sum of the low 64 bits of the MD5 of every row of an hour, a number that both engines work out alike and
that no order of rows changes. It is evidence against mistakes and against a figure that cannot be computed again; that
nobody rewrote the digests themselves the ledger says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ingestion.contracts import CARRIED
from ingestion.warehouse import Warehouse, exact_sum
from insightmart.journal.followed import FACTS, Fact

Columns = Mapping[str, str]  # name -> SQL type
Windows = Sequence[tuple[datetime, datetime]]

ERASABLE = {carried for names in CARRIED.values() for carried in names}  # personal columns, as facts call them
BETWEEN = "|"  # two columns of a row
NOTHING = "~"  # NULL
_NUMBER = {
    "duckdb": "CAST('0x' || RIGHT(MD5({text}), 16) AS UBIGINT)",
    "snowflake": "MD5_NUMBER_LOWER64({text})",
}


def digest_of_rows(columns: Columns, dialect: str) -> str:
    """SQL for the digest of a group of rows with these columns, in order of their names.

    What `insightmart erase` empties is no part of it: a row is the same without it.
    """
    counted = {name: kind for name, kind in columns.items() if name.lower() not in ERASABLE}
    texts = ", ".join(f"COALESCE({_as_text(name, kind)}, '{NOTHING}')" for name, kind in sorted(counted.items()))
    number = _NUMBER[dialect].format(text=f"CONCAT_WS('{BETWEEN}', {texts})")
    return exact_sum(number)  # of whole numbers: added up as decimals they would cost an eighth more


def _as_text(name: str, kind: str) -> str:
    """A value as a text that both engines write alike: instants and dates are counted."""
    if kind.upper().startswith("TIMESTAMP"):
        return f"CAST(DATEDIFF('microsecond', CAST('1970-01-01' AS TIMESTAMP_NTZ), {name}) AS VARCHAR)"
    if kind.upper() == "DATE":
        return f"CAST(DATEDIFF('day', CAST('1970-01-01' AS DATE), {name}) AS VARCHAR)"
    return f"CAST({name} AS VARCHAR)"


def hours_of(fact: Fact, part: str, relation: str, columns: Columns, where: str, dialect: str) -> str:
    """The query for part, hour (UTC), number of rows and digest of a part of a fact.

    Args:
        fact: the fact.
        part: the name of the part.
        relation: where its rows are.
        columns: its columns.
        where: which rows.
        dialect: of the engine that will answer.
    """
    hour = f"CAST(DATE_TRUNC('HOUR', {fact.instant}) AS TIMESTAMP_NTZ)"
    return (
        f"SELECT '{part}' AS part, {hour} AS event_hour, COUNT(*) AS row_count,"
        f" {digest_of_rows(columns, dialect)} AS row_digest FROM {relation} WHERE {where} GROUP BY {hour}"
    )


def keep_digests(
    warehouse: Warehouse,
    columns_of: Mapping[str, Columns],
    windows_of: Mapping[str, Windows] | None,
    record: Mapping[str, Any],
    horizon: datetime | None = None,
) -> None:
    """Keep the digests of the hours of these windows that are other ones than what was kept last; one statement.

    Args:
        warehouse: the connection that certified is written on.
        columns_of: certified parts of facts that prod has -> their columns.
        windows_of: part of an aggregate -> windows that were written anew, ends excluded; None: everything.
        record: publication, published_at, recorded_at of the entry.
        horizon: of hours before it rows were deleted (``ingestion.loading.horizon``), and what was kept stays.
    """
    asked: list[str] = []
    kept: list[str] = []
    for fact in FACTS:
        for part, beside in fact.parts.items():
            if part not in columns_of or (windows_of is not None and beside not in windows_of):
                continue
            where = "TRUE" if windows_of is None else within(fact.instant, windows_of[beside])
            hours = "TRUE" if windows_of is None else within("event_hour", windows_of[beside])
            if horizon is not None:
                where = f"{where} AND {fact.instant} >= CAST('{horizon}' AS TIMESTAMP_NTZ)"
                hours = f"{hours} AND event_hour >= CAST('{horizon}' AS TIMESTAMP_NTZ)"
            relation = f"certified.{part}"
            asked.append(hours_of(fact, part, relation, columns_of[part], where, warehouse.dialect))
            kept.append(f"(part = '{part}' AND {hours})")
    if not asked:
        return
    warehouse.execute(
        f"""
        INSERT INTO ops.published_digests (
            publication, published_at, recorded_at, part, event_hour, row_count, row_digest
        )
        WITH is_now AS ({" UNION ALL ".join(asked)}),
        was AS (
            SELECT part, event_hour, row_count, row_digest
            FROM ops.published_digests
            WHERE {" OR ".join(kept)}
            QUALIFY ROW_NUMBER() OVER (PARTITION BY part, event_hour ORDER BY publication DESC) = 1
        )
        SELECT
            ?, CAST(? AS TIMESTAMP), CAST(? AS TIMESTAMP), COALESCE(is_now.part, was.part),
            COALESCE(is_now.event_hour, was.event_hour), COALESCE(is_now.row_count, 0), is_now.row_digest
        FROM is_now
        FULL OUTER JOIN was ON was.part = is_now.part AND was.event_hour = is_now.event_hour
        WHERE is_now.row_digest IS DISTINCT FROM was.row_digest
        """,
        [record["publication"], record["published_at"], record["recorded_at"]],
    )


def within(instant: str, windows: Windows) -> str:
    """A condition for whole hours of some windows; those that meet are one."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(windows):
        first = start.replace(minute=0, second=0, microsecond=0)
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return f"({' OR '.join(_between(instant, start, _next_hour(end)) for start, end in merged)})"


def _between(instant: str, start: datetime, end: datetime) -> str:
    return f"{instant} >= CAST('{start}' AS TIMESTAMP_NTZ) AND {instant} < CAST('{end}' AS TIMESTAMP_NTZ)"


def _next_hour(instant: datetime) -> datetime:
    whole = instant.replace(minute=0, second=0, microsecond=0)
    return whole if whole == instant else whole + timedelta(hours=1)


def parts_of_facts() -> Iterable[str]:
    """The certified models of which digests are kept."""
    return (part for fact in FACTS for part in fact.parts)
