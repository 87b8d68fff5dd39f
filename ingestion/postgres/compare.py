"""Deletes and missed rows: each day's changes are counted and summed at the source and in raw, and compared.

A day is one of ``updated_at`` (UTC). Compared are the rows that fit the contract, the sum of their keys, the sum of the
control column and the sum of the hashes of all their content, which the source computes: a row that somebody changed
without touching ``updated_at`` is found. In raw it is over the latest version of each key that is not deleted, with the
hashes that came with the rows.

What still differs after a reload (keys that the source holds twice) is remembered in ``ops.source_comparisons``: the
day is read again only when the source holds something else of it by then and the difference is another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
from psycopg import sql

from ingestion.contracts import INSTANT, INT, ROW_HASH, TEXT, Entity
from ingestion.loading.context import IngestContext, Window
from ingestion.loading.deletions import DAYS_BACK
from ingestion.loading.intervals import DAY, start_of_day
from ingestion.loading.versions import is_latest_version, not_deleted
from ingestion.postgres.extract import attempted, control_sum
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.schema import row_hash, soft_deleted
from ingestion.postgres.snapshot import OltpSource, Snapshot, changed_in, instant, table
from ingestion.warehouse import bind

KEYS_AT_ONCE = 5_000
MOVED_AT_MOST = 100_000
KEY_FACTOR = 1_000_003  # tells (1, 2) and (2, 1) apart in a sum of keys
UTF8_IN_HEX = (
    "^([0-7].|(c[2-9a-f]|d.)[89ab].|e0[ab].[89ab].|e[1-9a-cef]([89ab].){2}|ed[89].[89ab].|f0[9ab].([89ab].){2}"
    "|f[1-3]([89ab].){3}|f48.([89ab].){2})*$"
)
HASHED_CHARACTERS = 8  # of the MD5 of a text key: 32 bits, summed the same way by every database


Difference = tuple[int, Decimal, Decimal, Decimal]


@dataclass(frozen=True)
class DayFigures:
    """What is compared of a set of rows."""

    rows: int = 0
    keys: Decimal = Decimal(0)
    total: Decimal = Decimal(0)
    digest: Decimal = Decimal(0)

    def __sub__(self, other: DayFigures) -> Difference:
        return (
            self.rows - other.rows,
            self.keys - other.keys,
            self.total - other.total,
            self.digest - other.digest,
        )


Days = Mapping[date, DayFigures]


@dataclass(frozen=True)
class SourceDays:
    """What a snapshot has of some days, and which keys have changed since the load that they are compared with.

    Such a key has left its day at the source, and its change is still to be read: it is no difference. Of more than
    ``MOVED_AT_MOST`` keys this is not looked at; their days are reloaded.
    """

    days: Days
    moved: list[tuple[int | str, ...]]


def days_due(context: IngestContext, item: Entity, read_until: datetime) -> Window | None:
    """The last days that are over and read completely, to be compared now; None when today's comparison is done."""
    midnight = start_of_day(read_until)
    done = context.warehouse.value(
        "SELECT COUNT(DISTINCT day) FROM ops.source_comparisons"
        " WHERE source = ? AND entity = ? AND day >= ? AND day < ? AND compared_at >= ?",
        [SOURCE, item.name, (midnight - DAYS_BACK * DAY).date(), midnight.date(), start_of_day(context.as_of)],
    )
    return Window(midnight - DAYS_BACK * DAY, midnight) if done < DAYS_BACK else None


def source_days(snapshot: Snapshot, item: Entity, window: Window, read_until: datetime) -> SourceDays:
    """What the source has of the window by day; changes are read until ``read_until``."""
    moved = snapshot.rows(
        sql.SQL("SELECT DISTINCT {} FROM {} WHERE updated_at >= {} AND {} LIMIT {}").format(
            sql.SQL(", ").join(sql.Identifier(name) for name in item.key),
            table(item),
            instant(read_until),
            _fitting(item, snapshot),
            sql.Literal(MOVED_AT_MOST + 1),
        )
    )
    days = _figures_by_day(snapshot, item, window)
    return SourceDays(days, [_plain_key(key) for key in moved] if len(moved) <= MOVED_AT_MOST else [])


def _plain_key(key: tuple[int | str | Decimal, ...]) -> tuple[int | str, ...]:
    return tuple(part if isinstance(part, str) else int(part) for part in key)


def _figures_by_day(snapshot: Snapshot, item: Entity, window: Window) -> Days:
    query = sql.SQL(
        "SELECT (updated_at AT TIME ZONE 'UTC')::date, COUNT(*), SUM({key}), COALESCE({total}, 0), SUM({hash})"
        " FROM {table} WHERE {condition} AND {fitting} AND NOT {deleted} GROUP BY 1"
    ).format(
        key=sql.SQL(
            _key_number(
                item,
                "convert_to({}, 'SQL_ASCII')" if snapshot.is_without_encoding else "convert_to({}, 'UTF8')",
                "numeric",
            )
        ),
        hash=row_hash(item),
        deleted=soft_deleted(snapshot, item) or sql.SQL("FALSE"),
        total=control_sum(item),
        table=table(item),
        condition=changed_in(window),
        fitting=_fitting(item, snapshot),
    )
    return {day: _figures(*found) for day, *found in snapshot.rows(query)}


def _figures(rows: int, *sums: Decimal | int) -> DayFigures:
    return DayFigures(rows, *(Decimal(total) for total in sums))


def _fitting(item: Entity, snapshot: Snapshot) -> sql.Composable:
    """SQL for rows of the source that fit the contract: the others are rejected, and raw never holds them."""
    parts = [f"{name} IS NOT NULL" for name in item.key]
    for column in item.columns:
        name, kind = column.name, column.type
        if pa.types.is_decimal(kind):  # NaN and infinity are greater than every number
            limit = 10 ** (kind.precision - kind.scale)
            parts.append(f"({name} IS NULL OR ABS({name}) < {limit} AND {name} = ROUND({name}, {kind.scale}))")
        elif kind == INT:
            parts.append(f"({name} IS NULL OR {name} BETWEEN {-(2**63)} AND {2**63 - 1} AND {name} % 1 = 0)")
        elif kind == TEXT and snapshot.is_without_encoding:
            parts.append(f"({name} IS NULL OR encode(convert_to({name}, 'SQL_ASCII'), 'hex') ~ '{UTF8_IN_HEX}')")
        elif kind == INSTANT:
            parts.append(f"({name} IS NULL OR {name} >= '0001-01-01Z' AND {name} < '10000-01-01Z')")
    return sql.SQL(" AND ".join(parts))


def raw_days(
    context: IngestContext, item: Entity, window: Window, without: Sequence[tuple[int | str, ...]] = ()
) -> Days:
    """What raw holds of the window by day, without the rows under some keys."""
    figures = dict(_raw_days(context, item, window, ()))
    for start in range(0, len(without), KEYS_AT_ONCE):
        for day, less in _raw_days(context, item, window, without[start : start + KEYS_AT_ONCE]).items():
            figures[day] = DayFigures(*(figures[day] - less))
    return {day: held for day, held in figures.items() if held.rows}


def _raw_days(context: IngestContext, item: Entity, window: Window, keys: Sequence[tuple[int | str, ...]]) -> Days:
    number = _key_number(item, "{}", "DECIMAL(38, 0)")
    total = f"SUM({item.control_sum})" if item.control_sum else "0"
    mark = f"({', '.join('?' for _ in item.key)})"
    among = f" AND ({', '.join(item.key)}) IN ({', '.join(mark for _ in keys)})" if keys else ""
    statement, params = bind(
        f"WITH {alive_rows(item)} SELECT CAST(updated_at AS DATE), COUNT(*), SUM({number}), COALESCE({total}, 0),"
        f" COALESCE(CAST(SUM(CAST({ROW_HASH.name} AS DECIMAL(38, 0))) AS DECIMAL(38, 4)), 0)"
        f" FROM alive WHERE updated_at < :until{among} GROUP BY 1",
        since=window.start,
        until=window.end,
    )
    found = context.warehouse.rows(statement, [*params, *(part for key in keys for part in key)])
    return {day: _figures(*sums) for day, *sums in found}


def alive_rows(item: Entity) -> str:
    """SQL for ``alive``: the latest version, changed at ``:since`` or later, of every key that is not deleted."""
    has_key = " AND ".join(f"{name} IS NOT NULL" for name in item.key)
    return f"""
        alive AS (
            SELECT * FROM raw.{item.table} AS r
            WHERE updated_at >= :since AND {has_key} AND {not_deleted(item, "r")}
            QUALIFY {is_latest_version(item, keyed=True)}
        )"""


def _key_number(item: Entity, text: str, number: str) -> str:
    """SQL for a key as one number; ``text`` is how a text column is given to MD5, ``number`` a type wide enough."""
    kinds = {column.name: column.type for column in item.columns}
    parts = []
    for name in item.key:
        if kinds[name] == INT:
            parts.append(f"CAST({name} AS {number})")
        else:
            digest = f"MD5({text.format(name)})"
            characters = (
                f"CAST(ASCII(SUBSTR({digest}, {n + 1}, 1)) AS {number}) * {128**n}" for n in range(HASHED_CHARACTERS)
            )
            parts.append(f"CAST({' + '.join(characters)} AS {number})")
    folded = parts[0]
    for part in parts[1:]:
        folded = f"({folded} * {KEY_FACTOR} + {part})"
    return folded


def compare_day(context: IngestContext, source: OltpSource, item: Entity, day: Window) -> tuple[DayFigures, DayFigures]:
    """What the source has of a day or a part of one now, and what raw holds of it."""

    def attempt() -> SourceDays:
        with Snapshot(source) as snapshot:
            return source_days(snapshot, item, day, context.as_of)

    at_source = attempted(source, attempt)
    in_raw = raw_days(context, item, day, at_source.moved)
    date = day.start.date()
    return at_source.days.get(date, DayFigures()), in_raw.get(date, DayFigures())


def known_differences(
    context: IngestContext, item: Entity, window: Window
) -> dict[date, tuple[DayFigures, Difference | None]]:
    """Of the days that differed when they were compared last: what the source had then, and the difference.

    The difference is None where it was recorded before content was compared.
    """
    found = context.warehouse.rows(
        "SELECT day, status, source_rows, source_keys, source_sum, source_digest,"
        " source_rows - raw_rows, source_keys - raw_keys, source_sum - raw_sum, source_digest - raw_digest"
        " FROM ops.source_comparisons WHERE source = ? AND entity = ? AND day >= ? AND day < ?"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY day ORDER BY compared_at DESC) = 1",
        [SOURCE, item.name, window.start.date(), window.end.date()],
    )
    return {
        day: (DayFigures(*figures[:4]), None if None in figures else tuple(figures[4:]))
        for day, status, *figures in found
        if status == "different"
    }


def remember(
    context: IngestContext,
    item: Entity,
    day: date,
    source_day: DayFigures,
    raw_day: DayFigures,
    load_id: str | None = None,
) -> None:
    """Record what a comparison found; ``load_id`` is the load that brought the day in again before it."""
    equal = "equal" if load_id is None else "reloaded"
    row = {
        "source": SOURCE,
        "entity": item.name,
        "day": day,
        "source_rows": source_day.rows,
        "source_keys": source_day.keys,
        "source_sum": source_day.total,
        "raw_rows": raw_day.rows,
        "raw_keys": raw_day.keys,
        "raw_sum": raw_day.total,
        "source_digest": source_day.digest,
        "raw_digest": raw_day.digest,
        "status": equal if source_day == raw_day else "different",
        "compared_at": context.as_of,
        "load_id": load_id,
    }
    context.warehouse.insert("ops.source_comparisons", [row])
