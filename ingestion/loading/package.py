"""What the sources share: one dlt package a load, exact recovery after a kill, load records and watermarks.

A load runs in two steps. ``load`` brings the rows of one or more raw tables in as one dlt package, under one load id.
``record`` then writes the load's rows of ``ops.loads``, its watermarks and its correction windows, in one transaction
of the caller's. A kill at any point before that transaction leaves nothing behind: a mark in ``ops.loads`` says that a
load of the source is under way, ``record`` takes it away, and a load that finds one deletes that package's rows first.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.clock import utc_now
from ingestion.contracts import DELETED_AT, ENTITIES, LOAD_COLUMNS, REJECTS, REJECTS_TABLE, TEXT, Entity, raw_tables
from ingestion.warehouse import Warehouse

# dlt reads these when it is imported or when a pipeline starts; this is the one place that imports it.
os.environ.update(
    RUNTIME__LOG_LEVEL="CRITICAL",  # failures are raised, and reported once, by whoever called us
    RESTORE_FROM_DESTINATION="false",  # we keep no state in dlt: watermarks are in ops.source_watermarks
    LOAD__DELETE_COMPLETED_JOBS="true",  # the rows are in raw; kept files would double them on the disk
)
import dlt
from dlt.common.schema.typing import TSchemaContractDict
from dlt.common.storages.load_package import create_load_id, load_package_state
from dlt.pipeline.exceptions import PipelineStepFailed

RAW = "raw"
EPOCH = datetime(1970, 1, 1)  # as the start of a window: no lower bound
FROZEN: TSchemaContractDict = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}  # else: see _conform
# Sources read at the same time and load in turns: dlt creates and alters tables while it loads, which DuckDB refuses to
# do for two at once, and a load by itself keeps all cores busy.
_LOADING = threading.Lock()
OVERLAP = timedelta(minutes=30)  # re-read each time, for rows committed late with an older updated_at


class SourceError(Exception):
    """A source or a load failed: one line with cause and cure, never a secret.

    Args:
        source: ``oltp``, ``shopify`` or ``stores``.
        cause: what went wrong.
        cure: what to do about it.
    """

    def __init__(self, source: str, cause: str, cure: str) -> None:
        self.source = source
        self.cause = " ".join(cause.split()).rstrip(".")
        self.cure = " ".join(cure.split())
        super().__init__(f"{source}: {self.cause}. {self.cure}")


@dataclass(frozen=True)
class IngestContext:
    """Where one run of the ingestion reads "now" from and writes to.

    Attributes:
        warehouse: open connection to the warehouse; its raw and ops tables exist (``create_tables``).
        home: INSIGHTMART_HOME; dlt works below ``home/dlt``, distrusted files are kept in ``home/quarantine``.
        as_of: "now" of the run, UTC without a zone. Nothing later is read.
        history_start: first instant of history, UTC without a zone; models know no earlier hour.
        progress: takes one line for whoever watches.
        destination: dlt destination of the same warehouse, e.g. ``dlt.destinations.duckdb(path)``.
        released: watermarks that held before the run, by source and entity: how far the models may have been given
            each one. None: as they stand when asked. With them, sources that load at once see the same past.
    """

    warehouse: Warehouse
    home: Path
    as_of: datetime
    history_start: datetime
    progress: Callable[[str], None]
    destination: Any = field(repr=False)  # its text holds the credentials
    released: Mapping[tuple[str, str], datetime] | None = None

    def __post_init__(self) -> None:
        if self.as_of.tzinfo is not None or self.history_start.tzinfo is not None:
            raise ValueError("as_of and history_start are UTC instants without a zone")


@dataclass(frozen=True)
class Window:
    """A half-open range of UTC instants without a zone; a start of ``EPOCH`` means no lower bound."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Reading:
    """What to read of one entity now, and where its watermark stands afterwards (None: it does not move)."""

    window: Window
    covered_through: datetime | None


@dataclass
class LoadResult:
    """What one load did for one entity: a row of ``ops.loads``.

    ``status`` is ``loaded``, ``empty`` (read, and there was nothing) or ``skipped`` (not due; nothing is recorded).
    ``source_count`` and ``source_sum`` are what the source counted, ``landed_sum`` the same sum over the raw rows.
    ``covered_through`` is where the entity's watermark stands after this load; None leaves it where it is.
    Instants are UTC without a zone; ``started_at`` and ``ended_at`` are of the real clock.
    """

    source: str
    entity: str
    load_id: str | None
    window: Window | None
    rows: int
    rejected_rows: int = 0
    bytes: int = 0
    source_count: int | None = None
    source_sum: Decimal | None = None
    landed_sum: Decimal | None = None
    content_hash: str | None = None
    status: str = "loaded"
    covered_through: datetime | None = None
    started_at: datetime = field(default_factory=utc_now)
    ended_at: datetime = field(default_factory=utc_now)


# --- what to read ------------------------------------------------------------------------------------------------


def covered_through(context: IngestContext, source: str, entity: str) -> datetime | None:
    """The entity's watermark: every change before it is in raw. None when it was never loaded."""
    value: datetime | None = context.warehouse.value(
        "SELECT covered_through FROM ops.source_watermarks WHERE source = ? AND entity = ?", [source, entity]
    )
    return value


def watermarks(warehouse: Warehouse) -> dict[tuple[str, str], datetime]:
    """All watermarks, by source and entity."""
    found = warehouse.rows("SELECT source, entity, covered_through FROM ops.source_watermarks")
    return {(source, entity): through for source, entity, through in found}


def plan_reading(context: IngestContext, entity: Entity, requested: Window | None = None) -> Reading | None:
    """The window of changes to read next, or None when nothing is due.

    Without a request: from the watermark (less the overlap) to ``as_of``; the first time everything before ``as_of``.
    A daily entity is due once a UTC day. With a request: just that window, cut at ``as_of``; the watermark moves only
    where the window joins on to what is covered already (for an hourly entity that was never loaded: to the start of
    history).
    """
    covered = covered_through(context, entity.source, entity.name)
    if requested is not None:
        window = Window(requested.start, min(requested.end, context.as_of))
        if window.end <= window.start:
            return None
        reaches = covered or (context.history_start if entity.cadence == "hourly" else EPOCH)
        return Reading(window, window.end if window.start <= reaches < window.end else None)
    if covered is None:
        return Reading(Window(EPOCH, context.as_of), context.as_of)
    due = context.as_of.date() > covered.date() if entity.cadence == "daily" else context.as_of > covered
    return Reading(Window(covered - OVERLAP, context.as_of), context.as_of) if due else None


def skipped(entity: Entity) -> LoadResult:
    """The result of an entity that is not due."""
    return LoadResult(entity.source, entity.name, None, None, 0, status="skipped")


# --- one package into raw ----------------------------------------------------------------------------------------

Batches = Mapping[str, Iterable[pa.Table]] | Iterable[tuple[str, pa.Table]]


def load(
    context: IngestContext, source: str, tables: Batches, added: Mapping[str, Sequence[pa.Field]] | None = None
) -> str:
    """Append batches to raw tables as one dlt package and return its load id. ``record`` has to follow.

    Args:
        context: the run.
        source: ``oltp``, ``shopify`` or ``stores``.
        tables: raw table names (``oltp_orders``, ``rejects``, ...) with their batches, one table after the other; or
            pairs of table name and batch in any order, for a source that yields several tables at once. A batch has
            exactly the columns of the contract; ``_loaded_at`` may be left out, it becomes ``as_of`` either way, and
            ``_deleted_at``, which is NULL then.
        added: by raw table the columns that its batches have beyond the contract; the table gets them when it lacks
            them. Names are lower case, types are those that contracts use.

    Returns:
        The load id all rows carry in ``_dlt_load_id``. A load without any row has an id that no raw row carries.

    Raises:
        SourceError: the warehouse refused the rows, or did not hold all of them afterwards.
        Exception: whatever reading the batches raised, unchanged. In both cases nothing of the load stays in raw.
    """
    pipeline = _clean_pipeline(context, source)
    stream = _Stream(context, source, tables, added or {})
    batches = iter(stream)
    if (first := next(batches, None)) is None:
        return create_load_id()  # an empty package would cost as much time as a full one
    started = {"source": source, "status": "started", "started_at": utc_now(), "loaded_at": context.as_of}
    context.warehouse.insert("ops.loads", [started])
    try:
        pairs = chain([first], batches)
        del first  # dlt leaves frames behind, this one among them, until garbage is collected
        load_id = _run(pipeline, context, source, stream, pairs)
        _verify(context, source, load_id, stream.rows)
    except Exception as error:
        give_up(context, source, str(error))
        raise
    return load_id


class _Stream:
    """The batches as they land: conformed to the contract, counted, with the first failure kept."""

    def __init__(
        self, context: IngestContext, source: str, tables: Batches, added: Mapping[str, Sequence[pa.Field]]
    ) -> None:
        self.context = context
        self.source = source
        self.tables = tables
        self.added = added
        self.rows: Counter[str] = Counter()
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[tuple[str, pa.Table]]:
        try:
            for table, batch in self._pairs():
                if batch.num_rows:
                    self.rows[table] += batch.num_rows
                    yield table, _conform(table, batch, self.context.as_of, self.added.get(table, ()))
        except Exception as error:  # dlt wraps it several times; load() raises the original
            self.error = error
            raise

    def _pairs(self) -> Iterator[tuple[str, pa.Table]]:
        if isinstance(self.tables, Mapping):
            return ((table, batch) for table, batches in self.tables.items() for batch in batches)
        return iter(self.tables)


def _conform(table: str, batch: pa.Table, as_of: datetime, added: Sequence[pa.Field]) -> pa.Table:
    """The batch with ``_loaded_at``, in the contract's order; raises ValueError when it is not of the contract.

    A column may be dictionary-encoded: it is written to the package as it is, and is plain once it has landed.
    """
    loaded_at, load_id = LOAD_COLUMNS
    expected = pa.schema([*(column for column in raw_tables()[table] if column.name != load_id.name), *added])
    if loaded_at.name in batch.column_names:
        batch = batch.drop_columns([loaded_at.name])
    batch = batch.append_column(loaded_at, pa.repeat(pa.scalar(as_of, loaded_at.type), batch.num_rows))
    if DELETED_AT.name in expected.names and DELETED_AT.name not in batch.column_names:  # not a tombstone
        batch = batch.append_column(DELETED_AT, pa.nulls(batch.num_rows, DELETED_AT.type))
    if set(batch.column_names) == set(expected.names):
        batch = batch.select(expected.names)
    if not _plain(batch.schema).equals(expected):
        raise ValueError(f"a batch for raw.{table} has the columns {batch.schema}, the contract says {expected}")
    return batch


class _Files:
    """The batches of a load in parquet, one file a table, ready to be taken into a dlt package as they are.

    dlt's own writer builds a dictionary for every column and gives every instant the zone UTC, which the warehouse then
    takes off again: together half the time a load takes.
    """

    def __init__(self, directory: Path, load_id: str) -> None:
        self.directory = directory
        self.load_id = load_id

    def write(self, pairs: Iterable[tuple[str, pa.Table]]) -> dict[str, tuple[Path, int, pa.Table]]:
        """Write everything; by table the file, its rows and an empty table of its columns."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        rows: Counter[str] = Counter()
        writers: dict[str, pq.ParquetWriter] = {}
        try:
            for table, batch in pairs:
                stamped = self._stamped(batch)
                if table not in writers:
                    writers[table] = self._writer(table, stamped.schema)
                writers[table].write_table(stamped, row_group_size=stamped.num_rows)
                rows[table] += stamped.num_rows
        finally:
            for writer in writers.values():
                writer.close()
        return {
            table: (self._path(table), rows[table], _plain(writer.schema).empty_table())
            for table, writer in writers.items()
        }

    def _path(self, table: str) -> Path:
        return self.directory / f"{table}.parquet"

    def _stamped(self, batch: pa.Table) -> pa.Table:
        indices = pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows)
        load_id = pa.DictionaryArray.from_arrays(indices, pa.array([self.load_id], TEXT))
        return batch.append_column(LOAD_COLUMNS[1].name, load_id)

    def _writer(self, table: str, schema: pa.Schema) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            self._path(table),
            schema,
            use_dictionary=[column.name for column in schema if _is_text(column)],
            write_statistics=False,
            store_schema=False,
        )


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([column.with_type(TEXT) if _is_text(column) else column for column in schema])


def _is_text(column: pa.Field) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_dictionary(column.type))


def _working_directory(context: IngestContext, source: str) -> Path:
    return context.home / "dlt" / source


def _pipeline(context: IngestContext, source: str) -> dlt.Pipeline:
    return dlt.pipeline(
        pipeline_name=source,
        pipelines_dir=str(_working_directory(context, source).parent),
        destination=context.destination,
        dataset_name=RAW,
    )


def _run(
    pipeline: dlt.Pipeline,
    context: IngestContext,
    source: str,
    stream: _Stream,
    pairs: Iterable[tuple[str, pa.Table]],
) -> str:
    """Extract, normalize and load the stream; the load id of its package."""
    directory = _working_directory(context, source) / "batches"
    written: dict[str, tuple[Path, int, pa.Table]] = {}

    def import_file(table: str) -> Iterator[Any]:
        if not written:  # whichever table dlt asks for first
            load_id = load_package_state()["load_id"]
            context.warehouse.execute(
                "UPDATE ops.loads SET load_id = ? WHERE source = ? AND status = 'started'", [load_id, source]
            )
            written.update(_Files(directory, load_id).write(pairs))
        if table in written:
            path, rows, columns = written[table]
            yield dlt.mark.with_file_import(str(path), "parquet", rows, columns)

    tables = [*(item.table for item in ENTITIES if item.source == source), REJECTS_TABLE]
    resources = [
        dlt.resource(
            import_file(table),
            name=table,
            columns=_without_zone([*raw_tables()[table], *stream.added.get(table, ())]),
            write_disposition="append",
            schema_contract=FROZEN,
        )
        for table in tables
    ]
    try:
        pipeline.extract(resources, loader_file_format="parquet")
        pipeline.normalize()
        with _LOADING:
            info = pipeline.load()
    except PipelineStepFailed as failure:
        if stream.error is not None:
            raise stream.error from None
        raise SourceError(
            source,
            f"the warehouse did not take the load at step {failure.step!r}: {_root(failure)}",
            "Nothing of the load was kept; the next run repeats it",
        ) from failure
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return str(info.loads_ids[0])


def _without_zone(columns: Sequence[pa.Field]) -> dict[str, Any]:
    """What dlt has to be told, so that it does not give instants the zone UTC and rewrite the files for it."""
    return {
        column.name: {"name": column.name, "data_type": "timestamp", "timezone": False}
        for column in columns
        if pa.types.is_timestamp(column.type)
    }


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def _verify(context: IngestContext, source: str, load_id: str, rows: Mapping[str, int]) -> None:
    """Every row that was handed over is in raw, counted there by load id."""
    for table, expected in rows.items():
        landed = context.warehouse.value(f"SELECT COUNT(*) FROM raw.{table} WHERE _dlt_load_id = ?", [load_id])
        if landed != expected:
            raise SourceError(
                source,
                f"raw.{table} holds {landed} rows of load {load_id}, the source sent {expected}",
                "Nothing of the load was kept; the next run repeats it",
            )


def landed_sum(context: IngestContext, item: Entity, load_id: str | None) -> Decimal | None:
    """The exact sum of the entity's control column over the raw rows of a load; None without rows or such a column."""
    if item.control_sum is None or load_id is None:
        return None
    total: Decimal | int | None = context.warehouse.value(
        f'SELECT SUM("{item.control_sum.upper()}") FROM raw.{item.table} WHERE _dlt_load_id = ?', [load_id]
    )
    return None if total is None else Decimal(total)


FAULTS = pa.schema([("column_name", TEXT), ("rule_id", TEXT), ("reason", TEXT), ("raw_text", TEXT)])


def rejects(context: IngestContext, source: str, entity: str, faults: pa.Table) -> pa.Table:
    """A batch for ``raw.rejects`` of records that cannot be typed, without those it holds already.

    Args:
        context: the run.
        source: ``oltp`` or ``shopify``.
        entity: the entity's name within its source.
        faults: columns of ``FAULTS``; ``raw_text`` is the record as the source gave it. The overlap of the windows
            reads many of them twice, so a text that a recorded load brought is not appended again.
    """
    known = context.warehouse.arrow(
        f"SELECT raw_text FROM raw.{REJECTS_TABLE} WHERE source = ? AND entity = ? AND _dlt_load_id IN"
        " (SELECT load_id FROM ops.loads WHERE source = ? AND status = 'loaded')",
        [source, entity, source],
        pa.schema([("raw_text", TEXT)]),
    )
    fresh = faults.filter(pc.invert(pc.is_in(faults["raw_text"], value_set=known["raw_text"].combine_chunks())))
    given = {"source": source, "entity": entity, "is_whole_file": False, "rejected_at": context.as_of}
    columns = [
        fresh[column.name]
        if column.name in FAULTS.names
        else pa.repeat(pa.scalar(given.get(column.name), column.type), fresh.num_rows)
        for column in REJECTS.schema
    ]
    return pa.table(columns, schema=REJECTS.schema)


# --- recovery ----------------------------------------------------------------------------------------------------


def _started(context: IngestContext, source: str) -> bool:
    """Whether an earlier load of this source neither finished nor was cleared away."""
    statement = "SELECT COUNT(*) FROM ops.loads WHERE source = ? AND status = 'started'"
    return bool(context.warehouse.value(statement, [source]))


def _clean_pipeline(context: IngestContext, source: str) -> dlt.Pipeline:
    """The source's pipeline with nothing left over from a load that was killed."""
    killed = "it ended before its package was in; its rows were deleted"
    if _started(context, source):
        _recover(context, source, killed)
    pipeline = _pipeline(context, source)
    if pipeline.has_pending_data:  # of another warehouse, or of this one before it was restored
        _recover(context, source, killed)
        pipeline = _pipeline(context, source)
    return pipeline


def give_up(context: IngestContext, source: str, error: str) -> None:
    """Take back a load that was brought in and must not be recorded, with the reason it fails for."""
    _recover(context, source, " ".join(error.split())[:1000])


def _recover(context: IngestContext, source: str, error: str) -> None:
    """Put raw back to where it was before a load that did not finish.

    dlt resumes a package by file, and repeats a file that was in but not yet ticked off. So the package is given up
    with dlt's working directory, in whatever state that is (it holds nothing else). What is deleted: every raw row of
    the load that was marked as started, complete or not, since nothing was recorded about it; and every raw row whose
    load id dlt does not list as complete (status 0). Single writer per source.
    """
    shutil.rmtree(_working_directory(context, source), ignore_errors=True)
    known = context.warehouse.value(
        "SELECT COUNT(*) FROM information_schema.tables"
        " WHERE UPPER(table_schema) = 'RAW' AND UPPER(table_name) = '_DLT_LOADS'"
    )
    started = "SELECT load_id FROM ops.loads WHERE source = ? AND status = 'started' AND load_id IS NOT NULL"
    complete = "SELECT load_id FROM raw._dlt_loads WHERE status = 0" if known else "SELECT '' AS load_id"
    unfinished = f"(_dlt_load_id NOT IN ({complete}) OR _dlt_load_id IN ({started}))"
    for table in (entity.table for entity in ENTITIES if entity.source == source):
        context.warehouse.execute(f"DELETE FROM raw.{table} WHERE {unfinished}", [source])
    context.warehouse.execute(f"DELETE FROM raw.{REJECTS_TABLE} WHERE source = ? AND {unfinished}", [source, source])
    if known:
        context.warehouse.execute(f"DELETE FROM raw._dlt_loads WHERE load_id IN ({started})", [source])
    context.warehouse.execute(
        "UPDATE ops.loads SET status = 'failed', error = ?, ended_at = ? WHERE source = ? AND status = 'started'",
        [error, utc_now(), source],
    )


# --- load records and watermarks ---------------------------------------------------------------------------------


def record(context: IngestContext, results: Sequence[LoadResult]) -> None:
    """Write the load records and move the watermarks; call it inside ``context.warehouse.transaction()``.

    From here on the load counts: its mark as started is taken away. Correction windows, pieces of a long reading and
    anything else that has to be true together with the load go into the same transaction.
    A watermark never moves back. Results with the status ``skipped`` leave no trace.
    """
    done = [result for result in results if result.status != "skipped"]
    for source in {result.source for result in done}:
        context.warehouse.execute("DELETE FROM ops.loads WHERE source = ? AND status = 'started'", [source])
    context.warehouse.insert("ops.loads", [_load_row(context, result) for result in done])
    for result in done:
        if result.covered_through is not None:
            _move_watermark(context, result, result.covered_through)


def _load_row(context: IngestContext, result: LoadResult) -> dict[str, Any]:
    return {
        "load_id": result.load_id,
        "source": result.source,
        "entity": result.entity,
        "window_start": result.window.start if result.window else None,
        "window_end": result.window.end if result.window else None,
        "rows": result.rows,
        "rejected_rows": result.rejected_rows,
        "bytes": result.bytes,
        "source_count": result.source_count,
        "source_sum": result.source_sum,
        "landed_sum": result.landed_sum,
        "content_hash": result.content_hash,
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "seconds": Decimal(str(round((result.ended_at - result.started_at).total_seconds(), 3))),
        "status": result.status,
        "loaded_at": context.as_of,
    }


def _move_watermark(context: IngestContext, result: LoadResult, through: datetime) -> None:
    covered = covered_through(context, result.source, result.entity)
    if covered is not None and covered >= through:
        return
    key = [result.source, result.entity]
    context.warehouse.execute("DELETE FROM ops.source_watermarks WHERE source = ? AND entity = ?", key)
    row = {
        "source": result.source,
        "entity": result.entity,
        "covered_through": through,
        "load_id": result.load_id,
        "updated_at": context.as_of,
    }
    context.warehouse.insert("ops.source_watermarks", [row])
