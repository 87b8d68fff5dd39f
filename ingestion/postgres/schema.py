"""The columns that the OLTP's tables have now, held against the contract before anything is read.

A column that the contract does not know is recorded in ``ops.source_columns`` and loaded from then on. One that the
contract needs and that is missing, or has a type that could not be read exactly, stops its entity.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from psycopg import sql

from ingestion.contracts import DATE, DELETED_AT, FLAG, INSTANT, INT, ROW_HASH, TEXT, Entity
from ingestion.loading.context import IngestContext, SourceError
from ingestion.postgres.failures import ROW_SECURITY_CURE
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.snapshot import Snapshot, table
from ingestion.warehouse import sql_type

INTEGERS = ("int2", "int4", "int8")
NUMBERS = (*INTEGERS, "numeric")
EXACT_TYPES = {**dict.fromkeys(INTEGERS, INT), "bool": FLAG, "date": DATE, "timestamp": INSTANT, "timestamptz": INSTANT}
INSTANTS = ("date", "timestamp", "timestamptz")
MARKS = ("deleted", "deleted_at", "deleted_on", "deletedat", "is_deleted", "isdeleted", "removed_at", "is_removed")
PRECISION = 38  # of the widest exact number of the warehouse


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source has it: its name, its type as PostgreSQL writes it, and what that type is underneath."""

    name: str
    declared: str
    type_name: str
    category: str
    typmod: int


@dataclass(frozen=True)
class AddedColumn:
    """A column beyond the contract: its name at the source, and the raw column it lands in."""

    live: SourceColumn
    column: pa.Field


def added_columns(context: IngestContext, snapshot: Snapshot, item: Entity) -> tuple[AddedColumn, ...]:
    """The columns of the entity's table beyond the contract, in the table's order. New ones are recorded.

    Raises:
        SourceError: the table, a column of the contract or the right to read it is missing, a policy may hide rows, or
            a column has a type that the contract's cannot be read from exactly. Nothing has been written then.
    """
    live = _live_columns(snapshot, item)
    known = {column.name: column for column in live}
    for expected in item.columns:
        found = known.pop(expected.name, None)
        if found is None or not _readable(found, expected.type):
            raise SourceError(
                SOURCE,
                f"{item.name}.{expected.name} {'is gone' if found is None else 'has the type ' + found.declared} at the"
                f" source, expected {_wanted(expected.type)}: nothing of {item.name} was loaded",
                "Give the column back, or change ingestion/contracts.py and the models that read it",
            )
    return tuple(_recorded(context, item, [column for column in live if column.name in known]))


def soft_deleted(snapshot: Snapshot, item: Entity) -> sql.Composable | None:
    """SQL for rows that a declared column (``OltpSource.deleted_columns``) marks as deleted; None without such one.

    A date or an instant marks by being there, a yes/no value by being true, a whole number by not being 0.

    Raises:
        SourceError: a declared column is of another type.
    """
    declared = snapshot.source.deleted_columns
    marks = []
    for column in _live_columns(snapshot, item) if declared else ():
        if column.name.lower() not in declared:
            continue
        name = sql.Identifier(column.name)
        if column.type_name == "bool":
            marks.append(sql.SQL("COALESCE({}, FALSE)").format(name))
        elif column.type_name in INTEGERS:
            marks.append(sql.SQL("COALESCE({}, 0) <> 0").format(name))
        elif column.type_name in INSTANTS:
            marks.append(sql.SQL("{} IS NOT NULL").format(name))
        else:
            raise SourceError(
                SOURCE,
                f"{item.name}.{column.name} has the type {column.declared}, which cannot say whether a row is deleted",
                "Take it out of OLTP_DELETED_COLUMNS, or make it a boolean or an instant",
            )
    return sql.SQL("({})").format(sql.SQL(" OR ").join(marks)) if marks else None


def undeclared_marks(snapshot: Snapshot, added: Sequence[AddedColumn]) -> list[str]:
    """Columns beyond the contract whose names say that they mark deleted rows, and that nobody has declared."""
    names = [column.live.name for column in added if column.live.name.lower() in MARKS]
    declared = snapshot.source.deleted_columns
    return [name for name in names if not {name.lower(), f"-{name.lower()}"} & set(declared)]


def fits(context: IngestContext, snapshot: Snapshot, item: Entity) -> bool:
    """Whether the entity's table can be read by its contract."""
    try:
        added_columns(context, snapshot, item)
    except SourceError:
        return False
    return True


def _live_columns(snapshot: Snapshot, item: Entity) -> list[SourceColumn]:
    found = snapshot.rows(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), COALESCE(b.typname, t.typname), t.typcategory,"
        " CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END,"
        " has_column_privilege(c.oid, a.attnum, 'SELECT'), row_security_active(c.oid)"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid"
        " LEFT JOIN pg_type AS b ON b.oid = t.typbasetype"
        " WHERE n.nspname = 'public' AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [item.name],
    )
    if not found:
        raise SourceError(SOURCE, f"public.{item.name} does not exist", "Create it, or name the database that has it")
    needed = {column.name for column in item.columns}
    if any(name in needed and not may_read for name, *_, may_read, _ in found):
        raise SourceError(
            SOURCE,
            f"the role of OLTP_DSN may not read public.{item.name}",
            "Grant the role what deploy/postgres/reader.sql lists",
        )
    if any(is_filtered for *_, is_filtered in found):
        raise SourceError(
            SOURCE,
            f"public.{item.name} has row-level security, and the role of OLTP_DSN is not exempt from it: rows that a"
            f" policy hides would look deleted, so nothing of {item.name} was loaded or deleted",
            ROW_SECURITY_CURE,
        )
    return [SourceColumn(*column) for *column, may_read, _ in found if may_read]


def _readable(live: SourceColumn, kind: pa.DataType) -> bool:
    """Whether values of the live type are read as the contract's, each exactly or as a reject."""
    if pa.types.is_decimal(kind) or kind == INT:
        return live.type_name in NUMBERS
    if kind == TEXT:
        return live.category in "SE"  # text of any kind, and enumerations
    return live.type_name == {INSTANT: "timestamptz", FLAG: "bool", DATE: "date"}[kind]


def _wanted(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    return {INT: "bigint", TEXT: "text", INSTANT: "timestamp with time zone", FLAG: "boolean", DATE: "date"}[kind]


def _raw_type(live: SourceColumn) -> pa.DataType:
    """The type a column beyond the contract has in raw: exact, else its text."""
    if live.type_name == "numeric" and live.typmod >= 4:
        precision, scale = (live.typmod - 4) >> 16, (live.typmod - 4) & 0x7FF
        if scale <= precision <= PRECISION:  # a negative scale reads as one above 1000
            return pa.decimal128(precision, scale)
    return EXACT_TYPES.get(live.type_name, TEXT)


def _recorded(context: IngestContext, item: Entity, live: Sequence[SourceColumn]) -> list[AddedColumn]:
    """Raw columns for these, the same ones each time; a column whose type has changed gets another one."""
    if not live:
        return []
    known = {
        (name, kind): column
        for name, kind, column in context.warehouse.rows(
            "SELECT source_column, raw_type, raw_column FROM ops.source_columns WHERE source = ? AND entity = ?",
            [SOURCE, item.name],
        )
    }
    taken = {column.name for column in item.raw_columns} | set(known.values())
    added = []
    for column in live:
        kind = _raw_type(column)
        name = known.get((column.name, sql_type(kind)))
        if name is None:
            name = _safe_name(column.name, taken)
            taken.add(name)
            _record(context, item, column, name, kind)
        added.append(AddedColumn(column, pa.field(name, kind)))
    return added


def _safe_name(name: str, taken: set[str]) -> str:
    plain = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")
    plain = plain if plain[:1].isalpha() else f"column_{plain}".strip("_")
    return next(
        choice
        for number in range(1, len(taken) + 2)
        if (choice := plain if number == 1 else f"{plain}_{number}") not in taken
    )


def _record(context: IngestContext, item: Entity, live: SourceColumn, name: str, kind: pa.DataType) -> None:
    row = {
        "source": SOURCE,
        "entity": item.name,
        "source_column": live.name,
        "source_type": live.declared,
        "raw_column": name,
        "raw_type": sql_type(kind),
        "first_seen_at": context.as_of,
    }
    context.warehouse.insert("ops.source_columns", [row])
    context.progress(
        f"oltp {item.name}: column {live.name} ({live.declared}) is new, loaded as raw.{item.table}.{name}"
    )


def copy_query(
    item: Entity,
    added: Sequence[AddedColumn],
    condition: sql.Composable,
    deleted: sql.Composable | None = None,
    found_at: datetime | None = None,
) -> sql.Composable:
    """The rows as COPY is to send them: the columns of ``sent_columns``, instants in UTC.

    Args:
        item: the entity.
        added: its columns beyond the contract.
        condition: which rows.
        deleted: which of them are deleted, as ``soft_deleted`` says: tombstones as of their last change.
        found_at: when one without a last change was found to be deleted.
    """
    columns = [_contract_column(column) for column in item.columns]
    if deleted is None:
        columns.append(row_hash(item))
    else:  # a tombstone has no hash: it is another version than the row before it, however alike
        columns.append(sql.SQL("CASE WHEN NOT {} THEN {} END").format(deleted, row_hash(item)))
        literal = sql.Literal(found_at and found_at.replace(tzinfo=UTC))
        changed = sql.SQL("COALESCE(updated_at, {}::timestamptz) AT TIME ZONE 'UTC'").format(literal)
        columns.append(sql.SQL("CASE WHEN {} THEN {} END").format(deleted, changed))
    columns += [_added_column(column) for column in added]
    return sql.SQL("SELECT {} FROM {} WHERE {}").format(sql.SQL(", ").join(columns), table(item), condition)


def sent_columns(added: Sequence[AddedColumn], deleted: sql.Composable | None) -> list[pa.Field]:
    """What COPY sends after the contract's columns."""
    return [ROW_HASH, *([DELETED_AT] if deleted is not None else []), *(column.column for column in added)]


def row_hash(item: Entity) -> sql.Composable:
    """A hash of the text of a row's columns of the contract, 64 bits: what tells two contents of a row apart."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in item.columns)
    return sql.SQL('hashtextextended(ROW({})::text COLLATE "C", 0)').format(columns)


def _contract_column(column: pa.Field) -> sql.Composable:
    name = sql.Identifier(column.name)
    return sql.SQL("{} AT TIME ZONE 'UTC'").format(name) if column.type == INSTANT else name


def _added_column(added: AddedColumn) -> sql.Composable:
    name = sql.Identifier(added.live.name)
    if added.live.type_name == "timestamptz":
        return sql.SQL("{} AT TIME ZONE 'UTC'").format(name)
    return sql.SQL("{}::text").format(name) if added.column.type == TEXT else name
