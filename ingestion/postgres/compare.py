"""Deletes and missed rows: each day's changes are counted, summed at the source and in raw; what differs reloaded.

A day is one of ``updated_at`` (UTC). Compared are the rows that fit the contract, the sum of their keys and the sum of
the control column; in raw, over the latest version of each key that is not deleted. A key that raw holds in such a day
and the source nowhere any more is deleted: it gets a tombstone, a copy of its latest version with ``_deleted_at``.
Whatever is loaded after a tombstone counts again.

What still differs after a reload (keys that the source holds twice) is remembered in
``ops.source_comparisons``, and the day is reloaded again only when the difference is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import ceil

import duckdb
import pyarrow as pa
from psycopg import sql

from ingestion.clock import utc_now
from ingestion.contracts import DELETED_AT, INSTANT, INT, Entity
from ingestion.loading.context import IngestContext, LoadResult, Window
from ingestion.loading.package import load
from ingestion.loading.versions import not_deleted
from ingestion.postgres.extract import Extract, Pairs, attempted, control_sum, load_extracts, record_with_corrections
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.schema import added_columns
from ingestion.postgres.session import OltpSource, Session, changed_in, instant, table
from ingestion.warehouse import bind

DAY = timedelta(days=1)
DAYS_BACK = 8  # corrections come up to 7 days late
PIECE_ROWS = 500_000  # of a day that is reloaded: one package
KEYS_AT_ONCE = 5_000
MOVED_AT_MOST = 100_000
KEY_FACTOR = 1_000_003  # tells (1, 2) and (2, 1) apart in a sum of keys
HASHED_CHARACTERS = 8  # of the MD5 of a text key: 32 bits, summed the same way by every database


@dataclass(frozen=True)
class Figures:
    """What is compared of a set of rows."""

    rows: int = 0
    keys: Decimal = Decimal(0)
    total: Decimal = Decimal(0)

    def __sub__(self, other: Figures) -> tuple[int, Decimal, Decimal]:
        return self.rows - other.rows, self.keys - other.keys, self.total - other.total


Days = Mapping[date, Figures]


@dataclass(frozen=True)
class Seen:
    """What a snapshot has of some days, and which keys have changed since the load that they are compared with.

    Such a key has left its day at the source, and its change is still to be read: it is no difference. Of more than
    ``MOVED_AT_MOST`` keys this is not looked at; their days are reloaded.
    """

    days: Days
    moved: list[tuple[int | str, ...]]


def days_due(context: IngestContext, item: Entity, read_until: datetime) -> Window | None:
    """The last days that are over and read completely, to be compared now; None when today's comparison is done."""
    midnight = _midnight(read_until)
    done = context.warehouse.value(
        "SELECT COUNT(DISTINCT day) FROM ops.source_comparisons"
        " WHERE source = ? AND entity = ? AND day >= ? AND day < ? AND compared_at >= ?",
        [SOURCE, item.name, (midnight - DAYS_BACK * DAY).date(), midnight.date(), _midnight(context.as_of)],
    )
    return Window(midnight - DAYS_BACK * DAY, midnight) if done < DAYS_BACK else None


def seen(session: Session, item: Entity, window: Window, read_until: datetime) -> Seen:
    """What the source has of the window by day; changes are read until ``read_until``."""
    moved = session.rows(
        sql.SQL("SELECT DISTINCT {} FROM {} WHERE updated_at >= {} AND {} LIMIT {}").format(
            sql.SQL(", ").join(sql.Identifier(name) for name in item.key),
            table(item),
            instant(read_until),
            _fitting(item),
            sql.Literal(MOVED_AT_MOST + 1),
        )
    )
    days = _source_days(session, item, window)
    return Seen(days, [_plain_key(key) for key in moved] if len(moved) <= MOVED_AT_MOST else [])


def _plain_key(key: tuple[int | str | Decimal, ...]) -> tuple[int | str, ...]:
    return tuple(part if isinstance(part, str) else int(part) for part in key)


def _source_days(session: Session, item: Entity, window: Window) -> Days:
    query = sql.SQL(
        "SELECT (updated_at AT TIME ZONE 'UTC')::date, COUNT(*), SUM({key}), COALESCE({total}, 0) FROM {table}"
        " WHERE {condition} AND {fitting} GROUP BY 1"
    ).format(
        key=sql.SQL(_key_number(item, "convert_to({}, 'UTF8')", "numeric")),
        total=control_sum(item),
        table=table(item),
        condition=changed_in(window),
        fitting=_fitting(item),
    )
    return {day: Figures(rows, Decimal(keys), Decimal(total)) for day, rows, keys, total in session.rows(query)}


def _fitting(item: Entity) -> sql.Composable:
    """SQL for rows of the source that fit the contract: the others are rejected, and raw never holds them."""
    parts = [f"{name} IS NOT NULL" for name in item.key]
    for column in item.columns:
        name, kind = column.name, column.type
        if pa.types.is_decimal(kind):  # NaN and infinity are greater than every number
            limit = 10 ** (kind.precision - kind.scale)
            parts.append(f"({name} IS NULL OR ABS({name}) < {limit} AND {name} = ROUND({name}, {kind.scale}))")
        elif kind == INT:
            parts.append(f"({name} IS NULL OR {name} BETWEEN {-(2**63)} AND {2**63 - 1} AND {name} % 1 = 0)")
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
            rows, keys, total = figures[day] - less
            figures[day] = Figures(rows, keys, total)
    return {day: held for day, held in figures.items() if held.rows}


def _raw_days(context: IngestContext, item: Entity, window: Window, keys: Sequence[tuple[int | str, ...]]) -> Days:
    number = _key_number(item, "{}", "DECIMAL(38, 0)")
    total = f"SUM({item.control_sum})" if item.control_sum else "0"
    mark = f"({', '.join('?' for _ in item.key)})"
    among = f" AND ({', '.join(item.key)}) IN ({', '.join(mark for _ in keys)})" if keys else ""
    statement, params = bind(
        f"WITH {_alive(item)} SELECT CAST(updated_at AS DATE), COUNT(*), SUM({number}), COALESCE({total}, 0) FROM alive"
        f" WHERE updated_at < :until{among} GROUP BY 1",
        since=window.start,
        until=window.end,
    )
    found = context.warehouse.rows(statement, [*params, *(part for key in keys for part in key)])
    return {day: Figures(rows, Decimal(keys), Decimal(total)) for day, rows, keys, total in found}


def _alive(item: Entity) -> str:
    """SQL for the latest version, changed at ``:since`` or later, of every key that is not deleted."""
    key = ", ".join(item.key)
    keyed = " AND ".join(f"{name} IS NOT NULL" for name in item.key)
    order = f", {item.control_sum} DESC NULLS LAST" if item.control_sum else ""
    return f"""
        alive AS (
            SELECT * FROM raw.{item.table} AS r
            WHERE updated_at >= :since AND {keyed} AND {not_deleted(item, "r")}
            QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY updated_at DESC, _dlt_load_id DESC{order}) = 1
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


# --- reloading what differs --------------------------------------------------------------------------------------


def reload_differences(
    context: IngestContext, source: OltpSource, item: Entity, window: Window, at_source: Seen
) -> list[LoadResult]:
    """Compare whole days with what the source's snapshot has, and reload those with a difference not known yet."""
    in_raw = raw_days(context, item, window, at_source.moved)
    known = _known_differences(context, item, window)
    results: list[LoadResult] = []
    equal = 0
    for day in _days(window):
        there, here = at_source.days.get(day, Figures()), in_raw.get(day, Figures())
        if there == here or known.get(day) == there - here:
            equal += 1
            _remember(context, item, day, there, here, "equal" if there == here else "different", None)
        else:
            results += _reload_day(context, source, item, day, there, here)
    if equal < DAYS_BACK:
        context.progress(f"oltp {item.name}: {DAYS_BACK - equal} of {DAYS_BACK} days differed and were reloaded")
    return results


def _days(window: Window) -> Iterator[date]:
    start = window.start
    while start < window.end:
        yield start.date()
        start += DAY


def _reload_day(
    context: IngestContext, source: OltpSource, item: Entity, day: date, there: Figures, here: Figures
) -> list[LoadResult]:
    start = datetime(day.year, day.month, day.day)
    window = Window(start, start + DAY)
    results = [
        result
        for piece in pieces(window, max(there.rows, here.rows))
        for result in reload(context, source, item, piece)
    ]
    there, left = compare(context, source, item, window)
    _remember(context, item, day, there, left, "reloaded" if there == left else "different", results[-1].load_id)
    context.progress(f"oltp {item.name}: {day} held {here.rows:,} rows of {there.rows:,} at the source, reloaded")
    return results


def compare(context: IngestContext, source: OltpSource, item: Entity, day: Window) -> tuple[Figures, Figures]:
    """What the source has of a day or a part of one now, and what raw holds of it."""

    def attempt() -> Seen:
        with Session(source) as session:
            return seen(session, item, day, context.as_of)

    there = attempted(source, attempt)
    date = day.start.date()
    return there.days.get(date, Figures()), raw_days(context, item, day, there.moved).get(date, Figures())


def pieces(window: Window, rows: int) -> list[Window]:
    """The window cut into equal parts, so that each brings about ``PIECE_ROWS`` rows at most."""
    count = max(1, ceil(rows / PIECE_ROWS))
    length = (window.end - window.start) / count
    bounds = [window.start + length * number for number in range(count)] + [window.end]
    return [Window(start, end) for start, end in pairwise(bounds)]


def reload(
    context: IngestContext,
    source: OltpSource,
    item: Entity,
    window: Window,
    covered: datetime | None = None,
    also: Callable[[LoadResult], None] = lambda result: None,
) -> list[LoadResult]:
    """Read the changes of a window again, and find the rows of it that are deleted at the source.

    Args:
        context: the run.
        source: how to reach the database.
        item: the entity.
        window: of changes, half-open.
        covered: where the entity's watermark stands afterwards; None leaves it.
        also: called with the window's result inside the transaction that records it.

    Returns:
        One result for the package of the window, and one for the tombstones when there are any.
    """

    def attempt() -> tuple[LoadResult, pa.Table]:
        with Session(source) as session:
            reading = _Reread(context, session, item, window, covered)
            [result] = load_extracts(context, [reading.extract], reading.pairs()).values()
            return result, reading.gone()

    result, gone = attempted(source, attempt)
    record_with_corrections(context, [result], lambda: also(result))
    return [result, *_bury(context, item, window, gone)]


class _Reread:
    """The rows of a window, and those that raw holds in it and the source does not: elsewhere by now, or gone."""

    def __init__(
        self, context: IngestContext, session: Session, item: Entity, window: Window, covered: datetime | None
    ) -> None:
        self.context = context
        self.session = session
        self.item = item
        self.window = window
        self.seen: list[pa.Table] = []
        self.missing = pa.schema(item.columns).empty_table()
        self.elsewhere: list[tuple[object, ...]] = []
        self.extract = Extract(
            context, session, item, added_columns(context, session, item), window, covered, keep=self._keep
        )

    def _keep(self, batch: pa.Table) -> None:
        self.seen.append(batch.select(list(self.item.key)))

    def pairs(self) -> Pairs:
        yield from self.extract.batches(changed_in(self.window))
        self.missing = self._missing()
        for start in range(0, self.missing.num_rows, KEYS_AT_ONCE):
            keys = self.missing.select(list(self.item.key)).slice(start, KEYS_AT_ONCE)
            given = _among(self.item, keys)
            names = sql.SQL(", ").join(sql.Identifier(name) for name in self.item.key)
            found = self.session.rows(
                sql.SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(names, table(self.item), given)
            )
            self.elsewhere += found
            if found:  # changed without its change having been read
                changed = sql.SQL("updated_at < {} AND NOT ({})").format(
                    instant(self.context.as_of), changed_in(self.window)
                )
                yield from self.extract.batches(sql.SQL("{} AND {}").format(given, changed))

    def _missing(self) -> pa.Table:
        """The rows that raw holds in the window under keys that the source did not send for it."""
        columns = ", ".join(column.name for column in self.item.columns)
        statement, params = bind(
            f"WITH {_alive(self.item)} SELECT {columns} FROM alive WHERE updated_at < :until",
            since=self.window.start,
            until=self.window.end,
        )
        alive = self.context.warehouse.arrow(statement, params, pa.schema(self.item.columns))
        return _without(alive, pa.concat_tables(self.seen), self.item) if self.seen else alive

    def gone(self) -> pa.Table:
        """The missing rows that the source holds nowhere any more; complete after ``pairs``."""
        if not self.elsewhere:
            return self.missing
        kinds = {column.name: column.type for column in self.item.columns}
        columns = zip(*self.elsewhere, strict=True)
        elsewhere = pa.table(
            {name: pa.array(values, kinds[name]) for name, values in zip(self.item.key, columns, strict=True)}
        )
        return _without(self.missing, elsewhere, self.item)


def _among(item: Entity, keys: pa.Table) -> sql.Composable:
    """SQL for rows of the source with one of these keys."""
    kinds = {column.name: "bigint[]" if column.type == INT else "text[]" for column in item.columns}
    arrays = [sql.SQL("{}::" + kinds[name]).format(sql.Literal(keys[name].to_pylist())) for name in item.key]
    return sql.SQL("({}) IN (SELECT * FROM unnest({}))").format(
        sql.SQL(", ").join(sql.Identifier(name) for name in item.key), sql.SQL(", ").join(arrays)
    )


def _without(rows: pa.Table, others: pa.Table, item: Entity) -> pa.Table:
    """The rows whose key is not among the others'."""
    with duckdb.connect() as scratch:
        scratch.register("kept", rows)
        scratch.register("others", others)
        rest = scratch.execute(f"SELECT * FROM kept ANTI JOIN others USING ({', '.join(item.key)})").to_arrow_table()
    return rest.cast(rows.schema)


def _bury(context: IngestContext, item: Entity, window: Window, gone: pa.Table) -> list[LoadResult]:
    """Tombstones for deleted rows, as a package of their own: later than every version they end."""
    if not gone.num_rows:
        return []
    started_at = utc_now()
    tombstones = gone.append_column(DELETED_AT, pa.repeat(pa.scalar(context.as_of, DELETED_AT.type), gone.num_rows))
    load_id = load(context, SOURCE, {item.table: [tombstones]})
    result = LoadResult(
        source=SOURCE,
        entity=item.name,
        load_id=load_id,
        window=window,
        rows=gone.num_rows,
        source_count=gone.num_rows,
        started_at=started_at,
        ended_at=utc_now(),
    )
    record_with_corrections(context, [result])
    context.progress(f"oltp {item.name}: {gone.num_rows:,} rows of {window.start:%Y-%m-%d} are deleted at the source")
    return [result]


# --- what is known of a day --------------------------------------------------------------------------------------


def _known_differences(
    context: IngestContext, item: Entity, window: Window
) -> dict[date, tuple[int, Decimal, Decimal]]:
    """The difference that stayed by day, as last recorded."""
    found = context.warehouse.rows(
        "SELECT day, status, source_rows - raw_rows, source_keys - raw_keys, source_sum - raw_sum"
        " FROM ops.source_comparisons WHERE source = ? AND entity = ? AND day >= ? AND day < ?"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY day ORDER BY compared_at DESC) = 1",
        [SOURCE, item.name, window.start.date(), window.end.date()],
    )
    return {day: (rows, keys, total) for day, status, rows, keys, total in found if status == "different"}


def _remember(
    context: IngestContext, item: Entity, day: date, there: Figures, here: Figures, status: str, load_id: str | None
) -> None:
    row = {
        "source": SOURCE,
        "entity": item.name,
        "day": day,
        "source_rows": there.rows,
        "source_keys": there.keys,
        "source_sum": there.total,
        "raw_rows": here.rows,
        "raw_keys": here.keys,
        "raw_sum": here.total,
        "status": status,
        "compared_at": context.as_of,
        "load_id": load_id,
    }
    context.warehouse.insert("ops.source_comparisons", [row])


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
