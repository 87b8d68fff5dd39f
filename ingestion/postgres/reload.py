"""Reloading what differs: a window of changes is read again, and what the source holds no more gets tombstones.

A key that raw holds in a window and the source nowhere any more is deleted: its tombstone is a copy of its latest
version with ``_deleted_at``. Whatever is loaded after a tombstone counts again. Where more is missing than can be taken
for deleted, a question is asked instead (``ingestion.loading.deletions``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from itertools import chain, pairwise
from math import ceil

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ingestion.clock import utc_now
from ingestion.contracts import DELETED_AT, INT, ROW_HASH, Entity
from ingestion.loading.context import EPOCH, IngestContext, LoadResult, Window
from ingestion.loading.deletions import DAYS_BACK, Decision, Missing, decide, digest, settle
from ingestion.loading.intervals import DAY, cut_at_midnight
from ingestion.loading.package import load, piece_rows
from ingestion.loading.versions import believed, latest_first, not_deleted
from ingestion.postgres.compare import (
    KEYS_AT_ONCE,
    DayFigures,
    SourceDays,
    alive_rows,
    compare_day,
    known_differences,
    raw_days,
    remember,
)
from ingestion.postgres.extract import Pairs, TableExtract, attempted, load_extracts, record_with_corrections
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.schema import added_columns
from ingestion.postgres.snapshot import OltpSource, Snapshot, changed_in, instant, table
from ingestion.warehouse import bind

PIECE_ROWS = 500_000  # of a day that is reloaded: one package, on DuckDB


def reload_differences(
    context: IngestContext, source: OltpSource, item: Entity, window: Window, at_source: SourceDays
) -> list[LoadResult]:
    """Compare whole days with what the source's snapshot has, and reload those with a difference not known yet."""
    in_raw = raw_days(context, item, window, at_source.moved)
    known = known_differences(context, item, window)
    results: list[LoadResult] = []
    equal = 0
    for day in (part.start.date() for part in cut_at_midnight(window)):
        source_day, raw_day = at_source.days.get(day, DayFigures()), in_raw.get(day, DayFigures())
        had, differed = known.get(day, (None, None))
        if source_day in (raw_day, had) or source_day - raw_day == differed:
            equal += 1
            remember(context, item, day, source_day, raw_day)
        else:
            results += _reload_day(context, source, item, day, source_day, raw_day)
    if equal < DAYS_BACK:
        context.progress(f"oltp {item.name}: {DAYS_BACK - equal} of {DAYS_BACK} days differed and were reloaded")
    return results


def _reload_day(
    context: IngestContext, source: OltpSource, item: Entity, day: date, source_day: DayFigures, raw_day: DayFigures
) -> list[LoadResult]:
    start = datetime(day.year, day.month, day.day)
    window = Window(start, start + DAY)
    results = [
        result
        for piece in pieces(context, window, max(source_day.rows, raw_day.rows))
        for result in reload(context, source, item, piece)
    ]
    remember(context, item, day, *compare_day(context, source, item, window), results[-1].load_id)
    context.progress(
        f"oltp {item.name}: {day} held {raw_day.rows:,} rows of {source_day.rows:,} at the source, reloaded"
    )
    return results


def pieces(context: IngestContext, window: Window, rows: int) -> list[Window]:
    """The window cut into equal parts, so that each brings about ``PIECE_ROWS`` rows at most."""
    count = max(1, ceil(rows / piece_rows(context, PIECE_ROWS)))
    length = (window.end - window.start) / count
    bounds = [window.start + length * number for number in range(count)] + [window.end]
    return [Window(start, end) for start, end in pairwise(bounds)]


def reload(
    context: IngestContext,
    source: OltpSource,
    item: Entity,
    window: Window,
    also: Callable[[LoadResult], None] = lambda result: None,
) -> list[LoadResult]:
    """Read the changes of a window again, and find the rows of it that are deleted at the source.

    Args:
        context: the run.
        source: how to reach the database.
        item: the entity.
        window: of changes, half-open.
        also: called with the window's result inside the transaction that records it.

    Returns:
        One result for the package of the window, and one for the tombstones when there are any.
    """

    def attempt() -> tuple[LoadResult, Missing, pa.Table]:
        with Snapshot(source) as snapshot:
            reading = _WindowReload(context, snapshot, item, window)
            [result] = load_extracts(context, [reading.extract], reading.pairs()).values()
            gone = reading.gone()
            return result, Missing(reading.known, gone.num_rows, digest(gone, item)), gone

    result, missing, gone = attempted(source, attempt)
    record_with_corrections(context, [result], lambda: also(result))
    return [result, *_bury_or_ask(context, item, window, missing, gone)]


class _WindowReload:
    """The rows of a window, and those that raw holds in it and the source does not: elsewhere by now, or gone."""

    def __init__(self, context: IngestContext, snapshot: Snapshot, item: Entity, window: Window) -> None:
        self.context = context
        self.snapshot = snapshot
        self.item = item
        self.window = window
        self.content = (*item.key, ROW_HASH.name)
        self.seen: list[pa.Table] = []  # keys and hashes
        self.tied: list[pa.Table] = []
        self.known_contents: pa.Table | None = None
        self.known = 0  # rows that raw holds of the window
        self.missing = pa.schema(item.columns).empty_table()
        self.elsewhere: list[tuple[object, ...]] = []
        self.extract = TableExtract(
            context, snapshot, item, added_columns(context, snapshot, item), window, keep=self._keep
        )

    def _keep(self, batch: pa.Table) -> None:
        self.seen.append(batch.select(list(self.content)))

    def pairs(self) -> Pairs:
        yield from self.extract.batches(changed_in(self.window), self._fresh)
        if (turned := self._turned()) is not None:
            yield from self.extract.chosen(turned)
        self.missing = self._missing()
        for start in range(0, self.missing.num_rows, KEYS_AT_ONCE):
            keys = self.missing.select(list(self.item.key)).slice(start, KEYS_AT_ONCE)
            given = _among(self.item, keys)
            names = sql.SQL(", ").join(sql.Identifier(name) for name in self.item.key)
            found = self.snapshot.rows(
                sql.SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(names, table(self.item), given)
            )
            self.elsewhere += found
            if found:  # changed without its change having been read
                changed = sql.SQL("updated_at < {} AND NOT ({})").format(
                    instant(self.context.as_of), changed_in(self.window)
                )
                yield from self.extract.batches(sql.SQL("{} AND {}").format(given, changed))

    def _fresh(self, batch: pa.Table) -> pa.Table:
        """The rows of the batch that change what raw says: of another content, or that it does not hold.

        One that raw holds and a later version hides changes nothing. Where the source sends several contents of one key
        with one ``updated_at``, it is known at the end whether the one that counts is among them.
        """
        known = self._known()
        with duckdb.connect() as scratch:
            scratch.register("batch", batch)
            scratch.register("known", known)
            same = " AND ".join(f"b.{name} IS NOT DISTINCT FROM k.{name}" for name in self.content)
            fresh = scratch.execute(f"SELECT b.* FROM batch AS b ANTI JOIN known AS k ON {same}").to_arrow_table()
            tied = scratch.execute(
                f"SELECT b.*, k.latest_hash FROM batch AS b JOIN known AS k ON {same} WHERE NOT k.is_settled"
            ).to_arrow_table()
        if tied.num_rows:
            self.tied.append(tied)
        return fresh.cast(batch.schema)

    def _turned(self) -> pa.Table | None:
        """Of the contents of one key with one ``updated_at`` those whose latest one the source no longer sends."""
        if not self.tied:
            return None
        with duckdb.connect() as scratch:
            tied = pa.concat_tables(self.tied)
            scratch.register("tied", tied)
            scratch.register("seen", pa.concat_tables(self.seen))
            same = " AND ".join(f"t.{name} = s.{name}" for name in self.item.key)
            turned = scratch.execute(
                "SELECT t.* EXCLUDE (latest_hash) FROM tied AS t"
                f" ANTI JOIN seen AS s ON {same} AND s.{ROW_HASH.name} = t.latest_hash"
            ).to_arrow_table()
        return turned.cast(tied.drop_columns(["latest_hash"]).schema)

    def _known(self) -> pa.Table:
        """The contents that raw holds of the window: by key and hash, and the hash of the key's latest version.

        A content is settled when loading it again would change nothing: it is the latest one, a later one hides it, or
        it has no key, so that nothing replaces it.
        """
        if self.known_contents is not None:
            return self.known_contents
        has_key = " AND ".join(f"{name} IS NOT NULL" for name in self.item.key)
        key, hashed = ", ".join(self.item.key), ROW_HASH.name
        statement, params = bind(
            f"""
            WITH versions AS (
                SELECT {key}, {hashed}, updated_at, {believed()} AS changed_at,
                    ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {latest_first(self.item)}) AS place
                FROM raw.{self.item.table} AS r
                WHERE updated_at >= :since AND {not_deleted(self.item, "r")}
            ), known AS (
                SELECT *, MAX(CASE WHEN place = 1 THEN changed_at END) OVER (PARTITION BY {key}) AS latest_at,
                    MAX(CASE WHEN place = 1 THEN {hashed} END) OVER (PARTITION BY {key}) AS latest_hash
                FROM versions
            )
            SELECT {key}, {hashed}, latest_hash, MAX(CASE WHEN place = 1 THEN 1 ELSE 0 END) = 1,
                MAX(CASE WHEN {hashed} = latest_hash OR changed_at < latest_at OR NOT ({has_key}) THEN 1 ELSE 0 END) = 1
            FROM known WHERE updated_at < :until GROUP BY {key}, {hashed}, latest_hash""",
            since=self.window.start,
            until=self.window.end,
        )
        kinds = pa.schema([*self.item.columns, *self.item.content])
        more = [("latest_hash", ROW_HASH.type), ("is_latest", pa.bool_()), ("is_settled", pa.bool_())]
        schema = pa.schema([*(kinds.field(name) for name in self.content), *more])
        self.known_contents = self.context.warehouse.arrow(statement, params, schema)
        return self.known_contents

    def _missing(self) -> pa.Table:
        """The rows that raw holds in the window under keys that the source did not send for it."""
        held = self._known()
        keys = pc.drop_null(held.filter(held["is_latest"]).select(list(self.item.key)))
        self.known = keys.num_rows
        unseen = _without(keys, pa.concat_tables(self.seen), self.item) if self.seen else keys
        columns = ", ".join(column.name for column in self.item.columns)
        statement, params = bind(
            f"WITH {alive_rows(self.item)} SELECT {columns} FROM alive WHERE updated_at < :until",
            since=self.window.start,
            until=self.window.end,
        )
        schema = pa.schema(self.item.columns)
        found = [schema.empty_table()]
        for start in range(0, unseen.num_rows, KEYS_AT_ONCE):
            some = list(zip(*unseen.slice(start, KEYS_AT_ONCE).to_pydict().values(), strict=True))
            marks = ", ".join([f"({', '.join('?' for _ in self.item.key)})"] * len(some))
            among = f" AND ({', '.join(self.item.key)}) IN ({marks})"
            found.append(self.context.warehouse.arrow(statement + among, [*params, *chain(*some)], schema))
        return pa.concat_tables(found)

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


def _bury_or_ask(
    context: IngestContext, item: Entity, window: Window, missing: Missing, gone: pa.Table
) -> list[LoadResult]:
    """Tombstones for what is deleted; a question where that is not sure."""
    decision = decide(context, item, window, missing)
    if decision is Decision.DELETE:
        return [bury(context, item, window, [gone], missing)]
    with context.warehouse.transaction():
        settle(context, item, window, missing, decision)
    return []


def bury(
    context: IngestContext, item: Entity, window: Window, batches: Iterable[pa.Table], missing: Missing
) -> LoadResult:
    """Tombstones for deleted rows, as a package of their own: later than every version they end."""
    started_at = utc_now()
    load_id = load(context, SOURCE, {item.table: (_tombstones(context, batch) for batch in batches)})
    result = LoadResult(
        source=SOURCE,
        entity=item.name,
        load_id=load_id,
        window=window,
        rows=missing.rows,
        source_count=missing.rows,
        started_at=started_at,
        ended_at=utc_now(),
    )
    record_with_corrections(context, [result], lambda: settle(context, item, window, missing, Decision.DELETE, load_id))
    since = "" if window.start == EPOCH else f" of {window.start:%Y-%m-%d}"
    context.progress(f"oltp {item.name}: {missing.rows:,} rows{since} are deleted at the source")
    return result


def _tombstones(context: IngestContext, rows: pa.Table) -> pa.Table:
    return rows.append_column(DELETED_AT, pa.repeat(pa.scalar(context.as_of, DELETED_AT.type), rows.num_rows))
