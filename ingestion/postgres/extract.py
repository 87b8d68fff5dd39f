"""One entity's rows out of a snapshot, as batches for raw and for the rejects, counted and compared on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from ingestion.clock import utc_now
from ingestion.contracts import REJECTS_TABLE, Entity
from ingestion.loading import correction_queue
from ingestion.loading.context import IngestContext, LoadResult, Notice, SourceError, Window
from ingestion.loading.erased import erased_of
from ingestion.loading.package import load
from ingestion.loading.planning import released_through
from ingestion.loading.records import landed_sum, record
from ingestion.loading.recovery import give_up
from ingestion.loading.rejects import FAULTS, new_rejects, reject_key, resolve_rejects
from ingestion.postgres import touched_windows
from ingestion.postgres.cured import is_same_record
from ingestion.postgres.failures import explained, is_transient
from ingestion.postgres.notices import stamped_ahead
from ingestion.postgres.rows import SOURCE, typed_rows
from ingestion.postgres.schema import AddedColumn, copy_query, sent_columns, soft_deleted
from ingestion.postgres.snapshot import Copy, OltpSource, Snapshot, instant, table
from ingestion.retries import told_of

SALES = ("orders", "order_lines", "refunds")
Pairs = Iterator[tuple[str, pa.Table]]
Held = tuple[str, Sequence[Any]]  # SQL for rows of a raw table, and the values of its marks
T = TypeVar("T")
AHEAD = timedelta(hours=1)  # what is stamped so little ahead comes with the next load's window
AHEAD_AT_MOST = 10_000


class TableExtract:
    """What is read of one entity in one load: the rows of a condition, and of more conditions where a reading has them.

    Attributes:
        window: of changes, for the load's record; None for a reading by key.
        covered_through: where the watermark stands after the load; None leaves it where it is.
        keep: called with each batch of typed rows, for a reading that has to know what it saw.
    """

    def __init__(
        self,
        context: IngestContext,
        snapshot: Snapshot,
        item: Entity,
        added: Sequence[AddedColumn],
        window: Window | None = None,
        covered_through: datetime | None = None,
        keep: Callable[[pa.Table], None] | None = None,
    ) -> None:
        self.context = context
        self.snapshot = snapshot
        self.item = item
        self.added = added
        self.window = window
        self.covered_through = covered_through
        self.keep = keep
        self.deleted = soft_deleted(snapshot, item)
        self._sent = sent_columns(added, self.deleted)
        self.rows = self.rejected_rows = self.bytes = self.source_count = 0
        self.source_sum: Decimal | None = None
        self._rejected_keys: set[str] = set()
        self.started_at = utc_now()
        self._hash = hashlib.sha256()

    def batches(self, condition: sql.Composable, fresh: Callable[[pa.Table], pa.Table] | None = None) -> Pairs:
        """Pairs of raw table and batch of the rows of the condition, or of those among them that are fresh.

        Raises SourceError when COPY did not send what the same snapshot counts.
        """
        sent = self._copy(condition)
        landed = 0
        with ThreadPoolExecutor(1, "oltp-control") as beside:
            counted = beside.submit(control, self.snapshot, self.item, condition)
            for block in sent:
                batch, faults = self._typed(block)
                landed += batch.num_rows + faults.num_rows
                if self.keep is not None:
                    self.keep(batch)
                if fresh is not None:
                    batch = fresh(batch)
                    self._chosen(batch, faults)
                yield from self._counted(batch, faults)
            count, total = counted.result()
        self._ended(sent.bytes, sent.content_hash)
        if not count == sent.rows == landed:
            raise SourceError(
                SOURCE,
                f"{self.item.name} counts {count} rows, COPY sent {sent.rows}, {landed} were read",
                "Nothing of the load was kept; run it again, and report it if it stays",
            )
        if fresh is None:
            self.source_count += count
            self._add_to_sum(total)

    def has_many_ahead(self) -> bool:
        """Whether so many rows are stamped ahead that none is to be read before its time.

        A row is stamped ahead when ``updated_at`` lies more than ``AHEAD`` after the run's now. More than
        ``AHEAD_AT_MOST`` mean a run of the past, or that the server's clock is wrong.
        """
        some = sql.SQL("SELECT 1 FROM {} WHERE {} LIMIT {}")
        found = self.snapshot.rows(some.format(table(self.item), self._later(), sql.Literal(AHEAD_AT_MOST + 1)))
        return len(found) > AHEAD_AT_MOST

    def _later(self) -> sql.Composable:
        return sql.SQL("updated_at >= {}").format(instant(self.context.as_of + AHEAD))

    def stray_batches(self, with_ahead: bool) -> Pairs:
        """The rows that no window finds, without those that raw holds already: undated, and stamped ahead if wanted."""
        bound = self.context.as_of + AHEAD
        condition: sql.Composable = sql.SQL("updated_at IS NULL")
        if with_ahead:
            condition = sql.SQL("({} OR {})").format(condition, self._later())
        return self.new_batches(
            condition,
            ("updated_at IS NULL OR updated_at >= ?", [bound]),
            lambda _, new: stamped_ahead(self.item, new, bound),
        )

    def new_batches(
        self, condition: sql.Composable, held: Held, say: Callable[[pa.Table, pa.Table], list[Notice]]
    ) -> Pairs:
        """The rows of a condition, without those that raw holds already.

        Args:
            condition: which rows of the source.
            held: which rows of raw may be among them.
            say: what there is to say of a batch as it was read, and of those of its rows that are new.
        """
        sent = self._copy(condition)
        for block in sent:
            read, faults = self._typed(block)
            batch = without_known(self.context, self.item, read, held)
            if faults.num_rows:
                faults = faults.filter(pc.is_in(faults["raw_text"], self._unknown(faults)))
            self.context.notices.extend(say(read, batch))
            self._chosen(batch, faults)
            if self.keep is not None:
                self.keep(batch)
            yield from self._counted(batch, faults)
        self._ended(sent.bytes, sent.content_hash)

    def chosen(self, batch: pa.Table) -> Pairs:
        """Rows that were read already and are to be loaded after all."""
        self._chosen(batch, FAULTS.empty_table())
        yield from self._counted(batch, FAULTS.empty_table())

    def _copy(self, condition: sql.Composable) -> Copy:
        return self.snapshot.copy(copy_query(self.item, self.added, condition, self.deleted, self.context.as_of))

    def _typed(self, block: bytes) -> tuple[pa.Table, pa.Table]:
        batch, faults = typed_rows(block, self.item, self._sent)
        faults = erased_of(self.context, SOURCE).faults(self.item, faults)
        self._rejected_keys.update(reject_key(text) for text in faults["raw_text"].to_pylist())
        return batch, faults

    def _unknown(self, faults: pa.Table) -> pa.Array:
        return new_rejects(self.context, SOURCE, self.item.name, faults)["raw_text"].combine_chunks()

    def _chosen(self, batch: pa.Table, faults: pa.Table) -> None:
        """Count as the source's what is left of rows that were not taken as they came."""
        self.source_count += batch.num_rows + faults.num_rows
        if self.item.control_sum is not None:
            self._add_to_sum(pc.sum(batch[self.item.control_sum]).as_py())

    def _counted(self, batch: pa.Table, faults: pa.Table) -> Pairs:
        self.rows += batch.num_rows
        self.rejected_rows += faults.num_rows
        yield self.item.table, batch
        if faults.num_rows:
            yield REJECTS_TABLE, new_rejects(self.context, SOURCE, self.item.name, faults)

    def _ended(self, size: int, content_hash: str) -> None:
        self.bytes += size
        self._hash.update(content_hash.encode())

    def _add_to_sum(self, amount: Decimal | None) -> None:
        if amount is not None:
            self.source_sum = (self.source_sum or Decimal(0)) + amount

    def result(self, load_id: str) -> LoadResult:
        """The record of this entity's part of the load, compared with what raw holds of it.

        Raises SourceError when nothing was rejected and the sums differ; nothing of the load is kept then.
        """
        landed = landed_sum(self.context, self.item, load_id)
        if self.rejected_rows == 0 and landed != self.source_sum:
            cause = f"{self.item.name} adds up to {self.source_sum} at the source and to {landed} in raw"
            give_up(self.context, SOURCE, cause)
            raise SourceError(SOURCE, cause, "Nothing of the load was kept; run it again, and report it if it stays")
        return LoadResult(
            source=SOURCE,
            entity=self.item.name,
            load_id=load_id,
            window=self.window,
            rows=self.rows,
            rejected_rows=self.rejected_rows,
            rejected_keys=frozenset(self._rejected_keys),
            bytes=self.bytes,
            source_count=self.source_count,
            source_sum=self.source_sum,
            landed_sum=landed,
            content_hash=self._hash.hexdigest(),
            status="loaded" if self.rows + self.rejected_rows else "empty",
            covered_through=self.covered_through,
            started_at=self.started_at,
            ended_at=utc_now(),
        )


def control(snapshot: Snapshot, item: Entity, condition: sql.Composable) -> tuple[int, Decimal | None]:
    """How many rows the snapshot has, and the sum of the entity's control column over values that fit the contract."""
    query = sql.SQL("SELECT COUNT(*), {} FROM {} WHERE {}").format(control_sum(item), table(item), condition)
    [(count, total)] = snapshot.rows(query)
    return count, total


def control_sum(item: Entity) -> sql.Composable:
    """The sum of the control column over values that fit the contract; NULL for an entity without one."""
    if item.control_sum is None:
        return sql.SQL("NULL::numeric")
    kind = next(column.type for column in item.columns if column.name == item.control_sum)
    return sql.SQL("SUM({column}) FILTER (WHERE ABS({column}) < {limit})").format(
        column=sql.Identifier(item.control_sum), limit=sql.Literal(10 ** (kind.precision - kind.scale))
    )  # NaN and infinity are greater than every number


def load_extracts(context: IngestContext, extracts: Sequence[TableExtract], pairs: Pairs) -> dict[Entity, LoadResult]:
    """One package of what the extracts yield, and its records, for ``record_with_corrections`` to write."""
    added = {extract.item.table: [column.column for column in extract.added] for extract in extracts if extract.added}
    load_id = load(context, SOURCE, pairs, added)
    return {extract.item: extract.result(load_id) for extract in extracts}


def record_with_corrections(
    context: IngestContext, results: Sequence[LoadResult], also: Callable[[], None] = lambda: None
) -> None:
    """Record a package, with the corrections it causes and whatever else has to be true together with it."""
    released = released_through(context, SOURCE, SALES)
    sales = next((result.load_id for result in results if result.entity in SALES and result.rows), None)
    found = touched_windows.sales(context, sales, released) if sales else []
    with context.warehouse.transaction():
        record(context, results)
        resolve_rejects(context, SOURCE, results, is_same_record)
        correction_queue.queue(context, found)
        also()


def attempted(source: OltpSource, attempt: Callable[[], T]) -> T:
    """What the attempt returns; a transient failure starts it again, any other is explained in one line."""
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(source.attempts),
        wait=wait_exponential(multiplier=source.retry_wait),
        before_sleep=told_of("PostgreSQL"),
        reraise=True,
    )
    with explained(source):
        return retrying(attempt)


def without_known(context: IngestContext, item: Entity, batch: pa.Table, held: Held) -> pa.Table:
    """The rows of the batch that no recorded load brought yet, among those of raw that ``held`` says."""
    if not batch.num_rows:
        return batch
    names = [column.name for column in item.columns]
    condition, params = held
    known = context.warehouse.arrow(
        f"SELECT {', '.join(names)} FROM raw.{item.table} WHERE ({condition})"
        " AND _dlt_load_id IN (SELECT load_id FROM ops.loads WHERE source = ? AND status = 'loaded')",
        [*params, SOURCE],
        pa.schema(item.columns),
    )
    if not known.num_rows:
        return batch
    with duckdb.connect() as scratch:
        scratch.register("batch", batch)
        scratch.register("known", known)
        numbered = "SELECT *, ROW_NUMBER() OVER (PARTITION BY {0}) AS copy_number FROM {1}"
        same = " AND ".join(f"b.{name} IS NOT DISTINCT FROM k.{name}" for name in [*names, "copy_number"])
        columns = ", ".join(names)
        rest = scratch.execute(
            f"SELECT b.* EXCLUDE (copy_number) FROM ({numbered.format(columns, 'batch')}) AS b"
            f" ANTI JOIN ({numbered.format(columns, 'known')}) AS k ON {same}"
        ).to_arrow_table()
    return rest.select(batch.column_names).cast(batch.schema)
