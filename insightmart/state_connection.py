"""The PostgreSQL database of SQLMesh's state, beside Snowflake, asked so that no answer is waited for without end."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.plain_connections import tls_of_state
from insightmart.settings import Settings

if TYPE_CHECKING:
    import psycopg

CONNECT_TIMEOUT = 5  # seconds, for each address that the name of the host has
LIMIT = 10.0  # seconds that an answer is waited for, a connection that has to be opened included

# What PostgreSQL says -> what is to be looked at.
_CURES = {
    "certificate": "Name the certificate that signed the server's in PGSSLROOTCERT=FILE, in STATE_HOST the name it"
    " is for; or set PLAIN_CONNECTIONS=STATE_HOST",
    "does not support SSL": "Let the server offer TLS (ssl = on), or set PLAIN_CONNECTIONS=STATE_HOST",
    "must be owner of": "Make STATE_USER the owner of insightmart.writer: this version of the code adds columns to it",
    "permission denied": "Let STATE_USER create schemas in STATE_DATABASE, and use the schema insightmart",
    "authentication": "Check STATE_USER and STATE_PASSWORD",
    "role ": "Check STATE_USER and STATE_PASSWORD",
    "password supplied": "Set STATE_PASSWORD",
    "database ": "Check STATE_DATABASE",
    "read-only": "Name the primary in STATE_HOST, not a replica",
}
_UNREACHABLE = "Check STATE_HOST and STATE_PORT, that the server runs, and that this machine may reach it"


class StateDatabase:
    """One conversation with the state database, over a connection that is opened when it is needed.

    A connection that broke, or on which no answer came in time, is left, and the next question opens another one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection | None = None

    @property
    def place(self) -> str:
        """Where it is, for people."""
        found = self._settings
        return f"{found.state_host}:{found.state_port}, database {found.state_database}, user {found.state_user}"

    def ask(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] | None = None, *, seconds: float = LIMIT
    ) -> list[tuple[Any, ...]]:
        """The rows that a statement answers with; it is committed. Without values it may be several statements.

        The question is put in a thread: PostgreSQL's client waits for an answer as long as the connection stands,
        however silent the other end is.

        Raises:
            ConfigurationError: STATE_HOST is not set.
            InsightMartError: the database cannot be reached, refuses, or has not answered in so many seconds; cause and
                cure name the place and the setting, never the password.
        """
        opened, self._connection = self._connection, None
        answers: SimpleQueue[tuple[psycopg.Connection, list[tuple[Any, ...]]] | Exception] = SimpleQueue()
        is_given_up = threading.Event()

        def work() -> None:
            connection = opened
            try:
                connection = connection or self._connect()
                cursor = connection.execute(statement, values)
                answers.put((connection, cursor.fetchall() if cursor.description else []))
            except Exception as error:  # noqa: BLE001 raised in the thread that asks
                answers.put(error)
                is_given_up.set()
            if is_given_up.is_set() and connection:
                connection.close()

        threading.Thread(target=work, name="state database", daemon=True).start()
        try:
            answer = answers.get(timeout=seconds)
        except Empty:
            is_given_up.set()
            raise self._failed(f"no answer in {seconds:.0f} s") from None
        if isinstance(answer, InsightMartError):
            raise answer
        if isinstance(answer, Exception):
            raise self._failed(" ".join(str(answer).split())) from None
        self._connection, rows = answer
        return rows

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg.Connection:
        import psycopg

        settings = self._settings
        if not settings.state_host:
            raise ConfigurationError(
                "STATE_HOST is not set: beside Snowflake, SQLMesh's state and the writer's lock are in PostgreSQL",
                "Set STATE_HOST, STATE_USER, STATE_PASSWORD and STATE_DATABASE, or use INSIGHTMART_GATEWAY=local",
            )
        password = settings.state_password
        # No options at the start and no prepared statements: poolers in front of a server refuse the one and mix up the
        # other. An end that is gone is noticed though nothing is sent, and though what was sent is not acknowledged.
        return psycopg.connect(
            host=settings.state_host,
            port=settings.state_port,
            user=settings.state_user,
            password=password.get_secret_value() if password else None,
            dbname=settings.state_database,
            application_name="insightmart",
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=CONNECT_TIMEOUT,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=2,
            tcp_user_timeout=10_000,
            **tls_of_state(settings.state_host, settings.allowed_plain),
        )

    def _failed(self, reason: str) -> InsightMartError:
        said = reason.rpartition("FATAL: ")[2].rpartition("failed: ")[2].strip()[:200]
        cure = next((cure for sign, cure in _CURES.items() if sign in said), _UNREACHABLE)
        return InsightMartError(f"the state database ({self.place}) cannot be used: {said}", cure)
