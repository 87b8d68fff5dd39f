"""The PostgreSQL source: COPY, read as CSV into typed Arrow batches; what cannot be typed becomes a reject.

Orders, order lines and refunds of one load come from one REPEATABLE READ READ ONLY snapshot and land in one package.
The source promises no constraint. Two streams an entity: the changes of the window, and the rows without
``updated_at``, which no window finds; of these only those that raw does not hold yet are appended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from itertools import chain
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from ingestion import corrections
from ingestion.contracts import ENTITIES, INSTANT, REJECTS_TABLE, Entity, entity
from ingestion.loads import (
    EPOCH,
    IngestContext,
    LoadResult,
    Reading,
    SourceError,
    Window,
    clock,
    load,
    plan_reading,
    record,
    rejects,
    skipped,
)
from ingestion.postgres_rows import SOURCE, retype, typed_rows

__all__ = ["OltpSource", "ingest", "retype"]
GROUPS = (("orders", "order_lines", "refunds"), ("customers",), ("products",))  # each from a snapshot of its own
CONTROL_SUMS = {"orders": "total_amount", "order_lines": "unit_price", "refunds": "amount", "products": "list_price"}
BLOCK_BYTES = 16 * 2**20  # about 130,000 orders: bounds memory, and is large enough for Arrow to work in columns


@dataclass(frozen=True)
class OltpSource:
    """How to reach the OLTP database. ``retry_wait`` is the first of the doubling pauses between attempts, seconds."""

    dsn: str = field(repr=False)
    statement_timeout: int = 3600
    connect_timeout: int = 5
    attempts: int = 3
    retry_wait: float = 1.0


def ingest(
    context: IngestContext, source: OltpSource, window: Window | None = None, entities: Sequence[str] | None = None
) -> list[LoadResult]:
    """Load what is new in the OLTP database, or again what changed in a given window.

    Args:
        context: the run.
        source: how to reach the database.
        window: changes (``updated_at``) to read again, half-open; None for everything since the watermark.
        entities: names out of ``orders``, ``order_lines``, ``refunds``, ``customers``, ``products``; None for all.

    Returns:
        One result an entity, in the order of the contract. What is not due has the status ``skipped``.

    Raises:
        SourceError: the database cannot be reached or read. Groups loaded before the failure stay loaded.
        KeyError: an unknown entity name.
    """
    chosen = {entity(SOURCE, name).name for name in entities} if entities is not None else set(chain(*GROUPS))
    results = {}
    for names in GROUPS:
        group = [item for item in ENTITIES if item.source == SOURCE and item.name in names]
        wanted = [item for item in group if item.name in chosen]
        due = {item: reading for item in wanted if (reading := plan_reading(context, item, window)) is not None}
        results.update({item: skipped(item) for item in wanted if item not in due})
        if due:
            results.update(_load_group(context, source, due, undated=window is None))
    return [results[item] for item in ENTITIES if item in results]


def _load_group(
    context: IngestContext, source: OltpSource, due: dict[Entity, Reading], undated: bool
) -> dict[Entity, LoadResult]:
    """Read one snapshot into one package, then record it with the corrections it causes."""
    released = corrections.released_through(context, SOURCE, GROUPS[0])
    load_id, results = _read(context, source, due, undated)
    sales = any(item.name in GROUPS[0] and result.rows for item, result in results.items())
    found = corrections.oltp_sales(context, load_id, released) if sales else []
    with context.warehouse.transaction():
        record(context, list(results.values()))
        corrections.queue(context, found)
    for item, result in results.items():
        context.progress(f"oltp {item.name}: {result.rows:,} rows, {result.rejected_rows:,} rejected")
    return results


def _read(
    context: IngestContext, source: OltpSource, due: dict[Entity, Reading], undated: bool
) -> tuple[str, dict[Entity, LoadResult]]:
    """One package from one snapshot; a transient failure starts it again, from a new snapshot."""

    def attempt() -> tuple[str, dict[Entity, LoadResult]]:
        with _connect(source) as connection:
            extracts = {item: _Extract(context, connection, item, reading, undated) for item, reading in due.items()}
            load_id = load(context, SOURCE, (pair for extract in extracts.values() for pair in extract.batches()))
            return load_id, {item: extract.result(load_id) for item, extract in extracts.items()}

    retrying = Retrying(
        retry=retry_if_exception(_is_transient),
        stop=stop_after_attempt(source.attempts),
        wait=wait_exponential(multiplier=source.retry_wait),
        reraise=True,
    )
    with _explained(source):
        return retrying(attempt)


class _Extract:
    """One entity's rows out of the snapshot, as batches for raw and for the rejects, counted on the way."""

    def __init__(
        self, context: IngestContext, connection: psycopg.Connection, item: Entity, reading: Reading, undated: bool
    ) -> None:
        self.context = context
        self.connection = connection
        self.item = item
        self.reading = reading
        self.undated = undated
        self.rows = self.rejected_rows = self.bytes = self.source_count = 0
        self.source_sum: Decimal | None = None
        self.landed_sum: Decimal | None = None
        self.started_at = clock()

    def batches(self) -> Iterator[tuple[str, pa.Table]]:
        """Pairs of raw table and batch; afterwards the counts are complete.

        Raises SourceError when COPY did not send what the same snapshot counts.
        """
        self.started_at = clock()
        changed = _changed_in(self.reading.window)
        self.source_count, self.source_sum = _control(self.connection, self.item, changed)
        for block in _copy(self.connection, self.item, changed):
            yield from self._typed(block, undated=False)
        if self.rows + self.rejected_rows != self.source_count:
            raise SourceError(
                SOURCE,
                f"{self.item.name} counts {self.source_count} rows, COPY sent {self.rows + self.rejected_rows}",
                "Nothing of the load was kept; run it again, and report it if it stays",
            )
        if self.undated:
            yield from self._undated()

    def _undated(self) -> Iterator[tuple[str, pa.Table]]:
        before = self.rows + self.rejected_rows
        for block in _copy(self.connection, self.item, sql.SQL("updated_at IS NULL")):
            yield from self._typed(block, undated=True)
        self.source_count += self.rows + self.rejected_rows - before

    def _typed(self, block: bytes, undated: bool) -> Iterator[tuple[str, pa.Table]]:
        batch, faults = typed_rows(block, self.item)
        if undated and batch.num_rows:
            batch = _without_known(self.context, self.item, batch)
        self.bytes += len(block)
        self.rows += batch.num_rows
        self.rejected_rows += faults.num_rows
        self._add_to_sums(batch, undated)
        yield self.item.table, batch
        if faults.num_rows:
            yield REJECTS_TABLE, rejects(self.context, SOURCE, self.item.name, faults)

    def _add_to_sums(self, batch: pa.Table, undated: bool) -> None:
        """Sum what lands; undated rows are not in the window the source summed, so their sum is added there as well."""
        column = CONTROL_SUMS.get(self.item.name)
        amount = pc.sum(batch[column]).as_py() if column else None
        if amount is not None:
            self.landed_sum = (self.landed_sum or Decimal(0)) + amount
            if undated:
                self.source_sum = (self.source_sum or Decimal(0)) + amount

    def result(self, load_id: str) -> LoadResult:
        """The record of this entity's part of the load."""
        return LoadResult(
            source=SOURCE,
            entity=self.item.name,
            load_id=load_id,
            window=self.reading.window,
            rows=self.rows,
            rejected_rows=self.rejected_rows,
            bytes=self.bytes,
            source_count=self.source_count,
            source_sum=self.source_sum,
            landed_sum=self.landed_sum,
            status="loaded" if self.rows + self.rejected_rows else "empty",
            covered_through=self.reading.covered_through,
            started_at=self.started_at,
            ended_at=clock(),
        )


def _without_known(context: IngestContext, item: Entity, batch: pa.Table) -> pa.Table:
    """The rows without ``updated_at`` that no recorded load brought yet: re-reading them is free of charge for raw."""
    columns = ", ".join(column.name for column in item.columns)
    known = context.warehouse.arrow(
        f"SELECT {columns} FROM raw.{item.table} WHERE updated_at IS NULL AND _dlt_load_id IN"
        " (SELECT load_id FROM ops.loads WHERE source = ? AND status = 'loaded')",
        [SOURCE],
        batch.schema,
    )
    if not known.num_rows:
        return batch
    with duckdb.connect() as scratch:
        scratch.register("batch", batch)
        scratch.register("known", known)
        rest = scratch.execute("SELECT * FROM batch EXCEPT ALL SELECT * FROM known").to_arrow_table()
    return rest.cast(batch.schema)


# --- the database ------------------------------------------------------------------------------------------------


def _connect(source: OltpSource) -> psycopg.Connection:
    """A session that may only read, from one snapshot, in UTC and UTF-8."""
    connection = psycopg.connect(
        source.dsn,
        connect_timeout=source.connect_timeout,
        application_name="insightmart",
        client_encoding="utf8",
    )
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    settings = {
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "statement_timeout": f"{source.statement_timeout}s",
        "lock_timeout": "60s",
        "idle_in_transaction_session_timeout": "0",  # the warehouse may be slow between two tables
    }
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, true)", [name, value])
    return connection


def _table(item: Entity) -> sql.Composable:
    return sql.Identifier("public", item.name)


def _changed_in(window: Window) -> sql.Composable:
    """``updated_at`` in the window; literals, since COPY takes no parameters."""
    end = sql.SQL("updated_at < {}").format(sql.Literal(window.end.replace(tzinfo=UTC)))
    if window.start == EPOCH:
        return end
    return sql.SQL("updated_at >= {} AND {}").format(sql.Literal(window.start.replace(tzinfo=UTC)), end)


def _control(connection: psycopg.Connection, item: Entity, condition: sql.Composable) -> tuple[int, Decimal | None]:
    """How many rows the snapshot has, and the sum of the entity's money column over values that fit the contract."""
    total: sql.Composable = sql.SQL("NULL::numeric")
    if (name := CONTROL_SUMS.get(item.name)) is not None:
        kind = next(column.type for column in item.columns if column.name == name)
        total = sql.SQL("SUM({column}) FILTER (WHERE ABS({column}) < {limit})").format(
            column=sql.Identifier(name), limit=sql.Literal(10 ** (kind.precision - kind.scale))
        )  # NaN and infinity are greater than every number
    query = sql.SQL("SELECT COUNT(*), {} FROM {} WHERE {}").format(total, _table(item), condition)
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0], row[1]


def _copy(connection: psycopg.Connection, item: Entity, condition: sql.Composable) -> Iterator[bytes]:
    """The rows as CSV, in blocks of whole rows."""
    columns = sql.SQL(", ").join(
        sql.SQL("{}::timestamptz AT TIME ZONE 'UTC'").format(sql.Identifier(column.name))
        if column.type == INSTANT
        else sql.Identifier(column.name)
        for column in item.columns
    )
    query = sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT csv)").format(columns, _table(item), condition)
    rows: list[Any] = []
    size = 0
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for row in copy:  # the protocol sends one row a message
            rows.append(row)
            size += len(row)
            if size >= BLOCK_BYTES:
                yield b"".join(rows)
                rows, size = [], 0
    if rows:
        yield b"".join(rows)


# --- failures ----------------------------------------------------------------------------------------------------

_REFUSALS = ("authentication failed", "does not exist", "pg_hba.conf", "permission denied")


def _is_transient(error: BaseException) -> bool:
    """Whether trying again may help: the connection was refused or lost, the server is starting or short of means."""
    return (
        isinstance(error, psycopg.OperationalError)
        and not isinstance(error, errors.QueryCanceled)
        and not any(refusal in str(error) for refusal in _REFUSALS)
    )


@contextmanager
def _explained(source: OltpSource) -> Iterator[None]:
    """Failures of the database as one line with cause and cure, without the password."""
    try:
        yield
    except psycopg.Error as error:
        cause, cure = _cause_and_cure(error)
        raise SourceError(SOURCE, _without_password(source, cause), cure) from None


def _cause_and_cure(error: psycopg.Error) -> tuple[str, str]:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return first_line, "The source's tables and columns have to be those of ingestion/contracts.py"
    if isinstance(error, errors.InsufficientPrivilege):
        return first_line, "Grant the role of OLTP_DSN USAGE on schema public and SELECT on its tables"
    if isinstance(error, errors.QueryCanceled):
        return first_line, "Give updated_at an index, load shorter windows (--from, --to), or ask the DBA"
    if isinstance(error, psycopg.OperationalError):
        return first_line, "Check OLTP_DSN (host, port, database, user, password) and that the server takes connections"
    return first_line, "Correct it at the source; the next run repeats the load"


def _without_password(source: OltpSource, text: str) -> str:
    """The text without the password; nothing of a DSN that cannot be read, since it may be anywhere in it."""
    try:
        password = conninfo_to_dict(source.dsn).get("password")
    except psycopg.ProgrammingError:
        return "OLTP_DSN is not a PostgreSQL connection string"
    return text.replace(str(password), "***") if password else text
