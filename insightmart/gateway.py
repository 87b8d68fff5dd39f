"""Opens the warehouse that the settings name."""

from __future__ import annotations

from typing import Any

import duckdb

from ingestion.warehouse import DATABASE, Warehouse, open_duckdb
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.settings import Settings


def open_warehouse(settings: Settings) -> Warehouse:
    """Connect to the local DuckDB file or to Snowflake, whichever gateway is configured.

    Raises:
        ConfigurationError: the Snowflake account is not configured.
        InsightMartError: the local file is in use by another process or unreadable.
    """
    if settings.gateway == "local":
        try:
            return open_duckdb(settings.database_path)
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise InsightMartError(
                    f"{settings.database_path} is open in another process",
                    "Wait for the running cycle to end, or close the program that has the file open",
                ) from None
            raise InsightMartError(f"{settings.database_path} cannot be opened: {error}") from None
    return _open_snowflake(settings)


def open_beside(warehouse: Warehouse, settings: Settings) -> Warehouse:
    """Another connection to the same warehouse, for another thread; close it when that is done."""
    if warehouse.dialect == "duckdb":
        return Warehouse(warehouse.connection.cursor(), "duckdb", warehouse.turns)
    return Warehouse(_open_snowflake(settings).connection, "snowflake", warehouse.turns)


def dlt_destination(settings: Settings) -> Any:
    """The same warehouse as dlt's destination, a new one for each thread.

    Raises:
        ConfigurationError: the file with the private key cannot be read.
    """
    import dlt

    if settings.gateway == "local":
        return dlt.destinations.duckdb(str(settings.database_path))
    password = settings.snowflake_password
    credentials = {
        "host": settings.snowflake_account,
        "username": settings.snowflake_user,
        "password": password.get_secret_value() if password else None,
        "authenticator": settings.snowflake_authenticator,
        "private_key": _private_key(settings),  # dlt's private_key_path is not read in this version
        "database": DATABASE,
        "warehouse": settings.snowflake_warehouse,
        "role": settings.snowflake_role,
    }
    return dlt.destinations.snowflake(
        credentials={name: value for name, value in credentials.items() if value},
        keep_staged_files=False,  # they hold personal data, and nobody would delete them
    )


def _private_key(settings: Settings) -> str | None:
    path = settings.snowflake_private_key_path
    if path is None:
        return None
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"SNOWFLAKE_PRIVATE_KEY_PATH: {path} cannot be read ({type(error).__name__})",
            "Name an unencrypted PEM file that this user may read",
        ) from None


def _open_snowflake(settings: Settings) -> Warehouse:
    if not (settings.snowflake_account and settings.snowflake_user):
        raise ConfigurationError(
            "the snowflake gateway needs SNOWFLAKE_ACCOUNT and SNOWFLAKE_USER",
            "Set them, or use INSIGHTMART_GATEWAY=local",
        )
    import snowflake.connector

    credentials: dict[str, str] = {"authenticator": settings.snowflake_authenticator}
    if _private_key(settings) is not None:  # the connector's own error would not name the setting
        credentials["private_key_file"] = str(settings.snowflake_private_key_path)
    if settings.snowflake_password:
        credentials["password"] = settings.snowflake_password.get_secret_value()
    connection = snowflake.connector.connect(
        account=settings.snowflake_account,
        user=settings.snowflake_user,
        role=settings.snowflake_role,
        warehouse=settings.snowflake_warehouse,
        database=DATABASE,
        paramstyle="qmark",
        arrow_number_to_decimal=True,  # else amounts would come as floats
        **credentials,
    )
    return Warehouse(connection, "snowflake")
