"""The rows of a subject as Parquet, as its data source has them: each with the dimensions joined to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.warehouse import Warehouse
from insightmart.definitions.subjects import Dimension, Subject, SubjectField

_ARROW = {
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TEXT": pa.string(),
    "VARCHAR": pa.string(),
}

# table of certified -> column -> its type, all in lower case
Columns = Mapping[str, Mapping[str, pa.DataType]]


@dataclass(frozen=True)
class SubjectRows:
    """A query for the rows of a subject, and what they look like.

    Attributes:
        sql: the query, with ``?`` for the values of ``params``.
        schema: captions as names, types as the warehouse declares them.
    """

    sql: str
    params: Sequence[Any]
    schema: pa.Schema


def certified_columns(warehouse: Warehouse) -> Columns:
    """The columns of every certified table that is there, in order."""
    found: dict[str, dict[str, pa.DataType]] = {}
    for table, column, kind, precision, scale in warehouse.rows(
        "SELECT LOWER(table_name), LOWER(column_name), data_type, numeric_precision, numeric_scale"
        " FROM information_schema.columns WHERE UPPER(table_schema) = 'CERTIFIED' ORDER BY table_name, ordinal_position"
    ):
        found.setdefault(table, {})[column] = _arrow_type(kind, precision, scale)
    return found


def _arrow_type(kind: str, precision: int | None, scale: int | None) -> pa.DataType:
    if precision is not None and scale:
        return pa.decimal128(precision, scale)
    return pa.int64() if precision is not None else _ARROW[kind]


def rows_of(subject: Subject, fields: Sequence[SubjectField], columns: Columns, since: date | None) -> SubjectRows:
    """The query for a subject's rows, without what is hidden.

    Args:
        subject: what is asked for.
        fields: its columns.
        columns: the types of them.
        since: first business date; None for all. A subject without business dates has all its rows.
    """
    shown = [field for field in fields if not field.is_hidden]
    listed = ", ".join(f"{field.table}.{field.column}" for field in shown)
    joins = " ".join(
        f"LEFT JOIN {_rows(dimension.table, dimension)} ON {dimension.table}.{dimension.key} = {subject.table}.{column}"
        for dimension, column in subject.joined
    )
    is_dated = since is not None and "business_date" in columns[subject.table]
    condition = f" WHERE {subject.table}.business_date >= ?" if is_dated else ""
    return SubjectRows(
        f"SELECT {listed} FROM {_rows(subject.table, subject.whole)} {joins}{condition}",
        [since] if is_dated else [],
        pa.schema([(field.caption, columns[field.table][field.column]) for field in shown]),
    )


def _rows(table: str, dimension: Dimension | None) -> str:
    if dimension is None or not dimension.rows:
        return f"certified.{table} AS {table}"
    return f"(SELECT * FROM certified.{table} WHERE {dimension.rows}) AS {table}"


def write_parquet(warehouse: Warehouse, rows: SubjectRows, path: Path) -> int:
    """Write the rows, some at a time, and return how many there are."""
    count = 0
    with pq.ParquetWriter(path, rows.schema) as writer:
        for part in warehouse.arrow_parts(rows.sql, rows.params, rows.schema):
            writer.write_table(part)
            count += part.num_rows
    return count
