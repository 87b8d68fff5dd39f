"""A warehouse on DuckDB that tells how many rows its statements look at, whoever sends them: SQLMesh, Soda, our own.

In the process that is measured ``duckdb.connect`` is replaced: connections to the warehouse have DuckDB profile every
statement. Tables are kept in small groups of rows, so that what a scan cannot leave out is little beside what it asks
for: DuckDB's own groups of 122,880 rows would hold weeks of a small history, and hide what grows.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from bench.raw_rows import ROWS_A_GROUP
from ingestion.warehouse import DATABASE

_PHYSICAL = re.compile(r"^(?:\w+\.)?sqlmesh__(\w+)\.\1__(\w+?)__\d+$", re.IGNORECASE)
_VARIES = re.compile(r"/\*.*?\*/|(?<=GATE_SCAN_)\w+|'[^']*'|\b\d[\d.]*\b|\s+|(?<=__)\d+(_[a-z0-9]{8}(?=\"))?")

_COPY_FOR_READERS = re.compile(r"(ATTACH '.*' AS readers \(.*)\)")


@dataclass
class Counts:
    """What was asked of the warehouse.

    Attributes:
        counting: whether rows are counted, which takes a little time of each statement.
        statements: how many were sent.
        rows: by table and by the beginning of the statement, how many rows scans looked at.
    """

    counting: bool = False
    statements: int = 0
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)


class CountedConnection:
    """A connection, or a cursor of one; everything that is not named here is DuckDB's own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, counts: Counts) -> None:
        self._connection = connection
        self._counts = counts
        connection.execute(f"USE {DATABASE}")
        connection.execute("SET profiling_coverage = 'ALL'")
        connection.execute("SET enable_progress_bar = FALSE")

    def cursor(self) -> CountedConnection:
        """Another connection to the same database."""
        return CountedConnection(self._connection.cursor(), self._counts)

    def execute(self, query: Any, *arguments: Any, **named: Any) -> Any:
        """Run a statement; its rows are fetched here."""
        self._counts.statements += 1
        if copy := _COPY_FOR_READERS.fullmatch(str(query)):
            query = f"{copy[1]}, ROW_GROUP_SIZE {ROWS_A_GROUP})"
        if self._counts.counting:
            self._connection.execute("SET enable_profiling = 'no_output'")
        self._connection.execute(query, *arguments, **named)
        if self._counts.counting and (profile := self._connection.get_profiling_information("json")):
            begins = _VARIES.sub(" ", str(query))[:200]
            for table, rows in _scans(json.loads(profile)):
                self._counts.rows[table, begins] += rows
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> CountedConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def connect_counted(path: Path) -> Counts:
    """From here on, whoever opens the warehouse in this process gets a connection that counts."""
    counts, plain = Counts(), duckdb.connect
    opened: list[duckdb.DuckDBPyConnection] = []

    def connect(database: Any = ":memory:", *arguments: Any, **named: Any) -> Any:
        if Path(str(database)) != path:
            return plain(database, *arguments, **named)
        if not opened:
            opened.append(plain())
            opened[0].execute(f"ATTACH '{path}' AS {DATABASE} (ROW_GROUP_SIZE {ROWS_A_GROUP})")
        return CountedConnection(opened[0].cursor(), counts)

    replaced: Callable[..., Any] = connect
    duckdb.connect = replaced
    return counts


def _scans(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    if plan.get("operator_type") == "TABLE_SCAN" and (table := plan["extra_info"].get("Table")):
        name = table.removeprefix(f"{DATABASE}.")
        yield _PHYSICAL.sub(r"\1.\2", name).lower(), plan["operator_rows_scanned"]
    for child in plan.get("children", ()):
        yield from _scans(child)
