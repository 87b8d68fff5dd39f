"""A snapshot of the OLTP: one read-only transaction, in UTC and UTF-8; and its failures in one line each.

Two connections share the snapshot. psycopg asks the questions; asyncpg receives what COPY sends, because it hands over
whole buffers of rows, where psycopg makes one Python object a row (a fifth of the CPU). Receiving runs in a thread, so
that rows are typed while the next ones come in.
"""

from __future__ import annotations

import asyncio
import hashlib
import queue
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import asyncpg
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingestion.contracts import Entity
from ingestion.loading.context import EPOCH, SourceError, Window
from ingestion.postgres.failures import as_psycopg_errors, explained
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.silence import AttendedConnection, SilenceError, keep_alive, keepalives, look_beside

BLOCK_BYTES = 16 * 2**20  # about 130,000 orders: bounds memory, and is large enough for Arrow to work in columns
BLOCKS_AHEAD = 2  # received while an earlier one is typed
CLOCK_TOLERANCE = timedelta(seconds=1)
TLS_SETTINGS = ("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation")


@dataclass(frozen=True)
class OltpSource:
    """How to reach the OLTP database, the primary or a read replica.

    Attributes:
        dsn: libpq connection string of a role that may read.
        statement_timeout: seconds a single statement may take at the server.
        connect_timeout: seconds.
        silence_limit: seconds without anything from a server that is not at work, after which it is given up.
        attempts: how often a load is begun before a transient failure (a lost connection, a recovery conflict on a
            replica) counts.
        deleted_columns: names, in lower case, of columns that mark a row as deleted, in whichever table has one;
            a name after a minus is known not to.
        retry_wait: the first of the doubling pauses between attempts, seconds.
    """

    dsn: str = field(repr=False)
    statement_timeout: int = 3600
    connect_timeout: int = 5
    silence_limit: float = 60.0
    attempts: int = 3
    retry_wait: float = 1.0
    deleted_columns: tuple[str, ...] = ()


class Snapshot:
    """One snapshot of the database.

    Attributes:
        replica_lag: how far its rows are behind the server's clock; below a second it is zero.
        server_time: the server's clock, UTC without a zone.
    """

    def __init__(self, source: OltpSource) -> None:
        self.source = source
        self._receiver: Receiver | None = None
        self.connection = connected(source)
        try:
            self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self.connection.read_only = True
            for name, value in _settings(source).items():
                self.connection.execute("SELECT set_config(%s, %s, true)", [name, value])
            self.server_time, self.replica_lag = self._clock()
        except BaseException:
            self.connection.close()
            raise

    @property
    def is_without_encoding(self) -> bool:
        """Whether texts of the database may be any bytes (SQL_ASCII)."""
        return is_without_encoding(self.connection)

    def rows(self, query: str | sql.Composable, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.connection.execute(query, params).fetchall()  # type: ignore[arg-type]

    def copy(self, query: sql.Composable) -> Copy:
        """What COPY sends of a query, as CSV."""
        if self._receiver is None:
            [(snapshot,)] = self.rows("SELECT pg_export_snapshot()")
            self._receiver = Receiver(self.source, self.connection, snapshot)
        return Copy(self._receiver, query.as_string(self.connection))

    def _clock(self) -> tuple[datetime, timedelta]:
        """The server's clock, and how far the rows of the snapshot are behind it.

        A replica that receives changes and has applied all of them shows its own clock's time; any other replica the
        instant of the last change it has applied.
        """
        [(now, shown)] = self.rows(
            "SELECT clock_timestamp(),"
            " CASE WHEN pg_is_in_recovery() AND NOT (EXISTS (SELECT 1 FROM pg_stat_wal_receiver)"
            " AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn())"
            " THEN pg_last_xact_replay_timestamp() ELSE clock_timestamp() END"
        )
        if shown is None:  # a replica that has applied nothing yet
            raise SourceError(SOURCE, "the replica of OLTP_DSN has applied no change yet", "Wait, or name the primary")
        difference: timedelta = now - shown
        server_time: datetime = now.astimezone(UTC).replace(tzinfo=None)
        return server_time, difference if difference > CLOCK_TOLERANCE else timedelta()

    def close(self) -> None:
        """End both connections."""
        if self._receiver is not None:
            self._receiver.close()
        self.connection.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connected(source: OltpSource) -> AttendedConnection:
    """An open connection that is given up when nothing is heard on it. Close it when it is not needed any more."""
    told = keepalives(source.silence_limit) | {"connect_timeout": source.connect_timeout}
    connection = AttendedConnection.connect(
        make_conninfo(source.dsn, application_name="insightmart", client_encoding="utf8", **told)
    )
    pid = connection.info.backend_pid
    connection.look = lambda: look_beside(source.dsn, connection, pid, source.silence_limit)
    connection.patience = source.silence_limit
    return connection


def server_time(source: OltpSource) -> datetime:
    """The server's clock, UTC without a zone.

    Raises:
        SourceError: it cannot be asked.
    """
    with explained(source), connected(source) as connection:
        [(now,)] = connection.execute("SELECT clock_timestamp()").fetchall()
    found: datetime = now.astimezone(UTC).replace(tzinfo=None)
    return found


def _settings(source: OltpSource) -> dict[str, str]:
    return {
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "statement_timeout": f"{source.statement_timeout}s",
        "lock_timeout": "60s",
        "idle_in_transaction_session_timeout": "0",  # the warehouse may be slow between two tables
        "row_security": "off",  # a policy that would hide rows raises: what is hidden must not look deleted
    }


def is_without_encoding(connection: psycopg.Connection) -> bool:
    """Whether texts of the connection's database may be any bytes (SQL_ASCII)."""
    return connection.info.parameter_status("server_encoding") == "SQL_ASCII"


class Receiver:
    """The connection that COPY sends through, in the snapshot of another."""

    def __init__(self, source: OltpSource, connection: psycopg.Connection, snapshot: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.is_without_encoding = is_without_encoding(connection)
        self._patience = source.silence_limit
        self._heard_at = monotonic()
        try:
            with as_psycopg_errors():
                opening = asyncio.wait_for(
                    self._open(source, connection, snapshot), source.connect_timeout + source.silence_limit
                )
                self.connection = self.loop.run_until_complete(opening)
        except BaseException:
            self.loop.close()
            raise

    async def _open(self, source: OltpSource, other: psycopg.Connection, snapshot: str) -> asyncpg.Connection:
        tls = {name: value for name, value in conninfo_to_dict(source.dsn).items() if name in TLS_SETTINGS}
        info = other.info
        connection = await asyncpg.connect(
            f"postgresql://?{urlencode(tls)}" if tls else None,
            host=info.host,
            port=info.port,
            user=info.user,
            password=info.password or None,
            database=info.dbname,
            timeout=source.connect_timeout,
            server_settings={"application_name": "insightmart"},
        )
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        for name, value in _settings(source).items():
            await connection.execute("SELECT set_config($1, $2, true)", name, value)
        keep_alive(connection, source.silence_limit)
        pid = connection.get_server_pid()
        self._look = lambda: look_beside(source.dsn, other, pid, source.silence_limit)
        return connection

    def copy(self, query: str, block: Any) -> int:
        """Give every buffer of whole rows to the coroutine ``block``; returns how many rows the server sent."""

        async def take(part: bytes) -> None:
            await block(part)
            self._heard_at = monotonic()

        with as_psycopg_errors():
            encoding = "SQL_ASCII" if self.is_without_encoding else "UTF8"  # of the one bytes are sent unchecked
            sent = self.connection.copy_from_query(query, output=take, format="csv", encoding=encoding)
            status = self.loop.run_until_complete(self._attended(sent))
        return int(status.removeprefix("COPY "))

    async def _attended(self, sent: Coroutine[Any, Any, str]) -> str:
        task = asyncio.ensure_future(sent)
        self._heard_at = monotonic()
        while not task.done():
            await asyncio.wait({task}, timeout=max(0.01, self._heard_at + self._patience - monotonic()))
            if not task.done() and monotonic() - self._heard_at >= self._patience:
                try:
                    self._look()
                except SilenceError:
                    self.connection.terminate()
                    await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 1)
                    raise
                self._heard_at = monotonic()
        return task.result()

    def close(self) -> None:
        """End the connection."""
        with suppress(asyncpg.InterfaceError, OSError):  # it is lost already
            self.connection.terminate()
            self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


class Copy:
    """The rows of one COPY, in blocks of whole CSV rows; afterwards what they were, in numbers.

    Attributes:
        rows: how many rows the server says it sent.
        bytes: of CSV.
        content_hash: SHA-256 of the CSV.
    """

    def __init__(self, receiver: Receiver, query: str) -> None:
        self.receiver = receiver
        self.query = query
        self.rows = self.bytes = 0
        self._hash = hashlib.sha256()
        self._blocks: queue.Queue[bytes | BaseException | None] = queue.Queue(BLOCKS_AHEAD)
        self._abandoned = threading.Event()

    @property
    def content_hash(self) -> str:
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        thread = threading.Thread(target=self._receive, name="oltp-copy", daemon=True)
        thread.start()
        try:
            while (block := self._blocks.get()) is not None:
                if isinstance(block, BaseException):
                    raise block
                self.bytes += len(block)
                self._hash.update(block)
                yield block
        finally:
            self._abandoned.set()
            thread.join()

    def _receive(self) -> None:
        parts: list[bytes] = []
        size = 0

        async def take(part: bytes) -> None:
            nonlocal size
            parts.append(part)
            size += len(part)
            if size >= BLOCK_BYTES:
                self._put(b"".join(parts))
                parts.clear()
                size = 0

        try:
            self.rows = self.receiver.copy(self.query, take)
            if parts:
                self._put(b"".join(parts))
            self._put(None)
        except _AbandonedError:
            pass
        except BaseException as error:  # noqa: BLE001 (raised by whoever takes the blocks)
            with suppress(_AbandonedError):
                self._put(error)

    def _put(self, item: bytes | BaseException | None) -> None:
        while not self._abandoned.is_set():
            with suppress(queue.Full):
                self._blocks.put(item, timeout=0.1)
                return
        raise _AbandonedError


class _AbandonedError(Exception):
    """Nobody takes the rows any more."""


# --- parts of statements -----------------------------------------------------------------------------------------


def table(item: Entity) -> sql.Composable:
    """The entity's table."""
    return sql.Identifier("public", item.name)


def instant(value: Any) -> sql.Composable:
    """A UTC instant without a zone as a literal: COPY takes no parameters."""
    return sql.Literal(value.replace(tzinfo=UTC))


def changed_in(window: Window) -> sql.Composable:
    """``updated_at`` in the window."""
    end = sql.SQL("updated_at < {}").format(instant(window.end))
    if window.start == EPOCH:
        return end
    return sql.SQL("updated_at >= {} AND {}").format(instant(window.start), end)
