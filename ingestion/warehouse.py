"""The one way to open the warehouse: local DuckDB or Snowflake, the same SQL on both.

Statements are written in the part of SQL that both engines share, with ``?`` for bound values.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

DATABASE = "INSIGHTMART"
# Of local files. The format that DuckDB writes by itself, which versions before 1.3 can read too, takes the processor a
# third longer to write: docs/performance.md.
STORAGE_VERSION = "v1.3.0"
BOUNDED_MEMORY = "600MiB"
# Snowflake's connector sends more values than these through a stage, where it writes instants as text without a type.
BOUND_AT_ONCE = 60_000
ARROW_ROWS = 100_000  # of DuckDB at a time

# How values of a column are told to Snowflake. Left alone, its connector tells a column with values and NULLs in it as
# text, in which instants and dates are bare numbers that Snowflake has to guess the unit of.
_BOUND_TYPES = {
    bool: "BOOLEAN",
    int: "FIXED",
    Decimal: "FIXED",
    float: "REAL",  # seconds that something took; never money
    str: "TEXT",
    datetime: "TIMESTAMP_NTZ",
    date: "DATE",
}

_SQL_TYPES = {
    pa.int64(): "BIGINT",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP_NTZ",
}


def sql_type(kind: pa.DataType) -> str:
    """The warehouse type of an Arrow type, spelled for Snowflake (DuckDB reads TIMESTAMP for TIMESTAMP_NTZ)."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _SQL_TYPES[kind]


class Cursor(Protocol):
    """The part of a DB-API cursor that both drivers have."""

    def execute(self, sql: str, params: Any = ...) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def fetchmany(self, size: int = ...) -> list[Any]: ...


class Warehouse:
    """An open connection with the few operations the pipeline's own Python needs.

    Args:
        connection: a DuckDB or Snowflake connection (Snowflake: opened with ``paramstyle='qmark'``).
        dialect: ``duckdb`` or ``snowflake``.
        turns: lock shared by the connections of one process, one a thread: their transactions take turns, so that what
            one looks up before it writes still holds when it has written. None: this is the only connection.
    """

    def __init__(self, connection: Any, dialect: str, turns: threading.Lock | None = None) -> None:
        self.connection = connection
        self.dialect = dialect
        self.turns = turns or threading.Lock()

    @contextmanager
    def bounded_memory(self) -> Iterator[None]:
        """Keep DuckDB from filling memory, of which it takes 80 % by itself, with a table that is only written."""
        if self.dialect != "duckdb":
            yield
            return
        self.execute(f"SET memory_limit = '{BOUNDED_MEMORY}'")
        try:
            yield
        finally:
            self.execute("RESET memory_limit")

    def checkpoint(self) -> None:
        """Put new rows where they stay. DuckDB does it by itself when it closes: all at once, in unbounded memory."""
        if self.dialect == "duckdb":
            with suppress(duckdb.TransactionException):  # another connection is writing: the next time will do
                self.execute("CHECKPOINT")

    def rewrite(self) -> None:
        """Write the local file anew, with nothing of what deleted and changed rows have left in it. On Snowflake Time
        Travel and Fail-safe let go by themselves.

        DuckDB keeps freed blocks as they are until it needs them, and blocks that small columns share longer. It needs
        as much room on the disk as the file takes. No other connection may be open. Killed, the old file is there.

        Raises:
            OSError: the disk has not enough room.
        """
        if self.dialect != "duckdb":
            return
        [(name, file)] = self.rows("SELECT database_name, path FROM duckdb_databases() WHERE NOT internal")
        path = Path(file)
        copy = path.with_name("rewritten.duckdb")
        copy.unlink(missing_ok=True)
        self.execute("CHECKPOINT")
        if (room := shutil.disk_usage(path.parent).free) < path.stat().st_size:
            raise OSError(f"{path} has {path.stat().st_size:,} bytes, and {room:,} are free beside it")
        with self.bounded_memory():
            quoted = str(copy).replace("'", "''")
            self.execute(f"ATTACH '{quoted}' AS rewritten (STORAGE_VERSION '{STORAGE_VERSION}')")
            self.execute(f'COPY FROM DATABASE "{name}" TO rewritten')
            self.execute("DETACH rewritten")
        self.connection.close()
        copy.replace(path)
        self.connection = duckdb.connect(str(path))

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        """Run one statement and throw its result away."""
        self._run(sql, params)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, as tuples."""
        return [tuple(row) for row in self._run(sql, params).fetchall()]

    def streamed(self, sql: str, params: Sequence[Any] = (), at_once: int = 5_000) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, so many at a time, for answers that no memory should hold. Nothing else may be asked on
        the connection until the last one is read."""
        cursor = self._run(sql, params)
        while found := cursor.fetchmany(at_once):
            yield from (tuple(row) for row in found)

    def records(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query, as dictionaries with lower-case column names."""
        cursor = self._run(sql, params)
        names = [column[0].lower() for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def arrow(self, sql: str, params: Sequence[Any], schema: pa.Schema) -> pa.Table:
        """All rows of a query as Arrow, with the names and types of ``schema`` (columns in its order)."""
        return pa.concat_tables([schema.empty_table(), *self.arrow_parts(sql, params, schema)])

    def arrow_parts(self, sql: str, params: Sequence[Any], schema: pa.Schema) -> Iterator[pa.Table]:
        """The same, some rows at a time, for answers that no memory should hold. Nothing else may be asked on the
        connection until the last part is read."""
        cursor = self._run(sql, params)
        # Snowflake chooses the types of each part by the values in it
        parts = (
            (pa.Table.from_batches([batch]) for batch in cursor.to_arrow_reader(ARROW_ROWS))
            if self.dialect == "duckdb"
            else cursor.fetch_arrow_batches()
        )
        for part in parts:
            yield part.rename_columns(schema.names).cast(schema)

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None when there is no row."""
        found = self._run(sql, params).fetchall()
        return found[0][0] if found else None

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert a few records (all with the same keys). Bulk data goes through dlt, never through here."""
        if not rows:
            return
        names = list(rows[0])
        columns = ", ".join(f'"{name.upper()}"' for name in names)  # quoted: ROWS is a reserved word on Snowflake
        mark = f"({', '.join('?' * len(names))})"
        values = [tuple(row[name] for name in names) for row in rows]
        if self.dialect == "snowflake":  # sends each column as one array
            typed = _with_types(values)
            at_once = max(BOUND_AT_ONCE // len(names), 1)
            for start in range(0, len(typed), at_once):
                self.connection.cursor().executemany(
                    f"INSERT INTO {table} ({columns}) VALUES {mark}", typed[start : start + at_once]
                )
            return
        for start in range(0, len(values), 50):  # DuckDB takes 1 ms a row one by one, a sixth of it in batches
            batch = values[start : start + 50]
            marks = ", ".join([mark] * len(batch))
            self.execute(f"INSERT INTO {table} ({columns}) VALUES {marks}", [value for row in batch for value in row])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing for the statements inside."""
        with self.turns:
            self.execute("BEGIN")
            try:
                yield
            except BaseException:
                with suppress(Exception):  # a lost connection has rolled back by itself: the first error says more
                    self.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    def interrupt(self) -> None:
        """Stop a statement that is under way, from whichever thread; on Snowflake its limit does."""
        if self.dialect == "duckdb":
            self.connection.interrupt()

    def take_away(self) -> None:
        """Whoever still works with it, in a thread that nobody waits for any more, fails at his next statement. None of
        his transactions is under way then."""
        with self.turns:
            self.connection = _TakenAway()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, sql: str, params: Sequence[Any]) -> Any:
        if self.dialect == "duckdb":
            return self.connection.execute(sql.replace("TIMESTAMP_NTZ", "TIMESTAMP"), list(params))
        return self.connection.cursor().execute(sql, list(params) or None)


class _TakenAway:
    """In place of a connection."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the warehouse was taken away: the run has gone on without this source")


def _with_types(rows: Sequence[tuple[Any, ...]]) -> list[tuple[tuple[str, Any], ...]]:
    """Values with the type of their column, NULLs too, as Snowflake's connector takes them."""
    kinds = [
        next((_bound_type(value) for value in column if value is not None), "TEXT")
        for column in zip(*rows, strict=True)
    ]
    return [tuple(zip(kinds, row, strict=True)) for row in rows]


def _bound_type(value: Any) -> str:
    for kind, name in _BOUND_TYPES.items():
        if isinstance(value, kind):
            return name
    raise TypeError(f"nobody has said how a {type(value).__name__} is bound on Snowflake")


def bind(sql: str, **values: Any) -> tuple[str, list[Any]]:
    """A statement with ``:name`` marks as one with ``?`` marks, which both engines take, and its values in order.

    Instants are cast, so that both engines know their type. Raises KeyError for a mark without a value.
    """
    order: list[Any] = []

    def mark(match: re.Match[str]) -> str:
        value = values[match[1]]
        order.append(value)
        return "CAST(? AS TIMESTAMP_NTZ)" if isinstance(value, datetime) else "?"

    return re.sub(r"(?<!:):([a-z_]+)", mark, sql), order


def exact_sum(value: str) -> str:
    """SQL for the sum of a value with a declared type: whatever an engine makes of SUM, totals are decimals."""
    return f"CAST(SUM({value}) AS DECIMAL(38, 4))"


def open_duckdb(path: Path) -> Warehouse:
    """Open (or create) the local warehouse file.

    Several connections of one process share the file; a second process is refused by DuckDB itself.

    Raises:
        duckdb.IOException: another process has the file open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        quoted = str(path).replace("'", "''")
        with duckdb.connect() as creating:
            creating.execute(f"ATTACH '{quoted}' AS created (STORAGE_VERSION '{STORAGE_VERSION}')")
    return Warehouse(duckdb.connect(str(path)), "duckdb")
