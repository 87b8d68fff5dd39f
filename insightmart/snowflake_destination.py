"""Snowflake as dlt's destination, on the pipeline's own sessions. Seen on dlt 1.31.0.

dlt opens a connection for each file that it loads and puts each into a transaction, which takes four more statements.
Here it uses sessions again, and needs no transaction.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema import Schema
from dlt.destinations import snowflake
from dlt.destinations.impl.snowflake.configuration import SnowflakeClientConfiguration
from dlt.destinations.impl.snowflake.snowflake import SnowflakeClient
from dlt.destinations.impl.snowflake.sql_client import SnowflakeSqlClient
from dlt.destinations.typing import DBTransaction

from ingestion.warehouse import DATABASE
from insightmart.settings import Settings
from insightmart.snowflake_keys import private_key
from insightmart.snowflake_sessions import SnowflakeSession, connect


class SessionSqlClient(SnowflakeSqlClient):
    """dlt's statements on a session of ours."""

    settings: Settings

    def open_connection(self) -> Any:
        """Take a session; dlt names schemas itself and binds values in its own style."""
        session: Any = open_session_of_loads(self.settings)
        self._conn = session
        return self._conn

    @contextmanager
    def begin_transaction(self) -> Iterator[DBTransaction]:
        """No transaction: DDL commits itself, a file is copied by one statement, and rows of a load that did not finish
        are deleted by its load id (`ingestion/loading/recovery.py`)."""
        yield self

    def _reset_connection(self) -> None:
        """After a failed statement: nothing was begun."""


def open_session_of_loads(settings: Settings) -> SnowflakeSession:
    """A session as dlt has it."""
    return connect(settings, "load", paramstyle="pyformat", arrow_number_to_decimal=True)


def snowflake_destination(settings: Settings) -> Any:
    """A new destination, for one thread.

    Raises:
        ConfigurationError: the private key cannot be used.
    """
    sql_client = type("SessionSqlClient", (SessionSqlClient,), {"settings": settings})

    class SessionClient(SnowflakeClient):
        def __init__(
            self, schema: Schema, config: SnowflakeClientConfiguration, capabilities: DestinationCapabilitiesContext
        ) -> None:
            super().__init__(schema, config, capabilities)
            own = self.sql_client
            self.sql_client = sql_client(
                own.dataset_name, own.staging_dataset_name, config.credentials, capabilities, config.query_tag
            )

    class SessionDestination(snowflake):
        @property
        def client_class(self) -> type[SnowflakeClient]:
            return SessionClient

    password, key = settings.snowflake_password, private_key(settings)
    credentials = {
        "host": settings.snowflake_account,
        "username": settings.snowflake_user,
        "password": password.get_secret_value() if password else None,
        "authenticator": settings.snowflake_authenticator,
        "private_key": b64encode(key).decode() if key else None,  # dlt's private_key_path is not read in this version
        "database": DATABASE,
        "warehouse": settings.warehouse_of("load"),
        "role": settings.role_of("load"),
    }
    return SessionDestination(
        credentials={name: value for name, value in credentials.items() if value},
        keep_staged_files=False,  # they hold personal data, and nobody would delete them
        destination_name="snowflake",
    )
