"""Failures of the OLTP: which are worth another attempt, and each in one line with cause and cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg
import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from ingestion.loading.context import GivenUpError, SourceError
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.silence import SilenceError

if TYPE_CHECKING:
    from ingestion.postgres.snapshot import OltpSource

ROW_SECURITY_CURE = (
    "Let the reader see every row: ALTER ROLE ... BYPASSRLS, as deploy/postgres/reader.sql has it (a policy for the"
    " reader is not enough, PostgreSQL cannot say that it hides nothing); the next load reads on where it stopped"
)
_REFUSALS = ("authentication failed", "does not exist", "pg_hba.conf", "permission denied")


@contextmanager
def as_psycopg_errors() -> Iterator[None]:
    """Failures of asyncpg as those of psycopg, so that each is judged and explained in one place."""
    try:
        yield
    except asyncpg.PostgresError as error:
        try:
            kind = errors.lookup(error.sqlstate or "")
        except KeyError:
            kind = psycopg.OperationalError
        raise kind(str(error)) from None
    # InternalClientError: the end of the connection was heard before the statement was sent
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        raise psycopg.OperationalError(f"connection lost: {error}") from None


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: the connection was refused or lost, the server is starting or short of means, or
    a replica had to give up a query to go on applying changes. Who says nothing is not asked again at once."""
    return (
        isinstance(error, psycopg.OperationalError)
        and not isinstance(error, errors.QueryCanceled | errors.ConnectionTimeout | SilenceError)
        and not any(refusal in str(error) for refusal in _REFUSALS)
    )


@contextmanager
def explained(source: OltpSource) -> Iterator[None]:
    """Failures of the database as one line with cause and cure, without the password."""
    try:
        yield
    except psycopg.Error as error:
        cause, cure = _cause_and_cure(error)
        # without a code of the server's own: it was not reached, or lost
        kind = GivenUpError if isinstance(error, psycopg.OperationalError) and error.sqlstate is None else SourceError
        raise kind(SOURCE, _without_password(source, cause), cure) from None


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
    if isinstance(error, SilenceError):
        return first_line, (
            "Look at the server, and at what lies between (a firewall or proxy that drops connections without a word);"
            " the next run reads on from where it stopped"
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
