"""The first load of a large table: in pieces along its key, each a package, so that a kill costs one piece at most.

A piece is every row whose first key column lies above the last piece's bound and up to its own; the bound is found
through the index on the key, and rows with the same key stay together. The last piece are the rows without a key.
Each piece is read from a snapshot of its own. What changes meanwhile has an ``updated_at`` after the reading was begun,
and the watermark stands there afterwards: the regular load that follows brings it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import sql

from ingestion.contracts import INT, Entity
from ingestion.loading.backfill import Backfill, begin_backfill, unfinished_backfill
from ingestion.loading.context import EPOCH, IngestContext, LoadResult, Window
from ingestion.loading.package import piece_rows
from ingestion.loading.records import record
from ingestion.postgres.extract import TableExtract, attempted, load_extracts, record_with_corrections
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.schema import added_columns, fits
from ingestion.postgres.snapshot import OltpSource, Snapshot, instant, table

PIECE_ROWS = 500_000  # on DuckDB


@dataclass(frozen=True)
class Piece:
    """Rows with ``after < key <= through``; None is no bound. ``keyless`` are the rows without a key instead."""

    after: Any = None
    through: Any = None
    keyless: bool = False

    @property
    def name(self) -> str:
        """The piece in the list of pieces."""
        return json.dumps({"keyless": True} if self.keyless else [self.after, self.through])

    def condition(self, item: Entity) -> sql.Composable:
        """The piece's rows, in the key's own order at the source."""
        key = sql.Identifier(item.key[0])
        if self.keyless:
            return sql.SQL("{} IS NULL").format(key)
        kind = sql.SQL("bigint" if item.columns[_place(item)].type == INT else "text")
        bounds = [(">", self.after), ("<=", self.through)]
        parts = [
            sql.SQL("{} " + sign + " {}::{}").format(key, sql.Literal(bound), kind)
            for sign, bound in bounds
            if bound is not None
        ]
        return sql.SQL(" AND ").join(parts) if parts else sql.SQL("{} IS NOT NULL").format(key)


def _place(item: Entity) -> int:
    return [column.name for column in item.columns].index(item.key[0])


def too_large(context: IngestContext, source: OltpSource, item: Entity) -> bool:
    """Whether the table is to be read in pieces: it holds more rows than one piece, and an index finds the bounds."""

    def attempt() -> bool:
        with Snapshot(source) as snapshot:
            if not fits(context, snapshot, item):
                return False  # the regular load says why
            rows = sql.Literal(piece_rows(context, PIECE_ROWS))
            more = sql.SQL("SELECT EXISTS (SELECT FROM {} OFFSET {})").format(table(item), rows)
            [(large,)] = snapshot.rows(more)
            if large and not _has_index(snapshot, item):
                context.progress(
                    f"oltp {item.name}: no index begins with {item.key[0]}, so the table is read in one piece, and from"
                    f" the beginning after a kill. CREATE INDEX CONCURRENTLY ON {item.name} ({item.key[0]}) helps"
                )
                return False
            return bool(large)

    return attempted(source, attempt)


def _has_index(snapshot: Snapshot, item: Entity) -> bool:
    [(found,)] = snapshot.rows(
        "SELECT EXISTS (SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " JOIN pg_am AS m ON m.oid = c.relam"
        " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indrelid = to_regclass(%s) AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'"
        " AND a.attname = %s)",
        [f"public.{item.name}", item.key[0]],
    )
    return bool(found)


def read_first(context: IngestContext, source: OltpSource, item: Entity) -> list[LoadResult]:
    """Read the whole table in pieces; those that an earlier run brought in are left out.

    Raises:
        SourceError: the database cannot be read. The pieces that are in stay, the next run goes on after them.
    """
    backfill = unfinished_backfill(context, SOURCE, item.name, EPOCH) or begin_backfill(
        context, SOURCE, item.name, Window(EPOCH, context.as_of)
    )
    watch = _Watch(context, item, sum(backfill.done.values()))
    if backfill.done:
        context.progress(f"oltp {item.name}: goes on after {len(backfill.done)} pieces, {watch.before:,} rows")
    results: list[LoadResult] = []
    piece = _after(backfill)
    while piece is not None:
        result, piece = _read_piece(context, source, item, backfill, piece, watch)
        results.append(result)
        context.warehouse.checkpoint()
    with context.warehouse.transaction():
        backfill.complete()
        through = LoadResult(
            SOURCE, item.name, None, backfill.window, 0, status="empty", covered_through=backfill.begun_as_of
        )
        record(context, [through])
    return results


def _after(backfill: Backfill) -> Piece | None:
    """The first piece that is not in yet, its upper bound still to be found; None when all are."""
    bounds = [json.loads(name) for name in backfill.done]
    through = dict(pair for pair in bounds if isinstance(pair, list))
    if {"keyless": True} in bounds:
        return None
    at: Any = None
    while at in through:
        at = through[at]
        if at is None:
            return Piece(keyless=True)
    return Piece(after=at)


def _read_piece(
    context: IngestContext,
    source: OltpSource,
    item: Entity,
    backfill: Backfill,
    piece: Piece,
    watch: _Watch,
) -> tuple[LoadResult, Piece | None]:
    """One package, recorded together with its entry in the list; and the piece after it."""

    def attempt() -> tuple[Piece, LoadResult]:
        with Snapshot(source) as snapshot:
            watch.estimate(snapshot)
            found = piece if piece.keyless else Piece(piece.after, _bound(context, snapshot, item, piece))
            unchanged = sql.SQL("(updated_at < {} OR updated_at IS NULL)").format(instant(backfill.begun_as_of))
            extract = TableExtract(context, snapshot, item, added_columns(context, snapshot, item), backfill.window)
            condition = sql.SQL("{} AND {}").format(found.condition(item), unchanged)
            [result] = load_extracts(context, [extract], extract.batches(condition)).values()
            return found, result

    found, result = attempted(source, attempt)
    rows = result.rows + result.rejected_rows
    record_with_corrections(context, [result], lambda: backfill.add(found.name, result.load_id, rows))
    watch.tell(rows)
    if found.keyless:
        return result, None
    return result, Piece(keyless=True) if found.through is None else Piece(after=found.through)


def _bound(context: IngestContext, snapshot: Snapshot, item: Entity, piece: Piece) -> Any:
    """The key that is a piece's number of rows further on; None when the table ends before."""
    key = sql.Identifier(item.key[0])
    query = sql.SQL("SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} OFFSET {rows} LIMIT 1").format(
        key=key,
        table=table(item),
        condition=piece.condition(item),
        rows=sql.Literal(piece_rows(context, PIECE_ROWS) - 1),
    )
    found = snapshot.rows(query)
    if not found:
        return None
    [(bound,)] = found
    return bound if isinstance(bound, str) else int(bound)


class _Watch:
    """Tells how far the reading is, how fast it goes and how long it will take."""

    def __init__(self, context: IngestContext, item: Entity, before: int) -> None:
        self.context = context
        self.item = item
        self.before = before
        self.rows = 0
        self.expected = 0
        self.started = time.monotonic()

    def estimate(self, snapshot: Snapshot) -> None:
        """Take the planner's count of the table's rows."""
        [(rows,)] = snapshot.rows(
            "SELECT GREATEST(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)",
            [f"public.{self.item.name}"],
        )
        self.expected = rows

    def tell(self, rows: int) -> None:
        """One line after a piece."""
        self.rows += rows
        rate = self.rows / max(time.monotonic() - self.started, 0.001)
        read = self.before + self.rows
        left = timedelta(seconds=round(max(self.expected - read, 0) / max(rate, 1)))
        expected = max(self.expected, read)
        self.context.progress(
            f"oltp {self.item.name}: {read:,} of about {expected:,} rows, {rate:,.0f} rows/s, {left} left"
        )
