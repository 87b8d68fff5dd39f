"""Connections to DuckDB that tell of each moment between two statements, whoever opens them in this process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import duckdb

_STATEMENTS = frozenset(
    ("execute", "executemany", "sql", "query", "begin", "commit", "rollback", "register", "unregister")
)
_turn = threading.RLock()  # nobody else is within a statement at such a moment


class WatchedConnection:
    """A connection, or a cursor of one; what is no statement is DuckDB's own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, point: Callable[[str], None]) -> None:
        self._connection = connection
        self._point = point
        connection.execute("SET python_scan_all_frames = TRUE")  # a table in memory is named by who calls this object

    def cursor(self) -> WatchedConnection:
        """Another connection to the same database."""
        return WatchedConnection(self._connection.cursor(), self._point)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        return self._watched(name, found) if name in _STATEMENTS else found

    def _watched(self, name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def running(*arguments: Any, **named: Any) -> Any:
            with _turn:
                self._point(str(arguments[0]) if arguments else name)
                result = run(*arguments, **named)
            return self if result is self._connection else result

        return running

    def __enter__(self) -> WatchedConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def watch(point: Callable[[str], None]) -> None:
    """From here on ``point`` is called before each statement, with its text, by whoever sends it."""
    plain = duckdb.connect

    def connect(*arguments: Any, **named: Any) -> Any:
        return WatchedConnection(plain(*arguments, **named), point)

    replaced: Callable[..., Any] = connect
    duckdb.connect = replaced


def kill(before: int) -> None:
    """From here on: kill this process before its statement of this number, counted over all its connections."""
    counted = count(1)

    def point(statement: str) -> None:
        if next(counted) == before:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(point)
