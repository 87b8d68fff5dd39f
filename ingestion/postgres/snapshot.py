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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import urlencode

import asyncpg
import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict

from ingestion.clock import utc_now
from ingestion.contracts import Entity
from ingestion.loading.context import EPOCH, SourceError, Window
from ingestion.postgres.rows import SOURCE

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
        attempts: how often a load is begun before a transient failure (a lost connection, a recovery conflict on a
            replica) counts.
        deleted_columns: names, in lower case, of columns that mark a row as deleted, in whichever table has one;
            a name after a minus is known not to.
        retry_wait: the first of the doubling pauses between attempts, seconds.
    """

    dsn: str = field(repr=False)
    statement_timeout: int = 3600
    connect_timeout: int = 5
    attempts: int = 3
    retry_wait: float = 1.0
    deleted_columns: tuple[str, ...] = ()


class Snapshot:
    """One snapshot of the database. ``replica_lag`` says how far it is behind our clock; below a second it is zero."""

    def __init__(self, source: OltpSource) -> None:
        self.source = source
        self._receiver: Receiver | None = None
        self.connection = psycopg.connect(
            source.dsn,
            connect_timeout=source.connect_timeout,
            application_name="insightmart",
            client_encoding="utf8",
        )
        try:
            self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self.connection.read_only = True
            for name, value in _settings(source).items():
                self.connection.execute("SELECT set_config(%s, %s, true)", [name, value])
            self.replica_lag = self._replica_lag()
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

    def _replica_lag(self) -> timedelta:
        """How far the rows of the snapshot are behind our clock.

        A replica that receives changes and has applied all of them shows its own clock's time; any other replica the
        instant of the last change it has applied.
        """
        asked = utc_now()
        [(shown,)] = self.rows(
            "SELECT CASE WHEN pg_is_in_recovery() AND NOT (EXISTS (SELECT 1 FROM pg_stat_wal_receiver)"
            " AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn())"
            " THEN pg_last_xact_replay_timestamp() ELSE clock_timestamp() END"
        )
        if shown is None:  # a replica that has applied nothing yet
            raise SourceError(SOURCE, "the replica of OLTP_DSN has applied no change yet", "Wait, or name the primary")
        difference: timedelta = asked - shown.astimezone(UTC).replace(tzinfo=None)
        return difference if difference > CLOCK_TOLERANCE else timedelta()

    def close(self) -> None:
        """End both connections."""
        if self._receiver is not None:
            self._receiver.close()
        self.connection.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        try:
            with _as_psycopg_errors():
                self.connection = self.loop.run_until_complete(self._open(source, connection, snapshot))
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
        return connection

    def copy(self, query: str, block: Any) -> int:
        """Give every buffer of whole rows to the coroutine ``block``; returns how many rows the server sent."""
        with _as_psycopg_errors():
            encoding = "SQL_ASCII" if self.is_without_encoding else "UTF8"  # of the one bytes are sent unchecked
            sent = self.connection.copy_from_query(query, output=block, format="csv", encoding=encoding)
            status = self.loop.run_until_complete(sent)
        return int(status.removeprefix("COPY "))

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


# --- failures ----------------------------------------------------------------------------------------------------

ROW_SECURITY_CURE = (
    "Let the reader see every row: ALTER ROLE ... BYPASSRLS, as deploy/postgres/reader.sql has it (a policy for the"
    " reader is not enough, PostgreSQL cannot say that it hides nothing); the next load reads on where it stopped"
)
_REFUSALS = ("authentication failed", "does not exist", "pg_hba.conf", "permission denied")


@contextmanager
def _as_psycopg_errors() -> Iterator[None]:
    """Failures of asyncpg as those of psycopg, so that each is judged and explained in one place."""
    try:
        yield
    except asyncpg.PostgresError as error:
        try:
            kind = errors.lookup(error.sqlstate or "")
        except KeyError:
            kind = psycopg.OperationalError
        raise kind(str(error)) from None
    except (asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise psycopg.OperationalError(f"connection lost: {error}") from None


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: the connection was refused or lost, the server is starting or short of means, or
    a replica had to give up a query to go on applying changes."""
    return (
        isinstance(error, psycopg.OperationalError)
        and not isinstance(error, errors.QueryCanceled)
        and not any(refusal in str(error) for refusal in _REFUSALS)
    )


@contextmanager
def explained(source: OltpSource) -> Iterator[None]:
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
    if isinstance(error, errors.InsufficientPrivilege) and "row-level security" in first_line:
        return first_line, ROW_SECURITY_CURE
    if isinstance(error, errors.InsufficientPrivilege):
        return first_line, "Grant the role of OLTP_DSN what deploy/postgres/reader.sql lists"
    if isinstance(error, errors.QueryCanceled):
        return first_line, (
            "Give updated_at an index, load shorter windows (--from, --to), or raise OLTP_STATEMENT_TIMEOUT"
        )
    if isinstance(error, errors.SerializationFailure):
        return (
            first_line,
            "Let the replica wait longer (max_standby_streaming_delay, hot_standby_feedback), or try later",
        )
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
