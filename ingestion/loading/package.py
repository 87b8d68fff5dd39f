"""One dlt package a load: batches of one or more raw tables, under one load id.

A load runs in two steps. ``load`` brings the rows in. ``records.record`` then writes the load's rows of ``ops.loads``,
its watermarks and its correction windows, in one transaction of the caller's. A kill at any point before that
transaction leaves nothing behind: a mark in ``ops.loads`` says that a load of the source is under way, ``record`` takes
it away, and a load that finds one deletes that package's rows first (``recovery``).
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
from dlt.common.schema.typing import TSchemaContractDict
from dlt.common.storages.load_package import create_load_id, load_package_state
from dlt.pipeline.exceptions import PipelineStepFailed

from ingestion.clock import utc_now
from ingestion.contracts import DELETED_AT, ENTITIES, LOAD_COLUMNS, REJECTS_TABLE, ROW_HASH, TEXT, raw_tables
from ingestion.loading.context import IngestContext, SourceError
from ingestion.loading.erased import erased_of
from ingestion.loading.recovery import clean_pipeline, give_up, working_directory

FROZEN: TSchemaContractDict = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}  # else: see _conform
# Sources read at the same time and load in turns: dlt creates and alters tables while it loads, which DuckDB refuses to
# do for two at once, and a load by itself keeps all cores busy.
LOADING = threading.Lock()

# Of a parquet file for Snowflake, about; its documentation advises 100 to 250 MB.
FILE_BYTES = 128 * 2**20
COPIES = 4  # files that Snowflake copies at a time, each on a session of its own; DuckDB takes one after the other
SNOWFLAKE_PIECES = 10  # so many times larger are the pieces of a long reading on Snowflake, where a package costs more

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
            ``_deleted_at`` and ``_row_hash``, which are NULL then.
        added: by raw table the columns that its batches have beyond the contract; the table gets them when it lacks
            them. Names are lower case, types are those that contracts use.

    Returns:
        The load id all rows carry in ``_dlt_load_id``. A load without any row has an id that no raw row carries.

    Raises:
        SourceError: the warehouse refused the rows, or did not hold all of them afterwards.
        Exception: whatever reading the batches raised, unchanged. In both cases nothing of the load stays in raw.
    """
    pipeline = clean_pipeline(context, source)
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


def piece_rows(context: IngestContext, rows: int) -> int:
    """How many rows one package of a long reading brings, where it brings so many on DuckDB."""
    return rows * SNOWFLAKE_PIECES if context.warehouse.dialect == "snowflake" else rows


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
            erased = erased_of(self.context, self.source)
            for table, batch in self._pairs():
                self.context.limit.check()
                if batch.num_rows:
                    self.rows[table] += batch.num_rows
                    conformed = _conform(table, batch, self.context.as_of, self.added.get(table, ()))
                    yield table, erased.emptied(table, conformed)
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
    for column in (DELETED_AT, ROW_HASH):  # not a tombstone; not hashed by its source
        if column.name in expected.names and column.name not in batch.column_names:
            batch = batch.append_column(column, pa.nulls(batch.num_rows, column.type))
    if set(batch.column_names) == set(expected.names):
        batch = batch.select(expected.names)
    if not _plain(batch.schema).equals(expected):
        raise ValueError(f"a batch for raw.{table} has the columns {batch.schema}, the contract says {expected}")
    return batch


@dataclass
class _File:
    """A parquet file of one table that is being written."""

    path: Path
    writer: pq.ParquetWriter
    rows: int = 0

    @property
    def columns(self) -> pa.Table:
        """An empty table of its columns."""
        return _plain(self.writer.schema).empty_table()


class LoadFiles:
    """The batches of a load in parquet, ready to be taken into a dlt package as they are.

    dlt's own writer builds a dictionary for every column and gives every instant the zone UTC, which the warehouse then
    takes off again: together half the time a load takes.

    A table is one file, except on Snowflake, where each file is copied by one core: there a file of ``FILE_BYTES`` is
    followed by another one.
    """

    def __init__(self, directory: Path, load_id: str, are_cut: bool) -> None:
        self.directory = directory
        self.load_id = load_id
        self.are_cut = are_cut

    def write(self, pairs: Iterable[tuple[str, pa.Table]]) -> dict[str, list[_File]]:
        """Write everything; the files by table."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        files: dict[str, list[_File]] = {}
        try:
            for table, batch in pairs:
                stamped = self._stamped(batch)
                written = files.setdefault(table, [])
                if not written or self._is_full(written[-1]):
                    written.append(self._file(f"{table}-{len(written)}", stamped.schema))
                written[-1].writer.write_table(stamped, row_group_size=stamped.num_rows)
                written[-1].rows += stamped.num_rows
        finally:
            for file in chain(*files.values()):
                file.writer.close()
        return files

    def _is_full(self, file: _File) -> bool:
        if self.are_cut and file.path.stat().st_size >= FILE_BYTES:
            file.writer.close()
            return True
        return False

    def _stamped(self, batch: pa.Table) -> pa.Table:
        indices = pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows)
        load_id = pa.DictionaryArray.from_arrays(indices, pa.array([self.load_id], TEXT))
        return batch.append_column(LOAD_COLUMNS[1].name, load_id)

    def _file(self, name: str, schema: pa.Schema) -> _File:
        path = self.directory / f"{name}.parquet"
        writer = pq.ParquetWriter(
            path,
            schema,
            use_dictionary=[column.name for column in schema if _is_text(column)],
            write_statistics=False,
            store_schema=False,
        )
        return _File(path, writer)


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([column.with_type(TEXT) if _is_text(column) else column for column in schema])


def _is_text(column: pa.Field) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_dictionary(column.type))


def _run(
    pipeline: dlt.Pipeline,
    context: IngestContext,
    source: str,
    stream: _Stream,
    pairs: Iterable[tuple[str, pa.Table]],
) -> str:
    """Extract, normalize and load the stream; the load id of its package."""
    directory = working_directory(context, source) / "batches"
    written: dict[str, list[_File]] = {}

    def import_file(table: str) -> Iterator[Any]:
        if not written:  # whichever table dlt asks for first
            load_id = load_package_state()["load_id"]
            context.warehouse.execute(
                "UPDATE ops.loads SET load_id = ? WHERE source = ? AND status = 'started'", [load_id, source]
            )
            are_cut = context.warehouse.dialect == "snowflake"
            written.update(LoadFiles(directory, load_id, are_cut).write(pairs))
        for file in written.get(table, ()):
            yield dlt.mark.with_file_import(str(file.path), "parquet", file.rows, file.columns)

    tables = [*(item.table for item in ENTITIES if item.source == source), REJECTS_TABLE]
    resources = [
        dlt.resource(
            import_file(table),
            name=table,
            columns=without_zone([*raw_tables()[table], *stream.added.get(table, ())]),
            write_disposition="append",
            schema_contract=FROZEN,
        )
        for table in tables
    ]
    try:
        pipeline.extract(resources, loader_file_format="parquet")
        pipeline.normalize()
        with LOADING:
            context.limit.check()
            info = pipeline.load(workers=COPIES)
    except PipelineStepFailed as failure:
        if stream.error is not None:
            raise stream.error from None
        raise SourceError(
            source,
            f"the warehouse did not take the load at step {failure.step!r}: {_root(failure)}",
            "Nothing of the load was kept; the next run repeats it",
        ) from failure
    finally:
        if not context.limit.is_given_up:  # the folder may be another run's by now
            shutil.rmtree(directory, ignore_errors=True)
    return str(info.loads_ids[0])


def without_zone(columns: Iterable[pa.Field]) -> dict[str, Any]:
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
