"""Sessions on Snowflake: how one is opened, what it is told, what its statements are tagged with, who uses it next.

Whatever the pipeline sends goes through here: its own statements, SQLMesh's, dlt's and Soda's. A session that is closed
waits for the next one who asks for its like: to open one costs more than most statements.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from ingestion.warehouse import DATABASE
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.runs import run_under_way
from insightmart.settings import Settings
from insightmart.snowflake_keys import private_key
from insightmart.snowflake_refusals import lacking, refusal

Workload = Literal["load", "transform", "gate", "report"]

LOCK_TIMEOUT = 600  # seconds a statement waits for another one's table; whoever holds it so long is stuck
LOGIN_TIMEOUT, NETWORK_TIMEOUT = 60, 300  # seconds with retries; the connector would go on for ever by itself
APPLICATION = "insightmart"

# What opens a transaction that has to be ended: after what only reads, and after DDL, there is nothing to commit.
_BEGIN = re.compile(r"(\s|/\*.*?\*/)*BEGIN\b", re.I | re.S)
_CHANGE = re.compile(r"(\s|/\*.*?\*/)*(BEGIN|COPY|DELETE|INSERT|MERGE|TRUNCATE|UPDATE)\b", re.I | re.S)

_ENDED = re.compile(r"\s*(COMMIT|ROLLBACK)\b", re.I)

_model: ContextVar[str | None] = ContextVar("model", default=None)
_writer: str | None = None  # of the process: who holds the lease sends everything as its holder
_under_way = 0  # statements that wait for their answer
_is_left = False
_idle: dict[tuple[Any, ...], list[Any]] = {}
_one_at_a_time = threading.Lock()


@contextmanager
def working_on(model: str) -> Iterator[None]:
    """What is sent inside is tagged with the model, named ``layer.table``."""
    before = _model.set(model)
    try:
        yield
    finally:
        _model.reset(before)


@contextmanager
def sending_as(writer: str) -> Iterator[None]:
    """What this process sends inside is tagged with the name of a holder of the writer's lease."""
    global _writer, _is_left
    _writer, _is_left = writer, False
    try:
        yield
    finally:
        _writer = None


def may_be_at_work() -> bool:
    """Whether a statement that this process sent as a writer may not have ended: somebody waits for its answer, or has
    given up to."""
    return _under_way > 0 or _is_left


def query_tag() -> str:
    """What QUERY_HISTORY shows beside each statement, as JSON: the run, where one is at work the model, and the holder
    of the writer's lease by the name that the lease has for him."""
    known = {"app": APPLICATION, "run": run_under_way(), "model": _model.get(), "writer": _writer}
    return json.dumps({name: value for name, value in known.items() if value}, separators=(",", ":"))


def session_parameters(settings: Settings) -> dict[str, Any]:
    """What every session is told.

    Instants are UTC, and TIMESTAMP without more is one without a zone, whatever the account or the user says; nothing
    runs or waits for ever, and what a killed process has left running is stopped.
    """
    return {
        "TIMEZONE": "UTC",
        "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
        "QUERY_TAG": query_tag(),
        "STATEMENT_TIMEOUT_IN_SECONDS": settings.snowflake_statement_timeout,
        "LOCK_TIMEOUT": LOCK_TIMEOUT,
        "ABORT_DETACHED_QUERY": True,
    }


def connect(settings: Settings, workload: Workload, **options: Any) -> SnowflakeSession:
    """A session that nobody uses: one that waits, else a new one. Close it when it is not needed any more.

    Args:
        settings: account, user, and the role and the warehouse of the workload.
        workload: what the session is for.
        options: what a library needs of the connector beyond that, for example ``autocommit=False``.

    Raises:
        ConfigurationError: the account is not configured, the private key cannot be used, or Snowflake does not know
            what the settings name.
        InsightMartError: the account cannot be reached, or refuses for now.
    """
    import snowflake.connector

    own = {"role": settings.role_of(workload), "warehouse": settings.warehouse_of(workload)}
    arguments = credentials(settings) | own | options
    kind = tuple(sorted((name, str(value)) for name, value in arguments.items()))
    with _one_at_a_time:
        if waiting := _idle.get(kind):
            return SnowflakeSession(waiting.pop(), kind)
    try:
        connection = snowflake.connector.connect(
            **arguments,
            database=DATABASE,
            application=APPLICATION,
            session_parameters=session_parameters(settings),
            login_timeout=LOGIN_TIMEOUT,
            network_timeout=NETWORK_TIMEOUT,
        )
    except snowflake.connector.errors.Error as error:
        raise refusal(error, dict(kind)) or _lost(error) from None
    if missing := lacking(connection, dict(kind), DATABASE):
        connection.close()
        raise missing
    return SnowflakeSession(connection, kind)


def credentials(settings: Settings) -> dict[str, Any]:
    """Account, user and how the user proves who it is, as the connector takes them.

    Raises:
        ConfigurationError: the account is not configured, or the private key cannot be used.
    """
    if not (settings.snowflake_account and settings.snowflake_user):
        raise ConfigurationError(
            "the snowflake gateway needs SNOWFLAKE_ACCOUNT and SNOWFLAKE_USER",
            "Set them, or use INSIGHTMART_GATEWAY=local",
        )
    found: dict[str, Any] = {
        "account": settings.snowflake_account,
        "user": settings.snowflake_user,
        "authenticator": settings.snowflake_authenticator,
    }
    if (key := private_key(settings)) is not None:
        found["private_key"] = key
    elif settings.snowflake_authenticator.lower() == "snowflake_jwt":
        raise ConfigurationError(
            "SNOWFLAKE_AUTHENTICATOR is snowflake_jwt, and there is no key",
            "Set SNOWFLAKE_PRIVATE_KEY or SNOWFLAKE_PRIVATE_KEY_PATH",
        )
    if settings.snowflake_password:
        found["password"] = settings.snowflake_password.get_secret_value()
    return found


def _lost(error: Exception) -> InsightMartError:
    """What to say when the account answers no more; the connector's own words run over several lines."""
    return InsightMartError(
        f"Snowflake does not answer: {' '.join(str(error).split())[:200]}",
        "Nothing that was under way is published, and the next cycle goes on from there; see the account's status page",
    )


@contextmanager
def _answered() -> Iterator[None]:
    """A statement is under way; one that ends without an answer of the account's may go on there."""
    global _under_way, _is_left
    from snowflake.connector.errors import Error, InterfaceError, OperationalError

    with _one_at_a_time:
        _under_way += 1
    try:
        yield
    except BaseException as error:
        _is_left |= not isinstance(error, Error) or isinstance(error, (OperationalError, InterfaceError))
        raise
    finally:
        with _one_at_a_time:
            _under_way -= 1


def close_waiting() -> None:
    """Close the sessions that nobody uses."""
    with _one_at_a_time:
        waiting = [connection for kind in _idle.values() for connection in kind]
        _idle.clear()
    for connection in waiting:
        connection.close()


class SnowflakeSession:
    """A connection of Snowflake's connector whose statements are tagged, and which waits for the next user when closed.

    It commits and rolls back only what there is. One on which a statement failed, or that has not committed what it
    changed, is really closed: nobody can tell in what state its session is.
    """

    def __init__(self, connection: Any, kind: tuple[Any, ...]) -> None:
        self._connection = connection
        self._kind = kind
        self._begins = _CHANGE if ("autocommit", "False") in kind else _BEGIN
        self._is_in_transaction = False
        self._is_doubtful = False
        self._is_closed = False

    def cursor(self, *arguments: Any, **named: Any) -> Any:
        """A cursor of the connector's."""
        cursor = self._connection.cursor(*arguments, **named)
        execute = cursor.execute

        from snowflake.connector.errors import Error, InterfaceError, OperationalError

        def tagged(command: str, *values: Any, **options: Any) -> Any:
            tag = {"QUERY_TAG": query_tag(), **(options.pop("_statement_params", None) or {})}
            self._is_in_transaction |= bool(self._begins.match(command))
            try:
                with _answered():
                    answer = execute(command, *values, _statement_params=tag, **options)
            except Error as error:
                self._is_doubtful = True
                told = refusal(error, dict(self._kind))
                if told is None and isinstance(error, (OperationalError, InterfaceError)):
                    told = _lost(error)
                if told is None:
                    raise
                raise told from None  # what dlt and SQLMesh show is the end of the chain
            except BaseException:  # also Ctrl-C and a cycle's time that is over: the statement may still run
                self._is_doubtful = True
                raise
            self._is_in_transaction &= not _ENDED.match(command)
            return answer

        cursor.execute = tagged  # sent with the statement: ALTER SESSION would be another one
        return cursor

    def close(self) -> None:
        """Leave the session to the next one who asks for its like."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_doubtful or self._is_in_transaction or self._connection.is_closed():
            self._connection.close()
            return
        with _one_at_a_time:
            _idle.setdefault(self._kind, []).append(self._connection)

    def is_closed(self) -> bool:
        """Whether its user is done with it."""
        return self._is_closed or bool(self._connection.is_closed())

    def commit(self) -> None:
        """Keep what was changed, if anything was."""
        self._end_transaction("COMMIT")

    def rollback(self) -> None:
        """Undo what was changed, if anything was."""
        self._end_transaction("ROLLBACK")

    def _end_transaction(self, statement: str) -> None:
        if self._is_in_transaction:
            self.cursor().execute(statement)
            self._is_in_transaction = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
